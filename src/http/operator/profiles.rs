//! Config profiles. Secrets in them are taken, and never shown.

use actix_web::web::{self, Data, Json, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use longshore_actors::{Applied, GroupAssigned, NewProfile, ProfileAssigned};
use longshore_model::{Complaint, Profile, ProfileName, Settings};
use longshore_protocol::ProblemType;
use schemars::{Schema, schema_for};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::devices::{name, row};
use super::{DeviceRow, by};

/// A profile as somebody wants it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyProfileBody {
    pub(crate) name: ProfileName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    pub(crate) settings: Settings,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AppliedProfile {
    #[serde(flatten)]
    pub(crate) profile: Profile,
    /// Whether this is a version that was not there before.
    pub(crate) is_new: bool,
    /// Devices that hear of it now.
    pub(crate) devices: u64,
    pub(crate) warnings: Vec<Complaint>,
}

/// Which device is to have which profile.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignProfileBody {
    pub(crate) serial: String,
    pub(crate) profile: String,
}

/// The device that has it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AssignedProfile {
    #[serde(flatten)]
    pub(crate) device: DeviceRow,
    pub(crate) warnings: Vec<Complaint>,
}

/// A profile in the list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProfileRow {
    #[serde(flatten)]
    pub(crate) profile: Profile,
    /// Devices that have it.
    pub(crate) devices: u64,
    /// Labels that give it to the devices that carry them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
}

/// Which label is to give which profile.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignGroupProfileBody {
    pub(crate) group: String,
    /// `default` takes away what it gives.
    pub(crate) profile: String,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AssignedGroupProfile {
    pub(crate) group: String,
    pub(crate) profile: String,
    /// Devices that are set to another profile by that.
    pub(crate) devices: u64,
    pub(crate) warnings: Vec<Complaint>,
}

/// Which profile, and which version of it; without one, the newest.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    name: String,
    #[serde(default)]
    version: Option<u32>,
}

/// The JSON Schema (2020-12) of what a profile sets.
pub(crate) fn schema_of_settings() -> Schema {
    schema_for!(Settings)
}

/// The JSON Schema of what a profile sets.
#[utoipa::path(get, path = "/api/v1/profiles/schema",
    responses((status = 200, description = "JSON Schema", body = Object)))]
pub(crate) async fn schema() -> Json<Schema> {
    Json(schema_of_settings())
}

/// The newest version of each config profile, by name.
#[utoipa::path(get, path = "/api/v1/profiles", responses((status = 200, body = [ProfileRow])))]
pub(crate) async fn list(server: Data<Server>) -> Result<Json<Vec<ProfileRow>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let rows = web::block(move || {
        let (devices, groups) = (index.devices()?, index.group_profiles()?);
        let row = |profile: Profile| {
            let name = profile.name.as_str();
            let devices = devices.iter().filter(|device| groups.of(device).name == name).count() as u64;
            let giving = groups.giving(name).map(str::to_owned).collect();
            ProfileRow { devices, groups: giving, profile: profile.masked() }
        };
        Ok::<_, Failure>(index.profiles()?.into_iter().map(row).collect())
    });
    Ok(Json(rows.await??))
}

/// One version of a config profile; without a number the newest.
#[utoipa::path(get, path = "/api/v1/profile", params(("name" = String, Query), ("version" = Option<u32>, Query)),
    responses((status = 200, body = Profile)))]
pub(crate) async fn show(server: Data<Server>, Query(which): Query<Which>) -> Result<Json<Profile>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let profile = web::block(move || {
        let Which { name, version } = which;
        let found = match version {
            Some(version) => index.profile_version(&name, version)?,
            None => index.profile(&name)?,
        };
        found.ok_or_else(|| nothing(&name, version))
    });
    Ok(Json(profile.await??.masked()))
}

/// All versions of a config profile, oldest first.
#[utoipa::path(get, path = "/api/v1/profile-versions", params(("name" = String, Query)),
    responses((status = 200, body = [Profile])))]
pub(crate) async fn versions(server: Data<Server>, Query(which): Query<Which>) -> Result<Json<Vec<Profile>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let versions = web::block(move || {
        let versions = index.profile_versions(&which.name)?;
        if versions.is_empty() { Err(nothing(&which.name, None)) } else { Ok(versions) }
    });
    Ok(Json(versions.await??.into_iter().map(Profile::masked).collect()))
}

fn nothing(name: &str, version: Option<u32>) -> Failure {
    let version = version.map(|version| format!(" with a version {version}")).unwrap_or_default();
    let detail =
        format!("there is no config profile {name:?}{version}; `longshore profile list` shows which there are");
    Failure::new(ProblemType::NotFound, detail)
}

/// Makes a config profile, or a new version of one.
#[utoipa::path(post, path = "/api/v1/profiles", request_body = ApplyProfileBody,
    responses((status = 201, description = "it is new", body = AppliedProfile), (status = 200, body = AppliedProfile)))]
pub(crate) async fn apply(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let ApplyProfileBody { name: profile, note, settings } = json::read(&request, payload).await?;
    let note = note.map(|note| name("note", &note)).transpose()?;
    let new = NewProfile { name: profile, note, settings };
    Ok(applied(server.engine.apply_profile(new, by(&request)).await?))
}

pub(super) fn applied(Applied { profile, is_new, devices, warnings }: Applied) -> HttpResponse {
    let devices = devices.len() as u64;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    answer.json(AppliedProfile { profile: profile.masked(), is_new, devices, warnings })
}

/// Gives a device another config profile.
#[utoipa::path(post, path = "/api/v1/profile-assignments", request_body = AssignProfileBody,
    responses((status = 200, body = AssignedProfile)))]
pub(crate) async fn assign(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<AssignedProfile>, Failure> {
    let AssignProfileBody { serial, profile } = json::read(&request, payload).await?;
    let (serial, profile) = (name("serial", &serial)?, name("profile", &profile)?);
    let ProfileAssigned { device, warnings } = server.engine.assign_profile(serial, profile, by(&request)).await?;
    Ok(Json(AssignedProfile { device: row(&server, device).await?, warnings }))
}

/// Lets a label give another config profile to the devices that carry it, and have none of their own.
#[utoipa::path(post, path = "/api/v1/profile-group-assignments", request_body = AssignGroupProfileBody,
    responses((status = 200, body = AssignedGroupProfile)))]
pub(crate) async fn assign_group(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<AssignedGroupProfile>, Failure> {
    let AssignGroupProfileBody { group, profile } = json::read(&request, payload).await?;
    let (group, profile) = (name("group", &group)?, name("profile", &profile)?);
    let assigned = server.engine.assign_profile_to_group(group.clone(), profile.clone(), by(&request)).await?;
    let GroupAssigned { devices, warnings } = assigned;
    Ok(Json(AssignedGroupProfile { group, profile, devices: devices.len() as u64, warnings }))
}
