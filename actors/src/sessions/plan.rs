//! What a device should do next with what it offers. Pure: the same offer and the same knowledge, the same answer.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Declared, Kind, UploadId};
use longshore_store::incoming::Unfinished;
use longshore_store::index::DeclaredRow;
use longshore_store::manifest::Manifest;

/// Transfers with a wrong checksum after which a recording has to wait.
const MAX_MISMATCHES: u32 = 3;
/// How long it has to wait then: long enough that a failing card does not fill the network, short enough for a shift.
const MISMATCH_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What the server knows of an offered recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Whether the device is given receipts.
    pub(crate) receipts: bool,
    /// All contents that are stored under its id, by revision.
    pub(crate) stored: Vec<Manifest>,
    pub(crate) unfinished: Option<Unfinished>,
    pub(crate) declared: Option<DeclaredRow>,
}

/// What to do with an offered recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Create an upload; lower numbers first.
    Upload {
        /// From 1.
        priority: u32,
    },
    /// Continue an upload; lower numbers first.
    Resume {
        /// The upload.
        upload: UploadId,
        /// Where it continues.
        offset: u64,
        /// From 1.
        priority: u32,
    },
    /// It is stored.
    Have {
        /// The signed receipt.
        receipt: String,
    },
    /// It is stored, and the device is suspended.
    Held,
    /// Others go first.
    Queued,
    /// It is no event, and nobody asked for it.
    NotRequested,
    /// Its checksum was wrong too often.
    Mismatched {
        /// Try again then.
        not_before: DateTime<Utc>,
    },
    /// The device has begun more uploads than it may.
    TooManyUnfinished,
    /// Compute the checksum and offer again.
    Rehash,
    /// Another content is stored under this id: create an upload all the same, it is kept beside that; lower numbers first.
    Conflict {
        /// From 1.
        priority: u32,
    },
}

/// Decides over one offer. `may_begin` is how many more uploads the device may begin, `per_answer` how many items may
/// come at once.
pub(crate) fn plan(offer: &[(Declared, Known)], may_begin: usize, per_answer: u32, now: DateTime<Utc>) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> =
        offer.iter().map(|(declared, known)| settled(declared, known, now)).collect();
    let mut open: Vec<usize> = (0..offer.len()).filter(|index| verdicts[*index].is_none()).collect();
    open.sort_by_key(|index| {
        let declared = &offer[*index].0;
        (declared.start, declared.rid)
    });
    let (mut priority, mut may_begin) = (0, may_begin);
    for index in open {
        let (declared, known) = &offer[index];
        let on_its_way = known.unfinished.as_ref().filter(|upload| upload.is_on_its_way());
        let resumable = on_its_way.filter(|upload| same_source(declared, upload));
        verdicts[index] = Some(match resumable {
            _ if priority == per_answer => Verdict::Queued,
            Some(upload) => {
                priority += 1;
                Verdict::Resume { upload: upload.identity.upload, offset: upload.offset, priority }
            }
            // A changed source takes the place of its unfinished upload.
            None if may_begin == 0 && on_its_way.is_none() => Verdict::TooManyUnfinished,
            None => {
                priority += 1;
                may_begin -= usize::from(on_its_way.is_none());
                match known.stored.is_empty() {
                    true => Verdict::Upload { priority },
                    false => Verdict::Conflict { priority },
                }
            }
        });
    }
    verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Queued)).collect()
}

/// Takes the receipts out of an answer.
pub(crate) fn withhold(verdicts: &mut [Verdict]) {
    for verdict in verdicts {
        if matches!(verdict, Verdict::Have { .. }) {
            *verdict = Verdict::Held;
        }
    }
}

/// Verdicts that do not depend on the other items; `None`: it should come.
pub(crate) fn settled(declared: &Declared, known: &Known, now: DateTime<Utc>) -> Option<Verdict> {
    if let Some(stored) = stored_as(declared, &known.stored) {
        return Some(match declared.sha256 {
            None => Verdict::Rehash,
            Some(_) if !known.receipts => Verdict::Held,
            Some(_) => Verdict::Have { receipt: stored.receipt.clone() },
        });
    }
    if declared.kind != Kind::Event {
        return Some(Verdict::NotRequested);
    }
    paused(known, now)
}

/// Which of the contents that are stored under its id this one is. Without a checksum, one of its size may be it, or any if
/// its size is not known either.
pub(crate) fn stored_as<'a>(declared: &Declared, stored: &'a [Manifest]) -> Option<&'a Manifest> {
    stored.iter().find(|manifest| match declared.sha256 {
        Some(sha256) => manifest.recording.sha256 == sha256,
        None => declared.size.is_none_or(|size| size == manifest.recording.size),
    })
}

/// The content that is stored under its id, if this is another one; of several, the newest.
pub(crate) fn conflicts_with<'a>(declared: &Declared, stored: &'a [Manifest]) -> Option<&'a Manifest> {
    stored.last().filter(|_| stored_as(declared, stored).is_none())
}

/// Bytes that were wrong again and again do not come again at once.
pub(crate) fn paused(known: &Known, now: DateTime<Utc>) -> Option<Verdict> {
    let row = known.declared.as_ref().filter(|row| row.mismatches >= MAX_MISMATCHES)?;
    let not_before = row.last_mismatch? + MISMATCH_PAUSE;
    (now < not_before).then_some(Verdict::Mismatched { not_before })
}

/// Whether an unfinished upload brings what is offered now; one that lies aside does not. A checksum that only one of the
/// two knows is compared when it is complete: a device may have had no time to compute it, or have lost it again. A length
/// that only one of the two knows is no other one.
pub(crate) fn same_source(declared: &Declared, upload: &Unfinished) -> bool {
    upload.is_on_its_way()
        && upload.identity.length.zip(declared.size).is_none_or(|(begun, offered)| begun == offered)
        && upload.identity.sha256.zip(declared.sha256).is_none_or(|(begun, offered)| begun == offered)
}

#[cfg(test)]
mod tests {
    use longshore_model::{DeviceId, ReceiptKey, Recording, RecordingId, Sha256};
    use longshore_store::{Identity, Purpose};
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn declared(n: u8, minute: u32) -> Declared {
        Declared {
            rid: RecordingId::from_bytes([n; 16]),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: (now() - TimeDelta::hours(9) + TimeDelta::minutes(i64::from(minute))).fixed_offset(),
            end: None,
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
        Unfinished { identity, offset, advanced_at: now(), aside_since: None }
    }

    #[test]
    fn events_go_oldest_first_whatever_the_order_of_the_offer() {
        let offer = [
            (declared(1, 30), Known::default()),
            (declared(2, 10), Known::default()),
            (declared(3, 20), Known::default()),
        ];
        let priorities = [3, 1, 2].map(|priority| Verdict::Upload { priority });
        assert_eq!(plan(&offer, 64, 16, now()), priorities);
    }

    #[test]
    fn what_nobody_asked_for_waits() {
        for kind in [Kind::Continuous, Kind::Snapshot] {
            let offer = [(Declared { kind, ..declared(1, 0) }, Known::default())];
            assert_eq!(plan(&offer, 64, 16, now()), [Verdict::NotRequested]);
        }
    }

    #[test]
    fn an_unfinished_upload_of_the_same_source_goes_on_and_of_another_begins_anew() {
        let item = declared(1, 0);
        let known = Known { unfinished: Some(unfinished(&item, 40)), ..Known::default() };
        let resume = Verdict::Resume { upload: UploadId::from_bytes([9; 16]), offset: 40, priority: 1 };
        let without_checksum = Declared { sha256: None, ..item.clone() };
        for item in [item.clone(), without_checksum] {
            assert_eq!(plan(&[(item, known.clone())], 0, 16, now()), std::slice::from_ref(&resume));
        }
        let changed = Declared { sha256: Some(Sha256::of(b"other")), ..item.clone() };
        assert_eq!(plan(&[(changed, known)], 0, 16, now()), [Verdict::Upload { priority: 1 }]);
        let aside = Unfinished { aside_since: Some(now()), ..unfinished(&item, 100) };
        let known = Known { unfinished: Some(aside), ..Known::default() };
        let offer = [(item, known)];
        assert_eq!(plan(&offer, 1, 16, now()), [Verdict::Upload { priority: 1 }]);
        assert_eq!(plan(&offer, 0, 16, now()), [Verdict::TooManyUnfinished]);
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
            size: declared.size.unwrap(),
            sha256: declared.sha256.unwrap(),
            attested: true,
            held: false,
            original_name: None,
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
        let verdict = |item: &Declared, known: &Known| plan(&[(item.clone(), known.clone())], 64, 16, now()).remove(0);
        for (item, manifest) in [&first, &second].into_iter().zip(&stored) {
            assert_eq!(verdict(item, &known), Verdict::Have { receipt: manifest.receipt.clone() });
            for size in [item.size, None] {
                assert_eq!(verdict(&Declared { sha256: None, size, ..item.clone() }, &known), Verdict::Rehash);
            }
            assert!(conflicts_with(item, &stored).is_none());
        }
        assert_eq!(verdict(&third, &known), Verdict::Conflict { priority: 1 });
        assert_eq!(
            verdict(&Declared { sha256: None, size: Some(99), ..first }, &known),
            Verdict::Conflict { priority: 1 }
        );
        assert_eq!(conflicts_with(&third, &stored).unwrap().recording.revision, 2);
        // Once begun, it goes on like any other, and it waits in the same cases.
        let begun = Known { unfinished: Some(unfinished(&third, 40)), ..known.clone() };
        assert!(matches!(verdict(&third, &begun), Verdict::Resume { offset: 40, .. }));
        assert_eq!(verdict(&Declared { kind: Kind::Continuous, ..third.clone() }, &known), Verdict::NotRequested);
        assert_eq!(plan(&[(third, known)], 0, 16, now()), [Verdict::TooManyUnfinished]);
    }

    #[test]
    fn a_recording_that_failed_its_checksum_three_times_waits_an_hour() {
        let item = declared(1, 0);
        let row = |mismatches, minutes_ago| DeclaredRow {
            declared: item.clone(),
            mismatches,
            last_mismatch: Some(now() - TimeDelta::minutes(minutes_ago)),
        };
        let verdict = |row| plan(&[(item.clone(), Known { declared: Some(row), ..Known::default() })], 64, 16, now());
        assert_eq!(verdict(row(2, 1)), [Verdict::Upload { priority: 1 }]);
        assert_eq!(verdict(row(3, 1)), [Verdict::Mismatched { not_before: now() + TimeDelta::minutes(59) }]);
        assert_eq!(verdict(row(3, 61)), [Verdict::Upload { priority: 1 }]);
    }

    proptest! {
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
            let verdicts = plan(&offer, may_begin, 16, now());
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
}
