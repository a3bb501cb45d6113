//! Whose turn it is to be read, where transfers share a rate: what all devices together may send, what those of a site may,
//! and what one device may with all its transfers. What one leaves is for those that wait, first for those of its site; and
//! among those each device gets as much as the next one, however many transfers it has and wherever it is. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use longshore_model::{BytesPerSecond, DeviceId};

use super::bucket::Bucket;

/// Bytes that a turn is for until it is known what came: about what one read brings.
const TURN: i64 = 128 * 1024;

/// A transfer that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(u64);

/// What transfers may bring together; `None`: as fast as it comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    /// All.
    pub(super) server: Option<BytesPerSecond>,
    /// Those of one device.
    pub(super) device: Option<BytesPerSecond>,
    /// Those that come from a site, by its name; a site that is not here has no bound.
    pub(super) sites: BTreeMap<String, BytesPerSecond>,
}

/// Start-time fair queueing, at each level: whoever was given least goes first, and who comes back from a pause, or was at a
/// bound of its own, begins where the others are.
pub(super) struct Scheduler {
    server: Bucket,
    /// The most that a site which had a turn had been given before it; so for the levels below.
    progress: i64,
    names: HashMap<String, SiteId>,
    sites: HashMap<SiteId, Site>,
    shares: HashMap<(SiteId, DeviceId), Share>,
    device_rate: Option<BytesPerSecond>,
    devices: HashMap<DeviceId, Account>,
    streams: HashMap<StreamId, Stream>,
    waiting: Vec<StreamId>,
    next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SiteId(u64);

/// Devices that are at no site.
const NOWHERE: SiteId = SiteId(0);

struct Site {
    name: Option<String>,
    has_bound: bool,
    bucket: Bucket,
    /// For each of its devices: one with more of them gets more.
    given: i64,
    progress: i64,
    devices: usize,
}

/// What a device does at a site.
struct Share {
    given: i64,
    progress: i64,
    streams: usize,
}

struct Account {
    bucket: Bucket,
    streams: usize,
}

struct Stream {
    device: DeviceId,
    /// From which it comes.
    site: SiteId,
    given: i64,
    /// It has its turn, and has not read.
    turn: Option<Turn>,
}

/// What a turn counts for until it is known what came.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// What of [`TURN`] the site was given for each of its devices: there may be more or fewer of them when it is read.
    of_site: i64,
}

impl Scheduler {
    pub(super) fn new(bounds: &Bounds, now: Instant) -> Self {
        let mut scheduler = Self {
            server: Bucket::new(bounds.server, now),
            progress: 0,
            names: HashMap::new(),
            sites: HashMap::new(),
            shares: HashMap::new(),
            device_rate: bounds.device,
            devices: HashMap::new(),
            streams: HashMap::new(),
            waiting: Vec::new(),
            next: 0,
        };
        scheduler.set_bounds(bounds, now);
        scheduler
    }

    pub(super) fn set_bounds(&mut self, bounds: &Bounds, now: Instant) {
        let Bounds { server, device, sites } = bounds;
        self.server.set_rate(*server, now);
        self.device_rate = *device;
        self.devices.values_mut().for_each(|account| account.bucket.set_rate(*device, now));
        for name in sites.keys() {
            self.site(Some(name), now);
        }
        for site in self.sites.values_mut() {
            let rate = site.name.as_ref().and_then(|name| sites.get(name)).copied();
            site.has_bound = rate.is_some();
            site.bucket.set_rate(rate, now);
        }
        self.forget_sites();
    }

    pub(super) fn open(&mut self, device: DeviceId, site: Option<&str>, now: Instant) -> StreamId {
        let rate = self.device_rate;
        let account =
            self.devices.entry(device).or_insert_with(|| Account { bucket: Bucket::new(rate, now), streams: 0 });
        account.streams += 1;
        let (site, given) = self.enter(device, site, now);
        let id = StreamId(self.number());
        self.streams.insert(id, Stream { device, site, given, turn: None });
        id
    }

    /// The transfer comes from this site now; what is on its way counts there.
    pub(super) fn place(&mut self, id: StreamId, site: Option<&str>, now: Instant) {
        let Some(Stream { device, site: left, turn, .. }) = self.streams.get(&id) else { return };
        let (device, left, turn) = (*device, *left, *turn);
        if self.sites.get(&left).is_some_and(|left| left.name.as_deref() == site) {
            return;
        }
        self.take_turn_back(id, now);
        self.leave(device, left);
        let (site, given) = self.enter(device, site, now);
        if let Some(stream) = self.streams.get_mut(&id) {
            (stream.site, stream.given) = (site, given);
        }
        if turn.is_some() {
            self.give_turn(id, now);
        }
    }

    pub(super) fn close(&mut self, id: StreamId, now: Instant) {
        self.read(id, 0, now);
        self.waiting.retain(|waiting| *waiting != id);
        let Some(Stream { device, site, .. }) = self.streams.remove(&id) else { return };
        self.leave(device, site);
        if let Some(account) = self.devices.get_mut(&device) {
            account.streams -= 1;
        }
        // A device that sends one small thing after the other owes for the last one still.
        self.devices.retain(|_, account| account.streams > 0 || !account.bucket.ready_in(now).is_zero());
    }

    /// Whether the transfer may read now; otherwise it waits for its turn.
    pub(super) fn ask(&mut self, id: StreamId, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        if stream.turn.is_some() {
            return true;
        }
        if !self.waiting.contains(&id) {
            // Who was away has no claim on what others were given meanwhile.
            let share = self.shares.get_mut(&(stream.site, stream.device));
            if let Some((site, share)) = self.sites.get_mut(&stream.site).zip(share) {
                site.given = site.given.max(self.progress);
                share.given = share.given.max(site.progress);
                stream.given = stream.given.max(share.progress);
            }
            self.waiting.push(id);
        }
        // Where others wait, it is not for this one to see that they have theirs.
        self.waiting.len() == 1 && !self.turns(now).is_empty()
    }

    /// So many bytes came in the turn.
    pub(super) fn read(&mut self, id: StreamId, bytes: usize, now: Instant) {
        self.take_turn_back(id, now);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.charge(id, bytes, now);
        self.give_site(id, |devices| bytes / devices);
    }

    /// Gives as many turns as there are, and tells whose they are.
    pub(super) fn turns(&mut self, now: Instant) -> Vec<StreamId> {
        let mut given = Vec::new();
        while let Some(id) = self.first(now) {
            self.waiting.retain(|waiting| *waiting != id);
            let Some(stream) = self.streams.get(&id) else { continue };
            let share = self.shares.get_mut(&(stream.site, stream.device));
            if let Some((site, share)) = self.sites.get_mut(&stream.site).zip(share) {
                // No less than before: whoever its own bound held back would get all that the others got, once it is lifted.
                self.progress = self.progress.max(site.given);
                site.progress = site.progress.max(share.given);
                share.progress = share.progress.max(stream.given);
            }
            self.give_turn(id, now);
            given.push(id);
        }
        given
    }

    /// Time until somebody who waits can have a turn; `None` if nobody waits.
    pub(super) fn wake_in(&mut self, now: Instant) -> Option<Duration> {
        let server = self.server.ready_in(now);
        let waiting = self.waiting.iter().filter_map(|id| self.streams.get(id));
        let ready = waiting.filter_map(|stream| {
            let device = self.devices.get_mut(&stream.device)?.bucket.ready_in(now);
            Some(self.sites.get_mut(&stream.site)?.bucket.ready_in(now).max(device))
        });
        ready.min().map(|ready| ready.max(server))
    }

    fn first(&mut self, now: Instant) -> Option<StreamId> {
        if !self.server.ready_in(now).is_zero() {
            return None;
        }
        let Self { streams, shares, sites, devices, waiting, .. } = self;
        let turn = |id: &StreamId| {
            let stream = streams.get(id)?;
            let (site, account) = (sites.get_mut(&stream.site)?, devices.get_mut(&stream.device)?);
            let share = shares.get(&(stream.site, stream.device))?;
            let ready = site.bucket.ready_in(now).max(account.bucket.ready_in(now)).is_zero();
            ready.then_some((site.given, stream.site, share.given, stream.device, stream.given, *id))
        };
        waiting.iter().filter_map(turn).min().map(|(.., id)| id)
    }

    fn give_turn(&mut self, id: StreamId, now: Instant) {
        self.charge(id, TURN, now);
        let of_site = self.give_site(id, |devices| TURN / devices);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.turn = Some(Turn { of_site });
        }
    }

    /// A turn that was given is counted no more.
    fn take_turn_back(&mut self, id: StreamId, now: Instant) {
        let Some(Turn { of_site }) = self.streams.get_mut(&id).and_then(|stream| stream.turn.take()) else { return };
        self.charge(id, -TURN, now);
        self.give_site(id, |_| -of_site);
    }

    /// Counts for each device of the transfer's site what follows from how many there are.
    fn give_site(&mut self, id: StreamId, given: impl FnOnce(i64) -> i64) -> i64 {
        let site = self.streams.get(&id).and_then(|stream| self.sites.get_mut(&stream.site));
        let Some(site) = site else { return 0 };
        let given = given(i64::try_from(site.devices).unwrap_or(i64::MAX).max(1));
        site.given += given;
        given
    }

    /// Takes these bytes out of all that has a rate, or gives those back that did not come.
    fn charge(&mut self, id: StreamId, bytes: i64, now: Instant) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.given += bytes;
        self.server.take(bytes, now);
        if let Some(account) = self.devices.get_mut(&stream.device) {
            account.bucket.take(bytes, now);
        }
        if let Some(share) = self.shares.get_mut(&(stream.site, stream.device)) {
            share.given += bytes;
        }
        if let Some(site) = self.sites.get_mut(&stream.site) {
            site.bucket.take(bytes, now);
        }
    }

    /// One more transfer of the device at this site, and where it begins.
    fn enter(&mut self, device: DeviceId, site: Option<&str>, now: Instant) -> (SiteId, i64) {
        let id = self.site(site, now);
        let Some(site) = self.sites.get_mut(&id) else { return (id, 0) };
        let share = self.shares.entry((id, device)).or_insert_with(|| {
            site.devices += 1;
            Share { given: site.progress, progress: 0, streams: 0 }
        });
        share.streams += 1;
        (id, share.progress)
    }

    fn leave(&mut self, device: DeviceId, site: SiteId) {
        let Some(share) = self.shares.get_mut(&(site, device)) else { return };
        share.streams -= 1;
        if share.streams == 0 {
            self.shares.remove(&(site, device));
            let Some(site) = self.sites.get_mut(&site) else { return };
            site.devices -= 1;
            if site.devices == 0 {
                self.forget_sites();
            }
        }
    }

    fn site(&mut self, name: Option<&str>, now: Instant) -> SiteId {
        let known = name.map_or(Some(&NOWHERE), |name| self.names.get(name)).copied();
        let id = known.unwrap_or_else(|| SiteId(self.number()));
        self.sites.entry(id).or_insert_with(|| {
            let name = name.map(str::to_owned);
            self.names.extend(name.clone().map(|name| (name, id)));
            let bucket = Bucket::new(None, now);
            Site { name, has_bound: false, bucket, given: self.progress, progress: 0, devices: 0 }
        });
        id
    }

    /// A site without a bound and without a device owes nothing.
    fn forget_sites(&mut self) {
        self.sites.retain(|_, site| site.has_bound || site.devices > 0);
        self.names.retain(|_, id| self.sites.contains_key(id));
    }

    fn number(&mut self) -> u64 {
        // From 1 on: 0 is nowhere.
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests;
