//! Fault campaigns: real processes are killed and real system calls fail while a card comes home, and from outside
//! nothing acknowledged is lost. `docs/TESTING.md` tells what each campaign does; `cargo xtask campaign` runs them long.

mod card;
mod faults;
mod full_disk;
mod hang;
mod kill;
mod observer;
#[cfg(feature = "failpoints")]
mod panics;
mod power_cut;
mod relay;
mod rig;
mod strace;

use std::env;
use std::time::Duration;

/// Rounds of a long run.
const ROUNDS: &str = "LONGSHORE_CAMPAIGN_ROUNDS";
/// Seed of a run: the same seed brings the same files and the same chances. Only the moments differ, since they are
/// those of real processes.
const SEED: &str = "LONGSHORE_CAMPAIGN_SEED";

fn rounds() -> u32 {
    env::var(ROUNDS).map_or(200, |rounds| rounds.parse().unwrap())
}

/// The seed that was asked for, else a new one. It is printed, so that a run can be had again.
fn seed(campaign: &str) -> u64 {
    let seed = env::var(SEED).map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap());
    println!("{campaign}: seed {seed}");
    seed
}

fn nap(time: Duration) {
    let end = std::time::Instant::now() + time;
    // A parked thread may wake early.
    while let Some(left) = end.checked_duration_since(std::time::Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}
