//! Servers under test: started, measured from outside, and ended.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command};
use std::{env, io};

use anyhow::Context as _;
use procfs::WithCurrentSystemInfo as _;
use procfs::process::{Process as Entry, Stat};
use rustix::process::{Pid, Signal, kill_process_group};

use super::cores::Cores;

/// A server with all its processes. They are killed when this value goes.
pub(crate) struct Process(Child);

/// Seconds of a processor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Process {
    /// Starts `command` on the server's core, as a process group of its own: what it starts in its turn ends with it.
    pub(crate) fn start(command: &mut Command, cores: Cores) -> anyhow::Result<Self> {
        let spawned = cores.on_servers(|| command.process_group(0).spawn())?;
        Ok(Self(spawned.with_context(|| format!("cannot start {command:?}"))?))
    }

    /// What it says; once.
    pub(crate) fn stdout(&mut self) -> anyhow::Result<ChildStdout> {
        self.0.stdout.take().context("its standard output is not at hand")
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Time that its processes have used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let tick = 1.0 / procfs::ticks_per_second() as f64;
        let of = |stat: &Stat| Cpu {
            user: (stat.utime as f64 + stat.cutime as f64) * tick,
            system: (stat.stime as f64 + stat.cstime as f64) * tick,
        };
        Ok(self.family()?.iter().map(|(_, stat)| of(stat)).fold(Cpu::default(), Cpu::plus))
    }

    /// The most memory that was resident, in bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let peaks = self.family()?.into_iter().map(|(entry, _)| Ok(entry.status()?.vmhwm.unwrap_or(0) * 1024));
        peaks.sum()
    }

    /// The memory that is resident, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        Ok(self.family()?.iter().map(|(_, stat)| stat.rss_bytes().get()).sum())
    }

    /// It and those that it started.
    fn family(&self) -> anyhow::Result<Vec<(Entry, Stat)>> {
        let group = i32::try_from(self.0.id())?;
        let all = procfs::process::all_processes()?.filter_map(|entry| {
            // One may end between the listing and the look.
            let entry = entry.ok()?;
            let stat = entry.stat().ok()?;
            Some((entry, stat))
        });
        Ok(all.filter(|(_, stat)| stat.pgrp == group).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _already_gone = kill_process_group(group, Signal::KILL);
        }
        let _already_waited = self.0.wait();
    }
}

impl Cpu {
    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { user: self.user - before.user, system: self.system - before.system }
    }

    fn plus(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

/// `program` without what configures the Longshore of whoever runs the benchmark.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"LONGSHORE_")) {
        command.env_remove(name);
    }
    command
}
