//! The agent's own folder: its key, who it is, and what it has begun and not finished.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use longshore_model::{BASE64URL, DeviceId, Sha256, TokenId};
use longshore_protocol::ServerIdentity;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustix::fs::{FlockOperation, flock};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::disk;

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refuses.
    #[error("{path}: {error}; the state folder must be writable by this user")]
    Io {
        /// What could not be read or written.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Another agent holds the lock.
    #[error(
        "another agent works with the state folder {0}; stop it, or give this one a folder of its own with --state"
    )]
    InUse(String),
    /// A file is not what the agent wrote.
    #[error("{path} is damaged ({reason}); remove the state folder and enrol again")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No key can be made.
    #[error("a device key could not be made: {0}")]
    Key(rcgen::Error),
}

/// Who this device is and whom it trusts; kept from enrolment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The id that the server gave.
    pub device: DeviceId,
    /// Serial under which the server knows the device.
    pub serial: String,
    /// Model under which the server knows the device.
    pub model: String,
    /// The server.
    pub server: ServerIdentity,
    /// Names the token that it was enrolled with.
    #[serde(default)]
    pub token: Option<TokenId>,
}

impl Identity {
    /// The server keys that are trusted; a pin that cannot be read trusts nothing.
    pub fn pins(&self) -> Vec<Sha256> {
        self.server.pins.iter().filter_map(|pin| read_pin(pin)).collect()
    }
}

fn read_pin(text: &str) -> Option<Sha256> {
    let bytes: [u8; 32] = BASE64URL.decode(text).ok()?.try_into().ok()?;
    Some(Sha256::from_bytes(bytes))
}

/// The state folder, locked for this process.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    lock: File,
}

impl State {
    /// Makes the folder if it is missing, and locks it until the value is dropped.
    ///
    /// # Errors
    /// [`StateError::InUse`] while another agent has it; [`StateError::Io`] if it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        disk::make_private_folder(folder).map_err(at(folder))?;
        let path = folder.join("lock");
        let lock = disk::open_to_append(&path).map_err(at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse(folder.display().to_string())),
            Err(error) => Err(at(&path)(error.into())),
        }
    }

    /// Where the folder is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where known checksums are kept.
    pub fn hash_cache(&self) -> PathBuf {
        self.folder.join("hashes.jsonl")
    }

    /// Where deletions are kept that the server does not know of yet.
    pub fn deletions(&self) -> PathBuf {
        self.folder.join("deletions")
    }

    /// The device's P-256 key, made at the first call and kept for good: it is what the server knows the device by.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be read, made or stored.
    pub fn key(&self) -> Result<KeyPair, StateError> {
        let path = self.folder.join("device.key");
        match read(&path)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|error| damaged(&path, error.to_string())),
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(StateError::Key)?;
                disk::write_durably(&path, key.serialize_pem().as_bytes()).map_err(at(&path))?;
                Ok(key)
            }
        }
    }

    /// Who the device is; `None` before it is enrolled.
    ///
    /// # Errors
    /// [`StateError`] if the file is there and cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, StateError> {
        let path = self.folder.join("identity.json");
        read(&path)?
            .map(|json| serde_json::from_str(&json).map_err(|error| damaged(&path, error.to_string())))
            .transpose()
    }

    /// The certificate that the server gave.
    ///
    /// # Errors
    /// [`StateError`] if it is missing or cannot be read.
    pub fn certificate(&self) -> Result<Vec<CertificateDer<'static>>, StateError> {
        let path = self.folder.join("device.crt");
        let pem = read(&path)?.ok_or_else(|| damaged(&path, "it is missing".to_owned()))?;
        read_certificates(&pem).map_err(|reason| damaged(&path, reason))
    }

    /// Keeps what the enrolment brought. The identity comes last: where it is, the rest is too.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be stored.
    pub fn keep_enrolment(&self, identity: &Identity, certificate: &str) -> Result<(), StateError> {
        let path = self.folder.join("device.crt");
        disk::write_durably(&path, certificate.as_bytes()).map_err(at(&path))?;
        self.keep_identity(identity)
    }

    /// Keeps who the device is, beside the certificate that it has.
    ///
    /// # Errors
    /// [`StateError::Io`] if it cannot be stored.
    pub fn keep_identity(&self, identity: &Identity) -> Result<(), StateError> {
        let path = self.folder.join("identity.json");
        let json = serde_json::to_vec_pretty(identity).map_err(|error| damaged(&path, error.to_string()))?;
        disk::write_durably(&path, &json).map_err(at(&path))
    }
}

impl Drop for State {
    /// Closing the file would not do: a process that another thread forks has a copy of it until its exec, and the lock
    /// goes only with the last copy. Unlocking frees all of them.
    fn drop(&mut self) {
        let _closing_unlocks_too = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Reads the certificates of a PEM text; there must be one at least.
///
/// # Errors
/// What is wrong with the text.
pub fn read_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Option<String>, StateError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.display().to_string();
    move |error| StateError::Io { path, error }
}

fn damaged(path: &Path, reason: String) -> StateError {
    let path = path.display().to_string();
    StateError::Damaged { path, reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use longshore_model::Jwks;

    use super::*;

    fn identity() -> Identity {
        Identity {
            device: DeviceId::from_bytes([7; 16]),
            serial: "B4-10291".into(),
            model: "BC4".into(),
            server: ServerIdentity {
                id: "server".into(),
                pins: vec![BASE64URL.encode([1; 32]), "damaged".into()],
                urls: vec!["https://192.0.2.7:5004".into()],
                receipt_keys: Jwks { keys: vec![] },
            },
            token: Some(TokenId::from_bytes([3; 16])),
        }
    }

    #[test]
    fn the_key_is_private_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("new/state")).unwrap();
        let key = state.key().unwrap().serialize_der();
        assert_eq!(state.key().unwrap().serialize_der(), key);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.folder().join("device.key")), 0o600);
        assert_eq!(mode(state.folder()), 0o700);
    }

    #[test]
    fn a_second_agent_on_the_same_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path()).unwrap();
        assert!(matches!(State::open(folder.path()), Err(StateError::InUse(_))));
        drop(first);
        State::open(folder.path()).unwrap();
    }

    #[test]
    fn a_state_is_free_once_it_is_dropped_even_while_a_child_process_has_a_copy_of_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        // What a child has between its fork and its exec.
        let _inherited = state.lock.try_clone().unwrap();
        drop(state);
        State::open(folder.path()).unwrap();
    }

    #[test]
    fn an_enrolment_reads_back_as_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        assert_eq!(state.identity().unwrap(), None);
        let certificate = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert;
        state.keep_enrolment(&identity(), &certificate.pem()).unwrap();
        assert_eq!(state.identity().unwrap(), Some(identity()));
        assert_eq!(state.certificate().unwrap(), [certificate.der().clone()]);
    }

    #[test]
    fn a_power_cut_while_the_enrolment_is_kept_leaves_a_device_that_enrols_again_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let key = state.key().unwrap().serialize_der();
        let certificate = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert;
        // Cut after the certificate, and in the middle of the identity and of a new key.
        fs::write(folder.path().join("device.crt"), certificate.pem()).unwrap();
        fs::write(folder.path().join("identity.json.tmp"), "{\"device\":").unwrap();
        fs::write(folder.path().join("device.key.tmp"), "-----BEGIN").unwrap();
        drop(state);
        let state = State::open(folder.path()).unwrap();
        assert_eq!(state.identity().unwrap(), None);
        assert_eq!(state.key().unwrap().serialize_der(), key);
        state.keep_enrolment(&identity(), &certificate.pem()).unwrap();
        assert_eq!(state.identity().unwrap(), Some(identity()));
    }

    #[test]
    fn a_damaged_identity_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("identity.json"), "{").unwrap();
        let error = State::open(folder.path()).unwrap().identity().unwrap_err().to_string();
        assert!(error.contains("identity.json is damaged") && error.contains("enrol again"), "{error}");
    }

    #[test]
    fn a_damaged_pin_trusts_nothing() {
        assert_eq!(identity().pins(), [Sha256::from_bytes([1; 32])]);
    }
}
