//! What a device is to do once.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use longshore_model::{Command, CommandOp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::devices::name;

/// Tells a device to do something.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandBody {
    pub(crate) serial: String,
    pub(crate) op: CommandOp,
}

/// Tells a device to do something once; what waits already is not told twice.
#[utoipa::path(post, path = "/api/v1/commands", request_body = CommandBody, responses((status = 200, body = Command)))]
pub(crate) async fn give(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<Command>, Failure> {
    let CommandBody { serial, op } = json::read(&request, payload).await?;
    Ok(Json(server.engine.command(name("serial", &serial)?, op, by(&request)).await?))
}
