//! What people are told of a request for footage: one struct for both forms of the mail. Pure. The subject is the answer; the
//! mail says it in a sentence, and then what it rests on.

use askama::Template;
use chrono::{DateTime, Utc};
use longshore_model::VideoRequest;

use crate::digest::words::{TEXT, clean, cleaned};
use crate::requests::{Coverage, RequestState, RequestView, TargetView};

/// Files that are named of a device: more is looked up where they lie.
const FILES: usize = 50;
/// Files that are named in all: with many more, no mail server takes the mail.
const FILES_IN_ALL: usize = 500;
/// Devices that are named in a subject.
const NAMED: usize = 3;
/// Characters of a note and of a path that are shown.
const LINE: usize = 1000;
/// How moments are shown.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";

/// Of each device of a request, in its order, the files in the store; one more than its [`share`] means that there are more.
pub(super) type Files = Vec<Vec<String>>;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// What it says, in both forms.
struct Said {
    answer: &'static str,
    /// Which devices, and when.
    what: String,
    sentence: &'static str,
    /// What was asked for, in lines.
    facts: Vec<String>,
    devices: Vec<OfDevice>,
}

/// What it says of a device.
struct OfDevice {
    serial: String,
    standing: String,
    cameras: Vec<String>,
    files: Vec<String>,
    /// There are more files.
    has_more: bool,
}

#[derive(Template)]
#[template(path = "confirmation/letter.txt", escape = "none")]
struct Text<'a> {
    letter: &'a Said,
}

#[derive(Template)]
#[template(path = "confirmation/letter.html")]
struct Html<'a> {
    letter: &'a Said,
}

/// What became of a request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Every device handed over what it recorded, and that covers the whole range.
    Whole,
    /// The same, but for some of the range nothing was recorded.
    Recorded,
    /// Some of it came.
    Part,
    /// Nothing came.
    Nothing,
    /// Somebody did not want it any more, and nothing had come.
    Cancelled,
}

/// Files that are named of each of so many devices.
pub(super) fn share(devices: usize) -> usize {
    FILES_IN_ALL.checked_div(devices).unwrap_or(FILES).clamp(1, FILES)
}

/// The request was taken.
///
/// # Errors
/// Those of the templates, which have none of their own.
pub(super) fn taken(view: &RequestView) -> askama::Result<Letter> {
    let sentence = "The request was taken. Another mail says what became of it.";
    let devices = view.targets.iter().map(|target| of_device(target, &[], 0)).collect();
    said(view, "Asked for", sentence, devices)
}

/// The request is over.
///
/// # Errors
/// Likewise.
pub(super) fn over(view: &RequestView, files: &Files) -> askama::Result<Letter> {
    let (answer, sentence) = match outcome(view) {
        Outcome::Whole => ("All footage is there", "All that was asked for is in the store."),
        Outcome::Recorded => (
            "All recorded footage is there",
            "All that was recorded of it is in the store. For some of the time there is no recording.",
        ),
        Outcome::Part => (
            "A part of the footage is there",
            "Only a part of what was asked for is in the store. What is said of each device below tells why the rest is not.",
        ),
        Outcome::Nothing => (
            "No footage came",
            "Nothing of what was asked for is in the store. What is said of each device below tells why.",
        ),
        Outcome::Cancelled => ("Cancelled", "The request was cancelled before anything of it came."),
    };
    let (most, none) = (share(view.targets.len()), Vec::new());
    let of = |(place, target): (usize, _)| of_device(target, files.get(place).unwrap_or(&none), most);
    said(view, answer, sentence, view.targets.iter().enumerate().map(of).collect())
}

fn said(
    view: &RequestView,
    answer: &'static str,
    sentence: &'static str,
    devices: Vec<OfDevice>,
) -> askama::Result<Letter> {
    let said = Said { answer, what: what(view), sentence, facts: facts(&view.request), devices };
    let subject = format!("{answer}: {}", said.what);
    Ok(Letter { subject, text: Text { letter: &said }.render()?, html: Html { letter: &said }.render()? })
}

fn outcome(view: &RequestView) -> Outcome {
    let states: Vec<RequestState> = view.targets.iter().map(|target| target.standing.state).collect();
    let there = |target: &TargetView| target.coverage.iter().any(|camera| !camera.covered.is_empty());
    let whole = |target: &TargetView| there(target) && target.coverage.iter().all(|camera| camera.percent == 100);
    let any = view.targets.iter().any(there) || states.contains(&RequestState::Done);
    match () {
        () if !states.is_empty() && view.targets.iter().all(whole) => Outcome::Whole,
        () if any && states.iter().all(|state| *state == RequestState::Done) => Outcome::Recorded,
        () if any => Outcome::Part,
        () if states.contains(&RequestState::Cancelled) => Outcome::Cancelled,
        () => Outcome::Nothing,
    }
}

/// Which devices, and when.
fn what(view: &RequestView) -> String {
    let named = view.targets.iter().take(NAMED).map(|target| clean(&target.serial)).collect::<Vec<_>>().join(", ");
    let more = view.targets.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (from, to) = (view.request.span.from, view.request.span.to);
    let end = if from.date_naive() == to.date_naive() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    format!("{named}{more}, {} to {}", from.format("%Y-%m-%d %H:%M"), to.format(end))
}

fn facts(request: &VideoRequest) -> Vec<String> {
    let VideoRequest { id, requester, cameras, span, note, added_at, expires, .. } = request;
    let moment = |at: DateTime<Utc>| at.format(MOMENT).to_string();
    let cameras = if cameras.is_empty() { "all cameras".to_owned() } else { cleaned(&cameras.join(", "), TEXT) };
    let range = format!("Footage from {} to {}, {cameras}", moment(span.from), moment(span.to));
    let made = format!(
        "Request {id}, made by {} on {}, waits until {} at most",
        cleaned(requester, TEXT),
        moment(*added_at),
        moment(*expires),
    );
    let note = note.as_ref().map(|note| format!("Note: {}", cleaned(note, LINE)));
    [range, made].into_iter().chain(note).collect()
}

fn of_device(target: &TargetView, files: &[String], most: usize) -> OfDevice {
    let TargetView { serial, standing, coverage, .. } = target;
    let camera = |camera: &Coverage| {
        let name = if camera.camera.is_empty() { "its camera".to_owned() } else { cleaned(&camera.camera, TEXT) };
        format!("{name}: {} % of the time", camera.percent)
    };
    OfDevice {
        serial: clean(serial),
        standing: format!("{}: {}", standing.state.as_str(), cleaned(&standing.why, LINE)),
        cameras: coverage.iter().map(camera).collect(),
        files: files.iter().take(most).map(|file| cleaned(file, LINE)).collect(),
        has_more: files.len() > most,
    }
}

impl Said {
    /// Who sends this, and to whom.
    fn foot(&self) -> &'static str {
        "Longshore sends this to whoever asked for the footage, and to those whom they named."
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use longshore_model::{RequestId, Span};

    use super::*;
    use crate::requests::Standing;

    fn view(targets: Vec<(&str, RequestState, Option<u8>)>) -> RequestView {
        let from: DateTime<Utc> = "2026-11-21T14:00:00Z".parse().unwrap();
        let span = Span { from, to: from + TimeDelta::minutes(30) };
        let request = VideoRequest {
            id: RequestId::from_bytes([1; 16]),
            key: None,
            requester: "anna".into(),
            devices: Vec::new(),
            cameras: Vec::new(),
            span,
            priority: 5,
            note: Some("case 7".into()),
            notify: Vec::new(),
            added_at: from + TimeDelta::hours(1),
            expires: from + TimeDelta::days(30),
        };
        let target = |(serial, state, percent): (&str, RequestState, Option<u8>)| TargetView {
            serial: serial.to_owned(),
            standing: Standing { state, why: "because".into(), until: None },
            connected: false,
            last_seen: None,
            overwrites_at: None,
            coverage: percent
                .map(|percent| Coverage { camera: String::new(), covered: vec![span], percent })
                .into_iter()
                .collect(),
        };
        RequestView { request, targets: targets.into_iter().map(target).collect() }
    }

    #[test]
    fn the_subject_is_the_answer() {
        use RequestState::{Cancelled, Done, Expired, Nothing};
        for (targets, answer) in [
            (vec![("B-1", Done, Some(100))], "All footage is there: B-1, 2026-11-21 14:00 to 14:30 UTC"),
            (vec![("B-1", Done, Some(40))], "All recorded footage is there: B-1, "),
            (vec![("B-1", Done, Some(100)), ("B-2", Nothing, None)], "A part of the footage is there: B-1, B-2, "),
            (vec![("B-1", Expired, Some(40))], "A part of the footage is there: "),
            (vec![("B-1", Nothing, None)], "No footage came: "),
            (vec![("B-1", Expired, None), ("B-2", Nothing, None)], "No footage came: "),
            (vec![("B-1", Cancelled, None)], "Cancelled: "),
            (vec![("B-1", Cancelled, Some(20))], "A part of the footage is there: "),
        ] {
            let letter = over(&view(targets), &vec![vec![]]).unwrap();
            assert!(letter.subject.starts_with(answer), "{letter:?}");
        }
        let many = (0..5).map(|_| ("B-1", Done, Some(100))).collect();
        assert!(taken(&view(many)).unwrap().subject.starts_with("Asked for: B-1, B-1, B-1 and 2 more, "));
    }

    #[test]
    fn the_text_says_it_in_plain_words_with_the_files() {
        let files: Vec<String> = (0..=FILES).map(|n| format!("Smith/{n}.mp4")).collect();
        let letter = over(&view(vec![("B-1", RequestState::Done, Some(100))]), &vec![files]).unwrap();
        for part in [
            "All that was asked for is in the store.\n\nFootage from 2026-11-21 14:00:00 UTC to 2026-11-21 14:30:00 UTC, all cameras\n",
            "made by anna on 2026-11-21 15:00:00 UTC",
            "\nNote: case 7\n",
            "\nB-1: done: because\n  its camera: 100 % of the time\n  Smith/0.mp4\n",
            "  Smith/49.mp4\n  … and more beside them\n\n-- \nLongshore sends this",
        ] {
            assert!(letter.text.contains(part), "{part:?} in {}", letter.text);
        }
    }

    #[test]
    fn both_forms_say_the_same_and_no_name_gets_at_whoever_reads_it() {
        const EVIL: &str = "<img src=x onerror=alert(1)>\r\nBcc: x@example.org\u{202E}</script>";
        let mut view = view(vec![("B-1", RequestState::Done, Some(100))]);
        let letter = over(&view, &vec![vec!["Smith/1.mp4".into()]]).unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/digest");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(format!("{folder}/confirmation.html"), &letter.html).unwrap();
        for part in
            ["All footage is there", "All that was asked for is in the store.", "case 7", "Smith/1.mp4", "100 %"]
        {
            assert!(
                letter.html.contains(part) && format!("{}{}", letter.subject, letter.text).contains(part),
                "{part}"
            );
        }
        view.request.note = Some(EVIL.into());
        view.request.requester = EVIL.into();
        view.targets[0].serial = EVIL.into();
        view.targets[0].coverage[0].camera = EVIL.into();
        view.targets[0].standing.why = EVIL.into();
        for letter in [taken(&view).unwrap(), over(&view, &vec![vec![EVIL.into()]]).unwrap()] {
            let html = &letter.html;
            assert!(!html.contains("<img") && !html.contains("</script") && !html.contains("\u{202E}"), "{html}");
            assert!(!html.contains("http://") && !html.contains("src=\""), "it loads nothing: {html}");
            for line in letter.text.lines() {
                assert!(!line.starts_with("Bcc:") && !line.contains(['\r', '\u{202E}']), "{line:?}");
            }
        }
    }

    #[test]
    fn a_letter_about_many_devices_is_one_that_mail_servers_take() {
        let devices = 100;
        let long = format!("{}/{}.mp4", "a".repeat(250), "b".repeat(250));
        let files = vec![vec![long; share(devices) + 1]; devices];
        let letter = over(&view(vec![("B-1", RequestState::Done, Some(100)); devices]), &files).unwrap();
        assert_eq!(letter.text.matches(".mp4").count(), FILES_IN_ALL);
        assert_eq!(letter.text.matches("and more beside them").count(), devices);
        assert!(letter.text.len() + letter.html.len() < 600_000, "{}", letter.html.len());
        assert_eq!([0, 1, 10, 11, 500, 10_000].map(share), [50, 50, 50, 45, 1, 1]);
    }
}
