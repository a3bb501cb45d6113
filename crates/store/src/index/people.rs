//! Rows of accounts, places, and what people decided about devices.

use longshore_model::{
    Account, ApiToken, Device, DeviceState, Dock, EnrolToken, Enrolment, EnrolmentState, Sha256, Site,
};

use super::apply::{Applied, Rows, change, get, put};
use super::tables::Table;
use super::{Index, IndexError, values};
use crate::audit::Audited;
use crate::facts::{Entry, PeopleFact};

impl Rows {
    pub(super) fn apply_people(&self, entry: &Entry, fact: &PeopleFact) -> Applied<()> {
        match fact {
            PeopleFact::AccountAdded { account, .. } => {
                put(&self.tables[Table::Accounts], account.name.as_bytes(), account)
            }
            PeopleFact::AccountChanged { account, role, mail, .. } => self.change_account(account, |account| {
                (account.role, account.mail) = (*role, mail.clone());
            }),
            PeopleFact::PasswordSet { account, password_hash, .. } => {
                self.revoke_tokens(account, |token| token.for_password)?;
                self.change_account(account, |account| account.password_hash = Some(password_hash.clone()))
            }
            PeopleFact::AccountRemoved { account, .. } => {
                self.revoke_tokens(account, |_| true)?;
                self.change_account(account, |account| {
                    (account.removed_at, account.password_hash) = (Some(entry.at), None);
                })
            }
            PeopleFact::ApiTokenIssued { account, token, .. } => {
                self.tables[Table::ApiTokens].insert(token.hash.as_bytes(), account.as_bytes())?;
                self.change_account(account, |account| account.tokens.push(token.clone()))
            }
            PeopleFact::ApiTokenRevoked { account, token, .. } => {
                self.revoke_tokens(account, |known| known.id == *token)
            }
            PeopleFact::SiteSet { site, .. } => put(&self.tables[Table::Sites], site.name.as_bytes(), site),
            PeopleFact::SiteRemoved { site, .. } => {
                self.tables[Table::Sites].remove(site.as_bytes())?;
                Ok(())
            }
            PeopleFact::DockSet { dock, .. } => put(&self.tables[Table::Docks], dock.name.as_bytes(), dock),
            PeopleFact::DockRemoved { dock, .. } => {
                self.tables[Table::Docks].remove(dock.as_bytes())?;
                Ok(())
            }
            PeopleFact::DeviceSet { device, site, groups, .. } => {
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    (device.site, device.groups) = (site.clone(), groups.clone());
                })
            }
            PeopleFact::DeviceAssigned { device, assignment, .. } => {
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    device.assignments.push(assignment.clone());
                })
            }
            PeopleFact::DeviceReplaced { device, with, .. } => {
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    device.replaced_by = Some(with.clone());
                    // A lost or stolen one gets no receipts back by having been replaced.
                    if device.state != DeviceState::Suspended {
                        device.state = DeviceState::Replaced;
                    }
                })
            }
            PeopleFact::EnrolmentRejected { enrolment, .. } => {
                change(&self.tables[Table::Enrolments], enrolment.as_bytes(), |enrolment: &mut Enrolment| {
                    enrolment.state = EnrolmentState::Rejected;
                })
            }
            PeopleFact::TokenRevoked { token, .. } => {
                change(&self.tables[Table::Tokens], token.as_bytes(), |token: &mut EnrolToken| {
                    token.revoked_at = Some(entry.at);
                })
            }
        }
    }

    fn change_account(&self, name: &str, f: impl FnOnce(&mut Account)) -> Applied<()> {
        change(&self.tables[Table::Accounts], name.as_bytes(), f)
    }

    fn revoke_tokens(&self, name: &str, which: impl Fn(&ApiToken) -> bool) -> Applied<()> {
        let Some(mut account) = get::<Account>(&self.tables[Table::Accounts], name.as_bytes())? else { return Ok(()) };
        let revoked = account.tokens.extract_if(.., |token| which(token));
        for token in revoked {
            self.tables[Table::ApiTokens].remove(token.hash.as_bytes())?;
        }
        put(&self.tables[Table::Accounts], name.as_bytes(), &account)
    }
}

impl Index {
    /// The account with this name, a removed one too.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn account(&self, name: &str) -> Result<Option<Account>, IndexError> {
        super::get(&self.tables[Table::Accounts], name.as_bytes())
    }

    /// The account that has the token with this checksum.
    pub fn account_by_token(&self, hash: Sha256) -> Result<Option<Account>, IndexError> {
        let name = self.tables[Table::ApiTokens].get(hash.as_bytes())?;
        name.map_or(Ok(None), |name| super::get(&self.tables[Table::Accounts], &name))
    }

    /// All accounts by name, removed ones too.
    pub fn accounts(&self) -> Result<Vec<Account>, IndexError> {
        values(self.tables[Table::Accounts].iter())
    }

    /// All sites, by name.
    pub fn sites(&self) -> Result<Vec<Site>, IndexError> {
        values(self.tables[Table::Sites].iter())
    }

    /// All docks, by name.
    pub fn docks(&self) -> Result<Vec<Dock>, IndexError> {
        values(self.tables[Table::Docks].iter())
    }

    /// What people did last, at most `count` lines, the newest first; `before` leaves out what is no older.
    pub fn audit(&self, before: Option<u64>, count: usize) -> Result<Vec<Audited>, IndexError> {
        let end = before.unwrap_or(u64::MAX).to_be_bytes();
        values(self.tables[Table::Audit].range(..end).rev().take(count))
    }
}
