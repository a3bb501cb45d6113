use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{Clock, DeviceId};
use serde::{Deserialize, Serialize};

use super::lifeline::Ended;
use super::restart::Rest;

/// What an actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActorState {
    /// It runs.
    Running,
    /// It ended; the next call for it starts it again.
    Ended,
    /// It failed and is started again in a moment.
    Restarting,
    /// It failed so often that it rests.
    Parked,
    /// It does nothing more until the server is restarted.
    Broken,
}

/// What failed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastError {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in plain words.
    pub text: String,
}

/// One actor, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActorStatus {
    /// Stays the same over restarts.
    pub id: u64,
    /// Who starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// What it is.
    pub name: String,
    /// The device that it is there for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// What it is doing.
    pub state: ActorState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when at least, if it waits for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How often it failed.
    pub failures: u32,
    /// Questions and jobs that it has not answered yet.
    pub in_flight: usize,
    /// What failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// Where every actor says how it is. It can be read while an actor, or the thread of them all, hangs.
#[derive(Clone)]
pub(crate) struct Board {
    clock: Arc<dyn Clock>,
    rows: Arc<Mutex<Rows>>,
}

#[derive(Default)]
struct Rows {
    last_id: u64,
    rows: BTreeMap<u64, Arc<Row>>,
}

struct Row {
    status: Mutex<ActorStatus>,
    in_flight: AtomicUsize,
}

/// An actor's place on the board, held by whoever starts it and by the actor; it goes when both have let go.
#[derive(Clone)]
pub(crate) struct Probe(Arc<Place>);

struct Place {
    board: Board,
    id: u64,
    row: Arc<Row>,
}

/// One more thing in flight, until it is dropped.
pub(crate) struct InFlight(Arc<Row>);

impl Board {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rows: Arc::default() }
    }

    /// A place for an actor that is about to start.
    pub(crate) fn probe(&self, parent: Option<&Probe>, name: String, device: Option<DeviceId>) -> Probe {
        let mut rows = self.lock();
        rows.last_id += 1;
        let id = rows.last_id;
        let status = ActorStatus {
            id,
            parent: parent.map(|parent| parent.0.id),
            name,
            device,
            state: ActorState::Running,
            since: self.clock.now(),
            until: None,
            failures: 0,
            in_flight: 0,
            last_error: None,
        };
        let row = Arc::new(Row { status: Mutex::new(status), in_flight: AtomicUsize::new(0) });
        rows.rows.insert(id, Arc::clone(&row));
        Probe(Arc::new(Place { board: self.clone(), id, row }))
    }

    /// Everybody, parents before their children.
    pub(crate) fn read(&self) -> Vec<ActorStatus> {
        let rows: Vec<Arc<Row>> = self.lock().rows.values().cloned().collect();
        rows.iter()
            .map(|row| ActorStatus { in_flight: row.in_flight.load(Ordering::Relaxed), ..row.lock().clone() })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn lock(&self) -> MutexGuard<'_, ActorStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// A place for an actor that this one starts.
    pub(crate) fn child(&self, name: String, device: DeviceId) -> Self {
        self.0.board.probe(Some(self), name, Some(device))
    }

    /// What it is.
    pub(crate) fn name(&self) -> String {
        self.0.row.lock().name.clone()
    }

    /// It runs, again.
    pub(crate) fn runs(&self) {
        self.change(ActorState::Running, None);
    }

    /// It ended, and somebody decided on `rest`.
    pub(crate) fn ended(&self, ended: Ended, rest: Option<Rest>) {
        if ended == Ended::Panicked {
            self.error("it panicked; the server's log tells where");
        }
        let state = match rest {
            Some(Rest { parked: true, .. }) => ActorState::Parked,
            Some(Rest { wait, .. }) if !wait.is_zero() => ActorState::Restarting,
            _ => ActorState::Ended,
        };
        self.0.row.lock().failures += u32::from(rest.is_some());
        self.change(state, rest.map(|rest| rest.wait).filter(|wait| !wait.is_zero()));
    }

    /// Something failed.
    pub(crate) fn error(&self, error: impl Display) {
        let at = self.0.board.clock.now();
        self.0.row.lock().last_error = Some(LastError { at, text: error.to_string() });
    }

    /// It failed for good.
    pub(crate) fn broke(&self, error: impl Display) {
        if self.0.row.lock().state != ActorState::Broken {
            self.error(error);
            self.change(ActorState::Broken, None);
        }
    }

    /// Counts one more thing in flight.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.0.row.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.0.row))
    }

    fn change(&self, state: ActorState, wait: Option<Duration>) {
        let now = self.0.board.clock.now();
        let mut status = self.0.row.lock();
        (status.state, status.since, status.until) = (state, now, wait.map(|wait| now + wait));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.lock().rows.remove(&self.id);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::SystemClock;

    use super::*;

    #[test]
    fn the_board_tells_of_parents_and_children_while_somebody_holds_their_place() {
        let board = Board::new(Arc::new(SystemClock));
        let parent = board.probe(None, "sessions".into(), None);
        let child = parent.child("session".into(), DeviceId::from_bytes([1; 16]));
        let in_flight = child.in_flight();
        child.ended(Ended::Panicked, Some(Rest { wait: Duration::ZERO, parked: false }));
        let rows = board.read();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[1].parent, rows[1].in_flight, rows[1].failures), (Some(rows[0].id), 1, 1));
        assert_eq!(rows[1].state, ActorState::Ended);
        assert!(rows[1].last_error.as_ref().unwrap().text.contains("panicked"));
        drop((in_flight, child));
        assert_eq!(board.read().len(), 1);
    }
}
