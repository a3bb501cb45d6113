//! Deletions that a device reports: each stands on a receipt of ours, or counts for nothing.

use chrono::{DateTime, FixedOffset};
use longshore_model::{DeviceId, ReceiptClaims, ReceiptError, ReceiptVerifier, RecordingId};
use longshore_store::facts::Fact;
use longshore_store::index::{Index, IndexError};

pub(crate) struct Checked {
    pub(crate) results: Vec<Result<RecordingId, ReceiptError>>,
    pub(crate) news: Vec<Fact>,
}

pub(crate) fn check(
    index: &Index,
    verifier: &ReceiptVerifier,
    device: DeviceId,
    deletions: Vec<(String, DateTime<FixedOffset>)>,
) -> Result<Checked, IndexError> {
    let mut checked = Checked { results: Vec::with_capacity(deletions.len()), news: Vec::new() };
    for (receipt, deleted_at) in deletions {
        // Another device's receipt is to this one like an unknown key's: it proves nothing.
        let claims = verifier.verify(&receipt);
        let claims =
            claims.and_then(|said| if said.device == device { Ok(said) } else { Err(ReceiptError::UnknownKey) });
        checked.results.push(claims.as_ref().map(|claims| claims.rid).map_err(|error| *error));
        let Ok(ReceiptClaims { rid, revision, .. }) = claims else { continue };
        if index.deleted(device, rid, revision)?.is_none() {
            checked.news.push(Fact::Deleted { device, rid, revision, deleted_at });
        }
    }
    Ok(checked)
}
