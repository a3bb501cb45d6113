//! `/uploads`: transfers. What of them is tus 1.0.0 is in `tus`; what happens to an upload whoever asks, in `transfer`.

mod digest;
mod fields;
mod receive;
mod transfer;
pub(super) mod tus;
