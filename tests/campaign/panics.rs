//! What the other bays feel when an actor panics: measured and printed, since a rate is no matter for an assertion.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::nap;
use super::relay::Relay;
use crate::support::{Bay, Process, World};

/// What a docked body camera sends: 64 Mbit/s.
const BYTES_PER_SECOND: u64 = 8_000_000;
const BAYS: usize = 4;
/// About ten seconds at that rate.
const RECORDING: usize = 80_000_000;
/// Between two looks at what has crossed.
const LOOK: Duration = Duration::from_millis(100);
/// Looks in a window of one second.
const WINDOW: usize = 10;

/// Each fail-point strikes once, some seconds into the transfers: a bay appends and writes eight segments a second.
const POINTS: [(&str, &str); 5] = [
    ("nothing", ""),
    ("a transfer", "upload-append=130*off->1*panic->off"),
    ("a session", "session-offer=6*off->1*panic->off"),
    ("the router", "sessions-find=20*off->1*panic->off"),
    ("the storage writer", "storage-write=130*off->1*panic->off"),
];

#[test]
#[ignore = "takes two minutes; cargo xtask campaign panics"]
fn the_other_bays_keep_their_rate_when_an_actor_panics() {
    println!("worst second of each bay, in per cent of 64 Mbit/s, between its first and its last second");
    for (what, fail_points) in POINTS {
        let (worst, panics) = worst_seconds(fail_points);
        println!("{what} panics ({panics} in the log): {worst:?}");
        assert_eq!(panics, usize::from(!fail_points.is_empty()));
    }
}

fn worst_seconds(fail_points: &str) -> ([u64; BAYS], usize) {
    let world = World::with_fail_points(fail_points);
    let bays: [Bay; BAYS] = std::array::from_fn(|n| {
        let mut bay = Bay::new(&world, &format!("B-{n}"), &format!("Unit {n}"));
        bay.put("a.mp4", RECORDING);
        // Small ones give the device reasons to call.
        (0..4).for_each(|n| bay.put(&format!("b{n}.mp4"), 1000));
        bay
    });
    let relays: [Relay; BAYS] = bays.each_ref().map(|bay| {
        let relay = Relay::to(world.address, BYTES_PER_SECOND);
        let identity = bay.state.join("identity.json");
        let mut known: Value = serde_json::from_str(&fs::read_to_string(&identity).unwrap()).unwrap();
        known["server"]["urls"] = json!([relay.url()]);
        fs::write(&identity, known.to_string()).unwrap();
        relay
    });
    let mut agents: Vec<Process> = bays.iter().map(Bay::offload).collect();
    let mut crossed: [Vec<u64>; BAYS] = std::array::from_fn(|_| Vec::new());
    let mut next = Instant::now();
    while agents.iter_mut().any(|agent| agent.ended().is_none()) {
        for (relay, crossed) in relays.iter().zip(&mut crossed) {
            crossed.push(relay.crossed());
        }
        next += LOOK;
        nap(next.saturating_duration_since(Instant::now()));
    }
    for bay in &bays {
        assert!(bay.is_home(&world), "{}", bay.log());
    }
    let panics = world.log().lines().filter(|line| line.contains("panicked at")).count();
    (crossed.map(|crossed| worst_second(&crossed)), panics)
}

/// In per cent of the rate.
fn worst_second(crossed: &[u64]) -> u64 {
    let begun = crossed.iter().position(|bytes| *bytes > BYTES_PER_SECOND).unwrap();
    let ended = crossed.iter().position(|bytes| *bytes > RECORDING as u64 - BYTES_PER_SECOND).unwrap();
    let windows = crossed[begun..ended].windows(WINDOW + 1);
    windows.map(|window| (window[WINDOW] - window[0]) * 100 / BYTES_PER_SECOND).min().unwrap()
}
