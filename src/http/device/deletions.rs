//! `POST /deletions`: what the device has deleted, by receipt.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use longshore_protocol::{DeletionRefused, Deletions, DeletionsAnswer, ProblemType, limits};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::{InService, clock};

/// Records each that stands on a receipt of ours for this device.
pub(crate) async fn report(
    server: Data<Server>,
    InService(device): InService,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DeletionsAnswer>, Failure> {
    let Deletions { items, clock: shown } = json::read(&request, payload).await?;
    if items.len() > limits::OFFER_ITEMS {
        let detail = format!("{} deletions are reported, {} may be at once", items.len(), limits::OFFER_ITEMS);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    clock::take(&server, device.id, shown.as_ref()).await?;
    let deletions = items.into_iter().map(|item| (item.receipt, item.deleted_at)).collect();
    let results = server.engine.record_deletions(device.id, deletions).await?;
    let mut answer = DeletionsAnswer { recorded: Vec::new(), refused: Vec::new() };
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(rid) => answer.recorded.push(rid),
            Err(error) => answer.refused.push(DeletionRefused { index, reason: error.to_string() }),
        }
    }
    Ok(Json(answer))
}
