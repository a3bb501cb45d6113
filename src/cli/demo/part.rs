//! The other processes of the demo, which are this program too: the server, and each camera. They end with the demo,
//! however that ends.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::Subcommand;
use longshore_agent::enrol::About;
use longshore_agent::fleet::camera::{Camera, in_dock};
use longshore_agent::progress::{Job, Observer};
use longshore_protocol::EnrolmentText;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::super::serve::Serve;

/// A process of `longshore demo`.
#[derive(Debug, Subcommand)]
pub(in super::super) enum Part {
    /// The server
    Server {
        /// Process id of the demo
        #[arg(long)]
        parent: i32,
        #[command(flatten)]
        serve: Serve,
    },
    /// A camera; what it has to know comes by standard input, since a secret is in it
    Camera {
        /// Process id of the demo
        #[arg(long)]
        parent: i32,
    },
}

/// What a camera has to know.
#[derive(Serialize, Deserialize)]
pub(super) struct Docked {
    pub(super) card: PathBuf,
    pub(super) state: PathBuf,
    /// The enrolment text.
    pub(super) text: String,
    /// Address of the bay.
    pub(super) bay: SocketAddr,
    pub(super) days_ahead: i64,
}

/// A line of what a camera does, on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// Something was done.
    Did(String),
    /// Something explains a wait.
    Waits(String),
    /// It reads its card.
    Reading { bytes: u64 },
    /// It sends this recording; so many bytes are there already.
    Sending { name: String, done: u64 },
    /// Its job is this much further.
    Advanced(u64),
    /// Its job is over.
    Ended,
    /// Nothing is to be done.
    Idle(String),
}

impl Part {
    pub(in super::super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Server { parent, serve } => {
                end_with(parent)?;
                serve.run()
            }
            Self::Camera { parent } => {
                end_with(parent)?;
                camera()
            }
        }
    }
}

/// From now on the kernel ends this process when its parent ends.
fn end_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        bail!("this is a part of `longshore demo`, which has ended");
    }
    Ok(())
}

fn camera() -> anyhow::Result<()> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let Docked { card, state, text, bay, days_ahead } = serde_json::from_str(&input).context("no camera is told")?;
    let text: EnrolmentText = text.parse()?;
    let ahead = TimeDelta::days(days_ahead);
    let camera = Camera { card, state, text, about: About::default(), bay, ahead, pace: in_dock() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(camera.run(Arc::new(Lines)));
    runtime.shutdown_background();
    ended.inspect_err(|error| tell(&Said::Waits(error.to_string())))?;
    Ok(())
}

struct Lines;

impl Observer for Lines {
    fn say(&self, line: &str) {
        tell(&Said::Did(line.to_owned()));
    }

    fn warn(&self, line: &str) {
        tell(&Said::Waits(line.to_owned()));
    }

    fn begin(&self, job: Job<'_>, done: u64, total: u64) {
        tell(&match job {
            Job::Hashing => Said::Reading { bytes: total },
            Job::Sending(name) => Said::Sending { name: name.to_owned(), done },
        });
    }

    fn advance(&self, bytes: u64) {
        tell(&Said::Advanced(bytes));
    }

    fn end(&self) {
        tell(&Said::Ended);
    }

    fn idle(&self, reason: &str) {
        tell(&Said::Idle(reason.to_owned()));
    }
}

/// Whoever does not listen any more will end this process in a moment.
fn tell(said: &Said) {
    let Ok(line) = serde_json::to_string(said) else { return };
    let mut out = io::stdout().lock();
    let _nobody_listens = writeln!(out, "{line}").and_then(|()| out.flush());
}
