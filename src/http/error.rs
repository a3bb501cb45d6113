//! The only place where a failure of the engine becomes an HTTP answer: always a problem document (RFC 9457).

mod custody;
mod digests;
mod mails;
mod people;
mod requests;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use actix_web::error::BlockingError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::to;
use actix_web::{HttpResponse, ResponseError, Route};
use longshore_actors::{
    AttachError, CompleteError, CreateError, DecisionError, EndError, EngineError, JoinError, OfferError,
    ProfileRefused, RepairError, StorageError, TerminateError, WriteError,
};
use longshore_protocol::headers::{PROBLEM_JSON, TUS_1_0_0, TUS_VERSION, UPLOAD_OFFSET};
use longshore_protocol::{Problem, ProblemType};
use longshore_store::catalogue::RecordError;
use longshore_store::index::IndexError;

/// Seconds after which to try again what a moment may mend.
const SOON: u64 = 1;
/// Seconds after which to try again what a restart of the server mends.
const RESTART: u64 = 10;
/// Seconds after which to try again what a mount mends; the server looks every two.
const MOUNT: u64 = 30;
/// Seconds after which to try again what found no room in the journal: it needs little, and one write that failed may be
/// all. An agent that is to end goes on for a minute for its reports of deletions, so that it asks once more.
const JOURNAL_ROOM: u64 = 30;
/// Seconds after which to try again what a person has to mend.
const REPAIR: u64 = 300;

/// An answer that is a problem.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Box<Problem>,
    retry_after: Option<u64>,
    /// Methods that the path takes, where the request's is none of them.
    allow: Option<Cow<'static, str>>,
    close: bool,
}

impl Failure {
    pub(crate) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(kind, detail)), retry_after: None, allow: None, close: false }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::MalformedRequest, detail)
    }

    /// Says where the upload continues.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.problem.offset = Some(offset);
        self
    }

    /// Whether it is of this kind.
    pub(crate) fn is(&self, kind: ProblemType) -> bool {
        self.problem.is(kind)
    }

    /// Where the upload continues, if it says so.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.problem.offset
    }

    /// Says which offset the request had, beside the right one.
    pub(crate) fn with_offsets(mut self, provided: u64) -> Self {
        self.problem.expected_offset = self.problem.offset;
        self.problem.provided_offset = Some(provided);
        self
    }

    /// Gives it a type and a status that others have defined.
    pub(crate) fn registered(mut self, status: u16, kind: String) -> Self {
        (self.problem.status, self.problem.kind) = (status, kind);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Ends the connection with the answer.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(ProblemType::ShuttingDown, "continue when the server is back").retry_after(RESTART)
    }

    fn unavailable(detail: impl fmt::Display) -> Self {
        Self::new(ProblemType::Unavailable, detail.to_string()).retry_after(SOON)
    }

    /// A fault of ours: the client gets no inner detail, the log gets all of it.
    pub(super) fn internal(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside the server");
        Self::new(ProblemType::Internal, "the server's log tells more").retry_after(RESTART)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(offset) = self.problem.offset {
            response.insert_header((UPLOAD_OFFSET, offset));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((ALLOW, methods.as_ref()));
        }
        if self.problem.is(ProblemType::Unauthenticated) {
            // RFC 9110 §11.6.1; by certificate there is no challenge to make.
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"longshore\""));
        }
        if self.problem.is(ProblemType::UnsupportedVersion) {
            response.insert_header((TUS_VERSION, TUS_1_0_0));
        }
        if self.close {
            response.force_close();
        }
        let body = serde_json::to_string(&self.problem).unwrap_or_default();
        response.insert_header((CONTENT_TYPE, PROBLEM_JSON)).body(body)
    }
}

/// Answers a path that is not served.
pub(crate) async fn nothing_here() -> Result<HttpResponse, Failure> {
    Err(Failure::new(ProblemType::NotFound, "see docs/PROTOCOL.md for the paths of device protocol 1"))
}

/// Answers a method that a path does not take; `methods` are those that it takes (RFC 9110 §15.5.6).
pub(crate) fn only(methods: impl Into<Cow<'static, str>>) -> Route {
    let methods = methods.into();
    to(move || {
        let methods = methods.clone();
        async move {
            let failure = Failure::new(ProblemType::MethodNotAllowed, format!("this path takes {methods}"));
            Err::<HttpResponse, _>(Failure { allow: Some(methods), ..failure })
        }
    })
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Busy => Self::unavailable(error),
            RecordError::Full(_) => {
                Self::new(ProblemType::InsufficientStorage, error.to_string()).retry_after(JOURNAL_ROOM)
            }
            RecordError::NotWritten(_) => Self::new(ProblemType::StorageFailed, error.to_string()).retry_after(RESTART),
            RecordError::Failed(_) => Self::unavailable(error).retry_after(REPAIR),
        }
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::internal(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Index(error) => error.into(),
            EngineError::Record(error) => error.into(),
            EngineError::Storage(standing) => StorageError::NotThere(standing.to_string()).into(),
            EngineError::Unavailable => Self::unavailable(error),
            EngineError::Start(_) | EngineError::Receipt(_) => Self::internal(error),
        }
    }
}

impl From<OfferError> for Failure {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Index(error) => error.into(),
            OfferError::Record(error) => error.into(),
            OfferError::Unavailable => Self::unavailable(error),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let detail = error.to_string();
        match error {
            StorageError::NoRoom { needed, available } => {
                let mut failure = Self::new(ProblemType::InsufficientStorage, detail).retry_after(REPAIR);
                (failure.problem.needed, failure.problem.available) = (Some(needed), Some(available));
                failure
            }
            StorageError::NotThere(_) => Self::new(ProblemType::StorageNotThere, detail).retry_after(MOUNT),
            StorageError::Full => Self::new(ProblemType::InsufficientStorage, detail).retry_after(REPAIR),
            StorageError::Io(_) => Self::new(ProblemType::StorageFailed, detail).retry_after(RESTART),
            StorageError::NotFound => Self::new(ProblemType::UploadNotFound, detail),
            StorageError::Damaged(_) => {
                Self::new(ProblemType::UploadNotFound, format!("{detail}; offer the recording again"))
            }
            StorageError::Busy | StorageError::Placing | StorageError::Slow | StorageError::Unavailable => {
                Self::unavailable(detail)
            }
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let detail = error.to_string();
        match error {
            CreateError::NotOffered => Self::new(ProblemType::NotOffered, detail),
            CreateError::SizeDiffers { .. } => Self::new(ProblemType::SizeDiffers, detail),
            CreateError::NoPart(_) => Self::new(ProblemType::UploadNotFound, detail),
            CreateError::PartUnfinished(_) => Self::new(ProblemType::UnfinishedParts, detail),
            CreateError::TooLong(_) => Self::new(ProblemType::TooLarge, detail),
            CreateError::NotNow => Self::new(ProblemType::Conflict, detail),
            CreateError::Complete(error) => EndError::Complete(error).into(),
            CreateError::AlreadyStored => Self::new(ProblemType::AlreadyStored, detail),
            CreateError::TooManyUnfinished => Self::new(ProblemType::TooMany, detail).retry_after(REPAIR),
            CreateError::Storage(error) => error.into(),
            CreateError::Index(error) => error.into(),
            CreateError::Unavailable => Self::unavailable(detail),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let detail = error.to_string();
        match error {
            JoinError::Attach(error) => error.into(),
            JoinError::Part(_, StorageError::Damaged(_) | StorageError::NotFound) => {
                Self::new(ProblemType::UploadNotFound, format!("{detail}; upload it again"))
            }
            JoinError::Part(_, error) => error.into(),
            JoinError::End(error) => error.into(),
        }
    }
}

impl From<RepairError> for Failure {
    fn from(error: RepairError) -> Self {
        let detail = error.to_string();
        match error {
            RepairError::NothingAside => Self::new(ProblemType::UploadNotFound, detail),
            RepairError::AlreadyStored => Self::new(ProblemType::AlreadyStored, detail),
            RepairError::NotNow => Self::new(ProblemType::Conflict, detail),
            RepairError::SizeDiffers { .. } => Self::new(ProblemType::SizeDiffers, detail),
            RepairError::ChecksumDiffers { .. } | RepairError::Contradicts { .. } => {
                Self::new(ProblemType::ChecksumMismatch, detail)
            }
            RepairError::Storage(error) => error.into(),
            RepairError::Index(error) => error.into(),
            RepairError::Unavailable => Self::unavailable(detail),
        }
    }
}

impl From<TerminateError> for Failure {
    fn from(error: TerminateError) -> Self {
        let detail = error.to_string();
        match error {
            TerminateError::NotFound => Self::new(ProblemType::UploadNotFound, detail),
            TerminateError::Expired => Self::new(ProblemType::UploadExpired, detail),
            TerminateError::AlreadyStored => Self::new(ProblemType::AlreadyStored, detail),
            TerminateError::Complete(error) => EndError::Complete(error).into(),
            TerminateError::Index(error) => error.into(),
            TerminateError::Unavailable => Self::unavailable(detail),
        }
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        let detail = error.to_string();
        match error {
            AttachError::NotFound => {
                Self::new(ProblemType::UploadNotFound, "offer the recording again to learn where to send it")
            }
            AttachError::Expired => Self::new(ProblemType::UploadExpired, detail),
            AttachError::SourceChanged => Self::new(ProblemType::SourceChanged, detail),
            AttachError::Superseded => Self::new(ProblemType::Superseded, detail),
            AttachError::TooMany => Self::new(ProblemType::TooMany, detail).retry_after(SOON),
            AttachError::Crowded => Self::unavailable(detail).retry_after(SOON),
            AttachError::Parked(left) => Self::unavailable(detail).retry_after(left.as_secs() + 1),
            AttachError::Draining => Self::shutting_down(),
            AttachError::Storage(error) => error.into(),
            AttachError::Index(error) => error.into(),
            AttachError::Unavailable => Self::unavailable(detail),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let detail = error.to_string();
        match error {
            WriteError::Superseded => Self::new(ProblemType::Superseded, detail),
            WriteError::TooLong => Self::new(ProblemType::LongerThanAnnounced, detail),
            WriteError::OtherLength => Self::new(ProblemType::InconsistentLength, detail),
            WriteError::Storage(error) => error.into(),
            WriteError::Unavailable => Self::unavailable(detail),
        }
    }
}

impl From<EndError> for Failure {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Write(error) => error.into(),
            EndError::Complete(CompleteError::Storage(error)) => error.into(),
            EndError::Complete(CompleteError::Record(error)) => error.into(),
            EndError::Complete(CompleteError::Internal(error)) => Self::internal(error),
            EndError::Complete(mismatch @ CompleteError::Mismatch { .. }) => Self::new(
                ProblemType::ChecksumMismatch,
                format!(
                    "{mismatch}: read the file again, compute its checksum again, and post the checksums of its blocks, or \
                     send it anew"
                ),
            ),
        }
    }
}

impl<R: Into<Self> + fmt::Display> From<DecisionError<R>> for Failure {
    fn from(error: DecisionError<R>) -> Self {
        match error {
            DecisionError::Refused(refused) => refused.into(),
            DecisionError::Index(error) => error.into(),
            DecisionError::Record(error) => error.into(),
            DecisionError::NoRandomness => Self::internal(error),
            DecisionError::Unavailable => Self::unavailable(error),
        }
    }
}

impl From<ProfileRefused> for Failure {
    fn from(refused: ProfileRefused) -> Self {
        let kind = match refused {
            ProfileRefused::Wrong(_) => ProblemType::MalformedRequest,
            ProfileRefused::UnknownProfile { .. }
            | ProfileRefused::UnknownVersion { .. }
            | ProfileRefused::UnknownDevice(_) => ProblemType::NotFound,
            _ => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<BlockingError> for Failure {
    fn from(error: BlockingError) -> Self {
        Self::internal(error)
    }
}
