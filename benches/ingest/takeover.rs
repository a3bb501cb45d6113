//! How soon a device that comes back is told where to continue, while the server still believes in its old connection.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::sleep;

use super::Bench;
use super::bay::Bay;
use super::contenders::{DEFAULT, Running};
use super::pace::Pace;
use super::report::Table;
use super::round::bar;
use super::statistics::Times;
use super::windows::waiting;

const MIB: u64 = 1024 * 1024;
/// How often it is done.
pub(crate) const TIMES: u64 = 200;
/// The body that is announced, and the part of it that comes.
const BODY: u64 = 16 * MIB;
const SENT: u64 = BODY / 2 + 4321;
/// What is hoped for, in milliseconds.
const GOAL: f64 = 50.0;

#[derive(Serialize)]
struct Outcome {
    /// From the HEAD to its answer, on a connection that stands.
    answers: Times,
    /// The same with the new connection and its handshake.
    with_handshake: Times,
}

pub(crate) async fn takeover(bench: &Bench, times: u64) -> anyhow::Result<()> {
    let running = DEFAULT.start(&bench.place, 1).await?;
    let bar = bar(times * SENT, "take-overs".to_owned());
    let outcome = measure(bench, &running, times, &bar).await;
    let outcome = outcome.with_context(|| format!("the server's log: {}", running.log()))?;
    bar.finish_and_clear();
    let mut table = Table::new(&["HEAD on an upload whose PATCH hangs", "p50 ms", "p99 ms", "worst ms", "goal ms"]);
    for (what, times) in
        [("on a connection that stands", outcome.answers), ("with its handshake", outcome.with_handshake)]
    {
        let milliseconds = |time: f64| format!("{time:.1}");
        let cells = [times.p50, times.p99, times.worst].map(milliseconds);
        table.row([what.to_owned()].into_iter().chain(cells).chain([format!("{GOAL:.0}")]).collect());
    }
    bench.report("takeover", &mut table, &outcome)
}

async fn measure(bench: &Bench, running: &Running, times: u64, bar: &ProgressBar) -> anyhow::Result<Outcome> {
    let (mut answers, mut with_handshake) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let mut old = Bay::new(&running.target, 0, &bench.content).await?;
        let upload = old.create(BODY).await?;
        old.begin_patch(&upload, 0, BODY).await?;
        old.body(0, SENT, &mut Pace::of(None)).await?;
        // What still lies in a queue has not been sent as far as the server can know.
        while waiting(old.connection.ends)? > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let called = Instant::now();
        let mut new = Bay::new(&running.target, 0, &bench.content).await?;
        let asked = Instant::now();
        let reply = new.ask("HEAD", &upload).await?;
        let answered = Instant::now();
        ensure!(reply.header("upload-offset")? == SENT.to_string(), "something was lost: {reply:?}");
        answers.push((answered - asked).as_secs_f64() * 1000.0);
        with_handshake.push((answered - called).as_secs_f64() * 1000.0);
        new.ask("DELETE", &upload).await?;
        bar.inc(SENT);
    }
    Ok(Outcome { answers: Times::of(answers)?, with_handshake: Times::of(with_handshake)? })
}
