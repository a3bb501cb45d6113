//! Who this server is: the keys that devices pin, the authority that certifies them, the key that signs receipts.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use longshore_model::{BASE64URL, DeviceId, ReceiptKey, ReceiptVerifier, Sha256};
use longshore_protocol::ServerIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SubjectPublicKeyInfo,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::data::{self, DataFolder};

/// Name of the key that signs receipts.
const RECEIPT: &str = "receipt";

/// The server's keys and what follows from them.
pub(crate) struct Identity {
    /// The key on the port; devices pin it.
    pub(crate) tls_key: KeyPair,
    /// A certificate for it, whose names and dates nobody checks.
    pub(crate) tls_certificate: CertificateDer<'static>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) pin: Sha256,
    /// Name of the authority that certifies devices: browsers with certificates of others are not asked for them.
    pub(crate) authority_names: Vec<rustls::DistinguishedName>,
    authority: Issuer<'static, KeyPair>,
    /// Signs receipts.
    pub(crate) receipt_key: Arc<ReceiptKey>,
}

impl Identity {
    /// Reads the keys in the data folder, or makes them.
    pub(crate) fn load(data: &DataFolder) -> anyhow::Result<Self> {
        let tls_key = data.key("tls")?;
        let tls_certificate = params("Longshore")?.self_signed(&tls_key)?.der().clone();
        let pin = Sha256::of(&tls_key.subject_public_key_info());
        let authority_key = data.key("device-ca")?;
        let mut authority_params = params("Longshore devices")?;
        authority_params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority_params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_certificate = authority_params.self_signed(&authority_key)?;
        let mut authorities = RootCertStore::empty();
        authorities.add(authority_certificate.der().clone()).context("the authority's own certificate is refused")?;
        let receipt_key = ReceiptKey::from_pkcs8(data.key(RECEIPT)?.serialized_der())?;
        Ok(Self {
            tls_key,
            tls_certificate,
            pin,
            authority_names: authorities.subjects(),
            authority: Issuer::new(authority_params, authority_key),
            receipt_key: Arc::new(receipt_key),
        })
    }

    /// The pin as devices and people see it: base64url.
    pub(crate) fn fingerprint(&self) -> String {
        BASE64URL.encode(self.pin.as_bytes())
    }

    /// What a device has to know of this server.
    pub(crate) fn for_devices(&self, urls: Vec<String>) -> ServerIdentity {
        ServerIdentity {
            id: self.receipt_key.server_id().to_owned(),
            pins: vec![self.fingerprint()],
            urls,
            receipt_keys: self.receipt_key.jwks(),
        }
    }

    /// A client certificate (PEM) for the device's own key, given as DER SubjectPublicKeyInfo in base64url. The same
    /// device and key always get one that is as good as the last: nothing in it expires or is looked up.
    pub(crate) fn certify(&self, device: DeviceId, spki: &str) -> anyhow::Result<String> {
        let spki = SubjectPublicKeyInfo::from_der(&BASE64URL.decode(spki)?)?;
        let mut params = params(&device.to_string())?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&spki, &self.authority)?.pem())
    }
}

/// What knows the receipts of the server whose data folder this is.
pub(crate) fn receipt_verifier(data: &Path) -> anyhow::Result<ReceiptVerifier> {
    let key = data::read_key(data, RECEIPT)?;
    let key = key.with_context(|| format!("keys/{RECEIPT}.key is missing; restore it from a backup"))?;
    Ok(ReceiptVerifier::new(&ReceiptKey::from_pkcs8(key.serialized_der())?.jwks())?)
}

/// Whether a key is one that can be certified: P-256, as the protocol asks.
pub(crate) fn is_p256(spki: &[u8]) -> bool {
    SubjectPublicKeyInfo::from_der(spki).is_ok_and(|key| *key.algorithm() == rcgen::PKCS_ECDSA_P256_SHA256)
}

fn params(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Nothing to renew: identity is the key, and revoking is a matter of the catalogue.
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    Ok(params)
}
