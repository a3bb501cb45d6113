//! A fleet at work: each device is the agent, with a card, a clock and a network of its own, and lives its day. What is
//! true of the cards is noted, so that it can be compared with what the server says.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use longshore_model::{Clock, Sha256};
use longshore_protocol::EnrolmentText;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::camera::{Camera, CameraError};
use super::card::{self, Made, Shot};
use super::day::{Act, EVENTS, Fate, Plan};
use super::link::Link;
use crate::backoff::Pace;
use crate::enrol::About;
use crate::lock::lock;
use crate::progress::{Job, Observer};

/// How much of what is left until the next step is slept at once: the system's clock may run a thousand times as fast as
/// timers do, where somebody makes it.
const SLEEP_SHARE: i32 = 4_000;
/// Least and most that is slept at once.
const SHORTEST_SLEEP: Duration = Duration::from_millis(2);
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long a camera is waited for that is to lose its power while it sends: many seconds of a busy machine, at a thousand times
/// the speed of time.
const SENDS_WITHIN: TimeDelta = TimeDelta::hours(3);

/// What everybody in the fleet has in common.
#[derive(Clone)]
pub struct Fleet {
    /// Below it, each device has a folder with its card and its state.
    pub folder: PathBuf,
    /// What all of them scanned.
    pub text: EnrolmentText,
    /// Where the server of the text is.
    pub server: SocketAddr,
    /// The true time.
    pub clock: Arc<dyn Clock>,
    /// How long the devices wait between their calls, and between two looks at their cards.
    pub pace: Pace,
    /// When the day is over.
    pub end: DateTime<Utc>,
}

/// How far the fleet is.
#[derive(Debug, Default)]
pub struct Standing {
    /// Recordings that were made.
    pub made: AtomicU64,
    /// Uploads that were done.
    pub sent: AtomicU64,
    /// Devices that reach the server now.
    pub here: AtomicU64,
}

/// What is true of a recording at the end of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Of which device.
    pub serial: String,
    /// Path on its card.
    pub name: String,
    /// When it began in truth.
    pub start: DateTime<Utc>,
    /// When it began by the device's clock.
    pub device_start: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
    /// Checksum.
    pub sha256: Sha256,
    /// Whether it is on the card still.
    pub on_card: bool,
}

/// How the day of a device went.
#[derive(Debug, Clone, Serialize)]
pub struct Lived {
    /// Of which device.
    pub serial: String,
    /// What became of it, for people.
    pub fate: &'static str,
    /// It lost its power while it sent: some of its events were over, and not all.
    pub interrupted: bool,
    /// What was recorded.
    pub recordings: Vec<Truth>,
    /// What it complained of last.
    pub complaint: Option<String>,
    /// Why it stopped before the end of the day.
    pub stopped: Option<String>,
}

impl Fleet {
    /// Lets all devices live their day.
    ///
    /// # Errors
    /// What the operating system says of folders and sockets.
    pub async fn run(&self, plans: Vec<Plan>, standing: &Arc<Standing>) -> io::Result<Vec<Lived>> {
        let lives = plans.into_iter().enumerate().map(|(n, plan)| {
            let device = Device::new(self, n, plan, standing);
            async move { device?.live().await }
        });
        try_join_all(lives).await
    }

    /// Returns when the clock shows this.
    pub async fn until(&self, moment: DateTime<Utc>) {
        loop {
            let left = moment - self.clock.now();
            if left <= TimeDelta::zero() {
                return;
            }
            let share = (left / SLEEP_SHARE).to_std().unwrap_or_default();
            sleep(share.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)).await;
        }
    }
}

struct Device<'a> {
    fleet: &'a Fleet,
    plan: Plan,
    card: PathBuf,
    state: PathBuf,
    link: Link,
    plugged: bool,
    /// Bytes that it had sent when it came to its network last.
    crossed_before: u64,
    interrupted: bool,
    powered: Option<JoinHandle<Result<(), CameraError>>>,
    heard: Arc<Heard>,
    made: Vec<Made>,
}

impl<'a> Device<'a> {
    fn new(fleet: &'a Fleet, n: usize, plan: Plan, standing: &Arc<Standing>) -> io::Result<Self> {
        let own = fleet.folder.join(&plan.serial);
        let (card, state) = (own.join("card"), own.join("state"));
        std::fs::create_dir_all(&card)?;
        let link = Link::of_fleet(n, fleet.server, plan.rate)?;
        link.plug(false);
        let heard = Arc::new(Heard { standing: Arc::clone(standing), complaint: Mutex::default() });
        let (crossed_before, made) = (0, Vec::new());
        let (plugged, interrupted) = (false, false);
        Ok(Self { fleet, plan, card, state, link, plugged, crossed_before, interrupted, powered: None, heard, made })
    }

    async fn live(mut self) -> io::Result<Lived> {
        self.start();
        for (at, act) in std::mem::take(&mut self.plan.steps) {
            self.fleet.until(at).await;
            match act {
                Act::Record(shot) => self.record(shot).await?,
                Act::Arrive => self.plug(true),
                Act::Leave => self.plug(false),
                Act::Die => {
                    self.half_sent().await;
                    self.die().await;
                }
                Act::Start => self.start(),
            }
        }
        self.fleet.until(self.fleet.end).await;
        let stopped = match self.powered.take() {
            Some(powered) if powered.is_finished() => match powered.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            },
            powered => {
                self.powered = powered;
                self.die().await;
                None
            }
        };
        let fate = match self.plan.fate {
            Fate::Ordinary => "ordinary",
            Fate::Lost => "lost",
            Fate::Broken => "broken",
            Fate::Replacement => "replacement",
        };
        let recordings = self.made.iter().map(|made| self.truth(made)).collect();
        let complaint = lock(&self.heard.complaint).clone();
        let (serial, interrupted) = (self.plan.serial.clone(), self.interrupted);
        Ok(Lived { serial, fate, interrupted, recordings, complaint, stopped })
    }

    fn start(&mut self) {
        let camera = Camera {
            card: self.card.clone(),
            state: self.state.clone(),
            text: self.fleet.text.clone(),
            about: About { serial: Some(self.plan.serial.clone()), model: Some(self.plan.model.to_owned()) },
            bay: self.link.address(),
            ahead: self.plan.ahead,
            pace: self.fleet.pace.clone(),
        };
        self.powered = Some(tokio::spawn(camera.run(self.heard.clone())));
    }

    /// Half of its events are over, wherever in one of them that is: by the clock alone, all of them or none might be.
    async fn half_sent(&mut self) {
        if !self.plugged {
            return;
        }
        let events = self.made.iter().filter(|made| made.name.starts_with(EVENTS)).map(|made| made.size).sum::<u64>();
        let (half, all) = (self.crossed_before + events / 2, self.crossed_before + events);
        let latest = self.fleet.clock.now() + SENDS_WITHIN;
        while self.link.crossed() < half && self.fleet.clock.now() < latest {
            sleep(SHORTEST_SLEEP).await;
        }
        self.interrupted |= (half..all).contains(&self.link.crossed());
    }

    async fn die(&mut self) {
        if let Some(powered) = self.powered.take() {
            powered.abort();
            // Until it is gone, it has the lock of its state folder.
            let _aborted = powered.await;
        }
        // Its network goes with it, and comes back with it.
        self.link.plug(false);
        self.link.plug(self.plugged);
    }

    fn plug(&mut self, plugged: bool) {
        if self.plugged != plugged {
            let here = &self.heard.standing.here;
            if plugged {
                self.crossed_before = self.link.crossed();
                here.fetch_add(1, Ordering::Relaxed)
            } else {
                here.fetch_sub(1, Ordering::Relaxed)
            };
        }
        self.plugged = plugged;
        self.link.plug(plugged);
    }

    async fn record(&mut self, shot: Shot) -> io::Result<()> {
        let (card, serial) = (self.card.clone(), self.plan.serial.clone());
        let filling = tokio::task::spawn_blocking(move || card::fill(&card, &serial, &[shot], |_| Ok(())));
        self.made.extend(filling.await??);
        self.heard.standing.made.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn truth(&self, made: &Made) -> Truth {
        let Made { name, start, size, sha256 } = made.clone();
        let on_card = exists(&self.card.join(&name));
        let serial = self.plan.serial.clone();
        Truth { serial, name, start: start - self.plan.ahead, device_start: start, size, sha256, on_card }
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Counts what a device does, and keeps the last of what it complains of.
struct Heard {
    standing: Arc<Standing>,
    complaint: Mutex<Option<String>>,
}

impl Observer for Heard {
    fn say(&self, line: &str) {
        if line.starts_with("sent ") {
            self.standing.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn warn(&self, line: &str) {
        *lock(&self.complaint) = Some(line.to_owned());
    }

    fn begin(&self, _: Job<'_>, _: u64, _: u64) {}

    fn advance(&self, _: u64) {}

    fn end(&self) {}

    fn idle(&self, _: &str) {}
}
