use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::{ConfigFile, table};
use crate::certificate;
use crate::config::{COMMENTED, Loaded};
use crate::{health_types, models, webhook};

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print a configuration file with every key, its meaning and its default
    Default,
    /// Say whether the configuration is right
    Check {
        /// File to check instead of the one that the server would read
        file: Option<PathBuf>,
    },
    /// Show what counts, and where each value comes from
    Show {
        #[command(flatten)]
        config: ConfigFile,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

/// A setting as it counts.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    value: Option<String>,
    source: String,
}

impl Config {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Default => Ok(io::stdout().lock().write_all(COMMENTED.as_bytes())?),
            Self::Check { file } => check(&ConfigFile { path: file }.inputs().load()?),
            Self::Show { config, json } => show(&config.inputs().load()?, json),
        }
    }
}

fn check(loaded: &Loaded) -> anyhow::Result<()> {
    certificate::read(&loaded.config.tls)?;
    models::load(&loaded.config.devices)?;
    health_types::load(&loaded.config.health)?;
    webhook::load(&loaded.config.webhooks)?;
    let mut out = io::stdout().lock();
    for warning in loaded.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    match &loaded.file {
        Some(file) => writeln!(out, "{} can be used.", file.display())?,
        None => writeln!(out, "There is no configuration file; the defaults can be used.")?,
    }
    Ok(())
}

fn show(loaded: &Loaded, json: bool) -> anyhow::Result<()> {
    let row = |(key, value): (String, Option<String>)| {
        let source = loaded.source(&key).to_string();
        Row { key, value, source }
    };
    let rows: Vec<_> = loaded.config.values().into_iter().map(row).collect();
    if json {
        return table::print_json(&rows);
    }
    let rows: Vec<_> = rows.into_iter().map(|row| [row.key, row.value.unwrap_or_default(), row.source]).collect();
    Ok(table::print(["KEY", "VALUE", "FROM"], &rows)?)
}
