//! Whether a receipt allows to delete a file.

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, ReceiptError, ReceiptVerifier, RecordingId, Sha256};

use crate::state::Identity;

/// What a receipt must say to be about this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Id of the recording.
    pub rid: RecordingId,
    /// Bytes of the file.
    pub size: u64,
    /// Checksum of the file.
    pub sha256: Sha256,
}

/// What a receipt that is right allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// The file may go.
    Delete,
    /// The server has the file, but wants the device to keep it until then.
    KeepUntil(DateTime<Utc>),
}

/// Why a receipt counts for nothing; the file is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReceipt {
    /// It is not signed by the server.
    #[error("the receipt is not valid: {0}")]
    Invalid(#[from] ReceiptError),
    /// It comes from another server.
    #[error("the receipt comes from the server {0}, not from the one this device is enrolled at")]
    OtherServer(String),
    /// It was given to another device.
    #[error("the receipt was given to another device ({0})")]
    OtherDevice(DeviceId),
    /// It is about another recording.
    #[error("the receipt is about another recording ({0})")]
    OtherRecording(RecordingId),
    /// The stored copy has another length.
    #[error("the server stored {stored} bytes, the file has {own}")]
    OtherSize {
        /// Bytes of the stored copy.
        stored: u64,
        /// Bytes of the file.
        own: u64,
    },
    /// The stored copy has other bytes.
    #[error("the server stored other bytes than the file's")]
    OtherBytes,
}

/// Checks receipts for one device.
pub(crate) struct Checker {
    verifier: ReceiptVerifier,
    server: String,
    device: DeviceId,
}

impl Checker {
    /// Trusts what the device learnt when it was enrolled.
    ///
    /// # Errors
    /// [`ReceiptError::BadKey`] if the server's keys cannot be read.
    pub(crate) fn new(identity: &Identity) -> Result<Self, ReceiptError> {
        Ok(Self {
            verifier: ReceiptVerifier::new(&identity.server.receipt_keys)?,
            server: identity.server.id.clone(),
            device: identity.device,
        })
    }

    /// Whether `receipt` is for the file that is `expected`, and what it allows now, by the server's clock, if that was
    /// heard: the receipt itself proves that it had come to the moment of verification.
    ///
    /// # Errors
    /// [`NoReceipt`]: the file must be kept.
    pub(crate) fn check(
        &self,
        receipt: &str,
        expected: &Expected,
        server_time: Option<DateTime<Utc>>,
    ) -> Result<Allowance, NoReceipt> {
        let claims = self.verifier.verify(receipt)?;
        if claims.server != self.server {
            return Err(NoReceipt::OtherServer(claims.server));
        }
        if claims.device != self.device {
            return Err(NoReceipt::OtherDevice(claims.device));
        }
        if claims.rid != expected.rid {
            return Err(NoReceipt::OtherRecording(claims.rid));
        }
        if claims.size != expected.size {
            return Err(NoReceipt::OtherSize { stored: claims.size, own: expected.size });
        }
        if claims.sha256 != expected.sha256 {
            return Err(NoReceipt::OtherBytes);
        }
        let now = server_time.map_or(claims.verified_at, |time| time.max(claims.verified_at));
        Ok(if claims.delete_after <= now { Allowance::Delete } else { Allowance::KeepUntil(claims.delete_after) })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use longshore_model::{Kind, ReceiptClaims, ReceiptKey};
    use longshore_protocol::ServerIdentity;
    use rcgen::KeyPair;

    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    fn key() -> ReceiptKey {
        ReceiptKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap()
    }

    fn identity(key: &ReceiptKey) -> Identity {
        Identity {
            device: DEVICE,
            serial: "S".into(),
            model: "M".into(),
            server: ServerIdentity { id: key.server_id().into(), pins: vec![], urls: vec![], receipt_keys: key.jwks() },
            token: None,
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn expected() -> Expected {
        Expected { rid: RecordingId::from_bytes([2; 16]), size: 3, sha256: Sha256::of(b"abc") }
    }

    fn claims(key: &ReceiptKey) -> ReceiptClaims {
        ReceiptClaims {
            device: DEVICE,
            rid: expected().rid,
            revision: 1,
            camera: String::new(),
            kind: Kind::Event,
            start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
            end: None,
            size: 3,
            sha256: expected().sha256,
            attested: true,
            verified_at: now(),
            server: key.server_id().into(),
            delete_after: now(),
        }
    }

    /// What the check says of a receipt whose claims were altered before the server signed it.
    fn verdict(alter: impl FnOnce(&mut ReceiptClaims)) -> Result<Allowance, NoReceipt> {
        let key = key();
        let mut claims = claims(&key);
        alter(&mut claims);
        let receipt = key.sign(&claims).unwrap();
        Checker::new(&identity(&key)).unwrap().check(&receipt, &expected(), Some(now()))
    }

    #[test]
    fn a_receipt_for_exactly_this_file_allows_to_delete_it() {
        assert_eq!(verdict(|_| {}), Ok(Allowance::Delete));
    }

    #[test]
    fn the_file_is_kept_until_the_time_that_the_receipt_names() {
        let later = now() + TimeDelta::nanoseconds(1);
        assert_eq!(verdict(|claims| claims.delete_after = later), Ok(Allowance::KeepUntil(later)));
    }

    #[test]
    fn a_receipt_that_allows_it_at_once_needs_no_clock() {
        let key = key();
        let receipt = key.sign(&claims(&key)).unwrap();
        let checker = Checker::new(&identity(&key)).unwrap();
        let check = |server_time| checker.check(&receipt, &expected(), server_time);
        assert_eq!(check(None), Ok(Allowance::Delete));
        assert_eq!(check(Some(now() - TimeDelta::days(400))), Ok(Allowance::Delete));
        let later = ReceiptClaims { delete_after: now() + TimeDelta::days(1), ..claims(&key) };
        let receipt = key.sign(&later).unwrap();
        let check = |server_time| checker.check(&receipt, &expected(), server_time);
        assert_eq!(check(None), Ok(Allowance::KeepUntil(later.delete_after)));
        assert_eq!(check(Some(later.delete_after)), Ok(Allowance::Delete));
    }

    #[test]
    fn a_receipt_for_another_device_recording_size_or_content_counts_for_nothing() {
        let other = DeviceId::from_bytes([9; 16]);
        assert_eq!(verdict(|claims| claims.device = other), Err(NoReceipt::OtherDevice(other)));
        let other = RecordingId::from_bytes([9; 16]);
        assert_eq!(verdict(|claims| claims.rid = other), Err(NoReceipt::OtherRecording(other)));
        assert_eq!(verdict(|claims| claims.size = 2), Err(NoReceipt::OtherSize { stored: 2, own: 3 }));
        assert_eq!(verdict(|claims| claims.sha256 = Sha256::of(b"abd")), Err(NoReceipt::OtherBytes));
    }

    #[test]
    fn a_receipt_of_another_server_counts_for_nothing() {
        let (ours, theirs) = (key(), key());
        let checker = Checker::new(&identity(&ours)).unwrap();
        let receipt = theirs.sign(&claims(&theirs)).unwrap();
        assert_eq!(
            checker.check(&receipt, &expected(), Some(now())),
            Err(NoReceipt::Invalid(ReceiptError::UnknownKey))
        );
    }

    #[test]
    fn a_key_that_is_trusted_cannot_speak_for_another_server() {
        // Two servers' keys in the set, as after a merger: only the enrolled server's receipts count.
        let (ours, theirs) = (key(), key());
        let mut identity = identity(&ours);
        identity.server.receipt_keys.keys.extend(theirs.jwks().keys);
        let receipt = theirs.sign(&claims(&theirs)).unwrap();
        assert_eq!(
            Checker::new(&identity).unwrap().check(&receipt, &expected(), Some(now())),
            Err(NoReceipt::OtherServer(theirs.server_id().into()))
        );
    }

    #[test]
    fn an_altered_or_missing_signature_counts_for_nothing() {
        let key = key();
        let checker = Checker::new(&identity(&key)).unwrap();
        let receipt = key.sign(&claims(&key)).unwrap();
        let (signed, _) = receipt.rsplit_once('.').unwrap();
        for forged in [format!("{signed}."), signed.to_owned(), String::new(), "a.b.c".to_owned()] {
            let verdict = checker.check(&forged, &expected(), Some(now()));
            assert!(matches!(verdict, Err(NoReceipt::Invalid(_))), "{forged}");
        }
    }

    #[test]
    fn keys_that_cannot_be_read_are_refused_at_once() {
        let key = key();
        let mut identity = identity(&key);
        identity.server.receipt_keys.keys[0].x = "AAAA".into();
        assert_eq!(Checker::new(&identity).err(), Some(ReceiptError::BadKey));
    }
}
