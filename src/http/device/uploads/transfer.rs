//! What happens to an upload, in whichever dialect it is asked for.

use std::net::IpAddr;

use actix_web::web::{self, Payload};
use chrono::{DateTime, Utc};
use longshore_actors::{Attachment, Ended, Held, Wants, WriteError};
use longshore_model::{Device, DeviceId, RecordingId, UploadId};
use longshore_protocol::{Metadata, ProblemType};
use longshore_store::Purpose;
use longshore_store::incoming::Unfinished;
use tokio::sync::oneshot;

use super::super::super::Server;
use super::super::super::error::Failure;
use super::digest::BodyDigest;
use super::receive::{Outcome, receive};

/// How far an upload is, what it is to become, and its length.
pub(super) struct Standing {
    pub(super) ended: Ended,
    pub(super) purpose: Purpose,
    /// `None` until the client has said so.
    pub(super) length: Option<u64>,
}

/// Gets hold of the upload, so that whatever hangs on it lets go, and looks how far it is, durably.
pub(super) async fn look(server: &Server, device: DeviceId, upload: UploadId) -> Result<Standing, Failure> {
    if let Some(joined) = joined(server, device, upload).filter(|joined| !joined.is_complete()) {
        // Whoever asks must not take it from the request that joins it.
        return Ok(joined.into());
    }
    match server.engine.attach(device, upload, Wants::Offset).await {
        Ok(Held::Stored { rid, length, receipt }) => {
            let ended = Ended { offset: length, receipt };
            Ok(Standing { ended, purpose: Purpose::Recording(rid), length: Some(length) })
        }
        Ok(Held::Transfer(attachment)) => {
            let (purpose, length) = (attachment.purpose(), attachment.length());
            Ok(Standing { ended: attachment.end().await?, purpose, length })
        }
        Err(error) => {
            // The disk is slow: what was durable before is the answer, and the transfer goes on from there.
            let durable = server.engine.unfinished(device, upload).filter(|_| error.is_slowness()).ok_or(error)?;
            Ok(durable.into())
        }
    }
}

impl From<Unfinished> for Standing {
    fn from(Unfinished { identity, offset, .. }: Unfinished) -> Self {
        let ended = Ended { offset, receipt: None };
        Self { ended, purpose: identity.purpose, length: identity.length }
    }
}

/// An upload that the server joins of its parts, and is not done with.
fn joined(server: &Server, device: DeviceId, upload: UploadId) -> Option<Unfinished> {
    let unfinished = server.engine.unfinished(device, upload)?;
    matches!(unfinished.identity.purpose, Purpose::Joined(_)).then_some(unfinished)
}

/// What the client said when it made an upload.
pub(super) struct Said {
    /// As it came; of an offered recording, which it is.
    pub(super) metadata: String,
    /// Of which it is joined.
    pub(super) parts: Vec<UploadId>,
}

pub(super) async fn said(server: &Server, device: DeviceId, rid: RecordingId) -> Result<Said, Failure> {
    let index = server.engine.catalogue().index().clone();
    let row = web::block(move || index.declared(device, rid)).await??;
    let (metadata, parts) = row.map(|row| (row.declared.metadata, row.declared.parts)).unwrap_or_default();
    Ok(Said { metadata: metadata.unwrap_or_else(|| Metadata::pair("rid", &rid.to_string())), parts })
}

/// When the upload goes, unless it comes further before.
pub(super) fn expires(server: &Server, device: DeviceId, upload: UploadId) -> Option<DateTime<Utc>> {
    server.engine.unfinished(device, upload)?.expires_at()
}

/// Says how long the recording of an upload is that was begun without a length.
pub(super) async fn set_length(
    server: &Server,
    device: DeviceId,
    upload: UploadId,
    length: u64,
) -> Result<Ended, Failure> {
    match server.engine.attach(device, upload, Wants::Offset).await? {
        Held::Stored { length: known, receipt, .. } if known == length => Ok(Ended { offset: length, receipt }),
        Held::Stored { length: known, .. } => Err(Failure::from(WriteError::OtherLength).at(known)),
        Held::Transfer(mut attachment) => {
            let said = attachment.set_length(length).await;
            let ended = attachment.end().await?;
            said.map_err(|error| Failure::from(error).at(ended.offset))?;
            Ok(ended)
        }
    }
}

/// The body of a request, and where it belongs.
pub(super) struct Body {
    pub(super) upload: UploadId,
    pub(super) offset: u64,
    /// From which the connection comes.
    pub(super) address: Option<IpAddr>,
    /// Bytes of the whole recording, if the request says so.
    pub(super) length: Option<u64>,
    /// By `Content-Length`.
    pub(super) announced: Option<u64>,
    /// What it is to be; then it counts only as a whole.
    pub(super) digest: Option<BodyDigest>,
    pub(super) payload: Payload,
}

/// Takes the body into the upload; at its last byte, the recording is completed. `gone` resolves when the connection is
/// dead: what it brought is still taken.
pub(super) async fn append(
    server: &Server,
    device: &Device,
    body: Body,
    gone: oneshot::Receiver<()>,
) -> Result<Ended, Failure> {
    let Body { upload, offset, address, length, announced, mut digest, payload } = body;
    if joined(server, device.id, upload).is_some() {
        return Err(Failure::new(ProblemType::JoinedUpload, "repeat the request that joins it"));
    }
    let wants = if digest.is_some() { Wants::AppendWhole } else { Wants::Append };
    let mut attachment = match server.engine.attach(device.id, upload, wants).await? {
        Held::Transfer(attachment) => attachment,
        Held::Stored { rid, .. } if !said(server, device.id, rid).await?.parts.is_empty() => {
            return Err(Failure::new(ProblemType::JoinedUpload, "it is joined, and a recording"));
        }
        Held::Stored { length: known, .. } if length.is_some_and(|length| length != known) => {
            return Err(Failure::from(WriteError::OtherLength).at(known));
        }
        Held::Stored { length, receipt, .. } if offset == length && announced.unwrap_or(0) == 0 => {
            return Ok(Ended { offset, receipt });
        }
        Held::Stored { length, .. } => return Err(wrong_offset(offset, length)),
    };
    let at = attachment.offset();
    if at != offset {
        let ended = attachment.end().await?;
        return Err(wrong_offset(offset, ended.offset));
    }
    if let Some(length) = length
        && let Err(error) = attachment.set_length(length).await
    {
        drop(attachment);
        return Err(with_durable_offset(server, device.id, upload, error.into()));
    }
    if announced.is_some_and(|announced| announced > attachment.left()) {
        return Err(too_long(attachment, at).await);
    }
    let turns = server.rates.open(device, address);
    let received = server.engine.presence().received(device.id);
    let mut outcome = receive(&mut attachment, payload, gone, turns, &received, digest.as_mut()).await;
    if let (Outcome::Whole, Some(digest)) = (&outcome, digest) {
        if digest.matches() {
            attachment.keep();
        } else {
            outcome = Outcome::Differs;
        }
    }
    finish(server, device.id, upload, attachment, outcome).await
}

async fn finish(
    server: &Server,
    device: DeviceId,
    upload: UploadId,
    attachment: Box<Attachment>,
    outcome: Outcome,
) -> Result<Ended, Failure> {
    let at = attachment.offset();
    let failure = match outcome {
        Outcome::Refused(error) => {
            // Letting go first: what was accepted before is committed, unless the storage itself failed.
            drop(attachment);
            return Err(with_durable_offset(server, device, upload, error.into()));
        }
        Outcome::TooLong => return Err(too_long(attachment, at).await),
        Outcome::Whole => None,
        Outcome::Superseded => Some(Failure::new(ProblemType::Superseded, "the offset says what of this one is kept")),
        Outcome::Draining => Some(Failure::shutting_down()),
        Outcome::Stalled => {
            let detail = "send at least 1 KiB a second; the offset says what is kept";
            Some(Failure::new(ProblemType::Stalled, detail).retry_after(1))
        }
        Outcome::Differs => Some(Failure::new(ProblemType::BodyChecksumMismatch, "send these bytes again")),
        Outcome::Cut(error) => Some(Failure::malformed(format!("the body was cut: {error}"))),
    };
    let ended = attachment.end().await.map_err(|error| with_durable_offset(server, device, upload, error.into()))?;
    match failure {
        None => Ok(ended),
        Some(failure) => Err(failure.at(ended.offset)),
    }
}

fn with_durable_offset(server: &Server, device: DeviceId, upload: UploadId, failure: Failure) -> Failure {
    match server.engine.unfinished(device, upload) {
        Some(durable) => failure.at(durable.offset),
        None => failure,
    }
}

async fn too_long(attachment: Box<Attachment>, at: u64) -> Failure {
    let detail = format!("{} bytes are left from offset {at}", attachment.left());
    match attachment.end().await {
        Ok(ended) => Failure::new(ProblemType::LongerThanAnnounced, detail).at(ended.offset),
        Err(error) => error.into(),
    }
}

pub(super) fn wrong_offset(given: u64, right: u64) -> Failure {
    Failure::new(ProblemType::WrongOffset, format!("the request begins at {given}, the upload continues at {right}"))
        .at(right)
}
