//! The reference device of Longshore: enrols itself, offers what lies in folders and on cards, sends what the server
//! wants, and deletes a file only on a receipt that it has checked.
//!
//! Nothing here is global: every camera of a simulator may have its own state, clock and output in one process.

pub mod backoff;
pub mod body;
pub mod client;
pub mod clip;
pub mod config;
pub mod deletions;
pub mod device_clock;
pub mod disk;
pub mod enrol;
pub mod file_name;
pub mod fleet;
pub mod hash_cache;
pub mod hold;
pub mod mounts;
pub mod offload;
pub mod progress;
pub mod receipt;
pub mod recording;
pub mod rest;
pub mod scan;
pub mod source;
pub mod state;
pub mod stock;
pub mod tls;
pub mod transfer;
pub mod unreadable;
pub mod verdict;
pub mod watch;
pub mod when;
pub mod worklist;
