use actix_web::web::{Data, Json};
use longshore_model::DeviceModels;

use super::super::Server;

/// `GET /models`: what is known of models of devices, by name.
pub(crate) async fn list(server: Data<Server>) -> Json<DeviceModels> {
    Json(server.engine.models().clone())
}
