//! An authority as agencies have one, and certificates for `localhost`.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Datelike as _, Utc};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

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
        self.write(folder, serial, None);
    }

    /// The same of one that ends at the begin of that day.
    pub(crate) fn issue_until(&self, folder: &Path, serial: u64, end: DateTime<Utc>) {
        self.write(folder, serial, Some(end));
    }

    fn write(&self, folder: &Path, serial: u64, end: Option<DateTime<Utc>>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.serial_number = Some(serial.into());
        if let Some(end) = end {
            let (month, day) = (u8::try_from(end.month()).unwrap(), u8::try_from(end.day()).unwrap());
            params.not_after = date_time_ymd(end.year(), month, day);
        }
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
