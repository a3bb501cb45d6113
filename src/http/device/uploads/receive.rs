//! A body on its way from the socket into a transfer. Not reading is the throttle: while the transfer is busy, the
//! socket's window closes.

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use longshore_actors::{Attachment, Evicted, Received, WriteError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::super::super::pace::Pace;
use super::super::super::rates::Turns;
use super::digest::BodyDigest;

/// How a body ended.
pub(crate) enum Outcome {
    /// As it should.
    Whole,
    /// The connection broke, and the handler outlived it.
    Cut(PayloadError),
    /// A newer request wants the transfer.
    Superseded,
    /// The server is stopping.
    Draining,
    /// Too slow.
    Stalled,
    /// More than was left.
    TooLong,
    /// Other bytes than the request's checksum says.
    Differs,
    /// The transfer did not take it.
    Refused(WriteError),
}

impl From<Evicted> for Outcome {
    fn from(evicted: Evicted) -> Self {
        match evicted {
            Evicted::Superseded => Self::Superseded,
            Evicted::Draining => Self::Draining,
            Evicted::Failed(error) => Self::Refused(error.into()),
        }
    }
}

/// Reads until the body ends or the transfer is wanted elsewhere. `gone` resolves when the connection is dead: then
/// whatever it brought is still taken.
pub(crate) async fn receive(
    attachment: &mut Attachment,
    mut payload: Payload,
    mut gone: oneshot::Receiver<()>,
    mut turns: Turns,
    received: &Received,
    mut digest: Option<&mut BodyDigest>,
) -> Outcome {
    let mut pace = Pace::default();
    let mut is_gone = false;
    loop {
        if !is_gone {
            tokio::select! {
                biased;
                evicted = attachment.evicted() => return evicted.into(),
                // What a dead connection brought keeps nobody's place.
                _ = &mut gone => is_gone = true,
                () = turns.next() => {}
            }
        }
        let began = Instant::now();
        let chunk = tokio::select! {
            // In this order: a flood must not hide that the transfer is wanted elsewhere, and what has arrived goes
            // before the end of its connection.
            biased;
            evicted = attachment.evicted() => return evicted.into(),
            chunk = timeout(pace.patience(), payload.next()) => chunk,
            _ = &mut gone, if !is_gone => return Outcome::Cut(PayloadError::Incomplete(None)),
            () = std::future::ready(()), if is_gone => return Outcome::Cut(PayloadError::Incomplete(None)),
        };
        let chunk = match chunk {
            Err(_) => return Outcome::Stalled,
            Ok(None) => return Outcome::Whole,
            Ok(Some(Err(error))) => return Outcome::Cut(error),
            Ok(Some(Ok(chunk))) => chunk,
        };
        turns.read(chunk.len());
        received.add(chunk.len());
        let drips = pace.came(chunk.len(), began.elapsed()).is_err();
        if let Some(digest) = &mut digest {
            digest.update(&chunk);
        }
        match attachment.write(&chunk).await {
            Ok(()) => {}
            Err(WriteError::TooLong) => return Outcome::TooLong,
            Err(error) => return Outcome::Refused(error),
        }
        if drips {
            return Outcome::Stalled;
        }
    }
}
