//! What is to be done about each recording; pure, so the whole bookkeeping is tested without a server.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{RecordingId, RequestId};
use longshore_protocol::{Answer, Later, OfferItem};
use tokio::time::Instant;

use crate::backoff::{Backoff, Pace};
use crate::recording::Recording;
use crate::wishes::Wishes;

/// How often the checksum of one file is computed anew in one run. After that the card, the memory or the network
/// damages bytes, and sending the file over and over would not help.
const REHASHES: u32 = 4;
/// Wait before a recording that nobody asked for is offered again. A person who asks for one does not stand beside the
/// camera, and a full card holds thousands of them.
const NOT_REQUESTED: Duration = Duration::from_secs(600);
/// Longest wait before a recording that failed is tried again: a person may have acted by then.
const LONGEST_FOR_FAILED: Duration = Duration::from_secs(3_600);

/// Where a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// To be offered, at this time or after.
    Due(Instant),
    /// Nobody asked for it; it is offered again when stock is taken at this time or after.
    NotRequested(Instant),
    /// The server has it and the receipt is right, but the file stays: for good (`--keep`), or until a time.
    Stored {
        /// The receipt.
        receipt: String,
        /// When the file may go; `None`: it stays.
        until: Option<DateTime<Utc>>,
    },
    /// A person has to look; it is tried again when stock is taken at this time or after.
    Failed(Instant),
}

/// What an answer of the server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Create an upload and send the file.
    Create,
    /// Continue the upload at this URL.
    Continue(String),
    /// Check the receipt, and delete the file.
    Settle(String),
    /// Compute the checksum anew.
    Rehash,
}

#[derive(Debug)]
struct Item {
    recording: Recording,
    standing: Standing,
    /// For which request it is offered.
    request: Option<RequestId>,
    waits: Backoff,
    failures: Backoff,
    sent: bool,
    /// The server takes no new upload of this device before one that was begun is complete.
    held_up: bool,
    complaint: Option<String>,
}

/// The recordings of a card that are not done with.
#[derive(Debug)]
pub(crate) struct Worklist {
    items: BTreeMap<RecordingId, Item>,
    rehashes: HashMap<PathBuf, u32>,
    waits: Backoff,
    failures: Backoff,
}

impl Worklist {
    /// An empty list.
    pub(crate) fn new(pace: &Pace) -> Self {
        Self {
            items: BTreeMap::new(),
            rehashes: HashMap::new(),
            waits: Backoff::new(pace.first, pace.longest_for_receipt),
            failures: Backoff::new(pace.first, LONGEST_FOR_FAILED),
        }
    }

    /// Takes over what is on the card now. What is gone is forgotten; what failed or was not requested is offered again
    /// after a while, since a person may have acted in the meantime.
    pub(crate) fn update(&mut self, present: Vec<Recording>, now: Instant) {
        let ids: HashSet<_> = present.iter().map(|recording| recording.rid).collect();
        self.items.retain(|rid, _| ids.contains(rid));
        for recording in present {
            match self.items.get_mut(&recording.rid) {
                Some(item) => {
                    item.recording = recording;
                    if let Standing::NotRequested(again) | Standing::Failed(again) = item.standing
                        && again <= now
                    {
                        item.standing = Standing::Due(now);
                    }
                }
                None => self.add(recording, now),
            }
        }
    }

    fn add(&mut self, recording: Recording, now: Instant) {
        let item = Item {
            standing: Standing::Due(now),
            request: None,
            waits: self.waits.clone(),
            failures: self.failures.clone(),
            sent: false,
            held_up: false,
            complaint: None,
            recording,
        };
        self.items.insert(item.recording.rid, item);
    }

    /// The recording `rid`, if it is not done with.
    pub(crate) fn get(&self, rid: RecordingId) -> Option<&Recording> {
        self.items.get(&rid).map(|item| &item.recording)
    }

    /// Whether `rid` was sent in this run, so that the server did not have it before.
    pub(crate) fn was_sent(&self, rid: RecordingId) -> bool {
        self.items.get(&rid).is_some_and(|item| item.sent)
    }

    /// What is to be offered now, oldest first.
    pub(crate) fn due(&self, now: Instant) -> Vec<OfferItem> {
        let is_due = |item: &&Item| matches!(item.standing, Standing::Due(at) if at <= now);
        let mut due: Vec<_> = self.items.values().filter(is_due).collect();
        // What somebody asked for goes into the first request, so that no other one's places come before it.
        let key = |item: &Item| (item.request.is_none(), item.recording.start);
        due.sort_by(|a, b| (key(a), &a.recording.name).cmp(&(key(b), &b.recording.name)));
        due.into_iter().map(|item| item.recording.offer(item.request)).collect()
    }

    /// Takes over what people ask for: what nobody asked for before is to be offered now.
    pub(crate) fn ask(&mut self, wishes: &Wishes, now: Instant) {
        for item in self.items.values_mut() {
            let request = wishes.request_for(&item.recording);
            let before = std::mem::replace(&mut item.request, request);
            if request.is_some() && request != before && matches!(item.standing, Standing::NotRequested(_)) {
                item.standing = Standing::Due(now);
            }
        }
    }

    /// All recordings that are here, and whether the server has them.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&Recording, bool)> + Clone {
        self.items.values().map(|item| (&item.recording, matches!(item.standing, Standing::Stored { .. })))
    }

    /// When something is to be offered next; `None`: nothing waits.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |item: &Item| match item.standing {
            Standing::Due(at) => Some(at),
            _ => None,
        };
        self.items.values().filter_map(due).min()
    }

    /// Notes the server's answer about `rid`, and returns what there is to do, with its place in the order.
    pub(crate) fn answered(
        &mut self,
        rid: RecordingId,
        answer: Answer,
        now: Instant,
        wall: DateTime<Utc>,
    ) -> Option<(u32, Task)> {
        let item = self.items.get_mut(&rid)?;
        item.held_up = matches!(answer, Answer::Later { reason: Later::TooManyUnfinished, .. });
        match answer {
            Answer::Upload { priority } | Answer::Conflict { priority } => return Some((priority, Task::Create)),
            Answer::Resume { url, priority, .. } => return Some((priority, Task::Continue(url))),
            // These cost no bandwidth and make room on the card, so they come before all transfers.
            Answer::Have { receipt } => return Some((0, Task::Settle(receipt))),
            Answer::Rehash => return Some((0, Task::Rehash)),
            Answer::Later { reason, not_before } => {
                let asked = not_before.map(|at| (at - wall).to_std().unwrap_or_default());
                item.standing = match reason {
                    Later::NotRequested => Standing::NotRequested(now + NOT_REQUESTED),
                    Later::Queued => Standing::Due(now + asked.unwrap_or_default()),
                    Later::ChecksumMismatch | Later::TooManyUnfinished | Later::NoRoom | Later::Held => {
                        Standing::Due(now + asked.unwrap_or_default().max(item.waits.step()))
                    }
                };
            }
        }
        None
    }

    /// Offers `rid` again after a short wait that doubles, or after the wait that the server asked for.
    pub(crate) fn again(&mut self, rid: RecordingId, now: Instant, asked: Option<Duration>) {
        if let Some(item) = self.items.get_mut(&rid) {
            let own = item.waits.step();
            item.standing = Standing::Due(now + asked.unwrap_or(own));
        }
    }

    /// All bytes of `rid` are on the server. Returns whether that is news.
    pub(crate) fn sent(&mut self, rid: RecordingId) -> bool {
        self.items.get_mut(&rid).is_some_and(|item| {
            item.waits.reset();
            !std::mem::replace(&mut item.sent, true)
        })
    }

    /// The server has `rid`, and the file stays here. Returns whether that is news.
    pub(crate) fn stored(&mut self, rid: RecordingId, receipt: String, until: Option<DateTime<Utc>>) -> bool {
        self.items.get_mut(&rid).is_some_and(|item| {
            let known = matches!(item.standing, Standing::Stored { .. });
            item.standing = Standing::Stored { receipt, until };
            !known
        })
    }

    /// A person has to look at `rid`. Returns whether this complaint is news.
    pub(crate) fn failed(&mut self, rid: RecordingId, complaint: &str, now: Instant) -> bool {
        self.items.get_mut(&rid).is_some_and(|item| {
            item.held_up = false;
            item.standing = Standing::Failed(now + item.failures.step());
            item.complaint.replace(complaint.to_owned()).as_deref() != Some(complaint)
        })
    }

    /// `rid` is not to be done anything about until the next look finds it again.
    pub(crate) fn forget(&mut self, rid: RecordingId) {
        self.items.remove(&rid);
    }

    /// The file of `rid` is deleted or gone.
    pub(crate) fn remove(&mut self, rid: RecordingId) {
        if let Some(item) = self.items.remove(&rid) {
            self.rehashes.remove(&item.recording.path);
        }
    }

    /// Whether the checksum of `rid` may be computed anew; counts.
    pub(crate) fn may_rehash(&mut self, rid: RecordingId) -> bool {
        self.items.get(&rid).is_some_and(|item| {
            let count = self.rehashes.entry(item.recording.path.clone()).or_default();
            *count += 1;
            *count <= REHASHES
        })
    }

    /// Puts the recording with its new checksum in the place of `rid`.
    pub(crate) fn replace(&mut self, rid: RecordingId, recording: Recording, now: Instant) {
        match self.items.get_mut(&rid) {
            Some(item) if recording.rid == rid => {
                item.recording = recording;
                item.standing = Standing::Due(now);
            }
            _ => {
                self.items.remove(&rid);
                self.add(recording, now);
            }
        }
    }

    /// Recordings that are stored and whose files may go at the time `wall`, with their receipts.
    pub(crate) fn releasable(&self, wall: DateTime<Utc>) -> Vec<(RecordingId, String)> {
        let releasable = |(rid, item): (&RecordingId, &Item)| match &item.standing {
            Standing::Stored { receipt, until: Some(until) } if *until <= wall => Some((*rid, receipt.clone())),
            _ => None,
        };
        self.items.iter().filter_map(releasable).collect()
    }

    /// The recordings below `root` that are not done with: still to be sent, or to be deleted one day.
    pub(crate) fn unfinished_below(&self, root: &Path) -> impl Iterator<Item = &Recording> {
        let unfinished = |item: &&Item| match item.standing {
            Standing::NotRequested(_) | Standing::Stored { until: None, .. } => false,
            Standing::Due(_) | Standing::Stored { .. } | Standing::Failed(_) => true,
        };
        self.items.values().filter(unfinished).map(|item| &item.recording).filter(move |it| it.path.starts_with(root))
    }

    /// How many recordings wait for the time at which the server wants them offered again.
    pub(crate) fn asked_to_wait(&self) -> usize {
        self.items.values().filter(|item| matches!(item.standing, Standing::Due(_))).count()
    }

    /// How many recordings wait because too many uploads of this device are begun and not complete.
    pub(crate) fn held_up(&self) -> usize {
        self.items.values().filter(|item| item.held_up).count()
    }

    /// How many recordings the server has whose files stay here.
    pub(crate) fn stored_and_kept(&self) -> usize {
        self.items.values().filter(|item| matches!(item.standing, Standing::Stored { .. })).count()
    }

    /// How many recordings nobody asked for, and how many failed.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.items.values().fold((0, 0), |(not_requested, failed), item| match item.standing {
            Standing::NotRequested(_) => (not_requested + 1, failed),
            Standing::Failed(_) => (not_requested, failed + 1),
            Standing::Due(_) | Standing::Stored { .. } => (not_requested, failed),
        })
    }
}

/// Cuts offers into requests of at most `most` items and `bytes` bytes of JSON. One item alone is always let through.
pub(crate) fn batches(items: Vec<OfferItem>, most: usize, bytes: usize) -> Vec<Vec<OfferItem>> {
    let mut batches: Vec<Vec<OfferItem>> = Vec::new();
    let mut room = 0;
    for item in items {
        let size = serde_json::to_vec(&item).map_or(bytes, |json| json.len() + 1);
        match batches.last_mut() {
            Some(batch) if batch.len() < most && size <= room => {
                room -= size;
                batch.push(item);
            }
            _ => {
                room = bytes.saturating_sub(size);
                batches.push(vec![item]);
            }
        }
    }
    batches
}

/// When a task comes its turn, lower first: the server counts places anew in each answer, so those of an earlier request,
/// whose recordings are older, come first. What has no place comes before all.
pub(crate) fn turn(request: usize, place: u32) -> (usize, u32) {
    match place {
        0 => (0, 0),
        place => (request, place),
    }
}

#[cfg(test)]
mod tests;
