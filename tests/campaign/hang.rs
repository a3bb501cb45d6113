//! A disk that answers no more.

use std::time::{Duration, Instant};

use super::strace::{Fault, Injection, Strace, may_trace};
use crate::support::{World, bytes, eventually, recording};

/// The whole stop, as docs/OPERATIONS.md promises.
const STOP: Duration = Duration::from_secs(20);

#[test]
fn a_disk_that_hangs_does_not_hold_the_stop_and_what_was_acknowledged_is_there() {
    if !may_trace() {
        return;
    }
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 20_000_000);
    let upload = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&upload, 0, &content[..5000]).offset(), 5000);
    let hang = Injection { fault: Fault::Hang, call: "fdatasync", when: 1, only: None };
    let strace = Strace::attach(&world, hang);
    let mut patch = camera.begin_patch(&upload, 5000, content.len() - 5000);
    // Enough for a commit to be due: that sync hangs.
    patch.send(&content[5000..9_000_000]).unwrap();
    eventually("the commit is under way", || world.log_of_strace().contains("fdatasync"));
    let began = Instant::now();
    world.terminate();
    eventually("the server has ended", || world.has_ended());
    assert!(began.elapsed() < STOP + Duration::from_secs(5), "{:?}", began.elapsed());
    // Until then strace keeps what it delays from being told to us.
    drop(strace);
    assert_eq!(world.stopped(), Some(75));

    world.start();
    let offset = camera.offset(&upload);
    assert_eq!(offset, 5000, "the hanging commit was acknowledged to nobody");
    assert!(camera.patch(&upload, offset, &content[5000..]).headers.contains_key("longshore-receipt"));
}
