use actix_web::web::{Data, Json};
use longshore_model::DeviceModels;

use super::super::Server;

/// What is known of models of devices, by name.
#[utoipa::path(get, path = "/api/v1/models", responses((status = 200, body = DeviceModels)))]
pub(crate) async fn list(server: Data<Server>) -> Json<DeviceModels> {
    Json(DeviceModels::clone(&server.engine.models()))
}
