//! The agent as a whole, against a server over real TLS that misbehaves on demand.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests; clippy sees only functions marked #[test] as such"
)]

mod camera;
mod card;
mod cards;
mod enrolling;
mod growing;
mod health;
mod offloading;
mod repairing;
mod server;
mod swapped;
mod times;
