//! A look at the cards: which are in, what they hold, and what came of those that are gone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::{Offload, OffloadError};
use crate::lock::lock;
use crate::source::MountId;
use crate::stock::{Growing, Stock, Stocktaker};

/// Looks in which a file may have changed before a run that is to end goes on without it.
const PATIENCE_LOOKS: u32 = 3;

impl Offload {
    /// Takes stock of everything that is watched.
    pub(super) async fn look(&mut self) -> Result<(), OffloadError> {
        let mut complaints = self.continue_deletions().await?;
        let (watch, classifier) = (self.options.watch.clone(), self.classifier.clone());
        self.roots = watch.roots().map_err(OffloadError::Mounts)?;
        let roots = self.roots.clone();
        let look = move |taker: &Stocktaker<'_>| {
            let look = |root: PathBuf| taker.take(&root, &classifier).map_err(|error| (root, error));
            roots.into_iter().map(look).collect::<Vec<_>>()
        };
        let looks = self.beside(look).await?;
        let mut stocks = Vec::new();
        let mut first_error = None;
        let (mut missing, mut unreadable) = (BTreeSet::new(), BTreeSet::new());
        for look in looks {
            match look {
                Ok(stock) => stocks.push(stock),
                Err((root, error)) => {
                    let complaint = format!("{}: {error}", root.display());
                    let is_missing = error.kind() == io::ErrorKind::NotFound;
                    if is_missing { &mut missing } else { &mut unreadable }.insert(complaint.clone());
                    complaints.insert(complaint);
                    first_error.get_or_insert((root, error));
                }
            }
        }
        let here = stocks.iter().map(|stock| (stock.root.clone(), stock.mount.clone())).collect();
        self.compare(here)?;
        // A card may be pulled out and put in again while the agent runs for ever; a run that is to end needs it now.
        if let Some((root, error)) = first_error.filter(|_| self.options.once) {
            return Err(OffloadError::Folder { folder: root.display().to_string(), error });
        }
        let not_read = stocks.iter().flat_map(|stock| &stock.unreadable);
        unreadable.extend(not_read.map(|skipped| format!("{}: {}", skipped.path.display(), skipped.reason)));
        self.note_health(&missing, &unreadable).await;
        self.take_over(stocks, &mut complaints);
        self.complain(complaints);
        Ok(())
    }

    /// Tells of the cards that are gone since the last look, or have another in their place.
    fn compare(&mut self, here: BTreeMap<PathBuf, MountId>) -> Result<(), OffloadError> {
        let before = std::mem::replace(&mut self.here, here);
        for (root, mount) in before {
            if self.here.get(&root) == Some(&mount) {
                continue;
            }
            // Whatever comes back there may be another card.
            lock(&self.rests).keep_only(&root, &HashSet::new());
            lock(&self.unreadable).keep_only(&root, &HashSet::new());
            let (folder, mut left) = (root.display().to_string(), 0);
            for recording in self.list.unfinished_below(&root) {
                self.desires.wishes.went_away(recording);
                left += 1;
            }
            let (what, it) = match self.here.contains_key(&root) {
                true => (format!("another card is in {folder}"), "the one before"),
                false => (format!("{folder} is gone"), "it"),
            };
            match left {
                0 => self.observer.say(&format!("{what}; nothing on {it} was waiting")),
                left if self.options.once => return Err(OffloadError::Gone { what, left }),
                left => self.observer.warn(&format!(
                    "{what}; {left} recordings on {it} are not done with, and go on when that card is back"
                )),
            }
        }
        Ok(())
    }

    fn take_over(&mut self, stocks: Vec<Stock>, complaints: &mut BTreeSet<String>) {
        (self.summary.found, self.summary.events, self.summary.skipped) = (0, 0, 0);
        (self.not_read, self.growing, self.unread) = (0, 0, false);
        let (mut recordings, mut soonest) = (Vec::new(), None);
        for stock in stocks {
            self.summary.found += stock.recordings.len() + stock.growing.len() + stock.unreadable.len();
            self.summary.events += stock.events;
            self.summary.skipped += stock.skipped.len();
            self.not_read += stock.unreadable.len();
            if stock.read > 0 {
                self.retry.progressed();
            }
            if stock.unread {
                // The next slice, after what is known now was offered.
                soonest = Some(Duration::ZERO);
                self.unread = true;
            }
            for skipped in stock.unreadable.iter().chain(&stock.skipped) {
                complaints.insert(format!("kept {}: {}", skipped.path.display(), skipped.reason));
            }
            for Growing { path, left, moves } in stock.growing {
                if self.options.once && moves >= PATIENCE_LOOKS {
                    let path = path.display();
                    complaints.insert(format!("kept {path}: it is still being written; run again when it is complete"));
                    self.not_read += 1;
                } else {
                    self.growing += 1;
                    soonest = soonest.into_iter().chain([left]).min();
                }
            }
            recordings.extend(stock.recordings);
        }
        let now = Instant::now();
        self.list.update(recordings, now);
        self.list.ask(&self.desires.wishes, now);
        let rescan = (!self.options.once).then_some(now + self.pace.rescan);
        self.next_look = soonest.map(|left| now + left).into_iter().chain(rescan).min();
    }

    /// Takes stock as soon as the current round is over.
    pub(super) fn look_soon(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
    }

    /// Whether the card that `path` is on was pulled out, or changed for another, since the last look.
    pub(super) async fn is_gone(&self, path: &Path) -> Result<bool, OffloadError> {
        let Some((root, mount)) = self.here.iter().find(|(root, _)| path.starts_with(root)) else {
            return Ok(true);
        };
        let (root, mount) = (root.clone(), mount.clone());
        // A device that is dying may hold this call up.
        Ok(tokio::task::spawn_blocking(move || MountId::at(&root).ok() != Some(mount)).await?)
    }

    /// Why nothing is done now.
    pub(super) fn what_waits(&self) -> String {
        let (not_requested, failed) = self.list.count();
        let waiting = [
            (self.list.asked_to_wait(), "that the server wants later"),
            (self.growing, "that may still be being written"),
            (not_requested, "not requested"),
            (self.list.stored_and_kept(), "stored and kept"),
            (failed + self.not_read, "that failed"),
            (self.unreported.len(), "deleted and not reported yet"),
        ];
        let waiting: Vec<_> = waiting.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        match waiting.as_slice() {
            [] if self.here.is_empty() => "no card is in".to_owned(),
            [] => "everything is done".to_owned(),
            waiting => format!("waiting: {}", waiting.join(", ")),
        }
    }

    /// Says what was not said at the last look.
    fn complain(&mut self, complaints: BTreeSet<String>) {
        for complaint in complaints.difference(&self.complaints) {
            self.observer.warn(complaint);
        }
        self.complaints = complaints;
    }
}
