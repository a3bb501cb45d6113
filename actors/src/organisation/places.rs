//! Sites, docks, and what stands where. Pure.

use std::collections::BTreeSet;

use ipnet::IpNet;
use longshore_model::{Device, DeviceState, Dock, Site, Timetable};
use longshore_store::facts::{Fact, PeopleFact};

use crate::profiles::ProfileRefused;

/// Sites in all: a present site is looked for among all their networks.
const SITES: usize = 1_000;
/// Networks of one site.
const NETWORKS: usize = 64;
/// Docks in all.
const DOCKS: usize = 10_000;
/// Bays of one dock.
const BAYS: usize = 256;
/// Labels of one device.
const GROUPS: usize = 32;

/// What is to be changed of a device's place; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceChange {
    /// Its home site; `Some(None)`: it has none any more.
    pub site: Option<Option<String>>,
    /// Its labels, all of them.
    pub groups: Option<BTreeSet<String>>,
}

/// What is to be changed of a site, or what a new one is; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteChange {
    /// Its networks, all of them; a new site has to have them.
    pub networks: Option<Vec<IpNet>>,
    /// What all devices that are there may send together.
    pub rate: Option<Timetable>,
}

/// Why a place is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceRefused {
    /// No site has the name.
    #[error("there is no site {0}; `longshore site list` shows which there are, `longshore site add` makes one")]
    NoSite(String),
    /// No dock has the name.
    #[error("there is no dock {0}; `longshore dock list` shows which there are")]
    NoDock(String),
    /// No device has the serial.
    #[error("no device with the serial {0} is enrolled; `longshore device list` shows which are")]
    NoDevice(String),
    /// It is out of service.
    #[error("the device {0} is retired")]
    Retired(String),
    /// Two sites cannot have the same network: nobody could tell which one a device is at.
    #[error("the network {network} is one of the site {site}; take it out there first")]
    NetworkTaken {
        /// Which network.
        network: String,
        /// Which site has it.
        site: String,
    },
    /// The address is one of another dock.
    #[error("the bay {bay} is one of the dock {dock}; take it out there first")]
    BayTaken {
        /// Which address.
        bay: String,
        /// Which dock has it.
        dock: String,
    },
    /// The address is twice in the list.
    #[error("the bay {0} is twice in the list; its place in the list is its number")]
    BayTwice(String),
    /// Something stands there.
    #[error("the site {site} is not empty: {what}")]
    InUse {
        /// Which site.
        site: String,
        /// What stands there.
        what: String,
    },
    /// A label would give it a profile that it may not have.
    #[error("{0}; give the device a profile of its own first, which counts before those of labels")]
    Profile(ProfileRefused),
    /// More than one server looks after.
    #[error("there can be at most {0}")]
    TooMany(String),
}

type Decided<T> = Result<(Vec<Fact>, T), PlaceRefused>;

/// Makes a site, or gives the one of that name other networks or another rate; whether it is new.
pub(crate) fn set_site(name: String, change: SiteChange, sites: &[Site], by: String) -> Decided<(Site, bool)> {
    let SiteChange { networks, rate } = change;
    let known = sites.iter().find(|known| known.name == name);
    let Some(networks) = networks.or_else(|| known.map(|known| known.networks.clone())) else {
        return Err(PlaceRefused::NoSite(name));
    };
    let rate = rate.or_else(|| known.map(|known| known.rate.clone())).unwrap_or_default();
    let mut site = Site { name, networks, rate };
    // `10.1.2.3/16` means the network that this address is in.
    site.networks.iter_mut().for_each(|network| *network = network.trunc());
    site.networks.sort_unstable();
    site.networks.dedup();
    if site.networks.len() > NETWORKS {
        return Err(PlaceRefused::TooMany(format!("{NETWORKS} networks of a site")));
    }
    let is_new = known.is_none();
    if is_new && sites.len() >= SITES {
        return Err(PlaceRefused::TooMany(format!("{SITES} sites")));
    }
    for other in sites.iter().filter(|known| known.name != site.name) {
        if let Some(network) = site.networks.iter().find(|network| other.networks.contains(network)) {
            return Err(PlaceRefused::NetworkTaken { network: network.to_string(), site: other.name.clone() });
        }
    }
    Ok((vec![Fact::People(PeopleFact::SiteSet { site: site.clone(), by })], (site, is_new)))
}

pub(crate) fn remove_site(name: &str, sites: &[Site], docks: &[Dock], devices: &[Device], by: String) -> Decided<()> {
    if !sites.iter().any(|site| site.name == name) {
        return Err(PlaceRefused::NoSite(name.to_owned()));
    }
    let is_here = |site: &Option<String>| site.as_deref() == Some(name);
    let docks: Vec<&str> = docks.iter().filter(|dock| is_here(&dock.site)).map(|dock| dock.name.as_str()).collect();
    let here = devices.iter().filter(|device| is_here(&device.site) && device.state != DeviceState::Retired);
    let devices: Vec<&str> = here.map(|device| device.serial.as_str()).collect();
    for (what, names) in [("the docks", docks), ("the devices", devices)] {
        if !names.is_empty() {
            let some = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
            let what = format!("{what} {some}{more} have it as their site; give them another first");
            return Err(PlaceRefused::InUse { site: name.to_owned(), what });
        }
    }
    Ok((vec![Fact::People(PeopleFact::SiteRemoved { site: name.to_owned(), by })], ()))
}

/// Makes a dock, or gives the one of that name other bays; whether it is new.
pub(crate) fn set_dock(dock: Dock, sites: &[Site], docks: &[Dock], by: String) -> Decided<(Dock, bool)> {
    if let Some(site) = dock.site.as_ref().filter(|name| !sites.iter().any(|site| site.name == **name)) {
        return Err(PlaceRefused::NoSite(site.clone()));
    }
    if dock.bays.len() > BAYS {
        return Err(PlaceRefused::TooMany(format!("{BAYS} bays of a dock")));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = dock.bays.iter().find(|bay| !seen.insert(**bay)) {
        return Err(PlaceRefused::BayTwice(twice.to_string()));
    }
    let is_new = !docks.iter().any(|known| known.name == dock.name);
    if is_new && docks.len() >= DOCKS {
        return Err(PlaceRefused::TooMany(format!("{DOCKS} docks")));
    }
    for other in docks.iter().filter(|known| known.name != dock.name) {
        if let Some(bay) = other.bays.iter().find(|bay| seen.contains(bay)) {
            return Err(PlaceRefused::BayTaken { bay: bay.to_string(), dock: other.name.clone() });
        }
    }
    Ok((vec![Fact::People(PeopleFact::DockSet { dock: dock.clone(), by })], (dock, is_new)))
}

pub(crate) fn remove_dock(name: &str, docks: &[Dock], by: String) -> Decided<()> {
    if !docks.iter().any(|dock| dock.name == name) {
        return Err(PlaceRefused::NoDock(name.to_owned()));
    }
    Ok((vec![Fact::People(PeopleFact::DockRemoved { dock: name.to_owned(), by })], ()))
}

pub(crate) fn set_device(
    serial: &str,
    change: DeviceChange,
    device: Option<Device>,
    sites: &[Site],
    by: String,
) -> Decided<Device> {
    let Some(mut device) = device else { return Err(PlaceRefused::NoDevice(serial.to_owned())) };
    if device.state == DeviceState::Retired {
        return Err(PlaceRefused::Retired(serial.to_owned()));
    }
    if let Some(site) = change.site {
        if let Some(site) = site.as_ref().filter(|name| !sites.iter().any(|site| site.name == **name)) {
            return Err(PlaceRefused::NoSite(site.clone()));
        }
        device.site = site;
    }
    if let Some(groups) = change.groups {
        if groups.len() > GROUPS {
            return Err(PlaceRefused::TooMany(format!("{GROUPS} labels of a device")));
        }
        device.groups = groups;
    }
    let (site, groups) = (device.site.clone(), device.groups.clone());
    Ok((vec![Fact::People(PeopleFact::DeviceSet { device: device.id, site, groups, by })], device))
}

#[cfg(test)]
mod tests {
    use longshore_model::DeviceId;

    use super::*;

    fn site(name: &str, networks: &[&str]) -> Site {
        Site { name: name.into(), networks: nets(networks), rate: Timetable::default() }
    }

    fn nets(networks: &[&str]) -> Vec<IpNet> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn with(networks: &[&str]) -> SiteChange {
        SiteChange { networks: Some(nets(networks)), rate: None }
    }

    fn dock(name: &str, bays: &[u8]) -> Dock {
        let mac = |n: &u8| format!("02:00:5e:20:00:{n:02x}").parse().unwrap();
        Dock { name: name.into(), site: None, bays: bays.iter().map(mac).collect() }
    }

    fn device(site: Option<&str>) -> Device {
        Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state: DeviceState::Active,
            key: None,
            upload_tokens: Vec::new(),
            assignments: Vec::new(),
            profile: "default".into(),
            site: site.map(str::to_owned),
            groups: BTreeSet::new(),
            replaced_by: None,
            approved_at: "2026-11-21T15:00:00Z".parse().unwrap(),
        }
    }

    fn by() -> String {
        "uid 0".into()
    }

    #[test]
    fn a_network_belongs_to_one_site_and_may_lie_in_that_of_another() {
        let north = site("North", &["10.1.0.0/16"]);
        let known = [north];
        let set = |name: &str, networks: &[&str]| set_site(name.to_owned(), with(networks), &known, by());
        let (_, (county, is_new)) = set("County", &["10.0.0.9/8", "10.0.0.0/8"]).unwrap();
        assert_eq!((county.networks, is_new), (nets(&["10.0.0.0/8"]), true));
        let taken = set("South", &["10.1.0.0/16"]);
        assert!(matches!(taken, Err(PlaceRefused::NetworkTaken { .. })), "{taken:?}");
        assert!(!set("North", &["10.1.0.0/16"]).unwrap().1.1, "the same again is no other site");
    }

    #[test]
    fn a_change_of_a_site_leaves_what_it_does_not_name() {
        let rate = |text: &str| Timetable::try_from(text.to_owned()).unwrap();
        let slow = SiteChange { networks: None, rate: Some(rate("unlimited, 07:00-19:00 50 Mbit/s")) };
        let (_, (north, _)) = set_site("North".into(), slow.clone(), &[site("North", &["10.1.0.0/16"])], by()).unwrap();
        assert_eq!((&north.networks, &Some(north.rate.clone())), (&nets(&["10.1.0.0/16"]), &slow.rate));
        let (_, (moved, _)) = set_site("North".into(), with(&["10.2.0.0/16"]), &[north], by()).unwrap();
        assert_eq!((&moved.networks, &Some(moved.rate.clone())), (&nets(&["10.2.0.0/16"]), &slow.rate));
        let unlimited = SiteChange { networks: None, rate: Some(Timetable::default()) };
        assert!(set_site("North".into(), unlimited, &[moved], by()).unwrap().1.0.rate.is_unlimited());
        // A name that was misspelt makes no site of its own.
        assert_eq!(set_site("Nroth".into(), slow, &[], by()), Err(PlaceRefused::NoSite("Nroth".into())));
    }

    #[test]
    fn a_site_goes_only_when_nothing_has_it_as_its_own() {
        let sites = [site("North", &[])];
        let refused = |docks: &[Dock], devices: &[Device]| remove_site("North", &sites, docks, devices, by()).is_err();
        let here = Dock { site: Some("North".into()), ..dock("D", &[1]) };
        assert!(refused(&[here], &[]) && refused(&[], &[device(Some("North"))]));
        let retired = Device { state: DeviceState::Retired, ..device(Some("North")) };
        assert!(!refused(&[dock("D", &[1])], &[retired, device(None)]));
        assert_eq!(remove_site("West", &sites, &[], &[], by()), Err(PlaceRefused::NoSite("West".into())));
    }

    #[test]
    fn a_bay_is_in_one_dock_once() {
        let known = [dock("A", &[1, 2])];
        assert!(matches!(set_dock(dock("B", &[3, 2]), &[], &known, by()), Err(PlaceRefused::BayTaken { .. })));
        assert!(matches!(set_dock(dock("B", &[3, 3]), &[], &known, by()), Err(PlaceRefused::BayTwice(_))));
        assert!(set_dock(dock("A", &[2, 1, 3]), &[], &known, by()).is_ok(), "a list may be corrected");
        let nowhere = Dock { site: Some("West".into()), ..dock("B", &[3]) };
        assert_eq!(set_dock(nowhere, &[], &known, by()), Err(PlaceRefused::NoSite("West".into())));
    }

    #[test]
    fn a_change_of_a_device_leaves_what_it_does_not_name() {
        let sites = [site("North", &[])];
        let change = |site, groups| DeviceChange { site, groups };
        let groups = BTreeSet::from(["night".to_owned()]);
        let moved = change(Some(Some("North".into())), None);
        let (_, set) = set_device("B-1", moved, Some(device(None)), &sites, by()).unwrap();
        let (_, set) = set_device("B-1", change(None, Some(groups.clone())), Some(set), &sites, by()).unwrap();
        assert_eq!((set.site.as_deref(), &set.groups), (Some("North"), &groups));
        let (_, set) = set_device("B-1", change(Some(None), None), Some(set), &sites, by()).unwrap();
        assert_eq!((set.site, set.groups), (None, groups));
        let nowhere = change(Some(Some("West".into())), None);
        assert!(set_device("B-1", nowhere, Some(device(None)), &sites, by()).is_err());
    }
}
