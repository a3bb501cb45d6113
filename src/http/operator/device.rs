use actix_web::web::{self, Data, Json, Query};
use base64::Engine as _;
use chrono::{DateTime, Utc};
use longshore_actors::{DeviceHealth, HealthViews};
use longshore_model::{Assignment, BASE64URL, Device, DeviceId, Drift, RecordingId, TokenId, UploadId};
use longshore_protocol::ProblemType;
use longshore_store::history::Happened;
use longshore_store::incoming::Unfinished;
use longshore_store::index::Index;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::DeviceRow;

/// Which device; in the query, since a serial may hold anything.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Its serial.
    pub(super) serial: String,
}

/// A device, with all that is known of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceDetail {
    #[serde(flatten)]
    pub(crate) row: DeviceRow,
    pub(crate) id: DeviceId,
    /// SHA-256 of its public key, base64url; one that only uploads with tokens has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Other labels of it that would give it another config profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) overruled_groups: Vec<String>,
    /// Version of its config profile.
    pub(crate) profile_version: u32,
    /// How far it is from that.
    pub(crate) drift: Drift,
    /// Tokens with which standard clients upload in its name.
    pub(crate) upload_tokens: Vec<UploadTokenRow>,
    /// To whom it belonged, oldest first.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) recordings: Counts,
    /// How it is.
    pub(crate) health: DeviceHealth,
    /// Transfers that are begun and not done.
    pub(crate) unfinished: Vec<UnfinishedRow>,
}

/// A token for uploads, without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct UploadTokenRow {
    pub(crate) id: TokenId,
    pub(crate) issued_at: DateTime<Utc>,
}

/// What became of its recordings.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Counts {
    /// What it said that it holds, or held.
    pub(crate) declared: u64,
    /// In the store.
    pub(crate) stored: u64,
    /// Bytes of those.
    pub(crate) stored_bytes: u64,
    /// Stored, and deleted on the device.
    pub(crate) deleted_on_device: u64,
    /// Handed over while it was suspended.
    pub(crate) held: u64,
}

/// A transfer on its way.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct UnfinishedRow {
    pub(crate) upload: UploadId,
    /// Which recording it brings; of a part, that is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rid: Option<RecordingId>,
    /// Durable bytes.
    pub(crate) offset: u64,
    /// All bytes, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    pub(crate) since: DateTime<Utc>,
}

/// All that is known of a device.
#[utoipa::path(get, path = "/api/v1/device", params(Which), responses((status = 200, body = DeviceDetail)))]
pub(super) async fn show(server: Data<Server>, Query(which): Query<Which>) -> Result<Json<DeviceDetail>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let (looking, now) = (server.clone(), server.now());
    let (device, groups, recordings, reported, health) = web::block(move || {
        let device = find(&index, &which.serial)?;
        let recordings = counts(&index, &device)?;
        let reported = index.report(device.id)?.and_then(|row| row.report.profile);
        let mut views = HealthViews::new(&index, looking.engine.health_types(), now);
        let health = views.of_device(&device, &looking.engine.models())?;
        Ok::<_, Failure>((device, index.group_profiles()?, recordings, reported, health))
    })
    .await??;
    let profile = server.engine.profile_of(&device).await?;
    let unfinished = server.engine.unfinished_of(device.id).into_iter().filter(Unfinished::is_on_its_way);
    let unfinished = unfinished.map(|upload| UnfinishedRow {
        upload: upload.identity.upload,
        rid: upload.identity.rid(),
        offset: upload.offset,
        length: upload.identity.length,
        since: upload.identity.created_at,
    });
    let mut unfinished: Vec<_> = unfinished.collect();
    unfinished.sort_by_key(|upload| upload.since);
    Ok(Json(DeviceDetail {
        id: device.id,
        key: device.key.map(|key| BASE64URL.encode(key.as_bytes())),
        overruled_groups: groups.of(&device).overruled.into_iter().map(str::to_owned).collect(),
        profile_version: profile.version,
        drift: Drift::between(&profile, reported.as_ref()),
        upload_tokens: device
            .upload_tokens
            .iter()
            .map(|token| UploadTokenRow { id: token.id, issued_at: token.issued_at })
            .collect(),
        assignments: device.assignments.clone(),
        recordings,
        health,
        unfinished,
        row: DeviceRow::of(device, &server.engine.models(), &groups),
    }))
}

/// What happened to a device, oldest first; also to one that has only been given an enrolment text.
#[utoipa::path(get, path = "/api/v1/device-history", params(Which), responses((status = 200, body = [Happened])))]
pub(super) async fn history(server: Data<Server>, Query(which): Query<Which>) -> Result<Json<Vec<Happened>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let (serial, lines) = web::block(move || {
        let lines = index.history(&which.serial)?;
        Ok::<_, Failure>((which.serial, lines))
    })
    .await??;
    if lines.is_empty() { Err(nobody(&serial)) } else { Ok(Json(lines)) }
}

pub(super) fn find(index: &Index, serial: &str) -> Result<Device, Failure> {
    index.device_by_serial(serial)?.ok_or_else(|| nobody(serial))
}

fn nobody(serial: &str) -> Failure {
    let detail = format!("no device with the serial {serial} is known; `longshore device list` shows which are");
    Failure::new(ProblemType::NotFound, detail)
}

fn counts(index: &Index, device: &Device) -> Result<Counts, Failure> {
    let declared = index.count_declared(device.id)?;
    let mut counts = Counts { declared, stored: 0, stored_bytes: 0, deleted_on_device: 0, held: 0 };
    for row in index.recordings_of(device.id)? {
        let recording = &row.manifest.recording;
        counts.stored += 1;
        counts.stored_bytes += recording.size;
        counts.deleted_on_device += u64::from(row.deleted_at.is_some());
        counts.held += u64::from(recording.held);
    }
    Ok(counts)
}
