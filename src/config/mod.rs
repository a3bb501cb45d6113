//! The configuration: one TOML file, overridden by the environment, overridden by the command line. `load` puts them
//! together; here is what comes out. The keys are the fields: nothing else lists them.

mod custody;
pub mod digest;
mod file;
pub mod load;
pub mod mail;
pub mod rate;
pub mod typed;
pub mod value;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use longshore_model::Timetable;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::certificate;

pub use custody::{Custody, Percent, TimeOfDay};
use digest::Digest;
pub use load::{Inputs, Loaded, Mistake, Mistakes, Source};
use mail::Mail;
use rate::StreamRate;
use value::{Account, Days, Filter, Floor, Mode, ServerUrl, Size};

/// `config/longshore.toml`: every key with its meaning, unit and default.
pub const COMMENTED: &str = include_str!("../../config/longshore.toml");

/// Every setting, with its default where nobody sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data folder.
    #[serde(deserialize_with = "value::path")]
    pub data: PathBuf,
    /// Where devices and people connect.
    pub server: Server,
    /// A certificate of the agency's own, for people and other programs.
    pub tls: Tls,
    /// Where recordings go, and who may read them there.
    pub storage: Storage,
    /// How fast devices may send.
    pub rates: Rates,
    /// How uploads may come.
    pub uploads: Uploads,
    /// What devices can do.
    pub devices: Devices,
    /// How messages leave this server.
    pub mail: Mail,
    /// What counts as trouble.
    pub health: Health,
    /// The daily mails.
    pub digest: Digest,
    /// How the server looks after what it stores.
    pub custody: Custody,
    /// Programs that are told what happens.
    pub webhooks: Webhooks,
    /// The index of the journal.
    pub index: Index,
    /// What is logged, and how.
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port of the listener; port 0 takes a free one.
    #[serde(deserialize_with = "value::address")]
    pub listen: SocketAddr,
    /// What devices are given; `None` is an address of this machine.
    pub url: Option<ServerUrl>,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and those between it and its authority.
    #[serde(deserialize_with = "value::optional_path")]
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(deserialize_with = "value::optional_path")]
    pub key: Option<PathBuf>,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Folder of the recordings; `None` is `storage` in the data folder.
    #[serde(deserialize_with = "value::optional_path")]
    pub path: Option<PathBuf>,
    /// Mode of each stored file.
    #[serde(deserialize_with = "value::file_mode")]
    pub file_mode: Mode,
    /// Mode of each folder of stored files.
    #[serde(deserialize_with = "value::folder_mode")]
    pub folder_mode: Mode,
    /// User to whom what is stored belongs; `None` is the server's.
    pub owner: Option<Account>,
    /// Group to which what is stored belongs; `None` is the server's.
    pub group: Option<Account>,
    /// Free space below which nothing is taken.
    pub floor: Floor,
    /// Whether a recording is read from the medium again before its receipt.
    pub read_back: Switch,
}

/// `[rates]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// All devices together.
    pub server: Timetable,
    /// A device with all its transfers.
    pub device: Timetable,
    /// A transfer.
    pub stream: StreamRate,
}

/// `[uploads]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uploads {
    /// Resumable uploads of the IETF, beside tus.
    pub ietf_draft: Switch,
}

/// `[devices]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Devices {
    /// File with models of devices, beside those of `config/models.toml`.
    #[serde(deserialize_with = "value::optional_path")]
    pub models: Option<PathBuf>,
}

/// `[health]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// File with types of health events, over those of `config/health.toml`.
    #[serde(deserialize_with = "value::optional_path")]
    pub types: Option<PathBuf>,
    /// A device that did not call for so long is reported.
    pub offline_after: Days,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Switch {
    /// On.
    #[default]
    #[serde(rename = "true")]
    On,
    /// Off.
    #[serde(rename = "false")]
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// File that names them.
    #[serde(deserialize_with = "value::optional_path")]
    pub file: Option<PathBuf>,
}

/// `[index]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Index {
    /// Memory for the index.
    #[serde(deserialize_with = "value::cache")]
    pub cache: Size,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub filter: Filter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "longshore-data".into(),
            server: Server::default(),
            tls: Tls::default(),
            storage: Storage::default(),
            rates: Rates::default(),
            uploads: Uploads::default(),
            devices: Devices::default(),
            mail: Mail::default(),
            health: Health::default(),
            digest: Digest::default(),
            custody: Custody::default(),
            webhooks: Webhooks::default(),
            index: Index::default(),
            log: Log::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 5004), url: None }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: None,
            file_mode: Mode(0o640),
            folder_mode: Mode(0o750),
            owner: None,
            group: None,
            floor: Floor::Auto,
            read_back: Switch::On,
        }
    }
}

impl Default for Health {
    /// A week: longer than the days off between two runs of shifts.
    fn default() -> Self {
        Self { types: None, offline_after: Days(7) }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { cache: Size(64 * 1024 * 1024) }
    }
}

impl Config {
    /// Each key with its value as text; `None` where it is not set and has no default.
    pub fn values(&self) -> BTreeMap<String, Option<String>> {
        let mut values = BTreeMap::new();
        // It cannot fail: there are only strings and maps with string keys in it, and every path came from text.
        flatten("", &serde_json::to_value(self).unwrap_or_default(), &mut values);
        values
    }

    /// The folder of the recordings.
    pub fn storage_folder(&self) -> PathBuf {
        self.storage.path.clone().unwrap_or_else(|| self.data.join("storage"))
    }

    /// Keys whose values differ.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let others = other.values();
        self.values().into_iter().filter(|(key, value)| others.get(key) != Some(value)).map(|(key, _)| key).collect()
    }

    /// What counts after a reload: of `new` what can change while the server runs, of `self` what needs a restart.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        Self {
            server: Server { url: new.server.url.clone(), ..self.server.clone() },
            tls: new.tls.clone(),
            rates: new.rates.clone(),
            devices: new.devices.clone(),
            mail: new.mail.clone(),
            digest: new.digest.clone(),
            webhooks: new.webhooks.clone(),
            log: Log { filter: new.log.filter.clone(), ..self.log.clone() },
            ..self.clone()
        }
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |key: &str, text: String| warnings.push(format!("{key}: {text}"));
        if let Some(url) = &self.server.url {
            if url.is_local() {
                warn(
                    "server.url",
                    format!("{url} reaches this machine only from itself; give the address or name that devices use"),
                );
            }
            if let Some(name) = url.name().filter(|name| certificate::covers(&self.tls, name)) {
                warn(
                    "server.url",
                    format!(
                        "devices that send the name {name} see tls.cert there and not the key that they pin; give them an address, or another name"
                    ),
                );
            }
            let listening = self.server.listen.port();
            if listening != 0 && url.port() != listening {
                warn(
                    "server.url",
                    format!(
                        "{url} has port {}, the server listens on {listening}: right only if something forwards it",
                        url.port()
                    ),
                );
            }
        }
        if self.mail.lacks_password() {
            let file = "LONGSHORE__MAIL__PASSWORD_FILE";
            warn(
                "mail.user",
                format!("without mail.password, or the variable {file}, the server sends without a login"),
            );
        }
        let Storage { file_mode, folder_mode, floor, read_back, .. } = &self.storage;
        for (key, mode) in [("storage.file_mode", file_mode), ("storage.folder_mode", folder_mode)] {
            if mode.is_writable_by_others() {
                warn(key, format!("{mode} lets others than the server change or remove recordings"));
            }
        }
        if *floor == Floor::Free(Size(0)) {
            warn("storage.floor", "0 lets recordings fill the disk to its end".to_owned());
        }
        if self.custody.share == Percent(0) {
            warn("custody.share", "with 0 no stored recording is ever read again".to_owned());
        }
        if !read_back.is_on() {
            warn("storage.read_back", "devices delete what the disk says it wrote, and nobody has looked".to_owned());
        }
        if self.digest.is_set_up() && self.mail.host.is_none() {
            warn("digest", "nothing is sent without mail.host, the name of the mail server".to_owned());
        }
        warnings
    }
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, Option<String>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, into);
            }
        }
        Value::String(text) => drop(into.insert(prefix.to_owned(), Some(text.clone()))),
        _ => drop(into.insert(prefix.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests;
