//! How messages leave this server, and what an address is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox;
use longshore_model::Secret;
use serde::{Deserialize, Serialize};

/// Longest address (RFC 5321 §4.5.3.1.3, without its brackets).
const ADDRESS_CHARS: usize = 254;

/// The mail server of the agency, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and when TLS begins.
    pub tls: MailTls,
    /// User and password, if it wants them.
    pub login: Option<(String, Secret)>,
    /// Whom messages come from.
    pub from: Sender,
    /// PEM file of the authority behind its certificate; without one, those that the system trusts.
    pub ca: Option<PathBuf>,
}

impl MailSettings {
    /// For people.
    pub(super) fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Of a mail server that nobody calls.
    #[cfg(test)]
    pub(crate) fn nobodys() -> Self {
        let from = "longshore@example.org".to_owned().try_into().unwrap();
        Self { host: "mail.example.org".into(), port: 25, tls: MailTls::None, login: None, from, ca: None }
    }
}

/// Whether and when TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// After a greeting without, and never left out.
    #[default]
    StartTls,
    /// From the first byte on.
    Implicit,
    /// Never.
    None,
}

/// Text that is no mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mail address; write one such as \"anna@example.org\", a name with other letters as xn--…")]
pub struct BadAddress(String);

/// A mail address: ASCII, so that every server takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(Address);

impl MailAddress {
    /// What stands behind the `@`.
    pub(super) fn domain(&self) -> &str {
        self.0.domain()
    }
}

impl FromStr for MailAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let plain = text.len() <= ADDRESS_CHARS && text.chars().all(|c| c.is_ascii_graphic());
        let address = text.parse::<Address>().ok().filter(|_| plain && !text.contains(['"', '<', '>', '\\']));
        address.map(Self).ok_or_else(|| BadAddress(text.to_owned()))
    }
}

impl TryFrom<String> for MailAddress {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.to_string()
    }
}

impl From<MailAddress> for Address {
    fn from(MailAddress(address): MailAddress) -> Self {
        address
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom messages come from: an address, perhaps with a name before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sender {
    /// Shown before the address.
    pub(super) name: Option<String>,
    /// The address.
    pub(super) email: MailAddress,
}

impl TryFrom<String> for Sender {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no sender; write \"longshore@example.org\" or \"Longshore <longshore@example.org>\"")
        };
        let Mailbox { name, email } = text.parse().map_err(|_| wrong())?;
        let email = email.to_string().parse().map_err(|_| wrong())?;
        let name = name.filter(|name| !name.is_empty());
        if text.chars().any(char::is_control) { Err(wrong()) } else { Ok(Self { name, email }) }
    }
}

impl From<Sender> for String {
    fn from(sender: Sender) -> Self {
        Mailbox::from(sender).to_string()
    }
}

impl From<Sender> for Mailbox {
    fn from(Sender { name, email }: Sender) -> Self {
        Self::new(name, email.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_server_takes_is_an_address() {
        for text in ["anna@example.org", "a.b+c@mail.example.org", "a@localhost", "a_b@xn--bcher-kva.example"] {
            assert_eq!(text.parse::<MailAddress>().unwrap().to_string(), text);
        }
        let long = format!("{}@example.org", "a".repeat(300));
        for text in [
            "",
            "anna",
            "@example.org",
            "anna@",
            "a b@example.org",
            "<anna@example.org>",
            "anna@example.org\r\nBcc: x@example.org",
            "anna@example.org>\r\nDATA",
            "\"a b\"@example.org",
            "änna@example.org",
            "anna@bücher.example",
            "a@b@c",
            "a,b@example.org",
            &long,
        ] {
            assert_eq!(text.parse::<MailAddress>(), Err(BadAddress(text.to_owned())));
        }
    }

    #[test]
    fn a_sender_has_an_address_and_perhaps_a_name() {
        for (text, same) in [
            ("longshore@example.org", "longshore@example.org"),
            ("Longshore <longshore@example.org>", "Longshore <longshore@example.org>"),
            ("\"North, yard\" <a@example.org>", "\"North, yard\" <a@example.org>"),
        ] {
            assert_eq!(String::from(Sender::try_from(text.to_owned()).unwrap()), same);
        }
        for text in ["", "Longshore", "Longshore <longshore>", "x\r\nBcc: b@c <a@example.org>"] {
            assert!(Sender::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
