//! Going back to an earlier version of a config profile.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::devices::name;
use super::profiles::{AppliedProfile, applied};

/// Which profile is to be again as it was, and when.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevertProfileBody {
    pub(crate) profile: String,
    pub(crate) version: u32,
}

/// Makes a new version of a config profile that sets what an earlier one did, with its passwords.
#[utoipa::path(post, path = "/api/v1/profile-reversions", request_body = RevertProfileBody,
    responses((status = 201, description = "it is new", body = AppliedProfile), (status = 200, body = AppliedProfile)))]
pub(crate) async fn revert(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let RevertProfileBody { profile, version } = json::read(&request, payload).await?;
    let profile = name("profile", &profile)?;
    Ok(applied(server.engine.revert_profile(profile, version, by(&request)).await?))
}
