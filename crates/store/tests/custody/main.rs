//! What is stored is looked after, and given out: with real files, a real journal and a real index.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod export;
mod forged;
mod night;
mod world;
