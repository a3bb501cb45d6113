//! `[mail]`: how messages leave this server.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use longshore_actors::{MailSettings, MailTls, Sender};
use longshore_model::{Complaint, Secret};
use serde::{Deserialize, Serialize};
use url::Host;

use super::value;

/// `[mail]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The mail server; without one nothing is sent.
    pub host: Option<MailHost>,
    /// Its port; without one, the usual of `tls`.
    pub port: Option<Port>,
    /// Whether and when TLS begins.
    pub tls: MailTls,
    /// For a server that wants a login.
    pub user: Option<String>,
    /// The same.
    pub password: Option<Password>,
    /// Whom messages come from.
    pub from: Option<Sender>,
    /// PEM file of the authority behind the server's certificate.
    #[serde(deserialize_with = "value::optional_path")]
    pub ca: Option<PathBuf>,
}

impl Mail {
    /// For the engine; `None`: nothing is sent.
    pub fn settings(&self) -> Option<MailSettings> {
        let (host, from) = self.host.clone().zip(self.from.clone())?;
        let usual = match self.tls {
            MailTls::StartTls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        let port = self.port.map_or(usual, |Port(port)| port);
        let login = self.user.clone().zip(self.password.clone().map(|Password(secret)| secret));
        Some(MailSettings { host: host.0, port, tls: self.tls, login, from, ca: self.ca.clone() })
    }

    /// Whether there is a user and no password. It may be in the environment of the service alone, and other commands read
    /// the same file.
    pub(super) fn lacks_password(&self) -> bool {
        self.user.is_some() && self.password.is_none()
    }

    /// What cannot work together.
    pub(super) fn contradictions(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |key: &str, what: &str| {
            complaints.push(Complaint { key: format!("mail.{key}"), what: what.to_owned() });
        };
        let set = [
            ("from", self.from.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("ca", self.ca.is_some()),
        ];
        let Some(host) = &self.host else {
            for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                complain(key, "is of no use without mail.host, the name of the mail server");
            }
            return complaints;
        };
        if self.from.is_none() {
            complain("host", "messages need a sender: set mail.from, such as \"Longshore <longshore@example.org>\"");
        }
        match (&self.user, &self.password) {
            (None, Some(_)) => complain("password", "the login needs a user too: set mail.user"),
            (Some(_), Some(_)) if self.tls == MailTls::None && !host.is_local() => {
                complain(
                    "tls",
                    "without TLS everybody on the way could read the password; set it to starttls or implicit",
                );
            }
            _ => {}
        }
        complaints
    }
}

/// Name or address of a mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailHost(String);

impl MailHost {
    /// Whether what is said to it leaves the machine.
    fn is_local(&self) -> bool {
        self.0 == "localhost" || self.0.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl TryFrom<String> for MailHost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let right = text.parse::<IpAddr>().is_ok() || Host::parse(&text).is_ok_and(|host| host.to_string() == text);
        if right {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is no name of a machine; write one such as \"mail.example.org\", its port in mail.port"))
    }
}

impl fmt::Display for MailHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Port of another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Port(u16);

impl TryFrom<String> for Port {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let port = text.parse().ok().filter(|port| *port != 0);
        port.map(Self).ok_or_else(|| format!("{text:?} is no port; write a number from 1 to 65535"))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A password. It is shown nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Password(Secret);

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Self(Secret::from(text.as_str()))) }
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<MailHost> for String {
    fn from(MailHost(host): MailHost) -> Self {
        host
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.to_string()
    }
}

impl From<Password> for String {
    fn from(password: Password) -> Self {
        password.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(json: serde_json::Value) -> Mail {
        serde_json::from_value(json).unwrap()
    }

    fn complaints(json: serde_json::Value) -> Vec<String> {
        mail(json).contradictions().into_iter().map(|complaint| complaint.key).collect()
    }

    #[test]
    fn the_port_follows_from_how_tls_begins() {
        for (tls, port) in [("starttls", 587), ("implicit", 465), ("none", 25)] {
            let settings = mail(serde_json::json!({"host": "mail.example.org", "from": "a@example.org", "tls": tls}));
            assert_eq!(settings.settings().unwrap().port, port);
        }
        assert_eq!(Mail::default().settings(), None);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let sender = "a@example.org";
        assert_eq!(complaints(serde_json::json!({"host": "mail.example.org"})), ["mail.host"]);
        assert_eq!(complaints(serde_json::json!({"from": sender, "user": "u"})), ["mail.from", "mail.user"]);
        let half = serde_json::json!({"host": "m.example", "from": sender, "user": "u"});
        assert!(mail(half.clone()).lacks_password() && complaints(half).is_empty());
        assert_eq!(
            complaints(serde_json::json!({"host": "m.example", "from": sender, "password": "p"})),
            ["mail.password"]
        );
        let login =
            |host: &str| serde_json::json!({"host": host, "from": sender, "user": "u", "password": "p", "tls": "none"});
        assert_eq!(complaints(login("mail.example.org")), ["mail.tls"]);
        assert!(complaints(login("127.0.0.1")).is_empty());
        assert!(complaints(serde_json::json!({})).is_empty());
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for text in ["mail.example.org", "localhost", "192.0.2.1", "2001:db8::1"] {
            assert!(MailHost::try_from(text.to_owned()).is_ok(), "{text}");
        }
        for text in ["", "mail.example.org:25", "smtp://mail.example.org", "a b", "mail.example.org/", "a\r\nb"] {
            assert!(MailHost::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["0", "65536", "smtp", ""] {
            assert!(Port::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let mail =
            mail(serde_json::json!({"host": "m.example", "from": "a@example.org", "user": "u", "password": "hush"}));
        let shown = format!("{mail:?} {} {:?}", serde_json::to_string(&mail).unwrap(), mail.settings());
        assert!(!shown.contains("hush") && shown.contains("***"), "{shown}");
        let settings = mail.settings().unwrap();
        assert_eq!(settings.login.unwrap().1.reveal(), "hush");
    }
}
