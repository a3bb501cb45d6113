//! What people did.

use actix_web::web::{self, Data, Json, Query};
use longshore_store::audit::Audited;
use serde::Deserialize;

use super::super::Server;
use super::super::error::Failure;

/// Lines of one answer, unless fewer are asked for.
const LINES: usize = 1_000;

/// Which lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only what is older than the line with this `seq`.
    before: Option<u64>,
    /// At most so many lines; 1,000 if it is left out, and never more.
    count: Option<usize>,
}

/// What people did, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", params(Which), responses((status = 200, body = [Audited])))]
pub(super) async fn list(server: Data<Server>, which: Query<Which>) -> Result<Json<Vec<Audited>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let Which { before, count } = which.into_inner();
    let count = count.unwrap_or(LINES).min(LINES);
    Ok(Json(web::block(move || index.audit(before, count)).await??))
}
