//! What the figures were taken on, and what else the machine did meanwhile.

use std::time::Duration;

use anyhow::Context as _;
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage};
use serde::Serialize;

use super::process::{Cpu, Process};

/// The machine, and how busy others kept it when the run began.
#[derive(Clone, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    load_average: f32,
}

impl Machine {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let processors = procfs::CpuInfo::current()?;
        Ok(Self {
            processor: processors.model_name(0).unwrap_or("unknown").to_owned(),
            cores: processors.num_cores(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            load_average: LoadAverage::current()?.one,
        })
    }

    /// For the foot of a table.
    pub(crate) fn sentence(&self) -> String {
        let Self { processor, cores, kernel, load_average } = self;
        format!("{processor}, {cores} cores, Linux {kernel}; load average at the start {load_average:.1}.")
    }
}

/// Counts the processor time of those who are not measured: of other programs, and of the kernel's own threads, which write
/// what a server left in the page cache.
pub(crate) struct Others {
    busy: f64,
    own: f64,
    server: Cpu,
}

impl Others {
    pub(crate) fn begin(server: &Process) -> anyhow::Result<Self> {
        Ok(Self { busy: busy()?, own: own()?, server: server.cpu()? })
    }

    /// Cores that they used on average.
    pub(crate) fn end(self, server: &Process, elapsed: Duration) -> anyhow::Result<f64> {
        let known = own()? - self.own + server.cpu()?.since(self.server).total();
        Ok(((busy()? - self.busy - known) / elapsed.as_secs_f64()).max(0.0))
    }
}

/// Seconds of all cores since the machine was started.
fn busy() -> anyhow::Result<f64> {
    let total = KernelStats::current()?.total;
    let ticks = total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// Seconds of this process.
fn own() -> anyhow::Result<f64> {
    let stat = procfs::process::Process::myself().and_then(|own| own.stat()).context("cannot read /proc/self/stat")?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}
