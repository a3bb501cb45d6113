use longshore_model::{DeviceId, HealthSubject};
use proptest::prelude::*;

use super::*;

const SUBJECT: HealthSubject = HealthSubject::Device(DeviceId::from_bytes([1; 16]));

fn at(minutes: i64) -> DateTime<Utc> {
    let begin: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().unwrap();
    begin + TimeDelta::minutes(minutes)
}

fn key(kind: &str) -> IssueKey {
    IssueKey { subject: SUBJECT, kind: kind.to_owned(), part: None }
}

fn heard(minutes: i64, sign: Sign) -> Heard {
    Heard { key: key("gps_lost"), several: false, at: at(minutes), sign, said: None, value: None, text: None }
}

fn types() -> HealthTypes {
    let text = r#"{
        "gps_lost": {"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "auto_close_hours": 24},
        "card": {"severity": "critical", "title": "t", "text": "x", "steps": ["s"], "parent": "slot"},
        "slot": {"severity": "critical", "title": "t", "text": "x", "steps": ["s"], "parent": "power"},
        "power": {"severity": "critical", "title": "t", "text": "x", "steps": ["s"]}
    }"#;
    serde_json::from_str(text).unwrap()
}

/// One trouble, as the index would keep it.
#[derive(Default)]
struct Story {
    issues: Vec<Issue>,
    changes: Vec<(u64, IssueWhat)>,
}

impl Story {
    fn hear(&mut self, minutes: i64, sign: Sign) {
        let next = self.issues.len() as u64 + 1;
        let became = hear(self.issues.last().cloned(), heard(minutes, sign), at(minutes), next);
        self.take(became);
    }

    fn wait(&mut self, minutes: i64) {
        let became = self.issues.last().and_then(|issue| wait(issue, &types(), at(minutes)));
        self.take(became);
    }

    fn take(&mut self, became: Option<Became>) {
        let Some((issue, what)) = became else { return };
        self.changes.extend(what.map(|what| (issue.number, what)));
        match self.issues.last_mut() {
            Some(last) if last.number == issue.number => *last = issue,
            _ => self.issues.push(issue),
        }
    }

    fn last(&self) -> &Issue {
        self.issues.last().unwrap()
    }
}

#[test]
fn the_same_again_is_counted_and_told_once_an_hour() {
    let mut story = Story::default();
    for minute in 0..150 {
        story.hear(minute, Sign::Is(1));
    }
    let issue = story.last();
    assert_eq!((issue.number, issue.count, issue.since, issue.last_seen), (1, 150, at(0), at(149)));
    assert_eq!(story.changes, [(1, IssueWhat::Opened)], "each came within an hour of the one before");
    story.hear(300, Sign::Is(7));
    assert_eq!((story.last().count, story.changes.len()), (157, 2));
}

#[test]
fn what_comes_back_within_an_hour_is_the_same_and_later_it_is_another() {
    let mut story = Story::default();
    story.hear(0, Sign::Is(1));
    story.hear(5, Sign::Over);
    story.hear(64, Sign::Is(1));
    assert_eq!((story.last().number, story.last().reopened, story.last().since), (1, 1, at(0)));
    story.hear(70, Sign::Over);
    story.hear(130, Sign::Is(1));
    let issue = story.last();
    assert_eq!((issue.number, issue.reopened, issue.since, issue.count), (2, 0, at(130), 1));
    let (end, reopened) = (IssueWhat::Ended { how: IssueEnd::Cleared }, IssueWhat::Reopened);
    let expected = [(1, IssueWhat::Opened), (1, end.clone()), (1, reopened), (1, end), (2, IssueWhat::Opened)];
    assert_eq!(story.changes, expected);
}

#[test]
fn what_comes_and_goes_is_one_issue_that_ends_when_it_was_calm_for_an_hour() {
    let mut story = Story::default();
    for minute in 0..100 {
        story.hear(2 * minute, Sign::Is(1));
        story.hear(2 * minute + 1, Sign::Over);
    }
    let issue = story.last();
    assert_eq!((issue.number, issue.count, issue.is_open()), (1, 100, true));
    assert_eq!(story.changes.len(), 7, "{:?}", story.changes);
    assert_eq!(issue.calm_at, Some(at(199) + CALM));
    story.wait(258);
    assert!(story.last().is_open());
    story.wait(259);
    assert_eq!(story.last().ended, Some((IssueEnd::Cleared, at(199))), "it was over then");
    story.hear(260, Sign::Is(1));
    assert_eq!(story.last().number, 2);
}

#[test]
fn what_nobody_reports_again_ends_after_the_time_of_its_type() {
    let mut story = Story::default();
    story.hear(0, Sign::Is(1));
    story.hear(60, Sign::Is(1));
    story.wait(60 + 24 * 60 - 1);
    assert!(story.last().is_open());
    story.wait(60 + 24 * 60);
    assert_eq!(story.last().ended, Some((IssueEnd::Quiet, at(60 + 24 * 60))));
    // It is another one when it comes, however soon.
    story.hear(60 + 24 * 60 + 1, Sign::Is(1));
    assert_eq!(story.last().number, 2);
    let for_ever = Issue { kind: "card".into(), ..story.last().clone() };
    assert_eq!(wait(&for_ever, &types(), at(1_000_000)), None);
}

#[test]
fn what_was_heard_while_the_clock_was_ahead_ends_all_the_same_when_it_was_set_back() {
    let (month, day) = (30 * 24 * 60, 24 * 60);
    let mut story = Story::default();
    story.hear(month, Sign::Is(1));
    story.wait(0);
    story.wait(day - 1);
    assert!(story.last().is_open());
    story.wait(day);
    assert_eq!(story.last().ended.map(|(how, _)| how), Some(IssueEnd::Quiet));
    let mut story = Story::default();
    for minute in 0..10 {
        story.hear(month + 2 * minute, Sign::Is(1));
        story.hear(month + 2 * minute + 1, Sign::Over);
    }
    story.wait(0);
    story.wait(60);
    assert_eq!(story.last().ended.map(|(how, _)| how), Some(IssueEnd::Cleared));
}

#[test]
fn what_stands_for_several_parts_ends_by_itself_whatever_its_type_says() {
    let (issue, _) = hear(None, Heard { key: key("card"), several: true, ..heard(0, Sign::Is(1)) }, at(0), 1).unwrap();
    assert_eq!(wait(&issue, &types(), at(24 * 60 - 1)), None);
    let (issue, _) = wait(&issue, &types(), at(24 * 60)).unwrap();
    assert_eq!(issue.ended.map(|(how, _)| how), Some(IssueEnd::Quiet));
}

#[test]
fn what_is_over_before_it_began_is_nothing() {
    assert_eq!(hear(None, heard(0, Sign::Over), at(0), 1), None);
    let mut story = Story::default();
    story.hear(10, Sign::Is(1));
    story.hear(5, Sign::Over);
    assert_eq!(story.last().ended, Some((IssueEnd::Cleared, at(10))), "no end lies before its begin");
    story.hear(20, Sign::Over);
    assert_eq!(story.changes.len(), 2);
}

#[test]
fn what_is_ignored_stays_so_when_it_comes_back_and_a_silence_ends() {
    let mut story = Story::default();
    story.hear(0, Sign::Is(1));
    story.hear(1, Sign::Over);
    let last = story.issues.last_mut().unwrap();
    (last.ignored, last.silenced_until) = (true, Some(at(1000)));
    story.hear(500, Sign::Is(1));
    assert_eq!((story.last().number, story.last().ignored), (2, true));
    assert_eq!(story.last().silenced_until, Some(at(1000)));
    story.hear(501, Sign::Over);
    story.hear(2000, Sign::Is(1));
    assert_eq!((story.last().number, story.last().silenced_until), (3, None));
}

#[test]
fn a_late_report_of_what_was_before_moves_the_begin_and_not_the_end() {
    let mut story = Story::default();
    story.hear(100, Sign::Is(1));
    let late = Heard { text: Some("first".into()), ..heard(40, Sign::Is(1)) };
    story.take(hear(story.issues.last().cloned(), late, at(101), 9));
    assert_eq!((story.last().since, story.last().last_seen, story.last().count), (at(40), at(100), 2));
}

#[test]
fn a_parent_and_its_parents_hide_a_child_of_the_same_device() {
    let issue = |number, kind: &str, ended| {
        let (mut issue, _) = begins(None, Heard { key: key(kind), ..heard(0, Sign::Is(1)) }, 1, at(0), number);
        issue.ended = ended;
        issue
    };
    let card = issue(1, "card", None);
    let hides = |others: &[Issue]| hidden_by(&card, others, &types(), at(0)).map(|issue| issue.number);
    assert_eq!(hides(std::slice::from_ref(&card)), None);
    assert_eq!(hides(&[card.clone(), issue(2, "power", None)]), Some(2));
    assert_eq!(hides(&[issue(2, "power", None), issue(3, "slot", None)]), Some(3), "the next one first");
    assert_eq!(hides(&[issue(3, "slot", Some((IssueEnd::Cleared, at(1))))]), None);
    assert_eq!(hides(&[issue(4, "gps_lost", None)]), None);
    assert_eq!(hides(&[Issue { ignored: true, ..issue(2, "power", None) }]), None, "nobody would see either");
    let silenced_until = Some(at(1));
    assert_eq!(hides(&[Issue { silenced_until, ..issue(2, "power", None) }]), None, "nor now");
    assert_eq!(hides(&[Issue { silenced_until: Some(at(0)), ..issue(2, "power", None) }]), Some(2));
}

#[test]
fn a_camera_explains_nothing_of_another_one_and_what_nobody_acts_on_nothing_that_matters() {
    let types: HealthTypes = serde_json::from_str(
        r#"{
        "sensor": {"severity": "critical", "title": "t", "text": "x", "steps": ["s"], "parent": "video"},
        "video": {"severity": "warning", "title": "t", "text": "x", "steps": ["s"], "parent": "weak"},
        "flaps": {"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "parent": "weak"},
        "weak": {"severity": "notice", "title": "t", "text": "x", "steps": ["s"]}
    }"#,
    )
    .unwrap();
    let issue = |kind: &str, part: Option<&str>| {
        let key = IssueKey { part: part.map(str::to_owned), ..key(kind) };
        begins(None, Heard { key, ..heard(0, Sign::Is(1)) }, 1, at(0), 1).0
    };
    let hides = |child: &Issue, parent: Issue| hidden_by(child, &[parent], &types, at(0)).is_some();
    let front = issue("sensor", Some("front"));
    assert!(hides(&front, issue("video", Some("front"))) && hides(&front, issue("video", None)));
    assert!(!hides(&front, issue("video", Some("rear"))));
    assert!(!hides(&issue("sensor", None), issue("video", Some("rear"))), "nor of the whole");
    assert!(!hides(&front, issue("weak", None)) && !hides(&issue("video", None), issue("weak", None)));
    assert!(hides(&issue("flaps", None), issue("weak", None)));
}

proptest! {
    #[test]
    fn whatever_is_heard_nothing_is_counted_twice_or_lost_and_begins_and_ends_alternate(
        signs in prop::collection::vec((0..3_u8, 0..120_i64, 1..5_u64), 1..80),
    ) {
        let mut story = Story::default();
        let (mut minute, mut times) = (0, 0);
        for (sign, pause, n) in signs {
            minute += pause;
            match sign {
                0 => {
                    story.hear(minute, Sign::Is(n));
                    times += n;
                }
                1 => story.hear(minute, Sign::Over),
                _ => story.wait(minute),
            }
        }
        prop_assert_eq!(story.issues.iter().map(|issue| issue.count).sum::<u64>(), times);
        for issue in &story.issues {
            let of_it: Vec<_> = story.changes.iter().filter(|(number, _)| *number == issue.number).collect();
            let turns: Vec<bool> = of_it
                .iter()
                .filter_map(|(_, what)| match what {
                    IssueWhat::Opened | IssueWhat::Reopened => Some(true),
                    IssueWhat::Ended { .. } => Some(false),
                    _ => None,
                })
                .collect();
            prop_assert!(turns.iter().enumerate().all(|(n, begins)| *begins == (n % 2 == 0)), "{:?}", of_it);
            prop_assert_eq!(turns.last(), Some(&issue.is_open()));
            prop_assert!(issue.since <= issue.last_seen && issue.reopened <= 1_000);
            prop_assert!(issue.ended.is_none_or(|(_, at)| at >= issue.since));
            // People are told of one begin and one end in every hour, and of the first few.
            prop_assert!(turns.len() <= 2 * (usize::try_from(FLAPS).unwrap() + 1));
        }
        let only_the_last_is_open = story.issues.iter().rev().skip(1).all(|issue| !issue.is_open());
        prop_assert!(only_the_last_is_open);
    }
}
