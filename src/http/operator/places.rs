//! Where something is, in the words of people.

use std::net::IpAddr;

use longshore_model::{Dock, Site, bay, present_site};
use longshore_store::index::{Index, IndexError};

/// Sites and docks, as they are now.
pub(super) struct Places {
    pub(super) sites: Vec<Site>,
    pub(super) docks: Vec<Dock>,
}

impl Places {
    /// Reads them.
    pub(super) fn read(index: &Index) -> Result<Self, IndexError> {
        Ok(Self { sites: index.sites()?, docks: index.docks()? })
    }

    /// The site that a device at this address is at.
    pub(super) fn site(&self, address: Option<IpAddr>) -> Option<String> {
        present_site(&self.sites, address?).map(|site| site.name.clone())
    }

    /// The bay with this hardware address, as `North, bay 5`; what a device says may be no address at all.
    pub(super) fn bay(&self, address: Option<&str>) -> Option<String> {
        let (dock, number) = bay(&self.docks, address?.parse().ok()?)?;
        Some(format!("{}, bay {number}", dock.name))
    }
}
