use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use longshore_model::{Complaint, DeviceModels, Profile as Version, ProfileName, Settings, Suits};

use super::{ConfigFile, Target, table};
use crate::config::typed::{self, Written};
use crate::http::operator::{
    AppliedProfile, ApplyProfileBody, AssignGroupProfileBody, AssignProfileBody, AssignedGroupProfile, AssignedProfile,
    ProfileRow, RevertProfileBody, paths, schema_of_settings,
};
use crate::models;

/// How moments are shown.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";

#[derive(Debug, Subcommand)]
pub(super) enum Profile {
    /// Make a config profile of a file, or a new version of one; its devices are told at once
    Apply {
        /// TOML file; config/profiles/default.toml tells every setting
        file: PathBuf,
        /// Name of the profile [default: the file's name without its ending]
        #[arg(long)]
        name: Option<ProfileName>,
        /// What it is for
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List the config profiles, and how many devices have each
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Print a config profile as a file; passwords are shown as ***, which keeps them when the file is applied
    Show {
        /// Name of the profile
        name: String,
        /// An earlier version of it
        #[arg(long)]
        version: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Make a new version of a config profile that sets what an earlier one did, with its passwords
    Revert {
        /// Name of the profile
        name: String,
        /// The version that it is to be again
        version: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Say what is wrong with a file, and which models can do what it sets; needs no server
    Check {
        /// TOML file
        file: PathBuf,
        /// Say it of this model alone; exit status 1 if it can't
        #[arg(long)]
        model: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Give a device another config profile
    Assign {
        /// Serial of the device
        serial: String,
        /// Name of the profile
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Let a label give a config profile to the devices that carry it, now and later, and have none of their own
    AssignLabel {
        /// The label
        label: String,
        /// Name of the profile; `default` takes away what the label gives
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show who made which version of a config profile, and when
    History {
        /// Name of the profile
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Print the JSON Schema of what a config profile sets, for editors and programs; needs no server
    Schema,
}

impl Profile {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Apply { file, name, note, target } => apply(&file, name, note, &target),
            Self::List { target } => list(&target),
            Self::Show { name, version, target } => show(&name, version, &target),
            Self::Revert { name, version, target } => {
                let body = RevertProfileBody { profile: name, version };
                tell(&target.client()?.post(paths::PROFILE_REVERSIONS, &body)?, &target)
            }
            Self::Check { file, model, config } => check(&file, model.as_deref(), &config),
            Self::Assign { serial, name, target } => assign(serial, name, &target),
            Self::AssignLabel { label, name, target } => assign_label(label, name, &target),
            Self::History { name, target } => history(&name, &target),
            Self::Schema => table::print_json(&schema_of_settings()),
        }
    }
}

/// Reads a file, with every mistake that needs neither a server nor a model to be seen.
fn read(file: &Path) -> anyhow::Result<Written<Settings>> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let wrong: Vec<_> = match typed::read::<Settings>(file, &text) {
        Ok(written) => {
            let wrong = written.value.mistakes();
            if wrong.is_empty() {
                return Ok(written);
            }
            wrong.into_iter().map(|complaint| written.mistake(complaint)).collect()
        }
        Err(mistakes) => mistakes,
    };
    match &wrong[..] {
        [only] => Err(anyhow!("{only}")),
        several => {
            let lines: String = several.iter().map(|mistake| format!("\n  {mistake}")).collect();
            bail!("the profile has {} mistakes{lines}", several.len())
        }
    }
}

fn apply(file: &Path, name: Option<ProfileName>, note: Option<String>, target: &Target) -> anyhow::Result<()> {
    let settings = read(file)?.value;
    let of_file = || -> anyhow::Result<ProfileName> {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        stem.parse().map_err(|why: String| anyhow!("{why}; name the profile with --name"))
    };
    let name = name.map_or_else(of_file, Ok)?;
    let body = ApplyProfileBody { name, note, settings };
    tell(&target.client()?.post(paths::PROFILES, &body)?, target)
}

fn tell(applied: &AppliedProfile, target: &Target) -> anyhow::Result<()> {
    warn(&applied.warnings);
    if target.json {
        return table::print_json(applied);
    }
    let Version { name, version, .. } = &applied.profile;
    let mut out = io::stdout();
    if applied.is_new {
        writeln!(out, "{name} has version {version} now; {} devices are set to it.", applied.devices)?;
    } else {
        writeln!(out, "{name} says that already; it stays at version {version}.")?;
    }
    Ok(())
}

fn warn(warnings: &[Complaint]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

fn list(target: &Target) -> anyhow::Result<()> {
    let rows: Vec<ProfileRow> = target.client()?.get(paths::PROFILES)?;
    if target.json {
        return table::print_json(&rows);
    }
    let cells = |ProfileRow { profile, devices, groups }: ProfileRow| {
        let Version { name, version, note, by, at, .. } = profile;
        let since = at.map(|at| at.format(MOMENT).to_string()).unwrap_or_default();
        let by = by.unwrap_or_default();
        let (devices, groups) = (devices.to_string(), groups.join(", "));
        [name.to_string(), version.to_string(), devices, groups, since, by, note.unwrap_or_default()]
    };
    let rows: Vec<_> = rows.into_iter().map(cells).collect();
    Ok(table::print(["PROFILE", "VERSION", "DEVICES", "LABELS", "SINCE", "BY", "NOTE"], &rows)?)
}

fn of(path: &str, name: &str, version: Option<u32>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", name);
    if let Some(version) = version {
        query.append_pair("version", &version.to_string());
    }
    format!("{path}?{}", query.finish())
}

fn show(name: &str, version: Option<u32>, target: &Target) -> anyhow::Result<()> {
    let earlier = version;
    let profile: Version = target.client()?.get(&of(paths::PROFILE, name, version))?;
    if target.json {
        return table::print_json(&profile);
    }
    let Version { name, version, note, settings, by, at } = profile;
    let mut out = io::stdout().lock();
    let by = by.map(|by| format!(", by {by}")).unwrap_or_default();
    let at = at.map(|at| format!(", {}", at.format(MOMENT))).unwrap_or_default();
    writeln!(out, "# {name}, version {version}{by}{at}")?;
    if let Some(note) = note {
        writeln!(out, "# {note}")?;
    }
    if earlier.is_some() && !settings.wifi.is_empty() {
        // Where this is applied, *** keeps the newest password.
        writeln!(
            out,
            "# `longshore profile revert {name} {version}` goes back to this version with its own passwords."
        )?;
    }
    out.write_all(toml::to_string(&settings)?.as_bytes())?;
    Ok(out.flush()?)
}

fn check(file: &Path, model: Option<&str>, config: &ConfigFile) -> anyhow::Result<()> {
    let written = read(file)?;
    let models = models::load(&config.inputs().load()?.config.devices)?;
    let mut out = io::stdout().lock();
    if let Some(name) = model {
        let Suits { refused, warnings } = written.value.suit(name, models.get(name));
        warn(&warnings);
        if !refused.is_empty() {
            let lines: String = refused.into_iter().map(|it| format!("\n  {}", written.mistake(it))).collect();
            bail!("{name} cannot do what {} sets{lines}", file.display());
        }
        writeln!(out, "{name} can do what {} sets.", file.display())?;
        return Ok(());
    }
    let (can, cannot) = who_can(&written.value, &models);
    writeln!(
        out,
        "{} is right. Can do it: {}.",
        file.display(),
        if can.is_empty() { "none".to_owned() } else { can.join(", ") }
    )?;
    for (name, refused) in cannot {
        writeln!(out, "{name} can't:")?;
        for complaint in refused {
            writeln!(out, "  {}", written.mistake(complaint))?;
        }
    }
    Ok(out.flush()?)
}

type Refused<'a> = Vec<(&'a str, Vec<Complaint>)>;

fn who_can<'a>(settings: &Settings, models: &'a DeviceModels) -> (Vec<&'a str>, Refused<'a>) {
    let (mut can, mut cannot) = (Vec::new(), Vec::new());
    for (name, model) in models.iter() {
        let Suits { refused, .. } = settings.suit(name, Some(model));
        if refused.is_empty() { can.push(name) } else { cannot.push((name, refused)) }
    }
    (can, cannot)
}

fn assign(serial: String, profile: String, target: &Target) -> anyhow::Result<()> {
    let body = AssignProfileBody { serial, profile };
    let assigned: AssignedProfile = target.client()?.post(paths::PROFILE_ASSIGNMENTS, &body)?;
    warn(&assigned.warnings);
    if target.json {
        return table::print_json(&assigned);
    }
    let (device, profile) = (assigned.device, body.profile);
    writeln!(io::stdout(), "{} {} has the profile {profile} now.", device.model, device.serial)?;
    Ok(())
}

fn assign_label(group: String, profile: String, target: &Target) -> anyhow::Result<()> {
    let body = AssignGroupProfileBody { group, profile };
    let assigned: AssignedGroupProfile = target.client()?.post(paths::PROFILE_GROUP_ASSIGNMENTS, &body)?;
    warn(&assigned.warnings);
    if target.json {
        return table::print_json(&assigned);
    }
    let AssignedGroupProfile { group, profile, devices, .. } = assigned;
    writeln!(
        io::stdout(),
        "The label {group} gives the profile {profile} now; {devices} devices are set to another by that."
    )?;
    Ok(())
}

fn history(name: &str, target: &Target) -> anyhow::Result<()> {
    let versions: Vec<Version> = target.client()?.get(&of(paths::PROFILE_VERSIONS, name, None))?;
    if target.json {
        return table::print_json(&versions);
    }
    let cells = |Version { version, note, by, at, .. }: Version| {
        let at = at.map(|at| at.format(MOMENT).to_string()).unwrap_or_default();
        [version.to_string(), at, by.unwrap_or_default(), note.unwrap_or_default()]
    };
    let rows: Vec<_> = versions.into_iter().map(cells).collect();
    Ok(table::print(["VERSION", "WHEN", "BY", "NOTE"], &rows)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const COMMENTED: &str = include_str!("../../config/profiles/default.toml");

    /// The keys of settings as JSON, without the numbers of elements.
    fn keys_of(prefix: &str, value: &Value, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    keys_of(&format!("{prefix}.{name}"), value, keys);
                }
            }
            Value::Array(elements) if elements.iter().all(Value::is_object) => {
                elements.iter().for_each(|element| keys_of(prefix, element, keys));
            }
            _ => drop(keys.insert(prefix.to_owned())),
        }
    }

    /// The keys that a schema knows.
    fn keys_in_schema(prefix: &str, schema: &Value, root: &Value, keys: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return keys_in_schema(prefix, root.pointer(name.trim_start_matches('#')).unwrap(), root, keys);
        }
        if let Some(properties) = schema["properties"].as_object() {
            for (name, of_it) in properties {
                keys_in_schema(&format!("{prefix}.{name}"), of_it, root, keys);
            }
        } else if schema["items"]["$ref"].as_str().is_some_and(|name| name.ends_with("WifiNetwork")) {
            keys_in_schema(prefix, &schema["items"], root, keys);
        } else {
            keys.insert(prefix.to_owned());
        }
    }

    #[test]
    fn the_commented_profile_is_the_one_that_every_server_has() {
        let read = typed::read::<Settings>(Path::new("default.toml"), COMMENTED).unwrap();
        assert_eq!(read.value, longshore_model::BuiltIn::profile().settings);
    }

    #[test]
    fn the_commented_profile_shows_every_setting() {
        let uncommented = COMMENTED.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|first: char| !first.is_whitespace()) => rest,
            _ => line,
        });
        let text = uncommented.collect::<Vec<_>>().join("\n");
        let settings = typed::read::<Settings>(Path::new("default.toml"), &text).unwrap().value;
        let (mut shown, mut known) = (BTreeSet::new(), BTreeSet::new());
        keys_of("", &serde_json::to_value(settings).unwrap(), &mut shown);
        let schema = serde_json::to_value(schema_of_settings()).unwrap();
        keys_in_schema("", &schema, &schema, &mut known);
        assert_eq!(shown, known);
        assert!(known.contains(".wifi.band") && known.contains(".video.resolution"), "{known:?}");
    }
}
