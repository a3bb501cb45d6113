//! Fortnights of 40 devices in a moment, over each change of the clocks in two zones: who makes the digests is stopped at any
//! moment, the server is away for days, the clock is set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveTime, TimeDelta, TimeZone as _};
use chrono_tz::{America::Detroit, Europe::Berlin};
use longshore_model::{
    CheckpointClaims, Clock, Device, DeviceId, DeviceState, EnrolmentId, Kind, ReceiptKey, Recording, RecordingId,
    SettableClock, Sha256, UploadId,
};
use longshore_store::catalogue::{Catalogue, Writer};
use longshore_store::facts::{CustodyFact, Fact};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::{DigestRow, DigestState, IndexPlace};
use longshore_store::manifest::Manifest;
use longshore_store::outbox::Contents;
use longshore_store::verify::{Looked, Reconciliation, checkpoints_in};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::health::Notices;
use crate::kit::Line;
use crate::mailer::{MailSettings, Post};

const DEVICES: u8 = 40;

/// Reproducible dice (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// A server, as far as digests see it.
struct World {
    folder: TempDir,
    clock: SettableClock,
    key: ReceiptKey,
    settings: Arc<watch::Sender<DigestSettings>>,
    digests: Digests,
    contents: Contents,
    writer: Writer,
    stored: u32,
}

fn site(device: u8) -> Option<&'static str> {
    [Some("North yard"), Some("Berlin"), None][usize::from(device % 3)]
}

fn setting(site: Option<&str>, to: &[&str], at: &str, zone: Tz) -> DigestSetting {
    let of = DigestOf { kind: DigestKind::Transfer, site: site.map(str::to_owned) };
    DigestSetting { of, to: to.iter().map(|to| to.parse().unwrap()).collect(), daily: Daily::new(at, zone).unwrap() }
}

/// In Detroit 02:30 is left out once a year, and 01:30 comes twice; in Berlin both are 02:30.
fn settings() -> Vec<DigestSetting> {
    vec![
        setting(None, &["all@example.org", "chief@example.org"], "01:30", Detroit),
        setting(Some("North yard"), &["north@example.org"], "02:30", Detroit),
        setting(Some("Berlin"), &["berlin@example.org"], "02:30", Berlin),
    ]
}

fn open(
    folder: &TempDir,
    clock: &SettableClock,
    settings: &Arc<watch::Sender<DigestSettings>>,
) -> (Digests, Contents, Writer) {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let files = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
    let contents = Contents::open(files.clone()).unwrap();
    let (catalogue, writer, _) = Catalogue::open(files, &IndexPlace::below(folder.path()), Arc::clone(&clock)).unwrap();
    let mail = MailSettings::nobodys();
    let post = Post::new(
        catalogue.clone(),
        contents.clone(),
        Arc::clone(&clock),
        "server".to_owned(),
        Some(mail),
        Notices::default(),
    );
    let digests = Digests {
        catalogue,
        clock,
        post,
        mailer: Line::new(),
        writer: Line::new(),
        types: Arc::default(),
        settings: Arc::clone(settings),
        making: Arc::default(),
    };
    (digests, contents, writer)
}

impl World {
    async fn at(begin: DateTime<Utc>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = SettableClock::at(begin);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let settings =
            DigestSettings { digests: settings(), url: "https://cameras.example.org:5004".into(), zone: Tz::UTC };
        let settings = Arc::new(watch::Sender::new(settings));
        let (digests, contents, writer) = open(&folder, &clock, &settings);
        let key = ReceiptKey::from_pkcs8(key.serialized_der()).unwrap();
        let world = Self { folder, clock, key, settings, digests, contents, writer, stored: 0 };
        let devices = (0..DEVICES).map(|n| {
            let device = Device {
                id: DeviceId::from_bytes([n + 1; 16]),
                serial: format!("B4-{n:04}"),
                model: "BC4".into(),
                state: DeviceState::Active,
                replaced_by: None,
                key: Some(Sha256::of(&[n])),
                upload_tokens: Vec::new(),
                assignments: Vec::new(),
                profile: "default".into(),
                site: site(n).map(str::to_owned),
                groups: BTreeSet::new(),
                approved_at: begin,
            };
            Fact::DeviceApproved { enrolment: EnrolmentId::from_bytes([n; 16]), device, by: "test".into() }
        });
        world.digests.catalogue.record(devices.collect()).await.unwrap();
        world
    }

    /// A device hands a recording over; it is known again by its camera.
    async fn store(&mut self, device: u8) {
        let fact = self.stored_fact(DeviceId::from_bytes([device + 1; 16]));
        self.digests.catalogue.record(vec![fact]).await.unwrap();
    }

    fn stored_fact(&mut self, device: DeviceId) -> Fact {
        self.stored += 1;
        let now = self.clock.now();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.stored.to_be_bytes());
        let recording = Recording {
            device,
            rid: RecordingId::from_bytes(id),
            revision: 1,
            serial: "B4-0001".into(),
            model: "BC4".into(),
            assignee: None,
            camera: format!("rec{:05}.", self.stored),
            kind: Kind::Event,
            event_type: None,
            start: now.fixed_offset(),
            end: Some((now + TimeDelta::minutes(3)).fixed_offset()),
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: 1_000_000,
            sha256: Sha256::of(&id),
            attested: true,
            held: false,
            original_name: None,
            received_at: None,
            verified_at: now,
            upload: UploadId::from_bytes(id),
            path: format!("{}.mp4", self.stored),
        };
        let manifest = Manifest::sign(recording, now, &self.key).unwrap().to_text().unwrap();
        Fact::Stored { manifest }
    }

    /// Looks until nothing fails: what was stopped may still be at the same file.
    async fn look(&self) {
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while let Err(error) = self.digests.look().await {
            assert!(std::time::Instant::now() < end, "{error}");
        }
    }

    /// The process ends and comes again, with what is on the disk.
    async fn restart(self) -> Self {
        let Self { folder, clock, key, settings, digests, contents, writer, stored } = self;
        // A message that is being queued holds the index, which opens once.
        drop(digests.post.texts().await);
        drop((digests, contents));
        writer.stop();
        let (digests, contents, writer) = open(&folder, &clock, &settings);
        Self { folder, clock, key, settings, digests, contents, writer, stored }
    }

    /// What was planned of a digest, in the order of the journal.
    fn made(&self, of: &DigestOf, around: DateTime<Utc>) -> Vec<DigestRow> {
        let dates = (around - TimeDelta::days(5000)).date_naive().iter_days().take(10_000);
        let index = self.digests.catalogue.index();
        let mut rows: Vec<_> = dates.filter_map(|date| index.digest(of, date).unwrap()).collect();
        rows.retain(|row| row.state != DigestState::Begun);
        rows.sort_by_key(|row| row.window.until);
        rows
    }

    /// The recordings that mails to each address tell of.
    fn told(&self) -> BTreeMap<String, Vec<u32>> {
        let mut told: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for row in self.digests.catalogue.index().open_mails().unwrap() {
            let letter: Value = serde_json::from_slice(&self.contents.get(row.message.content).unwrap()).unwrap();
            let numbers = |part: &str| -> Vec<u32> {
                let text = letter[part].as_str().unwrap();
                text.match_indices("rec").filter_map(|(at, _)| text.get(at + 3..at + 8)?.parse().ok()).collect()
            };
            assert_eq!(numbers("text"), numbers("html"), "both parts tell the same");
            assert!(!numbers("text").is_empty(), "a mail without news: {letter}");
            told.entry(row.message.to).or_default().extend(numbers("text"));
        }
        told
    }
}

/// Lives a fortnight from `begin`, in which the clock may be set, and holds what was told against what happened.
async fn fortnight(begin: DateTime<Utc>, seed: u64, sets_clock: bool) {
    let mut dice = Dice(seed);
    let mut world = World::at(begin).await;
    world.digests.look().await.unwrap();
    let mut of_site: BTreeMap<Option<&str>, BTreeSet<u32>> = BTreeMap::new();
    let (mut now, end) = (begin, begin + TimeDelta::days(14));
    let quiet = begin + TimeDelta::days(5)..begin + TimeDelta::days(8);
    while now < end {
        now += TimeDelta::minutes(5 + i64::try_from(dice.below(50)).unwrap());
        // Once it is away for days.
        if dice.below(400) == 0 {
            now += TimeDelta::hours(30 + i64::try_from(dice.below(60)).unwrap());
            world = world.restart().await;
        }
        let off = if sets_clock && dice.below(10) == 0 { i64::try_from(dice.below(4000)).unwrap() - 2000 } else { 0 };
        world.clock.set(now + TimeDelta::minutes(off));
        if !quiet.contains(&now) && dice.below(3) == 0 {
            let device = u8::try_from(dice.below(DEVICES.into())).unwrap();
            world.store(device).await;
            of_site.entry(site(device)).or_default().insert(world.stored);
            of_site.entry(Some("*")).or_default().insert(world.stored);
        }
        if dice.below(3) == 0 {
            // It is stopped wherever it happens to be.
            let _stopped = tokio::time::timeout(Duration::from_micros(dice.below(6_000)), world.digests.look()).await;
        } else {
            world.look().await;
        }
        if dice.below(40) == 0 {
            world = world.restart().await;
        }
    }
    // Two days later everything is told.
    for days in 0..3 {
        world.clock.set(end + TimeDelta::days(days));
        world.look().await;
    }

    let told = world.told();
    for (address, place) in [
        ("all@example.org", Some("*")),
        ("chief@example.org", Some("*")),
        ("north@example.org", Some("North yard")),
        ("berlin@example.org", Some("Berlin")),
    ] {
        let (once, expected) = (told[address].iter().copied().collect::<BTreeSet<_>>(), &of_site[&place]);
        assert_eq!(once.len(), told[address].len(), "{address} was told of something twice (seed {seed})");
        assert_eq!(&once, expected, "{address} was not told of everything (seed {seed})");
    }
    let sent = world.digests.catalogue.index().open_mails().unwrap().len();
    let mut expected = 0;
    for setting in settings() {
        let rows = world.made(&setting.of, begin);
        let dates: BTreeSet<_> = rows.iter().map(|row| row.date).collect();
        assert_eq!(dates.len(), rows.len(), "each date once (seed {seed})");
        assert!(rows.windows(2).all(|two| two[0].window.until == two[1].window.after), "{rows:?} (seed {seed})");
        assert!(rows.iter().all(|row| row.state != DigestState::Planned), "{rows:?} (seed {seed})");
        expected += rows.iter().filter(|row| row.state == DigestState::Sent).count() * setting.to.len();
        if sets_clock {
            continue;
        }
        let named: Vec<_> = rows.iter().flat_map(|row| row.missed.iter().chain([&row.date])).collect();
        let first = setting.daily.newest(begin).unwrap() + Days::new(1);
        let all: Vec<_> = first.iter_days().take(named.len()).collect();
        assert!(named.into_iter().eq(&all), "no date is missed or named twice: {rows:?} (seed {seed})");
        assert!(all.len() >= 14, "{rows:?}");
        for row in &rows {
            let is_quiet = quiet.contains(&row.window.from) && quiet.contains(&row.window.to);
            assert!(!is_quiet || row.state == DigestState::Nothing, "{row:?} (seed {seed})");
        }
    }
    assert_eq!(sent, expected, "a mail for each that was sent (seed {seed})");
}

#[actix::test]
async fn a_fortnight_over_each_change_of_the_clocks_is_told_once() {
    for (seed, day) in [(1, "2026-03-02"), (2, "2026-03-23"), (3, "2026-10-22")] {
        let day: NaiveDate = day.parse().unwrap();
        fortnight(Tz::UTC.from_utc_datetime(&day.and_time(NaiveTime::MIN)).to_utc(), seed, false).await;
    }
}

#[actix::test]
async fn a_clock_that_is_set_makes_nothing_twice_and_loses_nothing() {
    for seed in 4..7 {
        fortnight("2026-10-22T00:00:00Z".parse().unwrap(), seed, true).await;
    }
}

#[actix::test]
async fn one_that_is_given_up_and_set_up_again_begins_anew() {
    let begin: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::at(begin).await;
    world.digests.look().await.unwrap();
    world.store(0).await;
    world.settings.send_modify(|settings| settings.digests.clear());
    world.digests.look().await.unwrap();
    assert_eq!(world.digests.catalogue.index().digest_ends().unwrap(), []);
    world.clock.set(begin + TimeDelta::days(100));
    world.store(0).await;
    world.settings.send_modify(|known| known.digests = settings());
    world.digests.look().await.unwrap();
    world.store(0).await;
    world.clock.set(begin + TimeDelta::days(101));
    world.digests.look().await.unwrap();
    let told = world.told();
    assert_eq!(told["north@example.org"], [3]);
    let mails = world.digests.catalogue.index().open_mails().unwrap();
    assert!(mails.iter().all(|row| !row.message.subject.contains(" to ")), "no hundred days were missed: {mails:?}");
}

#[actix::test]
async fn one_before_its_time_is_that_of_the_day() {
    let begin: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::at(begin).await;
    let of = DigestOf { kind: DigestKind::Transfer, site: Some("North yard".into()) };
    let send = |digests: Digests| {
        let of = of.clone();
        async move { digests.send_now(of, "anna".into()).await }
    };
    let nothing = send(world.digests.clone()).await.unwrap();
    assert_eq!(nothing.to, Vec::<String>::new());
    world.store(0).await;
    world.clock.set(begin + TimeDelta::hours(16));
    let sent = send(world.digests.clone()).await.unwrap();
    assert_eq!((sent.date.to_string(), sent.to), ("2026-11-20".to_owned(), vec!["north@example.org".to_owned()]));
    world.store(0).await;
    let refused = send(world.digests.clone()).await.unwrap_err();
    assert!(matches!(refused, DecisionError::Refused(DigestRefused::Made(_))), "{refused:?}");
    let shown = world.digests.preview(of.clone(), None).await.unwrap();
    assert!(shown.is_news && shown.composed.text.contains("rec00002."), "{shown:?}");
    let before = world.digests.preview(of.clone(), Some(sent.date)).await.unwrap();
    assert!(before.composed.text.contains("rec00001."), "{before:?}");
    world.clock.set(begin + TimeDelta::days(1));
    world.digests.look().await.unwrap();
    assert_eq!(world.told()["north@example.org"], [1, 2]);
    let other = DigestOf { kind: DigestKind::Health, site: None };
    let refused = world.digests.send_now(other.clone(), "anna".into()).await.unwrap_err();
    assert!(matches!(refused, DecisionError::Refused(DigestRefused::NotSetUp(DigestKind::Health))), "{refused:?}");
    let never = world.digests.preview(other, Some("2026-01-01".parse().unwrap())).await.unwrap_err();
    assert!(matches!(never, DecisionError::Refused(DigestRefused::Unknown(_))), "{never:?}");
}

/// Memory of this process that has pages, now or at most, in MiB (proc(5), status).
fn resident(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// What it costs to compose the mail of a city's night: `cargo test -p longshore-actors --lib -- --ignored --nocapture a_city`.
#[actix::test]
#[ignore = "it measures, and asserts little"]
async fn a_city_of_500_devices_with_20_000_recordings_is_composed_in_a_second() {
    let begin: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::at(begin).await;
    let devices = (0..500_u16).map(|n| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&(n + 1000).to_be_bytes());
        let (serial, assignee) = (format!("C4-{n:04}"), format!("Officer {n}"));
        let device = Device {
            id: DeviceId::from_bytes(id),
            serial,
            model: "BC4".into(),
            state: DeviceState::Active,
            replaced_by: None,
            key: Some(Sha256::of(&id)),
            upload_tokens: Vec::new(),
            assignments: vec![longshore_model::Assignment { assignee, from: begin }],
            profile: "default".into(),
            site: None,
            groups: BTreeSet::new(),
            approved_at: begin,
        };
        Fact::DeviceApproved { enrolment: EnrolmentId::from_bytes(id), device, by: "test".into() }
    });
    let devices: Vec<Fact> = devices.collect();
    let ids: Vec<DeviceId> = devices
        .iter()
        .filter_map(|fact| match fact {
            Fact::DeviceApproved { device, .. } => Some(device.id),
            _ => None,
        })
        .collect();
    world.digests.catalogue.record(devices).await.unwrap();
    for device in ids {
        let facts: Vec<Fact> = (0..40).map(|_| world.stored_fact(device)).collect();
        world.digests.catalogue.record(facts).await.unwrap();
    }
    let (before, began) = (resident("VmRSS"), std::time::Instant::now());
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let shown = world.digests.preview(DigestOf { kind: DigestKind::Transfer, site: None }, None).await.unwrap();
    let (took, most) = (began.elapsed(), resident("VmHWM"));
    let Composed { subject, text, html } = shown.composed;
    println!(
        "{subject}\n{took:?}, {} MiB more, text {} kB, HTML {} kB",
        most - before,
        text.len() / 1000,
        html.len() / 1000
    );
    assert!(subject.contains("20,000 videos"), "{subject}");
}

#[actix::test]
async fn what_the_nightly_look_found_and_what_was_signed_is_in_the_mails() {
    let begin: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
    let world = World::at(begin).await;
    world.look().await;
    let server = world.key.server_id().to_owned();
    let claims = CheckpointClaims { position: 1, hash: Sha256::of(b"1"), at: begin, server };
    let signed = world.key.state(&claims).unwrap();
    let reconciliation = Box::new(Reconciliation {
        day: begin.date_naive(),
        began: begin,
        ended: begin,
        facts: 1,
        declared_not_stored: 0,
        looked: Looked { expected: 2, present: 1, problems: 1, ..Looked::default() },
        foreign: 0,
        foreign_named: Vec::new(),
    });
    let facts =
        [CustodyFact::Checkpointed { claims, signed: signed.clone() }, CustodyFact::Reconciled { reconciliation }];
    world.digests.catalogue.record(facts.into_iter().map(Fact::Custody).collect()).await.unwrap();
    let show = |kind, site: Option<&str>| world.digests.preview(DigestOf { kind, site: site.map(str::to_owned) }, None);
    let whole = show(DigestKind::Transfer, None).await.unwrap();
    assert!(whole.is_news && whole.composed.text.contains("2 expected, 1 present"), "{whole:?}");
    let of_site = show(DigestKind::Transfer, Some("Berlin")).await.unwrap();
    assert!(!of_site.is_news, "it is of the whole store: {of_site:?}");
    for shown in [whole, of_site, show(DigestKind::Health, None).await.unwrap()] {
        assert_eq!(checkpoints_in(&shown.composed.text), [signed.as_str()]);
        assert_eq!(checkpoints_in(&shown.composed.html), [signed.as_str()]);
    }
}
