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
/// An event that the camera overwrites within this time goes before older ones: a shift and its night.
const OVERWRITE_IS_NEAR: TimeDelta = TimeDelta::hours(24);
/// Of so many transfers at least one is that of the oldest event, whatever people ask for.
const TURN_OF_THE_OLDEST: usize = 4;
/// How long what finds no room has to wait: somebody has to make some.
const NO_ROOM_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// A guess of when something is overwritten is news when it moved by more than this part of the time that was left.
const GUESS_PARTS: i32 = 4;

/// What the server knows of an offered recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Whether the device is given receipts.
    pub(crate) receipts: bool,
    /// Priority of the most urgent request for it, 1 before all others; `None`: nobody asked for it.
    pub(crate) wanted: Option<u8>,
    /// When the device will overwrite it, in true time.
    pub(crate) overwrite_at: Option<DateTime<Utc>>,
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
    /// It is no event, and the storage has room for events only.
    NoRoom {
        /// Try again then.
        not_before: DateTime<Utc>,
    },
    /// Compute the checksum and offer again.
    Rehash,
    /// Another content is stored under this id: create an upload all the same, it is kept beside that; lower numbers first.
    Conflict {
        /// From 1.
        priority: u32,
    },
}

/// What bounds an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How many more uploads the device may begin.
    pub(crate) may_begin: usize,
    /// How many items may come at once.
    pub(crate) per_answer: u32,
    /// Bytes of the storage for what is no event. For events there is more, and a refusal of its own when that is used up.
    pub(crate) room: u64,
}

/// Decides over one offer.
pub(crate) fn plan(offer: &[(Declared, Known)], bounds: Bounds, now: DateTime<Utc>) -> Vec<Verdict> {
    let mut verdicts: Vec<Option<Verdict>> =
        offer.iter().map(|(declared, known)| settled(declared, known, now)).collect();
    let open: Vec<usize> = (0..offer.len()).filter(|index| verdicts[*index].is_none()).collect();
    let open = in_order(open, offer, now);
    let Bounds { mut may_begin, per_answer, mut room } = bounds;
    let mut priority = 0;
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
            // It must not keep events from coming, for which there is more room.
            None if declared.kind != Kind::Event && declared.size.unwrap_or(0) > room => {
                Verdict::NoRoom { not_before: now + NO_ROOM_PAUSE }
            }
            None => {
                priority += 1;
                room = room.saturating_sub(declared.size.unwrap_or(0));
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

/// What comes before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Somebody asked for it, with this priority.
    Wanted(u8),
    /// An event that the camera overwrites soon.
    OverwrittenAt(DateTime<Utc>),
    /// Any other event.
    Event,
}

fn class(known: &Known, now: DateTime<Utc>) -> Class {
    match (known.wanted, known.overwrite_at) {
        (Some(priority), _) => Class::Wanted(priority),
        (None, Some(at)) if at - now < OVERWRITE_IS_NEAR => Class::OverwrittenAt(at),
        (None, _) => Class::Event,
    }
}

/// Puts the `open` items into the order in which they should come: by their class, the oldest first in each, and the oldest
/// event of all in its turn, so that it never starves.
fn in_order(mut open: Vec<usize>, offer: &[(Declared, Known)], now: DateTime<Utc>) -> Vec<usize> {
    let age = |index: usize| {
        let declared = &offer[index].0;
        (declared.start, declared.rid)
    };
    open.sort_by_key(|index| (class(&offer[*index].1, now), age(*index)));
    let mut events: Vec<usize> = open.iter().copied().filter(|index| offer[*index].0.kind == Kind::Event).collect();
    events.sort_by_key(|index| age(*index));
    let (mut urgent, mut oldest) = (open.into_iter(), events.into_iter());
    let mut placed = vec![false; offer.len()];
    let mut order = Vec::new();
    loop {
        let is_turn = (order.len() + 1) % TURN_OF_THE_OLDEST == 0;
        let in_turn = if is_turn { oldest.find(|index| !placed[*index]) } else { None };
        let Some(next) = in_turn.or_else(|| urgent.find(|index| !placed[*index])) else { return order };
        placed[next] = true;
        order.push(next);
    }
}

/// Whether `item` says more than what the device declared `before`. When it is overwritten is a guess that moves all the time.
pub(crate) fn says_more(before: &Declared, item: &Declared, now: DateTime<Utc>) -> bool {
    let moved = match (before.overwrite_at, item.overwrite_at) {
        (Some(before), Some(at)) => {
            (at - before).abs() * GUESS_PARTS > (before.to_utc() - now).max(TimeDelta::hours(1))
        }
        (before, at) => before != at,
    };
    moved || Declared { overwrite_at: item.overwrite_at, ..before.clone() } != *item
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
    if declared.kind != Kind::Event && known.wanted.is_none() {
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
mod tests;
