//! A docked camera: the agent, with a card, a bay and a clock of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock, SystemClock};
use longshore_protocol::EnrolmentText;

use crate::backoff::Pace;
use crate::device_clock::DeviceClock;
use crate::enrol::{About, EnrolError, enrol};
use crate::offload::{Offload, OffloadError, Options};
use crate::progress::Observer;
use crate::state::{State, StateError};
use crate::watch::Watch;

/// Ceiling of the first wait after a failure. A dock is a network of two, in which nobody has to be spared.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Ceiling of the later ones.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often the card is looked through.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A camera. Its key, its checksums and what it has begun are in the state folder, so that one that lost its power goes
/// on where it was.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its card.
    pub card: PathBuf,
    /// Its state folder.
    pub state: PathBuf,
    /// What it scanned.
    pub text: EnrolmentText,
    /// What it says of itself.
    pub about: About,
    /// The bay that it is in, which leads to the server of the text.
    pub bay: SocketAddr,
    /// How far its clock is ahead.
    pub ahead: TimeDelta,
    /// How long it waits between its calls, and between two looks at its card.
    pub pace: Pace,
}

/// The pace of a camera in a dock.
#[must_use]
pub fn in_dock() -> Pace {
    Pace { first: FIRST_WAIT, longest: LONGEST_WAIT, rescan: LOOK_EVERY, ..Pace::default() }
}

/// Why a camera stopped.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// Its state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its bay has no address.
    #[error(transparent)]
    Bay(#[from] url::ParseError),
    /// It did not become known.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// It cannot offload.
    #[error(transparent)]
    Offload(#[from] OffloadError),
}

/// A clock that somebody set wrong.
#[derive(Debug, Clone, Copy)]
struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        let now = SystemClock.now();
        now.checked_add_signed(self.0).unwrap_or(now)
    }
}

impl Camera {
    /// Becomes known to the server, if it is not yet, and offloads its card for as long as it is left in the dock.
    ///
    /// # Errors
    /// [`CameraError`]; what may pass is none.
    pub async fn run(self, observer: Arc<dyn Observer>) -> Result<(), CameraError> {
        let Self { card, state, mut text, about, bay, ahead, pace } = self;
        let (state, clock) = (State::open(&state)?, Arc::new(Ahead(ahead)));
        let bay = format!("https://{bay}");
        text.server = bay.parse()?;
        let own = DeviceClock::new(clock.clone());
        let mut identity = enrol(&state, &text, about, &own, &pace, &*observer).await?;
        // The server tells its own address; a camera in a dock has no way to it but the bay.
        identity.server.urls = vec![bay];
        state.keep_identity(&identity)?;
        let watch = Watch::folder(&card);
        let watch = watch.map_err(|error| OffloadError::Folder { folder: card.display().to_string(), error })?;
        let options = Options { watch, once: false, keep: false, events: Vec::new() };
        Offload::new(options, state, clock, pace, observer)?.run().await?;
        Ok(())
    }
}
