//! One transfer of one recording. `attachment` is the request's side, on the connection's thread; `stream` the actor;
//! `ledger` its pure offsets; `segment` the buffers between; `completion` the way from the last byte to the receipt.

mod attachment;
mod completion;
mod ledger;
mod messages;
mod segment;
mod stream;

pub use attachment::{Attachment, EndError, Ended, Evicted, Wants, WriteError};
pub use completion::CompleteError;
pub(crate) use completion::{Completer, Receipted};
pub(crate) use messages::{Attach, Close, Drain};
pub(crate) use segment::{Segment, SegmentPool};
pub(crate) use stream::{StreamParts, UploadStream};
