//! Whose turn it is to be read, where transfers share a rate: what all devices together may send, and what one may with
//! all its transfers. What one leaves is for those that wait, and among those each device gets as much as the next one,
//! however many transfers it has. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use longshore_model::DeviceId;

use super::bucket::Bucket;
use crate::config::rate::BytesPerSecond;

/// Bytes that a turn is for until it is known what came: about what one read brings.
const TURN: i64 = 128 * 1024;

/// A transfer that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct StreamId(u64);

/// Start-time fair queueing: whoever was given least goes first, and who comes back from a pause begins where the others
/// are.
pub(super) struct Scheduler {
    server: Bucket,
    device_rate: Option<BytesPerSecond>,
    devices: HashMap<DeviceId, Account>,
    streams: HashMap<StreamId, Stream>,
    waiting: Vec<StreamId>,
    /// What whoever had the last turn had been given before it.
    progress: i64,
    next: u64,
}

struct Account {
    bucket: Bucket,
    given: i64,
    progress: i64,
    streams: usize,
}

struct Stream {
    device: DeviceId,
    given: i64,
    /// Has its turn, and has not read.
    turn: bool,
}

impl Scheduler {
    pub(super) fn new(server: Option<BytesPerSecond>, device: Option<BytesPerSecond>, now: Instant) -> Self {
        Self {
            server: Bucket::new(server, now),
            device_rate: device,
            devices: HashMap::new(),
            streams: HashMap::new(),
            waiting: Vec::new(),
            progress: 0,
            next: 0,
        }
    }

    pub(super) fn set_rates(&mut self, server: Option<BytesPerSecond>, device: Option<BytesPerSecond>, now: Instant) {
        self.server.set_rate(server, now);
        self.device_rate = device;
        self.devices.values_mut().for_each(|account| account.bucket.set_rate(device, now));
    }

    pub(super) fn open(&mut self, device: DeviceId, now: Instant) -> StreamId {
        let (rate, progress) = (self.device_rate, self.progress);
        let account = self.devices.entry(device).or_insert_with(|| Account {
            bucket: Bucket::new(rate, now),
            given: progress,
            progress: 0,
            streams: 0,
        });
        account.streams += 1;
        let id = StreamId(self.next);
        self.next += 1;
        self.streams.insert(id, Stream { device, given: account.progress, turn: false });
        id
    }

    pub(super) fn close(&mut self, id: StreamId, now: Instant) {
        self.read(id, 0, now);
        self.waiting.retain(|waiting| *waiting != id);
        let Some(Stream { device, .. }) = self.streams.remove(&id) else { return };
        if let Some(account) = self.devices.get_mut(&device) {
            account.streams -= 1;
            if account.streams == 0 {
                self.devices.remove(&device);
            }
        }
    }

    /// Whether the transfer may read now; otherwise it waits for its turn.
    pub(super) fn ask(&mut self, id: StreamId, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        if stream.turn {
            return true;
        }
        if !self.waiting.contains(&id) {
            // Who was away has no claim on what others were given meanwhile.
            if let Some(account) = self.devices.get_mut(&stream.device) {
                account.given = account.given.max(self.progress);
                stream.given = stream.given.max(account.progress);
            }
            self.waiting.push(id);
        }
        // Where others wait, it is not for this one to see that they have theirs.
        self.waiting.len() == 1 && !self.turns(now).is_empty()
    }

    /// So many bytes came in the turn.
    pub(super) fn read(&mut self, id: StreamId, bytes: usize, now: Instant) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let counted = if std::mem::take(&mut stream.turn) { TURN } else { 0 };
        let more = i64::try_from(bytes).unwrap_or(i64::MAX) - counted;
        stream.given += more;
        self.server.take(more, now);
        if let Some(account) = self.devices.get_mut(&stream.device) {
            account.given += more;
            account.bucket.take(more, now);
        }
    }

    /// Gives as many turns as there are, and tells whose they are.
    pub(super) fn turns(&mut self, now: Instant) -> Vec<StreamId> {
        let mut given = Vec::new();
        while let Some(id) = self.first(now) {
            self.waiting.retain(|waiting| *waiting != id);
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let Some(account) = self.devices.get_mut(&stream.device) else { continue };
            self.progress = account.given;
            account.progress = stream.given;
            stream.turn = true;
            stream.given += TURN;
            account.given += TURN;
            account.bucket.take(TURN, now);
            self.server.take(TURN, now);
            given.push(id);
        }
        given
    }

    /// Time until somebody who waits can have a turn; `None` if nobody waits.
    pub(super) fn wake_in(&mut self, now: Instant) -> Option<Duration> {
        let server = self.server.ready_in(now);
        let waiting = self.waiting.iter().filter_map(|id| self.streams.get(id));
        let ready = waiting.filter_map(|stream| Some(self.devices.get_mut(&stream.device)?.bucket.ready_in(now)));
        ready.min().map(|device| device.max(server))
    }

    fn first(&mut self, now: Instant) -> Option<StreamId> {
        if !self.server.ready_in(now).is_zero() {
            return None;
        }
        let (streams, devices) = (&self.streams, &mut self.devices);
        let turn = |id: &StreamId| {
            let stream = streams.get(id)?;
            let account = devices.get_mut(&stream.device)?;
            let ready = account.bucket.ready_in(now).is_zero();
            ready.then_some((account.given, stream.device, stream.given, *id))
        };
        self.waiting.iter().filter_map(turn).min().map(|(.., id)| id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNK: usize = 100_000;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 16])
    }

    /// Lets these devices, with so many transfers each, send all they can for ten seconds; says what each brought.
    fn ten_seconds(scheduler: &mut Scheduler, transfers: &[usize], begin: Instant) -> Vec<usize> {
        let mut streams = Vec::new();
        for (index, count) in transfers.iter().enumerate() {
            let device = device(u8::try_from(index).unwrap());
            streams.extend((0..*count).map(|_| (index, scheduler.open(device, begin))));
        }
        let mut brought = vec![0; transfers.len()];
        let mut now = begin;
        let mut ready: Vec<StreamId> = streams.iter().map(|(_, id)| *id).filter(|id| scheduler.ask(*id, now)).collect();
        while now < begin + Duration::from_secs(10) {
            for id in std::mem::take(&mut ready) {
                let (index, _) = streams.iter().find(|(_, other)| *other == id).unwrap();
                scheduler.read(id, CHUNK, now);
                brought[*index] += CHUNK;
                if scheduler.ask(id, now) {
                    ready.push(id);
                }
            }
            ready.extend(scheduler.turns(now));
            if ready.is_empty() {
                now += scheduler.wake_in(now).unwrap() + Duration::from_micros(1);
                ready.extend(scheduler.turns(now));
            }
        }
        streams.iter().for_each(|(_, id)| scheduler.close(*id, now));
        brought
    }

    #[test]
    fn devices_share_what_all_may_send_however_many_transfers_they_have() {
        let begin = Instant::now();
        let mut scheduler = Scheduler::new(Some(30_000_000), None, begin);
        let brought = ten_seconds(&mut scheduler, &[1, 4, 1], begin);
        for bytes in &brought {
            assert!((97_000_000..103_000_000).contains(bytes), "{brought:?}");
        }
    }

    #[test]
    fn what_a_device_may_not_use_is_for_the_others() {
        let begin = Instant::now();
        let mut scheduler = Scheduler::new(Some(30_000_000), Some(20_000_000), begin);
        let brought = ten_seconds(&mut scheduler, &[2], begin);
        assert!((198_000_000..203_000_000).contains(&brought[0]), "{brought:?}");
        let begin = begin + Duration::from_secs(20);
        let brought = ten_seconds(&mut scheduler, &[0, 1, 1], begin);
        assert!(brought[1..].iter().all(|bytes| (145_000_000..155_000_000).contains(bytes)), "{brought:?}");
    }

    #[test]
    fn who_was_away_has_no_claim_on_what_others_were_given_meanwhile() {
        let begin = Instant::now();
        let mut scheduler = Scheduler::new(Some(10_000_000), None, begin);
        let (old, idle) = (scheduler.open(device(1), begin), scheduler.open(device(2), begin));
        let mut now = begin;
        for _ in 0..1000 {
            now += scheduler.server.ready_in(now);
            assert!(scheduler.ask(old, now));
            scheduler.read(old, CHUNK, now);
        }
        let mut turns = [0, 0];
        for _ in 0..100 {
            for (index, id) in [old, idle].into_iter().enumerate() {
                now += scheduler.server.ready_in(now);
                if scheduler.ask(id, now) {
                    scheduler.read(id, CHUNK, now);
                    turns[index] += 1;
                }
            }
        }
        assert!(turns[0] >= 95, "{turns:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_the_rate_holds_and_nobody_who_waits_is_forgotten(
            steps in prop::collection::vec((0..5_u8, 0..4_u8, 0..200_000_usize), 1..300)
        ) {
            let begin = Instant::now();
            let mut scheduler = Scheduler::new(Some(1_000_000), Some(700_000), begin);
            let (mut now, mut open, mut read) = (begin, Vec::new(), 0_usize);
            for (step, which, amount) in steps {
                let id = open.get(usize::from(which)).copied();
                match (step, id) {
                    (0, _) => open.push(scheduler.open(device(which), now)),
                    (1, Some(id)) => { scheduler.close(id, now); open.retain(|other| *other != id); }
                    (2 | 3, Some(id)) => if scheduler.ask(id, now) { scheduler.read(id, amount, now); read += amount; },
                    _ => now += Duration::from_micros(amount as u64),
                }
                scheduler.turns(now);
            }
            // One overdraft for each turn that was given at once, and one burst.
            let allowed = (now - begin).as_secs_f64() * 1_000_000.0 + 300_000.0;
            let overdraft = 200_000.0 * 8.0;
            prop_assert!((read as f64) < allowed + overdraft, "{read}");
            for id in &open { scheduler.ask(*id, now); }
            let mut waiting: Vec<StreamId> = scheduler.waiting.clone();
            while let Some(wait) = scheduler.wake_in(now) {
                now += wait + Duration::from_micros(1);
                for id in scheduler.turns(now) { waiting.retain(|other| *other != id); scheduler.read(id, 1, now); }
            }
            prop_assert!(waiting.is_empty());
            for id in open { scheduler.close(id, now); }
            prop_assert!(scheduler.devices.is_empty() && scheduler.streams.is_empty());
        }
    }
}
