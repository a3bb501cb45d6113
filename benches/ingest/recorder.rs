//! How fast one recorder is that nobody paces, beside twenty paced bays.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::sleep;

use super::Bench;
use super::bay::Bay;
use super::contenders::{DEFAULT, Running};
use super::isolation::BAYS;
use super::pace::BAY;
use super::report::Table;
use super::windows::{Watch, Watched, Worst, warm};

const GIB: u64 = 1024 * 1024 * 1024;
const MEASURED: Duration = Duration::from_secs(20);
/// Recordings that do not end before that.
const OF_A_BAY: u64 = GIB / 2;
const OF_THE_RECORDER: u64 = 16 * GIB;
/// What Wi-Fi 5 (802.11ac, two streams) brings at most, in Mbit/s.
const WIFI: f64 = 867.0;

#[derive(Serialize)]
struct Outcome {
    /// Bits a second.
    recorder: f64,
    worst_second_of_a_bay: Worst,
    server_cores: f64,
}

pub(crate) async fn recorder(bench: &Bench) -> anyhow::Result<()> {
    let running = DEFAULT.start(&bench.place, BAYS + 1).await?;
    let outcome = measure(bench, &running).await.with_context(|| format!("the server's log: {}", running.log()))?;
    let head =
        ["recorder, Mbit/s", "goal, Mbit/s", "worst second of a bay, sent", "read by the server", "server, cores"];
    let mut table = Table::new(&head);
    table.row(vec![
        format!("{:.0}", outcome.recorder * 1e-6),
        format!("{WIFI:.0}"),
        format!("{:.3}", outcome.worst_second_of_a_bay.sent),
        format!("{:.3}", outcome.worst_second_of_a_bay.taken),
        format!("{:.2}", outcome.server_cores),
    ]);
    bench.report("recorder", &mut table, &outcome)
}

async fn measure(bench: &Bench, running: &Running) -> anyhow::Result<Outcome> {
    let bays = try_join_all((0..BAYS).map(|number| Bay::new(&running.target, number, &bench.content))).await?;
    let mut recorder = Bay::new(&running.target, BAYS, &bench.content).await?;
    let sent = Arc::clone(&recorder.sent);
    let watched: Vec<_> = bays.iter().map(Watched::of).collect();
    let paced = bays.into_iter().map(|mut bay| async move { bay.upload(OF_A_BAY, Some(BAY)).await });
    tokio::select! {
        ended = try_join_all(paced) => { ended?; bail!("the recordings of the bays were too short") }
        ended = recorder.upload(OF_THE_RECORDER, None) => { ended?; bail!("the recorder's recording was too short") }
        outcome = async {
            warm(&watched, BAY).await;
            let (watch, began) = (Watch::begin(watched), Instant::now());
            let (cpu, before) = (running.process.cpu()?, sent.load(Ordering::Relaxed));
            sleep(MEASURED).await;
            let (worst_second_of_a_bay, seconds) = (watch.end(BAY)?, began.elapsed().as_secs_f64());
            Ok(Outcome {
                recorder: (sent.load(Ordering::Relaxed) - before) as f64 * 8.0 / seconds,
                worst_second_of_a_bay,
                server_cores: running.process.cpu()?.since(cpu).total() / seconds,
            })
        } => outcome,
    }
}
