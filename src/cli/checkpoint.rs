//! Signed places of the journal.

use std::io::{self, Write as _};

use clap::Subcommand;
use longshore_store::custody::Checkpoint as Signed;

use super::device::MOMENT;
use super::{Target, table};
use crate::http::operator::paths;

#[derive(Debug, Subcommand)]
pub(super) enum Checkpoint {
    /// List them, oldest first: one a day, and those that people made
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Sign how far the journal goes now, unless nothing came since it was signed last
    ///
    /// Whoever keeps the text that this prints can prove later, with `longshore verify checkpoint`, that nothing before it was
    /// changed.
    Make {
        #[command(flatten)]
        target: Target,
    },
}

impl Checkpoint {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { target } => {
                let checkpoints: Vec<Signed> = target.client()?.get(paths::CHECKPOINTS)?;
                if target.json {
                    return table::print_json(&checkpoints);
                }
                let Some(newest) = checkpoints.last() else {
                    writeln!(io::stdout(), "None was signed yet: one is each day, or by `longshore checkpoint make`.")?;
                    return Ok(());
                };
                let cells = |checkpoint: &Signed| {
                    let when = checkpoint.at.format(MOMENT).to_string();
                    [checkpoint.position.to_string(), when, checkpoint.hash.to_string()]
                };
                let rows: Vec<_> = checkpoints.iter().map(cells).collect();
                table::print(["UP TO LINE", "SIGNED", "CHAIN HASH"], &rows)?;
                writeln!(io::stdout(), "\nThe server's id, which is the fingerprint of its key: {}", newest.server)?;
                Ok(())
            }
            Self::Make { target } => {
                let checkpoint: Signed = target.client()?.post(paths::CHECKPOINTS, &serde_json::json!({}))?;
                if target.json {
                    return table::print_json(&checkpoint);
                }
                let Signed { position, at, server, signed, .. } = &checkpoint;
                let mut out = io::stdout().lock();
                writeln!(out, "Up to line {position}, signed {} by the server {server}:", at.format(MOMENT))?;
                writeln!(out, "{signed}")?;
                Ok(out.flush()?)
            }
        }
    }
}
