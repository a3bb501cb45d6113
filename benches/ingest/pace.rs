//! How fast a bay sends.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Bytes a second of a bay with a body camera: 64 Mbit/s.
pub(crate) const BAY: u64 = 8_000_000;
/// Bytes that a paced bay sends at once: a TLS record, as a camera does that reads its card in small pieces.
const PACED_PIECE: u64 = 16 * 1024;
/// Bytes that an unpaced client sends at once.
const PIECE: u64 = 256 * 1024;
/// A bay that was held up makes good what it missed of this time, as the camera's own buffer lets it. What it was held up
/// longer is lost, and shows.
const SLACK: Duration = Duration::from_millis(100);

/// Lets bytes go at a rate, or at once.
pub(crate) struct Pace {
    rate: Option<u64>,
    due: Instant,
}

impl Pace {
    /// At most this many bytes a second.
    pub(crate) fn of(rate: Option<u64>) -> Self {
        Self { rate, due: Instant::now() }
    }

    /// Bytes to send at once.
    pub(crate) fn piece(&self) -> u64 {
        if self.rate.is_some() { PACED_PIECE } else { PIECE }
    }

    /// Waits until this many bytes may go.
    pub(crate) async fn next(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(SLACK).unwrap_or(now));
        if self.due > now {
            sleep_until(self.due).await;
        }
        self.due += Duration::from_secs_f64(bytes as f64 / rate as f64);
    }
}
