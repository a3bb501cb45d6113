//! From the receipt to the reported deletion.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use longshore_model::RecordingId;
use longshore_protocol::{Deletion, Deletions};
use tokio::time::Instant;

use super::{Offload, OffloadError};
use crate::client::CallError;
use crate::deletions::{Carried, Intent};
use crate::lock::lock;
use crate::receipt::{Allowance, Expected};

/// Deletions of one report; with receipts of about 1 KiB this stays far below the limit of a JSON body.
const REPORT_ITEMS: usize = 200;

/// How long a run that is to end goes on for reports of deletions alone: long enough for a server that is restarted. The
/// files are safe and gone, and a person who waits for the end of the run need not wait for the server's books.
const REPORTS_ALONE: Duration = Duration::from_secs(60);

impl Offload {
    /// Continues what was begun and could not be finished: by an earlier run, or on a card that was pulled out or lets
    /// nothing be deleted.
    /// Returns what there is to complain of.
    pub(super) async fn continue_deletions(&mut self) -> Result<BTreeSet<String>, OffloadError> {
        let mut complaints = BTreeSet::new();
        let (intents, damaged) = self.journal.entries().map_err(|error| self.journal_error(error))?;
        for path in damaged {
            let path = path.display();
            complaints.insert(format!("{path} is damaged; a deletion may stay unreported, tell the administrator"));
        }
        for intent in intents {
            let known = self.refused.contains(&intent.rid) || self.unreported.iter().any(|one| one.rid == intent.rid);
            if known {
                continue;
            }
            if intent.deleted_at.is_some() {
                self.unreported.push(intent);
            } else if self.may_continue(&intent)? {
                let name = intent.path.display().to_string();
                match self.on_disk(move |journal, now| journal.resume(intent, now)).await? {
                    Ok(Carried::Deleted(intent)) => self.deleted(*intent, &name),
                    Ok(Carried::Kept(why)) => self.observer.warn(&format!("kept {name}: {why}")),
                    Ok(Carried::OutOfSight) => {
                        let what = "its deletion was begun; put that card in again to finish it";
                        complaints.insert(format!("{name}: {what}"));
                    }
                    Err(error) => {
                        complaints.insert(format!("kept {name}: it could not be deleted: {error}"));
                    }
                }
            }
        }
        Ok(complaints)
    }

    /// Whether a deletion that was begun may be finished: the receipt is checked as if it came just now.
    fn may_continue(&self, intent: &Intent) -> Result<bool, OffloadError> {
        if self.options.keep && intent.path.exists() {
            return Ok(false);
        }
        match self.checker.check(&intent.receipt, &intent.expected(), self.client.server_time()) {
            Ok(Allowance::Delete) => Ok(true),
            Ok(Allowance::KeepUntil(_)) => Ok(false),
            Err(why) => {
                self.observer.warn(&format!("kept {}: {why}", intent.path.display()));
                let closed = self.journal.close(intent.rid);
                closed.map_err(|error| self.journal_error(error))?;
                Ok(false)
            }
        }
    }

    /// Acts on a receipt for `rid`.
    pub(super) async fn settle(&mut self, rid: RecordingId, receipt: String) -> Result<(), OffloadError> {
        let Some(recording) = self.list.get(rid).cloned() else {
            return Ok(());
        };
        let expected = Expected { rid, size: recording.state.size, sha256: recording.sha256 };
        let until = match self.checker.check(&receipt, &expected, self.client.server_time()) {
            Err(why) => {
                self.fail(rid, &why.to_string());
                return Ok(());
            }
            Ok(Allowance::Delete) => None,
            Ok(Allowance::KeepUntil(until)) => Some(until),
        };
        self.retry.progressed();
        let news = self.list.stored(rid, receipt.clone(), until);
        if news {
            self.desires.wishes.handed_over(&recording);
        }
        if news && !self.list.was_sent(rid) {
            self.summary.already_there += 1;
        }
        let name = recording.name.clone();
        if self.options.keep || until.is_some() {
            if news {
                let why = until
                    .map_or_else(|| "as asked".to_owned(), |until| format!("the server wants it kept until {until}"));
                self.observer.say(&format!("kept {name}: the server has a verified copy; it stays here, {why}"));
            }
            return Ok(());
        }
        let intent = match Intent::new(&recording, receipt) {
            Ok(intent) => intent,
            Err(error) => {
                self.fail(rid, &format!("it could not be deleted: {error}"));
                if error.kind() == io::ErrorKind::NotFound {
                    // By hand, or with its card; the look tells which.
                    self.look_soon(Duration::ZERO);
                }
                return Ok(());
            }
        };
        match self.on_disk(move |journal, now| journal.delete(intent, now)).await? {
            Ok(Carried::Deleted(intent)) => self.deleted(*intent, &name),
            Ok(Carried::Kept(why)) => self.rehash(rid, why).await?,
            Ok(Carried::OutOfSight) => self.fail(rid, "the card is not there any more"),
            Err(error) => self.fail(rid, &format!("it could not be deleted: {error}")),
        }
        Ok(())
    }

    /// Deletes what the server wanted kept until now.
    pub(super) async fn release(&mut self) -> Result<(), OffloadError> {
        if self.options.keep {
            return Ok(());
        }
        let Some(now) = self.client.server_time() else { return Ok(()) };
        for (rid, receipt) in self.list.releasable(now) {
            self.settle(rid, receipt).await?;
        }
        Ok(())
    }

    fn deleted(&mut self, intent: Intent, name: &str) {
        self.list.remove(intent.rid);
        lock(&self.cache).deleted(&intent.path);
        self.summary.deleted += 1;
        self.unreported.push(intent);
        self.observer.say(&format!("deleted {name}"));
    }

    /// Tells the server what was deleted. What it does not take now stays for the next time, which nothing else waits
    /// for: a suspended device, for one, goes on handing over what it holds.
    pub(super) async fn report(&mut self) -> Result<(), OffloadError> {
        if Instant::now() < self.next_report {
            return Ok(());
        }
        while !self.unreported.is_empty() {
            let intents = self.unreported.iter().take(REPORT_ITEMS);
            let now = self.clock.local();
            let items = intents.map(|intent| Deletion {
                receipt: intent.receipt.clone(),
                deleted_at: intent.deleted_at.unwrap_or(now),
            });
            let deletions = Deletions { items: items.collect(), clock: Some(self.clock.for_wire()) };
            let answer = match self.client.report(&deletions).await {
                Ok(answer) => answer,
                Err(error) => return self.report_later(error),
            };
            let before = self.unreported.len();
            // From the back, so that the positions of those before stay what they were.
            let mut refused = answer.refused;
            refused.sort_by_key(|refused| std::cmp::Reverse(refused.index));
            for refused in refused {
                if refused.index < deletions.items.len() && refused.index < self.unreported.len() {
                    let intent = self.unreported.remove(refused.index);
                    self.refused.insert(intent.rid);
                    self.observer.warn(&format!(
                        "the server does not record that {} was deleted: {}; it is reported again at the next start",
                        intent.path.display(),
                        refused.reason
                    ));
                }
            }
            for rid in answer.recorded {
                if let Some(at) = self.unreported.iter().position(|intent| intent.rid == rid) {
                    self.journal.close(rid).map_err(|error| self.journal_error(error))?;
                    self.unreported.remove(at);
                    self.retry.progressed();
                    self.report_waits.reset();
                    self.reports_fail_since = None;
                }
            }
            if self.unreported.len() == before {
                let error = CallError::Protocol("the server neither records nor refuses the deletions".to_owned());
                return self.report_later(error);
            }
        }
        Ok(())
    }

    fn report_later(&mut self, error: CallError) -> Result<(), OffloadError> {
        let why = error.to_string();
        let wait = self.retry.put_off(error, &mut self.report_waits)?;
        let now = Instant::now();
        self.next_report = now + wait;
        self.reports_fail_since.get_or_insert(now);
        let (n, wait) = (self.unreported.len(), wait.as_secs_f32());
        let when = match self.report_due() {
            Some(_) => format!("are reported again in {wait:.1} s"),
            None => "are not to be reported within the next minute".to_owned(),
        };
        self.observer.warn(&format!("{why}; {n} deletions {when}, the rest goes on"));
        Ok(())
    }

    /// When the server is to be told of deletions next; `None`: it knows of all, or the next run tells it.
    pub(super) fn report_due(&self) -> Option<Instant> {
        let too_late = self.reports_fail_since.is_some_and(|since| self.next_report > since + REPORTS_ALONE);
        let left_to_the_next_run = self.options.once && too_late;
        (!self.unreported.is_empty() && !left_to_the_next_run).then_some(self.next_report)
    }

    /// Runs `work`, which touches the disk, beside the async threads.
    async fn on_disk(
        &self,
        work: impl FnOnce(&crate::deletions::Journal, chrono::DateTime<chrono::FixedOffset>) -> io::Result<Carried>
        + Send
        + 'static,
    ) -> Result<io::Result<Carried>, OffloadError> {
        let (journal, now) = (self.journal.clone(), self.clock.local());
        Ok(tokio::task::spawn_blocking(move || work(&journal, now)).await?)
    }

    fn journal_error(&self, error: io::Error) -> OffloadError {
        OffloadError::StateIo { path: self.journal.folder().display().to_string(), error }
    }
}
