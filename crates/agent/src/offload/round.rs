//! One round: offer what is due, then do what the answers ask for, in the server's order.

use std::time::Duration;

use longshore_model::{BLOCK_BYTES, RecordingId, Sha256};
use longshore_protocol::{Answer, Blocks, Offers, limits};
use tokio::time::Instant;

use super::{Offload, OffloadError};
use crate::body::SourceError;
use crate::client::CallError;
use crate::progress::human_bytes;
use crate::recording::Recording;
use crate::source::HashError;
use crate::transfer::{Begin, Ending, Transfer};
use crate::worklist::{Task, batches, turn};

/// Bytes of JSON items in one offer; well below the limit, which counts the rest of the body too.
const OFFER_BYTES: usize = limits::JSON_BYTES * 3 / 4;

impl Offload {
    pub(super) async fn round(&mut self) -> Result<(), OffloadError> {
        let mut tasks = match self.offer().await {
            Ok(tasks) => tasks,
            Err(error) => return Ok(self.retry.after(error).await?),
        };
        if tasks.is_empty() {
            if self.list.next_due().is_some_and(|at| at <= Instant::now()) {
                let reason = "the server has other recordings to take first";
                return Ok(self.retry.wait(None, reason).await?);
            }
            // With tasks, what comes of them counts: a server that takes offers alone is not to be called without pause.
            self.retry.answered();
            return Ok(());
        }
        // Stable, so that of equal places the older recording, which was offered first, keeps the first.
        tasks.sort_by_key(|(turn, ..)| *turn);
        for (done, (_, rid, task)) in tasks.into_iter().enumerate() {
            // What people ask for meanwhile goes first; one task of each answer is done in any case.
            if done > 0 && self.desires.have_changed(&self.client) {
                break;
            }
            let path = self.list.get(rid).map(|recording| recording.path.clone());
            let gone = match path {
                Some(path) => self.is_gone(&path).await?,
                None => false,
            };
            if gone || self.options.watch.has_changed(&self.roots).map_err(OffloadError::Mounts)? {
                // What the other tasks are about may be gone, or have to wait for what is on another card.
                self.look_soon(Duration::ZERO);
                break;
            }
            match task {
                Task::Create => self.transfer(rid, Begin::New).await?,
                Task::Continue(url) => self.transfer(rid, Begin::At(url)).await?,
                Task::Settle(receipt) => self.settle(rid, receipt).await?,
                Task::Rehash => self.rehash(rid, "the server wants its checksum").await?,
            }
        }
        Ok(())
    }

    async fn offer(&mut self) -> Result<Vec<((usize, u32), RecordingId, Task)>, CallError> {
        let due = self.list.due(Instant::now());
        let mut tasks = Vec::new();
        for (request, items) in batches(due, limits::OFFER_ITEMS, OFFER_BYTES).into_iter().enumerate() {
            let offered: Vec<_> = items.iter().map(|item| item.rid).collect();
            let clock = Some(self.clock.for_wire());
            let answer = self.client.offer(&Offers { items, clock }).await?;
            let server_time = self.client.server_time().unwrap_or_else(|| self.clock.now());
            if !answer.items.iter().map(|item| item.rid).eq(offered) {
                return Err(CallError::Protocol("the answer is not about what was offered".to_owned()));
            }
            for item in answer.items {
                if matches!(item.answer, Answer::Conflict { .. })
                    && let Some(recording) = self.list.get(item.rid)
                {
                    let name = &recording.name;
                    self.observer.warn(&format!("{name}: the server has another content under its id, and keeps both"));
                }
                let task = self.list.answered(item.rid, item.answer, Instant::now(), server_time);
                tasks.extend(task.map(|(place, task)| (turn(request, place), item.rid, task)));
            }
        }
        self.tell_held_up();
        Ok(tasks)
    }

    /// Says that recordings wait for uploads that were begun; once, until none of them does any more.
    fn tell_held_up(&mut self) {
        let n = self.list.held_up();
        if n > 0 && !self.told_unfinished {
            self.observer.warn(&format!(
                "{n} recordings wait: the server has as many unfinished uploads of this device as it may have; put in \
                 the card that those were begun from, or tell the administrator"
            ));
        }
        self.told_unfinished = n > 0;
    }

    async fn transfer(&mut self, rid: RecordingId, mut begin: Begin) -> Result<(), OffloadError> {
        // A transfer may take an hour; what was deleted before it must not wait as long.
        self.report().await?;
        loop {
            let Some(recording) = self.list.get(rid).cloned() else {
                return Ok(());
            };
            let transfer = Transfer {
                client: &self.client,
                recording: &recording,
                observer: &self.observer,
                stalled: self.pace.stalled,
            };
            match transfer.run(begin, &mut self.retry).await? {
                Ending::Complete(receipt) => self.sent(rid, &recording, receipt).await?,
                Ending::OfferAgain(asked) => {
                    let asked = asked.map(|asked| asked.min(self.pace.longest));
                    self.list.again(rid, Instant::now(), asked);
                }
                Ending::Rehash(why) => self.rehash(rid, &why).await?,
                Ending::Mismatch(why) => {
                    if let Some(path) = self.repair(rid, &why).await? {
                        begin = Begin::At(path);
                        continue;
                    }
                }
                Ending::Source(error) => self.unreadable(rid, error).await?,
                Ending::Failed(why) => self.fail(rid, &why),
            }
            return Ok(());
        }
    }

    async fn sent(
        &mut self,
        rid: RecordingId,
        recording: &Recording,
        receipt: Option<String>,
    ) -> Result<(), OffloadError> {
        if self.list.sent(rid) {
            self.summary.sent += 1;
            let size = human_bytes(recording.state.size);
            self.observer.say(&format!("sent {} ({size})", recording.name));
        }
        match receipt {
            Some(receipt) => self.settle(rid, receipt).await,
            None => {
                self.list.again(rid, Instant::now(), None);
                Ok(())
            }
        }
    }

    /// Computes the checksum anew, and has the recording offered again under what it says.
    pub(super) async fn rehash(&mut self, rid: RecordingId, why: &str) -> Result<(), OffloadError> {
        self.read_again(rid, why).await.map(drop)
    }

    /// Reads the file again. If it is what it was before, the path of the upload that goes on where the server's bytes are
    /// wrong, if it kept the others; in any other case the recording is offered again.
    async fn repair(&mut self, rid: RecordingId, why: &str) -> Result<Option<String>, OffloadError> {
        let Some((recording, blocks)) = self.read_again(rid, why).await? else { return Ok(None) };
        if blocks.len() > limits::BLOCKS {
            return Ok(None);
        }
        let Recording { sha256, state, .. } = recording;
        let blocks = Blocks { block_size: BLOCK_BYTES, size: state.size, sha256, blocks };
        loop {
            let error = match self.client.repair(rid, &blocks).await {
                Ok(path) => return Ok(Some(path)),
                Err(error) => error,
            };
            // A server that cannot do it, or kept nothing, takes everything anew; what it has against that, it says then.
            match &error {
                CallError::Protocol(_) => return Ok(None),
                CallError::Problem { problem, .. } if (400..500).contains(&problem.status) && problem.status != 429 => {
                    return Ok(None);
                }
                _ => self.retry.after(error).await?,
            }
        }
    }

    /// Computes the checksums of the file again. If they are what they were, they are returned, and the recording is offered
    /// again after a moment; otherwise it is offered as what it is now.
    async fn read_again(
        &mut self,
        rid: RecordingId,
        why: &str,
    ) -> Result<Option<(Recording, Vec<Sha256>)>, OffloadError> {
        let Some(recording) = self.list.get(rid).cloned() else {
            return Ok(None);
        };
        if !self.list.may_rehash(rid) {
            self.fail(rid, &format!("{why}, again and again; the card or the connection may be damaged"));
            return Ok(None);
        }
        let name = recording.name.clone();
        self.observer.warn(&format!("{name}: {why}; computing its checksum again"));
        match self.beside(move |taker| taker.again(&recording)).await? {
            Ok((recording, blocks)) => {
                let same = recording.rid == rid;
                self.list.replace(rid, recording.clone(), Instant::now());
                // The same bytes again: the server may need a moment, so the offer is not repeated at once.
                if same {
                    self.list.again(rid, Instant::now(), None);
                }
                return Ok(same.then_some((recording, blocks)));
            }
            Err(HashError::Changed) => self.changed(rid),
            Err(error) => self.fail(rid, &error.to_string()),
        }
        Ok(None)
    }

    /// The file could not be sent.
    async fn unreadable(&mut self, rid: RecordingId, error: SourceError) -> Result<(), OffloadError> {
        match error {
            SourceError::Changed => self.changed(rid),
            SourceError::Io(error) => {
                let path = self.list.get(rid).map(|recording| recording.path.clone()).unwrap_or_default();
                if self.is_gone(&path).await? {
                    self.look_soon(Duration::ZERO);
                } else {
                    self.fail(rid, &format!("it cannot be read: {error}"));
                }
            }
        }
        Ok(())
    }

    /// The file is not the one that was hashed: what it becomes is another recording, offered when it rests.
    fn changed(&mut self, rid: RecordingId) {
        if let Some(recording) = self.list.get(rid) {
            let name = recording.name.clone();
            self.observer
                .warn(&format!("{name}: it changed after its checksum was computed; it goes on when it rests"));
        }
        self.list.forget(rid);
        self.look_soon(self.pace.rest);
    }

    /// Leaves the file where it is and tells why, once.
    pub(super) fn fail(&mut self, rid: RecordingId, why: &str) {
        let Some(name) = self.list.get(rid).map(|recording| recording.name.clone()) else {
            return;
        };
        if self.list.failed(rid, why, Instant::now()) {
            self.observer.warn(&format!("kept {name}: {why}"));
        }
    }
}
