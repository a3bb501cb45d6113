//! Recordings that are not complete yet.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use longshore_agent::backoff::Pace;
use longshore_agent::offload::{Offload, Options};
use longshore_agent::watch::Watch;
use longshore_model::SystemClock;

use crate::camera::{Camera, eventually, is_there, pace};

/// How long a file has to rest here: longer than a busy machine holds the camera of these tests up.
const REST: Duration = Duration::from_secs(2);
/// How often the camera writes.
const WRITES: Duration = Duration::from_millis(50);

/// Files are dated by the clock of the computer, so the agent has the same one here.
fn offload(camera: &Camera, once: bool) -> Offload {
    let watch = Watch::folder(&camera.card("")).unwrap();
    let options = Options { watch, once, keep: false, events: vec![] };
    let pace = Pace { rest: REST, ..pace() };
    Offload::new(options, camera.state(), Arc::new(SystemClock), pace, camera.heard.clone()).unwrap()
}

#[tokio::test]
async fn a_recording_that_is_being_written_is_offered_when_it_rests_whole_and_once() {
    let camera = Camera::enrolled().await;
    let mut file = OpenOptions::new().create(true).append(true).open(camera.card("EVENT/a.mp4")).unwrap();
    let mut content = Vec::new();
    let writing = async {
        let mut ticks = tokio::time::interval(WRITES);
        for round in 0..60_u8 {
            ticks.tick().await;
            file.write_all(&[round; 5_000]).unwrap();
            content.extend([round; 5_000]);
            assert_eq!(camera.server.world.lock().unwrap().offers_of("EVENT/a.mp4"), 0);
        }
        eventually("it is home", || !camera.reported().is_empty()).await;
    };
    tokio::select! {
        result = offload(&camera, false).run() => panic!("{result:?}"),
        () = writing => {}
    }
    assert_eq!(camera.server.world.lock().unwrap().offers_of("EVENT/a.mp4"), 1);
    assert!(camera.stored("EVENT/a.mp4") == Some(content));
    assert!(camera.heard().contains("waiting: 1 that may still be being written"), "{}", camera.heard());
}

#[tokio::test]
async fn a_run_that_is_to_end_waits_for_a_fresh_file_and_not_for_one_that_never_rests() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/fresh.mp4", 100);
    let mut file = OpenOptions::new().create(true).append(true).open(camera.card("EVENT/endless.mp4")).unwrap();
    let endless = async {
        let mut ticks = tokio::time::interval(WRITES);
        loop {
            ticks.tick().await;
            file.write_all(b"more").unwrap();
        }
    };
    let summary = tokio::select! {
        summary = offload(&camera, true).run() => summary.unwrap(),
        () = endless => unreachable!(),
    };
    assert_eq!((summary.found, summary.deleted, summary.failed), (1, 1, 1), "{}", camera.heard());
    assert!(camera.heard().contains("EVENT/endless.mp4: it is still being written"), "{}", camera.heard());
    assert!(is_there(&camera.card("EVENT/endless.mp4")) && !is_there(&camera.card("EVENT/fresh.mp4")));
    assert_eq!(camera.server.world.lock().unwrap().offers_of("EVENT/endless.mp4"), 0);
}
