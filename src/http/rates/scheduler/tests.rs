use proptest::prelude::*;

use super::*;

const CHUNK: usize = 100_000;

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

fn bounds(server: Option<u64>, device: Option<u64>, sites: &[(&str, u64)]) -> Bounds {
    let sites = sites.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
    Bounds { server, device, sites }
}

fn at(site: &str) -> Option<&str> {
    (!site.is_empty()).then_some(site)
}

/// Lets these devices, with so many transfers each, send all they can for ten seconds; says what each brought.
fn ten_seconds(scheduler: &mut Scheduler, transfers: &[usize], begin: Instant) -> Vec<usize> {
    let nowhere: Vec<_> = transfers.iter().map(|count| ("", *count)).collect();
    ten_seconds_at(scheduler, &nowhere, begin)
}

/// The same with the site of each device; empty: none.
fn ten_seconds_at(scheduler: &mut Scheduler, transfers: &[(&str, usize)], begin: Instant) -> Vec<usize> {
    let mut streams = Vec::new();
    for (index, (site, count)) in transfers.iter().enumerate() {
        let device = device(u8::try_from(index).unwrap());
        streams.extend((0..*count).map(|_| (index, scheduler.open(device, at(site), begin))));
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
    let mut scheduler = Scheduler::new(&bounds(Some(30_000_000), None, &[]), begin);
    let brought = ten_seconds(&mut scheduler, &[1, 4, 1], begin);
    for bytes in &brought {
        assert!((97_000_000..103_000_000).contains(bytes), "{brought:?}");
    }
}

#[test]
fn what_a_device_may_not_use_is_for_the_others() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(Some(30_000_000), Some(20_000_000), &[]), begin);
    let brought = ten_seconds(&mut scheduler, &[2], begin);
    assert!((198_000_000..203_000_000).contains(&brought[0]), "{brought:?}");
    let begin = begin + Duration::from_secs(20);
    let brought = ten_seconds(&mut scheduler, &[0, 1, 1], begin);
    assert!(brought[1..].iter().all(|bytes| (145_000_000..155_000_000).contains(bytes)), "{brought:?}");
}

#[test]
fn who_was_away_has_no_claim_on_what_others_were_given_meanwhile() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(Some(10_000_000), None, &[]), begin);
    let (old, idle) = (scheduler.open(device(1), None, begin), scheduler.open(device(2), None, begin));
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

fn is_about(bytes: usize, expected: usize) -> bool {
    bytes.abs_diff(expected) < expected / 20
}

#[test]
fn what_a_site_may_not_use_is_for_the_others_and_its_devices_share_what_it_may() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(Some(30_000_000), None, &[("North", 6_000_000)]), begin);
    let brought = ten_seconds_at(&mut scheduler, &[("North", 1), ("North", 3), ("South", 1), ("", 2)], begin);
    for (bytes, expected) in brought.iter().zip([30_000_000, 30_000_000, 120_000_000, 120_000_000]) {
        assert!(is_about(*bytes, expected), "{brought:?}");
    }
    // Alone there it may use all of it, and no more.
    let begin = begin + Duration::from_secs(20);
    let brought = ten_seconds_at(&mut scheduler, &[("North", 1), ("South", 0)], begin);
    assert!(is_about(brought[0], 60_000_000), "{brought:?}");
}

#[test]
fn a_site_leaves_what_its_devices_may_not_use() {
    let begin = Instant::now();
    let sites = [("North", 20_000_000), ("South", 20_000_000)];
    let mut scheduler = Scheduler::new(&bounds(Some(30_000_000), Some(8_000_000), &sites), begin);
    let brought = ten_seconds_at(&mut scheduler, &[("North", 4), ("South", 1), ("South", 1), ("South", 1)], begin);
    // 8 of the first, whose site would let it have more; 20 of the others, whose site would let them have no more.
    for (bytes, expected) in brought.iter().zip([75_000_000, 70_000_000, 70_000_000, 70_000_000]) {
        assert!(bytes.abs_diff(expected) < 8_000_000, "{brought:?}");
    }
    assert!(brought[1..].iter().sum::<usize>() < 205_000_000, "{brought:?}");
    assert!(brought.iter().sum::<usize>() > 270_000_000, "{brought:?}");
}

#[test]
fn a_site_whose_bound_is_lifted_has_no_claim_on_what_others_were_given_meanwhile() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(Some(10_000_000), None, &[("North", 1_000_000)]), begin);
    let streams = [scheduler.open(device(0), at("North"), begin), scheduler.open(device(1), at("South"), begin)];
    let mut now = begin;
    let mut send_until = |scheduler: &mut Scheduler, end: Instant| {
        let mut brought = [0, 0];
        while now < end {
            for (index, id) in streams.iter().enumerate() {
                while scheduler.ask(*id, now) {
                    scheduler.read(*id, CHUNK, now);
                    brought[index] += CHUNK;
                }
            }
            if scheduler.turns(now).is_empty() {
                now += scheduler.wake_in(now).unwrap_or_default() + Duration::from_micros(1);
            }
        }
        brought
    };
    let held_back = send_until(&mut scheduler, begin + Duration::from_secs(20));
    assert!(is_about(held_back[0], 20_000_000) && is_about(held_back[1], 180_000_000), "{held_back:?}");
    scheduler.set_bounds(&bounds(Some(10_000_000), None, &[]), begin + Duration::from_secs(20));
    let lifted = send_until(&mut scheduler, begin + Duration::from_secs(30));
    assert!(is_about(lifted[0], 50_000_000) && is_about(lifted[1], 50_000_000), "{lifted:?}");
}

#[test]
fn a_transfer_that_comes_from_another_site_counts_there_from_then_on() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(None, None, &[("North", 1_000_000)]), begin);
    let id = scheduler.open(device(1), at("North"), begin);
    assert!(scheduler.ask(id, begin));
    // Its turn goes along: North is given back what was counted there.
    scheduler.place(id, at("South"), begin);
    scheduler.read(id, 50_000_000, begin);
    assert!(scheduler.ask(id, begin), "South has no bound");
    let other = scheduler.open(device(2), at("North"), begin);
    assert!(scheduler.ask(other, begin), "North was not charged");
    scheduler.place(id, at("North"), begin);
    scheduler.read(id, 1_000_000, begin);
    scheduler.read(other, 1_000_000, begin);
    assert!(!scheduler.ask(id, begin) && !scheduler.ask(other, begin));
}

/// Bytes that a bucket of this rate lets through in this time: one burst, and one overdraft for each turn that was given at
/// once.
fn allowed(rate: f64, time: Duration) -> f64 {
    time.as_secs_f64() * rate + 300_000.0 + 200_000.0 * 8.0
}

#[derive(Default)]
struct Brought {
    all: f64,
    of_sites: [f64; 3],
    /// Transfers that came to a site, perhaps with a turn that another gave.
    moved: [f64; 3],
    of_devices: [f64; 4],
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_every_rate_holds_and_nobody_who_waits_is_forgotten(
        steps in prop::collection::vec((0..6_u8, 0..4_u8, 0..3_usize, 0..200_000_usize), 1..400)
    ) {
        let begin = Instant::now();
        let names = ["", "North", "South"];
        let bounds = bounds(Some(1_000_000), Some(700_000), &[("North", 300_000), ("South", 500_000)]);
        let mut scheduler = Scheduler::new(&bounds, begin);
        let (mut now, mut open, mut brought) = (begin, Vec::<(StreamId, u8, usize)>::new(), Brought::default());
        for (step, which, site, amount) in steps {
            let found = open.get(usize::from(which)).copied();
            match (step, found) {
                (0, _) => open.push((scheduler.open(device(which), at(names[site]), now), which, site)),
                (1, Some((id, ..))) => { scheduler.close(id, now); open.retain(|(other, ..)| *other != id); }
                (2 | 3, Some((id, device, site))) => if scheduler.ask(id, now) {
                    scheduler.read(id, amount, now);
                    brought.all += amount as f64;
                    brought.of_sites[site] += amount as f64;
                    brought.of_devices[usize::from(device)] += amount as f64;
                },
                (4, Some((id, ..))) => {
                    scheduler.place(id, at(names[site]), now);
                    open[usize::from(which)].2 = site;
                    brought.moved[site] += 1.0;
                }
                _ => now += Duration::from_micros(amount as u64),
            }
            scheduler.turns(now);
        }
        let time = now - begin;
        prop_assert!(brought.all < allowed(1_000_000.0, time), "{}", brought.all);
        for (site, rate) in [(1, 300_000.0), (2, 500_000.0)] {
            let allowed = allowed(rate, time) + brought.moved[site] * 200_000.0;
            prop_assert!(brought.of_sites[site] < allowed, "{site}: {}", brought.of_sites[site]);
        }
        for bytes in brought.of_devices {
            prop_assert!(bytes < allowed(700_000.0, time), "{bytes}");
        }
        for (id, ..) in &open { scheduler.ask(*id, now); }
        let mut waiting: Vec<StreamId> = scheduler.waiting.clone();
        while let Some(wait) = scheduler.wake_in(now) {
            now += wait + Duration::from_micros(1);
            for id in scheduler.turns(now) { waiting.retain(|other| *other != id); scheduler.read(id, 1, now); }
        }
        prop_assert!(waiting.is_empty());
        for (id, ..) in open { scheduler.close(id, now); }
        // Nobody owes anything any more, which is seen when one goes.
        now += Duration::from_secs(60);
        let last = scheduler.open(device(0), None, now);
        scheduler.close(last, now);
        prop_assert!(scheduler.devices.is_empty() && scheduler.streams.is_empty() && scheduler.shares.is_empty());
        prop_assert_eq!(scheduler.sites.len(), 2);
    }

    #[test]
    fn what_is_not_at_its_bound_uses_all_that_there_is(
        devices in prop::collection::vec((0..3_usize, 1..4_usize), 1..8), north in 1..30_u64, south in 1..30_u64
    ) {
        let begin = Instant::now();
        let names = ["", "North", "South"];
        let rates = [u64::MAX, north * 1_000_000, south * 1_000_000];
        let bounds = bounds(Some(20_000_000), Some(8_000_000), &[("North", rates[1]), ("South", rates[2])]);
        let mut scheduler = Scheduler::new(&bounds, begin);
        let transfers: Vec<_> = devices.iter().map(|(site, count)| (names[*site], *count)).collect();
        let brought: usize = ten_seconds_at(&mut scheduler, &transfers, begin).iter().sum();
        // Each site brings what it and its devices may, and all together what the server may.
        let of_site = |site: usize| {
            let count = devices.iter().filter(|(at, _)| *at == site).count() as u64;
            rates[site].min(count * 8_000_000)
        };
        let expected = usize::try_from((0..3).map(of_site).sum::<u64>().min(20_000_000) * 10).unwrap();
        prop_assert!(brought > expected / 100 * 95, "{brought} of {expected}");
        prop_assert!(brought < expected + devices.len() * 4 * CHUNK + 2_000_000, "{brought} of {expected}");
    }
}

#[test]
fn a_device_that_sends_one_small_thing_after_the_other_keeps_to_its_rate() {
    let (begin, rate) = (Instant::now(), 1_000_000);
    let mut scheduler = Scheduler::new(&bounds(None, Some(rate), &[]), begin);
    let (mut now, mut brought) = (begin, 0);
    while now < begin + Duration::from_secs(10) {
        let id = scheduler.open(device(1), None, now);
        if !scheduler.ask(id, now) {
            now += scheduler.wake_in(now).unwrap() + Duration::from_micros(1);
            assert_eq!(scheduler.turns(now), [id]);
        }
        scheduler.read(id, CHUNK, now);
        brought += CHUNK;
        scheduler.close(id, now);
    }
    assert!((9_800_000..10_600_000).contains(&brought), "{brought}");
}

#[test]
fn what_a_turn_cost_a_site_is_given_back_however_many_devices_came_meanwhile() {
    let begin = Instant::now();
    let mut scheduler = Scheduler::new(&bounds(Some(1_000_000), None, &[("north", 1_000_000)]), begin);
    let first = scheduler.open(device(0), Some("north"), begin);
    assert!(scheduler.ask(first, begin));
    let others: Vec<_> = (1..40).map(|n| scheduler.open(device(n), Some("north"), begin)).collect();
    scheduler.read(first, 40, begin);
    let given = |scheduler: &Scheduler| scheduler.sites[&scheduler.names["north"]].given;
    assert_eq!(given(&scheduler), 1);
    scheduler.close(first, begin);
    others.into_iter().for_each(|id| scheduler.close(id, begin));
    assert_eq!(given(&scheduler), 1);
}
