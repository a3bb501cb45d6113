//! Footage that people ask for: from the command line to the device, and back.

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::asking::{DESIRED, ask, continuous, desired, minutes_ago, now, report, show, state, why};
use crate::support::{Bay, Camera, Process, World, agent, bytes, eventually, rid};

fn clock(wall: DateTime<Utc>) -> Value {
    json!({"wall": wall.to_rfc3339(), "uptime_ms": 3_600_000, "boot": "b1", "synced": false})
}

fn offer_with_clock(camera: &Camera, items: &[Value], wall: DateTime<Utc>) -> Vec<Value> {
    let body = json!({"items": items, "clock": clock(wall)});
    let answer = camera.post_json("/device/v1/offers", &[], &body).json(200);
    answer["items"].as_array().unwrap().clone()
}

fn send(camera: &Camera, item: &Value, content: &[u8]) {
    let upload = camera.upload_of(item);
    assert_eq!(camera.patch(&upload, 0, content).status, 204);
}

/// An agent that runs as a service on the bay's card.
fn run(bay: &Bay, world: &World) -> Process {
    let config = world.path().join("agent.toml");
    let (state, card) = (bay.state.display(), bay.card.display());
    // The shortest that the settings allow: the file rests since it was dated back.
    let text = format!("state = \"{state}\"\nfolders = [\"{card}\"]\nrest_s = 4\nlook_every_s = 600\n");
    fs::write(&config, text).unwrap();
    let log = File::options().create(true).append(true).open(world.path().join("agent.log")).unwrap();
    let mut command = agent();
    command.args(["run", "--config"]).arg(&config).stdin(Stdio::null());
    Process::start(command.stdout(log.try_clone().unwrap()).stderr(log))
}

fn said(world: &World) -> String {
    fs::read_to_string(world.path().join("agent.log")).unwrap_or_default()
}

/// Puts a recording on the card that is no event; its time of change is its end, so it lies an hour before it at most.
fn put_continuous(bay: &Bay, name: &str, content: &[u8], changed: DateTime<Utc>) {
    let path = bay.card.join("NORMAL").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::from(changed)).unwrap();
}

#[test]
fn an_agent_that_idles_hands_over_what_is_asked_for_within_a_second() {
    let world = World::new();
    let bay = Bay::new(&world, "USB-1", "Unit 12");
    let (asked_for, other) = (bytes(1, 300_000), bytes(2, 300_000));
    put_continuous(&bay, "asked.ts", &asked_for, minutes_ago(180));
    put_continuous(&bay, "other.ts", &other, minutes_ago(600));
    let _agent = run(&bay, &world);
    eventually("it idles", || said(&world).contains("2 not requested"));
    assert!(world.stored().is_empty());

    let began = Instant::now();
    let request = ask(&world, "USB-1", minutes_ago(190), minutes_ago(170));
    let mut offered = None;
    eventually("it is done", || {
        if offered.is_none() && !world.stored().is_empty() {
            offered = Some(began.elapsed());
        }
        state(&world, &request) == "done"
    });
    // Asked, fetched, offered, sent and stored; the machine is busy with other tests.
    assert!(offered.unwrap() < Duration::from_secs(5), "{offered:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [longshore_model::Sha256::of(&asked_for)]);
    eventually("it is deleted on the card", || !bay.card.join("NORMAL/asked.ts").exists());
    assert!(bay.card.join("NORMAL/other.ts").exists(), "{}", said(&world));
    assert!(world.recordings()[0]["kind"] == "continuous");
}

#[test]
fn a_device_that_is_not_there_is_waited_for_and_the_answer_says_since_when() {
    let world = World::new();
    let mut text = String::new();
    {
        let _camera = world.camera("B4-1", "J. Smith");
        let request = ask(&world, "B4-1", minutes_ago(20), minutes_ago(10));
        assert_eq!(state(&world, &request), "waiting");
        let target = &show(&world, &request)["targets"][0];
        let until: DateTime<Utc> = target["until"].as_str().unwrap().parse().unwrap();
        assert!((until - now() - TimeDelta::days(30)).abs() < TimeDelta::minutes(5));
        text.push_str(&String::from_utf8(world.cli(&["request", "list"]).stdout).unwrap());
    }
    assert!(text.contains("waiting") && text.contains("the device has not called yet"), "{text}");
    assert!(text.contains("UNTIL") && text.contains("B4-1"), "{text}");
}

#[test]
fn a_camera_whose_clock_is_an_hour_ahead_is_asked_for_the_right_footage() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let ahead = TimeDelta::hours(1);
    let content = bytes(1, 5000);
    // It recorded what is asked for, and what its clock says is asked for, which is an hour earlier.
    let (from, to) = (minutes_ago(200), minutes_ago(190));
    let right = continuous(1, &content, from + ahead, to + ahead);
    let wrong = continuous(2, &content, from, to);
    let answers = offer_with_clock(&camera, &[right.clone(), wrong.clone()], now() + ahead);
    assert!(answers.iter().all(|answer| answer["reason"] == "not_requested"), "{answers:?}");

    let request = ask(&world, "B4-1", from, to);
    let asked = desired(&camera, &[]).json(200)["requests"][0].clone();
    let at = |key: &str| asked[key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((at("from"), at("to")), (from, to));
    for (device, truly) in [(at("device_from"), from), (at("device_to"), to)] {
        assert!((device - truly - ahead).abs() < TimeDelta::seconds(3), "{asked}");
    }
    let answers = offer_with_clock(&camera, &[right.clone(), wrong], now() + ahead);
    assert_eq!(answers[0]["answer"], "upload", "{answers:?}");
    assert_eq!(answers[1]["reason"], "not_requested", "{answers:?}");
    send(&camera, &right, &content);
    eventually("it is done", || state(&world, &request) == "done");

    // Both times are in the manifest: what the picture shows, and what it really was.
    let stored = &world.recordings()[0];
    let told = |key: &str| stored[key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(told("start"), from + ahead);
    assert!((told("true_start") - from).abs() < TimeDelta::seconds(3), "{stored}");
    assert!((told("true_end") - to).abs() < TimeDelta::seconds(3), "{stored}");
    assert_eq!(why(&world, &request), "all of it is there");
}

#[test]
fn nothing_was_recorded_is_an_answer() {
    let world = World::new();
    let bay = Bay::new(&world, "USB-1", "Unit 12");
    put_continuous(&bay, "other.ts", &bytes(1, 1000), minutes_ago(600));
    let request = ask(&world, "USB-1", minutes_ago(190), minutes_ago(170));
    assert_eq!(state(&world, &request), "waiting");
    assert!(bay.offload().ends().success(), "{}", bay.log());
    assert_eq!(state(&world, &request), "nothing", "{}", bay.log());
    assert!(why(&world, &request).contains("recorded nothing then, or has overwritten it"));
    assert!(world.stored().is_empty() && bay.card.join("NORMAL/other.ts").exists());
    let camera = Camera::of_agent(&world, &bay.state);
    assert_eq!(desired(&camera, &[]).json(200)["requests"], json!([]), "it is asked no more");
}

#[test]
fn a_range_of_which_only_a_part_was_recorded_is_told_as_such() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5000);
    let (from, to) = (minutes_ago(60), minutes_ago(50));
    let item = continuous(1, &content, from - TimeDelta::minutes(1), from + TimeDelta::minutes(7));
    let request = ask(&world, "B4-1", from, to);
    let id = &request["id"];
    desired(&camera, &[]).json(200);
    let queued = json!({"requests": [{"id": id, "state": "queued"}], "clock": clock(now())});
    assert_eq!(report(&camera, &queued).status, 204);
    eventually("it is handed over", || state(&world, &request) == "handed_over");
    assert!(why(&world, &request).contains("holds some of it"), "{}", why(&world, &request));
    send(&camera, &item, &content);
    eventually("some of it is there", || state(&world, &request) == "partly");
    assert_eq!(show(&world, &request)["targets"][0]["coverage"][0]["percent"], 70);

    let done = json!({"requests": [{"id": id, "state": "done"}]});
    for _ in 0..2 {
        // Also if the answer was lost.
        assert_eq!(report(&camera, &done).status, 204);
    }
    assert_eq!(state(&world, &request), "done");
    assert_eq!(why(&world, &request), "all that the device recorded of it is there");
    let text = String::from_utf8(world.cli(&["request", "show", id.as_str().unwrap()]).stdout).unwrap();
    assert!(text.contains("70 % is there"), "{text}");
}

#[test]
fn what_the_camera_overwrites_soon_is_told() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let request = ask(&world, "B4-1", minutes_ago(60), minutes_ago(50));
    let mut item = continuous(1, b"video", minutes_ago(61), minutes_ago(49));
    item["overwrite_at"] = json!((now() + TimeDelta::minutes(9 * 60 + 30)).to_rfc3339());
    assert_eq!(camera.offer(&[item])[0]["answer"], "upload");
    assert!(why(&world, &request).ends_with("the camera overwrites it in about 9 h"), "{}", why(&world, &request));
}

#[test]
fn what_is_cancelled_is_asked_for_no_more() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let request = ask(&world, "B4-1", minutes_ago(60), minutes_ago(50));
    let id = request["id"].as_str().unwrap();
    let item = continuous(1, b"video", minutes_ago(61), minutes_ago(49));
    assert_eq!(camera.offer(std::slice::from_ref(&item))[0]["answer"], "upload");
    let tag = desired(&camera, &[]).headers["etag"].clone();
    let mut parked = camera.begin("GET", DESIRED, &[&format!("If-None-Match: {tag}"), "Prefer: wait=50"]);
    for _ in 0..2 {
        assert_eq!(world.cli_json(&["request", "cancel", id])["targets"][0]["state"], "cancelled");
    }
    assert_eq!(parked.reply("GET").json(200)["requests"], json!([]));
    assert_eq!(camera.offer(std::slice::from_ref(&item))[0]["reason"], "not_requested");
    camera.try_create(&rid(1), 5).is_problem(409, "conflict");
    let unknown = world.cli(&["request", "cancel", &rid(7)]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no request"), "{unknown:?}");
}

#[test]
fn the_same_request_a_thousand_times_is_one() {
    let world = World::new();
    let _camera = world.camera("B4-1", "J. Smith");
    let (from, to) = (minutes_ago(20).to_rfc3339(), minutes_ago(10).to_rfc3339());
    let body = json!({"devices": ["B4-1"], "from": from, "to": to, "note": "again"}).to_string();
    let with_key = json!({"devices": ["B4-1"], "from": from, "to": to, "priority": 1, "key": "k"}).to_string();
    let post = |body: &str| {
        let (status, answer) = world.api("POST", "/api/v1/requests", body);
        assert!([200, 201].contains(&status), "{answer}");
        (status, answer["id"].as_str().unwrap().to_owned())
    };
    thread::scope(|scope| {
        let many = [&body, &with_key].map(|body| {
            let many = (0..4).map(|_| scope.spawn(|| (0..125).map(|_| post(body)).collect::<Vec<_>>()));
            many.collect::<Vec<_>>()
        });
        for answers in many {
            let answers: Vec<_> = answers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
            assert!(answers.iter().all(|(_, id)| *id == answers[0].1));
        }
    });
    assert_eq!(world.cli_json(&["request", "list"]).as_array().unwrap().len(), 2);
    let other = json!({"devices": ["B4-1"], "from": from, "to": to, "key": "k"}).to_string();
    let (status, answer) = world.api("POST", "/api/v1/requests", &other);
    assert_eq!(status, 409, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("was used for another request"), "{answer}");
}

#[test]
fn a_range_that_makes_no_sense_is_refused_with_what_would() {
    let world = World::new();
    let _camera = world.camera("B4-1", "J. Smith");
    let day = TimeDelta::days(1);
    for (from, to, says) in [
        (now(), now() - day, "ends before it begins"),
        (now() - day, now() - TimeDelta::days(366), "ends before it begins"),
        (now() - TimeDelta::days(365), now(), "longer than 7 days"),
    ] {
        let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
        let refused = world.cli(&["request", "add", "--device", "B4-1", "--from", &from, "--to", &to]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(says), "{refused:?}");
    }
    let moment = now().to_rfc3339();
    let at = |extra: Value| {
        let mut body = json!({"devices": ["B4-1"], "from": moment, "to": (now() + day).to_rfc3339()});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (status, answer) = world.api("POST", "/api/v1/requests", &body.to_string());
        (status, answer["detail"].as_str().unwrap_or_default().to_owned())
    };
    for (extra, status, says) in [
        (json!({"to": moment}), 400, "the range is empty"),
        (json!({"priority": 0}), 400, "a priority is 1 (most urgent) to 9"),
        (json!({"devices": []}), 400, "1 to 100 devices"),
        (json!({"devices": ["X-9"]}), 404, "X-9"),
        (json!({"expires": moment}), 400, "expires after now"),
        (json!({"note": "n".repeat(1001)}), 400, "at most 1000 characters"),
        (json!({"cameras": vec!["c"; 17]}), 400, "at most 16 cameras"),
        (json!({"from": "yesterday"}), 400, "not as it should be"),
        (json!({"form": moment}), 400, "unknown field `form`"),
    ] {
        let (found, detail) = at(extra.clone());
        assert_eq!(found, status, "{extra}: {detail}");
        assert!(detail.contains(says), "{extra}: {detail}");
    }
    assert!(world.cli_json(&["request", "list"]).as_array().unwrap().is_empty());
}
