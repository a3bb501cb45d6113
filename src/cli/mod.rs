//! The command line: one subcommand a file. Exit status: 0 done, 1 refused or failed, 2 wrong usage.

mod actors;
mod client;
mod device;
mod recordings;
mod serve;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
}

/// Which server is meant.
#[derive(Debug, Args)]
struct Target {
    /// Data folder of the running server
    #[arg(long, value_name = "FOLDER", default_value = "longshore-data")]
    data: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command that the process was given.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Device(device) => device.run(),
        Command::Actors(actors) => actors.run(),
        Command::Recordings(recordings) => recordings.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longshore: {error:#}");
            ExitCode::FAILURE
        }
    }
}
