//! `longshore demo`: a server and eight simulated cameras in a temporary folder, some trouble, and the reconciliation.
//! Everything is real but the cameras' bodies: processes, TLS, videos, keys, receipts, kills.

mod bay;
mod dock;
mod ending;
mod part;
mod plan;
mod reconcile;
mod screen;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{DecimalBytes, ProgressBar};
use longshore_agent::fleet::card::{self, Made, Shot};
use longshore_model::{Clock as _, SystemClock};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use self::bay::{Bay, Doing, Turn, Wanted};
use self::dock::{Dock, Event};
use self::plan::{DOCK, MishapKind, Plan, is_event};
use self::screen::{Screen, Tone, mbits};
pub(super) use part::Part;

/// Between two looks at cards and bays.
const TICK: Duration = Duration::from_millis(200);
/// When nothing has moved for so long, nothing will: the reconciliation tells how it stands.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// Events that wait to be taken in; a camera that says more has to wait.
const EVENTS: usize = 256;
/// Room for journal, index and logs, in bytes.
const BESIDE: u64 = 100_000_000;

/// See it work on this machine: a server, eight simulated cameras, and some trouble
///
/// Takes less than half a minute. Everything is in a temporary folder, which is removed at the end, and on free ports of
/// this machine alone.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the reconciliation, with status 0 only if nothing is lost
    #[arg(long)]
    exit: bool,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (events, incoming) = sync_channel(EVENTS);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let stopped = stop_signals(&runtime, &events)?;
        let temporary = std::path::absolute(std::env::temp_dir())?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("longshore-demo-").permissions(Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(&temporary);
        let folder = folder
            .with_context(|| format!("no folder can be made in {}; set TMPDIR to another one", temporary.display()))?;
        let mut show = Show { runtime, events, incoming, stopped, folder: folder.path().to_owned() };
        let done = show.run(self.exit);
        drop(show);
        folder.close().context("the folder of the demo could not be removed")?;
        done
    }
}

/// Ctrl-C, a closed terminal and `kill` all end the demo in the same way.
fn stop_signals(runtime: &Runtime, events: &SyncSender<Event>) -> anyhow::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let _in_runtime = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, stopped, events) = (signal(kind)?, stopped.clone(), events.clone());
        runtime.spawn(async move {
            while signal.recv().await.is_some() {
                stopped.store(true, Ordering::Relaxed);
                // Whoever waits for events is woken; a full queue wakes too.
                let _full = events.try_send(Event::Stop);
            }
        });
    }
    Ok(stopped)
}

/// What the demo works with.
struct Show {
    runtime: Runtime,
    /// For the threads that listen to cameras.
    events: SyncSender<Event>,
    incoming: Receiver<Event>,
    stopped: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Show {
    fn run(&mut self, exit: bool) -> anyhow::Result<ExitCode> {
        let shots: Vec<Vec<Shot>> = DOCK.iter().map(|plan| plan.shots(SystemClock.now())).collect();
        enough_room(&self.folder, &shots)?;
        let mut screen = Screen::new(Instant::now());
        let recorded = self.fill(&shots, &screen)?;
        let mut dock = Dock::open(&self.folder, self.events.clone())?;
        let mut bays = Vec::new();
        for (plan, recorded) in DOCK.iter().zip(&recorded) {
            dock.put_in(plan, &self.runtime)?;
            let wanted = recorded.iter().filter(|made| is_event(&made.name));
            let wanted = wanted.map(|made| Wanted { name: made.name.clone(), size: made.size, gone: false });
            bays.push(Bay::new(*plan, wanted.collect()));
        }
        screen.news(Tone::Plain, None, &format!("the server {} is up, eight cameras docked", dock.url));
        self.watch(&mut dock, &mut bays, &mut screen)?;
        drop(screen);
        let well = ending::reconcile(&dock, &recorded)?;
        self.go_on()?;
        if !exit {
            ending::what_to_try(&dock)?;
            self.stay(&mut dock)?;
        }
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The person may want it to end at any moment.
    fn go_on(&self) -> anyhow::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            bail!("stopped before its end; nothing is left of it");
        }
        Ok(())
    }

    /// Fills the cards, each on a thread of its own.
    fn fill(&self, shots: &[Vec<Shot>], screen: &Screen) -> anyhow::Result<Vec<Vec<Made>>> {
        let bar = screen.filling(shots.iter().flatten().map(|shot| shot.size).sum());
        let (bar_of_all, folder, stopped) = (&bar, self.folder.as_path(), &*self.stopped);
        let filled: io::Result<Vec<Vec<Made>>> = std::thread::scope(|scope| {
            let filling: Vec<_> = DOCK
                .iter()
                .zip(shots)
                .map(|(plan, shots)| scope.spawn(move || fill_one(folder, plan, shots, bar_of_all, stopped)))
                .collect();
            filling.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a thread failed"))?).collect()
        });
        bar.finish_and_clear();
        self.go_on()?;
        filled.context("the cards cannot be filled")
    }

    /// Until all recordings are home, or nothing moves any more.
    fn watch(&self, dock: &mut Dock, bays: &mut [Bay], screen: &mut Screen) -> anyhow::Result<()> {
        let mut moved = (Instant::now(), 0);
        loop {
            self.listen(dock, bays, screen)?;
            dock.server_is_up()?;
            let now = Instant::now();
            let mut crossed = 0;
            for (index, bay) in bays.iter_mut().enumerate() {
                let card = dock.card(&bay.plan);
                for one in bay.wanted.iter_mut().filter(|one| !one.gone) {
                    one.gone = !card.join(&one.name).exists();
                }
                let bytes = dock.crossed(index);
                crossed += bytes;
                bay.crossed(bytes, now);
                if let Some(turn) = bay.turn(now) {
                    act(dock, index, turn)?;
                    let (tone, text) = happens(turn);
                    screen.news(tone, Some(bay), text);
                }
                if bay.comes_home(now) {
                    screen.news(Tone::Good, Some(bay), &came_home(bay));
                }
            }
            if bays.iter().any(|bay| !bay.known) {
                for bay in dock.approve(&DOCK)? {
                    if let Some(bay) = bays.get_mut(bay) {
                        bay.known = true;
                    }
                }
                if bays.iter().all(|bay| bay.known) {
                    screen.news(Tone::Plain, None, "eight cameras enrolled, each approved for its officer");
                }
            }
            screen.draw(bays, now);
            if crossed > moved.1 {
                moved = (now, crossed);
            }
            if bays.iter().all(Bay::is_home) && dock.knows_of_deletions()? {
                return Ok(());
            }
            if now.duration_since(moved.0) > STANDS_STILL {
                screen.news(Tone::Trouble, None, "nothing moves any more; the last that the cameras wrote:");
                dock.cameras_wrote().lines().for_each(|line| screen.news(Tone::Plain, None, line));
                return Ok(());
            }
        }
    }

    /// Takes in what comes within one tick.
    fn listen(&self, dock: &Dock, bays: &mut [Bay], screen: &Screen) -> anyhow::Result<()> {
        let end = Instant::now() + TICK;
        loop {
            self.go_on()?;
            let event = match self.incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                // All senders gone cannot be: this holds one itself.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
            };
            match event {
                Event::Said { bay, run, said } if dock.is_running(bay, run) => {
                    if let Some(bay) = bays.get_mut(bay)
                        && let Some(news) = bay.hear(said, Instant::now())
                    {
                        screen.news(Tone::Plain, Some(bay), &news);
                    }
                }
                Event::Ended { bay, run } if dock.is_running(bay, run) => {
                    if let Some(bay) = bays.get_mut(bay) {
                        bay.doing = Doing::Stopped;
                        screen.news(Tone::Trouble, Some(bay), "the camera's process ended, and should not have");
                    }
                }
                _ => {}
            }
        }
    }

    /// Keeps everything as it is until the person ends it.
    fn stay(&self, dock: &mut Dock) -> anyhow::Result<()> {
        while !self.stopped.load(Ordering::Relaxed) {
            dock.server_is_up()?;
            // What the cameras say now is of no interest, but has to be taken from them.
            let _said = self.incoming.recv_timeout(TICK);
        }
        Ok(())
    }
}

fn fill_one(
    folder: &Path,
    plan: &Plan,
    shots: &[Shot],
    bar: &ProgressBar,
    stopped: &AtomicBool,
) -> io::Result<Vec<Made>> {
    card::fill(&dock::card(folder, plan), plan.serial, shots, |bytes| {
        bar.inc(bytes);
        if stopped.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    })
}

/// Every recording is on a card or in the store; one that is just handed over is on both.
fn enough_room(folder: &Path, shots: &[Vec<Shot>]) -> anyhow::Result<()> {
    let largest = |shots: &Vec<Shot>| shots.iter().map(|shot| shot.size).max().unwrap_or(0);
    let cards: u64 = shots.iter().flatten().map(|shot| shot.size).sum();
    let needed = cards + shots.iter().map(largest).sum::<u64>() + BESIDE;
    let room = rustix::fs::statvfs(folder)?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < needed {
        bail!(
            "the demo needs {} in {}, and {} are free; set TMPDIR to a folder with more room",
            DecimalBytes(needed),
            std::env::temp_dir().display(),
            DecimalBytes(free)
        );
    }
    Ok(())
}

fn act(dock: &mut Dock, bay: usize, turn: Turn) -> anyhow::Result<()> {
    match turn {
        Turn::Begin(MishapKind::PowerLoss) => dock.cut_power(bay),
        Turn::Begin(MishapKind::PulledOut) => dock.plug(bay, false),
        Turn::End(MishapKind::PowerLoss) => dock.power_on(bay)?,
        Turn::End(MishapKind::PulledOut) => dock.plug(bay, true),
    }
    Ok(())
}

fn happens(turn: Turn) -> (Tone, &'static str) {
    match turn {
        Turn::Begin(MishapKind::PowerLoss) => (Tone::Trouble, "loses its power in the middle of a recording (kill -9)"),
        Turn::End(MishapKind::PowerLoss) => (Tone::Plain, "has power again"),
        Turn::Begin(MishapKind::PulledOut) => (Tone::Trouble, "is pulled out of the dock in the middle of a recording"),
        Turn::End(MishapKind::PulledOut) => (Tone::Plain, "is put in again"),
    }
}

fn came_home(bay: &Bay) -> String {
    let rate = bay.mean_rate().map(mbits).unwrap_or_default();
    format!("{} recordings, {}, are home; {rate} Mbit/s while connected", bay.wanted.len(), DecimalBytes(bay.total()))
}
