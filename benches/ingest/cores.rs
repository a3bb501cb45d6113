//! Which core works for whom: the server has one of its own, and the load comes from another.

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of this process, parted.
#[derive(Clone, Copy)]
pub(crate) struct Cores(Option<Parted>);

#[derive(Clone, Copy)]
struct Parted {
    server: usize,
    client: usize,
}

impl Cores {
    /// Parts the cores that this process may use, and lets the client's side begin.
    pub(crate) fn part() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (server, client) = allowed.next().zip(allowed.next()).context("two cores are needed: one for each side")?;
        pin(client)?;
        Ok(Self(Some(Parted { server, client })))
    }

    /// Everybody works where there is room; no figure counts then.
    pub(crate) fn shared() -> Self {
        Self(None)
    }

    /// Does this on the server's core. A process that is started there stays there, with all its threads.
    pub(crate) fn on_servers<T>(self, work: impl FnOnce() -> T) -> anyhow::Result<T> {
        let Some(Parted { server, client }) = self.0 else { return Ok(work()) };
        pin(server)?;
        let done = work();
        pin(client)?;
        Ok(done)
    }
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot work on core {core} alone"))
}
