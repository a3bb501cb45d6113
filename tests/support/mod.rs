//! What the tests are told with: a server of their own, and a camera that speaks the protocol byte by byte.

mod authority;
mod bay;
mod camera;
mod fuse;
mod world;

pub(crate) use authority::Authority;
pub(crate) use bay::Bay;
pub(crate) use camera::{Camera, Exchange, Reply, bytes, recording, rid};
pub(crate) use fuse::Share;
pub(crate) use world::{World, agent, checksum, eventually, files_below, send_signal};
