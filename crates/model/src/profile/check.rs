//! Whether settings make sense, and whether a model can do them. Pure.

use std::fmt;
use std::net::IpAddr;

use super::settings::{Addresses, Event, Security, Settings, Trigger, WifiNetwork};
use crate::{Addressing, Band, Bounds, Complaint, DeviceModel};

/// Characters of an SSID (IEEE 802.11: 32 bytes).
const SSID_CHARS: usize = 32;
/// Characters of a passphrase (IEEE 802.11i).
const PASSPHRASE_CHARS: std::ops::RangeInclusive<usize> = 8..=63;
/// Characters of a name in WPA2-Enterprise (RFC 7542 has at most 253).
const IDENTITY_CHARS: usize = 253;
/// Networks of one profile: more than any device keeps.
const NETWORKS: usize = 16;
/// Name servers of one profile: resolvers ask the first few (resolv.conf(5): three).
const NAME_SERVERS: usize = 4;

/// What of settings a model can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suits {
    /// What it can't.
    pub refused: Vec<Complaint>,
    /// What it can, or what is not known of it, and should be thought about.
    pub warnings: Vec<Complaint>,
}

impl Settings {
    /// What is wrong with them whatever the device is.
    pub fn mistakes(&self) -> Vec<Complaint> {
        let mut wrong = Vec::new();
        let video = &self.video;
        between(&mut wrong, "video.frame_rate", video.frame_rate, 1, 240);
        between(&mut wrong, "video.bitrate_kbps", video.bitrate_kbps, 64, 100_000);
        between(&mut wrong, "event.pre_s", self.event.pre_s, 0, 600);
        between(&mut wrong, "event.post_s", self.event.post_s, 0, 3600);
        between(&mut wrong, "event.speed_kmh", self.event.speed_kmh, 1, 400);
        between(&mut wrong, "sound.volume_percent", self.sound.volume_percent, 0, 100);
        between(&mut wrong, "retention.uploaded_h", self.retention.uploaded_h, 0, 8760);
        between(&mut wrong, "retention.unrequested_h", self.retention.unrequested_h, 1, 8760);
        speed(&mut wrong, &self.event);
        network(&mut wrong, &self.network);
        if self.wifi.len() > NETWORKS {
            wrong.push(Complaint::new("wifi", format!("has more than {NETWORKS} networks")));
        }
        for (n, of) in self.wifi.iter().enumerate() {
            let twice = self.wifi[..n].iter().any(|earlier| earlier.ssid == of.ssid);
            wrong.extend(wifi(of, twice).into_iter().map(|complaint| complaint.below(&format!("wifi[{n}]"))));
        }
        wrong
    }

    /// Whether the device's address is one of its settings; then only one device may have them.
    pub fn has_static_address(&self) -> bool {
        self.network.addressing == Some(Addressing::Static)
    }

    /// Whether a model of this name can do them; `None`: it is not known.
    pub fn suit(&self, name: &str, model: Option<&DeviceModel>) -> Suits {
        let mut suits = Suits::default();
        if self.has_static_address() {
            let what = "a static address has to be changed here whenever the network is; better reserve one by the device's \
                        MAC address in DHCP";
            suits.warnings.push(Complaint::new("network.addressing", what));
        }
        let Some(model) = model else {
            if *self != Self::default() {
                let what = format!("the model {name} is not known, so whether it can do this is not known either");
                suits.warnings.push(Complaint::new("model", what));
            }
            return suits;
        };
        let refused = &mut suits.refused;
        within(refused, "video.resolution", self.video.resolution, model.resolution, name);
        within(refused, "video.frame_rate", self.video.frame_rate, model.frame_rate, name);
        within(refused, "video.bitrate_kbps", self.video.bitrate_kbps, model.bitrate_kbps, name);
        let addressing = self.network.addressing;
        match (addressing, &model.addressing) {
            (Some(wanted), Some(can)) if !can.contains(&wanted) => {
                refused.push(Complaint::new("network.addressing", format!("{name} has no {wanted} addresses")));
            }
            (Some(Addressing::Static), None) => {
                let what = format!("whether {name} can have a static address is not known");
                suits.warnings.push(Complaint::new("network.addressing", what));
            }
            _ => {}
        }
        for (n, network) in self.wifi.iter().enumerate() {
            let at = |key: &str| format!("wifi[{n}].{key}");
            let bands = model.wifi.as_ref().map(|radio| &radio.bands);
            if let (Some(band), Some(bands)) = (network.band, bands)
                && !bands.contains(&band)
            {
                let can = bands.iter().map(Band::to_string).collect::<Vec<_>>().join(" and ");
                let what = format!("{} is at {band}, and {name} has {can} only", network.ssid);
                refused.push(Complaint::new(at("band"), what));
            }
            if network.security == Security::Wpa2Enterprise {
                match model.wpa2_enterprise {
                    Some(true) => {}
                    Some(false) => refused.push(Complaint::new(
                        at("security"),
                        format!("{name} cannot use networks with WPA2-Enterprise, as {} is", network.ssid),
                    )),
                    None => suits.warnings.push(Complaint::new(
                        at("security"),
                        format!("whether {name} can use networks with WPA2-Enterprise is not known"),
                    )),
                }
            }
        }
        suits
    }
}

fn between(wrong: &mut Vec<Complaint>, key: &str, value: Option<u32>, least: u32, most: u32) {
    if value.is_some_and(|value| !(least..=most).contains(&value)) {
        wrong.push(Complaint::new(key, format!("has to be {least} to {most}")));
    }
}

fn within<T: PartialOrd + fmt::Display>(
    refused: &mut Vec<Complaint>,
    key: &str,
    wanted: Option<T>,
    can: Option<Bounds<T>>,
    name: &str,
) {
    if let (Some(wanted), Some(can)) = (wanted, can)
        && !can.hold(&wanted)
    {
        refused.push(Complaint::new(key, format!("{wanted} is not what {name} can do: {can}")));
    }
}

fn speed(wrong: &mut Vec<Complaint>, event: &Event) {
    let has_trigger = event.triggers.as_ref().is_some_and(|triggers| triggers.contains(&Trigger::Speed));
    match event.speed_kmh {
        None if has_trigger => {
            wrong.push(Complaint::new("event.triggers", "speed is one of them, so event.speed_kmh has to say which"));
        }
        Some(_) if event.triggers.is_some() && !has_trigger => {
            wrong.push(Complaint::new("event.speed_kmh", "begins no event, since speed is none of event.triggers"));
        }
        _ => {}
    }
}

fn network(wrong: &mut Vec<Complaint>, network: &Addresses) {
    let Addresses { addressing, address, prefix, gateway, dns } = network;
    if *addressing != Some(Addressing::Static) {
        for (key, is_set) in [
            ("address", address.is_some()),
            ("prefix", prefix.is_some()),
            ("gateway", gateway.is_some()),
            ("dns", !dns.is_empty()),
        ] {
            if is_set {
                let what = "counts only with network.addressing = \"static\"";
                wrong.push(Complaint::new(format!("network.{key}"), what));
            }
        }
        return;
    }
    let Some(own) = address else {
        wrong.push(Complaint::new("network.address", "is missing; a static address has to be told"));
        return;
    };
    if dns.len() > NAME_SERVERS {
        wrong.push(Complaint::new("network.dns", format!("has more than {NAME_SERVERS} name servers")));
    }
    for server in dns.iter().take(NAME_SERVERS).filter(|server| !is_of_one_host(**server)) {
        wrong.push(Complaint::new("network.dns", format!("{server} can be no name server's address")));
    }
    if let Some(gateway) = gateway.filter(|gateway| gateway == own) {
        wrong.push(Complaint::new("network.gateway", format!("{gateway} is the device's own address")));
    }
    let most = if own.is_ipv4() { 32 } else { 128 };
    let bits = prefix.filter(|bits| (1..=most).contains(bits));
    for (key, address) in [("network.address", Some(own)), ("network.gateway", gateway.as_ref())] {
        let Some(address) = address else { continue };
        if !is_of_one_host(*address) {
            wrong.push(Complaint::new(key, format!("{address} can be no device's address")));
        } else if let Some((bits, which)) = bits.and_then(|bits| Some((bits, names_all(*address, bits)?))) {
            wrong.push(Complaint::new(key, format!("{address} is {which} of its network with {bits} bits")));
        }
    }
    let Some(bits) = bits else {
        let what = match prefix {
            None => "is missing; write how many bits name the network, such as 24".to_owned(),
            Some(_) => format!("has to be 1 to {most}"),
        };
        wrong.push(Complaint::new("network.prefix", what));
        return;
    };
    if let Some(gateway) = gateway.filter(|gateway| !same_network(*own, *gateway, bits)) {
        let what = format!("{gateway} is not in the network of {own}/{bits}");
        wrong.push(Complaint::new("network.gateway", what));
    }
}

/// Whether it can be the address of one machine in a network: not of this one, of none, of several, or of all, nor reserved
/// (RFC 1122 §3.2.1.3, RFC 1112 §4).
fn is_of_one_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && (1..224).contains(&v4.octets()[0]),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_loopback() && !v6.is_multicast(),
    }
}

/// What of a network of so many bits the address means, if it means no one machine. A network of two machines has neither
/// (RFC 3021, RFC 6164).
fn names_all(address: IpAddr, bits: u32) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) if bits < 31 => match (v4.to_bits() << bits, v4.to_bits() | (u32::MAX << (32 - bits))) {
            (0, _) => Some("the network address"),
            (_, u32::MAX) => Some("the broadcast address"),
            _ => None,
        },
        IpAddr::V6(v6) if bits < 127 => (v6.to_bits() << bits == 0).then_some("the address of all routers"),
        _ => None,
    }
}

fn same_network(one: IpAddr, other: IpAddr, prefix: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= prefix,
        _ => false,
    }
}

fn wifi(network: &WifiNetwork, twice: bool) -> Vec<Complaint> {
    let WifiNetwork { ssid, security, passphrase, identity, .. } = network;
    let mut wrong = Vec::new();
    let mut complain = |key: &str, what: String| wrong.push(Complaint::new(key, what));
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if ssid.is_empty() || ssid.len() > SSID_CHARS || !ssid.chars().all(right) {
        complain("ssid", format!("{ssid:?} is no name that devices take: 1 to {SSID_CHARS} letters, digits, _ and -"));
    } else if twice {
        complain("ssid", format!("{ssid} is there twice"));
    }
    if *security == Security::Open {
        let what = "open networks are refused, since anybody could listen; write wpa2-aes, or what the network has";
        complain("security", what.to_owned());
    }
    // What is wrong is told without the secret.
    let secret = passphrase.reveal();
    if passphrase.is_mask() {
        // Whoever takes the settings puts in what there was.
    } else if secret.contains(';') {
        complain("passphrase", "must not have a ;".to_owned());
    } else if !secret.chars().all(|c| c.is_ascii_graphic()) {
        complain("passphrase", "must have letters, digits and special characters only, and no spaces".to_owned());
    } else if !PASSPHRASE_CHARS.contains(&secret.len()) {
        let (least, most) = (PASSPHRASE_CHARS.start(), PASSPHRASE_CHARS.end());
        complain("passphrase", format!("has to have {least} to {most} characters"));
    }
    match (security, identity) {
        (Security::Wpa2Enterprise, None) => {
            complain("identity", "is missing; write by which name the device is known there".to_owned());
        }
        (Security::Wpa2Enterprise, Some(identity)) => {
            if identity.is_empty() || identity.len() > IDENTITY_CHARS || identity.chars().any(char::is_control) {
                complain("identity", format!("has to have 1 to {IDENTITY_CHARS} characters"));
            }
        }
        (_, Some(_)) => complain("identity", "counts only with security = \"wpa2-enterprise\"".to_owned()),
        (_, None) => {}
    }
    wrong
}

#[cfg(test)]
mod tests;
