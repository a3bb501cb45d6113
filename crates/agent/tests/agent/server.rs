//! A small Longshore server over real TLS, which can be told to misbehave.

mod tls;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use longshore_model::{
    BASE64URL, DeviceId, EnrolmentId, Kind, ReceiptClaims, ReceiptKey, RecordingId, Sha256, TokenId,
};
use longshore_protocol::{
    Answer, Approval, Deletion, Deletions, DeletionsAnswer, EnrolmentAnswer, EnrolmentStatus, EnrolmentText,
    ItemAnswer, Later, Metadata, OfferItem, Offers, OffersAnswer, Problem, ProblemType, ServerIdentity, headers, paths,
};
use rcgen::KeyPair;
use serde::Serialize;
use tokio::net::TcpListener;

pub(crate) const DEVICE: DeviceId = DeviceId::from_bytes([0xd; 16]);

/// How a `PATCH` goes wrong.
pub(crate) enum Fault {
    /// The connection breaks after this many bytes of the body.
    CutAfter(usize),
    /// A problem is answered before the body is read.
    Answer(ProblemType),
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
    /// File names whose deletion was reported, in order.
    pub(crate) deleted: Vec<String>,
    /// Method and path of every request.
    pub(crate) calls: Vec<String>,
    /// For the next `PATCH`es, one each.
    pub(crate) faults: VecDeque<Fault>,
    /// How many offers of a complete upload are answered without its receipt; the transfer's last answer too.
    pub(crate) receipt_late_by: usize,
    /// How many reports of deletions fail first.
    pub(crate) failing_reports: usize,
    /// What they fail with, if not because the device is suspended, and how many seconds they are to wait.
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

type Reply = Response<Full<Bytes>>;

struct Call {
    world: Arc<Mutex<World>>,
    keys: Arc<Keys>,
    spki: Vec<u8>,
}

impl Call {
    async fn answer(self, request: Request<Incoming>) -> io::Result<Reply> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        self.world.lock().unwrap().calls.push(format!("{method} {path}"));
        let upload = path.strip_prefix(paths::UPLOADS).and_then(|rest| rest.strip_prefix('/'));
        if let Some(rid) = upload {
            let rid = rid.parse().unwrap();
            assert_eq!(request.headers()[headers::TUS_RESUMABLE], headers::TUS_1_0_0);
            return match method {
                Method::HEAD => Ok(self.position(rid, StatusCode::OK)),
                Method::PATCH => self.append(rid, request).await,
                _ => panic!("{method} {path}"),
            };
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok(match (method, path.as_str()) {
            (Method::POST, paths::ENROLMENTS) => {
                let credentials = head.headers["authorization"].to_str().unwrap();
                let mut world = self.world.lock().unwrap();
                let token = world.token.as_deref().unwrap_or("AQEBAQEBAQEBAQEBAQEBAQ");
                assert_eq!(credentials, format!("Longshore-Enrol {token}.AgICAgICAgICAgICAgICAg"));
                world.enrolling.clone_from(&self.spki);
                json(202, &enrolment(EnrolmentStatus::Pending))
            }
            (Method::GET, path) if path.starts_with(paths::ENROLMENTS) => self.poll(),
            (Method::POST, paths::OFFERS) => self.offers(serde_json::from_slice(&body).unwrap()),
            (Method::POST, paths::UPLOADS) => self.create(&head.headers),
            (Method::POST, paths::DELETIONS) => self.deletions(serde_json::from_slice(&body).unwrap()),
            (method, path) => panic!("{method} {path}"),
        })
    }

    fn poll(&self) -> Reply {
        let mut world = self.world.lock().unwrap();
        if world.polls_before_approval > 0 {
            world.polls_before_approval -= 1;
            return json(200, &enrolment(EnrolmentStatus::Pending));
        }
        let approval = Approval {
            device: world.approves.unwrap_or(DEVICE),
            certificate: tls::certify(&world.enrolling),
            server: self.keys.identity(),
        };
        json(200, &enrolment(EnrolmentStatus::Approved(approval)))
    }

    fn offers(&self, offers: Offers) -> Reply {
        let mut world = self.world.lock().unwrap();
        let mut place = 0;
        let items = offers.items.into_iter().map(|item| {
            let rid = item.rid;
            let known = world.uploads.get(&rid).map(|upload| (upload.data.len(), upload.size));
            place += 1;
            let answer = match known {
                Some((have, size)) if have == size && world.receipt_late_by > 0 => {
                    world.receipt_late_by -= 1;
                    let (reason, not_before) = (Later::Queued, None);
                    Answer::Later { reason, not_before }
                }
                Some((have, size)) if have == size => Answer::Have { receipt: self.receipt(&world, rid) },
                Some((have, _)) => {
                    Answer::Resume { url: format!("{}/{rid}", paths::UPLOADS), offset: have as u64, priority: place }
                }
                None if item.kind == Kind::Event && world.too_many_unfinished > 0 => {
                    world.too_many_unfinished -= 1;
                    Answer::Later { reason: Later::TooManyUnfinished, not_before: None }
                }
                None if item.kind == Kind::Event => Answer::Upload { priority: place },
                None => Answer::Later { reason: Later::NotRequested, not_before: None },
            };
            world.offered.insert(rid, item);
            ItemAnswer { rid, answer }
        });
        let items = items.collect();
        json(200, &OffersAnswer { items })
    }

    fn create(&self, fields: &hyper::HeaderMap) -> Reply {
        let mut world = self.world.lock().unwrap();
        let metadata = Metadata::parse(fields[headers::UPLOAD_METADATA].to_str().unwrap()).unwrap();
        let rid: RecordingId = metadata.text("rid").unwrap().parse().unwrap();
        let size: usize = fields[headers::UPLOAD_LENGTH].to_str().unwrap().parse().unwrap();
        assert_eq!(world.offered[&rid].size, size as u64);
        world.uploads.entry(rid).or_default().size = size;
        drop(world);
        let mut reply = self.position(rid, StatusCode::CREATED);
        let location = format!("{}/{rid}", paths::UPLOADS);
        reply.headers_mut().insert("location", location.parse().unwrap());
        reply
    }

    fn position(&self, rid: RecordingId, status: StatusCode) -> Reply {
        let world = self.world.lock().unwrap();
        let Some(upload) = world.uploads.get(&rid) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let (have, size) = (upload.data.len(), upload.size);
        let mut reply = empty(status);
        reply.headers_mut().insert(headers::UPLOAD_OFFSET, have.into());
        if have == size && world.receipt_late_by == 0 {
            let receipt = self.receipt(&world, rid).parse().unwrap();
            reply.headers_mut().insert(headers::RECEIPT, receipt);
        }
        reply
    }

    async fn append(&self, rid: RecordingId, request: Request<Incoming>) -> io::Result<Reply> {
        let fault = self.world.lock().unwrap().faults.pop_front();
        let field = |name: &str| request.headers()[name].to_str().unwrap().parse::<usize>().unwrap();
        let (offset, length) = (field(headers::UPLOAD_OFFSET), field("content-length"));
        {
            let world = self.world.lock().unwrap();
            let upload = &world.uploads[&rid];
            assert_eq!((offset, offset + length), (upload.data.len(), upload.size));
            assert_eq!(request.headers()["content-type"], headers::OFFSET_OCTET_STREAM);
        }
        let (mut cut, mut meanwhile) = (usize::MAX, None);
        match fault {
            Some(Fault::CutAfter(bytes)) => cut = bytes,
            Some(Fault::Meanwhile(act)) => meanwhile = Some(act),
            Some(Fault::Answer(kind)) => {
                if kind == ProblemType::UploadNotFound {
                    self.world.lock().unwrap().uploads.remove(&rid);
                }
                // Like the real server, it goes on reading for a while: closing with unread bytes would reset the
                // connection, and the answer could be lost with it.
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while let Some(Ok(_)) = body.frame().await {}
                });
                return Ok(problem(kind));
            }
            None => {}
        }
        let mut body = request.into_body();
        let mut arrived = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(io::ErrorKind::ConnectionAborted.into());
            };
            let data = frame.into_data().unwrap();
            let data = data.slice(..data.len().min(cut - arrived));
            arrived += data.len();
            self.world.lock().unwrap().uploads.get_mut(&rid).unwrap().data.extend_from_slice(&data);
            if arrived == cut {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if let Some(act) = meanwhile.take() {
                act();
            }
        }
        let mut world = self.world.lock().unwrap();
        if Some(Sha256::of(&world.uploads[&rid].data)) != world.offered[&rid].sha256 {
            world.uploads.remove(&rid);
            return Ok(problem(ProblemType::ChecksumMismatch));
        }
        drop(world);
        Ok(self.position(rid, StatusCode::NO_CONTENT))
    }

    fn receipt(&self, world: &World, rid: RecordingId) -> String {
        let item = &world.offered[&rid];
        let now: DateTime<Utc> = "2026-11-21T14:00:00Z".parse().unwrap();
        let key = world.forger.as_ref().unwrap_or(&self.keys.receipt);
        let claims = ReceiptClaims {
            device: DEVICE,
            rid,
            revision: 1,
            camera: String::new(),
            kind: item.kind,
            start: item.start,
            end: None,
            size: world.uploads[&rid].data.len() as u64,
            sha256: Sha256::of(&world.uploads[&rid].data),
            attested: item.sha256.is_some(),
            verified_at: now,
            server: key.server_id().to_owned(),
            delete_after: now + world.delete_after,
        };
        key.sign(&claims).unwrap()
    }

    fn deletions(&self, deletions: Deletions) -> Reply {
        let mut world = self.world.lock().unwrap();
        if world.failing_reports > 0 {
            world.failing_reports -= 1;
            let (kind, seconds) = world.reports_fail_with.unwrap_or((ProblemType::DeviceSuspended, 0));
            let mut reply = problem(kind);
            if world.reports_fail_with.is_some() {
                reply.headers_mut().insert("retry-after", seconds.into());
            }
            return reply;
        }
        let mut recorded = Vec::new();
        for Deletion { receipt, .. } in deletions.items {
            let verifier = longshore_model::ReceiptVerifier::new(&self.keys.receipt.jwks()).unwrap();
            let claims = verifier.verify(&receipt).unwrap();
            let name = world.offered.get(&claims.rid).and_then(|item| item.filename.clone());
            world.deleted.push(name.unwrap_or_else(|| claims.rid.to_string()));
            recorded.push(claims.rid);
        }
        let refused = Vec::new();
        json(200, &DeletionsAnswer { recorded, refused })
    }
}

fn enrolment(status: EnrolmentStatus) -> EnrolmentAnswer {
    EnrolmentAnswer {
        id: EnrolmentId::from_bytes([5; 16]),
        code: "K7PX".into(),
        serial: "B4-10291".into(),
        model: "BC4".into(),
        status,
    }
}

fn empty(status: StatusCode) -> Reply {
    Response::builder().status(status).body(Full::default()).unwrap()
}

fn json(status: u16, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).unwrap();
    let reply = Response::builder().status(status).header("content-type", "application/json");
    reply.body(Full::from(body)).unwrap()
}

fn problem(kind: ProblemType) -> Reply {
    let mut reply = json(kind.status(), &Problem::new(kind, "as the test wants it"));
    let fields = reply.headers_mut();
    fields.insert("content-type", headers::PROBLEM_JSON.parse().unwrap());
    if kind.status() == 503 {
        fields.insert("retry-after", "0".parse().unwrap());
    }
    reply
}
