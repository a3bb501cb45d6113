//! Recordings that are given out, with all that proves them: written by [`write`](write::write), checked by
//! [`check`](check::check) without the server and without its folders.
//!
//! An export is a folder: `recordings/` with the videos, their manifests and their receipts as in the storage, `custody-log.txt` with
//! the lines of the journal about them, `keys.json` with the server's public key, a page for people, `files.sha256` with the
//! checksum of each of these, and `export.jws`, in which the server signs that list.

mod check;
mod files;
mod log;
mod plan;
mod write;

pub use check::{Checked, CheckpointOf, Fault, check};
pub use plan::{ExportPlan, LineSpan, NotCovered, spans};
pub use write::{PageOf, WriteError, Written, prepare, sign, write};

/// The files in an export whose names are always the same.
mod names {
    /// Recordings with their manifests and receipts.
    pub(super) const RECORDINGS: &str = "recordings";
    /// Lines of the journal.
    pub(super) const LOG: &str = "custody-log.txt";
    /// Public keys.
    pub(super) const KEYS: &str = "keys.json";
    /// For people.
    pub(super) const PAGE: &str = "verification.html";
    /// What every list names besides recordings.
    pub(super) const FIXED: [&str; 3] = [LOG, KEYS, PAGE];
    /// Checksums of all of the above.
    pub(super) const LIST: &str = "files.sha256";
    /// The server's signature over that list.
    pub(super) const SIGNATURE: &str = "export.jws";
    /// Added to the name of a video for the name of its receipt.
    pub(super) const RECEIPT_SUFFIX: &str = ".receipt";
}
