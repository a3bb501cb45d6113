//! A whole day of a fleet at a thousand times its speed: the server and the fleet are real, their system clock is not
//! (libfaketime). At the end, what the server has is compared with what is true of the cards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::support::{Process, World, agent};

const SPEED: i32 = 1000;
/// Where the day begins, in UTC: where libfaketime is told so.
const BEGIN: &str = "2026-11-20T04:00:00Z";
const CAMERAS: usize = 25;
const RECORDERS: usize = 5;

/// A clock that began when the test did.
struct Fast {
    began: Instant,
    begin: DateTime<Utc>,
}

impl Fast {
    fn now(&self) -> DateTime<Utc> {
        self.begin + TimeDelta::from_std(self.began.elapsed()).unwrap() * SPEED
    }

    /// What makes a program see it, if it starts now.
    fn variables(&self) -> Vec<String> {
        let library = installed();
        vec![
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME=@{} x{SPEED}", self.now().format("%Y-%m-%d %H:%M:%S")),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_DONT_RESET=1".to_owned(),
            "TZ=UTC".to_owned(),
        ]
    }

    fn hours(&self, hours: i64) -> DateTime<Utc> {
        self.begin + TimeDelta::hours(hours)
    }
}

/// Where Debian has it.
pub(crate) fn installed() -> PathBuf {
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"].iter();
    let found = found.map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("libfaketime is missing: `cargo xtask test` installs it"))
}

/// One thing that somebody does once, when the day is that far.
struct Errand<'a> {
    at: DateTime<Utc>,
    run: Box<dyn FnOnce(&World) + 'a>,
}

fn approve_who_waits(world: &World) {
    for row in world.cli_json(&["device", "list"]).as_array().unwrap() {
        if row["state"] == "pending" {
            let serial = row["serial"].as_str().unwrap();
            world.approve(serial, &format!("Unit {serial}"));
        }
    }
}

fn ask(world: &World, serial: &str, from: DateTime<Utc>, to: DateTime<Utc>) {
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    world.cli_json(&["request", "add", "--device", serial, "--from", &from, "--to", &to, "--note", "the day's test"]);
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn at_the_end_of_a_day_the_server_has_what_it_should_and_the_cards_have_the_rest() {
    let fast = Fast { began: Instant::now(), begin: BEGIN.parse().unwrap() };
    let mut world = World::at_rest();
    let variables = fast.variables();
    let env: Vec<&str> = std::iter::once("env").chain(variables.iter().map(String::as_str)).collect();
    assert!(world.try_start(&env), "the server did not start: {}", world.log());
    let text = world.cli_json(&["device", "add", "--uses", "50"])["text"].as_str().unwrap().to_owned();

    let folder = world.path().join("fleet");
    let log = fs::File::create(world.path().join("fleet.log")).unwrap();
    let mut command = agent();
    for variable in fast.variables() {
        let (name, value) = variable.split_once('=').unwrap();
        command.env(name, value);
    }
    command.args(["fleet", "--url", &text, "--cameras", &CAMERAS.to_string(), "--recorders", &RECORDERS.to_string()]);
    command.args(["--seed", "7", "--folder"]).arg(&folder).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut fleet = Process::start(&mut command);

    // The morning is asked for while it is not over yet, and later: of an ordinary camera, of the one whose clock is an
    // hour wrong, of one that breaks, of a recorder, and of one that will never come back.
    let asked = |serial: &'static str, at: i64, from: i64, to: i64| {
        let (from, to) = (fast.hours(from), fast.hours(to));
        Errand { at: fast.hours(at), run: Box::new(move |world: &World| ask(world, serial, from, to)) }
    };
    let asked_for = [
        ("SIM-C000", 9, 3, 5),
        ("SIM-C001", 9, 3, 5),
        ("SIM-C002", 5, 2, 4),
        ("SIM-C004", 9, 4, 6),
        ("SIM-C007", 14, 2, 12),
        ("SIM-V000", 10, 3, 8),
    ];
    let mut errands: Vec<Errand<'_>> =
        asked_for.iter().map(|(serial, at, from, to)| asked(serial, *at, *from, *to)).collect();
    errands.push(Errand {
        at: fast.hours(8),
        run: Box::new(|world| drop(world.cli_json(&["device", "suspend", "SIM-C001"]))),
    });
    errands.push(Errand {
        at: fast.hours(11),
        run: Box::new(|world| drop(world.cli_json(&["device", "retire", "SIM-C002"]))),
    });
    errands.sort_by_key(|errand| errand.at);
    errands.reverse();
    let deadline = Instant::now() + Duration::from_secs(180);
    while fleet.ended().is_none() {
        assert!(Instant::now() < deadline, "{}", fs::read_to_string(world.path().join("fleet.log")).unwrap());
        approve_who_waits(&world);
        while errands.last().is_some_and(|errand| errand.at <= fast.now()) {
            (errands.pop().unwrap().run)(&world);
        }
    }
    let said = fs::read_to_string(world.path().join("fleet.log")).unwrap();
    assert!(fleet.ends().success(), "{said}");
    assert!(errands.is_empty());

    let lived: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("truth.json")).unwrap()).unwrap();
    assert_eq!(lived.len(), CAMERAS + RECORDERS);
    let interrupted = lived.iter().filter(|device| device["interrupted"].as_bool().unwrap()).count();
    assert!(interrupted >= 3, "only {interrupted} devices lost their power while they sent");
    let stored: BTreeMap<String, Value> =
        world.recordings().into_iter().map(|row| (row["sha256"].as_str().unwrap().to_owned(), row)).collect();
    let on_disk: BTreeSet<String> = world.stored().into_values().map(|sha256| sha256.to_string()).collect();
    assert_eq!(stored.keys().cloned().collect::<BTreeSet<_>>(), on_disk, "catalogue and disk say the same");
    let (mut expected, mut wrong) = (BTreeSet::new(), Vec::new());
    for device in &lived {
        let serial = device["serial"].as_str().unwrap();
        for recording in device["recordings"].as_array().unwrap() {
            let (start, name) = (time(&recording["start"]), recording["name"].as_str().unwrap());
            let sha256 = recording["sha256"].as_str().unwrap();
            let wanted = asked_for.iter().any(|(of, _, from, to)| {
                *of == serial && start < fast.hours(*to) && start + TimeDelta::seconds(20) > fast.hours(*from)
            });
            let is_lost = device["fate"] == "lost";
            let should_be_here = !is_lost && (name.starts_with("EVENT/") || wanted);
            let row = stored.get(sha256);
            if should_be_here {
                expected.insert(sha256.to_owned());
            }
            let what = format!("{serial} {name} at {start}: {}", device["complaint"]);
            if row.is_some() != should_be_here {
                wrong.push(format!("stored: {}, should be: {should_be_here}: {what}", row.is_some()));
            }
            if recording["on_card"].as_bool().unwrap() == should_be_here {
                wrong.push(format!("on its card: {}: {what}", recording["on_card"]));
            }
            let Some(row) = row else { continue };
            let told = if row["true_start"].is_null() { &row["start"] } else { &row["true_start"] };
            if (time(told) - start).abs() > TimeDelta::minutes(3) {
                wrong.push(format!("the server believes that it began at {told}: {what}"));
            }
            if row["serial"] != serial || row["assignee"] != format!("Unit {serial}") {
                wrong.push(format!("it belongs to {} {}: {what}", row["serial"], row["assignee"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
    assert_eq!(stored.len(), expected.len(), "nothing else is stored");
    let copies = (world.recordings().len(), world.stored().len());
    assert_eq!(copies, (expected.len(), expected.len()), "each is stored once");
    assert!(expected.len() > 200, "{}", expected.len());

    let requests = world.cli_json(&["request", "list"]);
    let state = |serial: &str| {
        let targets = requests.as_array().unwrap().iter().flat_map(|request| request["targets"].as_array().unwrap());
        targets.filter(|target| target["serial"] == serial).map(|target| target["state"].clone()).next().unwrap()
    };
    for serial in ["SIM-C000", "SIM-C002", "SIM-C004", "SIM-C007", "SIM-V000"] {
        assert_eq!(state(serial), "done", "{serial}: {requests}");
    }
    assert_ne!(state("SIM-C001"), "done", "it never came back");
    let verified = world.cli(&["verify", "store"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
