//! TLS on the port: the key that devices pin answers, client certificates are welcome and not required, and what the TLS layer
//! proves is possession of a key, nothing more. Who holds that key is looked up at every request, so that a refusal is
//! a document with words, not a bare alert.

use std::sync::Arc;

use longshore_model::Sha256;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use crate::certificate::Certificates;
use crate::identity::Identity;

/// The key that a client proved to hold.
#[derive(Debug, Clone)]
pub(crate) struct ClientKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) sha256: Sha256,
    /// The SubjectPublicKeyInfo, DER.
    pub(crate) spki: Vec<u8>,
}

impl ClientKey {
    /// The key in the first certificate that the client showed.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let spki = ParsedCertificate::try_from(chain?.first()?).ok()?.subject_public_key_info().to_vec();
        Some(Self { sha256: Sha256::of(&spki), spki })
    }
}

/// What the port speaks: TLS 1.2 and 1.3.
pub(crate) fn server_config(
    identity: &Identity,
    certificates: Arc<Certificates>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PossessionVerifier { provider: Arc::clone(&provider), names: identity.authority_names.clone() };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificates);
    Ok(config)
}

/// Checks the handshake's signature and accepts any certificate: names and dates are not looked at, since a wrong clock
/// on either side must not lock a device out.
#[derive(Debug)]
struct PossessionVerifier {
    provider: Arc<CryptoProvider>,
    names: Vec<DistinguishedName>,
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
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
