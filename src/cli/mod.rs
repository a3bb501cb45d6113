//! The command line: one subcommand a file. Exit status: 0 done, 1 refused or failed, 2 wrong usage.

mod actors;
mod client;
mod config;
mod device;
mod recordings;
mod serve;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Inputs;
use client::Client;

/// A self-hosted server that unloads cameras and proves that every byte arrived.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Add devices, see which there are, complete their set-up
    #[command(subcommand)]
    Device(device::Device),
    /// See the parts of the running server: which run, which failed, what they are busy with
    Actors(actors::Actors),
    /// See what is stored
    #[command(subcommand)]
    Recordings(recordings::Recordings),
    /// Check the configuration, see what counts
    #[command(subcommand)]
    Config(config::Config),
}

/// Which configuration is meant.
#[derive(Debug, Args)]
struct ConfigFile {
    /// Configuration file [default: $LONGSHORE_CONFIG, ./longshore.toml, /etc/longshore/longshore.toml]
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    fn inputs(self) -> Inputs {
        Inputs::of_process(self.path)
    }
}

/// Which server is meant.
#[derive(Debug, Args)]
struct Target {
    #[command(flatten)]
    config: ConfigFile,
    /// Data folder of the running server [default: as configured]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Target {
    fn client(self) -> anyhow::Result<Client> {
        let data = match self.data {
            Some(data) => data,
            None => self.config.inputs().load()?.config.data,
        };
        Client::new(&data)
    }
}

/// Runs the command that the process was given.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Device(device) => device.run(),
        Command::Actors(actors) => actors.run(),
        Command::Recordings(recordings) => recordings.run(),
        Command::Config(config) => config.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longshore: {error:#}");
            ExitCode::FAILURE
        }
    }
}
