//! The whole path, from the card to the reported deletion.

use std::fs;
use std::time::Duration;

use chrono::TimeDelta;
use longshore_agent::backoff::Pace;
use longshore_agent::offload::{Offload, OffloadError, Options, Summary};
use longshore_agent::retry::Stop;
use longshore_agent::state::Identity;
use longshore_agent::watch::Watch;
use longshore_model::ReceiptKey;
use longshore_protocol::ProblemType;
use rcgen::KeyPair;
use tokio::net::TcpSocket;

use crate::camera::{Camera, MIB, clock, eventually, is_there, pace};
use crate::server::{Fault, Server};

#[tokio::test]
async fn events_are_sent_receipted_deleted_and_reported_and_the_rest_stays() {
    let camera = Camera::enrolled().await;
    let (a, b) = (camera.put("EVENT/a.mp4", 3 * MIB + 7), camera.put("EVENT/b.mp4", 1));
    camera.put("c.mp4", 100);
    camera.put("d.jpg", 100);
    let summary = camera.once().await;
    let expected = Summary { found: 4, events: 2, sent: 2, deleted: 2, not_requested: 2, ..Summary::default() };
    assert_eq!(summary, expected, "{}", camera.heard());
    assert!(camera.stored("EVENT/a.mp4") == Some(a) && camera.stored("EVENT/b.mp4") == Some(b));
    let left = ["EVENT/a.mp4", "EVENT/b.mp4", "c.mp4", "d.jpg"].map(|name| is_there(&camera.card(name)));
    assert_eq!(left, [false, false, true, true]);
    assert_eq!(camera.reported().len(), 2);
    assert!(camera.open_intents().is_empty());
    let heard = camera.heard();
    assert!(heard.contains("sent EVENT/a.mp4 (3.1 MB)") && heard.contains("deleted EVENT/a.mp4"), "{heard}");
}

#[tokio::test]
async fn a_broken_connection_continues_at_the_durable_offset() {
    let camera = Camera::enrolled().await;
    let content = camera.put("EVENT/a.mp4", 8 * MIB);
    camera.fault([Fault::CutAfter(3 * MIB), Fault::CutAfter(1), Fault::CutAfter(2 * MIB)]);
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 1, 0), "{}", camera.heard());
    assert!(camera.stored("EVENT/a.mp4") == Some(content));
    let world = camera.server.world.lock().unwrap();
    assert_eq!((world.count("PATCH"), world.count("HEAD")), (4, 3));
}

#[tokio::test]
async fn problems_before_the_body_is_read_are_heard_and_survived() {
    // More than any socket buffer holds, so that the answer comes while the body is still being written.
    let camera = Camera::enrolled().await;
    let content = camera.put("EVENT/a.mp4", 24 * MIB);
    let problems = [
        ProblemType::Superseded,
        ProblemType::ShuttingDown,
        ProblemType::Unavailable,
        ProblemType::InsufficientStorage,
        ProblemType::ChecksumMismatch,
        ProblemType::UploadNotFound,
    ];
    camera.fault(problems.map(Fault::Answer));
    let summary = camera.once().await;
    let heard = camera.heard();
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 1, 0), "{heard}");
    // All but the last, which needs no word: the recording is just offered again.
    for problem in &problems[..5] {
        assert!(heard.contains(problem.title()), "{problem:?} was not heard: {heard}");
    }
    assert_eq!(camera.server.world.lock().unwrap().count("PATCH"), problems.len() + 1);
    assert!(camera.stored("EVENT/a.mp4") == Some(content));
}

#[tokio::test]
async fn a_late_receipt_is_waited_for() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    camera.server.world.lock().unwrap().receipt_late_by = 3;
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.already_there, summary.deleted), (1, 0, 1));
    assert_eq!(camera.server.world.lock().unwrap().count("PATCH"), 1);
}

#[tokio::test]
async fn keep_deletes_nothing_and_writes_no_intent() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    let summary = camera.offload(true).unwrap().run().await.unwrap();
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 0, 0));
    assert!(is_there(&camera.card("EVENT/a.mp4")));
    assert!(camera.open_intents().is_empty() && camera.reported().is_empty());
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.already_there, summary.deleted), (0, 1, 1));
}

#[tokio::test]
async fn a_file_is_kept_until_its_receipt_allows_to_delete_it() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    camera.server.world.lock().unwrap().delete_after = TimeDelta::hours(1);
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 0, 0));
    assert!(is_there(&camera.card("EVENT/a.mp4")) && camera.open_intents().is_empty());
}

#[tokio::test]
async fn a_forged_receipt_deletes_nothing_and_fails_the_run() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    let forger = ReceiptKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap();
    camera.server.world.lock().unwrap().forger = Some(forger);
    let summary = camera.once().await;
    assert_eq!((summary.deleted, summary.failed), (0, 1));
    assert!(is_there(&camera.card("EVENT/a.mp4")) && camera.open_intents().is_empty());
    assert!(camera.heard().contains("kept EVENT/a.mp4: the receipt is not valid"));
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_sent_anew() {
    let camera = Camera::enrolled().await;
    let mut content = camera.put("EVENT/a.mp4", 32 * MIB);
    content.extend_from_slice(b"more");
    let (path, changed) = (camera.card("EVENT/a.mp4"), content.clone());
    camera.fault([Fault::Meanwhile(Box::new(move || fs::write(path, changed).unwrap()))]);
    let summary = camera.once().await;
    assert_eq!((summary.deleted, summary.failed), (1, 0), "{}", camera.heard());
    assert!(camera.stored("EVENT/a.mp4") == Some(content));
    assert_eq!(camera.reported().len(), 1);
    // Another content is another recording: nothing was spliced.
    assert_eq!(camera.server.world.lock().unwrap().offers_of("EVENT/a.mp4"), 2);
}

#[tokio::test]
async fn a_server_that_refuses_the_device_ends_a_run_by_hand_and_is_waited_for_by_one_without_end() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    camera.fault([Fault::Answer(ProblemType::UnknownDevice)]);
    let error = camera.offload(false).unwrap().run().await.unwrap_err();
    assert!(matches!(error, OffloadError::Stopped(Stop::Refused(_))), "{error}");
    camera.fault([ProblemType::UnknownDevice, ProblemType::Unauthenticated].map(Fault::Answer));
    let run = camera.without_end();
    let reported = eventually("it is home", || !camera.reported().is_empty());
    tokio::select! {
        result = run.run() => panic!("{result:?}"),
        () = reported => {}
    }
    assert!(camera.heard().contains(ProblemType::Unauthenticated.title()), "{}", camera.heard());
}

#[tokio::test]
async fn an_empty_recording_needs_no_bytes() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", 0);
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted), (1, 1), "{}", camera.heard());
    assert_eq!(camera.server.world.lock().unwrap().count("PATCH"), 0);
}

#[tokio::test]
async fn a_report_that_fails_is_repeated() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    camera.server.world.lock().unwrap().failing_reports = 3;
    camera.once().await;
    assert_eq!(camera.reported(), ["EVENT/a.mp4"]);
    assert!(camera.open_intents().is_empty());
}

#[tokio::test]
async fn a_refused_report_between_two_recorded_ones_stays_for_the_next_start() {
    let camera = Camera::enrolled().await;
    for name in ["a", "b", "c"] {
        camera.put(&format!("EVENT/{name}.mp4"), 10);
    }
    // The server has all three first, so that one report tells of all of them.
    camera.offload(true).unwrap().run().await.unwrap();
    camera.server.world.lock().unwrap().refuses = vec!["EVENT/b.mp4".into()];
    let summary = camera.once().await;
    assert_eq!((summary.deleted, summary.unreported, summary.failed), (3, 0, 1), "{}", camera.heard());
    assert_eq!(camera.reported(), ["EVENT/a.mp4", "EVENT/c.mp4"]);
    assert_eq!(camera.server.world.lock().unwrap().count("POST /device/v1/deletions"), 1);
    let words = "EVENT/b.mp4 was deleted: as the test wants it; it is reported again at the next start";
    assert!(camera.heard().contains(words), "{}", camera.heard());
    let paths: Vec<_> = camera.open_intents().into_iter().map(|intent| intent.path).collect();
    assert_eq!(paths, [camera.card("EVENT/b.mp4")]);
    camera.server.world.lock().unwrap().refuses.clear();
    camera.once().await;
    assert_eq!(camera.reported(), ["EVENT/a.mp4", "EVENT/c.mp4", "EVENT/b.mp4"]);
    assert!(camera.open_intents().is_empty());
}

#[tokio::test]
async fn every_outage_of_the_server_begins_with_short_waits_even_if_nothing_is_sent_in_between() {
    let camera = Camera::enrolled().await;
    let usual = Pace { longest: Duration::from_secs(3_600), ..pace() };
    let watch = Watch::folder(&camera.card("")).unwrap();
    let options = Options { watch, once: false, keep: false, events: vec![] };
    let offload = Offload::new(options, camera.state(), clock(), usual, camera.heard.clone()).unwrap();
    let outages = async {
        for n in 0..4 {
            // Nobody requests what is offered here. The ceilings of eight waits are 255 ms together, those of four
            // times eight of which none is forgotten are weeks.
            camera.server.world.lock().unwrap().failing_offers = 8;
            let name = format!("{n}.mp4");
            camera.put(&name, 10 + n);
            eventually("it is offered", || camera.server.world.lock().unwrap().offers_of(&name) > 0).await;
        }
    };
    tokio::select! {
        end = offload.run() => panic!("{end:?}"),
        () = outages => {}
    }
}

#[tokio::test]
async fn a_run_that_is_to_end_does_not_wait_for_minutes_to_report_a_deletion() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    {
        let mut world = camera.server.world.lock().unwrap();
        (world.failing_reports, world.reports_fail_with) = (1, Some((ProblemType::InsufficientStorage, 300)));
    }
    let usual = Pace { longest: Pace::default().longest, give_up: Pace::default().give_up, ..pace() };
    let options = Options { watch: Watch::folder(&camera.card("")).unwrap(), once: true, keep: false, events: vec![] };
    let run = Offload::new(options, camera.state(), clock(), usual, camera.heard.clone()).unwrap().run();
    let summary = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends soon").unwrap();
    assert_eq!((summary.sent, summary.deleted, summary.unreported, summary.failed), (1, 1, 1, 0), "{}", camera.heard());
    assert!(
        camera.heard().contains("1 deletions are not reported yet; the next run reports them"),
        "{}",
        camera.heard()
    );
    assert_eq!(
        camera.server.world.lock().unwrap().count("POST /device/v1/deletions"),
        1,
        "the server's wait is obeyed"
    );
    assert_eq!(camera.open_intents().len(), 1);
    let summary = camera.once().await;
    assert_eq!((summary.found, summary.unreported), (0, 0));
    assert_eq!(camera.reported(), ["EVENT/a.mp4"]);
    assert!(camera.open_intents().is_empty());
}

#[tokio::test]
async fn a_person_sees_once_that_uploads_wait_for_those_that_were_begun() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", 10);
    camera.put("EVENT/b.mp4", 10);
    camera.server.world.lock().unwrap().too_many_unfinished = 5;
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted, summary.failed), (2, 2, 0), "{}", camera.heard());
    let heard = camera.heard();
    let words = "2 recordings wait: the server has as many unfinished uploads of this device as it may have";
    assert_eq!(heard.matches(words).count(), 1, "{heard}");
}

#[tokio::test]
async fn a_report_that_the_server_does_not_take_holds_up_no_transfer() {
    let camera = Camera::enrolled().await;
    for name in ["a", "b", "c"] {
        camera.put(&format!("EVENT/{name}.mp4"), 1000);
    }
    camera.server.world.lock().unwrap().failing_reports = usize::MAX;
    let hour = Duration::from_secs(3_600);
    let slow = Pace { first: hour, longest: hour, ..pace() };
    let watch = Watch::folder(&camera.card("")).unwrap();
    let options = Options { watch, once: false, keep: false, events: vec![] };
    let offload = Offload::new(options, camera.state(), clock(), slow, camera.heard.clone()).unwrap();
    let all_deleted = eventually("all are deleted", || fs::read_dir(camera.card("EVENT")).unwrap().count() == 0);
    tokio::select! {
        end = offload.run() => panic!("{end:?}"),
        () = all_deleted => {}
    }
    assert!(camera.reported().is_empty());
    assert_eq!(camera.open_intents().len(), 3);
}

#[tokio::test]
async fn a_deletion_that_a_crash_cut_short_is_reported_at_the_next_start() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    // The server never records the deletion; dropping the run then is what a crash does.
    camera.server.world.lock().unwrap().failing_reports = usize::MAX;
    let run = camera.offload(false).unwrap().run();
    let reports = || camera.server.world.lock().unwrap().count("POST /device/v1/deletions");
    let unreported = eventually("it reports", || reports() > 0);
    tokio::select! {
        result = run => panic!("{result:?}"),
        () = unreported => {}
    }
    assert!(!is_there(&camera.card("EVENT/a.mp4")));
    assert_eq!(camera.open_intents().len(), 1);
    camera.server.world.lock().unwrap().failing_reports = 0;
    let summary = camera.once().await;
    assert_eq!((summary.found, summary.failed), (0, 0));
    assert_eq!(camera.reported(), ["EVENT/a.mp4"]);
    assert!(camera.open_intents().is_empty());
}

#[tokio::test]
async fn without_once_new_files_are_found_by_themselves() {
    let camera = Camera::enrolled().await;
    let run = camera.without_end();
    let reported = async {
        for name in ["EVENT/a.mp4", "EVENT/b.mp4"] {
            camera.put(name, MIB);
            eventually("it is home", || camera.reported().contains(&name.to_owned())).await;
        }
    };
    tokio::select! {
        result = run.run() => panic!("{result:?}"),
        () = reported => {}
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    let path = camera.folder.path().join("state/identity.json");
    let mut identity: Identity = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // Bound, so that no other test gets the port, and not listened at.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    identity.server.urls.insert(0, format!("https://{}", nobody.local_addr().unwrap()));
    fs::write(&path, serde_json::to_vec(&identity).unwrap()).unwrap();
    assert_eq!(camera.once().await.deleted, 1);
}

#[tokio::test]
async fn an_enrolled_device_offers_nothing_to_a_server_with_another_key() {
    let camera = Camera::enrolled().await;
    camera.put("EVENT/a.mp4", MIB);
    let other = Server::start().await;
    let path = camera.folder.path().join("state/identity.json");
    let mut identity: Identity = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    identity.server.urls = other.identity().urls;
    fs::write(&path, serde_json::to_vec(&identity).unwrap()).unwrap();
    let error = camera.offload(false).unwrap().run().await.unwrap_err();
    assert!(matches!(error, OffloadError::Stopped(Stop::Hopeless(_))), "{error}");
    assert!(other.world.lock().unwrap().calls.is_empty());
}

#[tokio::test]
async fn what_is_missing_is_told_before_anything_is_done() {
    let camera = Camera::new().await;
    let error = camera.offload(false).err().expect("not enrolled").to_string();
    assert!(error.contains("longshore-agent enrol"), "{error}");
    camera.enrol(&camera.server.text).await.unwrap();
    fs::remove_dir_all(camera.card("")).unwrap();
    assert!(Watch::folder(&camera.card("")).is_err());
}
