//! An authority as agencies have one, and certificates for `localhost`.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "An agency");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes `cert.pem` and `key.pem`, a certificate for `localhost` with this serial number, and its key, and `ca.pem`.
    pub(crate) fn issue(&self, folder: &Path, serial: u64) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.serial_number = Some(serial.into());
        fs::write(folder.join("cert.pem"), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(folder.join("ca.pem"), &self.pem).unwrap();
    }

    /// The configuration of a server that uses them.
    pub(crate) fn config(folder: &Path) -> String {
        let folder = folder.display();
        format!("[tls]\ncert = '{folder}/cert.pem'\nkey = '{folder}/key.pem'\n")
    }
}
