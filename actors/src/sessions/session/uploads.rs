//! Uploads are made and given up.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use longshore_model::{DeviceId, Kind, Recording, UploadId};
use longshore_store::facts::Fact;
use longshore_store::incoming::{Incoming, Unfinished};
use longshore_store::index::{DeclaredRow, IndexError};
use longshore_store::{Identity, Purpose};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::messages::{Brings, CreateError, CreateUpload, Created, Expire, Terminate, TerminateError};
use super::super::plan::{self, Known};
use super::{CLOSE, DeviceSession, conflict, gets_receipts, is_unset, requests_of};
use crate::kit::{Idles as _, blocking};
use crate::requests;
use crate::storage::{Clear, Discard, Reserve, StorageError};
use crate::upload::{Close, CompleteError, Completer, UploadStream};

impl Handler<CreateUpload> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Created, CreateError>>;

    fn handle(&mut self, CreateUpload(brings): CreateUpload, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let (rid, length) = match &brings {
            Brings::Offered { rid, length } => (*rid, *length),
            Brings::Declared(declared) => (declared.rid, declared.size),
            Brings::Part { length } => return self.create_part(*length),
        };
        let (device, limits) = (self.device, self.parts.limits);
        let (completer, incoming) = (self.parts.completer.clone(), self.parts.incoming.clone());
        let (creating, in_flight) = (Arc::clone(&self.creating), self.probe.in_flight());
        let streams: HashMap<UploadId, Addr<UploadStream>> =
            self.transfers.iter().map(|(upload, known)| (*upload, known.stream.clone())).collect();
        let creating = async move {
            let _in_flight = in_flight;
            // Not for ever: behind a hanging disk, requests that nobody waits for any more must not pile up.
            let one_at_a_time = timeout(CLOSE, creating.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| StorageError::Slow)?;
            // Looked at before what is stored: an upload that becomes a recording in between is found in the one or the
            // other.
            let begun = incoming.of_recording(device, rid);
            let index = completer.catalogue.index().clone();
            let looked_up = blocking(move || {
                let (stored, row) = (index.stored(device, rid)?, index.declared(device, rid)?);
                let open = requests_of(&index, device, gets_receipts(&index, device)?)?;
                let span = |row: &DeclaredRow| Ok::<_, IndexError>(row.declared.span(&index.clock(device)?));
                let span = row.as_ref().map_or(Ok(None), span)?;
                let wanted = row.as_ref().and_then(|row| requests::wanted(&row.declared, span, &open));
                Ok((stored, row, wanted))
            });
            let (stored, row, wanted) = looked_up.await?;
            let parts_before = row.as_ref().map(|row| row.declared.parts.clone()).unwrap_or_default();
            let now = completer.clock.now();
            let mut news = Vec::new();
            let (declared, settled) = match brings {
                Brings::Declared(declared) => {
                    let mut declared = *declared;
                    declared.clock_unset |= is_unset(declared.start, now);
                    if !declared.parts.is_empty() {
                        let before = row.as_ref().map(|row| &row.declared);
                        let before = before.filter(|before| before.parts == declared.parts);
                        // Joined before; its parts are gone, and the answer may have been lost.
                        if let Some(joined) = before.and_then(|before| plan::stored_as(before, &stored)) {
                            let Recording { upload, size, .. } = joined.recording;
                            return Ok(Created { upload, offset: size, length: Some(size) });
                        }
                        declared.size = Some(length_of(&incoming, device, &declared.parts, limits.upload_bytes)?);
                    }
                    if plan::stored_as(&declared, &stored).is_some() {
                        return Err(CreateError::AlreadyStored);
                    }
                    let known = Known { declared: row, ..Known::default() };
                    let paused = plan::paused(&known, now);
                    if known.declared.is_none_or(|row| row.declared != declared) {
                        news.extend(conflict(device, &declared, &stored));
                        news.push(Fact::Declared { device, items: vec![declared.clone()] });
                    }
                    (declared, paused)
                }
                // A part is made elsewhere.
                Brings::Offered { .. } | Brings::Part { .. } => {
                    let not_offered =
                        if stored.is_empty() { CreateError::NotOffered } else { CreateError::AlreadyStored };
                    let declared = row.as_ref().ok_or(not_offered)?.declared.clone();
                    if plan::stored_as(&declared, &stored).is_some() {
                        return Err(CreateError::AlreadyStored);
                    }
                    let known = Known { declared: row, wanted, ..Known::default() };
                    let settled = plan::settled(&declared, &known, now);
                    (declared, settled)
                }
            };
            if settled.is_some() {
                return Err(CreateError::NotNow);
            }
            if let Some((_, offered)) = length.zip(declared.size).filter(|(length, offered)| length != offered) {
                return Err(CreateError::SizeDiffers { offered });
            }
            let length = declared.size;
            match &begun {
                Some(begun) if plan::same_source(&declared, begun) && declared.parts == parts_before => {
                    let Unfinished { identity, offset, .. } = begun;
                    completer.catalogue.record(news).await.map_err(CompleteError::from)?;
                    return Ok(Created { upload: identity.upload, offset: *offset, length: identity.length });
                }
                Some(begun) if begun.is_on_its_way() => {}
                _ if incoming.begun_by(device) >= limits.unfinished_uploads => {
                    return Err(CreateError::TooManyUnfinished);
                }
                _ => {}
            }
            if let Some(begun) = begun {
                let begun = begun.identity.upload;
                give_up(&completer, streams.get(&begun), begun, Clear::GivenUp).await?;
                let index = completer.catalogue.index().clone();
                let stored = blocking(move || index.stored(device, rid)).await?;
                if plan::stored_as(&declared, &stored).is_some() {
                    return Err(CreateError::AlreadyStored);
                }
            }
            let upload = UploadId::random().map_err(|error| StorageError::Io(error.to_string()))?;
            let purpose = if declared.parts.is_empty() { Purpose::Recording(rid) } else { Purpose::Joined(rid) };
            let identity = Identity { upload, device, purpose, length, sha256: declared.sha256, created_at: now };
            completer.writer.send(Reserve(identity, declared.kind)).await.map_err(StorageError::from)??;
            // Last: of what is refused nothing stays in the journal, however often it is tried.
            if let Err(error) = completer.catalogue.record(news).await {
                give_up(&completer, None, upload, Clear::GivenUp).await?;
                return Err(CompleteError::from(error).into());
            }
            Ok(Created { upload, offset: 0, length })
        };
        Box::pin(creating.into_actor(self))
    }
}

impl DeviceSession {
    /// Nobody knows yet what recording it is a part of, so there is nothing to look up or to record; until then
    /// it may take the room of an event.
    fn create_part(&self, length: Option<u64>) -> ResponseActFuture<Self, Result<Created, CreateError>> {
        let (device, most) = (self.device, self.parts.limits.unfinished_uploads);
        let (completer, incoming) = (self.parts.completer.clone(), self.parts.incoming.clone());
        let (creating, in_flight) = (Arc::clone(&self.creating), self.probe.in_flight());
        let creating = async move {
            let _in_flight = in_flight;
            // Clients make several parts at once, each of which has to see the others.
            let one_at_a_time = timeout(CLOSE, creating.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| StorageError::Slow)?;
            if incoming.begun_by(device) >= most {
                return Err(CreateError::TooManyUnfinished);
            }
            let upload = UploadId::random().map_err(|error| StorageError::Io(error.to_string()))?;
            let (purpose, created_at) = (Purpose::Part, completer.clock.now());
            let identity = Identity { upload, device, purpose, length, sha256: None, created_at };
            completer.writer.send(Reserve(identity, Kind::Event)).await.map_err(StorageError::from)??;
            Ok(Created { upload, offset: 0, length })
        };
        Box::pin(creating.into_actor(self))
    }
}

/// Bytes of a recording that is to be joined of these parts.
fn length_of(incoming: &Incoming, device: DeviceId, parts: &[UploadId], longest: u64) -> Result<u64, CreateError> {
    let mut length = 0_u64;
    for part in parts {
        let found = incoming.find(device, *part).filter(|found| found.identity.purpose == Purpose::Part);
        let found = found.ok_or(CreateError::NoPart(*part))?;
        if !found.is_complete() {
            return Err(CreateError::PartUnfinished(*part));
        }
        length = length.saturating_add(found.offset);
    }
    if length > longest { Err(CreateError::TooLong(longest)) } else { Ok(length) }
}

/// Discards an upload, once nobody works on it any more.
async fn give_up(
    completer: &Completer,
    stream: Option<&Addr<UploadStream>>,
    upload: UploadId,
    why: Clear,
) -> Result<(), CompleteError> {
    if let Some(stream) = stream {
        let (closed, closing) = oneshot::channel();
        if stream.try_send(Close(closed)).is_ok() && timeout(CLOSE, closing).await.is_err() {
            return Err(StorageError::Slow.into());
        }
    }
    match completer.writer.send(Discard(upload, why)).await.map_err(StorageError::from)? {
        // It was complete after all; what became of it counts.
        Err(StorageError::Placing) => completer.roll_forward(upload).await.map(drop),
        Ok(()) | Err(StorageError::NotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Handler<Terminate> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<(), TerminateError>>;

    fn handle(&mut self, Terminate(upload): Terminate, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let (device, completer, incoming) = (self.device, self.parts.completer.clone(), self.parts.incoming.clone());
        let (creating, in_flight) = (Arc::clone(&self.creating), self.probe.in_flight());
        let stream = self.transfers.get(&upload).map(|known| known.stream.clone());
        let terminating = async move {
            let _in_flight = in_flight;
            let one_at_a_time = timeout(CLOSE, creating.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| CompleteError::from(StorageError::Slow))?;
            if incoming.find(device, upload).is_some() {
                give_up(&completer, stream.as_ref(), upload, Clear::GivenUp).await?;
                tracing::info!(%upload, %device, "the device gave an upload up");
            } else if !is_stored(&completer, device, upload).await? {
                let index = completer.catalogue.index().clone();
                let expired = blocking(move || index.expired(device, upload)).await?;
                return Err(if expired { TerminateError::Expired } else { TerminateError::NotFound });
            }
            // It may have been whole, and became a recording after all.
            match is_stored(&completer, device, upload).await? {
                true => Err(TerminateError::AlreadyStored),
                false => Ok(()),
            }
        };
        Box::pin(terminating.into_actor(self))
    }
}

impl Handler<Expire> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<(), TerminateError>>;

    fn handle(&mut self, Expire(upload): Expire, ctx: &mut Self::Context) -> Self::Result {
        // No call of the device; but a session that began for this alone has to end again.
        self.watch_idleness(ctx);
        let (device, completer, incoming) = (self.device, self.parts.completer.clone(), self.parts.incoming.clone());
        let (creating, in_flight) = (Arc::clone(&self.creating), self.probe.in_flight());
        let stream = self.transfers.get(&upload).map(|known| known.stream.clone());
        let expiring = async move {
            let _in_flight = in_flight;
            let one_at_a_time = timeout(CLOSE, creating.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| CompleteError::from(StorageError::Slow))?;
            // The device may have called meanwhile.
            let expired = incoming.expired().into_iter().find(|expired| expired.identity.upload == upload);
            let Some(expired) = expired else { return Ok(()) };
            let index = completer.catalogue.index().clone();
            // Of one that lies aside the device was told that it is no more.
            if expired.is_on_its_way() && !blocking(move || index.expired(device, upload)).await? {
                // Before it goes, so that nobody is told that there never was one.
                let fact = Fact::Expired { device, upload, rid: expired.identity.rid() };
                completer.catalogue.record(vec![fact]).await.map_err(CompleteError::from)?;
            }
            give_up(&completer, stream.as_ref(), upload, Clear::Expired).await?;
            let why = match expired.aside_since {
                None => "it did not come further for a month",
                Some(_) if expired.altered => "the storage altered it a month ago, and nobody saw to it",
                Some(_) => "its bytes differ, and nobody repaired it",
            };
            tracing::info!(%upload, %device, why, "an upload was given up");
            Ok(())
        };
        Box::pin(expiring.into_actor(self))
    }
}

async fn is_stored(completer: &Completer, device: DeviceId, upload: UploadId) -> Result<bool, IndexError> {
    let index = completer.catalogue.index().clone();
    let stored = blocking(move || index.stored_by_upload(upload)).await?;
    Ok(stored.is_some_and(|manifest| manifest.recording.device == device))
}
