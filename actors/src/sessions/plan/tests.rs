use longshore_model::{DeviceId, ReceiptKey, Recording, RecordingId, Sha256};
use longshore_store::{Identity, Purpose};
use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn bounds(may_begin: usize) -> Bounds {
    Bounds { may_begin, per_answer: 16, room: u64::MAX }
}

fn declared(n: u8, minute: u32) -> Declared {
    Declared {
        rid: RecordingId::from_bytes([n; 16]),
        camera: String::new(),
        kind: Kind::Event,
        event_type: None,
        start: (now() - TimeDelta::hours(9) + TimeDelta::minutes(i64::from(minute))).fixed_offset(),
        end: None,
        boot: None,
        overwrite_at: None,
        request: None,
        size: Some(100),
        sha256: Some(Sha256::of(&[n])),
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    }
}

fn unfinished(declared: &Declared, offset: u64) -> Unfinished {
    let identity = Identity {
        upload: UploadId::from_bytes([9; 16]),
        device: DeviceId::from_bytes([1; 16]),
        purpose: Purpose::Recording(declared.rid),
        length: declared.size,
        sha256: declared.sha256,
        created_at: now(),
    };
    Unfinished { identity, offset, advanced_at: now(), aside_since: None, altered: false }
}

#[test]
fn events_go_oldest_first_whatever_the_order_of_the_offer() {
    let offer =
        [(declared(1, 30), Known::default()), (declared(2, 10), Known::default()), (declared(3, 20), Known::default())];
    let priorities = [3, 1, 2].map(|priority| Verdict::Upload { priority });
    assert_eq!(plan(&offer, bounds(64), now()), priorities);
}

#[test]
fn what_nobody_asked_for_waits() {
    for kind in [Kind::Continuous, Kind::Snapshot] {
        let offer = [(Declared { kind, ..declared(1, 0) }, Known::default())];
        assert_eq!(plan(&offer, bounds(64), now()), [Verdict::NotRequested]);
    }
}

#[test]
fn an_unfinished_upload_of_the_same_source_goes_on_and_of_another_begins_anew() {
    let item = declared(1, 0);
    let known = Known { unfinished: Some(unfinished(&item, 40)), ..Known::default() };
    let resume = Verdict::Resume { upload: UploadId::from_bytes([9; 16]), offset: 40, priority: 1 };
    let without_checksum = Declared { sha256: None, ..item.clone() };
    for item in [item.clone(), without_checksum] {
        assert_eq!(plan(&[(item, known.clone())], bounds(0), now()), std::slice::from_ref(&resume));
    }
    let changed = Declared { sha256: Some(Sha256::of(b"other")), ..item.clone() };
    assert_eq!(plan(&[(changed, known)], bounds(0), now()), [Verdict::Upload { priority: 1 }]);
    let aside = Unfinished { aside_since: Some(now()), ..unfinished(&item, 100) };
    let known = Known { unfinished: Some(aside), ..Known::default() };
    let offer = [(item, known)];
    assert_eq!(plan(&offer, bounds(1), now()), [Verdict::Upload { priority: 1 }]);
    assert_eq!(plan(&offer, bounds(0), now()), [Verdict::TooManyUnfinished]);
}

fn manifest(declared: &Declared, revision: u32) -> Manifest {
    let recording = Recording {
        device: DeviceId::from_bytes([1; 16]),
        rid: declared.rid,
        revision,
        serial: "B-1".into(),
        model: "BC4".into(),
        assignee: None,
        camera: String::new(),
        kind: declared.kind,
        event_type: None,
        start: declared.start,
        end: None,
        clock_unset: false,
        true_start: None,
        true_end: None,
        size: declared.size.unwrap(),
        sha256: declared.sha256.unwrap(),
        attested: true,
        held: false,
        original_name: None,
        received_at: None,
        verified_at: now(),
        upload: UploadId::from_bytes([u8::try_from(revision).unwrap(); 16]),
        path: "a.mp4".into(),
    };
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    Manifest::sign(recording, now(), &ReceiptKey::from_pkcs8(&key.serialize_der()).unwrap()).unwrap()
}

#[test]
fn another_content_under_a_stored_id_is_a_conflict_that_may_come_and_each_that_came_is_there() {
    let first = declared(1, 0);
    let second = Declared { sha256: Some(Sha256::of(b"other")), size: Some(101), ..first.clone() };
    let third = Declared { sha256: Some(Sha256::of(b"third")), ..first.clone() };
    let stored = [manifest(&first, 1), manifest(&second, 2)];
    let known = Known { receipts: true, stored: stored.to_vec(), ..Known::default() };
    let verdict = |item: &Declared, known: &Known| plan(&[(item.clone(), known.clone())], bounds(64), now()).remove(0);
    for (item, manifest) in [&first, &second].into_iter().zip(&stored) {
        assert_eq!(verdict(item, &known), Verdict::Have { receipt: manifest.receipt.clone() });
        for size in [item.size, None] {
            assert_eq!(verdict(&Declared { sha256: None, size, ..item.clone() }, &known), Verdict::Rehash);
        }
        assert!(conflicts_with(item, &stored).is_none());
    }
    assert_eq!(verdict(&third, &known), Verdict::Conflict { priority: 1 });
    assert_eq!(verdict(&Declared { sha256: None, size: Some(99), ..first }, &known), Verdict::Conflict { priority: 1 });
    assert_eq!(conflicts_with(&third, &stored).unwrap().recording.revision, 2);
    // Once begun, it goes on like any other, and it waits in the same cases.
    let begun = Known { unfinished: Some(unfinished(&third, 40)), ..known.clone() };
    assert!(matches!(verdict(&third, &begun), Verdict::Resume { offset: 40, .. }));
    assert_eq!(verdict(&Declared { kind: Kind::Continuous, ..third.clone() }, &known), Verdict::NotRequested);
    assert_eq!(plan(&[(third, known)], bounds(0), now()), [Verdict::TooManyUnfinished]);
}

#[test]
fn a_recording_that_failed_its_checksum_three_times_waits_an_hour() {
    let item = declared(1, 0);
    let row = |mismatches, minutes_ago| DeclaredRow {
        declared: item.clone(),
        mismatches,
        last_mismatch: Some(now() - TimeDelta::minutes(minutes_ago)),
    };
    let verdict = |row| plan(&[(item.clone(), Known { declared: Some(row), ..Known::default() })], bounds(64), now());
    assert_eq!(verdict(row(2, 1)), [Verdict::Upload { priority: 1 }]);
    assert_eq!(verdict(row(3, 1)), [Verdict::Mismatched { not_before: now() + TimeDelta::minutes(59) }]);
    assert_eq!(verdict(row(3, 61)), [Verdict::Upload { priority: 1 }]);
}

/// Rids in the order in which they should come.
fn order(offer: &[(Declared, Known)]) -> Vec<u8> {
    let verdicts = plan(offer, bounds(64), now());
    let mut order: Vec<_> = offer
        .iter()
        .zip(verdicts)
        .filter_map(|((declared, _), verdict)| match verdict {
            Verdict::Upload { priority } => Some((priority, declared.rid.as_bytes()[0])),
            _ => None,
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, rid)| rid).collect()
}

#[test]
fn what_people_ask_for_goes_first_then_what_is_overwritten_soon_then_the_oldest() {
    let wanted = |wanted| Known { wanted: Some(wanted), ..Known::default() };
    let overwritten = |hours| Known { overwrite_at: Some(now() + TimeDelta::hours(hours)), ..Known::default() };
    let loop_file = |n, minute| Declared { kind: Kind::Continuous, ..declared(n, minute) };
    let offer = [
        (declared(1, 0), Known::default()),
        (declared(2, 1), Known::default()),
        (declared(3, 30), overwritten(20)),
        (declared(4, 40), overwritten(2)),
        (declared(5, 50), overwritten(25)),
        (loop_file(6, 100), wanted(5)),
        (loop_file(7, 90), wanted(5)),
        (loop_file(8, 110), wanted(1)),
        (loop_file(9, 0), Known::default()),
    ];
    // The oldest event has every fourth place.
    assert_eq!(order(&offer), [8, 7, 6, 1, 4, 3, 2, 5]);
}

#[test]
fn what_people_ask_for_may_come_whatever_kind_it_is() {
    let offer =
        [(Declared { kind: Kind::Continuous, ..declared(1, 0) }, Known { wanted: Some(5), ..Known::default() })];
    assert_eq!(plan(&offer, bounds(64), now()), [Verdict::Upload { priority: 1 }]);
}

#[test]
fn what_is_no_event_and_finds_no_room_waits_and_events_come() {
    let wanted = || Known { wanted: Some(5), ..Known::default() };
    let loop_file = |n, minute| Declared { kind: Kind::Continuous, ..declared(n, minute) };
    let offer = [(loop_file(1, 0), wanted()), (loop_file(2, 1), wanted()), (declared(3, 2), Known::default())];
    let verdicts = plan(&offer, Bounds { room: 199, ..bounds(64) }, now());
    let no_room = Verdict::NoRoom { not_before: now() + TimeDelta::minutes(5) };
    assert_eq!(verdicts, [Verdict::Upload { priority: 1 }, no_room, Verdict::Upload { priority: 2 }]);
}

#[test]
fn a_guess_that_moves_with_the_time_is_no_news_and_one_that_jumps_is() {
    let at =
        |hours| Declared { overwrite_at: Some((now() + TimeDelta::hours(hours)).fixed_offset()), ..declared(1, 0) };
    assert!(!says_more(&at(40), &at(40), now()) && !says_more(&at(40), &at(49), now()));
    assert!(says_more(&at(40), &at(29), now()) && says_more(&at(9), &at(6), now()));
    assert!(says_more(&declared(1, 0), &at(40), now()) && says_more(&at(40), &declared(1, 0), now()));
    assert!(says_more(&at(40), &Declared { size: Some(7), ..at(40) }, now()));
}

/// Any offer: what its items are, when they begin, whether they are asked for or overwritten soon.
fn offers() -> impl Strategy<Value = Vec<(Declared, Known)>> {
    let item = (0..500_u32, any::<bool>(), prop::option::of(1..4_u8), prop::option::of(0..48_i64));
    prop::collection::vec(item, 0..60).prop_map(|items| {
        let known = |(n, (minute, event, wanted, hours)): (usize, (u32, bool, Option<u8>, Option<i64>))| {
            let kind = if event { Kind::Event } else { Kind::Continuous };
            let declared = Declared { kind, ..declared(u8::try_from(n).unwrap(), minute) };
            let overwrite_at = hours.map(|hours| now() + TimeDelta::hours(hours));
            (declared, Known { wanted, overwrite_at, ..Known::default() })
        };
        items.into_iter().enumerate().map(known).collect()
    })
}

proptest! {
    #[test]
    fn the_oldest_event_never_starves(offer in offers()) {
        let oldest = offer.iter().map(|(declared, _)| declared).filter(|one| one.kind == Kind::Event);
        let Some(oldest) = oldest.min_by_key(|one| (one.start, one.rid)) else { return Ok(()) };
        let order = order(&offer);
        prop_assert!(order.iter().take(4).any(|rid| *rid == oldest.rid.as_bytes()[0]), "{order:?}");
    }

    #[test]
    fn what_comes_is_in_order_of_class_and_age_but_for_every_fourth(offer in offers()) {
        let by_rid = |rid: u8| offer.iter().find(|(declared, _)| declared.rid.as_bytes()[0] == rid).unwrap();
        let key = |rid: &u8| {
            let (declared, known) = by_rid(*rid);
            (class(known, now()), declared.start, declared.rid)
        };
        let others: Vec<_> =
            order(&offer).into_iter().enumerate().filter(|(n, _)| (n + 1) % 4 != 0).map(|(_, rid)| key(&rid)).collect();
        prop_assert!(others.is_sorted());
    }

    #[test]
    fn the_order_is_the_same_however_often_and_in_whatever_order_it_is_offered(
        offer in offers(),
        turn in 0..60_usize,
    ) {
        let mut turned = offer.clone();
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        prop_assert_eq!(order(&offer), order(&turned));
        prop_assert_eq!(plan(&offer, bounds(64), now()), plan(&offer, bounds(64), now()));
    }

    #[test]
    fn whatever_is_offered_everything_that_is_wanted_comes_in_the_end(offer in offers()) {
        let mut left = offer;
        for _ in 0..60 {
            let order = order(&left);
            if order.is_empty() {
                break;
            }
            left.retain(|(declared, _)| !order.contains(&declared.rid.as_bytes()[0]));
        }
        prop_assert!(left.iter().all(|(declared, known)| declared.kind != Kind::Event && known.wanted.is_none()));
    }

    #[test]
    fn an_answer_never_begins_more_than_it_may_and_keeps_the_order(
        minutes in prop::collection::vec(0..500_u32, 0..60),
        may_begin in 0..70_usize,
    ) {
        let offer: Vec<_> = minutes
            .iter()
            .enumerate()
            .map(|(n, minute)| (declared(u8::try_from(n).unwrap(), *minute), Known::default()))
            .collect();
        let verdicts = plan(&offer, bounds(may_begin), now());
        prop_assert_eq!(verdicts.len(), offer.len());
        let mut begun: Vec<_> = verdicts
            .iter()
            .zip(&minutes)
            .filter_map(|(verdict, minute)| match verdict { Verdict::Upload { priority } => Some((*priority, *minute)), _ => None })
            .collect();
        begun.sort_unstable();
        prop_assert_eq!(begun.len(), offer.len().min(may_begin).min(16));
        prop_assert!(begun.iter().enumerate().all(|(n, (priority, _))| *priority == u32::try_from(n).unwrap() + 1));
        prop_assert!(begun.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let latest = begun.last().map_or(0, |(_, minute)| *minute);
        let waiting = verdicts.iter().zip(&minutes).filter(|(verdict, _)| !matches!(verdict, Verdict::Upload { .. }));
        prop_assert!(begun.is_empty() || waiting.clone().all(|(_, minute)| *minute >= latest), "nothing older waits");
    }
}
