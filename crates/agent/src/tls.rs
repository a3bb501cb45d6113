//! TLS with a pinned server key: no names, no chain, no dates, since a camera's clock may be wrong and the server's
//! certificate may be self-signed.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use longshore_model::Sha256;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

use crate::invitation::Invitation;

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The own key or certificate cannot be used.
    #[error("the device's key and certificate cannot be used for TLS: {0}; remove the state folder and enrol again")]
    Config(#[from] rustls::Error),
    /// The self-signed certificate cannot be made.
    #[error("the device's certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The server proved to hold a key, but not one of those that are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongKey {
    /// SHA-256 of the SubjectPublicKeyInfo that the server showed.
    pub shown: Sha256,
}

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server shows the key {}, which is not pinned", self.shown)
    }
}

impl Error for WrongKey {}

impl WrongKey {
    /// Finds it among the causes of a failed connection.
    pub fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(rustls::Error::Other(OtherError(cause))) = error.downcast_ref::<rustls::Error>() {
                return cause.downcast_ref().copied();
            }
            // An io::Error names as its source not what it carries, but the source of that.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }
}

/// A self-signed certificate for `key`, which lets the device prove to hold the key before anyone has certified it.
///
/// # Errors
/// [`TlsError::Certificate`] if the key cannot sign.
pub fn self_signed(key: &KeyPair) -> Result<CertificateDer<'static>, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Longshore device");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    Ok(params.self_signed(key)?.der().clone())
}

/// SHA-256 of the SubjectPublicKeyInfo in `certificate`.
///
/// # Errors
/// What rustls says of a certificate that it cannot read.
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Result<Sha256, rustls::Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(Sha256::of(&spki))
}

/// Which servers a device talks to.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that hold one of these keys.
    Pins(Vec<Sha256>),
    /// The one that it is invited by: of a typed code, only the beginning of the server's key is known.
    Invitation(Invitation),
}

impl From<Vec<Sha256>> for Trust {
    fn from(pins: Vec<Sha256>) -> Self {
        Self::Pins(pins)
    }
}

impl From<Invitation> for Trust {
    fn from(invitation: Invitation) -> Self {
        Self::Invitation(invitation)
    }
}

impl Trust {
    fn holds_for(&self, key: Sha256) -> bool {
        match self {
            Self::Pins(pins) => pins.contains(&key),
            Self::Invitation(invitation) => invitation.is_for(key),
        }
    }
}

/// A client that shows `chain`, signs with `key`, and talks to the servers that it trusts.
///
/// # Errors
/// [`TlsError::Config`] if key and certificate do not belong together.
pub fn client_config(
    key: &KeyPair,
    chain: Vec<CertificateDer<'static>>,
    trust: impl Into<Trust>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier { provider: provider.clone(), trust: trust.into() };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    // Under a name the server may show a certificate of the agency's own instead of the key that is pinned.
    config.enable_sni = false;
    Ok(config)
}

#[derive(Debug)]
struct PinVerifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = spki_sha256(end_entity)?;
        if self.trust.holds_for(shown) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(OtherError(Arc::new(WrongKey { shown })).into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
