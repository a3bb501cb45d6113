//! Tokens with which standard clients upload in a device's name.

use actix_web::web::{Data, Json, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::KeylessDevice;
use longshore_model::TokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::devices::{name, row};
use super::{DeviceRow, by};

/// Asks for a token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueUploadTokenBody {
    pub(crate) serial: String,
    /// Where the device is not known yet and has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keyless: Option<Keyless>,
}

/// A device that is to be made known without a key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keyless {
    pub(crate) model: String,
    pub(crate) assignee: String,
}

/// A token; this is the only time that it is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IssuedUploadToken {
    pub(crate) id: TokenId,
    pub(crate) token: String,
    pub(crate) serial: String,
    pub(crate) issued_at: DateTime<Utc>,
    /// Where uploads go.
    pub(crate) url: String,
}

/// Which token is to be worthless.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeUploadTokenBody {
    pub(crate) serial: String,
    pub(crate) token: TokenId,
}

/// Makes a token with which standard clients upload in a device's name.
#[utoipa::path(post, path = "/api/v1/upload-tokens", request_body = IssueUploadTokenBody,
    responses((status = 201, body = IssuedUploadToken)))]
pub(super) async fn issue(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let IssueUploadTokenBody { serial, keyless } = json::read(&request, payload).await?;
    let serial = name("serial", &serial)?;
    let keyless = keyless.map(|Keyless { model, assignee }| {
        Ok::<_, Failure>(KeylessDevice { model: name("model", &model)?, assignee: name("assignee", &assignee)? })
    });
    let issued = server.engine.issue_upload_token(serial.clone(), keyless.transpose()?, by(&request)).await?;
    let url = format!("{}{}", server.url().trim_end_matches('/'), longshore_protocol::paths::UPLOADS);
    let (id, issued_at) = (issued.token.id, issued.token.issued_at);
    Ok(HttpResponse::Created().json(IssuedUploadToken { id, token: issued.text, serial, issued_at, url }))
}

/// Makes a token for uploads worthless.
#[utoipa::path(post, path = "/api/v1/upload-token-revocations", request_body = RevokeUploadTokenBody,
    responses((status = 200, body = DeviceRow)))]
pub(super) async fn revoke(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let RevokeUploadTokenBody { serial, token } = json::read(&request, payload).await?;
    let revoked = server.engine.revoke_upload_token(name("serial", &serial)?, token, by(&request)).await?;
    Ok(Json(row(&server, revoked).await?))
}
