//! Where evidence and its bookkeeping live: the disk, the journal, the index over it, and the order in which a
//! recording becomes a file with a name.
//!
//! Writing: `incoming` takes bytes, `place` gives them their name with the `manifest`. Bookkeeping: `facts` go to the `journal`
//! and from there into the `index`, written by `catalogue` alone; texts of messages lie in the `outbox`. Looking: `verify` and `rebuild`, on what `shelf` lists. All of
//! the server's calls of the disk go through `files`.

pub mod audit;
pub mod catalogue;
pub mod custody;
pub mod export;
pub mod facts;
mod fail_point;
pub mod files;
pub mod history;
pub mod incoming;
pub mod index;
pub mod journal;
mod layout;
pub mod manifest;
pub mod outbox;
pub mod place;
pub mod rebuild;
mod shelf;
mod slots;
pub mod verify;

pub use slots::{Committed, Identity, Purpose};
