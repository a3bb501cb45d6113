//! Values of settings. Each is read from text, whether it stands in the file, in a variable or on the command line, and
//! says itself what would be right.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use bytesize::ByteSize;
use nix::unistd::{Group, User};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use super::digest::{Addresses, SendTime, Sites, Zone};
use super::rate::StreamRate;

/// With less the index would read from the disk all the time.
const CACHE_LEAST: Size = Size(1 << 20);

/// A number of bytes, such as `64 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let size = text.parse::<ByteSize>();
        size.map(|size| Self(size.as_u64())).map_err(|_| format!("{text:?} is no size; write one such as \"10 GiB\""))
    }
}

impl fmt::Display for Size {
    /// In the largest unit in which it is a whole number, so that nothing is rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(bits, _)| self.0 != 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => write!(f, "{} {unit}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A number of days, such as `7 days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(pub u16);

impl TryFrom<String> for Days {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number =
            text.strip_suffix("days").or_else(|| text.strip_suffix("day")).and_then(|text| text.trim().parse().ok());
        let days = number.filter(|days| (1..=366).contains(days));
        days.map(Self)
            .ok_or_else(|| format!("{text:?} is no number of days from 1 to 366; write one such as \"7 days\""))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = if self.0 == 1 { "day" } else { "days" };
        write!(f, "{} {days}", self.0)
    }
}

/// Free space below which nothing is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Floor {
    /// By the size of the disk.
    Auto,
    /// This much.
    Free(Size),
}

impl From<Floor> for longshore_actors::Floor {
    fn from(floor: Floor) -> Self {
        match floor {
            Floor::Auto => Self::Auto,
            Floor::Free(Size(bytes)) => Self::Bytes(bytes),
        }
    }
}

impl TryFrom<String> for Floor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let wrong = |_| format!("{text:?} is no floor; write \"auto\" or a size such as \"10 GiB\"");
        Size::try_from(text.clone()).map(Self::Free).map_err(wrong)
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Free(size) => size.fmt(f),
        }
    }
}

/// Permissions of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(pub u32);

impl Mode {
    /// Whether the group or everyone may write.
    pub(super) fn is_writable_by_others(self) -> bool {
        self.0 & 0o022 != 0
    }

    /// Without these bits the server could not work with what it made.
    fn with_at_least(self, needed: u32, example: &str) -> Result<Self, String> {
        if self.0 & needed == needed {
            return Ok(self);
        }
        Err(format!("with {self} the server itself could not use them; the least is 0{needed:o}, usual is {example}"))
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Without the leading zero it may have been meant as decimal.
        let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3 && !digits.contains('+'));
        let mode = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
        mode.map(Self)
            .ok_or_else(|| format!("{text:?} is no mode; write four octal digits in quotes, such as \"0640\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A user or a group of the operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Account {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

impl TryFrom<String> for Account {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Id).map_err(|_| format!("{text} is larger than any id"));
        }
        let name = !text.is_empty() && !text.contains([':', '/', ',']) && !text.contains(char::is_whitespace);
        if name { Ok(Self::Name(text)) } else { Err(format!("{text:?} is neither a name nor a number")) }
    }
}

impl Account {
    /// The id of this user.
    ///
    /// # Errors
    /// When the machine knows no such user.
    pub fn user_id(&self) -> anyhow::Result<u32> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => match User::from_name(name)? {
                Some(user) => Ok(user.uid.as_raw()),
                None => bail!("storage.owner: this machine has no user {name}; make it, or name another"),
            },
        }
    }

    /// The id of this group.
    ///
    /// # Errors
    /// When the machine knows no such group.
    pub fn group_id(&self) -> anyhow::Result<u32> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => match Group::from_name(name)? {
                Some(group) => Ok(group.gid.as_raw()),
                None => bail!("storage.group: this machine has no group {name}; make it, or name another"),
            },
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Where devices find this server: `https`, a host, perhaps a port, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// The port that devices call.
    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// The name in it, if it is not an address.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.domain()
    }

    /// Whether it means the machine itself, wherever it is read.
    pub(super) fn is_local(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => false,
        }
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} {why}; write one such as \"https://cameras.example.org:5004\"");
        let url = Url::parse(&text).map_err(|error| wrong(&format!("is no URL: {error}")))?;
        if url.scheme() != "https" {
            return Err(wrong("does not begin with https://"));
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has more than a host and a port"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// What is logged: levels, for all or by target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(String);

impl Filter {
    /// For the subscriber.
    pub(crate) fn for_tracing(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for Filter {
    /// sled and the HTTP server tell of their inner life at `info`, and the protocol's part of it calls whatever a client
    /// does wrong an error: anyone could fill the log.
    fn default() -> Self {
        Self("info,sled=warn,actix_server=warn,actix_http=off".to_owned())
    }
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let right = "write off, error, warn, info, debug or trace, or these by target: \"info,sled=warn\"";
        // A lone word that is no level would be taken for a target, and a typing error would silence everything else.
        let stray = text
            .split(',')
            .map(str::trim)
            .find(|part| !part.contains(['=', '[']) && !levels.contains(&part.to_ascii_lowercase().as_str()));
        if let Some(stray) = stray {
            return Err(format!("{stray:?} is no level; {right}"));
        }
        match EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("{text:?} is no filter: {error}; {right}")),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! as_text {
    ($($type:ty)*) => {$(
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
as_text!(Size Days Floor Mode Account ServerUrl Filter StreamRate Addresses SendTime Zone Sites);

pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("it is empty; write the path of a folder")) } else { Ok(text.into()) }
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| D::Error::custom(format!("{text:?} is no address with a port; write one such as \"0.0.0.0:5004\""));
    text.parse().map_err(wrong)
}

pub(super) fn file_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    Mode::deserialize(deserializer)?.with_at_least(0o600, "0640").map_err(D::Error::custom)
}

pub(super) fn folder_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    Mode::deserialize(deserializer)?.with_at_least(0o700, "0750").map_err(D::Error::custom)
}

pub(super) fn cache<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    if size < CACHE_LEAST {
        Err(D::Error::custom(format!("{size} is too little; the least is {CACHE_LEAST}")))
    } else {
        Ok(size)
    }
}

#[cfg(test)]
mod tests;
