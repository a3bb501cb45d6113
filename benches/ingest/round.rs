//! One contender, one load, measured from outside.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::sleep;

use super::bay::{Bay, Target};
use super::client::Reply;
use super::contenders::{Contender, Place, Running};
use super::content::Content;
use super::machine::Others;

const GIB: f64 = (1024 * 1024 * 1024) as f64;
/// How long a server may be busy after its last answer: reading back takes its time.
const SETTLES: Duration = Duration::from_secs(120);
/// Between two looks whether everything is where it belongs.
const LOOK: Duration = Duration::from_millis(20);
/// A server that used no more than a tick or so of this time has nothing left to do.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_CPU: f64 = 0.011;

/// What all bays do at once.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Load {
    pub(crate) bays: usize,
    /// Bytes of the recording of each.
    pub(crate) length: u64,
    /// Bytes a second of each; `None`: as fast as it goes.
    pub(crate) rate: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) server: &'static str,
    /// Until everything was where it belongs; nothing gets its name before it is read back.
    pub(crate) seconds: f64,
    /// Processor seconds of the server until it had nothing left to do, per GiB.
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// MiB of each second.
    pub(crate) speed: f64,
    /// Bytes.
    pub(crate) peak_memory: u64,
    /// Cores that the rest of the machine used meanwhile.
    pub(crate) others: f64,
}

impl Measured {
    /// Processor seconds per GiB.
    pub(crate) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Load {
    fn bytes(&self) -> u64 {
        self.bays as u64 * self.length
    }
}

/// Starts the contender, lets the load on it, and looks whether everything arrived.
pub(crate) async fn run(
    contender: Contender,
    place: &Place,
    load: Load,
    content: &Arc<Content>,
    shown: &str,
) -> anyhow::Result<Measured> {
    let running = contender.start(place, load.bays).await?;
    let of = || format!("{}; its log: {}", contender.name(), running.log());
    measure(contender, &running, load, content, shown).await.with_context(of)
}

async fn measure(
    contender: Contender,
    running: &Running,
    load: Load,
    content: &Arc<Content>,
    shown: &str,
) -> anyhow::Result<Measured> {
    let expected = content.sha256(load.length).to_string();
    let bar = bar(load.bytes(), format!("{shown} {}", contender.name()));
    let (process, sent) = (&running.process, Arc::default());
    let (before, others, began) = (process.cpu()?, Others::begin(process)?, Instant::now());
    let uploads = (0..load.bays).map(|bay| upload(&running.target, bay, load, content, &sent));
    let answers = with_progress(&bar, &sent, try_join_all(uploads)).await?;
    in_place(running, load).await?;
    let seconds = began.elapsed();
    settled(running).await?;
    let cpu = process.cpu()?.since(before);
    let others = others.end(process, began.elapsed())?;
    bar.finish_and_clear();
    match contender {
        Contender::Limit { .. } => {
            let told =
                answers.iter().map(|answer| answer.header("content-sha256")).collect::<anyhow::Result<Vec<_>>>()?;
            ensure!(told.iter().all(|told| *told == expected), "other bytes arrived than were sent: {told:?}");
        }
        Contender::Longshore { .. } => {
            let manifests =
                running.files()?.into_iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "json"));
            let texts = manifests.map(|(path, _)| fs::read_to_string(path)).collect::<Result<Vec<_>, _>>()?;
            let right = texts.iter().filter(|text| text.contains(&expected)).count();
            ensure!(right == load.bays, "{right} of {} manifests have the right checksum", load.bays);
        }
        Contender::Nginx | Contender::TusServer => {}
    }
    let gib = load.bytes() as f64 / GIB;
    Ok(Measured {
        server: contender.name(),
        seconds: seconds.as_secs_f64(),
        user: cpu.user / gib,
        system: cpu.system / gib,
        speed: gib * 1024.0 / seconds.as_secs_f64(),
        peak_memory: process.peak_memory()?,
        others,
    })
}

async fn upload(
    target: &Target,
    number: usize,
    load: Load,
    content: &Arc<Content>,
    sent: &Arc<AtomicU64>,
) -> anyhow::Result<Reply> {
    let mut bay = Bay::new(target, number, content).await?;
    bay.sent = Arc::clone(sent);
    bay.upload(load.length, load.rate).await
}

/// Waits until there is a file of the right length for each bay.
async fn in_place(running: &Running, load: Load) -> anyhow::Result<()> {
    let end = Instant::now() + SETTLES;
    loop {
        let there = running.files()?.iter().filter(|(_, length)| *length == load.length).count();
        if there == load.bays {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{there} of {} files are in place", load.bays);
        sleep(LOOK).await;
    }
}

/// Waits until the server has nothing left to do.
pub(crate) async fn settled(running: &Running) -> anyhow::Result<()> {
    let end = Instant::now() + SETTLES;
    let mut before = running.process.cpu()?.total();
    loop {
        sleep(QUIET).await;
        let now = running.process.cpu()?.total();
        if now - before <= QUIET_CPU {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the server is still busy {} s after its last answer", SETTLES.as_secs());
        before = now;
    }
}

/// Does the work, and shows how many bytes went.
pub(crate) async fn with_progress<T>(bar: &ProgressBar, sent: &AtomicU64, work: impl Future<Output = T>) -> T {
    let show = async {
        loop {
            sleep(Duration::from_millis(200)).await;
            bar.set_position(sent.load(Ordering::Relaxed));
        }
    };
    tokio::select! {
        done = work => done,
        never = show => never,
    }
}

/// A bar over this many bytes; nothing is shown where nobody looks.
pub(crate) fn bar(bytes: u64, what: String) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:32} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}");
    let bar = ProgressBar::new(bytes).with_message(what);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}
