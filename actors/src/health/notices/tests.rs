use chrono::TimeDelta;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    let begin: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().unwrap();
    begin + TimeDelta::seconds(seconds)
}

fn notice() -> Notice {
    Notice::of_server("disk_low")
}

fn signs(notices: &Notices, seconds: i64) -> Vec<Sign> {
    let taken = notices.take(at(seconds));
    let signs = taken.heard(at(seconds)).into_iter().map(|heard| heard.sign).collect();
    taken.recorded();
    signs
}

/// As the aggregator does it.
fn record(notices: &Notices, seconds: i64) -> Vec<Sign> {
    let mut all = Vec::new();
    let taken = notices.take(at(seconds));
    for heard in taken.heard(at(seconds)) {
        all.push(heard.sign);
        let ended = (heard.sign == Sign::Over).then_some((longshore_model::IssueEnd::Cleared, at(seconds)));
        let (issue, _) = super::super::tally::hear(None, Heard { sign: Sign::Is(1), ..heard }, at(seconds), 1).unwrap();
        notices.learn(&[Issue { ended, ..issue }]);
    }
    taken.recorded();
    all
}

#[test]
fn nothing_is_taken_before_it_is_known_what_is_open() {
    let notices = Notices::default();
    notices.happened(notice());
    assert_eq!(signs(&notices, 0), []);
    notices.know(&[]);
    assert_eq!(signs(&notices, 0), [Sign::Is(1)]);
    assert_eq!(signs(&notices, 0), []);
}

#[test]
fn what_happens_often_is_counted_and_told_once_a_minute() {
    let notices = Notices::default();
    notices.know(&[]);
    let mut told = Vec::new();
    for second in 0..150 {
        notices.happened(notice());
        told.extend(record(&notices, second));
    }
    told.extend(record(&notices, 1000));
    assert_eq!(told, [Sign::Is(1), Sign::Is(60), Sign::Is(60), Sign::Is(29)]);
}

#[test]
fn what_stands_is_told_once_an_hour_and_its_end_at_once() {
    let notices = Notices::default();
    notices.know(&[]);
    let mut told = Vec::new();
    for second in 0..7_000 {
        notices.stands(notice());
        told.extend(record(&notices, second));
    }
    assert_eq!(told, [Sign::Is(1), Sign::Is(1)]);
    notices.over(notice());
    assert_eq!(record(&notices, 7_000), [Sign::Over]);
    notices.over(notice());
    assert_eq!(record(&notices, 7_001), [], "it was over");
}

#[test]
fn what_came_and_went_in_one_moment_is_both_and_what_came_back_is_there() {
    let notices = Notices::default();
    notices.know(&[]);
    notices.happened(notice());
    notices.over(notice());
    assert_eq!(record(&notices, 0), [Sign::Is(1), Sign::Over]);
    notices.over(notice());
    notices.stands(notice().text("again"));
    assert_eq!(record(&notices, 1), [Sign::Is(1)]);
}

#[test]
fn what_could_not_be_recorded_is_taken_again_with_what_came_meanwhile() {
    let notices = Notices::default();
    notices.know(&[]);
    notices.happened(notice().text("first"));
    let taken = notices.take(at(0));
    notices.happened(notice());
    notices.over(notice());
    assert_eq!(signs(&notices, 1), [], "nobody knows yet what became of what came before");
    drop(taken);
    let heard = notices.take(at(1)).heard(at(1));
    let signs: Vec<_> = heard.iter().map(|heard| heard.sign).collect();
    assert_eq!((signs, heard[0].text.as_deref()), (vec![Sign::Is(2), Sign::Over], Some("first")));
}

#[test]
fn the_end_of_what_is_just_being_recorded_is_not_passed_over() {
    let notices = Notices::default();
    notices.know(&[]);
    notices.happened(notice());
    let taken = notices.take(at(0));
    notices.over(notice());
    notices.learn(&[super::super::tally::hear(None, taken.heard(at(0)).remove(0), at(0), 1).unwrap().0]);
    taken.recorded();
    assert_eq!(record(&notices, 1), [Sign::Over]);
}

#[test]
fn parts_that_are_not_told_apart_are_told_as_the_issue_that_stands_for_them() {
    let notices = Notices::default();
    notices.know(&[]);
    notices.happened(notice());
    let heard = notices.take(at(0)).heard(at(0)).remove(0);
    let (issue, _) = super::super::tally::hear(None, Heard { several: true, ..heard }, at(0), 1).unwrap();
    let notices = Notices::default();
    notices.know(std::slice::from_ref(&issue));
    (0..10).for_each(|n| notices.happened(notice().part(n.to_string())));
    assert_eq!(signs(&notices, 1), [], "once a minute");
    let taken = notices.take(at(61));
    let heard = taken.heard(at(61));
    assert_eq!((heard.len(), heard[0].sign, &heard[0].key), (1, Sign::Is(10), &issue.key()));
    taken.recorded();
    notices.learn(&[Issue { ended: Some((longshore_model::IssueEnd::Quiet, at(62))), ..issue }]);
    notices.happened(notice().part("1"));
    assert!(notices.take(at(63)).heard(at(63))[0].key.part.is_some());
}

#[test]
fn what_is_not_so_takes_no_room() {
    let notices = Notices::default();
    notices.know(&[]);
    (0..10_000).for_each(|n| notices.over(notice().part(n.to_string())));
    notices.stands(notice());
    let table = notices.table();
    assert_eq!((table.waiting.len(), table.lost), (1, 0));
}

#[test]
fn a_journal_that_takes_nothing_does_not_fill_the_memory() {
    let notices = Notices::default();
    for n in 0..10_000 {
        notices.happened(notice().part(n.to_string()));
    }
    let table = notices.table();
    assert_eq!((table.waiting.len(), table.lost), (WAITING, 10_000 - WAITING as u64));
}
