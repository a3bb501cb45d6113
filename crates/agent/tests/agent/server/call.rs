//! What the server does with one request.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, StatusCode};
use longshore_model::{
    BLOCK_BYTES, DeviceState, HealthEvent, Kind, ReceiptClaims, ReceiptVerifier, RecordingId, Sha256,
};
use longshore_protocol::{
    Answer, Approval, Blocks, BlocksAnswer, Deletion, DeletionRefused, Deletions, DeletionsAnswer, Desired,
    EnrolmentStatus, HealthEventAnswer, HealthEventOutcome, HealthEvents, HealthEventsAnswer, ItemAnswer, Later,
    Metadata, Offers, OffersAnswer, ProblemType, headers, paths,
};

use super::reply::{NOW, Reply, empty, enrolment, json, problem};
use super::{DEVICE, Fault, Keys, World, tls};

/// One request, and whose it is.
pub(super) struct Call {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) keys: Arc<Keys>,
    pub(super) spki: Vec<u8>,
}

impl Call {
    pub(super) async fn answer(self, request: Request<Incoming>) -> io::Result<Reply> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        // What it says of its health comes beside all else.
        if path != paths::HEALTH_EVENTS {
            self.world.lock().unwrap().calls.push(format!("{method} {path}"));
        }
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
            (Method::POST, paths::OFFERS) if self.fails_this_offer() => {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            (Method::POST, paths::OFFERS) => self.offers(serde_json::from_slice(&body).unwrap()),
            (Method::POST, paths::UPLOADS) => self.create(&head.headers),
            (Method::POST, path) if path.starts_with(paths::RECORDINGS) => {
                self.repair(path, &serde_json::from_slice(&body).unwrap())
            }
            (Method::POST, paths::DELETIONS) => self.deletions(serde_json::from_slice(&body).unwrap()),
            (Method::GET, paths::DESIRED) => self.desired(&head.headers).await,
            (Method::PUT, paths::REPORTED) => {
                self.world.lock().unwrap().reported.push(serde_json::from_slice(&body).unwrap());
                empty(StatusCode::NO_CONTENT)
            }
            (Method::POST, paths::HEALTH_EVENTS) => self.health(serde_json::from_slice(&body).unwrap()),
            (method, path) => panic!("{method} {path}"),
        })
    }

    /// It takes everything.
    fn health(&self, report: HealthEvents) -> Reply {
        let outcome = HealthEventOutcome::Recorded;
        let taken = |event: &HealthEvent| HealthEventAnswer { id: event.id, outcome: outcome.clone() };
        let events = report.events.iter().map(taken).collect();
        self.world.lock().unwrap().health.extend(report.events);
        json(200, &HealthEventsAnswer { events })
    }

    /// It wants nothing but what the test says.
    async fn desired(&self, fields: &HeaderMap) -> Reply {
        let tag = || format!("\"{}\"", self.world.lock().unwrap().requests.len());
        let knows = |tag: &str| fields.get("if-none-match").is_some_and(|known| known == tag);
        // As long as the agent would wait, in a server without timers of its own.
        for _ in 0..if fields.contains_key("prefer") { 5_000 } else { 0 } {
            if !knows(&tag()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let tag = tag();
        if knows(&tag) {
            return empty(StatusCode::NOT_MODIFIED);
        }
        let world = self.world.lock().unwrap();
        let desired = Desired {
            time: NOW.parse().unwrap(),
            state: DeviceState::Active,
            profile: None,
            requests: world.requests.clone(),
            commands: Vec::new(),
            offer_again: 0,
            server: self.keys.identity(),
        };
        let mut reply = json(200, &desired);
        reply.headers_mut().insert("etag", tag.parse().unwrap());
        reply
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

    fn fails_this_offer(&self) -> bool {
        let mut world = self.world.lock().unwrap();
        let fails = world.failing_offers > 0;
        world.failing_offers = world.failing_offers.saturating_sub(1);
        fails
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
                None if item.kind == Kind::Event || item.request.is_some() => Answer::Upload { priority: place },
                None => Answer::Later { reason: Later::NotRequested, not_before: None },
            };
            world.offered.insert(rid, item);
            ItemAnswer { rid, answer }
        });
        let items = items.collect();
        json(200, &OffersAnswer { items })
    }

    fn create(&self, fields: &HeaderMap) -> Reply {
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

    fn repair(&self, path: &str, list: &Blocks) -> Reply {
        let mut world = self.world.lock().unwrap();
        let rid = path.strip_prefix(paths::RECORDINGS).unwrap().strip_suffix("/blocks").unwrap()[1..].parse().unwrap();
        let Some(mut upload) = world.aside.remove(&rid) else { return problem(ProblemType::NotFound) };
        assert_eq!((list.size, list.block_size), (upload.size as u64, BLOCK_BYTES));
        assert_eq!(Some(list.sha256), world.offered[&rid].sha256);
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        let good = list.blocks.iter().zip(upload.data.chunks(block)).take_while(|(sum, got)| **sum == Sha256::of(got));
        let good = block * good.count();
        upload.data.truncate(good);
        world.uploads.insert(rid, upload);
        json(200, &BlocksAnswer { url: format!("{}/{rid}", paths::UPLOADS), offset: good as u64 })
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
        let (mut cut, mut meanwhile, mut damaged) = (usize::MAX, None, None);
        match fault {
            Some(Fault::Damage(at)) => damaged = Some(at),
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
        if let Some(at) = damaged {
            world.uploads.get_mut(&rid).unwrap().data[at] ^= 1;
        }
        if Some(Sha256::of(&world.uploads[&rid].data)) != world.offered[&rid].sha256 {
            let upload = world.uploads.remove(&rid).unwrap();
            if world.keeps_aside {
                world.aside.insert(rid, upload);
            }
            return Ok(problem(ProblemType::ChecksumMismatch));
        }
        drop(world);
        Ok(self.position(rid, StatusCode::NO_CONTENT))
    }

    fn receipt(&self, world: &World, rid: RecordingId) -> String {
        let item = &world.offered[&rid];
        let now: DateTime<Utc> = NOW.parse().unwrap();
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
        let (mut recorded, mut refused) = (Vec::new(), Vec::new());
        for (index, Deletion { receipt, .. }) in deletions.items.into_iter().enumerate() {
            let verifier = ReceiptVerifier::new(&self.keys.receipt.jwks()).unwrap();
            let claims = verifier.verify(&receipt).unwrap();
            let name = world.offered.get(&claims.rid).and_then(|item| item.filename.clone());
            let name = name.unwrap_or_else(|| claims.rid.to_string());
            if world.refuses.contains(&name) {
                refused.push(DeletionRefused { index, reason: "as the test wants it".into() });
                continue;
            }
            world.deleted.push(name);
            recorded.push(claims.rid);
        }
        json(200, &DeletionsAnswer { recorded, refused })
    }
}
