//! The command line: one subcommand a file. Exit status: 0 done, 1 refused, failed or (of `verify`) something is wrong,
//! 2 wrong usage.

mod account;
mod actors;
mod audit;
mod catalogue;
mod checkpoint;
mod client;
mod config;
mod coverage;
mod demo;
mod device;
mod digest;
mod dock;
mod export;
mod health;
mod login;
mod mail;
mod model;
mod profile;
mod progress;
mod recordings;
mod request;
mod secret;
mod serve;
mod sessions;
mod site;
mod table;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use longshore_store::files;

use crate::config::Inputs;
use crate::data;
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
    Demo(demo::Demo),
    /// Add devices, see which there are, complete their set-up
    #[command(subcommand)]
    Device(device::Device),
    /// Make sites: places with docks or with a yard's Wi-Fi
    #[command(subcommand)]
    Site(site::Site),
    /// Make docks known by the list on their label
    #[command(subcommand)]
    Dock(dock::Dock),
    /// Say who may log in, and with what
    #[command(subcommand)]
    Account(account::Account),
    /// See what people did
    Audit(audit::Audit),
    Login(login::LogIn),
    Logout(login::LogOut),
    /// See the parts of the running server: which run, which failed, what they are busy with
    Actors(actors::Actors),
    /// Ask devices for footage, see what becomes of it
    #[command(subcommand)]
    Request(request::Request),
    /// See what waits to be sent to people, find out whether mail arrives
    #[command(subcommand)]
    Mail(mail::Mail),
    /// See what the daily mails say, send them before their time
    #[command(subcommand)]
    Digest(digest::Digest),
    /// See which devices are connected, since when and from where
    Sessions(sessions::Sessions),
    /// See what is wrong with devices and with the server, and what to do about it
    #[command(subcommand)]
    Health(health::Health),
    /// Set what devices record and which networks they may use
    #[command(subcommand)]
    Profile(profile::Profile),
    /// See what is known of models of devices
    #[command(subcommand)]
    Model(model::Model),
    /// See what is stored
    #[command(subcommand)]
    Recordings(recordings::Recordings),
    /// Give recordings out, with all that proves them
    Export(export::Export),
    /// Sign how far the journal goes, see what was signed
    #[command(subcommand)]
    Checkpoint(checkpoint::Checkpoint),
    /// Repair the catalogue of what is stored
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// Prove that everything is there and as it was
    #[command(subcommand)]
    Verify(verify::Verify),
    /// Check the configuration, see what counts
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand, hide = true)]
    DemoPart(demo::Part),
}

/// Which configuration is meant.
#[derive(Debug, Args)]
struct ConfigFile {
    /// Configuration file [default: $LONGSHORE_CONFIG, ./longshore.toml, /etc/longshore/longshore.toml]
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    fn inputs(&self) -> Inputs {
        Inputs::of_process(self.path.clone())
    }
}

/// Which server is meant.
#[derive(Debug, Args)]
struct Whose {
    #[command(flatten)]
    config: ConfigFile,
    /// Data folder of the server [default: as configured]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

impl Whose {
    fn config(&self) -> anyhow::Result<crate::config::Config> {
        Ok(self.config.inputs().with_option("--data", "data", self.data.clone()).load()?.config)
    }
}

/// Which server is meant, and in which form it answers.
#[derive(Debug, Args)]
struct Target {
    #[command(flatten)]
    whose: Whose,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Target {
    /// With `--data`, mistakes in a configuration are none of ours. With neither it nor `--config`, a login comes first.
    fn client(&self) -> anyhow::Result<Client> {
        let is_named = self.whose.data.is_some() || self.whose.config.path.is_some();
        let login = if is_named { None } else { login::Login::kept()? };
        if let Some(login) = login {
            return Client::of_login(&login);
        }
        let data = match &self.whose.data {
            Some(data) => PathBuf::from(data),
            None => self.whose.config()?.data,
        };
        Client::new(&data)
    }
}

/// A path with its query.
fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

/// Makes sure that a command that reads the storage itself reads the one that the server has used.
fn check_storage(data: &Path, storage: &Path) -> anyhow::Result<()> {
    // Before the first start there is none.
    let known = data::storage_id(data)?;
    Ok(known.map_or(Ok(()), |known| files::expect(storage, known))?)
}

/// Every command with its options, for what reads or checks command lines without running them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the process was given.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Device(device) => device.run(),
        Command::Site(site) => site.run(),
        Command::Dock(dock) => dock.run(),
        Command::Account(account) => account.run(),
        Command::Audit(audit) => audit.run(),
        Command::Login(login) => login.run(),
        Command::Logout(logout) => logout.run(),
        Command::Actors(actors) => actors.run(),
        Command::Request(request) => request.run(),
        Command::Mail(mail) => mail.run(),
        Command::Digest(digest) => digest.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::Health(health) => health.run(),
        Command::Profile(profile) => profile.run(),
        Command::Model(model) => model.run(),
        Command::Recordings(recordings) => recordings.run(),
        Command::Export(export) => export.run(),
        Command::Checkpoint(checkpoint) => checkpoint.run(),
        Command::Config(config) => config.run(),
        Command::Catalogue(catalogue) => catalogue.run(),
        Command::Verify(verify) => return exit(verify.run()),
        Command::Demo(demo) => return exit(demo.run()),
        Command::DemoPart(part) => part.run(),
    };
    exit(done.map(|()| ExitCode::SUCCESS))
}

fn exit(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        // Whoever read has read enough, as `head` does.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("longshore: {error:#}");
            ExitCode::FAILURE
        }
    }
}
