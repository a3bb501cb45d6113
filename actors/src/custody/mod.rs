//! Custody: once a day the place to which the journal has come is signed, and the store is looked at. What is looked at, and
//! what comes of it, the pure `verify` of the store says; here it gets a thread of its own, which rests while devices upload.

mod schedule;
mod selection;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use longshore_model::{CheckpointClaims, Clock, ReceiptError, ReceiptKey, ReceiptVerifier, health_type};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::custody::Checkpoint;
use longshore_store::facts::{CustodyFact, Fact};
use longshore_store::files::{Files, Standing};
use longshore_store::index::{Index, IndexError};
use longshore_store::verify::{Ended, Hooks, Night, NightError, Pace, Reconciliation, Share, Storage, Unended};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::decision::DecisionError;
use crate::health::{Notice, Notices};
use crate::kit::{Lifeline, Probe, blocking, fail_point};
use crate::storage::StorageParts;

pub(crate) use schedule::LastLook;
pub use selection::{ExportRefused, Selection};

/// Between two looks at the clock on the wall.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After a look at the store that came to nothing: it reads the whole journal each time.
const AFTER_FAILURE: Duration = Duration::from_secs(3600);
/// The least that a thread can ask for: the disk's scheduler goes by it too.
const NICENESS: i32 = 19;
/// Rest after each piece that is read while the disk has something to do for devices. With pieces of 1 MiB at most 20 MiB/s
/// are read then.
const REST: Duration = Duration::from_millis(50);

/// At a stop a look at the store gets this long to note how far it came: many times what one read takes.
pub(crate) const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// What the look at the store works with, besides the engine's own parts.
#[derive(Clone)]
pub struct CustodyParts {
    /// The data folder, where the journal is.
    pub data: Arc<dyn Files>,
    /// The storage folder.
    pub storage: PathBuf,
    /// Whether the storage folder is the right one now; asks the disk.
    pub is_there: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Time of day, in this machine's time zone, at which it begins.
    pub time: NaiveTime,
    /// What is read of the stored files.
    pub share: Share,
}

/// What every Custody needs, the one after a failure too.
#[derive(Clone)]
pub(crate) struct Custodian {
    pub(crate) parts: CustodyParts,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) catalogue: Catalogue,
    pub(crate) key: Arc<ReceiptKey>,
    pub(crate) verifier: Arc<ReceiptVerifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: StorageParts,
    pub(crate) notices: Notices,
    pub(crate) draining: watch::Receiver<bool>,
    /// One look at a time, also one whose Custody is gone.
    pub(crate) looking: Arc<Semaphore>,
    /// When one ended last.
    pub(crate) ended: Arc<LastLook>,
}

/// The actor.
pub(crate) struct Custody {
    custodian: Custodian,
    probe: Probe,
    _lifeline: Lifeline,
}

/// See whether it is time for a look at the store.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

/// See whether it is time to sign how far the journal goes, and whether the looks come to their ends. Apart from those, which
/// may hang with the storage.
#[derive(Message)]
#[rtype(result = "()")]
struct Sign;

/// Look at the store now, whatever the time. It is on its way when this is answered.
#[derive(Message)]
#[rtype(result = "Result<(), ReconcileRefused>")]
pub(crate) struct Reconcile;

/// Why the store is not looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileRefused {
    /// It is being looked at.
    #[error("the store is being looked at already; wait for that")]
    Busy,
    /// There is nothing to look at.
    #[error("the storage is not there now; see to its disk or its share, then try again")]
    Gone,
}

/// What the index says of looks before.
struct Before {
    reconciliation: Option<Reconciliation>,
    unended: Option<Unended>,
    /// When one of the recordings was verified: without any there is nothing to look after.
    stored: Option<DateTime<Utc>>,
}

impl Before {
    fn read(index: &Index) -> Result<Self, IndexError> {
        Ok(Self {
            reconciliation: index.last_reconciliation()?.map(|reconciled| reconciled.reconciliation),
            unended: index.unended_reconciliation()?,
            stored: index.first_stored_at()?,
        })
    }
}

/// A look at the store that is to be taken.
struct Planned {
    day: NaiveDate,
    unended: Option<Unended>,
}

impl Custody {
    pub(crate) fn new(custodian: Custodian, lifeline: Lifeline, probe: Probe) -> Self {
        Self { custodian, probe, _lifeline: lifeline }
    }
}

impl Actor for Custody {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Sign);
        ctx.notify(Look);
    }
}

impl Handler<Sign> for Custody {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Sign, _: &mut Self::Context) -> Self::Result {
        let (custodian, probe) = (self.custodian.clone(), self.probe.clone());
        let signing = async move {
            if let Err(error) = custodian.sign().await {
                tracing::error!(%error, "the journal's place could not be signed");
                probe.error(error);
            }
        };
        let again = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Sign, LOOK_EVERY);
        };
        Box::pin(signing.into_actor(self).map(again))
    }
}

impl Handler<Look> for Custody {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let (custodian, probe) = (self.custodian.clone(), self.probe.clone());
        let looking = async move {
            custodian.look(&probe).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the store could not be looked after; it is tried again in an hour");
                probe.error(error);
                AFTER_FAILURE
            })
        };
        let again = |after, _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Look, after);
        };
        Box::pin(looking.into_actor(self).map(again))
    }
}

impl Handler<Reconcile> for Custody {
    type Result = Result<(), ReconcileRefused>;

    fn handle(&mut self, _: Reconcile, ctx: &mut Self::Context) -> Self::Result {
        let permit = Arc::clone(&self.custodian.looking).try_acquire_owned().map_err(|_| ReconcileRefused::Busy)?;
        if self.custodian.files.standing() != Standing::Ready {
            return Err(ReconcileRefused::Gone);
        }
        let (custodian, probe) = (self.custodian.clone(), self.probe.clone());
        let reconciling = async move {
            let day = on_the_wall(custodian.clock.now()).date();
            if let Err(error) = custodian.reconcile(day, None, permit, &probe).await {
                tracing::error!(%error, "the store could not be looked at");
                probe.error(error);
            }
        };
        ctx.spawn(reconciling.into_actor(self));
        Ok(())
    }
}

/// Why the store could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CustodyError {
    #[error(transparent)]
    Night(#[from] NightError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Checkpoint(#[from] DecisionError<ReceiptError>),
    #[error("no thread can be had for it: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the storage went away meanwhile")]
    Gone,
    #[error("it panicked; the server's log tells where")]
    Panicked,
}

impl Custodian {
    /// Signs the journal's place, if it is time, and tells if no look at the store came to its end for too long.
    async fn sign(&self) -> Result<(), CustodyError> {
        let now = self.clock.now();
        let notice = || Notice::of_server(health_type::STORE_UNCHECKED);
        self.notices.is(notice(), self.ended.is_overdue(now));
        let index = self.catalogue.index().clone();
        let (signed, stored) =
            blocking(move || Ok::<_, IndexError>((index.last_checkpoint()?, index.first_stored_at()?))).await?;
        let Some(stored) = stored else {
            self.ended.set(now);
            return Ok(());
        };
        let last = on_the_wall(signed.map_or(stored, |signed| signed.at));
        if schedule::due(on_the_wall(now), last, self.parts.time).is_some() {
            checkpoint(&self.catalogue, &self.key, &self.clock).await?;
        }
        Ok(())
    }

    /// Looks at the store, if it is time. Answers how long to wait.
    async fn look(&self, probe: &Probe) -> Result<Duration, CustodyError> {
        let index = self.catalogue.index().clone();
        let before = blocking(move || Before::read(&index)).await?;
        let Some(stored) = before.stored else { return Ok(LOOK_EVERY) };
        let now = on_the_wall(self.clock.now());
        let due =
            |last: Option<DateTime<Utc>>| schedule::due(now, on_the_wall(last.unwrap_or(stored)), self.parts.time);
        let began = before.reconciliation.as_ref().map(|reconciliation| reconciliation.began);
        let (day, unended) = match (due(began), before.unended) {
            // One that was stopped, of another day, is of no use any more.
            (Some(day), unended) => (day, unended.filter(|unended| unended.day == day)),
            (None, Some(unended)) => (unended.day, Some(unended)),
            (None, None) => return Ok(LOOK_EVERY),
        };
        if self.files.standing() == Standing::Ready
            && let Ok(permit) = Arc::clone(&self.looking).try_acquire_owned()
        {
            self.reconcile(day, unended, permit, probe).await?;
        }
        Ok(LOOK_EVERY)
    }

    async fn reconcile(
        &self,
        day: NaiveDate,
        unended: Option<Unended>,
        permit: OwnedSemaphorePermit,
        probe: &Probe,
    ) -> Result<(), CustodyError> {
        let _in_flight = probe.in_flight();
        let planned = Planned { day, unended };
        tracing::info!(%day, "the store is looked at");
        let (sender, ended) = oneshot::channel();
        // It lasts until the result is recorded, and as long as the thread, whichever is longer.
        let permit = Arc::new(permit);
        let (custodian, of_thread) = (self.clone(), Arc::clone(&permit));
        thread::Builder::new().name("custody".into()).spawn(move || {
            // Linux: of this thread alone (setpriority(2)). Where it is not granted, reading goes on as all else does.
            let _granted = rustix::process::setpriority_process(None, NICENESS);
            let ended = custodian.take_the_look(planned);
            drop(of_thread);
            let _custody_gone = sender.send(ended);
        })?;
        let (turned, fact) = match ended.await.map_err(|_| CustodyError::Panicked)?? {
            Ended::Done(reconciliation, turned) => {
                self.ended.set(self.clock.now());
                tell(&reconciliation);
                self.notices.is(notice(&reconciliation), !reconciliation.is_well());
                (turned, CustodyFact::Reconciled { reconciliation })
            }
            Ended::Stopped(Some((unended, turned))) => (turned, CustodyFact::ReconciliationPaused { unended }),
            Ended::Stopped(None) => return Ok(()),
            Ended::Gone => return Err(CustodyError::Gone),
        };
        // Before the report, which would else count although it is not known what to read again; each alone, since it may be much.
        for found in turned.into_facts() {
            self.catalogue.record(vec![Fact::Custody(found)]).await?;
        }
        Ok(self.catalogue.record(vec![Fact::Custody(fact)]).await?)
    }

    /// On the thread.
    fn take_the_look(&self, Planned { day, unended }: Planned) -> Result<Ended, NightError> {
        let CustodyParts { data, storage, is_there, share, .. } = &self.parts;
        let storage = Storage { folder: storage, journal: &**data, verifier: &self.verifier, quick: false };
        let night = Night { index: self.catalogue.index(), storage, share: *share, day };
        let hooks = Hooks {
            pace: &|bytes| self.pace(bytes),
            is_there: &|| self.files.standing() == Standing::Ready && is_there(),
            clock: &*self.clock,
        };
        night.look(unended, &hooks)
    }

    fn pace(&self, bytes: u64) -> Pace {
        if *self.draining.borrow() || self.files.standing() != Standing::Ready {
            return Pace::Stop;
        }
        if bytes > 0 {
            fail_point!("custody-read");
        }
        if bytes > 0 && self.disk.is_busy() {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
            thread::sleep(REST);
        }
        Pace::On
    }
}

/// What is wrong with the store, for the health page and the mail.
fn notice(reconciliation: &Reconciliation) -> Notice {
    let looked = &reconciliation.looked;
    let first = looked.problems_named.first();
    let text =
        first.map(|first| format!("{} things are wrong; the first: {}: {}", looked.problems, first.path, first.text));
    Notice::of_server(health_type::STORE_DAMAGED).value(looked.problems).text(text.unwrap_or_default())
}

/// As a clock in this machine's time zone shows it.
fn on_the_wall(at: DateTime<Utc>) -> NaiveDateTime {
    at.with_timezone(&Local).naive_local()
}

fn tell(reconciliation: &Reconciliation) {
    let Reconciliation { day, looked, foreign, .. } = reconciliation;
    let (expected, present, unverified) = (looked.expected, looked.present, looked.unverified);
    let (read, problems) = (looked.read, looked.problems);
    if reconciliation.is_well() {
        tracing::info!(%day, expected, present, unverified, read, foreign, "the store is as it should be");
        return;
    }
    tracing::error!(%day, expected, present, unverified, read, problems, "the store is not as it should be");
    for problem in &looked.problems_named {
        tracing::error!(path = problem.path, "{}", problem.text);
    }
}

/// Signs how far the journal goes, unless nothing came since it was signed last; answers the newest checkpoint, which there is
/// none of while the journal is empty.
pub(crate) async fn checkpoint(
    catalogue: &Catalogue,
    key: &Arc<ReceiptKey>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Checkpoint>, DecisionError<ReceiptError>> {
    let (key, clock) = (Arc::clone(key), Arc::clone(clock));
    let made = catalogue.decide(move |index: &Index| {
        let (Some(end), last) = (index.applied()?, index.last_checkpoint()?) else { return Ok(Ok((Vec::new(), ()))) };
        if last.is_some_and(|last| last.seq == end.seq) {
            return Ok(Ok((Vec::new(), ())));
        }
        let hash = end.hash.parse().map_err(|_| IndexError::Damaged("the journal's place".to_owned()))?;
        let (position, at, server) = (end.seq, clock.now(), key.server_id().to_owned());
        let claims = CheckpointClaims { position, hash, at, server };
        let signed = match key.state(&claims) {
            Ok(signed) => signed,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok((vec![Fact::Custody(CustodyFact::Checkpointed { claims, signed })], ())))
    });
    made.await.map_err(|error: DecideError<ReceiptError>| DecisionError::from(error))?;
    let index = catalogue.index().clone();
    Ok(blocking(move || index.last_checkpoint()).await?)
}

#[cfg(test)]
mod tests;
