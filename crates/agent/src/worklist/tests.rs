use chrono::TimeDelta;
use longshore_model::{Kind, Sha256};
use longshore_protocol::limits;

use super::*;
use crate::clip::Clip;
use crate::scan::Found;
use crate::source::{Content, FileState, MountId};

const SECOND: Duration = Duration::from_secs(1);

fn recording(name: &str, mtime_ns: i64) -> Recording {
    let state = FileState { size: 3, mtime_ns, ctime_ns: mtime_ns, inode: 1 };
    let found = Found { name: name.into(), path: name.into(), kind: Kind::Event, state };
    let (mount, sha256) = (MountId::at(Path::new("/")).unwrap(), Sha256::of(name.as_bytes()));
    Recording::new("S", &found, &Content { state, mount, sha256, clip: Clip::default() })
}

fn wall() -> DateTime<Utc> {
    "2026-11-21T14:00:00Z".parse().unwrap()
}

fn later(reason: Later, seconds: Option<i64>) -> Answer {
    Answer::Later { reason, not_before: seconds.map(|seconds| wall() + TimeDelta::seconds(seconds)) }
}

/// A list of one recording that is due.
fn one() -> (Worklist, RecordingId, Instant) {
    let now = Instant::now();
    let mut list = Worklist::new(&Pace::default());
    let recording = recording("a.mp4", 1);
    let rid = recording.rid;
    list.update(vec![recording], now);
    (list, rid, now)
}

#[test]
fn the_oldest_is_offered_first() {
    let now = Instant::now();
    let mut list = Worklist::new(&Pace::default());
    list.update(vec![recording("b.mp4", 2), recording("c.mp4", 1), recording("a.mp4", 2)], now);
    let names: Vec<_> = list.due(now).into_iter().filter_map(|item| item.filename).collect();
    assert_eq!(names, ["c.mp4", "a.mp4", "b.mp4"]);
}

#[test]
fn receipts_come_before_transfers() {
    let (mut list, rid, now) = one();
    let mut answered = |answer| list.answered(rid, answer, now, wall());
    assert_eq!(answered(Answer::Upload { priority: 1 }), Some((1, Task::Create)));
    let resume = Answer::Resume { url: "/u".into(), offset: 5, priority: 2 };
    assert_eq!(answered(resume), Some((2, Task::Continue("/u".into()))));
    let have = Answer::Have { receipt: "r".into() };
    assert_eq!(answered(have), Some((0, Task::Settle("r".into()))));
}

#[test]
fn what_is_queued_is_offered_again_at_the_next_occasion() {
    let (mut list, rid, now) = one();
    assert_eq!(list.answered(rid, later(Later::Queued, None), now, wall()), None);
    assert_eq!(list.next_due(), Some(now));
}

#[test]
fn what_nobody_asked_for_is_offered_again_when_stock_is_taken_10_minutes_later() {
    let (mut list, rid, now) = one();
    list.answered(rid, later(Later::NotRequested, None), now, wall());
    assert_eq!((list.next_due(), list.count()), (None, (1, 0)));
    list.update(vec![recording("a.mp4", 1)], now + 599 * SECOND);
    assert_eq!((list.next_due(), list.count()), (None, (1, 0)));
    list.update(vec![recording("a.mp4", 1)], now + 600 * SECOND);
    assert_eq!(list.next_due(), Some(now + 600 * SECOND));
}

#[test]
fn a_time_that_the_server_names_is_honoured_even_when_stock_is_taken_again() {
    for reason in [Later::ChecksumMismatch, Later::TooManyUnfinished, Later::Queued] {
        let (mut list, rid, now) = one();
        list.answered(rid, later(reason, Some(3600)), now, wall());
        list.update(vec![recording("a.mp4", 1)], now);
        assert_eq!(list.next_due(), Some(now + 3600 * SECOND), "{reason:?}");
    }
}

#[test]
fn a_time_in_the_past_does_not_make_the_device_ask_without_pause() {
    let (mut list, rid, now) = one();
    list.answered(rid, later(Later::TooManyUnfinished, Some(-60)), now, wall());
    assert_eq!(list.next_due(), Some(now + SECOND));
}

#[test]
fn what_waits_for_unfinished_uploads_is_counted_until_another_answer_comes() {
    let (mut list, rid, now) = one();
    list.answered(rid, later(Later::TooManyUnfinished, None), now, wall());
    list.update(vec![recording("a.mp4", 1)], now);
    assert_eq!(list.held_up(), 1);
    list.answered(rid, later(Later::Queued, None), now, wall());
    assert_eq!(list.held_up(), 0);
    list.answered(rid, later(Later::TooManyUnfinished, None), now, wall());
    list.failed(rid, "another content", now);
    assert_eq!(list.held_up(), 0);
}

#[test]
fn the_wait_for_a_receipt_doubles_from_1_to_30_seconds() {
    let (mut list, rid, now) = one();
    assert!(list.sent(rid) && !list.sent(rid), "sent is news once");
    let waits: Vec<_> = (0..7)
        .map(|_| {
            list.again(rid, now, None);
            (list.next_due().unwrap() - now).as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_stored_file_is_released_when_its_time_has_come() {
    let (mut list, rid, now) = one();
    let until = wall() + TimeDelta::days(1);
    assert!(list.stored(rid, "receipt".into(), Some(until)));
    list.update(vec![recording("a.mp4", 1)], now);
    assert_eq!(list.next_due(), None, "it is not offered again");
    assert_eq!(list.releasable(wall()), []);
    assert_eq!(list.releasable(until), [(rid, "receipt".into())]);
    list.stored(rid, "receipt".into(), None);
    assert_eq!(list.releasable(until), []);
}

#[test]
fn what_failed_is_tried_again_after_waits_that_double_to_an_hour() {
    let (mut list, rid, mut now) = one();
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] {
        list.failed(rid, "conflict", now);
        assert_eq!(list.count(), (0, 1));
        let again = now + seconds * SECOND;
        list.update(vec![recording("a.mp4", 1)], again.checked_sub(SECOND / 2).unwrap());
        assert_eq!(list.next_due(), None, "{seconds}");
        list.update(vec![recording("a.mp4", 1)], again);
        assert_eq!(list.next_due(), Some(again), "{seconds}");
        now = again;
    }
}

#[test]
fn a_card_that_was_put_in_again_is_tried_at_once() {
    let (mut list, rid, now) = one();
    list.failed(rid, "conflict", now);
    list.failed(rid, "conflict", now);
    list.update(vec![], now);
    list.update(vec![recording("a.mp4", 1)], now);
    assert_eq!(list.next_due(), Some(now));
}

#[test]
fn a_complaint_is_news_once_though_the_recording_is_tried_again() {
    let (mut list, rid, now) = one();
    assert!(list.failed(rid, "conflict", now));
    list.update(vec![recording("a.mp4", 1)], now + SECOND);
    assert_eq!(list.next_due(), Some(now + SECOND));
    assert!(!list.failed(rid, "conflict", now));
    assert!(list.failed(rid, "other", now));
}

#[test]
fn a_file_is_not_hashed_anew_for_ever_even_if_its_id_changes_each_time() {
    let (mut list, mut rid, now) = one();
    for round in 0..REHASHES {
        assert!(list.may_rehash(rid));
        let mut changed = recording("a.mp4", 1);
        changed.rid = RecordingId::from_bytes([u8::try_from(round).unwrap(); 16]);
        list.replace(rid, changed.clone(), now);
        rid = changed.rid;
    }
    assert!(!list.may_rehash(rid));
    assert_eq!(list.due(now).len(), 1, "the old ids are gone");
}

#[test]
fn a_file_that_is_gone_is_forgotten() {
    let (mut list, _, now) = one();
    list.update(vec![], now);
    assert_eq!(list.next_due(), None);
}

#[test]
fn batches_keep_both_limits_and_the_order() {
    let items: Vec<_> = (0..2_500).map(|n| recording(&format!("{n}.mp4"), n).offer(None)).collect();
    let by_count = batches(items.clone(), limits::OFFER_ITEMS, usize::MAX);
    assert_eq!(by_count.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
    let by_bytes = batches(items.clone(), limits::OFFER_ITEMS, 10_000);
    assert!(by_bytes.iter().all(|batch| serde_json::to_vec(batch).unwrap().len() <= 10_001));
    assert_eq!(by_bytes.concat(), items);
    assert_eq!(batches(items, 1000, 1).len(), 2_500, "one alone is always let through");
}

#[test]
fn over_several_answers_receipts_come_first_and_then_the_oldest() {
    let mut turns = [turn(1, 2), turn(0, 1), turn(2, 0), turn(1, 1), turn(0, 1000)];
    turns.sort_unstable();
    assert_eq!(turns, [(0, 0), (0, 1), (0, 1000), (1, 1), (1, 2)]);
}
