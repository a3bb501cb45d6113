//! What actix lacks.

mod ask;
mod idle;

pub(crate) use ask::{ASK_DEADLINE, ask};
pub(crate) use idle::Idles;
