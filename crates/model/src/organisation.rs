//! Who may log in, and which places there are: accounts, sites, docks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Sha256, Timetable, TokenId};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees devices and recordings.
    Viewer,
    /// A viewer who asks for footage too.
    Requester,
    /// A requester who enrols and looks after devices too.
    DeviceAdmin,
    /// May do everything.
    Admin,
    /// Sees everything, the audit log too, and changes nothing.
    Auditor,
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is viewer, requester, device-admin, admin or auditor")]
pub struct UnknownRole;

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Requester => "requester",
            Self::DeviceAdmin => "device-admin",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Viewer, Self::Requester, Self::DeviceAdmin, Self::Admin, Self::Auditor]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// A login of a person or a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it logs in with, and what stands in the audit log: it is given once, and never again to somebody else.
    pub name: String,
    /// Where mail to it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Of its password, argon2id in the PHC string format; without one it works by its tokens alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// For programs, and for the command line of another computer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<ApiToken>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was removed; its name stays with what it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<DateTime<Utc>>,
}

/// A token for the JSON API; the secret itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// By which people tell it from others.
    pub id: TokenId,
    /// What it is for, in the words of who made it.
    pub label: String,
    /// SHA-256 of the token as the client sends it.
    pub hash: Sha256,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
    /// The account got it itself, for its password: it ends with that password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_password: bool,
}

/// A place with docks or with a yard's Wi-Fi.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Networks that devices call from when they are there, as the server sees their addresses.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub networks: Vec<IpNet>,
    /// What all devices that are there may send together.
    #[serde(default, skip_serializing_if = "Timetable::is_unlimited")]
    pub rate: Timetable,
}

/// A dock. It has no address of its own; each of its bays has one, listed on its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dock {
    /// Its name.
    pub name: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The bays' addresses in the order of the label: the first is bay 1.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub bays: Vec<Mac>,
}

/// The site whose network `address` is in; of several, the one with the smallest network.
pub fn present_site(sites: &[Site], address: IpAddr) -> Option<&Site> {
    let address = address.to_canonical();
    let networks = sites.iter().flat_map(|site| site.networks.iter().map(move |network| (network, site)));
    let around = networks.filter(|(network, _)| network.contains(&address));
    around.max_by_key(|(network, _)| network.prefix_len()).map(|(_, site)| site)
}

/// The dock that has a bay with this address, and the bay's number, from 1.
pub fn bay(docks: &[Dock], address: Mac) -> Option<(&Dock, usize)> {
    docks.iter().find_map(|dock| Some((dock, dock.bays.iter().position(|bay| *bay == address)? + 1)))
}

/// A hardware address (EUI-48).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// A text that is no hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hardware address is 12 hexadecimal digits, such as 02:00:5e:20:00:05")]
pub struct InvalidMac;

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Labels write them with colons, with hyphens, with dots after every four digits, or with nothing.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let separators: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !c.is_ascii_hexdigit()).collect();
        let regular = match separators.first() {
            None => true,
            Some((2, separator @ (':' | '-'))) => {
                separators.iter().copied().eq((0..5).map(|n| (2 + 3 * n, *separator)))
            }
            Some((4, '.')) => separators.iter().copied().eq([(4, '.'), (9, '.')]),
            Some(_) => false,
        };
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mut bytes = [0; 6];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidMac)?;
        if regular { Ok(Self(bytes)) } else { Err(InvalidMac) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, networks: &[&str]) -> Site {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Site { name: name.into(), networks, rate: Timetable::default() }
    }

    #[test]
    fn the_smallest_network_around_an_address_says_which_site_it_is() {
        let sites = [site("County", &["10.0.0.0/8", "2001:db8::/32"]), site("North", &["10.1.0.0/16", "192.0.2.7/32"])];
        let at = |address: &str| present_site(&sites, address.parse().unwrap()).map(|site| site.name.as_str());
        assert_eq!(at("10.1.2.3"), Some("North"));
        assert_eq!(at("10.2.2.3"), Some("County"));
        assert_eq!(at("::ffff:10.1.2.3"), Some("North"), "an IPv4 client on a socket for IPv6");
        assert_eq!(at("2001:db8::1"), Some("County"));
        assert_eq!(at("192.0.2.8"), None);
        assert_eq!(present_site(&[], "10.1.2.3".parse().unwrap()), None);
    }

    #[test]
    fn the_number_of_a_bay_is_its_place_on_the_label() {
        let mac = |n: u8| Mac([2, 0, 0x5e, 0x20, 0, n]);
        let docks = [
            Dock { name: "North".into(), site: None, bays: vec![mac(1), mac(2)] },
            Dock { name: "South".into(), site: None, bays: vec![mac(9), mac(5)] },
        ];
        let named = |n| bay(&docks, mac(n)).map(|(dock, number)| (dock.name.as_str(), number));
        assert_eq!(named(5), Some(("South", 2)));
        assert_eq!(named(1), Some(("North", 1)));
        assert_eq!(named(7), None);
    }

    #[test]
    fn a_hardware_address_is_read_as_labels_write_it() {
        for text in ["02:00:5E:20:00:05", "02-00-5e-20-00-05", "0200.5e20.0005", "02005e200005"] {
            assert_eq!(text.parse::<Mac>().map(|mac| mac.to_string()), Ok("02:00:5e:20:00:05".into()), "{text}");
        }
        for text in [
            "",
            "02:00:5e:20:00",
            "02:00:5e:20:00:05:06",
            "0:200:5e:20:00:05",
            "02:00-5e:20:00:05",
            "02005e20000g",
            "02.00.5e.20.00.05",
            "ü2:00:5e:20:00:05",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac), "{text}");
        }
    }

    #[test]
    fn a_role_reads_back_as_it_was_written() {
        for role in [Role::Viewer, Role::Requester, Role::DeviceAdmin, Role::Admin, Role::Auditor] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }
}
