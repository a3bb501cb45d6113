//! Devices at work while the power fails: they offer, upload in pieces, break off, go on, delete, and write down what
//! they are told.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::{Chance, nap};
use super::ledger::{Clip, Ledger};
use crate::support::{Camera, Reply, rid};

/// Transfers at a time.
pub(super) const LANES: u32 = 4;
/// Recordings that a lane has under way, at most.
const UNFINISHED: usize = 3;
/// Bytes of the largest recording: more than one commit.
const LARGEST: u64 = 12 << 20;
/// What is under way at the end takes less, where every instruction is emulated too.
const HOME: Duration = Duration::from_secs(120);
/// When a device that has no clock to speak of says that it deleted something.
const DELETED_AT: &str = "2026-11-21T10:00:00Z";

const TUS: &str = "Tus-Resumable: 1.0.0";
const OCTETS: &str = "Content-Type: application/offset+octet-stream";
const JSON: &str = "Content-Type: application/json";
const RECEIPT: &str = "longshore-receipt";

/// Why a step went no further.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no server.
    Gone(io::Error),
    /// There is one, and something is wrong.
    Wrong(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<String> for Trouble {
    fn from(wrong: String) -> Self {
        Self::Wrong(wrong)
    }
}

/// What all who work on a server share.
pub(super) struct Load {
    ledger: Mutex<Ledger>,
    /// The power is about to be cut: nobody is surprised any more that the server is gone.
    cut: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger: Mutex::new(ledger), cut: AtomicBool::new(false), wrong: Mutex::default() }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// From now on the server may go; or it may not.
    pub(super) fn expect_a_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    pub(super) fn wrong(&self, what: String) {
        self.ledger().line("wrong", &json!(what));
        self.wrong.lock().unwrap().push(what);
    }

    /// What was found wrong.
    pub(super) fn findings(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    /// Takes down what a job came to; `false`: it cannot go on.
    pub(super) fn goes_on(&self, done: Result<(), Trouble>) -> bool {
        match done {
            Ok(()) => return true,
            Err(Trouble::Gone(_)) if self.is_cut() => {}
            Err(Trouble::Gone(error)) => {
                // The power is cut by another thread.
                nap(Duration::from_millis(500));
                if !self.is_cut() {
                    self.wrong(format!("the server does not answer: {error}"));
                }
            }
            Err(Trouble::Wrong(what)) => self.wrong(what),
        }
        false
    }

    /// Works until the power is cut.
    pub(super) fn lane(&self, lane: u32, chance: &mut Chance) {
        while !self.is_cut() && self.goes_on(self.step(lane, chance)) {}
    }

    /// Brings home what is under way, and nothing new.
    pub(super) fn finish(&self, lane: u32, chance: &mut Chance) {
        let end = Instant::now() + HOME;
        while let Some(n) = self.unfinished(lane).first() {
            if Instant::now() > end {
                return self.wrong(format!("recording {n} is not complete {HOME:?} after the last cut"));
            }
            if !self.goes_on(self.advance(*n, chance)) {
                return;
            }
        }
    }

    fn step(&self, lane: u32, chance: &mut Chance) -> Result<(), Trouble> {
        let unfinished = self.unfinished(lane);
        let pick = usize::try_from(chance.below(UNFINISHED as u64)).unwrap();
        match unfinished.get(pick) {
            Some(n) => self.advance(*n, chance),
            None => {
                self.add(lane, chance);
                Ok(())
            }
        }
    }

    /// Recordings of a lane that have no receipt yet.
    fn unfinished(&self, lane: u32) -> Vec<u32> {
        let ledger = self.ledger();
        let of_lane = ledger.clips.iter().filter(|(n, clip)| *n % LANES == lane && clip.receipt.is_none());
        of_lane.map(|(n, _)| *n).collect()
    }

    fn add(&self, lane: u32, chance: &mut Chance) {
        let size = match chance.below(16) {
            0 => 0,
            1..6 => 1 + chance.below(64 << 10),
            6..13 => 1 + chance.below(1 << 20),
            _ => 1 + chance.below(LARGEST),
        };
        let mut ledger = self.ledger();
        let of_lane = ledger.clips.keys().filter(|n| *n % LANES == lane).count();
        let n = u32::try_from(of_lane).unwrap() * LANES + lane;
        let camera = usize::try_from(chance.below(ledger.cameras.len() as u64)).unwrap();
        let content = Ledger::content(ledger.seed(), n, usize::try_from(size).unwrap());
        ledger.add(n, camera, &content);
    }

    /// The next thing to do for a recording without a receipt.
    pub(super) fn advance(&self, n: u32, chance: &mut Chance) -> Result<(), Trouble> {
        let (clip, camera) = self.clip(n);
        let Some(upload) = &clip.upload else {
            return if clip.offered { self.create(n, &clip, &camera) } else { self.offer(n, &camera) };
        };
        let offset = self.ask(n, &clip, &camera)?;
        let (clip, _) = self.clip(n);
        if clip.receipt.is_none() {
            self.send(n, &clip, &camera, upload, offset, chance)?;
        }
        let (clip, _) = self.clip(n);
        match clip.receipt {
            Some(receipt) if chance.one_in(3) => self.delete(n, &camera, &receipt),
            _ => Ok(()),
        }
    }

    fn clip(&self, n: u32) -> (Clip, Arc<Camera>) {
        let ledger = self.ledger();
        let clip = ledger.clips[&n].clone();
        let camera = Arc::clone(&ledger.cameras[clip.camera].1);
        (clip, camera)
    }

    fn offer(&self, n: u32, camera: &Camera) -> Result<(), Trouble> {
        let body = json!({"items": [self.ledger().item(n)]}).to_string();
        let reply = camera.try_request("POST", "/device/v1/offers", &[JSON], body.as_bytes())?;
        let answer = &expect(&reply, 200, "an offer")?["items"][0];
        let mut ledger = self.ledger();
        match answer["answer"].as_str() {
            Some("upload") if ledger.clips[&n].offset == 0 => ledger.offered(n),
            Some("resume") => {
                ledger.offered(n);
                ledger.created(n, answer["url"].as_str().unwrap_or_default())?;
                ledger.offset(n, answer["offset"].as_u64().unwrap_or_default())?;
            }
            Some("have") => ledger.receipt(n, answer["receipt"].as_str().unwrap_or_default())?,
            // The device has enough under way.
            Some("later") if ledger.clips[&n].offset == 0 => {}
            _ => {
                let told = ledger.clips[&n].offset;
                let wrong = format!("recording {n}, of which {told} bytes were acknowledged, is offered: {answer}");
                return Err(Trouble::Wrong(wrong));
            }
        }
        Ok(())
    }

    fn create(&self, n: u32, clip: &Clip, camera: &Camera) -> Result<(), Trouble> {
        let length = format!("Upload-Length: {}", clip.size);
        let metadata = format!("Upload-Metadata: rid {}", STANDARD.encode(rid(n)));
        let reply = camera.try_request("POST", "/device/v1/uploads", &[TUS, &length, &metadata], b"")?;
        if reply.status == 409 && String::from_utf8_lossy(&reply.body).contains("already-stored") {
            // An empty one is complete as soon as it is made, and that answer was lost.
            return self.offer(n, camera);
        }
        expect(&reply, 201, "a new upload")?;
        let mut ledger = self.ledger();
        ledger.created(n, &reply.headers["location"])?;
        take_receipt(&mut ledger, n, &reply)
    }

    /// Asks how far an upload is.
    pub(super) fn ask(&self, n: u32, clip: &Clip, camera: &Camera) -> Result<u64, Trouble> {
        let upload = clip.upload.as_deref().unwrap();
        let reply = camera.try_request("HEAD", upload, &[TUS], b"")?;
        if reply.status == 404 {
            // It may have become a recording; the server says so when that is offered.
            self.offer(n, camera)?;
            let (now, _) = self.clip(n);
            let gone =
                || format!("{upload} of recording {n} is gone, of which {} bytes were acknowledged", clip.offset);
            return if now.receipt.is_some() { Ok(now.offset) } else { Err(Trouble::Wrong(gone())) };
        }
        expect(&reply, 200, "an upload")?;
        let mut ledger = self.ledger();
        ledger.offset(n, reply.offset())?;
        take_receipt(&mut ledger, n, &reply)?;
        Ok(reply.offset())
    }

    /// A piece of it, or all that is left; now and then the connection breaks before the end.
    fn send(
        &self,
        n: u32,
        clip: &Clip,
        camera: &Camera,
        upload: &str,
        offset: u64,
        chance: &mut Chance,
    ) -> Result<(), Trouble> {
        let seed = self.ledger().seed();
        let content = Ledger::content(seed, n, clip.size);
        let left = &content[usize::try_from(offset).unwrap()..];
        let piece = if chance.one_in(2) { left.len() as u64 } else { chance.below(left.len() as u64 + 1) };
        let piece = &left[..usize::try_from(piece).unwrap()];
        let breaks = chance.one_in(6);
        let sent =
            if breaks { &piece[..usize::try_from(chance.below(piece.len() as u64 + 1)).unwrap()] } else { piece };
        let (at, length) = (format!("Upload-Offset: {offset}"), format!("Content-Length: {}", piece.len()));
        let mut exchange = camera.try_begin("PATCH", upload, &[TUS, OCTETS, &at, &length])?;
        exchange.send(sent)?;
        if breaks {
            exchange.cut();
            return Ok(());
        }
        let reply = exchange.try_reply("PATCH")?;
        if reply.status == 409 {
            // What a broken connection left on its way came in between; the next question tells where it goes on.
            return Ok(());
        }
        expect(&reply, 204, "a piece")?;
        let mut ledger = self.ledger();
        ledger.offset(n, reply.offset())?;
        take_receipt(&mut ledger, n, &reply)
    }

    fn delete(&self, n: u32, camera: &Camera, receipt: &str) -> Result<(), Trouble> {
        let body = json!({"items": [{"receipt": receipt, "deleted_at": DELETED_AT}]}).to_string();
        let reply = camera.try_request("POST", "/device/v1/deletions", &[JSON], body.as_bytes())?;
        let answer = expect(&reply, 200, "a deletion")?;
        if answer["recorded"] != json!([rid(n)]) {
            return Err(Trouble::Wrong(format!("recording {n} is deleted: {answer}")));
        }
        self.ledger().deleted(n);
        Ok(())
    }
}

fn take_receipt(ledger: &mut Ledger, n: u32, reply: &Reply) -> Result<(), Trouble> {
    match reply.headers.get(RECEIPT) {
        Some(receipt) => Ok(ledger.receipt(n, receipt)?),
        None => Ok(()),
    }
}

/// The body of an answer with this status.
pub(super) fn expect(reply: &Reply, status: u16, what: &str) -> Result<Value, Trouble> {
    let body = String::from_utf8_lossy(&reply.body);
    if reply.status != status {
        return Err(Trouble::Wrong(format!("{what} is answered with {}: {body}", reply.status)));
    }
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}
