//! Presence: which devices are connected, since when and from where. The edge tells of each request; the actor tells the
//! journal when a session began and ended. What is open when the server is killed is ended at the next start, by what the
//! journal knows.

mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{Clock, DeviceId, Network, Session, SessionEnd};
use longshore_store::catalogue::{Catalogue, RecordError};
use longshore_store::facts::{Fact, SessionFact};
use longshore_store::index::OpenSession;
use tokio::time::Instant;

use crate::engine::EngineError;
use crate::kit::{Lifeline, Probe, blocking, fail_point};
use table::{Moment, Table};

/// Between two looks for devices that are gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who is connected; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Presence {
    table: Arc<Mutex<Table>>,
    /// Held while the journal is told: no fact may be told twice.
    telling: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
}

/// A request of a device, from its begin until this is dropped.
pub struct Call {
    presence: Presence,
    device: DeviceId,
}

/// Counts the bytes that a device sends.
pub struct Received(Arc<AtomicU64>);

impl Presence {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { table: Arc::default(), telling: Arc::default(), clock }
    }

    /// A request of this device begins.
    pub fn call(&self, device: DeviceId, address: Option<IpAddr>) -> Call {
        self.table().began(device, address, self.now());
        Call { presence: self.clone(), device }
    }

    /// A device that is connected said over what.
    pub fn reported(&self, device: DeviceId, network: Network) {
        self.table().reported(device, network);
    }

    /// For the bytes of a request of this device.
    pub fn received(&self, device: DeviceId) -> Received {
        Received(self.table().counter(device))
    }

    /// The devices that are connected, with what is known here: of their recordings the index tells.
    pub fn sessions(&self) -> Vec<(DeviceId, Session)> {
        self.table().sessions(self.now())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment { at: Instant::now(), wall: self.clock.now() }
    }

    /// Tells the journal what it does not know yet.
    pub(crate) async fn record(&self, catalogue: &Catalogue) -> Result<(), RecordError> {
        let _telling = self.telling.lock().await;
        let facts = self.table().facts();
        let count = facts.len();
        if count > 0 {
            catalogue.record(facts.into_iter().map(Fact::Session).collect()).await?;
            self.table().recorded(count);
        }
        Ok(())
    }

    /// Ends all sessions, since the server stops.
    pub(crate) fn stop(&self) {
        self.table().stop(self.now());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.presence.table().ended(self.device, self.presence.now());
    }
}

impl Received {
    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Ends the sessions that an earlier server had no time to end: with the last sign of life that the journal holds.
pub(crate) async fn end_unwitnessed(catalogue: &Catalogue) -> Result<(), EngineError> {
    let index = catalogue.index().clone();
    let open = blocking(move || index.open_sessions()).await?;
    let ended = |(device, open): (DeviceId, OpenSession)| {
        let end = SessionEnd::Unwitnessed;
        let address = open.session.address;
        Fact::Session(SessionFact::Ended { device, at: open.last_sign, address, network: None, received: None, end })
    };
    let facts: Vec<_> = open.into_iter().map(ended).collect();
    if !facts.is_empty() {
        catalogue.record(facts).await?;
    }
    Ok(())
}

/// The actor. The table outlives it.
pub(crate) struct PresenceLog {
    presence: Presence,
    catalogue: Catalogue,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Look who is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl PresenceLog {
    pub(crate) fn new(presence: Presence, catalogue: Catalogue, lifeline: Lifeline, probe: Probe) -> Self {
        Self { presence, catalogue, probe, _lifeline: lifeline }
    }
}

impl Actor for PresenceLog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
    }
}

impl Handler<Look> for PresenceLog {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        fail_point!("presence-look");
        let (presence, catalogue, probe) = (self.presence.clone(), self.catalogue.clone(), self.probe.clone());
        let looking = async move {
            presence.table().sweep(presence.now());
            // What it does not take now it is told again.
            if let Err(error) = presence.record(&catalogue).await {
                probe.error(error);
            }
        };
        let again = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Look, LOOK_EVERY);
        };
        Box::pin(looking.into_actor(self).map(again))
    }
}
