//! What actix lacks: `lifeline` tells how an actor ended, `restart` decides when it may run again, `supervisor` starts it,
//! `line` outlives it, `probe` shows it to people, `idle` ends it, `ask` bounds a question, `blocking` keeps the disk off its
//! thread.

mod ask;
mod blocking;
mod fail_point;
mod idle;
mod lifeline;
mod line;
mod probe;
mod restart;
mod supervisor;

pub(crate) use ask::{ASK_DEADLINE, Unavailable, ask};
pub(crate) use blocking::blocking;
pub(crate) use fail_point::fail_point;
pub(crate) use idle::Idles;
pub(crate) use lifeline::{Ended, Lifeline};
pub(crate) use line::Line;
pub use probe::{ActorState, ActorStatus, LastError};
pub(crate) use probe::{Board, InFlight, Probe};
pub(crate) use restart::{Policy, Restarts, jitter};
pub(crate) use supervisor::{Started, Supervisor};
