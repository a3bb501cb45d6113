//! How fast transfers are read: of each its own rate, and below them what a device, what the devices of a site and what all
//! devices may send. The throttle is not to read the socket.

mod bucket;
mod scheduler;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web;
use longshore_actors::Models;
use longshore_model::{BytesPerSecond, Clock, Device, DeviceModels, Site, present_site};
use longshore_store::index::{Index, IndexError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::config::rate::StreamRate;
use crate::config::{Config, Rates as Settings};
use bucket::Bucket;
use scheduler::{Bounds, Scheduler, StreamId};

/// Between two looks at the clock; a rate that changes at a full hour does so within this.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(5);
/// Of a time for which nobody waits.
const NOBODY_WAITS: Duration = Duration::from_secs(3600);

/// Rate of one transfer at this time of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OfStream {
    ByModel(Arc<DeviceModels>),
    Same(Option<BytesPerSecond>),
}

impl OfStream {
    fn of(&self, model: &str) -> Option<BytesPerSecond> {
        match self {
            Self::ByModel(models) => models.get(model).and_then(|model| model.stream_rate.bytes_per_second()),
            Self::Same(rate) => *rate,
        }
    }
}

/// What counts at this time of the day.
fn at_this_time(settings: &Settings, models: &Models, sites: &[Site], clock: &dyn Clock) -> (Bounds, OfStream) {
    let time = clock.now().with_timezone(&chrono::Local).time();
    let Settings { server, device, stream } = settings;
    let stream = match stream {
        StreamRate::ByModel => OfStream::ByModel(Arc::clone(&models.borrow())),
        StreamRate::Same(timetable) => OfStream::Same(timetable.at(time)),
    };
    let sites = sites.iter().filter_map(|site| Some((site.name.clone(), site.rate.at(time)?))).collect();
    (Bounds { server: server.at(time), device: device.at(time), sites }, stream)
}

/// All transfers that are being read.
pub(crate) struct Rates {
    config: watch::Receiver<Config>,
    index: Index,
    models: Models,
    clock: Arc<dyn Clock>,
    of_stream: watch::Sender<OfStream>,
    shared: Mutex<Shared>,
    /// Held from reading the sites until they count: the older of two looks must not come last.
    looking: tokio::sync::Mutex<()>,
    /// Somebody began to wait.
    waits: Notify,
}

struct Shared {
    bounds: Bounds,
    sites: Vec<Site>,
    scheduler: Scheduler,
    transfers: HashMap<StreamId, Transfer>,
}

struct Transfer {
    /// Where its connection comes from.
    address: Option<IpAddr>,
    /// Whom to tell that it has its turn.
    waiting: Option<oneshot::Sender<()>>,
}

/// One transfer that is being read.
pub(crate) struct Turns {
    rates: Arc<Rates>,
    id: StreamId,
    model: String,
    own: Bucket,
    of_stream: watch::Receiver<OfStream>,
}

impl Rates {
    pub(crate) fn new(
        config: watch::Receiver<Config>,
        index: Index,
        models: Models,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, IndexError> {
        let sites = index.sites()?;
        let (bounds, of_stream) = at_this_time(&config.borrow().rates, &models, &sites, &*clock);
        let scheduler = Scheduler::new(&bounds, Instant::now());
        let shared = Mutex::new(Shared { bounds, sites, scheduler, transfers: HashMap::new() });
        let (looking, waits) = (tokio::sync::Mutex::default(), Notify::new());
        let of_stream = watch::Sender::new(of_stream);
        Ok(Arc::new(Self { config, index, models, clock, of_stream, shared, looking, waits }))
    }

    /// For a transfer of this device, on a connection from this address.
    pub(crate) fn open(self: &Arc<Self>, device: &Device, address: Option<IpAddr>) -> Turns {
        let begin = Instant::now();
        let id = self.lock().open(device, address, begin);
        let of_stream = self.of_stream.subscribe();
        let rate = of_stream.borrow().of(&device.model);
        Turns { rates: Arc::clone(self), id, model: device.model.clone(), own: Bucket::new(rate, begin), of_stream }
    }

    /// Gives turns, and follows the clock, the configuration and the models, as long as the server runs.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::select! {
            () = self.give_turns() => {}
            () = self.follow() => {}
        }
    }

    /// Looks what counts now, by the clock, the configuration, the models and the sites; whoever changes these calls it.
    pub(crate) async fn look(&self) {
        let _one_after_the_other = self.looking.lock().await;
        let sites = self.sites().await;
        let (bounds, of_stream) = at_this_time(&self.config.borrow().rates, &self.models, &sites, &*self.clock);
        self.of_stream.send_if_modified(|before| {
            let differs = *before != of_stream;
            *before = of_stream;
            differs
        });
        if self.lock().set(bounds, sites, Instant::now()) {
            self.waits.notify_one();
        }
    }

    async fn follow(&self) {
        let (mut config, mut models) = (self.config.clone(), self.models.clone());
        while config.has_changed().is_ok() {
            config.mark_unchanged();
            models.mark_unchanged();
            self.look().await;
            tokio::select! {
                _ = config.changed() => {}
                _ = models.changed() => {}
                () = sleep(LOOK_AT_CLOCK) => {}
            }
        }
    }

    /// As they are now; as they were, if the index does not say.
    async fn sites(&self) -> Vec<Site> {
        let index = self.index.clone();
        match web::block(move || index.sites()).await {
            Ok(Ok(sites)) => sites,
            Ok(Err(_)) | Err(_) => self.lock().sites.clone(),
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
            if let Some(waiting) = shared.transfers.get_mut(&id).and_then(|transfer| transfer.waiting.take()) {
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

impl Shared {
    fn open(&mut self, device: &Device, address: Option<IpAddr>, now: Instant) -> StreamId {
        let id = self.scheduler.open(device.id, site(&self.sites, address), now);
        self.transfers.insert(id, Transfer { address, waiting: None });
        id
    }

    /// Whether anything is new.
    fn set(&mut self, bounds: Bounds, sites: Vec<Site>, now: Instant) -> bool {
        let is_same = self.bounds == bounds && self.sites == sites;
        if !is_same {
            self.scheduler.set_bounds(&bounds, now);
            (self.bounds, self.sites) = (bounds, sites);
            for (id, transfer) in &self.transfers {
                self.scheduler.place(*id, site(&self.sites, transfer.address), now);
            }
        }
        !is_same
    }
}

/// Name of the site that this address is at.
fn site(sites: &[Site], address: Option<IpAddr>) -> Option<&str> {
    present_site(sites, address?).map(|site| site.name.as_str())
}

impl Turns {
    /// Returns when it may read. May be dropped and asked again.
    pub(crate) async fn next(&mut self) {
        loop {
            if self.of_stream.has_changed().unwrap_or(false) {
                let rate = self.of_stream.borrow_and_update().of(&self.model);
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
            // It is there as long as this is.
            if let Some(transfer) = shared.transfers.get_mut(&self.id) {
                transfer.waiting = Some(sender);
            }
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
        shared.transfers.remove(&self.id);
        shared.scheduler.close(self.id, Instant::now());
        drop(shared);
        // What it leaves is for those that wait.
        self.rates.waits.notify_one();
    }
}
