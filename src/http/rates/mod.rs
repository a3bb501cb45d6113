//! How fast transfers are read: of each its own rate, and below them what a device and what all devices may send. The
//! throttle is not to read the socket.

mod bucket;
mod scheduler;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longshore_model::{Clock, Device, DeviceModels};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::config::rate::{BytesPerSecond, StreamRate};
use crate::config::{Config, Rates as Settings};
use bucket::Bucket;
use scheduler::{Scheduler, StreamId};

/// Between two looks at the clock; a rate that changes at a full hour does so within this.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(5);
/// Of a time for which nobody waits.
const NOBODY_WAITS: Duration = Duration::from_secs(3600);

/// What counts at this time of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Now {
    server: Option<BytesPerSecond>,
    device: Option<BytesPerSecond>,
    /// `None`: by the device's model.
    stream: Option<Option<BytesPerSecond>>,
}

impl Now {
    fn of(settings: &Settings, clock: &dyn Clock) -> Self {
        let time = clock.now().with_timezone(&chrono::Local).time();
        let Settings { server, device, stream } = settings;
        let stream = match stream {
            StreamRate::ByModel => None,
            StreamRate::Same(timetable) => Some(timetable.at(time)),
        };
        Self { server: server.at(time), device: device.at(time), stream }
    }
}

/// All transfers that are being read.
pub(crate) struct Rates {
    now: watch::Sender<Now>,
    models: Arc<DeviceModels>,
    shared: Mutex<Shared>,
    /// Somebody began to wait.
    waits: Notify,
}

struct Shared {
    scheduler: Scheduler,
    waiting: HashMap<StreamId, oneshot::Sender<()>>,
}

/// One transfer that is being read.
pub(crate) struct Turns {
    rates: Arc<Rates>,
    id: StreamId,
    model: Option<BytesPerSecond>,
    own: Bucket,
    now: watch::Receiver<Now>,
}

impl Rates {
    pub(crate) fn new(config: &Config, models: Arc<DeviceModels>, clock: &dyn Clock) -> Arc<Self> {
        let now = Now::of(&config.rates, clock);
        let scheduler = Scheduler::new(now.server, now.device, Instant::now());
        let shared = Mutex::new(Shared { scheduler, waiting: HashMap::new() });
        Arc::new(Self { now: watch::Sender::new(now), models, shared, waits: Notify::new() })
    }

    /// For a transfer of this device.
    pub(crate) fn open(self: &Arc<Self>, device: &Device) -> Turns {
        let begin = Instant::now();
        let id = self.lock().scheduler.open(device.id, begin);
        let model = self.models.get(&device.model).and_then(|model| model.stream_rate.bytes_per_second());
        let now = self.now.subscribe();
        let rate = now.borrow().stream.unwrap_or(model);
        Turns { rates: Arc::clone(self), id, model, own: Bucket::new(rate, begin), now }
    }

    /// Gives turns, and follows the clock and the configuration, as long as the server runs.
    pub(crate) async fn run(self: Arc<Self>, config: watch::Receiver<Config>, clock: Arc<dyn Clock>) {
        tokio::select! {
            () = self.give_turns() => {}
            () = self.follow(config, clock) => {}
        }
    }

    async fn follow(&self, mut config: watch::Receiver<Config>, clock: Arc<dyn Clock>) {
        while config.has_changed().is_ok() {
            let now = Now::of(&config.borrow_and_update().rates, &*clock);
            if self.now.send_if_modified(|before| std::mem::replace(before, now) != now) {
                self.lock().scheduler.set_rates(now.server, now.device, Instant::now());
                self.waits.notify_one();
            }
            let _looked_at_again_in_any_case = timeout(LOOK_AT_CLOCK, config.changed()).await;
        }
    }

    async fn give_turns(&self) {
        loop {
            let wake_in = self.give_those_there_are();
            let _woken_or_due = timeout(wake_in, self.waits.notified()).await;
        }
    }

    fn give_those_there_are(&self) -> Duration {
        let now = Instant::now();
        let mut shared = self.lock();
        for id in shared.scheduler.turns(now) {
            if let Some(waiting) = shared.waiting.remove(&id) {
                // Whoever went away has the turn still, and gives it back at the end.
                let _gone = waiting.send(());
            }
        }
        shared.scheduler.wake_in(now).unwrap_or(NOBODY_WAITS)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// Returns when it may read. May be dropped and asked again.
    pub(crate) async fn next(&mut self) {
        loop {
            if self.now.has_changed().unwrap_or(false) {
                let rate = self.now.borrow_and_update().stream.unwrap_or(self.model);
                self.own.set_rate(rate, Instant::now());
            }
            let wait = self.own.ready_in(Instant::now());
            if wait.is_zero() {
                break;
            }
            // No longer, so that a rate that was raised is noticed.
            sleep(wait.min(LOOK_AT_CLOCK)).await;
        }
        let turn = {
            let mut shared = self.rates.lock();
            if shared.scheduler.ask(self.id, Instant::now()) {
                return;
            }
            let (sender, turn) = oneshot::channel();
            shared.waiting.insert(self.id, sender);
            turn
        };
        self.rates.waits.notify_one();
        let _given = turn.await;
    }

    /// So much came.
    pub(crate) fn read(&mut self, bytes: usize) {
        let now = Instant::now();
        self.own.take(i64::try_from(bytes).unwrap_or(i64::MAX), now);
        self.rates.lock().scheduler.read(self.id, bytes, now);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let mut shared = self.rates.lock();
        shared.waiting.remove(&self.id);
        shared.scheduler.close(self.id, Instant::now());
        drop(shared);
        // What it leaves is for those that wait.
        self.rates.waits.notify_one();
    }
}
