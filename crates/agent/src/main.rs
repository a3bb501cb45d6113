//! `longshore-agent`: offloads folders and cards to a Longshore server.

mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use longshore_agent::backoff::Pace;
use longshore_agent::config::{Config, ConfigError};
use longshore_agent::device_clock::DeviceClock;
use longshore_agent::enrol::{About, enrol};
use longshore_agent::fleet::day::Size;
use longshore_agent::invitation::Invitation;
use longshore_agent::offload::{Offload, OffloadError, Options};
use longshore_agent::progress;
use longshore_agent::state::State;
use longshore_agent::watch::Watch;
use longshore_model::SystemClock;
use longshore_protocol::EnrolmentText;
use tokio::signal::unix::{SignalKind, signal};

/// Offloads any folder, card or USB camera to a Longshore server, and deletes only what the server has proved to hold.
#[derive(Debug, Parser)]
#[command(name = "longshore-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a server to be known as one of its devices, and wait for its admin to approve.
    Enrol {
        /// The enrolment text that the server's admin gave: https://HOST:PORT/e#…
        #[arg(long, value_name = "TEXT", required_unless_present = "code")]
        url: Option<String>,
        /// Instead of the text: the server's address, as on the sheet.
        #[arg(long, value_name = "URL", requires = "code", conflicts_with = "url")]
        server: Option<String>,
        /// Instead of the text: the code on the sheet, 24 letters and digits.
        #[arg(long, requires_all = ["server", "serial"], conflicts_with = "url")]
        code: Option<String>,
        /// Folder for this device's key and identity; made if it is missing.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Serial number of this device; without it, the one that the text was made for.
        #[arg(long)]
        serial: Option<String>,
        /// Model of this device; without it, the one that the text was made for.
        #[arg(long)]
        model: Option<String>,
    },
    /// Watch folders and the mount points of cards for ever, as the settings say; made to be run as a service.
    Run {
        /// The settings; config/longshore-agent.toml explains them.
        #[arg(long, value_name = "FILE", default_value = "/etc/longshore-agent.toml")]
        config: PathBuf,
    },
    /// Simulate a fleet of body cameras and recorders for a day of sixteen hours, from setting them up to the end of their
    /// shifts; for tests of a server. Each is this agent, with recordings that play.
    Fleet {
        /// An enrolment text that all of them may use.
        #[arg(long, value_name = "TEXT")]
        url: String,
        /// Folder for cards and states, which must be new or empty; the truth about the day is written to truth.json there.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Number of body cameras.
        #[arg(long, default_value_t = 25)]
        cameras: usize,
        /// Number of recorders in vehicles.
        #[arg(long, default_value_t = 5)]
        recorders: usize,
        /// The same seed gives the same day.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Send the recordings in a folder, and delete each one for which the server has given a valid receipt.
    Offload {
        /// The folder with the recordings: a card, a mounted camera.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// The folder that `enrol` was given.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// End when everything that can be sent now is sent, instead of watching the folder for ever.
        #[arg(long)]
        once: bool,
        /// Delete nothing.
        #[arg(long)]
        keep: bool,
        /// Which recordings are events: a file name like Event*, or a folder name like EVENT/; replaces the defaults
        /// (EVENT/, RO/, Event*). May be given several times.
        #[arg(long = "event", value_name = "PATTERN")]
        events: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_service = matches!(cli.command, Command::Run { .. });
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot start")
        .and_then(|runtime| {
            let result = runtime.block_on(run(cli.command));
            // A thread in the middle of a large file must not hold up the end.
            runtime.shutdown_background();
            result
        });
    result.unwrap_or_else(|error| {
        progress::print_error(&format!("{error:#}"));
        if is_service && needs_a_person(&error) { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
    })
}

/// Exit status of a service that would end the same way again until a person acts (`EX_CONFIG` of sysexits.h), so that
/// it is not started again by itself.
const EXIT_CONFIG: u8 = 78;

fn needs_a_person(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(OffloadError::NotEnrolled(_)))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let observer = progress::for_output();
    match command {
        Command::Enrol { url, server, code, state, serial, model } => {
            let invitation = match (url, server.zip(code)) {
                (Some(text), _) => Invitation::from(&text.parse::<EnrolmentText>()?),
                (None, Some((server, code))) => Invitation::typed(&server, code.parse()?)?,
                (None, None) => anyhow::bail!("say --url TEXT, or --server URL with --code CODE"),
            };
            let state = State::open(&state)?;
            let clock = DeviceClock::new(Arc::new(SystemClock));
            enrol(&state, invitation, About { serial, model }, &clock, &Pace::default(), &*observer).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { config } => {
            let config = Config::read(&config)?;
            let state = State::open(&config.state)?;
            work(config.options()?, state, config.pace(), observer).await
        }
        Command::Fleet { url, folder, cameras, recorders, seed } => {
            simulate::simulate(&url, folder, Size { cameras, recorders }, seed).await
        }
        Command::Offload { folder, state, once, keep, events } => {
            let watch = Watch::folder(&folder);
            let watch = watch.map_err(|error| OffloadError::Folder { folder: folder.display().to_string(), error })?;
            let state = State::open(&state)?;
            work(Options { watch, once, keep, events }, state, Pace::default(), observer).await
        }
    }
}

async fn work(
    options: Options,
    state: State,
    pace: Pace,
    observer: Arc<dyn progress::Observer>,
) -> anyhow::Result<ExitCode> {
    let once = options.once;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let offload = Offload::new(options, state, Arc::new(SystemClock), pace, observer.clone())?;
    let summary = tokio::select! {
        summary = offload.run() => summary?,
        _ = interrupted.recv() => return Ok(stopped(&*observer, once)),
        _ = terminated.recv() => return Ok(stopped(&*observer, once)),
    };
    Ok(if summary.is_done() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Being stopped is the only end of a run without `--once`, and a failure of one with it.
fn stopped(observer: &dyn progress::Observer, once: bool) -> ExitCode {
    observer.end();
    observer.say("stopped; the same command continues");
    if once { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
