//! What requests ask of a transfer and leave to it.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::super::attachment::{Evicted, WriteError};
use super::super::ledger::{Epoch, Refusal};
use super::super::messages::{Append, Attach, Close, Detached, Drain, SetLength, Tail};
use super::{TAKEOVER, UploadStream, flatten};
use crate::kit::{InFlight, fail_point};
use crate::sessions::AttachError;
use crate::storage::{SetLength as WriteLength, StorageError, Write};

impl UploadStream {
    fn append(
        &mut self,
        epoch: Epoch,
        tail: Tail,
        reply: Option<oneshot::Sender<Result<(), WriteError>>>,
        ctx: &mut Context<Self>,
    ) {
        let Some(file) = &mut self.file else { return };
        let Tail { offset, segment, hash_after } = tail;
        let len = segment.len() as u64;
        if let Err(refusal) = file.ledger.accept(epoch, offset, len, hash_after) {
            if let Some(reply) = reply {
                let _gone = reply.send(Err(refusal.into()));
            }
            return;
        }
        let write = Write { transfer: Arc::clone(&file.transfer), segment, offset, kind: self.kind };
        let in_flight = self.probe.in_flight();
        let written = self.completer.writer.send(write).into_actor(self).map(move |result, actor, ctx| {
            let _until_here: InFlight = in_flight;
            match flatten(result) {
                Ok(()) => {
                    if let Some(file) = &mut actor.file {
                        file.ledger.wrote(offset + len);
                    }
                    if let Some(reply) = reply {
                        let _gone = reply.send(Ok(()));
                    }
                    actor.advance(ctx);
                }
                Err(error) => actor.fail(error, reply, ctx),
            }
        });
        ctx.spawn(written);
    }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLong => Self::TooLong,
            Refusal::OtherLength => Self::OtherLength,
            Refusal::Superseded => Self::Superseded,
            // The attachment counts offsets and segments itself; if they differ, one of the two is wrong.
            Refusal::WrongOffset | Refusal::TooManyInFlight => Self::Unavailable,
        }
    }
}

impl Handler<Attach> for UploadStream {
    type Result = ();

    fn handle(&mut self, attach: Attach, ctx: &mut Self::Context) {
        if self.draining || self.orphaned {
            let why = if self.draining { AttachError::Draining } else { AttachError::Unavailable };
            let _gone = attach.reply.send(Err(why));
            return;
        }
        self.idle_since = None;
        if let Some(older) = self.waiting.replace(attach) {
            let _gone = older.reply.send(Err(AttachError::Superseded));
        }
        self.evict(Evicted::Superseded);
        let timer = ctx.run_later(TAKEOVER, Self::takeover_is_late);
        if let Some(older) = self.takeover.replace(timer) {
            ctx.cancel_future(older);
        }
        self.advance(ctx);
    }
}

impl Handler<Append> for UploadStream {
    type Result = ();

    fn handle(&mut self, Append { epoch, tail, reply }: Append, ctx: &mut Self::Context) {
        fail_point!("upload-append");
        self.append(epoch, tail, Some(reply), ctx);
    }
}

impl Handler<SetLength> for UploadStream {
    type Result = ();

    fn handle(&mut self, SetLength { epoch, length, reply }: SetLength, ctx: &mut Self::Context) {
        let Some(file) = &self.file else { return };
        let allowed = file.ledger.may_end_at(epoch, length);
        if allowed.is_err() || file.ledger.length() == Some(length) {
            let _gone = reply.send(allowed.map_err(WriteError::from));
            return;
        }
        let write = WriteLength { transfer: Arc::clone(&file.transfer), length, kind: self.kind };
        let in_flight = self.probe.in_flight();
        // Like a commit: no other request begins before it is known what length the disk has.
        self.committing = true;
        let written = self.completer.writer.send(write).into_actor(self).map(move |result, actor, ctx| {
            let _until_here: InFlight = in_flight;
            actor.committing = false;
            match flatten(result) {
                Ok(()) => {
                    if let Some(file) = &mut actor.file {
                        file.ledger.ends_at(length);
                    }
                    let _gone = reply.send(Ok(()));
                    actor.advance(ctx);
                }
                // Looked at before anything was written: the transfer is as it was.
                Err(error @ (StorageError::NoRoom { .. } | StorageError::NotThere(_))) => {
                    let _gone = reply.send(Err(error.into()));
                    actor.advance(ctx);
                }
                Err(error) => actor.fail(error, Some(reply), ctx),
            }
        });
        ctx.spawn(written);
    }
}

impl Handler<Detached> for UploadStream {
    type Result = ();

    fn handle(&mut self, Detached { epoch, tail, keep, reply }: Detached, ctx: &mut Self::Context) {
        if let Some(tail) = tail {
            self.append(epoch, tail, None, ctx);
        }
        if self.holder.as_ref().is_some_and(|holder| holder.epoch == epoch) {
            self.holder = None;
            if let Some(file) = &mut self.file {
                file.ledger.detach(keep);
            }
        }
        self.ending.extend(reply);
        self.advance(ctx);
    }
}

impl Handler<Close> for UploadStream {
    type Result = ();

    fn handle(&mut self, Close(closed): Close, ctx: &mut Self::Context) {
        self.closing = Some(closed);
        self.evict(Evicted::Superseded);
        self.advance(ctx);
    }
}

impl Handler<Drain> for UploadStream {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.draining = true;
        if let Some(waiting) = self.waiting.take() {
            let _gone = waiting.reply.send(Err(AttachError::Draining));
        }
        self.evict(Evicted::Draining);
        self.advance(ctx);
    }
}
