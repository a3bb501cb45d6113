//! The power fails while devices upload, over and over: a machine with the real server loses what its disks had not
//! flushed, and starts again. `docs/TESTING.md` tells what it shows.

mod check;
mod clerk;
mod disk;
mod guest;
mod ledger;
mod load;
mod nbd;
mod parts;

use std::thread;
use std::time::{Duration, Instant};

use longshore_model::{Jwks, ReceiptVerifier};
use tempfile::TempDir;

use self::clerk::{Clerk, Site};
use self::guest::Guest;
use self::ledger::Ledger;
use self::load::{LANES, Load, Trouble, expect};
use self::parts::Parts;
use super::{Chance, nap, rounds, seed};

/// Bytes of each disk: for the file system itself, and for each round.
const DISK: u64 = 1 << 30;
const DISK_A_ROUND: u64 = 48 << 20;
/// Cuts in every test run, on a machine without KVM too.
const FEW: u32 = 3;
/// How long a cut waits for what it aims at.
const AIM: Duration = Duration::from_secs(3);
/// Rounds until a fault that was put in must have shown.
#[cfg(feature = "failpoints")]
const CAUGHT_WITHIN: u32 = 60;

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    campaign(FEW);
}

#[test]
#[ignore = "takes half an hour; cargo xtask campaign power-cut"]
fn power_cuts_over_and_over_take_nothing_that_was_acknowledged() {
    campaign(rounds());
}

fn campaign(rounds: u32) {
    let seed = seed("power-cut");
    let Some(mut rig) = Rig::new(seed, rounds) else { return };
    let began = Instant::now();
    for round in 1..=rounds {
        println!("cut {round} of {rounds}: {}", rig.round());
        assert!(rig.load.findings().is_empty(), "{}", rig.load.findings().join("\n"));
    }
    let cycles = began.elapsed();
    rig.comes_home();
    assert!(rig.load.findings().is_empty(), "{}", rig.load.findings().join("\n"));
    let told = rig.load.ledger().told;
    println!(
        "seed {seed}: {rounds} power cuts in {:.0} s, {:.1} s each, {}; {} uploads, {} acknowledged offsets, {} bytes, {} \
         receipts, {} deletions, {} devices; of {} sectors that were not flushed {} were dropped; lost: 0",
        began.elapsed().as_secs_f64(),
        cycles.as_secs_f64() / f64::from(rounds),
        rig.accelerator,
        told.uploads,
        told.offsets,
        told.bytes,
        told.receipts,
        told.deletions,
        rig.load.ledger().cameras.len(),
        rig.kept + rig.dropped,
        rig.dropped,
    );
}

/// What is taken out of the server, one at a time: the sync of the data of a commit, that of its slot, those of a placing,
/// that of the journal. Of the syncs of a placing, ext4 makes up for each alone: syncing a new file makes all names durable.
#[cfg(feature = "failpoints")]
const MUTATIONS: [&str; 4] = ["sync-data", "sync-state", "sync-placing", "sync-journal"];

#[cfg(feature = "failpoints")]
#[test]
#[ignore = "takes some minutes; cargo xtask campaign power-cut-mutation"]
fn a_server_that_leaves_out_a_sync_is_caught() {
    let seed = seed("power-cut-mutation");
    let mut missed = Vec::new();
    for mutation in MUTATIONS {
        let Some(mut rig) = Rig::new(seed, CAUGHT_WITHIN) else { return };
        rig.guest.fail_points = format!("{mutation}=return");
        // Up to this cut the server is whole.
        rig.round();
        assert!(rig.load.findings().is_empty(), "{}", rig.load.findings().join("\n"));
        let caught = (1..=CAUGHT_WITHIN).find(|_| {
            rig.round();
            !rig.load.findings().is_empty()
        });
        match caught {
            Some(cuts) => println!("without {mutation}: caught after {cuts} cuts: {}", rig.load.findings()[0]),
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not caught within {CAUGHT_WITHIN} cuts: {missed:?}");
}

/// A guest, those who work on it, and what they were told.
struct Rig {
    guest: Guest,
    load: Load,
    clerk: Clerk,
    chance: Chance,
    accelerator: &'static str,
    kept: u64,
    dropped: u64,
    /// Last: it goes when all who use it are gone.
    folder: TempDir,
}

impl Rig {
    fn new(seed: u64, rounds: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::gather(folder.path())?;
        let accelerator = parts.accelerator;
        let mut chance = Chance(seed);
        let bytes = DISK + u64::from(rounds) * DISK_A_ROUND;
        let guest = Guest::new(folder.path(), parts, bytes, &mut chance);
        let (load, clerk) = (Load::new(Ledger::new(&folder.path().join("ledger"), seed)), Clerk::new());
        let mut rig = Self { guest, load, clerk, chance, accelerator, kept: 0, dropped: 0, folder };
        rig.guest.power_on(&mut rig.chance);
        rig.guest.serves().unwrap();
        for _ in 0..2 {
            rig.clerk.enrol(&rig.load, Site::of(&rig.guest)).unwrap();
        }
        let camera = rig.load.ledger().cameras[0].1.clone();
        let desired = camera.request("GET", "/device/v1/desired", &[], b"");
        let keys = expect(&desired, 200, "desired").unwrap()["server"]["receipt_keys"].clone();
        let keys: Jwks = serde_json::from_value(keys).unwrap();
        rig.load.ledger().verifier = Some(ReceiptVerifier::new(&keys).unwrap());
        Some(rig)
    }

    /// Load, a power cut at some moment of it, and the next start; what came of it.
    fn round(&mut self) -> String {
        let began = Instant::now();
        let before = self.load.ledger().told;
        let moment = self.work_until_the_cut();
        let mut cut = self.guest.settle(&mut self.chance);
        let worked = began.elapsed();
        self.guest.power_on(&mut self.chance);
        // Now and then the power fails again while it starts, and recovery is recovered from.
        if self.chance.one_in(6) {
            nap(Duration::from_secs(1) + self.chance.millis(3000));
            self.guest.die(Duration::ZERO);
            let again = self.guest.settle(&mut self.chance);
            (cut.kept, cut.dropped) = (cut.kept + again.kept, cut.dropped + again.dropped);
            self.guest.power_on(&mut self.chance);
        }
        (self.kept, self.dropped) = (self.kept + cut.kept, self.dropped + cut.dropped);
        let served = self.guest.serves();
        let serves = began.elapsed();
        match served {
            Ok(()) => check::after_a_cut(&self.load, self.guest.shell),
            Err(refusal) => self.load.wrong(refusal),
        }
        let told = self.load.ledger().told;
        format!(
            "{moment} after {:.1} s, {} of {} sectors dropped, {:.1} MB and {} receipts acknowledged before, serves after \
             {:.1} s, checked after {:.1} s",
            worked.as_secs_f64(),
            cut.dropped,
            cut.dropped + cut.kept,
            (told.bytes - before.bytes) as f64 / 1e6,
            told.receipts - before.receipts,
            serves.as_secs_f64(),
            began.elapsed().as_secs_f64(),
        )
    }

    /// Where the cut fell.
    fn work_until_the_cut(&mut self) -> &'static str {
        let Self { guest, load, clerk, chance, .. } = self;
        load.expect_a_cut(false);
        let mut chances: Vec<Chance> = (0..LANES).map(|_| Chance(chance.next())).collect();
        let enrols = chance.one_in(4);
        let (aims, after) = (chance.below(3), Duration::from_millis(200) + chance.millis(2000));
        let just_after = chance.millis(20);
        let away = if chance.one_in(3) { chance.millis(150) } else { Duration::ZERO };
        let site = Site::of(guest);
        thread::scope(|scope| {
            for (lane, chance) in (0..LANES).zip(&mut chances) {
                let load = &*load;
                scope.spawn(move || load.lane(lane, chance));
            }
            if enrols {
                scope.spawn(|| load.goes_on(clerk.enrol(load, site)));
            }
            nap(after);
            let moment = match aims {
                0 => aim(load, "at a receipt", |load| load.ledger().told.receipts),
                1 => aim(load, "at an offset", |load| load.ledger().told.offsets),
                _ => "anywhere",
            };
            nap(just_after);
            load.expect_a_cut(true);
            // Those who talk to it end with it.
            guest.die(away);
            moment
        })
    }

    /// Without any more cuts everything completes, and everything agrees, the disks included.
    fn comes_home(&mut self) {
        let Self { guest, load, chance, folder, .. } = self;
        load.expect_a_cut(false);
        let mut chances: Vec<Chance> = (0..LANES).map(|_| Chance(chance.next())).collect();
        thread::scope(|scope| {
            for (lane, chance) in (0..LANES).zip(&mut chances) {
                let load = &*load;
                scope.spawn(move || load.finish(lane, chance));
            }
        });
        check::after_a_cut(load, guest.shell);
        let done = check::at_the_end(load, guest)
            .and_then(|()| guest.shut_down().map_err(Trouble::Wrong))
            .and_then(|()| check::from_outside(folder.path(), &load.ledger()));
        load.goes_on(done);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("ledger, consoles and disks are kept in {}", self.folder.path().display());
        }
    }
}

/// Waits until the devices are told one thing more.
fn aim(load: &Load, at: &'static str, count: impl Fn(&Load) -> u64) -> &'static str {
    let (before, began) = (count(load), Instant::now());
    while count(load) == before && began.elapsed() < AIM && load.findings().is_empty() {
        nap(Duration::from_millis(1));
    }
    at
}
