//! Accounts and places: the decisions of people that the catalogue keeps.

use longshore_model::{Account, ApiToken, Device, Dock, Sha256, Site, TokenId};
use longshore_store::facts::Fact;
use longshore_store::index::{Index, IndexError};
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::kit::{ASK_DEADLINE, blocking};
use crate::organisation::{self, AccountChange, AccountRefused, DeviceChange, NewAccount, PlaceRefused, SiteChange};
use crate::profiles::{self, Known};
use crate::sessions::LookAgain;

/// An API token that was asked for; its text is told once, here.
#[derive(Clone)]
pub struct IssuedApiToken {
    /// What the server keeps.
    pub token: ApiToken,
    /// What the client sends.
    pub text: String,
}

type AccountResult<T> = Result<T, DecisionError<AccountRefused>>;
type PlaceResult<T> = Result<T, DecisionError<PlaceRefused>>;

impl Engine {
    /// Makes an account.
    ///
    /// # Errors
    /// [`DecisionError`]; so for all that follow.
    pub async fn add_account(&self, new: NewAccount, by: String) -> AccountResult<Account> {
        let now = self.clock.now();
        let decision = move |index: &Index| {
            let known = index.account(&new.name)?;
            Ok(organisation::add(new, known.as_ref(), now, by))
        };
        self.organise(decision).await
    }

    /// Changes the role or the mail address of an account.
    pub async fn change_account(&self, name: String, change: AccountChange, by: String) -> AccountResult<Account> {
        self.organise(move |index| Ok(organisation::change(&name, change, index.account(&name)?, by))).await
    }

    /// Gives an account another password, of which this is the hash.
    pub async fn set_password(&self, name: String, hash: String, by: String) -> AccountResult<Account> {
        self.organise(move |index| Ok(organisation::set_password(&name, hash, index.account(&name)?, by))).await
    }

    /// Removes an account; its tokens count for nothing at once, and its name stays with what it did.
    pub async fn remove_account(&self, name: String, by: String) -> AccountResult<Account> {
        self.organise(move |index| Ok(organisation::remove(&name, index.account(&name)?, by))).await
    }

    /// Makes a token for the JSON API; `password_hash` is of the password that it is given for, if it is.
    pub async fn issue_api_token(
        &self,
        name: String,
        label: String,
        password_hash: Option<String>,
        by: String,
    ) -> AccountResult<IssuedApiToken> {
        let random = || TokenId::random().map_err(|_| DecisionError::NoRandomness);
        let (id, secret) = (random()?, random()?);
        // The beginning lets programs that look for leaked secrets know it.
        let text = format!("lsa_{secret}");
        let (hash, issued_at) = (Sha256::of(text.as_bytes()), self.clock.now());
        let token = ApiToken { id, label, hash, issued_at, for_password: password_hash.is_some() };
        let given = token.clone();
        let issued = self.organise(move |index| {
            Ok(organisation::issue_token(&name, given, password_hash.as_deref(), index.account(&name)?, by))
        });
        issued.await.map(|_| IssuedApiToken { token, text })
    }

    /// Makes a token for the JSON API worthless.
    pub async fn revoke_api_token(&self, name: String, token: TokenId, by: String) -> AccountResult<Account> {
        self.organise(move |index| Ok(organisation::revoke_token(&name, token, index.account(&name)?, by))).await
    }

    /// The account that has the token with this checksum.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn account_by_token(&self, hash: Sha256) -> Result<Option<Account>, EngineError> {
        let index = self.catalogue.index().clone();
        Ok(blocking(move || index.account_by_token(hash)).await?)
    }

    /// Makes a site, or gives the one of that name other networks or another rate; whether it is new.
    pub async fn set_site(&self, name: String, change: SiteChange, by: String) -> PlaceResult<(Site, bool)> {
        self.organise(move |index| Ok(organisation::set_site(name, change, &index.sites()?, by))).await
    }

    /// Removes a site that nothing has as its own.
    pub async fn remove_site(&self, name: String, by: String) -> PlaceResult<()> {
        let decision = move |index: &Index| {
            let (sites, docks, devices) = (index.sites()?, index.docks()?, index.devices()?);
            Ok(organisation::remove_site(&name, &sites, &docks, &devices, by))
        };
        self.organise(decision).await
    }

    /// Makes a dock, or gives the one of that name other bays; whether it is new.
    pub async fn set_dock(&self, dock: Dock, by: String) -> PlaceResult<(Dock, bool)> {
        self.organise(move |index| Ok(organisation::set_dock(dock, &index.sites()?, &index.docks()?, by))).await
    }

    /// Removes a dock.
    pub async fn remove_dock(&self, name: String, by: String) -> PlaceResult<()> {
        self.organise(move |index| Ok(organisation::remove_dock(&name, &index.docks()?, by))).await
    }

    /// Gives a device another home site, or other labels.
    pub async fn set_device(&self, serial: String, change: DeviceChange, by: String) -> PlaceResult<Device> {
        let models = self.models();
        let decision = move |index: &Index| {
            let (device, sites) = (index.device_by_serial(&serial)?, index.sites()?);
            let decided = organisation::set_device(&serial, change, device, &sites, by);
            if let Ok((_, device)) = &decided
                && let Err(refused) = profiles::may_carry(&Known::read(index)?, device, &models)
            {
                return Ok(Err(PlaceRefused::Profile(refused)));
            }
            Ok(decided)
        };
        let device = self.organise(decision).await?;
        self.sessions.tell(LookAgain(device.id));
        Ok(device)
    }

    async fn organise<T, R>(
        &self,
        decision: impl FnOnce(&Index) -> Result<Result<(Vec<Fact>, T), R>, IndexError> + Send + 'static,
    ) -> Result<T, DecisionError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let decided = timeout(ASK_DEADLINE, self.catalogue.decide(decision)).await;
        Ok(decided.map_err(|_| DecisionError::Unavailable)??)
    }
}
