use chrono::TimeDelta;
use longshore_model::IssueEnd;

use super::*;
use crate::facts::Fact;
use crate::index::IndexPlace;
use crate::journal::Mark;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

fn at(minutes: i64) -> DateTime<Utc> {
    let begin: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    begin + TimeDelta::minutes(minutes)
}

fn issue(number: u64, kind: &str, minutes: i64) -> Issue {
    Issue {
        number,
        subject: HealthSubject::Device(DEVICE),
        kind: kind.to_owned(),
        part: None,
        several: false,
        said: None,
        since: at(minutes),
        last_seen: at(minutes),
        heard_at: at(minutes),
        count: 1,
        reopened: 0,
        value: None,
        text: None,
        calm_at: None,
        ended: None,
        silenced_until: None,
        ignored: false,
    }
}

fn change(issue: u64, minutes: i64, what: IssueWhat) -> IssueChange {
    IssueChange { issue, at: at(minutes), what, value: None, text: None }
}

struct Story {
    index: Index,
    _folder: tempfile::TempDir,
    seq: u64,
}

impl Story {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { index: Index::create(&IndexPlace::below(folder.path())).unwrap(), _folder: folder, seq: 0 }
    }

    fn apply(&mut self, facts: Vec<HealthFact>) {
        let begin = self.seq + 1;
        let entries: Vec<_> =
            (begin..).zip(facts).map(|(seq, fact)| Entry { seq, at: at(0), fact: Fact::Health(fact) }).collect();
        self.seq += entries.len() as u64;
        self.index.apply(&entries, &Mark { seq: self.seq, hash: String::new(), segment: 1, batch_at: 0 }).unwrap();
    }

    fn begins(&mut self, number: u64, minutes: i64) {
        let issues = vec![issue(number, "gps_lost", minutes)];
        let changes = vec![change(number, minutes, IssueWhat::Opened)];
        self.apply(vec![HealthFact::Noted { issues, changes, report: None }]);
    }

    fn ends(&mut self, number: u64, minutes: i64) {
        let ended = Some((IssueEnd::Cleared, at(minutes)));
        let issues = vec![Issue { ended, ..self.index.issue(number).unwrap().unwrap() }];
        let changes = vec![change(number, minutes, IssueWhat::Ended { how: IssueEnd::Cleared })];
        self.apply(vec![HealthFact::Noted { issues, changes, report: None }]);
    }
}

#[test]
fn what_is_open_is_found_by_whom_it_is_about_and_an_end_takes_it_away() {
    let mut story = Story::new();
    story.begins(1, 10);
    let server = Issue { subject: HealthSubject::Server, ..issue(2, "disk_low", 11) };
    story.apply(vec![HealthFact::Noted { issues: vec![server.clone()], changes: Vec::new(), report: None }]);
    let numbers = |issues: Vec<Issue>| issues.into_iter().map(|issue| issue.number).collect::<Vec<_>>();
    assert_eq!(numbers(story.index.open_issues().unwrap()), [1, 2]);
    assert_eq!(numbers(story.index.open_issues_of(HealthSubject::Server).unwrap()), [2]);
    assert_eq!(numbers(story.index.open_issues_of(HealthSubject::Device(DEVICE)).unwrap()), [1]);
    story.ends(1, 20);
    assert_eq!(numbers(story.index.open_issues().unwrap()), [2]);
    assert_eq!(story.index.issue_by_key(&server.key()).unwrap(), Some(server));
    assert_eq!(numbers(story.index.newest_issues(None, 10).unwrap()), [2, 1]);
    assert_eq!(story.index.next_issue().unwrap(), 3);
}

#[test]
fn what_people_say_of_an_issue_stays_with_it_and_is_told() {
    let mut story = Story::new();
    story.begins(1, 10);
    let subject = HealthSubject::Device(DEVICE);
    let (until, by) = (Some(at(90)), "uid 0".to_owned());
    story.apply(vec![
        HealthFact::Silenced { issue: 1, subject, until, by: by.clone() },
        HealthFact::Ignored { issue: 1, subject, ignored: true, by },
    ]);
    let issue = story.index.issue(1).unwrap().unwrap();
    assert!(issue.is_muted(at(0)) && issue.ignored && issue.silenced_until == until);
    let changes = story.index.newest_changes(None, 10).unwrap();
    assert!(matches!(changes[0].1.what, IssueWhat::Ignored { ignored: true, .. }), "{changes:?}");
    assert_eq!(changes.len(), 3);
    assert_eq!(story.index.newest_changes(Some(HealthSubject::Server), 10).unwrap(), []);
    assert_eq!(story.index.changes_of(1, 2).unwrap().len(), 2);
    assert_eq!(story.index.changes_of(7, 2).unwrap(), []);
}

#[test]
fn old_issues_make_room_but_for_those_that_are_open_or_ignored() {
    let mut story = Story::new();
    let ended = Some((IssueEnd::Quiet, at(0)));
    let of = |number: u64| {
        let ended = if number == 1 { None } else { ended };
        Issue { ended, ignored: number == 2, ..issue(number, &format!("t{}", number % 50), 0) }
    };
    let numbers: Vec<u64> = (1..=ISSUES_KEPT + 10).collect();
    for numbers in numbers.chunks(1000) {
        let issues = numbers.iter().map(|number| of(*number)).collect();
        story.apply(vec![HealthFact::Noted { issues, changes: Vec::new(), report: None }]);
    }
    let there = |number| story.index.issue(number).unwrap().is_some();
    assert_eq!([1, 2, 3, 10, 11, ISSUES_KEPT + 10].map(there), [true, true, false, false, true, true]);
    assert_eq!(story.index.open_issues().unwrap().len(), 1);
    let newest = of(ISSUES_KEPT + 3);
    assert_eq!(story.index.issue_by_key(&newest.key()).unwrap(), Some(newest));
    // What was open when its turn came is forgotten after its end.
    let issues = vec![Issue { ended, ..of(1) }, of(ISSUES_KEPT + 11), of(ISSUES_KEPT + 12), of(ISSUES_KEPT + 13)];
    story.apply(vec![HealthFact::Noted { issues, changes: Vec::new(), report: None }]);
    let there = |number| story.index.issue(number).unwrap().is_some();
    assert_eq!([1, 2, 13, 14].map(there), [false, true, false, true]);
}

#[test]
fn what_happened_to_issues_makes_room_when_there_is_more_than_is_kept() {
    let mut story = Story::new();
    story.begins(1, 0);
    let seen = |minute: u64| change(1, i64::try_from(minute).unwrap(), IssueWhat::Seen);
    let minutes: Vec<u64> = (1..=ISSUE_CHANGES_KEPT + 5).collect();
    for minutes in minutes.chunks(5000) {
        let changes = minutes.iter().map(|minute| seen(*minute)).collect();
        story.apply(vec![HealthFact::Noted { issues: Vec::new(), changes, report: None }]);
    }
    let most = usize::try_from(ISSUE_CHANGES_KEPT).unwrap();
    let kept = story.index.newest_changes(None, most + 10).unwrap();
    assert_eq!((kept.len(), kept[0].1.at, kept[most - 1].1.at), (most, at(i64::try_from(most).unwrap() + 5), at(6)));
}
