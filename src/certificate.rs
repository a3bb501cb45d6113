//! Which certificate the port shows: the key that devices pin, or, to whom asks for it by name, one of the agency's own.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use longshore_actors::{Engine, Notice};
use longshore_model::{Clock, health_type};
use rustls::client::verify_server_name;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Tls;
use crate::identity::Identity;

/// The certificates of the port.
#[derive(Debug)]
pub(crate) struct Certificates {
    pinned: Arc<CertifiedKey>,
    own: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Certificates {
    /// `own` is what [`read`] gave.
    pub(crate) fn new(identity: &Identity, own: Option<CertifiedKey>) -> anyhow::Result<Self> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.tls_key.serialize_der()));
        let pinned = CertifiedKey::new(vec![identity.tls_certificate.clone()], any_supported_type(&key)?);
        Ok(Self { pinned: Arc::new(pinned), own: RwLock::new(own.map(Arc::new)) })
    }

    /// From now on this is the agency's certificate; whoever is connected keeps the old one.
    pub(crate) fn replace(&self, own: Option<CertifiedKey>) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = own.map(Arc::new);
    }
}

/// Between two looks whether the agency's certificate ends soon; it costs nothing, and a renewed one is noticed at once.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A certificate that ends within this time is to be renewed: programs that do it by themselves have done so long before.
const SOON: TimeDelta = TimeDelta::days(21);

/// Tells when the agency's certificate ends soon, as long as the server runs.
pub(crate) async fn watch(certificates: Arc<Certificates>, engine: Engine, clock: Arc<dyn Clock>) {
    loop {
        let own = certificates.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        let left = own.and_then(|own| ends(&own)).map(|end| (end, end - clock.now()));
        let notice = Notice::of_server(health_type::CERTIFICATE_ENDING);
        match left {
            Some((end, left)) if left < SOON => {
                let text = format!("it ends on {}", end.format("%Y-%m-%d %H:%M UTC"));
                engine.notices().stands(notice.value(left.num_days()).text(text));
            }
            _ => engine.notices().over(notice),
        }
        sleep(LOOK_EVERY).await;
    }
}

fn ends(certificate: &CertifiedKey) -> Option<DateTime<Utc>> {
    let (_, parsed) = X509Certificate::from_der(certificate.cert.first()?).ok()?;
    DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = |own: &Arc<CertifiedKey>| hello.server_name().is_some_and(|name| is_for(own, name));
        own.filter(asked).or_else(|| Some(Arc::clone(&self.pinned)))
    }
}

fn is_for(certificate: &CertifiedKey, name: &str) -> bool {
    let parsed = certificate.end_entity_cert().and_then(ParsedCertificate::try_from);
    let name = ServerName::try_from(name);
    parsed.ok().zip(name.ok()).is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
}

/// Whether the agency's certificate, if there is one, is for this name: then devices that send the name do not see the
/// key that they pin.
pub(crate) fn covers(config: &Tls, name: &str) -> bool {
    read(config).ok().flatten().is_some_and(|own| is_for(&own, name))
}

/// The agency's certificate and key; `None`: it has none. Its files may be on a share that hangs.
pub(crate) fn read(config: &Tls) -> anyhow::Result<Option<CertifiedKey>> {
    let (cert, key) = match (&config.cert, &config.key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => bail!("tls.cert is set and tls.key is not; name the file with its private key"),
        (None, Some(_)) => bail!("tls.key is set and tls.cert is not; name the file with its certificate"),
    };
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private =
        private.with_context(|| format!("tls.key: {} holds no private key that can be read", key.display()))?;
    let signing = any_supported_type(&private);
    let signing = signing.with_context(|| format!("tls.key: {} is of a kind that is not known", key.display()))?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // Some keys cannot be asked; the first connection tells.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(Some(certified)),
        Err(_) => bail!("tls.key: {} is not the key of {}", key.display(), cert.display()),
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let wrong = || format!("tls.cert: {} holds no certificates that can be read", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(wrong)?.collect();
    let chain = chain.with_context(wrong)?;
    let first = chain.first().with_context(wrong)?;
    ParsedCertificate::try_from(first).with_context(wrong)?;
    Ok(chain)
}
