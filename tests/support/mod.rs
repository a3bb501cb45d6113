//! What the tests are told with: a server of their own, and a camera that speaks the protocol byte by byte.

pub(crate) mod asking;
mod authority;
mod bay;
mod camera;
mod client;
mod fuse;
mod postfix;
mod process;
mod program;
mod smtp;
mod tmpfs;
mod world;

use std::env;

pub(crate) use authority::Authority;
pub(crate) use bay::Bay;
pub(crate) use camera::{Camera, Exchange, Reply, bytes, decode32, recording, rid};
pub(crate) use client::{Client, issue};
pub(crate) use fuse::Share;
pub(crate) use postfix::Postfix;
pub(crate) use process::{Process, agent, longshore, offload};
pub(crate) use program::{Program, elsewhere, token};
pub(crate) use smtp::{Mail, SmtpServer, installed};
pub(crate) use tmpfs::Tmpfs;
pub(crate) use world::{World, checksum, eventually, files_below, send_signal};

/// Set where nothing that a test needs may be missing: `cargo xtask test` does so as root.
const NO_SKIP: &str = "LONGSHORE_TEST_NO_SKIP";

/// Says why a test is skipped; where none may be, it fails.
pub(crate) fn skip(why: &str) {
    assert!(env::var_os(NO_SKIP).is_none(), "{NO_SKIP} is set, and the test cannot run: {why}");
    eprintln!("skipped: {why}");
}
