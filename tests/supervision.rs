//! Each actor panics once, in the middle of work: what it did goes on, and the other bays do not notice.
#![cfg(feature = "failpoints")]

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Bay, World, eventually, send_signal};

const MIB: usize = 1024 * 1024;

/// Three bays unload while the fail-point strikes once; gives the server's log.
fn three_bays(fail_points: &str) -> (World, [Bay; 3]) {
    let world = World::with_fail_points(fail_points);
    let bays = ["B-1", "B-2", "B-3"].map(|serial| {
        let mut bay = Bay::new(&world, serial, &format!("Unit {serial}"));
        for (name, size) in [("a.mp4", 20 * MIB), ("b.mp4", 100), ("c.mp4", 15 * MIB + 77)] {
            bay.put(name, size);
        }
        bay
    });
    (world, bays)
}

#[test]
fn a_server_that_hangs_at_the_start_leaves_when_it_is_told_to() {
    for (fail_point, last_word) in [("start-storage", "the journal was read"), ("start-incoming", "storage: ")] {
        let mut world = World::at_rest();
        world.fail_points = format!("{fail_point}=pause");
        let mut server = world.launch(&[]);
        eventually("it has come so far", || world.log().contains(last_word));
        send_signal(server.id(), Signal::TERM);
        assert_eq!(server.ends().code(), Some(0), "{}", world.log());
        assert!(world.log().contains("stopped before the server was ready"), "{}", world.log());
        world.fail_points.clear();
        world.start();
    }
}

fn unload(world: &World, bays: &[Bay; 3]) {
    let agents = bays.each_ref().map(Bay::offload);
    for (mut agent, bay) in agents.into_iter().zip(bays) {
        assert!(agent.ends().success(), "{}", bay.log());
        assert!(bay.is_home(world), "{}", bay.log());
    }
    assert!(world.incoming().is_empty());
}

fn actor(world: &World, name: &str) -> Option<Value> {
    let actors = world.cli_json(&["actors"]);
    actors.as_array().unwrap().iter().find(|row| row["name"].as_str().unwrap().starts_with(name)).cloned()
}

#[test]
fn a_queue_of_requests_that_panics_answers_again_and_has_lost_nothing() {
    let world = World::with_fail_points("request-video=1*off->1*panic->off");
    let camera = world.camera("B4-1", "J. Smith");
    let ask =
        |to: &str| world.cli(&["request", "add", "--device", "B4-1", "--from", "2026-11-20T14:00:00Z", "--to", to]);
    assert!(ask("2026-11-20T14:10:00Z").status.success());
    let refused = ask("2026-11-20T14:20:00Z");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("the part of the server that decides this does not answer"),
        "{refused:?}"
    );
    eventually("it answers again", || ask("2026-11-20T14:20:00Z").status.success());
    assert_eq!(world.cli_json(&["request", "list"]).as_array().unwrap().len(), 2);
    let desired = camera.request("GET", "/device/v1/desired", &[], b"").json(200);
    assert_eq!(desired["requests"].as_array().unwrap().len(), 2);
    assert_eq!(actor(&world, "requests").unwrap()["failures"], 1);
}

fn count(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_transfer_that_panics_goes_on_from_its_last_commit_and_no_other_notices() {
    let (world, bays) = three_bays("upload-append=12*off->1*panic->off");
    let agents = bays.each_ref().map(Bay::offload);
    eventually("the panic is told", || {
        let actors = world.cli_json(&["actors"]);
        actors.as_array().unwrap().iter().any(|row| {
            let error = row["last_error"]["text"].as_str().unwrap_or_default();
            row["name"].as_str().unwrap().starts_with("upload") && row["failures"] == 1 && error.contains("panicked")
        })
    });
    for (mut agent, bay) in agents.into_iter().zip(&bays) {
        assert!(agent.ends().success(), "{}", bay.log());
        assert!(bay.is_home(&world), "{}", bay.log());
    }
    assert!(world.incoming().is_empty());
    let log = world.log();
    assert_eq!(count(&log, "a transfer panicked"), 1);
    assert_eq!(count(&log, "goes back to its last commit"), 0, "one transfer's panic is no other's failure");
}

#[test]
fn a_session_that_panics_is_begun_anew_by_its_devices_next_call() {
    let (world, bays) = three_bays("session-offer=2*off->1*panic->off");
    unload(&world, &bays);
    assert_eq!(count(&world.log(), "the session of a device panicked"), 1);
    let sessions = world.cli_json(&["actors"]);
    let failures: Vec<u64> = sessions
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["name"].as_str().unwrap().starts_with("session of BC4 B-"))
        .map(|row| row["failures"].as_u64().unwrap())
        .collect();
    assert_eq!(failures.iter().sum::<u64>(), 1, "{sessions}");
}

#[test]
fn the_router_of_sessions_is_restarted_and_running_transfers_do_not_notice() {
    let (world, bays) = three_bays("sessions-find=20*off->1*panic->off");
    unload(&world, &bays);
    let log = world.log();
    assert_eq!(count(&log, "an actor ended and is restarted"), 1);
    assert_eq!(count(&log, "goes back to its last commit"), 0);
    let row = actor(&world, "sessions").unwrap();
    assert_eq!((row["state"].as_str(), row["failures"].as_u64()), (Some("running"), Some(1)), "{row}");
}

#[test]
fn the_storage_writer_is_restarted_and_every_transfer_goes_on_from_its_last_commit() {
    let (world, bays) = three_bays("storage-write=30*off->1*panic->off");
    unload(&world, &bays);
    let row = actor(&world, "storage").unwrap();
    assert_eq!((row["state"].as_str(), row["failures"].as_u64()), (Some("running"), Some(1)), "{row}");
    assert!(row["last_error"]["text"].as_str().unwrap().contains("panicked"), "{row}");
}

#[test]
fn enrolment_is_restarted_while_a_device_asks_to_be_known() {
    let world = World::with_fail_points("enrolment-request=1*panic->off");
    let mut bay = Bay::new(&world, "B-1", "Unit 1");
    bay.put("a.mp4", 1000);
    assert!(bay.offload().ends().success(), "{}", bay.log());
    assert!(bay.is_home(&world));
    let row = actor(&world, "enrolment").unwrap();
    assert_eq!((row["state"].as_str(), row["failures"].as_u64()), (Some("running"), Some(1)), "{row}");
}
