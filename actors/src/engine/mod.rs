//! Composition: which actors there are, in the order in which they start, and the one face that they show.

mod custody;
mod devices;
mod digests;
mod exports;
mod health;
mod join;
mod mails;
mod organisation;
mod profiles;
mod requests;
mod uploads;
mod whole;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::{Arbiter, ArbiterHandle};
use chrono::TimeDelta;
use longshore_model::{Clock, EnrolmentId, HealthTypes, ReceiptError, ReceiptKey, ReceiptVerifier};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::files::{Files, Standing};
use longshore_store::incoming::Incoming;
use longshore_store::index::IndexError;
use longshore_store::outbox::Contents;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::custody::{Custodian, Custody, CustodyParts, LastLook, STOPS_WITHIN};
use crate::digest::{DigestSettings, Digests, EmailDigest};
use crate::enrolment::{Arrivals, Enrolment, Watch};
use crate::health::{Begun, HealthAggregator, HealthParts, Notices, Signals};
use crate::kit::{self, ASK_DEADLINE, ActorStatus, Board, Line, Probe, Started, ask};
use crate::mailer::{MailSettings, Mailer, Post};
use crate::presence::{self, Presence};
use crate::profiles::Models;
use crate::requests::RequestQueue;
use crate::sessions::{DeviceSessions, Limits, SessionParts};
use crate::storage::{CommitEvery, Floor, OTHER_BLOCKING, POOL, Reader, StorageParts};
use crate::tree::Tree;
use crate::upload::{Completer, SegmentPool};
use crate::webhooks::{Courier, Hooks, WebhookSettings};

pub use devices::Credential;
pub use exports::SignRefused;
pub use join::JoinError;
pub use organisation::IssuedApiToken;
pub use uploads::Held;

/// What the engine is made of.
pub struct Parts {
    /// The storage folder.
    pub files: Arc<dyn Files>,
    /// Uploads on their way in it.
    pub incoming: Incoming,
    /// Journal and index.
    pub catalogue: Catalogue,
    /// Signs receipts.
    pub receipt_key: Arc<ReceiptKey>,
    /// Dates what people read.
    pub clock: Arc<dyn Clock>,
    /// Room that is kept free on the storage.
    pub floor: Floor,
    /// How often a transfer is committed in its middle.
    pub commits: CommitEvery,
    /// Whether a recording is read from the medium again before its receipt.
    pub read_back: bool,
    /// Bounds on one device.
    pub limits: Limits,
    /// What is known of models of devices.
    pub models: Models,
    /// Texts of messages.
    pub contents: Contents,
    /// The mail server, if there is one.
    pub mail: Option<MailSettings>,
    /// What is known of types of health events.
    pub health_types: Arc<HealthTypes>,
    /// The daily mails.
    pub digests: DigestSettings,
    /// A device that did not call for so long is offline.
    pub offline_after: TimeDelta,
    /// Programs that are told what happens.
    pub webhooks: Vec<WebhookSettings>,
    /// Carries messages to them.
    pub courier: Arc<dyn Courier>,
    /// How the store is looked after.
    pub custody: CustodyParts,
}

/// A part of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The engine's thread.
    #[error("the engine cannot be started: {0}")]
    Start(#[from] io::Error),
    /// Its own receipt key.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The storage is not there, or can only be read.
    #[error("{0}")]
    Storage(Standing),
    /// An actor does not answer.
    #[error("a part of the server is not available now")]
    Unavailable,
}

impl From<DecideError<Infallible>> for EngineError {
    fn from(error: DecideError<Infallible>) -> Self {
        match error {
            DecideError::Refused(never) => match never {},
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

/// The engine's face: cheap to clone, usable from any thread that has a runtime.
#[derive(Clone)]
pub struct Engine {
    draining: Arc<watch::Sender<bool>>,
    storage: StorageParts,
    files: Arc<dyn Files>,
    sessions: Line<DeviceSessions>,
    enrolment: Line<Enrolment>,
    requests: Line<RequestQueue>,
    custody: Line<Custody>,
    reconciling: Arc<Semaphore>,
    arrivals: Arrivals,
    clock: Arc<dyn Clock>,
    board: Board,
    /// The catalogue's writer is a thread and no actor; it has its place all the same.
    writer: Probe,
    catalogue: Catalogue,
    incoming: Incoming,
    verifier: Arc<ReceiptVerifier>,
    receipt_key: Arc<ReceiptKey>,
    models: Models,
    presence: Presence,
    mailer: Line<Mailer>,
    post: Post,
    health: Line<HealthAggregator>,
    health_parts: HealthParts,
    email_digest: Line<EmailDigest>,
    digests: Digests,
    hooks: Hooks,
    arbiter: ArbiterHandle,
}

impl Engine {
    /// Starts the actors on a thread of their own. Must be called inside an actix system.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn start(parts: Parts) -> Result<Self, EngineError> {
        let Parts {
            files,
            incoming,
            catalogue,
            receipt_key,
            clock,
            floor,
            commits,
            read_back,
            limits,
            models,
            contents,
            mail,
            webhooks,
            courier,
            custody,
            digests,
            health_types,
            offline_after,
        } = parts;
        let notices = Notices::default();
        let reader = if read_back { Some(Reader::start()?) } else { None };
        let storage = StorageParts::new(Arc::clone(&files), incoming.clone(), floor, reader, notices.clone());
        let health_parts = HealthParts {
            catalogue: catalogue.clone(),
            clock: Arc::clone(&clock),
            types: health_types,
            notices: notices.clone(),
            models: models.clone(),
            storage: storage.clone(),
            presence: Presence::new(Arc::clone(&clock)),
            offline_after,
            budgets: Begun::default(),
            signals: Signals::default(),
        };
        let verifier = Arc::new(ReceiptVerifier::new(&receipt_key.jwks())?);
        if let Err(error) = presence::end_unwitnessed(&catalogue).await {
            tracing::warn!(%error, "sessions that were open when the server was killed stay open until their devices come");
        }
        // Built here, where its failure can be told.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(POOL + OTHER_BLOCKING)
            .thread_name("storage")
            .build()?;
        let arbiter = Arbiter::with_tokio_rt(move || runtime);
        let board = Board::new(Arc::clone(&clock));
        let (draining, told) = watch::channel(false);
        let name = receipt_key.server_id().to_owned();
        let post = Post::new(catalogue.clone(), contents, Arc::clone(&clock), name, mail, notices.clone());
        let (writer, mailer) = (Line::new(), Line::new());
        let digests = Digests {
            catalogue: catalogue.clone(),
            clock: Arc::clone(&clock),
            post: post.clone(),
            mailer: mailer.clone(),
            writer: writer.clone(),
            types: Arc::clone(&health_parts.types),
            settings: Arc::new(watch::Sender::new(digests)),
            making: Arc::default(),
        };
        let engine = Self {
            storage: storage.clone(),
            draining: Arc::new(draining),
            files: Arc::clone(&files),
            sessions: Line::new(),
            enrolment: Line::new(),
            requests: Line::new(),
            custody: Line::new(),
            reconciling: Arc::new(Semaphore::new(1)),
            arrivals: Arrivals::new(watch::Sender::new(())),
            clock: Arc::clone(&clock),
            writer: board.probe(None, "catalogue".to_owned(), None),
            board: board.clone(),
            catalogue: catalogue.clone(),
            incoming: incoming.clone(),
            verifier: Arc::clone(&verifier),
            receipt_key: Arc::clone(&receipt_key),
            models: models.clone(),
            presence: health_parts.presence.clone(),
            health: Line::new(),
            health_parts: health_parts.clone(),
            mailer,
            post,
            email_digest: Line::new(),
            digests,
            hooks: Hooks::new(webhooks),
            arbiter: arbiter.handle(),
        };
        let (enrolment, sessions) = (engine.enrolment.clone(), engine.sessions.clone());
        let requests = engine.requests.clone();
        let custodian = Custodian {
            parts: custody,
            files,
            catalogue: catalogue.clone(),
            key: Arc::clone(&receipt_key),
            verifier,
            clock: Arc::clone(&clock),
            disk: storage.clone(),
            notices: notices.clone(),
            draining: told.clone(),
            looking: Arc::clone(&engine.reconciling),
            ended: Arc::new(LastLook::at(clock.now())),
        };
        let custody = engine.custody.clone();
        let completer = Completer {
            writer: writer.clone(),
            requests: requests.clone(),
            catalogue,
            key: receipt_key,
            clock,
            notices,
        };
        let pool = SegmentPool::new(limits.patches_in_all);
        let parts = SessionParts { completer, incoming, pool, commits, limits, models: models.clone(), draining: told };
        let (presence, arrivals) = (engine.presence.clone(), Arc::clone(&engine.arrivals));
        let (mailer, post, hooks) = (engine.mailer.clone(), engine.post.clone(), engine.hooks.clone());
        let health = (engine.health.clone(), health_parts);
        let tree = Tree {
            writer,
            mailer,
            post,
            digests: (engine.email_digest.clone(), engine.digests.clone()),
            hooks,
            courier,
            enrolment,
            arrivals,
            requests,
            sessions,
            models,
            presence,
            storage,
            parts,
            custodian,
            custody,
            health,
        };
        let (sender, supervisor) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let _starter_gone = sender.send(tree.supervisor(board).start());
        });
        let supervisor = supervisor.await.map_err(|_| EngineError::Unavailable)?;
        ask(&supervisor, Started, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)?;
        Ok(engine)
    }

    /// How each actor is; readable while they hang.
    pub fn actors(&self) -> Vec<ActorStatus> {
        if let Err(error) = self.catalogue.check() {
            self.writer.broke(error);
        }
        self.board.read()
    }

    /// Asks every transfer to commit and let go; from now on none is begun, and what is complete gets its name after the
    /// next start.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        self.storage.drain();
    }

    /// Who is connected.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Ends the sessions of all devices: for when nobody is served any more.
    pub async fn end_sessions(&self) {
        self.presence.stop();
        let recording = timeout(ASK_DEADLINE, self.presence.record(&self.catalogue));
        if let Ok(Err(error)) = recording.await {
            tracing::warn!(%error, "the ends of sessions could not be recorded; the next start ends them");
        }
    }

    /// Returns when nothing that was given to the disk is left undone.
    pub async fn settled(&self) {
        self.storage.settled().await;
        // What it found so far is not lost, if it hears of the stop in time.
        let _it_begins_anew = timeout(STOPS_WITHIN, self.reconciling.acquire()).await;
    }

    /// Stops the actors. What they were doing goes on from the disk at the next start.
    pub fn stop(&self) {
        self.arbiter.stop();
    }

    /// Whether the journal takes facts, the storage is there and the actors answer.
    ///
    /// # Errors
    /// [`EngineError`], if not.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.catalogue.check()?;
        match self.files.standing() {
            Standing::Ready => {}
            standing => return Err(EngineError::Storage(standing)),
        }
        // Shows that the engine's thread lives; the board tells of the others on it.
        let probe = Watch(EnrolmentId::from_bytes([0; 16]));
        self.enrolment.ask(probe, Duration::from_secs(2)).await.map_err(|_| EngineError::Unavailable)?;
        let rests = |row: &ActorStatus| row.parent.is_none() && row.state != kit::ActorState::Running;
        if self.board.read().iter().any(rests) { Err(EngineError::Unavailable) } else { Ok(()) }
    }

    /// Journal and index, for reading.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}
