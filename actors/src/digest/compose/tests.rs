use std::fs;
use std::path::Path;

use chrono::TimeDelta;
use chrono_tz::America::Detroit;
use longshore_model::{IssueEnd, Kind, Severity};

use super::health::HealthNews;
use super::transfer::{DeviceNews, FailedBy, Failure, File, RequestEnd, RequestNews, Storage, TransferNews};
use super::*;
use crate::health::{IssueDevice, IssueView};

/// What somebody may call a device, a camera, a site, to get at who reads of it.
const EVIL: &str = "<img src=x onerror=alert(1)>\r\nBcc: x@example.org\u{202E}\"'{{ 7*7 }}</script>";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn about(site: Option<&str>) -> About {
    About {
        site: site.map(str::to_owned),
        date: "2026-11-19".parse().unwrap(),
        missed: Vec::new(),
        from: at("2026-11-18T11:00:00Z"),
        to: at("2026-11-19T11:00:00Z"),
        zone: Detroit,
        url: "https://cameras.example.org:5004".to_owned(),
    }
}

fn name(assignee: &str, model: &str, serial: &str) -> DeviceName {
    DeviceName { assignee: Some(assignee.to_owned()), model: model.to_owned(), serial: serial.to_owned() }
}

fn file(minute: i64, seconds: i64, bytes: u64, camera: &str, event: Option<&str>) -> File {
    File {
        start: Some(at("2026-11-18T19:03:00Z") + TimeDelta::minutes(minute)),
        duration: Some(TimeDelta::seconds(seconds)),
        camera: camera.to_owned(),
        kind: if event.is_some() { Kind::Event } else { Kind::Continuous },
        event_type: event.map(str::to_owned),
        bytes,
    }
}

/// A night as it may be, with one of everything.
fn transfers() -> TransferNews {
    let smith = name("J. Smith", "BC4", "B4-0017");
    let unit = name("Unit 12", "DVR-908", "V8-0003");
    let of_smith =
        (0..14).map(|n| file(n * 31, 60 + n * 47, 410_000_000 + n as u64 * 31_000_000, "", Some("record button")));
    let mut of_smith: Vec<_> = of_smith.collect();
    of_smith.push(File {
        kind: Kind::Snapshot,
        duration: None,
        event_type: None,
        bytes: 2_400_000,
        ..file(200, 0, 0, "", None)
    });
    let of_unit = (0..26).map(|n| {
        let nth = usize::try_from(n).unwrap();
        let (event, camera) = (["light bar", "speed", "crash sensor"][nth % 3], ["front", "cabin"][nth % 2]);
        file(n * 17, 300 + n * 5, 1_900_000_000, camera, Some(event).filter(|_| n != 4))
    });
    let unset = File { start: None, ..file(0, 42, 88_000_000, "", Some("record button")) };
    TransferNews {
        devices: vec![
            DeviceNews { name: unit.clone(), files: of_unit.collect() },
            DeviceNews { name: smith.clone(), files: of_smith },
            DeviceNews { name: name("Łucja Nowak-Świętosławska", "BC4", "B4-0022"), files: vec![unset] },
        ],
        failures: vec![Failure { at: at("2026-11-19T03:12:00Z"), device: smith, why: FailedBy::Mismatch }],
        requests: vec![RequestNews {
            at: at("2026-11-19T04:00:00Z"),
            device: unit,
            requester: "m.chief".to_owned(),
            from: at("2026-11-18T20:00:00Z"),
            to: at("2026-11-18T20:45:00Z"),
            ended: RequestEnd::There,
        }],
        storage: Some(Storage { free: 2_310_000_000_000, daily: Some(61_000_000_000) }),
        nights: vec![Night {
            day: "2026-11-19".parse().unwrap(),
            expected: 1204,
            present: 1204,
            unverified: 0,
            problems: 0,
            named: Vec::new(),
        }],
        checkpoints: checkpoints(),
        attention: 3,
    }
}

/// As long as they are.
fn checkpoints() -> Checkpoints {
    let part = |letters: usize| "Zm9vYmFy".repeat(letters / 8 + 1)[..letters].to_owned();
    Checkpoints(vec![format!("eyJ{}.eyJ{}.{}", part(97), part(230), part(86))])
}

fn issue(number: u64, kind: &str, severity: Severity, title: &str, text: &str, steps: &[&str]) -> IssueView {
    IssueView {
        number,
        device: Some(IssueDevice {
            serial: format!("B4-00{number:02}"),
            model: "BC4".to_owned(),
            assignee: Some(
                ["J. Smith", "Łucja Nowak-Świętosławska", "A. Jones"][usize::try_from(number).unwrap() % 3].to_owned(),
            ),
            site: Some("North yard".to_owned()),
        }),
        kind: kind.to_owned(),
        part: None,
        severity,
        title: title.to_owned(),
        text: text.to_owned(),
        cause: None,
        value: None,
        unit: None,
        steps: steps.iter().map(ToString::to_string).collect(),
        since: at("2026-11-18T22:14:00Z"),
        last_seen: at("2026-11-19T09:14:00Z"),
        count: number,
        flapping: false,
        ended_at: None,
        end: None,
        hidden_by: None,
        silenced_until: None,
        ignored: false,
    }
}

fn health() -> HealthNews {
    let no_card = |number| {
        issue(
            number,
            "storage_missing",
            Severity::Critical,
            "No card",
            "The device finds no card (or disk) to record on. It records nothing until it has one.",
            &[
                "Do not send the device out: it records nothing.",
                "Switch it off, take the card out, look whether it is the right kind and not bent, and push it in until it clicks.",
                "Switch it on and wait for the light or tone that says it is ready to record. Record ten seconds and stop.",
            ],
        )
    };
    let silent = issue(
        9,
        "link_offline",
        Severity::Warning,
        "Not heard of",
        "The device has not called for longer than it usually does. Its recordings are still on it.",
        &["Ask whoever has it where it is.", "Put it in a dock, and see whether it comes up in `longshore sessions`."],
    );
    let low = IssueView {
        cause: Some("the pack takes 61 % of its first charge".into()),
        value: Some(61.into()),
        unit: Some("%".into()),
        ..issue(
            4,
            "battery_degraded",
            Severity::Warning,
            "Battery worn",
            "The battery lasts shorter than it did.",
            &["Order a new battery."],
        )
    };
    let ended = IssueView {
        ended_at: Some(at("2026-11-19T02:00:00Z")),
        end: Some(IssueEnd::Cleared),
        part: Some("front".into()),
        ..issue(5, "video_loss", Severity::Critical, "No picture", "", &[])
    };
    let firmware = issue(7, "firmware_changed", Severity::Notice, "Other firmware", "", &[]);
    HealthNews {
        open: vec![no_card(1), no_card(3), low, silent, firmware],
        begun: [3, 7].into(),
        ended: vec![ended],
        checkpoints: checkpoints(),
        is_news: true,
    }
}

/// Holds what is composed against a file that people have read, and leaves the page where it can be looked at.
fn as_read(composed: &Composed, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = folder.join("../target/digest");
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join(format!("{name}.html")), &composed.html).unwrap();
    let text = format!("Subject: {}\n\n{}", composed.subject, composed.text);
    fs::write(target.join(format!("{name}.txt")), &text).unwrap();
    let read = fs::read_to_string(folder.join(format!("src/digest/compose/tests/{name}.txt"))).unwrap_or_default();
    assert_eq!(text, read, "target/digest/{name}.txt is what is composed now; read it, and keep it if it is right");
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn the_mail_about_transfers_reads_well() {
    let composed = transfer::compose(&about(Some("North yard")), transfers()).unwrap();
    as_read(&composed, "transfer");
    assert!(widest(&composed.text) <= 78, "{}", composed.text);
}

#[test]
fn the_mail_about_health_reads_well() {
    let composed = health::compose(&about(Some("North yard")), health()).unwrap();
    as_read(&composed, "health");
    assert!(widest(&composed.text) <= 78, "{}", composed.text);
}

#[test]
fn the_subject_is_the_answer() {
    let subject = |news| transfer::compose(&about(None), news).unwrap().subject;
    assert_eq!(subject(TransferNews::default()), "[Longshore] no videos · Thu 19 Nov");
    let one = TransferNews {
        devices: vec![DeviceNews { name: name("A", "BC4", "1"), files: vec![file(0, 60, 62_400_000_000, "", None)] }],
        attention: 1,
        ..TransferNews::default()
    };
    assert_eq!(subject(one), "[Longshore] 1 device needs attention · 1 video, 62.4 GB · Thu 19 Nov");
    let after_days = About {
        missed: ["2026-11-17", "2026-11-18"].map(|date| date.parse().unwrap()).to_vec(),
        ..about(Some("North yard"))
    };
    let composed = health::compose(&after_days, HealthNews::default()).unwrap();
    assert_eq!(composed.subject, "[North yard] no device needs attention · Tue 17 Nov to Thu 19 Nov");
    for part in [&composed.text.replace("\n  ", " "), &composed.html] {
        let told = "No mail was made for Tue 17 Nov and Wed 18 Nov. This one tells";
        assert!(part.contains(told), "{part}");
    }
    let server = IssueView { device: None, ..issue(1, "disk_low", Severity::Critical, "Disk low", "", &[]) };
    let news = HealthNews { open: vec![server.clone()], ..HealthNews::default() };
    assert_eq!(
        health::compose(&about(None), news).unwrap().subject,
        "[Longshore] the server needs attention · Thu 19 Nov"
    );
    let both = HealthNews { open: vec![server, health().open.remove(0)], ..HealthNews::default() };
    let subject = health::compose(&about(None), both).unwrap().subject;
    assert_eq!(subject, "[Longshore] the server and 1 device need attention · Thu 19 Nov");
}

#[test]
fn a_store_that_is_not_as_it_should_be_is_news_and_comes_first() {
    let wrong = Night {
        day: "2026-11-19".parse().unwrap(),
        expected: 1204,
        present: 1203,
        unverified: 2,
        problems: 3,
        named: vec!["B4-0017/2026-11-18 14.03.mp4: the file is missing".to_owned()],
    };
    let well = Night { present: 1204, problems: 0, named: Vec::new(), ..wrong };
    let news = |night: Night| TransferNews { nights: vec![night], ..TransferNews::default() };
    assert!(news(wrong.clone()).is_news() && !news(well).is_news());
    let composed = transfer::compose(&about(None), news(wrong)).unwrap();
    assert!(composed.subject.starts_with("[Longshore] the store is not as it should be · "), "{}", composed.subject);
    for part in ["1,204 expected, 1,203 present, 2 unverified", "the file is missing", "And 2 more"] {
        assert!(composed.text.contains(part) && composed.html.contains(part), "{}", composed.text);
    }
}

#[test]
fn what_is_muted_or_explained_needs_nobody() {
    let mut open = health().open;
    open.iter_mut().for_each(|issue| issue.ignored = true);
    let composed = health::compose(&about(None), HealthNews { open, ..HealthNews::default() }).unwrap();
    assert!(composed.subject.contains("no device needs attention"), "{}", composed.subject);
    assert!(!composed.text.contains("No card"), "{}", composed.text);
}

#[test]
fn of_many_files_each_device_has_its_share_and_the_rest_is_counted() {
    let device = |n: usize, files: usize| {
        let files = (0..files).map(|minute| file(minute as i64, 60, 1_000_000, "", None)).collect();
        DeviceNews { name: name(&format!("Officer {n:03}"), "BC4", &format!("B4-{n:04}")), files }
    };
    let of = |devices| transfer::compose(&about(None), TransferNews { devices, ..TransferNews::default() }).unwrap();
    let one = of(vec![device(1, 51)]);
    assert!(one.text.contains("and 1 more, 1.0 MB") && one.html.contains("and 1 more, 1.0 MB"), "{}", one.text);
    assert_eq!(one.html.matches("<tr>").count(), 50);
    let many = of((0..500).map(|n| device(n, 40)).collect());
    assert_eq!(many.html.matches("<tr>").count(), 500);
    assert!(many.text.contains("and 39 more, 39.0 MB"));
    assert!(many.subject.contains("20,000 videos, 20.0 GB"), "{}", many.subject);
    let fleet = of((0..25_000).map(|n| device(n, 1)).collect());
    assert!(fleet.html.len() + fleet.text.len() < 600_000, "{}", fleet.html.len());
    assert!(fleet.text.contains("And 24,000 devices more."), "{}", fleet.text);
}

#[test]
fn no_name_gets_at_whoever_reads_of_it() {
    let evil = || name(EVIL, EVIL, EVIL);
    let mut transfers = transfers();
    for device in &mut transfers.devices {
        device.name = evil();
        device.files.iter_mut().for_each(|file| file.camera = EVIL.to_owned());
        device.files.iter_mut().for_each(|file| file.event_type = Some(EVIL.to_owned()));
    }
    transfers.failures[0].device = evil();
    transfers.requests[0].device = evil();
    transfers.requests[0].requester = EVIL.to_owned();
    let mut health = health();
    for issue in health.open.iter_mut().chain(&mut health.ended) {
        issue.device = Some(IssueDevice {
            serial: EVIL.to_owned(),
            model: EVIL.to_owned(),
            assignee: Some(EVIL.to_owned()),
            site: Some(EVIL.to_owned()),
        });
        for text in [&mut issue.part, &mut issue.cause, &mut issue.unit] {
            *text = Some(EVIL.to_owned());
        }
        issue.title = EVIL.to_owned();
        issue.value = Some(1.into());
    }
    let about = about(Some(EVIL));
    for composed in [transfer::compose(&about, transfers).unwrap(), health::compose(&about, health).unwrap()] {
        assert!(!composed.subject.chars().any(|c| c.is_control() || c == '\u{202E}'), "{:?}", composed.subject);
        let html = &composed.html;
        assert!(!html.contains("<img") && !html.contains("</script") && !html.contains("\u{202E}"), "{html}");
        assert!(html.contains("&#60;img src=x") || html.contains("&lt;img src=x"), "{html}");
        assert!(!html.contains("http://") && !html.contains("src=\""), "it loads nothing: {html}");
        for line in composed.text.lines() {
            assert!(!line.starts_with("Bcc:") && !line.chars().any(|c| c.is_control() || c == '\u{202E}'), "{line:?}");
        }
    }
}
