//! DeviceSession: one connected device; what it offers, what it may send now, and the transfers that are running.

mod health;
mod holding;
mod repair;
mod uploads;
mod wants;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Datelike, FixedOffset, TimeDelta, Utc};
use longshore_model::{Declared, DeviceId, Kind, RecordingId, UploadId, VideoRequest, health_type};
use longshore_store::facts::Fact;
use longshore_store::incoming::{Incoming, Unfinished};
use longshore_store::index::{Index, IndexError, Target};
use longshore_store::manifest::Manifest;
use tokio::sync::{Mutex, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::messages::{End, Limits, Offer, OfferError, UploadEnded};
use super::plan::{self, Bounds, Known, Verdict};
use super::storm::Tries;
use crate::health::Notice;
use crate::kit::{Ended, Idles, Lifeline, Line, Policy, Probe, Restarts, blocking, fail_point, jitter};
use crate::profiles::Models;
use crate::requests;
use crate::storage::{Available, CommitEvery, StorageWriter};
use crate::upload::{Completer, Drain, SegmentPool, StreamParts, UploadStream};
pub use wants::{Asked, Desires};

/// How long a transfer may take to let go of a file that is to be discarded; then the device comes again.
const CLOSE: Duration = Duration::from_secs(2);
/// How long an offer waits for the storage to say how much room there is.
const ROOM: Duration = Duration::from_secs(1);
/// A device's clock that differs more than this from ours is not believed.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::days(1);

/// Cameras whose clock was never set count from 1970, 1980 or 2000; no recording is older than this.
const FIRST_YEAR: i32 = 2010;

/// What every session needs.
#[derive(Clone)]
pub(crate) struct SessionParts {
    pub(crate) completer: Completer,
    pub(crate) incoming: Incoming,
    pub(crate) pool: SegmentPool,
    pub(crate) commits: CommitEvery,
    pub(crate) limits: Limits,
    /// What is known of models of devices.
    pub(crate) models: Models,
    /// Turns true when the server stops; it is heard of whatever becomes of the router.
    pub(crate) draining: watch::Receiver<bool>,
}

/// The actor.
pub(crate) struct DeviceSession {
    device: DeviceId,
    parts: SessionParts,
    /// Running ones, and those that failed; never more than there are unfinished uploads, and a few that just ended.
    transfers: HashMap<UploadId, Transferring>,
    /// Every transfer holds an end of it: they let go when the session is gone, of whatever it ended.
    leash: watch::Sender<()>,
    open_patches: Arc<Semaphore>,
    /// Held while an upload is made: a repeated request must find what the first one made.
    creating: Arc<Mutex<()>>,
    /// Held while one is repaired, which reads all of it.
    repairing: Arc<Mutex<()>>,
    offer_again: u64,
    /// What the server wants of the device; nothing is known before the first look.
    wants: watch::Sender<Arc<Desires>>,
    /// Looks at the index that were begun …
    looks: u64,
    /// … and the last of those whose result counts; 0: none.
    looked: u64,
    /// Dropped when the poll that waits has to end.
    parked: Option<oneshot::Sender<()>>,
    last_call: Instant,
    idle_timer: bool,
    probe: Probe,
    _lifeline: Lifeline,
}

struct Transferring {
    stream: Addr<UploadStream>,
    failures: Restarts,
    tries: Tries,
    probe: Probe,
}

impl DeviceSession {
    pub(crate) fn new(device: DeviceId, parts: SessionParts, lifeline: Lifeline, probe: Probe) -> Self {
        let open_patches = Arc::new(Semaphore::new(parts.limits.open_patches));
        Self {
            device,
            transfers: HashMap::new(),
            leash: watch::Sender::new(()),
            open_patches,
            creating: Arc::default(),
            repairing: Arc::default(),
            // From the clock: a session that begins after another must not count what that one counted again.
            offer_again: u64::try_from(parts.completer.clock.now().timestamp_millis()).unwrap_or(0),
            wants: watch::Sender::default(),
            looks: 0,
            looked: 0,
            parked: None,
            last_call: Instant::now(),
            idle_timer: false,
            parts,
            probe,
            _lifeline: lifeline,
        }
    }

    fn called(&mut self, ctx: &mut Context<Self>) {
        self.last_call = Instant::now();
        self.watch_idleness(ctx);
    }

    fn draining(&self) -> bool {
        *self.parts.draining.borrow()
    }

    fn may_begin(&self) -> usize {
        self.parts.limits.unfinished_uploads.saturating_sub(self.parts.incoming.begun_by(self.device))
    }

    fn stream(&mut self, upload: UploadId, kind: Kind, ctx: &Context<Self>) -> Addr<UploadStream> {
        if let Some(known) = self.transfers.get(&upload).filter(|known| known.stream.connected()) {
            return known.stream.clone();
        }
        let known = self.transfers.remove(&upload);
        let (failures, tries, probe) = known.map_or_else(
            || {
                let probe = self.probe.child(format!("upload {upload}"), self.device);
                (Restarts::new(Policy::ON_CALL), Tries::default(), probe)
            },
            |known| (known.failures, known.tries, known.probe),
        );
        let parts = StreamParts {
            upload,
            kind,
            session: ctx.address(),
            leash: self.leash.subscribe(),
            completer: self.parts.completer.clone(),
            pool: self.parts.pool.clone(),
            commits: self.parts.commits,
            longest: self.parts.limits.upload_bytes,
            draining: self.draining(),
            probe: probe.clone(),
        };
        let stream = UploadStream::new(parts).start();
        probe.runs();
        self.transfers.insert(upload, Transferring { stream: stream.clone(), failures, tries, probe });
        stream
    }
}

impl Actor for DeviceSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut draining = self.parts.draining.clone();
        let told = async move { draining.wait_for(|draining| *draining).await.is_ok() };
        let told = told.into_actor(self).map(|stopping, session, _| {
            for known in session.transfers.values().filter(|_| stopping) {
                known.stream.do_send(Drain);
            }
        });
        ctx.spawn(told);
    }
}

impl Idles for DeviceSession {
    /// Longer than any keep-alive or long-poll.
    const LIMIT: Duration = Duration::from_secs(15 * 60);

    fn timer_runs(&mut self) -> &mut bool {
        &mut self.idle_timer
    }

    fn idle_since(&self) -> Option<Instant> {
        let busy = self.transfers.values().any(|known| known.stream.connected());
        (!busy).then_some(self.last_call)
    }

    fn idled(&mut self, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Offer> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Vec<Verdict>, OfferError>>;

    fn handle(&mut self, Offer { mut items, wall }: Offer, ctx: &mut Self::Context) -> Self::Result {
        fail_point!("session-offer");
        self.called(ctx);
        let now = self.parts.completer.clock.now();
        let clock_wrong = wall.is_some_and(|wall| (wall - now).abs() > CLOCK_TOLERANCE);
        for item in &mut items {
            item.clock_unset = clock_wrong || is_unset(item.start, now);
        }
        let (device, may_begin, per_answer) = (self.device, self.may_begin(), self.parts.limits.uploads_per_answer);
        let unfinished: HashMap<RecordingId, Unfinished> = self
            .parts
            .incoming
            .of_device(device)
            .into_iter()
            .filter_map(|upload| Some((upload.identity.rid()?, upload)))
            .collect();
        let (catalogue, in_flight) = (self.parts.completer.catalogue.clone(), self.probe.in_flight());
        let (writer, notices) = (self.parts.completer.writer.clone(), self.notices().clone());
        let answering = async move {
            let _in_flight = in_flight;
            let index = catalogue.index().clone();
            let (looked_up, gaps) = blocking(move || {
                let looked_up = look_up(&index, device, items, &unfinished)?;
                let gaps = health::gaps_of(&index, device, &looked_up)?;
                Ok((looked_up, gaps))
            })
            .await?;
            health::notice(&notices, device, &looked_up, gaps, now);
            let news = news(&looked_up, now);
            let room = match looked_up.iter().any(|(item, known)| item.kind != Kind::Event && known.wanted.is_some()) {
                true => room(&writer).await,
                false => u64::MAX,
            };
            let mut verdicts = plan::plan(&looked_up, Bounds { may_begin, per_answer, room }, now);
            if !news.is_empty() {
                let conflicts = news.iter().filter_map(|(item, known)| conflict(device, item, &known.stored));
                let mut facts: Vec<_> = conflicts.collect();
                let items = news.into_iter().map(|(item, _)| item.clone()).collect();
                facts.push(Fact::Declared { device, items });
                catalogue.record(facts).await?;
                // It may have been suspended meanwhile.
                let index = catalogue.index().clone();
                if !blocking(move || gets_receipts(&index, device)).await? {
                    plan::withhold(&mut verdicts);
                }
            }
            Ok(verdicts)
        };
        Box::pin(answering.into_actor(self))
    }
}

/// Whether a recording that is to begin then comes from a clock that was not set.
pub(crate) fn is_unset(start: DateTime<FixedOffset>, now: DateTime<Utc>) -> bool {
    start.to_utc() > now + CLOCK_TOLERANCE || start.year() < FIRST_YEAR
}

fn gets_receipts(index: &Index, device: DeviceId) -> Result<bool, IndexError> {
    Ok(index.device(device)?.is_some_and(|device| device.state.gets_receipts()))
}

fn look_up(
    index: &Index,
    device: DeviceId,
    items: Vec<Declared>,
    unfinished: &HashMap<RecordingId, Unfinished>,
) -> Result<Vec<(Declared, Known)>, IndexError> {
    let receipts = gets_receipts(index, device)?;
    let (open, clock) = (requests_of(index, device, receipts)?, index.clock(device)?);
    let known = |item: &Declared| {
        Ok(Known {
            receipts,
            wanted: requests::wanted(item, item.span(&clock), &open),
            overwrite_at: item.overwrites(&clock),
            stored: index.stored(device, item.rid)?,
            unfinished: unfinished.get(&item.rid).cloned(),
            declared: index.declared(device, item.rid)?,
        })
    };
    items.into_iter().map(|item| known(&item).map(|known| (item, known))).collect()
}

/// Bytes for what is no event. A storage that takes its time, or is not there, says so when something is to begin.
async fn room(writer: &Line<StorageWriter>) -> u64 {
    writer.ask(Available(Kind::Continuous), ROOM).await.ok().and_then(Result::ok).unwrap_or(u64::MAX)
}

/// What people ask of the device; one that is suspended is asked for nothing.
fn requests_of(index: &Index, device: DeviceId, in_service: bool) -> Result<Vec<(VideoRequest, Target)>, IndexError> {
    if in_service { index.open_requests_of(device) } else { Ok(Vec::new()) }
}

/// What there is to tell people of when a device declares another content under the id of one that is stored: a fault of its
/// software, or somebody's hand.
fn conflict(device: DeviceId, declared: &Declared, stored: &[Manifest]) -> Option<Fact> {
    let stored = plan::conflicts_with(declared, stored)?.recording.sha256;
    let (rid, declared) = (declared.rid, declared.sha256);
    let other = declared.map(tracing::field::display);
    tracing::error!(
        %device, %rid, %stored, declared = other,
        "a device offers another content under the id of a stored recording: both are kept"
    );
    Some(Fact::Conflicted { device, rid, stored, declared })
}

/// What is new or changed, and so worth a line in the journal.
fn news(looked_up: &[(Declared, Known)], now: DateTime<Utc>) -> Vec<&(Declared, Known)> {
    let is_news = |(item, known): &&(Declared, Known)| {
        known.declared.as_ref().is_none_or(|row| plan::says_more(&row.declared, item, now))
    };
    looked_up.iter().filter(is_news).collect()
}

impl Handler<UploadEnded> for DeviceSession {
    type Result = ();

    fn handle(&mut self, UploadEnded { upload, ended, offer_again }: UploadEnded, _: &mut Self::Context) {
        if offer_again {
            self.count_offer_again();
        }
        if let Some(known) = self.transfers.get_mut(&upload) {
            let rest = (ended != Ended::Done).then(|| known.failures.failed(Instant::now(), jitter()));
            if !known.stream.connected() || rest.is_some_and(|rest| rest.parked) {
                known.probe.ended(ended, rest);
            }
            if ended == Ended::Panicked {
                tracing::error!(%upload, device = %self.device, "a transfer panicked; it goes on from its last commit");
            }
            if rest.is_some_and(|rest| rest.parked) {
                tracing::error!(%upload, device = %self.device, "a transfer failed five times within a minute: it rests");
                let text = format!("the upload {upload} failed five times within a minute");
                let notice = Notice::of_device(self.device, health_type::UPLOAD_STALLED).text(text);
                self.parts.completer.notices.happened(notice);
            }
        }
        let (device, incoming) = (self.device, &self.parts.incoming);
        self.transfers.retain(|upload, known| known.stream.connected() || incoming.find(device, *upload).is_some());
    }
}

impl Handler<End> for DeviceSession {
    type Result = ();

    /// Its transfers feel the leash, commit and end.
    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
