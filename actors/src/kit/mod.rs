//! What actix lacks.

mod ask;
mod idle;
mod lifeline;
mod restart;

pub(crate) use ask::{ASK_DEADLINE, ask};
pub(crate) use idle::Idles;
pub(crate) use lifeline::{Ended, Lifeline};
pub(crate) use restart::Restarts;
