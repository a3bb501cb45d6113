//! Programs under test, which end with the test.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use super::eventually;

/// A running program. It is killed when this value goes, so that it does not outlive a test that fails.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it says from now on; once.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end, as long as [`eventually`] waits for anything.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        eventually("the process ends", || self.ended().is_some());
        self.ended().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

/// The server's binary.
pub(crate) fn longshore() -> Command {
    program(env!("CARGO_BIN_EXE_longshore"))
}

/// The agent's binary, which `cargo xtask test` builds beside the server's.
pub(crate) fn agent() -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_longshore")).with_file_name("longshore-agent");
    assert!(path.exists(), "{} is missing: `cargo xtask test` builds it", path.display());
    program(path)
}

/// `program` without what configures the Longshore of whoever runs the tests.
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"LONGSHORE_")) {
        command.env_remove(name);
    }
    command
}

/// An agent that unloads `card` and ends when it is empty; what it says is added to `log`.
pub(crate) fn offload(card: &Path, state: &Path, log: &Path) -> Process {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = agent();
    command.arg("offload").arg(card).arg("--state").arg(state).arg("--once");
    Process::start(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log))
}
