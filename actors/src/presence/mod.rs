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

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use longshore_model::SettableClock;
    use longshore_store::files::{Disk, DiskOptions};
    use longshore_store::index::{Index, IndexPlace};

    use super::*;
    use crate::kit::Board;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    fn device() -> longshore_model::Device {
        serde_json::from_value(serde_json::json!({
            "id": DEVICE, "serial": "B-1", "model": "BC4", "state": "active", "assignments": [], "profile": "default",
            "approved_at": "2026-11-21T15:00:00Z",
        }))
        .unwrap()
    }

    /// The journal takes real time; the actor's timers stand still meanwhile.
    async fn until(index: &Index, yes: impl Fn(&Index) -> bool) {
        tokio::time::resume();
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !yes(index) {
            assert!(std::time::Instant::now() < end, "still not");
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
    }

    #[actix::test]
    async fn the_journal_hears_when_a_device_came_and_when_it_was_gone() {
        let began: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let (clock, folder) = (SettableClock::at(began), tempfile::tempdir().unwrap());
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let place = IndexPlace::below(folder.path());
        let (catalogue, _writer, _) = Catalogue::open(journal, &place, Arc::new(clock.clone())).unwrap();
        catalogue.record(vec![Fact::DeviceAdded { device: device(), by: "uid 0".into() }]).await.unwrap();
        let presence = Presence::new(Arc::new(clock.clone()));
        let probe = Board::new(Arc::new(clock.clone())).probe(None, "presence".to_owned(), None);
        let index = catalogue.index().clone();
        let log = PresenceLog::new(presence.clone(), catalogue.clone(), Lifeline::new(|_| {}), probe).start();

        tokio::time::pause();
        let call = presence.call(DEVICE, None);
        presence.received(DEVICE).add(500);
        until(&index, |index| index.open_session(DEVICE).unwrap().is_some()).await;
        clock.set(began + TimeDelta::hours(1));
        drop(call);
        tokio::time::advance(table::SILENCE - Duration::from_secs(1)).await;
        assert_eq!(presence.sessions().len(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(presence.sessions().is_empty());
        log.do_send(Look);
        until(&index, |index| !index.sessions(DEVICE).unwrap().is_empty()).await;
        let session = index.sessions(DEVICE).unwrap().remove(0);
        assert_eq!((session.began, session.ended), (began, Some(began + TimeDelta::hours(1))));
        assert_eq!((session.received, session.end), (Some(500), Some(SessionEnd::Silent)));
    }

    #[actix::test]
    async fn what_a_killed_server_left_open_is_ended_by_what_the_journal_knows() {
        let began: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let (clock, folder) = (SettableClock::at(began), tempfile::tempdir().unwrap());
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let place = IndexPlace::below(folder.path());
        let (catalogue, _writer, _) = Catalogue::open(journal, &place, Arc::new(clock)).unwrap();
        let address = Some([192, 0, 2, 1].into());
        let open = SessionFact::Began { device: DEVICE, at: began, address };
        let facts = [Fact::DeviceAdded { device: device(), by: "uid 0".into() }, Fact::Session(open)];
        catalogue.record(facts.to_vec()).await.unwrap();
        for _ in 0..2 {
            end_unwitnessed(&catalogue).await.unwrap();
            let sessions = catalogue.index().sessions(DEVICE).unwrap();
            let [session] = &sessions[..] else { panic!("{sessions:?}") };
            assert_eq!((session.ended, session.end), (Some(began), Some(SessionEnd::Unwitnessed)));
            assert_eq!((session.address, session.received), (address, None));
            assert!(catalogue.index().open_sessions().unwrap().is_empty());
        }
    }
}
