//! Who takes part, and how each is started: afresh, in a folder of its own, on the server's core.

mod certificate;
mod limit;
mod longshore;
mod nginx;
mod segment;
mod tus_server;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::bay::{Dialect, Target};
use super::client::Client;
use super::cores::Cores;
use super::process::Process;

pub(crate) use limit::serve as serve_limit;

/// Nothing takes longer to start, on a busy machine either.
const STARTS: Duration = Duration::from_secs(30);
/// The first word of this program's arguments when it is to be the raw loop.
pub(crate) const LIMIT: &str = "serve-limit";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The raw loop, which does what must be done and nothing else.
    Limit {
        /// It reads everything again from the medium, and compares.
        reads_back: bool,
    },
    Longshore {
        /// The same: `storage.read_back`, which is on by default.
        reads_back: bool,
    },
    Nginx,
    TusServer,
}

/// As it is installed.
pub(crate) const DEFAULT: Contender = Contender::Longshore { reads_back: true };

/// Where the servers run.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) cores: Cores,
}

/// A server that is up. When this value goes, it is killed and its folder removed.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) target: Target,
    folder: TempDir,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit { reads_back: false } => "raw loop",
            Self::Limit { reads_back: true } => "raw loop, read-back",
            Self::Longshore { reads_back: false } => "Longshore",
            Self::Longshore { reads_back: true } => "Longshore, read-back",
            Self::Nginx => "nginx (DAV)",
            Self::TusServer => "@tus/server",
        }
    }

    /// Starts it for this many bays.
    pub(crate) async fn start(self, place: &Place, bays: usize) -> anyhow::Result<Running> {
        let folder = tempfile::Builder::new().prefix("longshore-bench-").tempdir_in(&place.folder)?;
        // Nobody has to wait for what the one before left in the page cache.
        rustix::fs::syncfs(File::open(folder.path())?)?;
        let started = match self {
            Self::Limit { reads_back } => limit::start(folder.path(), place.cores, reads_back).await,
            Self::Longshore { reads_back } => longshore::start(folder.path(), place.cores, bays, reads_back),
            Self::Nginx => nginx::start(folder.path(), place.cores).await,
            Self::TusServer => tus_server::start(folder.path(), place.cores).await,
        };
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let (process, target) = started.with_context(|| format!("{} did not start: {log}", self.name()))?;
        Ok(Running { process, target, folder })
    }
}

impl Running {
    /// Where it keeps what it has.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The files that it has, but for those on their way.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<(PathBuf, u64)>> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if !metadata.is_dir() {
                    found.push((entry.path(), metadata.len()));
                } else if entry.file_name() != ".incoming" {
                    folders.push(entry.path());
                }
            }
        }
        Ok(found)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

/// Lets it log into its folder, and starts it.
fn launch(command: &mut Command, folder: &Path, cores: Cores) -> anyhow::Result<Process> {
    let log = File::create(folder.join("log"))?;
    Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log), cores)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until something answers at `address`.
async fn up(mut process: Process, address: SocketAddr, dialect: Dialect) -> anyhow::Result<(Process, Target)> {
    let (client, end) = (Client::new(address)?, Instant::now() + STARTS);
    while let Err(error) = client.connect().await {
        if !process.lives()? || Instant::now() > end {
            bail!(error);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((process, Target { client, dialect }))
}

/// Where `cargo xtask bench` installs the peers.
fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let target = super::target().join("peers").join(name);
    if !target.exists() {
        bail!("{} is missing: `cargo xtask bench ingest` installs it", target.display());
    }
    Ok(target)
}
