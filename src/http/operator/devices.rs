//! Devices, and those that wait to be one.

use std::collections::BTreeSet;

use actix_web::web::{self, Data, Json};
use chrono::{DateTime, Utc};
use longshore_model::{Description, Device, DeviceModels, DeviceState, Enrolment, GroupProfiles, HasProfile};
use longshore_protocol::limits;
use longshore_store::index::{Index, IndexError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::places::Places;

/// A device, or one that waits to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceRow {
    pub(crate) serial: String,
    pub(crate) model: String,
    /// Nothing is known of such a model: what it can do, its device has to show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unknown_model: bool,
    /// `pending`, `approved`, `active`, `suspended`, `replaced` or `retired`.
    pub(crate) state: String,
    /// It waits, and a device with its serial is enrolled already: is it the same one, with a new key?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) re_enrols: bool,
    /// What the device shows too, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What the device said of itself when it asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    /// Name of the config profile that it is set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// The label that gives it this profile, if it is not the device's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile_group: Option<String>,
    /// Its home site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) groups: BTreeSet<String>,
    /// The site that it called from, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// The dock and the bay that it called from, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bay: Option<String>,
    /// When it asked, or was approved.
    pub(crate) since: DateTime<Utc>,
}

impl DeviceRow {
    fn waiting(enrolment: Enrolment, places: &Places, devices: &[Device], models: &DeviceModels) -> Self {
        let Enrolment { serial, model, code, description, address, requested_at, .. } = enrolment;
        let is_this = |device: &Device| device.serial == serial && device.state != DeviceState::Retired;
        Self {
            re_enrols: devices.iter().any(is_this),
            state: "pending".to_owned(),
            unknown_model: models.get(&model).is_none(),
            at: places.site(address),
            bay: places.bay(description.bay_mac.as_deref()),
            code: Some(code),
            description: Some(description),
            since: requested_at,
            serial,
            model,
            ..Self::default()
        }
    }
}

impl DeviceRow {
    pub(super) fn of(device: Device, models: &DeviceModels, groups: &GroupProfiles) -> Self {
        let HasProfile { name, group, .. } = groups.of(&device);
        let (profile, profile_group) = (Some(name.to_owned()), group.map(str::to_owned));
        Self {
            unknown_model: models.get(&device.model).is_none(),
            assignee: device.assignments.last().map(|last| last.assignee.clone()),
            serial: device.serial,
            model: device.model,
            state: device.state.as_str().to_owned(),
            profile,
            profile_group,
            site: device.site,
            groups: device.groups,
            since: device.approved_at,
            ..Self::default()
        }
    }
}

/// A device as it is after somebody changed it.
pub(super) async fn row(server: &Server, device: Device) -> Result<DeviceRow, Failure> {
    let index = server.engine.catalogue().index().clone();
    let groups = web::block(move || index.group_profiles()).await??;
    Ok(DeviceRow::of(device, &server.engine.models(), &groups))
}

/// The devices that wait, in the order in which they asked.
pub(super) fn waiting(index: &Index, models: &DeviceModels, now: DateTime<Utc>) -> Result<Vec<DeviceRow>, IndexError> {
    let (places, devices) = (Places::read(index)?, index.devices()?);
    let waiting = index.enrolments()?.into_iter().filter(|enrolment| enrolment.waits(now));
    Ok(waiting.map(|enrolment| DeviceRow::waiting(enrolment, &places, &devices, models)).collect())
}

/// All devices; those that wait to be one first.
#[utoipa::path(get, path = "/api/v1/devices", responses((status = 200, body = [DeviceRow])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<DeviceRow>>, Failure> {
    let read = web::block(move || {
        let (index, models, now) = (server.engine.catalogue().index(), server.engine.models(), server.now());
        // In this order: who is approved meanwhile is in both lists, not in none.
        let mut rows = waiting(index, &models, now)?;
        let groups = index.group_profiles()?;
        rows.extend(index.devices()?.into_iter().map(|device| DeviceRow::of(device, &models, &groups)));
        Ok::<_, Failure>(rows)
    });
    Ok(Json(read.await??))
}

/// A name that somebody gave, without the space around it.
pub(in crate::http) fn name(what: &str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > limits::NAME_CHARS || name.chars().any(char::is_control) {
        let detail =
            format!("the {what} must have 1 to {} characters, none of them a control character", limits::NAME_CHARS);
        return Err(Failure::malformed(detail));
    }
    Ok(name.to_owned())
}
