//! Expiry: once a day, and at the start, uploads that did not come further for a month, or that lay aside for a day, are
//! given up. Which those are, the pure `Unfinished::expires_at` says; the session of its device does it, since it alone
//! knows who hangs on an upload.

use std::time::Duration;

use actix::prelude::*;
use longshore_store::incoming::Incoming;

use crate::kit::{ASK_DEADLINE, Lifeline, Line, Probe, ask};
use crate::sessions::{DeviceSessions, Expire, Find, TerminateError};

/// Between two sweeps: a day more or less means nothing to what lay there for a month, and what lies aside is of little use
/// after a day, but of no harm.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The actor.
pub(crate) struct Expiry {
    incoming: Incoming,
    sessions: Line<DeviceSessions>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Give up what is too old.
#[derive(Message)]
#[rtype(result = "()")]
struct Sweep;

impl Expiry {
    pub(crate) fn new(incoming: Incoming, sessions: Line<DeviceSessions>, lifeline: Lifeline, probe: Probe) -> Self {
        Self { incoming, sessions, probe, _lifeline: lifeline }
    }
}

impl Actor for Expiry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Sweep);
    }
}

impl Handler<Sweep> for Expiry {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) -> Self::Result {
        let (expired, sessions) = (self.incoming.expired(), self.sessions.clone());
        let (probe, in_flight) = (self.probe.clone(), self.probe.in_flight());
        let sweeping = async move {
            let _in_flight = in_flight;
            for upload in expired {
                let (device, upload) = (upload.identity.device, upload.identity.upload);
                let session = sessions.ask(Find(device), ASK_DEADLINE).await.ok().flatten();
                let expired = match session {
                    Some(session) => ask(&session, Expire(upload), ASK_DEADLINE).await.unwrap_or(Err(UNAVAILABLE)),
                    None => Err(UNAVAILABLE),
                };
                if let Err(error) = expired {
                    tracing::warn!(%upload, %device, %error, "an upload that expired could not be given up; it is tried again");
                    probe.error(error);
                }
            }
        };
        let again = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Sweep, SWEEP_EVERY);
        };
        Box::pin(sweeping.into_actor(self).map(again))
    }
}

const UNAVAILABLE: TerminateError = TerminateError::Unavailable;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix::Addr;
    use chrono::{DateTime, TimeDelta, Utc};
    use longshore_model::{
        Declared, DeviceId, Kind, ReceiptKey, ReceiptVerifier, RecordingId, SettableClock, UploadId,
    };
    use longshore_store::catalogue::Catalogue;
    use longshore_store::files::{Disk, DiskOptions, Files, SimulatedDisk};
    use longshore_store::index::IndexPlace;
    use longshore_store::outbox::Contents;
    use longshore_store::verify::Share;
    use tokio::sync::watch;

    use super::*;
    use crate::custody::{Custodian, CustodyParts};
    use crate::digest::Digests;
    use crate::health::{Begun, HealthParts, Notices, Signals};
    use crate::kit::{Board, Started};
    use crate::mailer::Post;
    use crate::presence::Presence;
    use crate::sessions::{AttachError, Brings, CreateUpload, DeviceSession, Hold, Limits, SessionParts};
    use crate::storage::{CommitEvery, Floor, StorageParts};
    use crate::tree::Tree;
    use crate::upload::{Completer, SegmentPool};
    use crate::webhooks::{Called, Courier, Hooks, WebhookCall};

    /// Carries nothing: there are no webhooks.
    struct Nobody;

    impl Courier for Nobody {
        fn carry(&self, _: WebhookCall) -> Called {
            Box::pin(async { Err("there is nobody".to_owned()) })
        }
    }

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    fn declared(n: u8) -> Declared {
        Declared {
            rid: RecordingId::from_bytes([n; 16]),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
            end: None,
            boot: None,
            overwrite_at: None,
            request: None,
            size: Some(100),
            sha256: None,
            filename: None,
            clock_unset: false,
            metadata: None,
            parts: Vec::new(),
        }
    }

    /// The session of the device, which may just be about to end.
    async fn session(sessions: &Line<DeviceSessions>) -> Addr<DeviceSession> {
        sessions.ask(Find(DEVICE), ASK_DEADLINE).await.unwrap().unwrap()
    }

    async fn begin(sessions: &Line<DeviceSessions>, n: u8) -> UploadId {
        let create = CreateUpload(Brings::Declared(Box::new(declared(n))));
        ask(&session(sessions).await, create, ASK_DEADLINE).await.unwrap().unwrap().upload
    }

    async fn pass(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        // The disk and the journal take real time.
        tokio::time::resume();
    }

    #[actix::test]
    async fn an_upload_that_comes_no_further_goes_with_the_first_sweep_after_a_month() {
        let began: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let (clock, folder) = (SettableClock::at(began), tempfile::tempdir().unwrap());
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let (catalogue, _writer, _) =
            Catalogue::open(journal, &IndexPlace::below(folder.path()), Arc::new(clock.clone())).unwrap();
        let files: Arc<dyn Files> = Arc::new(SimulatedDisk::new());
        let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(clock.clone())).unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (writer, sessions) = (Line::new(), Line::new());
        let completer_catalogue = catalogue.clone();
        let completer = Completer {
            writer: writer.clone(),
            requests: Line::new(),
            catalogue,
            key: Arc::new(ReceiptKey::from_pkcs8(key.serialized_der()).unwrap()),
            clock: Arc::new(clock.clone()),
            notices: Notices::default(),
        };
        let (_drain, draining) = watch::channel(false);
        let limits = Limits {
            patches_in_all: 4,
            open_patches: 4,
            unfinished_uploads: 64,
            uploads_per_answer: 16,
            upload_bytes: 1000,
        };
        let storage =
            StorageParts::new(Arc::clone(&files), incoming.clone(), Floor::Bytes(0), None, Notices::default());
        let (pool, commits) = (SegmentPool::new(limits.patches_in_all), CommitEvery::for_sync_time(None));
        let (models, presence) = (watch::channel(Arc::default()).1, Presence::new(Arc::new(clock.clone())));
        let parts = SessionParts {
            completer,
            incoming: incoming.clone(),
            pool,
            commits,
            limits,
            models: models.clone(),
            draining,
        };
        let (enrolment, requests, custody) = (Line::new(), Line::new(), Line::new());
        let custodian = Custodian {
            parts: CustodyParts {
                data: files.clone(),
                storage: folder.path().to_owned(),
                is_there: Arc::new(|| false),
                time: chrono::NaiveTime::MIN,
                share: Share::of_percent(100, u64::MAX),
            },
            files: Arc::clone(&files),
            catalogue: parts.completer.catalogue.clone(),
            verifier: Arc::new(ReceiptVerifier::new(&parts.completer.key.jwks()).unwrap()),
            key: Arc::clone(&parts.completer.key),
            clock: Arc::new(clock.clone()),
            disk: storage.clone(),
            notices: Notices::default(),
            draining: parts.draining.clone(),
            looking: Arc::new(tokio::sync::Semaphore::new(1)),
            ended: Arc::new(crate::custody::LastLook::at(DateTime::UNIX_EPOCH)),
        };
        let arrivals = Arc::new(watch::Sender::new(()));
        let contents = Contents::open(Arc::new(SimulatedDisk::new())).unwrap();
        let post =
            Post::new(completer_catalogue, contents, Arc::new(clock.clone()), String::new(), None, Notices::default());
        let health = HealthParts {
            catalogue: parts.completer.catalogue.clone(),
            clock: Arc::new(clock.clone()),
            types: Arc::default(),
            notices: Notices::default(),
            models: models.clone(),
            storage: storage.clone(),
            presence: presence.clone(),
            offline_after: TimeDelta::days(7),
            budgets: Begun::default(),
            signals: Signals::default(),
        };
        let tree = Tree {
            writer,
            mailer: Line::new(),
            digests: (Line::new(), Digests::idle(&parts.completer, post.clone())),
            post,
            hooks: Hooks::new(Vec::new()),
            courier: Arc::new(Nobody),
            enrolment,
            arrivals,
            requests,
            sessions: sessions.clone(),
            models,
            presence,
            storage,
            parts,
            health: (Line::new(), health),
            custody,
            custodian,
        };
        let board = Board::new(Arc::new(clock.clone()));
        tree.supervisor(board.clone()).start().send(Started).await.unwrap();
        let sweeps = || board.read().iter().any(|actor| actor.name == "expiry" && actor.in_flight > 0);

        let old = begin(&sessions, 1).await;
        clock.set(began + TimeDelta::days(5));
        let newer = begin(&sessions, 2).await;
        let aside = begin(&sessions, 3).await;
        incoming.resume(aside).unwrap().0.put_aside().unwrap();
        let is_there = |upload| incoming.find(DEVICE, upload).is_some();
        for (days, upload) in [(30, old), (35, newer)] {
            clock.set(began + TimeDelta::days(days) - TimeDelta::seconds(1));
            let before = session(&sessions).await;
            // Longer than a session waits for its device; only then the sweep, which begins another.
            pass(SWEEP_EVERY - Duration::from_secs(60)).await;
            while before.connected() {
                tokio::task::yield_now().await;
            }
            assert!(is_there(upload));
            clock.set(began + TimeDelta::days(days));
            pass(Duration::from_secs(60)).await;
            let end = std::time::Instant::now() + Duration::from_secs(20);
            // Until the sweep is over: then it has given up all that it found, and the next one has its time.
            while is_there(upload) || sweeps() {
                assert!(std::time::Instant::now() < end, "it is still there");
                tokio::task::yield_now().await;
            }
            let hold = Hold { upload, with_body: false };
            let held = ask(&session(&sessions).await, hold, ASK_DEADLINE).await.unwrap();
            assert!(matches!(held, Err(AttachError::Expired)));
            assert_eq!(is_there(newer), upload == old, "each in its time");
            assert!(
                incoming.of_recording(DEVICE, declared(3).rid).is_none(),
                "what lay aside went with the first sweep"
            );
        }
        let hold = Hold { upload: aside, with_body: false };
        let held = ask(&session(&sessions).await, hold, ASK_DEADLINE).await.unwrap();
        assert!(matches!(held, Err(AttachError::NotFound)), "it was no more before");
        assert_ne!(begin(&sessions, 1).await, old, "it may come anew");
    }
}
