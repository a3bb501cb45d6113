//! Where evidence and its bookkeeping live: the disk, the journal, the index over it, and the order in which a
//! recording becomes a file with a name.

pub mod catalogue;
pub mod facts;
pub mod files;
pub mod history;
pub mod incoming;
pub mod index;
pub mod journal;
mod layout;
pub mod manifest;
pub mod place;
pub mod rebuild;
mod shelf;
mod slots;
pub mod verify;

pub use slots::{Committed, Identity};
