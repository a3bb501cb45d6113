//! Footage that people ask for.

use actix_web::web::{Data, Json, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::{CancelRefused, Draft, MailAddress, MailRefused, RequestView};
use longshore_model::{RequestId, VideoRequest};
use longshore_protocol::ProblemType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::access::{Needs, caller, nobody};
use super::by;
use super::devices::name;

/// Characters of a note: a paragraph.
const NOTE_CHARS: usize = 1000;
/// Cameras of one request: as many as the largest recorder has.
const CAMERAS: usize = 16;
/// Requests of one list, the newest: more than anybody reads.
const LISTED: usize = 1000;

/// Asks for footage.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestBody {
    /// Serials.
    pub(crate) devices: Vec<String>,
    /// Of which of their cameras; none: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cameras: Vec<String>,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    /// 1 (most urgent) to 9; without it 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// Who is told by mail that it was taken and what became of it, besides the requester.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub(crate) notify: Vec<MailAddress>,
    /// Without it, 30 days from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<DateTime<Utc>>,
    /// By which a repeated call finds the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// Asks for footage: 201, or 200 if it was asked for before.
#[utoipa::path(post, path = "/api/v1/requests", request_body = RequestBody,
    responses((status = 201, description = "it is new", body = RequestView), (status = 200, body = RequestView)))]
pub(crate) async fn add(server: Data<Server>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Failure> {
    let body: RequestBody = json::read(&request, payload).await?;
    let RequestBody { devices, cameras, from, to, priority, note, notify, expires, key } = body;
    if !notify.is_empty() && !server.engine.has_mail() {
        return Err(MailRefused::NotSetUp.into());
    }
    if cameras.len() > CAMERAS {
        return Err(Failure::malformed(format!("a request is for at most {CAMERAS} cameras; without any, for all")));
    }
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS) {
        return Err(Failure::malformed(format!("a note has at most {NOTE_CHARS} characters")));
    }
    let names = |what: &str, names: Vec<String>| -> Result<Vec<String>, Failure> {
        names.iter().map(|one| name(what, one)).collect()
    };
    // A device that has but one camera may not name it.
    let cameras = cameras.into_iter().filter(|camera| !camera.is_empty()).collect();
    let draft = Draft {
        key: key.map(|key| name("key", &key)).transpose()?,
        requester: by(&request),
        serials: names("serial", devices)?,
        cameras: names("camera", cameras)?,
        from,
        to,
        priority: priority.unwrap_or(VideoRequest::PRIORITY),
        note,
        notify,
        expires,
    };
    let added = server.engine.request_video(draft).await?;
    let view = view(&server, added.request.id).await?;
    Ok(if added.is_new { HttpResponse::Created().json(view) } else { HttpResponse::Ok().json(view) })
}

/// What was asked for, the newest first.
#[utoipa::path(get, path = "/api/v1/requests", responses((status = 200, body = [RequestView])))]
pub(crate) async fn list(server: Data<Server>) -> Result<Json<Vec<RequestView>>, Failure> {
    Ok(Json(server.engine.newest_requests(LISTED).await?))
}

/// One request for footage.
#[utoipa::path(get, path = "/api/v1/requests/{id}", params(("id" = String, Path)),
    responses((status = 200, body = RequestView)))]
pub(crate) async fn show(server: Data<Server>, id: Path<String>) -> Result<Json<RequestView>, Failure> {
    Ok(Json(view(&server, parse(&id)?).await?))
}

/// Gives a request for footage up: one's own, or as a device admin or admin anybody's.
#[utoipa::path(post, path = "/api/v1/requests/{id}/cancel", params(("id" = String, Path)),
    responses((status = 200, body = RequestView)))]
pub(crate) async fn cancel(
    server: Data<Server>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<Json<RequestView>, Failure> {
    let (id, person) = (parse(&id)?, caller(&request).ok_or_else(nobody)?);
    let anybodys = person.may(Needs::Devices);
    server.engine.cancel_request(id, person.name, anybodys).await?;
    Ok(Json(view(&server, id).await?))
}

fn parse(id: &str) -> Result<RequestId, Failure> {
    let no_id = |_| Failure::new(ProblemType::NotFound, "the id of a request is 32 hexadecimal digits");
    id.parse().map_err(no_id)
}

async fn view(server: &Server, id: RequestId) -> Result<RequestView, Failure> {
    let found = server.engine.request(id).await?;
    found.ok_or_else(|| CancelRefused::Unknown(id).into())
}
