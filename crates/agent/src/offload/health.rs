//! What this device notices of itself: told to the server when it begins and when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::Datelike as _;
use longshore_model::{HealthEvent, HealthEventId, health_type};
use longshore_protocol::{HealthEventOutcome, HealthEvents, limits};
use rustix::fs::statvfs;
use tokio::time::Instant;

use super::Offload;
use crate::backoff::{Backoff, Pace};

/// Types that this device looks after.
const TYPES: [&str; 4] = [
    health_type::STORAGE_MISSING,
    health_type::STORAGE_FILE_SYSTEM_ERROR,
    health_type::STORAGE_FULL,
    health_type::CLOCK_UNSET,
];
/// A computer whose clock was never set counts from 1970.
const FIRST_YEAR: i32 = 2010;
/// A card with less room than one part in so many is full: a recording may just not fit.
const FULL: u64 = 50;
/// The server is told so often at least, so that people know that this device would tell.
const SIGN_OF_LIFE: Duration = Duration::from_secs(12 * 3600);

/// What is known of the own health, and what the server knows of it.
pub(super) struct Health {
    /// What is wrong now, by type, with what there is to say about it.
    wrong: BTreeMap<&'static str, String>,
    /// What the server was told, or will be; at the start it may still believe what an earlier run told.
    told: BTreeMap<&'static str, bool>,
    unsent: Vec<HealthEvent>,
    /// When the server took something last.
    taken_at: Option<Instant>,
    /// Before this time it is not told, since that failed.
    not_before: Instant,
    waits: Backoff,
}

impl Health {
    pub(super) fn new(pace: &Pace) -> Self {
        Self {
            wrong: BTreeMap::new(),
            told: BTreeMap::new(),
            unsent: Vec::new(),
            taken_at: None,
            not_before: Instant::now(),
            waits: Backoff::new(pace.first, pace.longest),
        }
    }
}

impl Offload {
    /// Takes note of how the cards are after a look: of folders that are not there, and of what could not be read.
    pub(super) async fn note_health(&mut self, missing: &BTreeSet<String>, unreadable: &BTreeSet<String>) {
        let roots: Vec<_> = self.here.keys().cloned().collect();
        // A card that is dying may hold this call up.
        let full = tokio::task::spawn_blocking(move || {
            let is_full = |root: &std::path::PathBuf| {
                statvfs(root).is_ok_and(|space| space.f_bavail.saturating_mul(FULL) < space.f_blocks)
            };
            roots.into_iter().filter(is_full).map(|root| root.display().to_string()).collect::<BTreeSet<_>>()
        });
        let full = full.await.unwrap_or_default();
        let now = self.clock.now();
        let unset = if now.year() < FIRST_YEAR { BTreeSet::from([format!("it shows {now}")]) } else { BTreeSet::new() };
        self.health.wrong.clear();
        for (kind, what) in TYPES.into_iter().zip([missing, unreadable, &full, &unset]) {
            if let Some(first) = what.first() {
                let more = what.len() - 1;
                let text = if more == 0 { first.clone() } else { format!("{first}, and {more} more") };
                let text = text.chars().take(limits::HEALTH_TEXT_CHARS).collect();
                self.health.wrong.insert(kind, text);
            }
        }
    }

    /// Tells the server what changed. Whatever goes wrong with it is tried again later, and nothing else waits for it.
    pub(super) async fn tell_health(&mut self) {
        if Instant::now() < self.health.not_before {
            return;
        }
        // Of cards that come and go, nobody knows whether one should be in.
        let misses = self.options.watch.has_folders();
        for kind in TYPES.into_iter().filter(|kind| misses || *kind != health_type::STORAGE_MISSING) {
            let text = self.health.wrong.get(kind).cloned();
            let is_wrong = text.is_some();
            if self.health.told.get(kind) == Some(&is_wrong) {
                continue;
            }
            // Without randomness nothing is sent at all.
            let Ok(id) = HealthEventId::random() else { return };
            let (at, cleared) = (self.clock.local(), !is_wrong);
            let kind_name = kind.to_owned();
            let (severity, camera, value) = (None, None, None);
            self.health.unsent.push(HealthEvent { id, kind: kind_name, at, severity, camera, value, text, cleared });
            self.health.told.insert(kind, is_wrong);
        }
        let is_due = self.health.taken_at.is_none_or(|at| at.elapsed() >= SIGN_OF_LIFE);
        if self.health.unsent.is_empty() && !is_due {
            return;
        }
        let events: Vec<_> = self.health.unsent.iter().take(limits::HEALTH_EVENTS).cloned().collect();
        let report = HealthEvents { events, clock: Some(self.clock.for_wire()) };
        match self.client.report_health(&report).await {
            Ok(answer) => {
                for taken in &answer.events {
                    if let HealthEventOutcome::Refused { reason } = &taken.outcome {
                        self.observer
                            .warn(&format!("the server does not take a health event of this device: {reason}"));
                    }
                }
                self.health.unsent.retain(|event| !answer.events.iter().any(|taken| taken.id == event.id));
                self.health.taken_at = Some(Instant::now());
                self.health.waits.reset();
            }
            Err(error) => {
                // A device that the server refuses hears of it where it matters: when it offers.
                let wait = self.retry.put_off(error, &mut self.health.waits).unwrap_or(self.pace.longest);
                self.health.not_before = Instant::now() + wait;
            }
        }
    }
}
