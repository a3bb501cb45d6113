//! How much memory busy bays cost, and that a long upload costs no more than a short one.

use serde::Serialize;

use super::Bench;
use super::contenders::DEFAULT;
use super::report::Table;
use super::round::{self, Load};

const MIB: u64 = 1024 * 1024;
/// How many bays are busy, in each run.
const BUSY: [usize; 4] = [1, 8, 20, 40];
/// What each of them brings.
const RECORDING: u64 = 256 * MIB;
/// A long recording, of one bay.
const LONG: u64 = 10 * 1024 * MIB;
/// What is allowed, in MiB: the server, its index's cache as `config/longshore.toml` has it, and each busy bay.
const SERVER: usize = 25;
const INDEX: usize = 64;
const BAY: usize = 2;

#[derive(Serialize)]
struct Peak {
    bays: usize,
    /// Bytes of each recording.
    length: u64,
    idle: u64,
    peak: u64,
    allowed: u64,
}

pub(crate) async fn memory(bench: &Bench) -> anyhow::Result<()> {
    let loads = BUSY.iter().map(|bays| (*bays, RECORDING)).chain([(1, LONG)]);
    let mut peaks = Vec::new();
    for (bays, length) in loads {
        let idle = idle(bench, bays).await?;
        let load = Load { bays, length, rate: None };
        let measured = round::run(DEFAULT, &bench.place, load, &bench.content, &format!("{bays} bays")).await?;
        let allowed = (SERVER + INDEX + BAY * bays) as u64 * MIB;
        peaks.push(Peak { bays, length, idle, peak: measured.peak_memory, allowed });
    }
    let mut table = Table::new(&["busy bays", "MiB of each", "idle, MiB", "peak, MiB", "for each bay", "allowed, MiB"]);
    for Peak { bays, length, idle, peak, allowed } in &peaks {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        table.row(vec![
            bays.to_string(),
            (length / MIB).to_string(),
            format!("{:.0}", mib(*idle)),
            format!("{:.0}", mib(*peak)),
            format!("{:.1}", mib(peak.saturating_sub(*idle)) / *bays as f64),
            format!("{:.0}", mib(*allowed)),
        ]);
    }
    bench.report("memory", &mut table, &peaks)
}

/// Of a server that knows its devices and has done nothing yet.
async fn idle(bench: &Bench, bays: usize) -> anyhow::Result<u64> {
    let running = DEFAULT.start(&bench.place, bays).await?;
    round::settled(&running).await?;
    running.process.memory()
}
