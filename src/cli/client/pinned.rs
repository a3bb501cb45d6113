//! TLS to a server whose key is known by its fingerprint, or is to be learnt: names and dates do not count.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use longshore_model::Sha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

use crate::tls::ClientKey;

/// The server showed another key than the one that was confirmed at the login.
#[derive(Debug)]
pub(super) struct WrongKey;

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the server shows another key than at the login; something may answer in its place. If it really has a new \
             key, log in again",
        )
    }
}

impl Error for WrongKey {}

/// A client for the server with the key `pin`; without one, for any, and `shown` tells which it had. Nothing secret may be
/// sent then.
pub(super) fn client_config(pin: Option<Sha256>, shown: Arc<OnceLock<Sha256>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier { provider: Arc::clone(&provider), pin, shown };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // Under a name the server may show a certificate of the agency's own instead of the key that is pinned.
    config.enable_sni = false;
    Ok(config)
}

#[derive(Debug)]
struct PinVerifier {
    provider: Arc<CryptoProvider>,
    pin: Option<Sha256>,
    shown: Arc<OnceLock<Sha256>>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = ClientKey::of(Some(std::slice::from_ref(end_entity)));
        let key = key.ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?.sha256;
        let _the_first_counts = self.shown.set(key);
        if self.pin.is_none_or(|pin| pin == key) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(OtherError(Arc::new(WrongKey)).into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
