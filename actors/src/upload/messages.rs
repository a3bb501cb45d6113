//! What a transfer is asked and told.

use std::sync::Arc;

use actix::prelude::*;
use longshore_model::HashState;
use tokio::sync::{Semaphore, oneshot};

use super::attachment::{Attachment, EndError, Ended, WriteError};
use super::ledger::Epoch;
use super::segment::Segment;
use crate::sessions::AttachError;

/// Bytes on their way: a full segment, or what a request's end left in one.
pub(super) struct Tail {
    pub(super) offset: u64,
    pub(super) segment: Segment,
    pub(super) hash_after: HashState,
}

/// Hold the transfer; the newest request wins.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Attach {
    /// The device's places for requests with a body, if this is one.
    pub(crate) places: Option<Arc<Semaphore>>,
    /// What the request brings counts only if all of it arrives and is what it should be.
    pub(crate) whole: bool,
    pub(crate) reply: oneshot::Sender<Result<Attachment, AttachError>>,
}

/// Take a full segment.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Append {
    pub(super) epoch: Epoch,
    pub(super) tail: Tail,
    pub(super) reply: oneshot::Sender<Result<(), WriteError>>,
}

/// The recording has so many bytes; until now nobody knew.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SetLength {
    pub(super) epoch: Epoch,
    pub(super) length: u64,
    pub(super) reply: oneshot::Sender<Result<(), WriteError>>,
}

/// The request is over; this is what it left.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Detached {
    pub(super) epoch: Epoch,
    pub(super) tail: Option<Tail>,
    /// For a request that counts as a whole: whether it does.
    pub(super) keep: bool,
    pub(super) reply: Option<oneshot::Sender<Result<Ended, EndError>>>,
}

/// The server is stopping: commit, let go, take nobody in.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// Let go of the file for good: the upload is to be discarded. Answers when nothing is on its way any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Close(pub(crate) oneshot::Sender<()>);
