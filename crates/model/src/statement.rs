use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ExportId, Sha256};

/// What a server signs with the key of its receipts, and is no receipt.
pub trait Statement: Serialize + DeserializeOwned {
    /// The header's `typ` (RFC 7515 §4.1.9).
    const TYPE: &'static str;

    /// The server that says so.
    fn server(&self) -> &str;
}

/// The journal up to a place, in one line: whoever keeps it can prove later that nothing before that place was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointClaims {
    /// Number of the last line that it covers.
    pub position: u64,
    /// Chain hash of that line.
    pub hash: Sha256,
    /// When it was signed.
    pub at: DateTime<Utc>,
    /// The server, as in receipts.
    pub server: String,
}

impl Statement for CheckpointClaims {
    const TYPE: &'static str = "longshore-checkpoint";

    fn server(&self) -> &str {
        &self.server
    }
}

/// What was written to an export, as the server that gave it out says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportClaims {
    /// Which export.
    pub export: ExportId,
    /// Checksum of the list of its files, each with its checksum.
    pub files: Sha256,
    /// When it was signed.
    pub at: DateTime<Utc>,
    /// The server, as in receipts.
    pub server: String,
}

impl Statement for ExportClaims {
    const TYPE: &'static str = "longshore-export";

    fn server(&self) -> &str {
        &self.server
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    use super::*;
    use crate::{ReceiptError, ReceiptKey, ReceiptVerifier};

    fn key() -> ReceiptKey {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        ReceiptKey::from_pkcs8(der.as_ref()).unwrap()
    }

    fn claims(server: &str) -> CheckpointClaims {
        let (position, hash) = (7, Sha256::of(b"line 7"));
        CheckpointClaims { position, hash, at: "2026-11-21T02:30:00Z".parse().unwrap(), server: server.into() }
    }

    #[test]
    fn a_checkpoint_says_what_was_signed_and_is_neither_a_receipt_nor_an_export() {
        let key = key();
        let verifier = ReceiptVerifier::new(&key.jwks()).unwrap();
        let claims = claims(key.server_id());
        let signed = key.state(&claims).unwrap();
        assert_eq!(verifier.statement(&signed), Ok(claims));
        assert_eq!(verifier.verify(&signed), Err(ReceiptError::Malformed));
        assert_eq!(verifier.statement::<ExportClaims>(&signed), Err(ReceiptError::Malformed));
    }

    #[test]
    fn a_checkpoint_of_another_server_or_an_altered_one_is_refused() {
        let (ours, theirs) = (key(), key());
        let verifier = ReceiptVerifier::new(&ours.jwks()).unwrap();
        let refused = |signed: &str| verifier.statement::<CheckpointClaims>(signed).unwrap_err();
        assert_eq!(refused(&theirs.state(&claims(theirs.server_id())).unwrap()), ReceiptError::UnknownKey);
        assert_eq!(refused(&ours.state(&claims(theirs.server_id())).unwrap()), ReceiptError::UnknownKey);
        let signed = ours.state(&claims(ours.server_id())).unwrap();
        for at in 0..signed.len() {
            let mut altered = signed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            refused(&String::from_utf8(altered).unwrap());
        }
    }
}
