use actix_web::web::{self, Data, Json};
use chrono::{DateTime, FixedOffset};
use longshore_model::Recording;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;

/// A recording in the store.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RecordingRow {
    /// What its manifest says.
    #[serde(flatten)]
    pub(crate) recording: Recording,
    /// When the device deleted its copy, by the device's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_on_device_at: Option<DateTime<FixedOffset>>,
}

/// What is stored, by start.
#[utoipa::path(get, path = "/api/v1/recordings", responses((status = 200, body = [RecordingRow])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<RecordingRow>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let rows = web::block(move || index.recordings()).await??;
    let row = |row: longshore_store::index::StoredRow| RecordingRow {
        recording: row.manifest.recording,
        deleted_on_device_at: row.deleted_at,
    };
    Ok(Json(rows.into_iter().map(row).collect()))
}
