//! Sites.

use std::io::{self, Write as _};

use clap::Subcommand;
use ipnet::IpNet;
use longshore_model::Site as Row;

use super::{Target, query, table};
use crate::http::operator::paths;

#[derive(Debug, Subcommand)]
pub(super) enum Site {
    /// Make a site, or give the one of that name other networks
    Add {
        /// Its name
        name: String,
        /// A network that devices call from when they are there, such as 10.1.0.0/16; may be given several times
        #[arg(long = "network", value_name = "CIDR", required = true)]
        networks: Vec<IpNet>,
        #[command(flatten)]
        target: Target,
    },
    /// Show the sites
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Remove a site that no dock and no device has as its own
    Remove {
        /// Name of the site
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Site {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { name, networks, target } => {
                let site: Row = target.client()?.post(paths::SITES, &Row { name, networks })?;
                if target.json {
                    return table::print_json(&site);
                }
                Ok(writeln!(io::stdout(), "{} is where devices call from {}.", site.name, networks_of(&site))?)
            }
            Self::List { target } => {
                let sites: Vec<Row> = target.client()?.get(paths::SITES)?;
                if target.json {
                    return table::print_json(&sites);
                }
                let rows: Vec<_> = sites.iter().map(|site| [site.name.clone(), networks_of(site)]).collect();
                Ok(table::print(["SITE", "NETWORKS"], &rows)?)
            }
            Self::Remove { name, target } => {
                target.client()?.delete(&query(paths::SITE, &[("name", &name)]))?;
                Ok(writeln!(io::stdout(), "The site {name} is removed.")?)
            }
        }
    }
}

fn networks_of(site: &Row) -> String {
    site.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
