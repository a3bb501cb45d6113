//! Whether bays hold their rate: how many bytes a server took from each of them, over every second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use procfs::net::TcpNetEntry;
use serde::Serialize;
use tokio::time::sleep;

use super::bay::Bay;
use super::client::Ends;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Seconds that a bay sends before anything counts.
const WARM: u64 = 2;
/// What a window is.
const WINDOW: Duration = Duration::from_secs(1);

/// A bay that is watched: both ends of its connection, and what it has sent.
pub(crate) struct Watched {
    ends: Ends,
    sent: Arc<AtomicU64>,
}

/// How far each bay was at a moment.
struct Look {
    at: Instant,
    /// Bytes that the bays handed to their kernel.
    sent: Vec<u64>,
    /// Bytes that the server has read, but for TLS's own.
    taken: Vec<u64>,
}

/// Looks from a thread of its own, until it is asked what it saw.
pub(crate) struct Watch {
    enough: Arc<AtomicBool>,
    looking: Option<JoinHandle<anyhow::Result<Vec<Look>>>>,
}

/// The least that any bay got in any second, as a share of its rate.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Worst {
    /// By what it could send.
    pub(crate) sent: f64,
    /// By what the server had read.
    pub(crate) taken: f64,
}

impl Watched {
    pub(crate) fn of(bay: &Bay) -> Self {
        Self { ends: bay.connection.ends, sent: Arc::clone(&bay.sent) }
    }
}

/// Waits until each of them has sent for some seconds: a busy machine takes its time to begin.
pub(crate) async fn warm(watched: &[Watched], rate: u64) {
    while watched.iter().any(|bay| bay.sent.load(Ordering::Relaxed) < rate * WARM) {
        sleep(LOOK).await;
    }
}

impl Watch {
    pub(crate) fn begin(watched: Vec<Watched>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let looking = thread::spawn(move || {
            let mut looks = Vec::new();
            while !until.load(Ordering::Relaxed) {
                looks.push(look(&watched)?);
                thread::park_timeout(LOOK);
            }
            Ok(looks)
        });
        Self { enough, looking: Some(looking) }
    }

    /// Of all seconds so far, for bays that send at `rate` bytes a second.
    pub(crate) fn end(mut self, rate: u64) -> anyhow::Result<Worst> {
        self.enough.store(true, Ordering::Relaxed);
        let looks = self.looking.take().map(JoinHandle::join).ok_or_else(|| anyhow!("asked twice"))?;
        let looks = looks.map_err(|_| anyhow!("the watching thread panicked"))??;
        Ok(Worst {
            sent: worst(&looks, |look| &look.sent) / rate as f64,
            taken: worst(&looks, |look| &look.taken) / rate as f64,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

fn look(watched: &[Watched]) -> anyhow::Result<Look> {
    let queues = Queues::look()?;
    let at = Instant::now();
    let sent: Vec<u64> = watched.iter().map(|bay| bay.sent.load(Ordering::Relaxed)).collect();
    let taken = watched.iter().zip(&sent).map(|(bay, sent)| sent.saturating_sub(queues.of(bay.ends))).collect();
    Ok(Look { at, sent, taken })
}

/// Bytes that the kernel holds for the connections of this machine.
struct Queues(HashMap<Ends, (u32, u32)>);

impl Queues {
    fn look() -> anyhow::Result<Self> {
        let entries = procfs::net::tcp()?.into_iter();
        let by_ends =
            |entry: TcpNetEntry| ((entry.local_address, entry.remote_address), (entry.tx_queue, entry.rx_queue));
        Ok(Self(entries.map(by_ends).collect()))
    }

    /// Sent by the client, and not read by the server yet.
    fn of(&self, (client, server): Ends) -> u64 {
        let unsent = self.0.get(&(client, server)).map_or(0, |(unsent, _)| *unsent);
        let unread = self.0.get(&(server, client)).map_or(0, |(_, unread)| *unread);
        u64::from(unsent) + u64::from(unread)
    }
}

/// Bytes that a client has sent and the server has not read yet.
pub(crate) fn waiting(ends: Ends) -> anyhow::Result<u64> {
    Ok(Queues::look()?.of(ends))
}

/// The least bytes a second of any bay in any window.
fn worst(looks: &[Look], counted: impl Fn(&Look) -> &Vec<u64>) -> f64 {
    let mut worst = f64::INFINITY;
    let mut first = 0;
    for last in looks {
        while last.at - looks[first].at >= WINDOW + LOOK {
            first += 1;
        }
        let elapsed = last.at - looks[first].at;
        if elapsed < WINDOW {
            continue;
        }
        for (before, after) in counted(&looks[first]).iter().zip(counted(last)) {
            worst = worst.min(after.saturating_sub(*before) as f64 / elapsed.as_secs_f64());
        }
    }
    worst
}
