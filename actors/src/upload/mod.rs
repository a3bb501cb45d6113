//! One transfer of one recording.

mod attachment;
mod completion;
mod ledger;
mod messages;
mod segment;
mod stream;

pub use attachment::{Attachment, EndError, Ended, Evicted, Wants, WriteError};
pub use completion::CompleteError;
pub(crate) use completion::{Completer, Receipted, blocking};
pub(crate) use messages::{Attach, Close, Drain};
pub(crate) use segment::{Segment, SegmentPool};
pub(crate) use stream::{StreamParts, UploadStream};
