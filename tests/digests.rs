//! The daily mails as people get them: a real server under a clock that is set, a real mail server, real kills.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::day::installed as libfaketime;
use crate::support::{Camera, SmtpServer, World, eventually, longshore, rid};

const DEVICES: u32 = 40;
const NORTH: &str = "North yard";
const BERLIN: &str = "Berlin";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// How many facts of this kind the journal holds; a server that is held at a fail point would not answer.
fn facts(world: &World, kind: &str, what: &str) -> usize {
    let texts = fs::read_dir(world.data().join("journal")).unwrap();
    let texts = texts.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    texts.map(|text| text.matches(&format!(r#""kind":"{kind}","body":{{"what":"{what}""#)).count()).sum()
}

/// A server whose clock stands where it was put, with 40 devices at two sites and a mail server.
struct Fleet {
    world: World,
    smtp: SmtpServer,
    clock: PathBuf,
    cameras: Vec<Camera>,
    /// Recordings so far, and those of each site.
    stored: u32,
    of_site: BTreeMap<Option<&'static str>, BTreeSet<u32>>,
}

fn site_of(device: u32) -> Option<&'static str> {
    [Some(NORTH), Some(BERLIN), None][device as usize % 3]
}

impl Fleet {
    fn at(begin: DateTime<Utc>) -> Self {
        let (smtp, world) = (SmtpServer::start(), World::at_rest());
        let clock = world.path().join("clock");
        let mut fleet = Self { world, smtp, clock, cameras: Vec::new(), stored: 0, of_site: BTreeMap::new() };
        let config = format!(
            "{}[digest.transfer]\nto = 'all@example.org, gone@example.org'\nat = '01:30'\nzone = 'America/Detroit'\n\
             sites = '{NORTH}: north@example.org at 02:30; {BERLIN}: berlin@example.org at 02:30 in Europe/Berlin'\n\
             [digest.health]\nto = 'health@example.org'\nzone = 'America/Detroit'\n",
            fleet.smtp.config()
        );
        fs::write(fleet.world.path().join("longshore.toml"), config).unwrap();
        fleet.set(begin);
        fleet.start("");
        for (name, network) in [(NORTH, "10.0.0.0/8"), (BERLIN, "172.16.0.0/12")] {
            fleet.world.cli_json(&["site", "add", name, "--network", network]);
        }
        for n in 0..DEVICES {
            let serial = format!("B4-{n:04}");
            let address = format!("127.0.1.{}", n + 1);
            fleet.cameras.push(fleet.world.camera_from(&address, &serial, &format!("Officer {n}")));
            if let Some(site) = site_of(n) {
                fleet.world.cli_json(&["device", "set", &serial, "--site", site]);
            }
        }
        fleet
    }

    /// Puts the clock there, for the server that runs and for the next.
    fn set(&self, now: DateTime<Utc>) {
        fs::write(self.clock.with_extension("new"), now.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap();
        fs::rename(self.clock.with_extension("new"), &self.clock).unwrap();
    }

    fn start(&mut self, fail_points: &str) {
        let variables = [
            format!("LD_PRELOAD={}", libfaketime().display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.clock.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "TZ=UTC".to_owned(),
        ];
        let env: Vec<&str> = std::iter::once("env").chain(variables.iter().map(String::as_str)).collect();
        fail_points.clone_into(&mut self.world.fail_points);
        assert!(self.world.try_start(&env), "the server did not start: {}", self.world.log());
    }

    /// Has the server look what is due: whoever asks for a digest that nobody set up gets none, and what is due is made.
    fn look(&self) {
        let (status, answer) = self.world.api("POST", "/api/v1/digest", r#"{"kind":"health","site":"Nowhere"}"#);
        assert_eq!(status, 404, "{answer}");
    }

    /// A device hands a recording over; it is known again by what triggered it.
    fn store(&mut self, device: u32, now: DateTime<Utc>) {
        self.stored += 1;
        let content = self.stored.to_be_bytes();
        let mut item = crate::support::recording(self.stored, &content);
        item["rid"] = json!(rid(self.stored));
        item["event_type"] = json!(format!("ev-{:04}", self.stored));
        item["start"] = json!((now - TimeDelta::minutes(9)).to_rfc3339());
        item["end"] = json!(now.to_rfc3339());
        let camera = &self.cameras[device as usize];
        let upload = camera.upload_of(&item);
        let last = camera.patch(&upload, 0, &content);
        assert!(last.headers.contains_key("longshore-receipt"), "{last:?}");
        self.of_site.entry(site_of(device)).or_default().insert(self.stored);
    }

    /// Lets a night pass, half an hour at a time.
    fn night(&self, midnight: DateTime<Utc>) {
        for half_hours in 0..20 {
            self.set(midnight + TimeDelta::minutes(30 * half_hours));
            self.look();
        }
    }

    /// Has what waits tried until nothing does: the clock stands, so nothing deferred would be due by itself, and the clock may
    /// not go on before.
    fn delivered(&self) {
        eventually("the outbox is empty", || {
            let outbox = self.world.cli_json(&["mail", "outbox"]);
            let waits = outbox["messages"].as_array().unwrap().iter().any(|message| message["state"] == "waiting");
            if waits {
                self.world.cli_json(&["mail", "retry"]);
            }
            !waits
        });
    }

    /// Kills the server where a fail point holds it, in the minute in which a digest is due; that it is there, one more of
    /// these facts shows.
    fn killed_at(&mut self, fail_point: &str, (kind, what): (&str, &str), due: DateTime<Utc>) {
        self.world.kill();
        self.start(fail_point);
        let before = facts(&self.world, kind, what);
        self.set(due);
        thread::scope(|scope| {
            let data = self.world.data();
            // It never answers.
            let held = scope.spawn(move || {
                longshore().args(["digest", "send", "health", "--site", "Nowhere", "--data"]).arg(data).output()
            });
            eventually("it is there", || facts(&self.world, kind, what) > before);
            self.world.kill();
            drop(held.join());
        });
        self.start("");
        self.look();
    }

    /// Waits until nothing waits to be delivered, and tells which recordings each address was told of.
    fn told(&self) -> BTreeMap<String, Vec<u32>> {
        self.delivered();
        // After a kill the same message may come again, and is known by its id.
        let mails: BTreeMap<String, _> =
            self.smtp.mails().into_iter().map(|mail| (mail.header("Message-ID").to_owned(), mail)).collect();
        let mut told: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for mail in mails.values() {
            let both = mail.text();
            let text = both.split("<!doctype html>").next().unwrap();
            let numbers = text.match_indices("ev-").filter_map(|(at, _)| text.get(at + 3..at + 7)?.parse::<u32>().ok());
            told.entry(mail.to.clone()).or_default().extend(numbers);
            assert!(mail.header("List-Id").contains("longshore"), "{mail:?}");
        }
        told
    }

    /// Each address was told of everything that it is for, once.
    fn check(&self) {
        let told = self.told();
        let all: BTreeSet<u32> = (1..=self.stored).collect();
        for (address, expected) in [
            ("all@example.org", &all),
            ("north@example.org", &self.of_site[&Some(NORTH)]),
            ("berlin@example.org", &self.of_site[&Some(BERLIN)]),
        ] {
            let once: BTreeSet<u32> = told[address].iter().copied().collect();
            assert_eq!(once.len(), told[address].len(), "{address}: {:?}", told[address]);
            assert_eq!(&once, expected, "{address}");
        }
        assert!(!told.contains_key("gone@example.org"), "it is refused");
    }
}

#[test]
fn a_fortnight_with_the_end_of_summer_time_in_two_zones_is_told_once_whatever_fails() {
    live_through("2026-10-22T00:00:00Z", 14);
}

#[test]
fn four_weeks_with_the_begin_of_summer_time_in_two_zones_are_told_once_whatever_fails() {
    live_through("2026-03-05T00:00:00Z", 28);
}

/// Lives so many days, of which the first fortnight has everything that may fail.
fn live_through(begin: &str, days: i64) {
    let day = |n: i64| at(begin) + TimeDelta::days(n);
    let short = |n: i64| day(n).format("%a %-d %b").to_string();
    let mut fleet = Fleet::at(day(0) + TimeDelta::hours(12));
    fleet.look();
    // Somebody is away for good, and somebody's mail server wants everything twice.
    let later = "450 4.2.0 greylisted";
    fleet.smtp.refuse(&json!({
        "rcpt": {"gone@example.org": "550 5.1.1 no such user", "north@example.org": [later]}
    }));
    (0..DEVICES).for_each(|device| fleet.store(device, day(0) + TimeDelta::hours(12)));
    for n in 1..days {
        match n {
            // Nobody sends anything for two days, and later the server is off.
            2 | 3 | 12 | 13 => {}
            _ => (0..3).for_each(|k| fleet.store(u32::try_from(n * 7 + k * 13).unwrap() % DEVICES, day(n))),
        }
        let due = day(n) + TimeDelta::minutes(5 * 60 + 30);
        match n {
            5 => fleet.killed_at("digest-planned=pause", ("digest", "planned"), due),
            6 => fleet.killed_at("digest-queued=pause", ("outbox", "queued"), due),
            8 => fleet.smtp.go_down(),
            11 => fleet.world.kill(),
            13 => {
                // It was off for two nights.
                fleet.set(day(n));
                fleet.start("");
            }
            _ => {}
        }
        if (11..13).contains(&n) {
            continue;
        }
        fleet.night(day(n));
        if n == 9 {
            fleet.smtp.come_up();
        }
        if n != 8 {
            fleet.delivered();
        }
        if n == 3 {
            assert!(!fleet.smtp.mails().is_empty(), "the first night's arrived");
        }
        fleet.set(day(n) + TimeDelta::hours(12));
        fleet.world.hang_up();
    }
    fleet.night(day(days));
    fleet.check();
    let [planned, sent, nothing] = ["planned", "sent", "nothing"].map(|what| facts(&fleet.world, "digest", what));
    assert_eq!(planned, sent + nothing);
    let subjects: Vec<String> =
        fleet.smtp.mails().iter().map(|mail| mail.text().lines().next().unwrap().to_owned()).collect();
    assert!(
        subjects.iter().any(|subject| subject.contains(&format!("{} to {}", short(11), short(12)))),
        "{subjects:#?}"
    );
    let quiet: Vec<_> = fleet
        .smtp
        .mails()
        .into_iter()
        .filter(|mail| mail.to != "health@example.org" && mail.text().lines().next().unwrap().contains(&short(3)))
        .collect();
    assert!(quiet.is_empty(), "a mail without news: {quiet:#?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn a_digest_whose_server_is_killed_between_its_recipients_comes_to_each_once() {
    let smtp = SmtpServer::start();
    let mut world = World::at_rest();
    let digest = "[digest.transfer]\nto = 'anna@example.org, ben@example.org'\nat = '00 0 1 1 *'\nzone = 'UTC'\n";
    fs::write(world.path().join("longshore.toml"), smtp.config() + digest).unwrap();
    world.fail_points = "digest-queued=pause".to_owned();
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    let upload = camera.upload_of(&crate::support::recording(1, b"video"));
    camera.patch(&upload, 0, b"video");
    thread::scope(|scope| {
        let data = world.data();
        // It never answers.
        let held = scope.spawn(move || longshore().args(["digest", "send", "transfer", "--data"]).arg(data).output());
        eventually("the first mail is queued", || facts(&world, "outbox", "queued") > 0);
        world.kill();
        drop(held.join());
    });
    assert_eq!((facts(&world, "outbox", "queued"), facts(&world, "digest", "sent")), (1, 0));
    world.fail_points.clear();
    world.start();
    let mails = smtp.has_taken(2);
    assert_eq!(
        mails.iter().map(|mail| mail.to.as_str()).collect::<BTreeSet<_>>(),
        ["anna@example.org", "ben@example.org"].into()
    );
    assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    eventually("it is marked", || facts(&world, "digest", "sent") == 1);
}

#[test]
fn names_of_devices_and_sites_stay_names_in_every_part_of_a_mail() {
    let smtp = SmtpServer::start();
    let evil = "<b onload=alert(1)>\u{202E}{{ 7*7 }} Bcc:x@example.org";
    let config = |sites: &str| {
        let to = "to = 'all@example.org'\n";
        format!("{}[digest.transfer]\n{to}sites = '{sites}'\nat = '00 0 1 1 *'\nzone = 'UTC'\n", smtp.config())
    };
    let world = World::configured(&config(&format!("{evil}: site@example.org")));
    world.cli_json(&["site", "add", evil, "--network", "10.0.0.0/8"]);
    let camera = world.camera("B4-<i>", evil);
    world.cli_json(&["device", "set", "B4-<i>", "--site", evil]);
    let mut item = crate::support::recording(1, b"video");
    (item["camera"], item["event_type"]) = (json!("<script>alert(1)</script>"), json!(evil));
    let upload = camera.upload_of(&item);
    camera.patch(&upload, 0, b"video");
    for site in [None, Some(evil)] {
        let site: Vec<&str> = site.into_iter().flat_map(|site| ["--site", site]).collect();
        let sent = world.cli_json(&[&["digest", "send", "transfer"], &site[..]].concat());
        assert_eq!(sent["to"].as_array().unwrap().len(), 1, "{sent}");
        let again = world.cli(&[&["digest", "send", "transfer"], &site[..]].concat());
        assert!(String::from_utf8_lossy(&again.stderr).contains("is made already"), "{again:?}");
    }
    for mail in smtp.has_taken(2) {
        assert!(!mail.headers.contains_key("bcc"), "{mail:?}");
        let text = mail.text();
        let html = &text[text.find("<!doctype html>").unwrap()..];
        for odd in ["<script", "<b on", "<i>", "\u{202E}"] {
            assert!(!html.contains(odd), "{odd}: {html}");
        }
        assert!(!text.contains('\u{202E}') && text.contains("7*7"), "{text}");
    }
    let preview = world.cli(&["digest", "preview", "transfer"]);
    let said = String::from_utf8(preview.stdout).unwrap();
    assert!(preview.status.success() && said.contains("There is nothing new in it"), "{said}");
    let today: Value = world.cli_json(&["digest", "preview", "transfer", "--html"]);
    let shown = world.cli(&["digest", "preview", "transfer", "--html", "--at", today["date"].as_str().unwrap()]);
    let page = String::from_utf8(shown.stdout).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("1 video"), "{page}");
    let audit = world.cli_json(&["audit"]);
    assert!(audit.as_array().unwrap().iter().any(|line| line["did"] == "digest_sent"), "{audit}");
}
