//! UploadStream: one transfer. It holds the only handle to the transfer's file and the ledger of its bytes; requests
//! attach to it one at a time, the newest wins, and what a request leaves behind is committed before the next begins.

mod completing;
mod handlers;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{Kind, UploadId};
use longshore_store::incoming::Transfer;
use longshore_store::{Committed, Purpose};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::Instant;

use super::attachment::{Attachment, EndError, Ended, Evicted, Grant, WriteError, resume_hash};
use super::completion::Completer;
use super::ledger::{Epoch, Ledger};
use super::messages::Attach;
use super::segment::SegmentPool;
use crate::kit::{Idles, Lifeline, Probe, Unavailable};
use crate::sessions::{AttachError, DeviceSession, UploadEnded};
use crate::storage::{Commit, CommitEvery, Open, StorageError};

/// How long a newer request waits for what an older one left on its way to the disk. Then this actor ends, and the
/// next one starts from what is durable.
const TAKEOVER: Duration = Duration::from_secs(1);

struct Holder {
    epoch: Epoch,
    evict: Option<oneshot::Sender<Evicted>>,
    /// Free again when the request lets go, and so there for one that takes over from it.
    /// Of the device, and of the server.
    _places: [Option<OwnedSemaphorePermit>; 2],
}

struct OpenFile {
    transfer: Arc<Transfer>,
    ledger: Ledger,
    /// The last commit, or the beginning of the request if that was later.
    committed: Instant,
}

/// What a transfer begins with.
pub(crate) struct StreamParts {
    pub(crate) upload: UploadId,
    /// What room it may take.
    pub(crate) kind: Kind,
    pub(crate) session: Addr<DeviceSession>,
    /// Closed when the session is gone.
    pub(crate) leash: watch::Receiver<()>,
    pub(crate) completer: Completer,
    pub(crate) pool: SegmentPool,
    pub(crate) commits: CommitEvery,
    /// Bytes that no recording has more of.
    pub(crate) longest: u64,
    pub(crate) draining: bool,
    pub(crate) probe: Probe,
}

/// The actor.
pub(crate) struct UploadStream {
    upload: UploadId,
    kind: Kind,
    lifeline: Lifeline,
    /// The receipt is there, and nobody was to take it.
    undelivered: Rc<Cell<bool>>,
    completer: Completer,
    pool: SegmentPool,
    commits: CommitEvery,
    longest: u64,
    leash: watch::Receiver<()>,
    probe: Probe,
    /// `None` before the file is open, and again while the complete file gets its name.
    file: Option<OpenFile>,
    holder: Option<Holder>,
    closing: Option<oneshot::Sender<()>>,
    /// The newest request; it waits until what came before it is durable.
    waiting: Option<Attach>,
    /// Requests that ended and wait for their commit, or for the receipt.
    ending: Vec<oneshot::Sender<Result<Ended, EndError>>>,
    committing: bool,
    completing: bool,
    draining: bool,
    /// Its session is gone, and with it whoever could find it: it commits and ends.
    orphaned: bool,
    /// Bytes of the whole recording, once all of them are there.
    length: u64,
    takeover: Option<SpawnHandle>,
    /// Since when nobody holds the transfer.
    idle_since: Option<Instant>,
    idle_timer: bool,
}

impl UploadStream {
    pub(crate) fn new(parts: StreamParts) -> Self {
        let StreamParts { upload, kind, session, leash, completer, pool, commits, longest, draining, probe } = parts;
        let undelivered = Rc::new(Cell::new(false));
        let offer_again = Rc::clone(&undelivered);
        let tell = move |ended| session.do_send(UploadEnded { upload, ended, offer_again: offer_again.get() });
        let lifeline = Lifeline::new(tell);
        Self {
            upload,
            kind,
            lifeline,
            undelivered,
            completer,
            pool,
            commits,
            longest,
            leash,
            probe,
            file: None,
            holder: None,
            closing: None,
            waiting: None,
            ending: Vec::new(),
            committing: false,
            completing: false,
            draining,
            orphaned: false,
            length: 0,
            takeover: None,
            idle_since: None,
            idle_timer: false,
        }
    }

    /// Does whatever can be done next.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        let Some(file) = &self.file else { return };
        let between_requests = self.holder.is_none() && file.ledger.is_settled();
        if self.committing {
            return;
        }
        // Who wanted it closed may have given up; then it is a transfer like any other.
        self.closing.take_if(|closed| closed.is_closed());
        if between_requests && let Some(closed) = self.closing.take() {
            return self.close(closed, ctx);
        }
        match file.ledger.uncommitted() {
            Some(to) if between_requests || self.commits.is_due(file.ledger.unsynced(), file.committed.elapsed()) => {
                return self.commit(to, ctx);
            }
            _ if !between_requests => return,
            _ => {}
        }
        // A part waits until it is joined with others.
        let is_part = file.transfer.identity().purpose == Purpose::Part;
        if file.ledger.is_complete() && !is_part && self.waiting.is_none() {
            return self.complete(ctx);
        }
        let offset = file.ledger.durable().offset;
        for reply in self.ending.drain(..) {
            let _gone = reply.send(Ok(Ended { offset, receipt: None }));
        }
        if self.waiting.is_some() {
            self.grant(ctx);
        } else if self.orphaned {
            ctx.stop();
        } else {
            self.stop_when_idle(ctx);
        }
    }

    fn orphaned(&mut self, ctx: &mut Context<Self>) {
        self.orphaned = true;
        if let Some(waiting) = self.waiting.take() {
            let _gone = waiting.reply.send(Err(AttachError::Unavailable));
        }
        self.evict(Evicted::Failed(StorageError::Unavailable));
        self.advance(ctx);
    }

    fn close(&mut self, closed: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        self.file = None;
        if let Some(waiting) = self.waiting.take() {
            let _gone = waiting.reply.send(Err(AttachError::NotFound));
        }
        for reply in self.ending.drain(..) {
            let _gone = reply.send(Err(EndError::Write(WriteError::Superseded)));
        }
        let _gone = closed.send(());
        ctx.stop();
    }

    fn commit(&mut self, to: Committed, ctx: &mut Context<Self>) {
        let Some(file) = &self.file else { return };
        self.committing = true;
        let commit = Commit { transfer: Arc::clone(&file.transfer), to };
        let committed = self.completer.writer.send(commit).into_actor(self).map(move |result, actor, ctx| {
            actor.committing = false;
            match flatten(result) {
                Ok(()) => {
                    if let Some(file) = &mut actor.file {
                        file.committed = Instant::now();
                        file.ledger.committed(to);
                    }
                    actor.advance(ctx);
                }
                Err(error) => actor.fail(error, None, ctx),
            }
        });
        ctx.spawn(committed);
    }

    fn grant(&mut self, ctx: &mut Context<Self>) {
        let (Some(file), Some(Attach { places, whole, reply })) = (&mut self.file, self.waiting.take()) else {
            return;
        };
        if let Some(timer) = self.takeover.take() {
            ctx.cancel_future(timer);
        }
        let places = match places {
            None => [None, None],
            Some(of_device) => match (of_device.try_acquire_owned(), self.pool.place()) {
                (Ok(of_device), Some(of_all)) => [Some(of_device), Some(of_all)],
                (of_device, _) => {
                    let why = if of_device.is_err() { AttachError::TooMany } else { AttachError::Crowded };
                    let _gone = reply.send(Err(why));
                    // What the request before it left may be the whole.
                    return self.advance(ctx);
                }
            },
        };
        let (epoch, at) = file.ledger.attach(whole);
        file.committed = Instant::now();
        let hash = match resume_hash(&at.hash) {
            Ok(hash) => hash,
            Err(error) => {
                let _gone = reply.send(Err(AttachError::Storage(error.clone())));
                return self.fail(error, None, ctx);
            }
        };
        let (evict, evicted) = oneshot::channel();
        self.holder = Some(Holder { epoch, evict: Some(evict), _places: places });
        let grant = Grant {
            stream: ctx.address(),
            epoch,
            purpose: file.transfer.identity().purpose,
            length: file.ledger.length(),
            bound: file.ledger.bound(),
            offset: at.offset,
            hash,
            pool: self.pool.clone(),
            whole,
            evicted,
        };
        // If the request is gone, the attachment is dropped here, and detaches.
        let _gone = reply.send(Ok(Attachment::new(grant)));
    }

    /// Ends this actor; the next one starts from the last commit. A failed write or sync is never tried again on the
    /// same handle: the second sync would say that all is well.
    fn fail(
        &mut self,
        error: StorageError,
        first: Option<oneshot::Sender<Result<(), WriteError>>>,
        ctx: &mut Context<Self>,
    ) {
        tracing::warn!(upload = %self.upload, %error, "a transfer goes back to its last commit");
        self.probe.error(&error);
        if error.blames_the_transfer() {
            self.lifeline.failed();
        }
        if let Some(waiting) = self.waiting.take() {
            let _gone = waiting.reply.send(Err(AttachError::Storage(error.clone())));
        }
        for reply in self.ending.drain(..) {
            let _gone = reply.send(Err(EndError::Write(error.clone().into())));
        }
        self.evict(Evicted::Failed(error.clone()));
        if let Some(reply) = first {
            let _gone = reply.send(Err(error.into()));
        }
        ctx.stop();
    }

    fn takeover_is_late(&mut self, ctx: &mut Context<Self>) {
        self.takeover = None;
        if self.waiting.is_none() {
            return;
        }
        if self.file.is_some() {
            return self.fail(StorageError::Slow, None, ctx);
        }
        // The file is being opened, or gets its name: ending this actor now would only begin that anew.
        if let Some(waiting) = self.waiting.take() {
            let _gone = waiting.reply.send(Err(AttachError::Storage(StorageError::Slow)));
        }
    }

    fn evict(&mut self, why: Evicted) {
        if let Some(evict) = self.holder.as_mut().and_then(|holder| holder.evict.take()) {
            let _gone = evict.send(why);
        }
    }

    fn stop_when_idle(&mut self, ctx: &mut Context<Self>) {
        self.idle_since = Some(Instant::now());
        self.watch_idleness(ctx);
    }
}

fn flatten<T>(result: Result<Result<T, StorageError>, Unavailable>) -> Result<T, StorageError> {
    result.unwrap_or(Err(StorageError::Unavailable))
}

impl Actor for UploadStream {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut leash = self.leash.clone();
        let let_go = async move { while leash.changed().await.is_ok() {} };
        ctx.spawn(let_go.into_actor(self).map(|(), actor, ctx| actor.orphaned(ctx)));
        let opened = self.completer.writer.send(Open(self.upload)).into_actor(self).map(|result, actor, ctx| {
            match flatten(result) {
                Ok((transfer, committed)) => {
                    let ledger = Ledger::new(transfer.identity().length, actor.longest, committed);
                    actor.file = Some(OpenFile { transfer, ledger, committed: Instant::now() });
                    actor.advance(ctx);
                }
                Err(StorageError::Placing) => {
                    let (completer, upload) = (actor.completer.clone(), actor.upload);
                    actor.follow(async move { completer.roll_forward(upload).await }, ctx);
                }
                Err(error) => actor.fail(error, None, ctx),
            }
        });
        ctx.spawn(opened);
    }
}

impl Idles for UploadStream {
    /// How long a transfer that nobody holds keeps its files open.
    const LIMIT: Duration = Duration::from_secs(60);

    fn timer_runs(&mut self) -> &mut bool {
        &mut self.idle_timer
    }

    fn idle_since(&self) -> Option<Instant> {
        self.idle_since
    }

    fn idled(&mut self, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
