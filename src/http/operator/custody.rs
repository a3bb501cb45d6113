//! What became of recordings, what vouches for it, and giving them out.

use actix_web::web::{self, Data, Json, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::Selection;
use longshore_model::{DeviceId, ExportId, Recording, RecordingId, RequestId, Sha256};
use longshore_protocol::ProblemType;
use longshore_store::custody::{Checkpoint, CustodyEvent};
use longshore_store::export::ExportPlan;
use longshore_store::index::{Index, IndexError};
use longshore_store::verify::{Known, Reconciled};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::devices::name;

/// Which recording.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichRecording {
    /// Its id.
    #[param(value_type = String)]
    rid: String,
}

/// What became of a recording.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CustodyRecord {
    /// Serial of the device that made it.
    pub(crate) serial: String,
    /// Its contents in the store, by revision: nearly always one.
    pub(crate) stored: Vec<Recording>,
    /// What became of it, in the order of the journal.
    pub(crate) events: Vec<CustodyEvent>,
    /// The first checkpoint that covers all of that; until there is one, nothing but the server vouches for the last of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) covered_by: Option<Checkpoint>,
}

/// The custody record of a recording; of each device that has one of this id.
#[utoipa::path(get, path = "/api/v1/custody", params(WhichRecording), responses((status = 200, body = [CustodyRecord])))]
pub(super) async fn show(
    server: Data<Server>,
    Query(which): Query<WhichRecording>,
) -> Result<Json<Vec<CustodyRecord>>, Failure> {
    let unknown = |rid: &str| {
        let detail =
            format!("no recording with the id {rid:?} is known; `longshore recordings list --json` tells the ids");
        Failure::new(ProblemType::NotFound, detail)
    };
    let rid: RecordingId = which.rid.parse().map_err(|_| unknown(&which.rid))?;
    let index = server.engine.catalogue().index().clone();
    let records = web::block(move || {
        let devices = index.devices_with(rid)?;
        devices.into_iter().map(|device| record(&index, device, rid)).collect::<Result<Vec<_>, IndexError>>()
    });
    let records = records.await??;
    if records.is_empty() { Err(unknown(&which.rid)) } else { Ok(Json(records)) }
}

fn record(index: &Index, device: DeviceId, rid: RecordingId) -> Result<CustodyRecord, IndexError> {
    let events = index.custody(device, rid)?;
    let last = events.iter().map(|event| event.seq).max().unwrap_or_default();
    Ok(CustodyRecord {
        serial: index.device(device)?.map_or_else(|| device.to_string(), |device| device.serial),
        stored: index.stored(device, rid)?.into_iter().map(|manifest| manifest.recording).collect(),
        events,
        covered_by: index.checkpoints_since(last)?.into_iter().next(),
    })
}

/// There is nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Which checkpoints.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Only those whose own line in the journal comes after this one.
    since: Option<u64>,
}

/// The signed places of the journal, oldest first.
#[utoipa::path(get, path = "/api/v1/checkpoints", params(Since), responses((status = 200, body = [Checkpoint])))]
pub(super) async fn checkpoints(
    server: Data<Server>,
    Query(Since { since }): Query<Since>,
) -> Result<Json<Vec<Checkpoint>>, Failure> {
    Ok(Json(server.engine.checkpoints_since(since.unwrap_or(0)).await?))
}

/// Signs how far the journal goes, unless nothing came since it was signed last.
#[utoipa::path(post, path = "/api/v1/checkpoints", request_body = Nothing, responses((status = 200, body = Checkpoint)))]
pub(super) async fn checkpoint(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<Checkpoint>, Failure> {
    let Nothing {} = json::read(&request, payload).await?;
    let made = server.engine.checkpoint().await?;
    made.map(Json)
        .ok_or_else(|| Failure::new(ProblemType::Conflict, "the journal is empty: there is nothing to sign yet"))
}

/// What the server found when it looked at its store.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReconciliationState {
    /// Whether it is looking now.
    pub(crate) is_running: bool,
    /// What it found the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Reconciled>,
    /// How far the journal goes, as the server knows now: whoever reads it afterwards has to come by there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<Known>,
}

/// What the server found when it looked at its store the last time.
#[utoipa::path(get, path = "/api/v1/reconciliation", responses((status = 200, body = ReconciliationState)))]
pub(super) async fn reconciliation(server: Data<Server>) -> Result<Json<ReconciliationState>, Failure> {
    // In this order: one that ends in between is then told as running, and not as if it had never been.
    let is_running = server.engine.is_reconciling();
    let index = server.engine.catalogue().index().clone();
    let (last, known) =
        web::block(move || Ok::<_, IndexError>((index.last_reconciliation()?, Known::by(&index)?))).await??;
    Ok(Json(ReconciliationState { is_running, last, known }))
}

/// Has the server look at its store now.
#[utoipa::path(post, path = "/api/v1/reconciliation", request_body = Nothing, responses((status = 202, body = ReconciliationState)))]
pub(super) async fn reconcile(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let Nothing {} = json::read(&request, payload).await?;
    server.engine.reconcile().await?;
    Ok(HttpResponse::Accepted().json(reconciliation(server).await?.into_inner()))
}

/// Which recordings are to be given out; all that is said has to be so of each.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportBody {
    /// These.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recordings: Vec<RecordingId>,
    /// What came for this request for footage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<RequestId>,
    /// Of the devices with these serials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<String>,
    /// Of whom the device belonged to then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    /// What was recorded at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<DateTime<Utc>>,
    /// What was recorded before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<DateTime<Utc>>,
}

/// Records that recordings are given out, and says what an export of them is to hold.
#[utoipa::path(post, path = "/api/v1/exports", request_body = ExportBody,
    responses((status = 201, body = ExportPlan)))]
pub(super) async fn export(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let body: ExportBody = json::read(&request, payload).await?;
    let ExportBody { recordings, request: asked, devices, assignee, from, until } = body;
    let serials = devices.iter().map(|serial| name("serial", serial)).collect::<Result<_, Failure>>()?;
    let assignee = assignee.map(|assignee| name("assignee", &assignee)).transpose()?;
    let selection = Selection { recordings, request: asked, serials, assignee, from, until };
    Ok(HttpResponse::Created().json(server.engine.export(selection, by(&request)).await?))
}

/// The checksum of the list of the files in an export, which the server is to sign.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignExportBody {
    pub(crate) files: Sha256,
}

/// The server's signature over the list of the files in an export.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SignedExport {
    /// A compact JWS (ES256).
    pub(crate) signed: String,
}

/// Signs the list of the files in an export, once.
#[utoipa::path(post, path = "/api/v1/exports/{id}/signature", params(("id" = String, Path)),
    request_body = SignExportBody, responses((status = 200, body = SignedExport)))]
pub(super) async fn sign(
    server: Data<Server>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<SignedExport>, Failure> {
    let SignExportBody { files } = json::read(&request, payload).await?;
    let no_id = |_| Failure::new(ProblemType::NotFound, "the id of an export is 32 hexadecimal digits");
    let export: ExportId = id.parse().map_err(no_id)?;
    Ok(Json(SignedExport { signed: server.engine.sign_export(export, files, by(&request)).await? }))
}
