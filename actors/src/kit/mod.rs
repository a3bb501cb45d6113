//! What actix lacks.

mod ask;
mod fail_point;
mod idle;
mod lifeline;
mod line;
mod probe;
mod restart;
mod supervisor;

pub(crate) use ask::{ASK_DEADLINE, Unavailable, ask};
pub(crate) use fail_point::fail_point;
pub(crate) use idle::Idles;
pub(crate) use lifeline::{Ended, Lifeline};
pub(crate) use line::Line;
pub use probe::{ActorState, ActorStatus, LastError};
pub(crate) use probe::{Board, InFlight, Probe};
pub(crate) use restart::{Policy, Restarts, jitter};
pub(crate) use supervisor::{Started, Supervisor};
