//! Simulated cameras, for demonstrations and for tests of whole days: real clips on a card, the bay of a dock in front of the server, and a camera
//! that is the agent itself. Only the body is missing; keys, checksums, receipts and deletions are real.

pub mod camera;
pub mod card;
pub mod clip;
pub mod day;
pub mod link;
pub mod run;
