use std::collections::BTreeMap;
use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Subcommand;
use longshore_model::{DeviceModel, DeviceModels};

use super::{Target, table};
use crate::http::operator::paths;

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// List the models of devices that are known, and what they can do; `?` is not known
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show all that is known of a model
    Show {
        /// Name of the model, such as BC4
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Model {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { target } => list(&target),
            Self::Show { name, target } => show(&name, &target),
        }
    }
}

fn list(target: &Target) -> anyhow::Result<()> {
    let models: DeviceModels = target.client()?.get(paths::MODELS)?;
    if target.json {
        return table::print_json(&models);
    }
    let rows: Vec<_> = models.iter().map(|(name, model)| cells(name, model)).collect();
    let head = ["MODEL", "KIND", "HEALTH", "LIVE", "WI-FI", "WPA2-ENTERPRISE", "ADDRESSES", "TRANSFER"];
    Ok(table::print(head, &rows)?)
}

fn cells(name: &str, model: &DeviceModel) -> [String; 8] {
    let unknown = || "?".to_owned();
    let is = |can: Option<bool>| can.map_or_else(unknown, |can| if can { "yes" } else { "no" }.to_owned());
    let joined = |words: Vec<String>| words.join(", ");
    [
        name.to_owned(),
        model.kind.map_or_else(unknown, |kind| kind.to_string().replace('_', " ")),
        is(model.health),
        is(model.live),
        model.wifi.as_ref().map_or_else(unknown, |wifi| joined(wifi.bands.iter().map(ToString::to_string).collect())),
        is(model.wpa2_enterprise),
        model.addressing.as_ref().map_or_else(unknown, |ways| joined(ways.iter().map(ToString::to_string).collect())),
        model.stream_rate.to_string(),
    ]
}

fn show(name: &str, target: &Target) -> anyhow::Result<()> {
    let models: DeviceModels = target.client()?.get(paths::MODELS)?;
    let model = models.get(name).with_context(|| {
        let names: Vec<_> = models.iter().map(|(name, _)| name).collect();
        format!(
            "the model {name} is not known: its devices are taken all the same, and nothing is promised or refused; known are {}",
            names.join(", ")
        )
    })?;
    if target.json {
        return table::print_json(model);
    }
    // As an operator would write it into a file of their own.
    let table = toml::to_string(&BTreeMap::from([(name.trim(), model)]))?;
    Ok(io::stdout().lock().write_all(table.as_bytes())?)
}
