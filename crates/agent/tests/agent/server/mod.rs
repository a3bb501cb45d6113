//! A small Longshore server over real TLS, which can be told to misbehave.

mod call;
mod reply;
mod tls;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use base64::Engine;
use chrono::TimeDelta;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use longshore_model::{BASE64URL, DeviceId, HealthEvent, ReceiptKey, RecordingId, Sha256, TokenId};
use longshore_protocol::{DesiredRequest, EnrolmentText, OfferItem, ProblemType, Reported, ServerIdentity};
use rcgen::KeyPair;
use tokio::net::TcpListener;

use call::Call;

pub(crate) const DEVICE: DeviceId = DeviceId::from_bytes([0xd; 16]);

/// How a `PATCH` goes wrong.
pub(crate) enum Fault {
    /// The connection breaks after this many bytes of the body.
    CutAfter(usize),
    /// A problem is answered before the body is read.
    Answer(ProblemType),
    /// This byte arrives with a wrong bit.
    Damage(usize),
    /// Something is done when the first bytes have arrived.
    Meanwhile(Box<dyn FnOnce() + Send>),
}

/// One upload.
#[derive(Default)]
struct Upload {
    size: usize,
    data: Vec<u8>,
}

/// What the server knows, and how it is to behave.
#[derive(Default)]
pub(crate) struct World {
    offered: HashMap<RecordingId, OfferItem>,
    uploads: HashMap<RecordingId, Upload>,
    /// What is not what was declared is kept for its repair.
    pub(crate) keeps_aside: bool,
    aside: HashMap<RecordingId, Upload>,
    /// File names whose deletion was reported, in order.
    pub(crate) deleted: Vec<String>,
    /// Method and path of every request.
    pub(crate) calls: Vec<String>,
    /// Footage that people ask for.
    pub(crate) requests: Vec<DesiredRequest>,
    /// What the device said of itself.
    pub(crate) reported: Vec<Reported>,
    /// What the device noticed of itself, in order.
    pub(crate) health: Vec<HealthEvent>,
    /// For the next `PATCH`es, one each.
    pub(crate) faults: VecDeque<Fault>,
    /// How many offers of a complete upload are answered without its receipt; the transfer's last answer too.
    pub(crate) receipt_late_by: usize,
    /// How many reports of deletions fail first.
    pub(crate) failing_reports: usize,
    /// File names whose deletions are not recorded.
    pub(crate) refuses: Vec<String>,
    /// How many offers break the connection first.
    pub(crate) failing_offers: usize,
    /// What failing reports fail with, if not because the device is suspended, and how many seconds they are to wait.
    pub(crate) reports_fail_with: Option<(ProblemType, u64)>,
    /// How many offers of a new recording are answered `too_many_unfinished` first.
    pub(crate) too_many_unfinished: usize,
    /// How far in the future the receipts' `delete_after` is.
    pub(crate) delete_after: TimeDelta,
    /// Signs receipts in the server's place.
    pub(crate) forger: Option<ReceiptKey>,
    /// How many polls of an enrolment answer "pending".
    pub(crate) polls_before_approval: usize,
    /// The one good token, if it is not the first one any more.
    pub(crate) token: Option<String>,
    /// Who is approved next, if not [`DEVICE`].
    pub(crate) approves: Option<DeviceId>,
    pub(crate) enrolling: Vec<u8>,
}

impl World {
    /// The bytes of the complete upload whose file had this name.
    pub(crate) fn stored(&self, name: &str) -> Option<&[u8]> {
        let upload = |item: &OfferItem| self.uploads.get(&item.rid).filter(|up| up.data.len() == up.size);
        let mut stored = self.offered.values().filter(|item| item.filename.as_deref() == Some(name)).filter_map(upload);
        stored.next().map(|upload| upload.data.as_slice())
    }

    /// How many recordings of this file name were offered.
    pub(crate) fn offers_of(&self, name: &str) -> usize {
        self.offered.values().filter(|item| item.filename.as_deref() == Some(name)).count()
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| made.starts_with(call)).count()
    }
}

pub(crate) struct Server {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) text: EnrolmentText,
    keys: Arc<Keys>,
}

struct Keys {
    receipt: ReceiptKey,
    pin: Sha256,
    url: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let (acceptor, pin) = tls::acceptor(&key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Keys {
            receipt: ReceiptKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap(),
            pin,
            url: url.clone(),
        });
        let world = Arc::new(Mutex::new(World::default()));
        let server = Self {
            world: world.clone(),
            text: EnrolmentText {
                server: url.parse().unwrap(),
                token: TokenId::from_bytes([1; 16]),
                secret: [2; 16],
                pin,
            },
            keys: keys.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, world, keys) = (acceptor.clone(), world.clone(), keys.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    let spki = tls::client_spki(&stream);
                    let service = service_fn(move |request| {
                        let call = Call { world: world.clone(), keys: keys.clone(), spki: spki.clone() };
                        call.answer(request)
                    });
                    // A connection that is cut on purpose ends with an error.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        server
    }

    /// What an approved device is told of this server.
    pub(crate) fn identity(&self) -> ServerIdentity {
        self.keys.identity()
    }
}

impl Keys {
    fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            id: self.receipt.server_id().to_owned(),
            pins: vec![BASE64URL.encode(self.pin.as_bytes())],
            urls: vec![self.url.clone()],
            receipt_keys: self.receipt.jwks(),
        }
    }
}
