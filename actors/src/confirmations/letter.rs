//! What people are told of a request for footage. Pure. The subject is the answer; the text says it in a sentence, and then
//! what it rests on.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use longshore_model::VideoRequest;

use crate::requests::{RequestState, RequestView, TargetView};

/// Files that are named of a device: more is looked up where they lie.
const FILES: usize = 50;
/// Files that are named in all: with many more, no mail server takes the mail.
const FILES_IN_ALL: usize = 500;
/// Devices that are named in a subject.
const NAMED: usize = 3;
/// How moments are shown.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";

/// Of each device of a request, in its order, the files in the store; one more than its [`share`] means that there are more.
pub(super) type Files = Vec<Vec<String>>;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
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
pub(super) fn taken(view: &RequestView) -> Letter {
    let subject = format!("Asked for: {}", what(view));
    let mut text = "The request was taken. Another mail says what became of it.\n".to_owned();
    describe(&mut text, &view.request);
    for target in &view.targets {
        let (serial, standing) = (&target.serial, &target.standing);
        let _infallible = writeln!(text, "\n{serial}: {}: {}", standing.state.as_str(), standing.why);
    }
    Letter { subject, text }
}

/// The request is over.
pub(super) fn over(view: &RequestView, files: &Files) -> Letter {
    let outcome = outcome(view);
    let (answer, sentence) = match outcome {
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
    let subject = format!("{answer}: {}", what(view));
    let mut text = format!("{sentence}\n");
    describe(&mut text, &view.request);
    let none = Vec::new();
    for (place, target) in view.targets.iter().enumerate() {
        of_device(&mut text, target, files.get(place).unwrap_or(&none), share(view.targets.len()));
    }
    Letter { subject, text }
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
    let serials: Vec<&str> = view.targets.iter().map(|target| target.serial.as_str()).collect();
    let named = serials.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = serials.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (from, to) = (view.request.span.from, view.request.span.to);
    let end = if from.date_naive() == to.date_naive() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    format!("{named}{more}, {} to {}", from.format("%Y-%m-%d %H:%M"), to.format(end))
}

fn describe(text: &mut String, request: &VideoRequest) {
    let VideoRequest { id, requester, cameras, span, note, added_at, expires, .. } = request;
    let moment = |at: DateTime<Utc>| at.format(MOMENT).to_string();
    let cameras = if cameras.is_empty() { "all cameras".to_owned() } else { cameras.join(", ") };
    let note = note.as_ref().map(|note| format!("Note: {note}\n")).unwrap_or_default();
    let _infallible = write!(
        text,
        "\nFootage from {} to {}, {cameras}\nRequest {id}, made by {requester} on {}, waits until {} at most\n{note}",
        moment(span.from),
        moment(span.to),
        moment(*added_at),
        moment(*expires),
    );
}

fn of_device(text: &mut String, target: &TargetView, files: &[String], most: usize) {
    let TargetView { serial, standing, coverage, .. } = target;
    let mut write = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    write(format!("\n{serial}: {}: {}", standing.state.as_str(), standing.why));
    for camera in coverage {
        let name = if camera.camera.is_empty() { "its camera" } else { &camera.camera };
        write(format!("  {name}: {} % of the time", camera.percent));
    }
    for file in files.iter().take(most) {
        write(format!("  {file}"));
    }
    if files.len() > most {
        write("  … and more beside them".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use longshore_model::{RequestId, Span};

    use super::*;
    use crate::requests::{Coverage, Standing};

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
            let letter = over(&view(targets), &vec![vec![]]);
            assert!(letter.subject.starts_with(answer), "{letter:?}");
        }
        let many = (0..5).map(|_| ("B-1", Done, Some(100))).collect();
        assert!(taken(&view(many)).subject.starts_with("Asked for: B-1, B-1, B-1 and 2 more, "));
    }

    #[test]
    fn the_text_says_it_in_plain_words_with_the_files() {
        let files: Vec<String> = (0..=FILES).map(|n| format!("Smith/{n}.mp4")).collect();
        let letter = over(&view(vec![("B-1", RequestState::Done, Some(100))]), &vec![files]);
        for part in [
            "All that was asked for is in the store.\n\nFootage from 2026-11-21 14:00:00 UTC to 2026-11-21 14:30:00 UTC, all cameras\n",
            "made by anna on 2026-11-21 15:00:00 UTC",
            "\nNote: case 7\n",
            "\nB-1: done: because\n  its camera: 100 % of the time\n  Smith/0.mp4\n",
            "  Smith/49.mp4\n  … and more beside them\n",
        ] {
            assert!(letter.text.contains(part), "{part:?} in {}", letter.text);
        }
    }

    #[test]
    fn a_letter_about_many_devices_is_one_that_mail_servers_take() {
        let devices = 100;
        let long = format!("{}/{}.mp4", "a".repeat(250), "b".repeat(250));
        let files = vec![vec![long; share(devices) + 1]; devices];
        let letter = over(&view(vec![("B-1", RequestState::Done, Some(100)); devices]), &files);
        assert_eq!(letter.text.matches(".mp4").count(), FILES_IN_ALL);
        assert_eq!(letter.text.matches("and more beside them").count(), devices);
        assert!(letter.text.len() < 300_000, "{}", letter.text.len());
        assert_eq!([0, 1, 10, 11, 500, 10_000].map(share), [50, 50, 50, 45, 1, 1]);
    }
}
