//! Config profiles, and what each device is to be set to.

use std::sync::Arc;

use longshore_model::{Device, DeviceModels, DeviceProfile, Profile};
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::kit::{ASK_DEADLINE, blocking};
use crate::profiles::{self, Applied, GroupAssigned, Known, NewProfile, ProfileAssigned, ProfileRefused};
use crate::sessions::LookAgain;

impl Engine {
    /// Makes a new version of a profile, if it says anything new.
    ///
    /// # Errors
    /// [`DecisionError<ProfileRefused>`].
    pub async fn apply_profile(&self, new: NewProfile, by: String) -> Result<Applied, DecisionError<ProfileRefused>> {
        let models = self.models();
        let deciding = self.catalogue.decide(move |index| {
            let before = index.profile(new.name.as_str())?;
            let devices = index.devices_with_profile(new.name.as_str())?;
            Ok(profiles::apply(new, before, &devices, &models, by))
        });
        let applied = timeout(ASK_DEADLINE, deciding).await.map_err(|_| DecisionError::Unavailable)??;
        applied.devices.iter().for_each(|device| self.sessions.tell(LookAgain(*device)));
        Ok(applied)
    }

    /// Makes a new version of a profile that is as an earlier one was, with its secrets.
    ///
    /// # Errors
    /// [`DecisionError<ProfileRefused>`].
    pub async fn revert_profile(
        &self,
        name: String,
        version: u32,
        by: String,
    ) -> Result<Applied, DecisionError<ProfileRefused>> {
        let models = self.models();
        let deciding = self.catalogue.decide(move |index| {
            let Some(before) = index.profile(&name)? else {
                return Ok(Err(profiles::unknown(&name, &index.profiles()?)));
            };
            let Some(Profile { name, note, settings, .. }) = index.profile_version(&name, version)? else {
                return Ok(Err(ProfileRefused::UnknownVersion { name, version }));
            };
            let devices = index.devices_with_profile(name.as_str())?;
            Ok(profiles::apply(NewProfile { name, note, settings }, Some(before), &devices, &models, by))
        });
        let applied = timeout(ASK_DEADLINE, deciding).await.map_err(|_| DecisionError::Unavailable)??;
        applied.devices.iter().for_each(|device| self.sessions.tell(LookAgain(*device)));
        Ok(applied)
    }

    /// Gives the device with this serial another profile.
    ///
    /// # Errors
    /// [`DecisionError<ProfileRefused>`].
    pub async fn assign_profile(
        &self,
        serial: String,
        name: String,
        by: String,
    ) -> Result<ProfileAssigned, DecisionError<ProfileRefused>> {
        let models = self.models();
        let deciding = self.catalogue.decide(move |index| {
            let Some(own) = index.profile(&name)? else {
                return Ok(Err(profiles::unknown(&name, &index.profiles()?)));
            };
            let (device, groups) = (index.device_by_serial(&serial)?, index.group_profiles()?);
            let given = device.clone().map(|device| Device { profile: name.clone(), ..device });
            let has = given.as_ref().map_or(name.as_str(), |given| groups.of(given).name);
            let (profile, others) = (index.profile(has)?, index.devices_with_profile(has)?);
            let profile = profile.unwrap_or_else(|| own.clone());
            Ok(profiles::assign(&serial, device, &own.name, &profile, &others, &models, by))
        });
        let assigned = timeout(ASK_DEADLINE, deciding).await.map_err(|_| DecisionError::Unavailable)??;
        self.sessions.tell(LookAgain(assigned.device.id));
        Ok(assigned)
    }

    /// Lets a label give another profile to the devices that carry it.
    ///
    /// # Errors
    /// [`DecisionError<ProfileRefused>`].
    pub async fn assign_profile_to_group(
        &self,
        group: String,
        name: String,
        by: String,
    ) -> Result<GroupAssigned, DecisionError<ProfileRefused>> {
        let models = self.models();
        let deciding = self
            .catalogue
            .decide(move |index| Ok(profiles::assign_group(&group, &name, &Known::read(index)?, &models, by)));
        let assigned = timeout(ASK_DEADLINE, deciding).await.map_err(|_| DecisionError::Unavailable)??;
        assigned.devices.iter().for_each(|device| self.sessions.tell(LookAgain(*device)));
        Ok(assigned)
    }

    /// What this device is to be set to.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn profile_of(&self, device: &Device) -> Result<DeviceProfile, EngineError> {
        let (index, models, device) = (self.catalogue.index().clone(), self.models(), device.clone());
        Ok(blocking(move || profiles::settings_of(&index, &models, &device)).await?)
    }

    /// What is known of models of devices.
    pub fn models(&self) -> Arc<DeviceModels> {
        Arc::clone(&self.models.borrow())
    }

    /// Whenever other models are known, lets devices look what they are to be set to; as long as the server runs.
    pub async fn follow_models(&self) {
        let mut models = self.models.clone();
        while models.changed().await.is_ok() {
            let index = self.catalogue.index().clone();
            match blocking(move || index.devices()).await {
                Ok(devices) => devices.iter().for_each(|device| self.sessions.tell(LookAgain(device.id))),
                Err(error) => tracing::warn!(%error, "devices hear of the new models when they connect anew"),
            }
        }
    }
}
