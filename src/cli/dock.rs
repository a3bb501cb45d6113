//! Docks.

use std::io::{self, Write as _};

use clap::Subcommand;
use longshore_model::{Dock as Row, Mac};

use super::{Target, query, table};
use crate::http::operator::paths;

#[derive(Debug, Subcommand)]
pub(super) enum Dock {
    /// Make a dock, or give the one of that name other bays
    Add {
        /// Its name
        name: String,
        /// The hardware addresses of its bays in the order of its label: the first is bay 1
        #[arg(value_name = "MAC", required = true)]
        bays: Vec<Mac>,
        /// Where it stands
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Show the docks and their bays
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Remove a dock
    Remove {
        /// Name of the dock
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Dock {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { name, bays, site, target } => {
                let dock: Row = target.client()?.post(paths::DOCKS, &Row { name, site, bays })?;
                if target.json {
                    return table::print_json(&dock);
                }
                Ok(writeln!(io::stdout(), "{} has {} bays.", dock.name, dock.bays.len())?)
            }
            Self::List { target } => {
                let docks: Vec<Row> = target.client()?.get(paths::DOCKS)?;
                if target.json {
                    return table::print_json(&docks);
                }
                let bay = |dock: &Row, (number, bay): (usize, &Mac)| {
                    [dock.name.clone(), dock.site.clone().unwrap_or_default(), number.to_string(), bay.to_string()]
                };
                let of_dock =
                    |dock: &Row| (1..).zip(&dock.bays).map(|numbered| bay(dock, numbered)).collect::<Vec<_>>();
                let rows: Vec<_> = docks.iter().flat_map(of_dock).collect();
                Ok(table::print(["DOCK", "SITE", "BAY", "ADDRESS"], &rows)?)
            }
            Self::Remove { name, target } => {
                target.client()?.delete(&query(paths::DOCK, &[("name", &name)]))?;
                Ok(writeln!(io::stdout(), "The dock {name} is removed.")?)
            }
        }
    }
}
