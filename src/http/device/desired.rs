//! `GET /desired`: what the server wants of this device.

use actix_web::http::header::{ETAG, IF_NONE_MATCH};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use longshore_model::{Device, Sha256};
use longshore_protocol::Desired;

use super::super::Server;
use super::super::error::Failure;
use super::InService;

/// The document, or 304 if the device has it.
pub(crate) async fn desired(
    server: Data<Server>,
    InService(device): InService,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let offer_again = server.engine.offer_again(device.id).await?;
    let tag = tag(&server, &device, offer_again);
    if request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((ETAG, tag)).json(document(&server, &device, offer_again)))
}

/// The strong ETag (RFC 9110 §8.8.3) of the document, its time left out.
pub(crate) fn tag(server: &Server, device: &Device, offer_again: u64) -> String {
    let document = Desired { time: device.approved_at, ..document(server, device, offer_again) };
    let hash = Sha256::of(&serde_json::to_vec(&document).unwrap_or_default()).to_string();
    format!("\"{}\"", &hash[..16])
}

fn document(server: &Server, device: &Device, offer_again: u64) -> Desired {
    let identity = server.identity.for_devices(vec![server.url()]);
    Desired { time: server.now(), state: device.state, offer_again, server: identity }
}
