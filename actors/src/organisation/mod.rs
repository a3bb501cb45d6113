//! Accounts and places. They need no actor: each decision is made by the catalogue's writer, one after the other, and
//! nobody holds anything of them.

mod accounts;
mod places;

pub use accounts::{AccountChange, AccountRefused, NewAccount};
pub(crate) use accounts::{add, change, issue_token, remove, revoke_token, set_password};
pub use places::{DeviceChange, PlaceRefused, SiteChange};
pub(crate) use places::{remove_dock, remove_site, set_device, set_dock, set_site};
