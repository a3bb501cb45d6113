use std::collections::HashMap;

use actix_web::web::{self, Data, Json};
use longshore_actors::ActorStatus;
use longshore_model::DeviceId;

use super::super::Server;
use super::super::error::Failure;

/// The parts of the running server, parents before their children; devices by the names that people know.
#[utoipa::path(get, path = "/api/v1/actors", responses((status = 200, body = [ActorStatus])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<ActorStatus>>, Failure> {
    let mut actors = server.engine.actors();
    let index = server.engine.catalogue().index().clone();
    let devices = web::block(move || index.devices()).await??;
    let names: HashMap<DeviceId, String> =
        devices.into_iter().map(|device| (device.id, format!("{} {}", device.model, device.serial))).collect();
    for actor in &mut actors {
        if let Some(name) = actor.device.and_then(|device| names.get(&device)) {
            actor.name = format!("{} of {name}", actor.name);
        }
    }
    Ok(Json(actors))
}
