//! The reference device of Longshore: enrols itself, offers what lies in folders and on cards, sends what the server
//! wants, and deletes a file only on a receipt that it has checked.
//!
//! Nothing here is global: every camera of a simulator may have its own state, clock and output in one process.
//!
//! The way of a recording, with the modules that it passes:
//!
//! 1. A card is noticed (`watch`, `mounts`) and looked through (`scan`): each file is a recording or is skipped.
//! 2. What rests (`rest`) is read once (`source`, `stock`); its checksum is kept (`hash_cache`), and what cannot be read
//!    waits (`unreadable`). Its times come from its name and its head (`file_name`, `clip`, `when`), and all of it together
//!    is a `recording`.
//! 3. The `worklist` says what to offer, and what the answer asks for; the `wishes` of people, what of it is meant by them. `client` and `tls` talk to the server, a `transfer`
//!    sends the `body` through broken connections, a `verdict` says what a problem means, and `retry` with `backoff` how
//!    long to wait.
//! 4. A `receipt` that is right lets the file be deleted: `deletions` writes the intent down first, with the `place` at which
//!    it holds, so that the server hears of the deletion whatever happens in between.
//!
//! `offload` puts this together. Beside it are the settings (`config`), becoming known to a server (`enrol`), what outlives
//! the process (`state`, `disk`), the `device_clock`, and what a person sees (`progress`). The `fleet` simulates cameras.

pub mod backoff;
mod body;
pub mod client;
pub mod clip;
pub mod config;
pub mod deletions;
pub mod device_clock;
mod disk;
pub mod enrol;
mod file_name;
pub mod fleet;
pub mod hash_cache;
pub mod invitation;
mod lock;
mod mounts;
pub mod offload;
pub mod place;
pub mod progress;
mod receipt;
pub mod recording;
pub mod rest;
pub mod retry;
pub mod scan;
pub mod source;
pub mod state;
pub mod stock;
pub mod tls;
mod transfer;
pub mod unreadable;
mod verdict;
pub mod watch;
mod when;
mod wishes;
mod worklist;
