//! Whether a bay notices what others do. Twenty bays send at their rate, each with one request after the other, and
//! everything else goes wrong at the same time.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::sleep;

use super::Bench;
use super::attack::{Attack, DEVICES, FLOODS, SLOWLORIS, STALLS};
use super::bay::Bay;
use super::contenders::{Contender, DEFAULT, Running};
use super::pace::{BAY, Pace};
use super::probe::Probe;
use super::report::Table;
use super::round::{bar, with_progress};
use super::stall::Stall;
use super::statistics::Times;
use super::windows::{Watch, Watched, Worst, warm};

const MIB: u64 = 1024 * 1024;
pub(crate) const BAYS: usize = 20;
/// Bytes of one request: after each, a bay waits for the acknowledgement.
const PATCH: u64 = 8 * MIB;
const MEASURED: Duration = Duration::from_secs(20);
/// The recordings of the bays do not end before that.
const RECORDING: u64 = 512 * MIB;
/// An attack needs this long at most until all of it is there.
const GATHERS: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Outcome {
    server: &'static str,
    attacked: bool,
    worst_second: Worst,
    /// The raw loop takes a whole recording with one request.
    acknowledgements: Option<Times>,
    /// Raw syncs beside them, of the same disk.
    syncs: Times,
    /// Processor seconds of the server in each second.
    server_cores: f64,
    /// Bytes a second of the floods.
    flood: f64,
}

/// First nothing but the bays, at the raw loop, which shows what the client's side can do; then the same at Longshore; then
/// everything.
pub(crate) async fn isolation(bench: &Bench) -> anyhow::Result<()> {
    Stall::is_possible()?;
    let alone = Contender::Limit { reads_back: false };
    let outcomes =
        [run(bench, alone, false).await?, run(bench, DEFAULT, false).await?, run(bench, DEFAULT, true).await?];
    let mut table = Table::new(&[
        "server",
        "beside the bays",
        "worst second, sent",
        "read by the server",
        "acknowledged p50 / p99 / worst, ms",
        "raw sync p50 / p99 / worst, ms",
        "p99 less raw p99",
        "server, cores",
        "floods, Mbit/s",
    ]);
    for outcome in &outcomes {
        let (acks, syncs) = (outcome.acknowledgements, outcome.syncs);
        let beside = if outcome.attacked {
            format!("{FLOODS} floods, {SLOWLORIS} slow connections, {STALLS} writes that hang")
        } else {
            "nothing".to_owned()
        };
        let three = |times: Times| format!("{:.1} / {:.1} / {:.1}", times.p50, times.p99, times.worst);
        table.row(vec![
            outcome.server.to_owned(),
            beside,
            format!("{:.3}", outcome.worst_second.sent),
            format!("{:.3}", outcome.worst_second.taken),
            acks.map_or(String::new(), three),
            three(syncs),
            acks.map_or(String::new(), |acks| format!("{:.1}", acks.p99 - syncs.p99)),
            format!("{:.2}", outcome.server_cores),
            if outcome.attacked { format!("{:.0}", outcome.flood * 8e-6) } else { String::new() },
        ]);
    }
    bench.report("isolation", &mut table, &outcomes)
}

async fn run(bench: &Bench, contender: Contender, attacked: bool) -> anyhow::Result<Outcome> {
    let running = contender.start(&bench.place, BAYS + DEVICES).await?;
    let attack = attacked.then(|| Attack::begin(&running.target, running.folder().to_owned(), BAYS, &bench.content));
    let outcome = measure(bench, contender, &running, attack.as_ref()).await;
    outcome.with_context(|| format!("the server's log: {}", running.log()))
}

async fn measure(
    bench: &Bench,
    contender: Contender,
    running: &Running,
    attack: Option<&Attack>,
) -> anyhow::Result<Outcome> {
    if let Some(attack) = attack {
        gathered(attack).await?;
    }
    let acknowledgements = Arc::new(Mutex::new(Vec::new()));
    let bays = try_join_all((0..BAYS).map(|number| Bay::new(&running.target, number, &bench.content))).await?;
    let watched: Vec<_> = bays.iter().map(Watched::of).collect();
    // Not in step: then all would wait for the disk at the same moments.
    let step = Duration::from_secs(PATCH) / (BAY * BAYS as u64) as u32;
    let later = (0..).map(|number| step * number);
    let sending = try_join_all(bays.into_iter().zip(later).map(|(bay, later)| {
        let sent = send(bay, contender, &acknowledgements);
        async move {
            sleep(later).await;
            sent.await
        }
    }));
    let watching = async {
        warm(&watched, BAY).await;
        let kept = |times: &Mutex<Vec<f64>>| std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
        kept(&acknowledgements);
        let flooded = || attack.map_or(0, |attack| attack.told.flooded.load(Ordering::Relaxed));
        let (watch, probe) = (Watch::begin(watched), Probe::begin(running.folder())?);
        let (cpu, before, began) = (running.process.cpu()?, flooded(), Instant::now());
        sleep(MEASURED).await;
        let (worst_second, syncs) = (watch.end(BAY)?, probe.end()?);
        let seconds = began.elapsed().as_secs_f64();
        if let Some(attack) = attack {
            let (hang, drip) = attack.told.now();
            ensure!(hang == STALLS && drip * 10 >= SLOWLORIS * 9, "the attack ebbed: {}", attack.told.sentence());
        }
        Ok(Outcome {
            server: contender.name(),
            attacked: attack.is_some(),
            worst_second,
            acknowledgements: (contender == DEFAULT).then(|| Times::of(kept(&acknowledgements))).transpose()?,
            syncs: Times::of(syncs)?,
            server_cores: running.process.cpu()?.since(cpu).total() / seconds,
            flood: (flooded() - before) as f64 / seconds,
        })
    };
    let what = if attack.is_some() { "everything at once" } else { contender.name() };
    let (bar, counted) = (bar(0, what.to_owned()), Arc::default());
    let outcome = with_progress(&bar, &counted, async {
        tokio::select! {
            sent = sending => match sent {
                Ok(_) => bail!("the recordings of the bays were too short"),
                Err(error) => Err(error.context("a bay was refused")),
            },
            outcome = watching => outcome,
        }
    });
    outcome.await
}

/// Waits until all of the attack is there.
async fn gathered(attack: &Attack) -> anyhow::Result<()> {
    let end = Instant::now() + GATHERS;
    loop {
        let (hang, drip) = attack.told.now();
        if hang == STALLS && drip == SLOWLORIS && attack.told.flooded.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the attack does not gather: {}", attack.told.sentence());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Sends one request after the other, and notes how long each was not acknowledged.
async fn send(mut bay: Bay, contender: Contender, acknowledgements: &Mutex<Vec<f64>>) -> anyhow::Result<()> {
    if contender != DEFAULT {
        return bay.upload(RECORDING, Some(BAY)).await.map(drop);
    }
    let upload = bay.create(RECORDING).await?;
    let mut pace = Pace::of(Some(BAY));
    for n in 0..RECORDING / PATCH - 1 {
        let (_, took) = bay.patch(&upload, n * PATCH, PATCH, &mut pace).await?;
        acknowledgements.lock().unwrap_or_else(PoisonError::into_inner).push(took.as_secs_f64() * 1000.0);
    }
    Ok(())
}
