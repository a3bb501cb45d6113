//! `GET /desired`: what the server wants of this device; held back until it changes, for those who would wait.

use actix_web::http::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use longshore_actors::Desires;
use longshore_model::{Device, Sha256};
use longshore_protocol::{Desired, DesiredCommand, DesiredRequest};
use serde::Serialize;

use super::super::Server;
use super::super::error::Failure;
use super::caller::still_in_service;
use super::{DesiredTag, InService, prefer};

/// The document; 304 if the device has it and nothing changed for as long as it would wait, 204 if the server stops.
pub(crate) async fn desired(
    server: Data<Server>,
    InService(device): InService,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let mut wants = server.engine.wants(device.id).await?;
    let mut config = server.config.clone();
    // What changed before this request is in its answer.
    config.mark_unchanged();
    let mut now = (device, wants.borrow_and_update().clone());
    let patience = prefer::wait(&request);
    if !patience.is_zero() && knows(request.headers(), &tag(&server, &now.0, &now.1)) {
        let ends = server.engine.park(now.0.id).await?;
        let mut draining = server.draining.clone();
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return Ok(HttpResponse::NoContent().finish()),
            _ = wants.changed() => {}
            _ = config.changed() => {}
            _ = ends => {}
            () = tokio::time::sleep(patience) => {}
        }
        // It may have been suspended meanwhile.
        let device = still_in_service(&server, &now.0).await?;
        now = (device, wants.borrow_and_update().clone());
    }
    let (device, wanted) = now;
    let tag = tag(&server, &device, &wanted);
    request.extensions_mut().insert(DesiredTag(tag.clone()));
    if knows(request.headers(), &tag) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    server.engine.handed_over(device.id, wanted.new_to_it());
    Ok(HttpResponse::Ok().insert_header((ETAG, tag)).json(document(&server, &device, &wanted)))
}

/// Whether the client has the document of this tag (RFC 9110 §13.1.2).
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The strong ETag (RFC 9110 §8.8.3) of the document, its time left out. What people want of the device counts by its digest,
/// since this is computed for every answer.
pub(super) fn tag(server: &Server, device: &Device, wants: &Desires) -> String {
    #[derive(Serialize)]
    struct Told<'a> {
        state: &'a str,
        pin: Sha256,
        url: String,
        wants: Option<Sha256>,
    }
    let told = Told { state: device.state.as_str(), pin: server.identity.pin, url: server.url(), wants: wants.digest };
    let hash = Sha256::of(&serde_json::to_vec(&told).unwrap_or_default()).to_string();
    format!("\"{}\"", &hash[..16])
}

fn document(server: &Server, device: &Device, wants: &Desires) -> Desired {
    let requests = wants.requests.iter().map(|asked| DesiredRequest {
        id: asked.request.id,
        cameras: asked.request.cameras.clone(),
        from: asked.request.span.from,
        to: asked.request.span.to,
        device_from: asked.device_from,
        device_to: asked.device_to,
        priority: asked.request.priority,
        expires: asked.request.expires,
    });
    let commands = wants.commands.iter().map(|command| DesiredCommand { id: command.id, op: command.op });
    Desired {
        time: server.now(),
        state: device.state,
        profile: wants.profile.clone(),
        requests: requests.collect(),
        commands: commands.collect(),
        offer_again: wants.offer_again,
        server: server.identity.for_devices(vec![server.url()]),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_tag_is_known_in_a_list_and_in_its_weak_form_and_not_as_a_part_of_another() {
        for (value, known) in
            [("\"a\"", true), ("\"b\", \"a\"", true), ("W/\"a\"", true), ("*", true), ("\"aa\"", false), ("a", false)]
        {
            let mut headers = HeaderMap::new();
            assert!(!knows(&headers, "\"a\""));
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
            assert_eq!(knows(&headers, "\"a\""), known, "{value}");
        }
    }
}
