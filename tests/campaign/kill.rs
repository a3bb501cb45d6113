//! `kill -9` at random moments: of the server, of the agent.

use std::time::{Duration, Instant};

use super::rig::{RECOVERY, Rig};
use super::{Chance, nap, rounds, seed};

const MB: u64 = 1_000_000;
/// What a kill may cost beyond the files: bytes that crossed and were not durable, TLS, HTTP, offers.
const EXTRA: u64 = 16 * 1024 * 1024;
/// How often the server is asked how far it is.
const LOOK: Duration = Duration::from_millis(250);
/// How long a kill waits for a recording to be completed; a large one takes longer, and the kill does not wait for it.
const AIM: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server,
    Agent,
}

struct Plan {
    rounds: u32,
    bytes_per_second: u64,
    /// At least this many bytes cross between two kills, and at most `spread` more until the next is due.
    least: u64,
    spread: u64,
    /// Bytes on the card at a time, and of the largest file.
    card: u64,
    largest: u64,
}

impl Plan {
    /// 64 Mbit/s: what a body camera in its dock gets.
    fn long() -> Self {
        let rounds = rounds();
        Self { rounds, bytes_per_second: 8 * MB, least: 50 * MB, spread: 12 * MB, card: 1200 * MB, largest: 300 * MB }
    }

    fn short() -> Self {
        Self { rounds: 4, bytes_per_second: 16 * MB, least: 9 * MB, spread: 12 * MB, card: 60 * MB, largest: 32 * MB }
    }
}

#[test]
fn a_server_that_is_killed_at_random_moments_loses_nothing() {
    run(Victim::Server, &Plan::short(), seed("kill-server"));
}

#[test]
fn an_agent_that_is_killed_at_random_moments_loses_nothing() {
    run(Victim::Agent, &Plan::short(), seed("kill-agent"));
}

#[test]
#[ignore = "takes half an hour and more; cargo xtask campaign kill-server"]
fn a_server_that_is_killed_over_and_over_loses_nothing() {
    run(Victim::Server, &Plan::long(), seed("kill-server"));
}

#[test]
#[ignore = "takes half an hour and more; cargo xtask campaign kill-agent"]
fn an_agent_that_is_killed_over_and_over_loses_nothing() {
    run(Victim::Agent, &Plan::long(), seed("kill-agent"));
}

fn run(victim: Victim, plan: &Plan, seed: u64) {
    let mut chance = Chance(seed);
    let mut rig = Rig::new(seed, plan.bytes_per_second);
    let began = Instant::now();
    let mut extra = Extra::default();
    refill(&mut rig, plan, &mut chance);
    for round in 1..=plan.rounds {
        let due = rig.relay.crossed() + plan.least + chance.below(plan.spread);
        wait_until(&mut rig, plan, &mut chance, |rig| rig.relay.crossed() >= due);
        // One in three falls just after a recording got its name: on the answer, the deletion, the report.
        if chance.one_in(3) {
            let (stored, aimed) = (rig.observer.stored_count(), Instant::now());
            wait_until(&mut rig, plan, &mut chance, |rig| {
                rig.observer.stored_count() > stored || aimed.elapsed() > AIM
            });
            nap(chance.millis(20));
        } else {
            nap(chance.millis(100));
        }
        rig.relay.hold(true);
        match victim {
            Victim::Server => kill_server(&mut rig, &mut chance),
            Victim::Agent => rig.kill_agent(),
        }
        let cost = extra.after_kill(&mut rig);
        if victim == Victim::Agent {
            rig.start_agent();
        }
        rig.relay.hold(false);
        println!(
            "kill {round} of {}: {:.1} MB crossed, {} stored, this kill cost {:.2} MiB",
            plan.rounds,
            rig.relay.crossed() as f64 / 1e6,
            rig.observer.stored_count(),
            mib(cost)
        );
    }
    let rest = rig.comes_to_its_end(plan.bytes_per_second);
    rig.all_came_home();
    let files: u64 = rig.card.made.values().map(|made| made.size).sum();
    let crossed = rig.relay.crossed();
    let all = i64::try_from(crossed).unwrap() - i64::try_from(files).unwrap();
    println!(
        "seed {seed}: {} kills in {:.0} s; {} files, {files} bytes; {crossed} bytes crossed, TLS and HTTP included; \
         beyond the files {:.2} MiB a kill on average, {:.2} MiB at worst; the rest came home in {:.1} s",
        plan.rounds,
        began.elapsed().as_secs_f64(),
        rig.card.made.len(),
        mib(all) / f64::from(plan.rounds),
        mib(extra.worst),
        rest.as_secs_f64(),
    );
    assert!(all <= i64::try_from(EXTRA).unwrap() * i64::from(plan.rounds), "{all} bytes beyond the files");
}

fn mib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn refill(rig: &mut Rig, plan: &Plan, chance: &mut Chance) {
    rig.card.fill(plan.card, plan.largest, chance);
    rig.start_agent();
}

/// Waits while the agent works, gives it the next card when it is through with one, and asks the server again and again
/// how far it is.
fn wait_until(rig: &mut Rig, plan: &Plan, chance: &mut Chance, until: impl Fn(&Rig) -> bool) {
    let mut looked = Instant::now();
    let (mut moved, mut crossed) = (Instant::now(), 0);
    while !until(rig) {
        if let Some(status) = rig.agent_ended() {
            assert!(status.success(), "{status}");
            assert!(rig.card.present().is_empty(), "the agent is done, the card is not empty");
            rig.check_stored();
            refill(rig, plan, chance);
            moved = Instant::now();
        }
        if looked.elapsed() >= LOOK {
            assert!(rig.durable().is_some(), "the server does not answer");
            looked = Instant::now();
        }
        if rig.relay.crossed() > crossed {
            (moved, crossed) = (Instant::now(), rig.relay.crossed());
        }
        // The agent may be hashing a whole card.
        assert!(moved.elapsed() < 3 * RECOVERY, "nothing crosses any more; the agent said: {}", rig.agent_said());
        nap(Duration::from_millis(3));
    }
}

fn kill_server(rig: &mut Rig, chance: &mut Chance) {
    rig.world.kill();
    nap(chance.millis(1000));
    // Now and then it is killed again while it starts, and what the first kill interrupted is interrupted twice.
    if chance.one_in(4) {
        let mut server = rig.world.launch(&[]);
        nap(chance.millis(120));
        server.kill();
    }
    rig.world.start();
}

/// What crossed and was of no use.
#[derive(Default)]
struct Extra {
    so_far: i64,
    worst: i64,
}

impl Extra {
    /// Waits until what was on its way when the one side died has come to rest, and counts what the kill cost.
    fn after_kill(&mut self, rig: &mut Rig) -> i64 {
        crate::support::eventually("the broken connections are gone", || rig.relay.live() == 0);
        let mut durable = rig.durable().unwrap();
        loop {
            nap(Duration::from_millis(50));
            let now = rig.durable().unwrap();
            if now == durable {
                break;
            }
            durable = now;
        }
        let all = i64::try_from(rig.relay.crossed()).unwrap() - i64::try_from(durable).unwrap();
        let cost = all - self.so_far;
        self.so_far = all;
        self.worst = self.worst.max(cost);
        assert!(cost <= i64::try_from(EXTRA).unwrap(), "this kill cost {:.2} MiB", mib(cost));
        cost
    }
}
