//! Sites.

use std::io::{self, Write as _};

use clap::Subcommand;
use ipnet::IpNet;
use longshore_model::{Site as Row, Timetable};

use super::{Target, query, table};
use crate::http::operator::{SiteBody, paths};

#[derive(Debug, Subcommand)]
pub(super) enum Site {
    /// Make a site, or give the one of that name other networks or another rate
    Add {
        /// Its name
        name: String,
        /// A network that devices call from when they are there, such as 10.1.0.0/16; may be given several times
        #[arg(long = "network", value_name = "CIDR", required_unless_present = "rate")]
        networks: Option<Vec<IpNet>>,
        /// What all devices that are there may send together, such as "unlimited, 07:00-19:00 50 Mbit/s"; "unlimited" takes it away
        #[arg(long, value_name = "RATE", value_parser = |text: &str| Timetable::try_from(text.to_owned()))]
        rate: Option<Timetable>,
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
            Self::Add { name, networks, rate, target } => {
                let site: Row = target.client()?.post(paths::SITES, &SiteBody { name, networks, rate })?;
                if target.json {
                    return table::print_json(&site);
                }
                let bound = match site.rate.is_unlimited() {
                    true => String::new(),
                    false => format!("; together they may send {}", site.rate),
                };
                Ok(writeln!(io::stdout(), "{} is where devices call from {}{bound}.", site.name, networks_of(&site))?)
            }
            Self::List { target } => {
                let sites: Vec<Row> = target.client()?.get(paths::SITES)?;
                if target.json {
                    return table::print_json(&sites);
                }
                let cells = |site: &Row| [site.name.clone(), networks_of(site), site.rate.to_string()];
                let rows: Vec<_> = sites.iter().map(cells).collect();
                Ok(table::print(["SITE", "NETWORKS", "RATE"], &rows)?)
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
