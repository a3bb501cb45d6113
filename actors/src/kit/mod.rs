//! What actix lacks.

mod ask;

pub(crate) use ask::{ASK_DEADLINE, ask};
