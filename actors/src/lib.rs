//! The ingestion engine: typed messages and actors. It knows the store and nothing of HTTP.
//!
//! Everything outside talks to [`Engine`]; the actors behind it stay inside.

mod engine;
mod enrolment;
mod kit;
mod sessions;
mod storage;
mod upload;

pub use engine::{Engine, EngineError, Held, Parts};
pub use enrolment::{Approval, ApproveRefused, Claim, ClaimRefused, EnrolError, IssuedToken};
pub use sessions::{AttachError, CreateError, Created, Limits, OfferError, Verdict};
pub use storage::StorageError;
pub use upload::{Attachment, CompleteError, EndError, Ended, Evicted, WriteError};
