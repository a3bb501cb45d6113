//! The JSON file beside each recording: what it is, and the signed receipt that vouches for it.

use chrono::{DateTime, Utc};
use longshore_model::{ReceiptClaims, ReceiptError, ReceiptKey, ReceiptVerifier, Recording};
use serde::{Deserialize, Serialize};

/// Names the form of the file; another form gets another name.
const FORM: &str = "longshore recording 1";
/// Largest manifest that is read, in bytes; written ones stay below 8 KiB.
pub(crate) const MAX_BYTES: u64 = 32 * 1024;

/// A recording with its receipt; never rewritten once it stands beside the video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    form: String,
    /// What is stored.
    pub recording: Recording,
    /// The server that stored it, as in the receipt.
    pub server: String,
    /// Earliest time at which the device may delete its copy, as in the receipt.
    pub delete_after: DateTime<Utc>,
    /// The signed receipt (compact JWS).
    pub receipt: String,
}

/// Why a manifest is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrue {
    /// The receipt is not one of this server.
    #[error("its receipt does not hold: {0}")]
    Receipt(#[from] ReceiptError),
    /// The readable copy was changed.
    #[error("what it says is not what its receipt was signed for")]
    Claims,
}

/// Bytes that are no manifest of this form.
#[derive(Debug, thiserror::Error)]
#[error("not a Longshore manifest: {0}")]
pub struct NoManifest(String);

impl Manifest {
    /// Signs the receipt for `recording` and puts both together.
    ///
    /// # Errors
    /// When the receipt cannot be signed.
    pub fn sign(recording: Recording, delete_after: DateTime<Utc>, key: &ReceiptKey) -> Result<Self, ReceiptError> {
        let claims = claims(&recording, key.server_id(), delete_after);
        let receipt = key.sign(&claims)?;
        Ok(Self { form: FORM.to_owned(), recording, server: claims.server, delete_after, receipt })
    }

    /// Whether its receipt is signed by a key that `verifier` knows, for what the manifest says. The receipt does not
    /// tell where the file lies, nor whose the device was.
    ///
    /// # Errors
    /// [`Untrue`].
    pub fn check(&self, verifier: &ReceiptVerifier) -> Result<(), Untrue> {
        let signed = verifier.verify(&self.receipt)?;
        let said = claims(&self.recording, &self.server, self.delete_after);
        if signed == said { Ok(()) } else { Err(Untrue::Claims) }
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for a manifest of this program; the type carries the serializer's.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`NoManifest`] if it is of another form.
    pub fn parse(text: &[u8]) -> Result<Self, NoManifest> {
        let manifest: Self = serde_json::from_slice(text).map_err(|error| NoManifest(error.to_string()))?;
        if manifest.form == FORM { Ok(manifest) } else { Err(NoManifest(format!("its form is {:?}", manifest.form))) }
    }
}

fn claims(recording: &Recording, server: &str, delete_after: DateTime<Utc>) -> ReceiptClaims {
    ReceiptClaims {
        device: recording.device,
        rid: recording.rid,
        revision: recording.revision,
        camera: recording.camera.clone(),
        kind: recording.kind,
        start: recording.start,
        end: recording.end,
        size: recording.size,
        sha256: recording.sha256,
        attested: recording.attested,
        verified_at: recording.verified_at,
        server: server.to_owned(),
        delete_after,
    }
}
