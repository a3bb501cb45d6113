//! The change of shift: many devices check in within a minute, each offering what it recorded; and what devices cost that
//! only wait for something to do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use longshore_agent::backoff::Pace;
use longshore_agent::client::Client;
use longshore_agent::device_clock::DeviceClock;
use longshore_agent::enrol::{About, enrol};
use longshore_agent::fleet::link::Link;
use longshore_agent::progress::{Job, Observer};
use longshore_agent::state::State;
use longshore_agent::tls;
use longshore_model::{Clock as _, Kind, RecordingId, Sha256, SystemClock};
use longshore_protocol::{EnrolmentText, OfferItem, Offers};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Bench;
use super::contenders::{DEFAULT, Running};
use super::report::Table;

use super::statistics::Times;

/// Devices that come within [`WITHIN`], and recordings that each offers.
const DOCKING: u32 = 500;
const WITHIN: Duration = Duration::from_secs(60);
const OFFERED: u32 = 200;
/// Devices that only wait, and for how long they are watched.
const WAITING: u32 = 1000;
const WATCHED: Duration = Duration::from_secs(60);
/// How long each of their calls waits, as the agent's does.
const PARKED: Duration = Duration::from_secs(50);
/// Devices that are set up at once.
const AT_ONCE: usize = 16;
/// Faster than anything that is measured here.
const RATE: u64 = 1 << 40;
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Serialize)]
struct Outcome {
    first_calls: Times,
    offers: Times,
    /// Devices that `longshore sessions` lists right after.
    visible: usize,
    peak_memory: u64,
    /// Of one core, while [`WAITING`] devices wait.
    waiting_cores: f64,
    /// Bytes more than before they connected.
    waiting_memory: u64,
}

/// A device that is enrolled.
struct Device {
    client: Client,
    _link: Link,
}

struct Silent;

impl Observer for Silent {
    fn say(&self, _: &str) {}

    fn warn(&self, _: &str) {}

    fn begin(&self, _: Job<'_>, _: u64, _: u64) {}

    fn advance(&self, _: u64) {}

    fn end(&self) {}

    fn idle(&self, _: &str) {}
}

pub(crate) async fn docking(bench: &Bench) -> anyhow::Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let running = DEFAULT.start(&bench.place, 0).await?;
    let outcome = measure(&running).await.with_context(|| format!("the server's log: {}", running.log()))?;
    let mut table = Table::new(&["what", "p50 ms", "p99 ms", "worst ms", "goal"]);
    for (what, times, goal) in [
        ("first call, with its handshake", outcome.first_calls, ""),
        ("offer of 200 recordings", outcome.offers, "p99 100 ms"),
    ] {
        let [p50, p99, worst] = [times.p50, times.p99, times.worst].map(|time| format!("{time:.1}"));
        table.row(vec![what.into(), p50, p99, worst, goal.into()]);
    }
    let line =
        |what: &str, figure: String, goal: &str| vec![what.into(), figure, String::new(), String::new(), goal.into()];
    table.row(line("devices that are listed as connected", outcome.visible.to_string(), &DOCKING.to_string()));
    table.row(line("peak memory, MiB", format!("{:.0}", outcome.peak_memory as f64 / MIB), ""));
    table.row(line("1,000 that wait: cores", format!("{:.4}", outcome.waiting_cores), "0.02"));
    table.row(line("and memory for them, MiB", format!("{:.0}", outcome.waiting_memory as f64 / MIB), "100"));
    bench.report("docking", &mut table, &outcome)
}

async fn measure(running: &Running) -> anyhow::Result<Outcome> {
    let devices = set_up(running, 0..DOCKING.max(WAITING)).await?;
    let (docking, _) = devices.split_at(DOCKING as usize);
    let calls = docking.iter().zip(0_u32..).map(|(device, n)| async move {
        // Evenly over the minute, in no order.
        sleep(WITHIN * (n * 311 % DOCKING) / DOCKING).await;
        let began = Instant::now();
        device.client.desired(None, Duration::ZERO).await?;
        let connected = Instant::now();
        device.client.offer(&offers(n)).await?;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        Ok::<_, anyhow::Error>((milliseconds(connected - began), milliseconds(connected.elapsed())))
    });
    let times = futures_util::future::try_join_all(calls).await?;
    let (first_calls, offers): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
    let visible = longshore(running, &["sessions", "--json"]).await?.as_array().map_or(0, Vec::len);
    let peak_memory = running.process.peak_memory()?;

    let before = running.process.memory()?;
    let waiting = devices.iter().map(|device| async move {
        let mut known = None;
        loop {
            if let Some((tag, _)) = device.client.desired(known.as_deref(), PARKED).await? {
                known = Some(tag);
            }
        }
    });
    let watched = async {
        // All of them are there by then.
        sleep(Duration::from_secs(20)).await;
        let (cpu, began) = (running.process.cpu()?, Instant::now());
        sleep(WATCHED).await;
        let cores = running.process.cpu()?.since(cpu).total() / began.elapsed().as_secs_f64();
        Ok::<_, anyhow::Error>((cores, running.process.memory()?.saturating_sub(before)))
    };
    let (waiting_cores, waiting_memory) = tokio::select! {
        watched = watched => watched?,
        ended = futures_util::future::try_join_all(waiting) => {
            let never: Vec<std::convert::Infallible> = ended.map_err(|error: longshore_agent::client::CallError| error)?;
            anyhow::bail!("{} devices wait no longer", never.len())
        }
    };
    let (first_calls, offers) = (Times::of(first_calls)?, Times::of(offers)?);
    Ok(Outcome { first_calls, offers, visible, peak_memory, waiting_cores, waiting_memory })
}

async fn set_up(running: &Running, numbers: std::ops::Range<u32>) -> anyhow::Result<Vec<Device>> {
    let bar = ProgressBar::new(numbers.end.into());
    let devices = stream::iter(numbers).map(|n| {
        let bar = &bar;
        async move { device(running, n).await.inspect(|_| bar.inc(1)) }
    });
    devices.buffered(AT_ONCE).try_collect().await
}

/// A device that an admin has approved, and that has not called since.
async fn device(running: &Running, n: u32) -> anyhow::Result<Device> {
    let serial = format!("DOCK-{n}");
    let issued = longshore(running, &["device", "add", "--serial", &serial, "--model", "BC4", "--json"]).await?;
    let mut text: EnrolmentText = issued["text"].as_str().context("no text")?.parse()?;
    let server = *text.server.socket_addrs(|| None)?.first().context("no address")?;
    let link = Link::of_fleet(n as usize, server, RATE)?;
    let bay = format!("https://{}", link.address()).parse()?;
    text.server = Clone::clone(&bay);
    let state = State::open(&running.folder().join("states").join(&serial))?;
    let (clock, pace) = (DeviceClock::new(Arc::new(SystemClock)), Pace::default());
    let enrolling = enrol(&state, &text, About::default(), &clock, &pace, &Silent);
    let approving = async {
        let words = ["device", "approve", &serial, "--assignee", "Shift", "--json"];
        // It has to ask first.
        while longshore(running, &words).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let (identity, ()) = tokio::join!(enrolling, approving);
    let tls = tls::client_config(&state.key()?, state.certificate()?, identity?.pins())?;
    Ok(Device { client: Client::new(tls, vec![bay])?, _link: link })
}

/// What a device recorded in a shift, none of it known before.
fn offers(n: u32) -> Offers {
    let now = SystemClock.now();
    let item = |i: u32| {
        let id = Sha256::of(format!("{n} {i}").as_bytes());
        let mut rid = [0; 16];
        rid.copy_from_slice(&id.as_bytes()[..16]);
        let start = (now - TimeDelta::minutes(i64::from(i) * 3 + 3)).fixed_offset();
        OfferItem {
            rid: RecordingId::from_bytes(rid),
            camera: String::new(),
            kind: if i.is_multiple_of(2) { Kind::Event } else { Kind::Continuous },
            event_type: None,
            start,
            end: Some(start + TimeDelta::minutes(2)),
            boot: None,
            size: 100_000_000,
            sha256: Some(id),
            filename: Some(format!("EVENT/{i}.mp4")),
            overwrite_at: None,
            request: None,
        }
    };
    Offers { items: (0..OFFERED).map(item).collect(), clock: None }
}

async fn longshore(running: &Running, words: &[&str]) -> anyhow::Result<Value> {
    let mut command = super::process::program(env!("CARGO_BIN_EXE_longshore"));
    command.args(words).arg("--data").arg(data(running.folder()));
    let output = spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn data(folder: &Path) -> std::path::PathBuf {
    folder.join("data")
}
