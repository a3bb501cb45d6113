//! Who gets hold of an upload, and what came of one that is none any more.

use std::sync::Arc;

use actix::fut::ready;
use actix::prelude::*;
use longshore_model::{Kind, UploadId};
use longshore_store::incoming::Unfinished;
use longshore_store::manifest::Manifest;
use tokio::time::Instant;

use super::super::messages::{AttachError, CompleteWhole, Hold, Holding};
use super::super::plan;
use super::DeviceSession;
use crate::kit::blocking;
use crate::upload::{Receipted, UploadStream};

impl Handler<Hold> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Holding, AttachError>>;

    fn handle(&mut self, Hold { upload, with_body }: Hold, ctx: &mut Self::Context) -> Self::Result {
        // Nothing of what the file is now may follow what came of another.
        self.hold(upload, with_body, |_| false, ctx)
    }
}

impl Handler<CompleteWhole> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Option<Addr<UploadStream>>, AttachError>>;

    fn handle(&mut self, CompleteWhole(upload): CompleteWhole, ctx: &mut Self::Context) -> Self::Result {
        // What is whole is a recording, whatever was declared since; of anything else nothing may follow it. A transfer that
        // begins completes what it finds complete. It is not attached to, since nobody is here to take the receipt.
        let held = self.hold(upload, false, Unfinished::is_complete, ctx);
        Box::pin(held.map(|held, _, _| match held {
            Ok(Holding::Stream(stream, _)) => Ok(Some(stream)),
            // Somebody was faster.
            Ok(Holding::Stored(_)) | Err(AttachError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }))
    }
}

impl DeviceSession {
    /// `takes_any`: whether an upload is taken whose device declares another content now.
    fn hold(
        &mut self,
        upload: UploadId,
        with_body: bool,
        takes_any: fn(&Unfinished) -> bool,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Result<Holding, AttachError>> {
        self.called(ctx);
        if self.draining() {
            return Box::pin(ready(Err(AttachError::Draining)));
        }
        if let Some(left) = self.transfers.get(&upload).and_then(|known| known.failures.waits(Instant::now())) {
            return Box::pin(ready(Err(AttachError::Parked(left))));
        }
        let Some(begun) = self.parts.incoming.find(self.device, upload) else { return self.what_came_of(upload) };
        let (index, device) = (self.parts.completer.catalogue.index().clone(), self.device);
        let rid = begun.identity.rid();
        let declared = async move {
            let Some(rid) = rid else { return Ok(None) };
            blocking(move || index.declared(device, rid)).await
        };
        Box::pin(declared.into_actor(self).then(move |row, session, ctx| {
            let held = match row {
                // It may just have become a recording.
                _ if session.parts.incoming.find(device, upload).is_none() => return session.what_came_of(upload),
                Err(error) => Err(AttachError::from(error)),
                Ok(Some(row)) if !plan::same_source(&row.declared, &begun) && !takes_any(&begun) => {
                    Err(AttachError::SourceChanged)
                }
                Ok(row) => {
                    // Of a part nobody knows yet what it is a part of.
                    let kind = row.map_or(Kind::Event, |row| row.declared.kind);
                    let places = with_body.then(|| Arc::clone(&session.open_patches));
                    let stream = session.stream(upload, kind, ctx);
                    if with_body {
                        session.tries(upload, begun.offset);
                    }
                    Ok(Holding::Stream(stream, places))
                }
            };
            Box::pin(ready(held))
        }))
    }

    /// The answer to a request on what is no transfer, or none any more.
    fn what_came_of(&self, upload: UploadId) -> ResponseActFuture<Self, Result<Holding, AttachError>> {
        let (index, device) = (self.parts.completer.catalogue.index().clone(), self.device);
        let looking = async move {
            let found = blocking(move || {
                Ok((index.stored_by_upload(upload)?, index.device(device)?, index.expired(device, upload)?))
            });
            let (stored, device) = match found.await? {
                (Some(stored), Some(device), _) => (stored, device),
                (_, _, true) => return Err(AttachError::Expired),
                _ => return Err(AttachError::NotFound),
            };
            let Manifest { recording, receipt, .. } = stored;
            if recording.device != device.id {
                return Err(AttachError::NotFound);
            }
            let receipt = Some(receipt).filter(|_| device.state.gets_receipts());
            Ok(Holding::Stored(Receipted { rid: recording.rid, length: recording.size, receipt }))
        };
        Box::pin(looking.into_actor(self))
    }
}
