//! Who is connected, and who was.

use actix_web::web::{self, Data, Json, Query};
use chrono::TimeDelta;
use longshore_model::{DeviceId, Session};
use longshore_store::index::{Index, OpenSession};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::device::{Which, find};
use super::places::Places;

/// Sessions that ended longer ago are not shown: for longer than a year nobody asks from which bay a camera came.
const SHOWN: TimeDelta = TimeDelta::days(400);

/// A device that is connected.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionRow {
    pub(crate) serial: String,
    pub(crate) model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    #[serde(flatten)]
    pub(crate) placed: PlacedSession,
}

/// A session, and where that is, by the sites and docks as they are now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PlacedSession {
    #[serde(flatten)]
    pub(crate) session: Session,
    /// The site from whose network it called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
    /// As `North, bay 5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bay: Option<String>,
}

impl PlacedSession {
    fn of(session: Session, places: &Places) -> Self {
        let bay_mac = session.network.as_ref().and_then(|network| network.bay_mac.as_deref());
        let (site, bay) = (places.site(session.address), places.bay(bay_mac));
        Self { session, site, bay }
    }
}

/// The devices that are connected, the one that came first first.
#[utoipa::path(get, path = "/api/v1/sessions", responses((status = 200, body = [SessionRow])))]
pub(crate) async fn list(server: Data<Server>) -> Result<Json<Vec<SessionRow>>, Failure> {
    let connected = server.engine.presence().sessions();
    let index = server.engine.catalogue().index().clone();
    let rows = web::block(move || {
        let (places, mut rows) = (Places::read(&index)?, Vec::with_capacity(connected.len()));
        for (id, session) in connected {
            // A device that was forgotten by a journal from a backup has no row.
            let Some(device) = index.device(id)? else { continue };
            let assignee = device.assignments.last().map(|last| last.assignee.clone());
            let placed = PlacedSession::of(with_recordings(&index, id, session)?, &places);
            rows.push(SessionRow { serial: device.serial, model: device.model, assignee, placed });
        }
        rows.sort_by(|a, b| (a.placed.session.began, &a.serial).cmp(&(b.placed.session.began, &b.serial)));
        Ok::<_, Failure>(rows)
    });
    Ok(Json(rows.await??))
}

/// When a device was connected, the newest first; the first is open if it is connected.
#[utoipa::path(get, path = "/api/v1/device-sessions", params(("serial" = String, Query)),
    responses((status = 200, body = [PlacedSession])))]
pub(crate) async fn of_device(
    server: Data<Server>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<PlacedSession>>, Failure> {
    let (connected, now) = (server.engine.presence().sessions(), server.now());
    let index = server.engine.catalogue().index().clone();
    let sessions = web::block(move || {
        let device = find(&index, &which.serial)?;
        let open = connected.into_iter().find(|(id, _)| *id == device.id);
        let open = open.map(|(id, session)| with_recordings(&index, id, session)).transpose()?;
        let ended = index.sessions(device.id)?.into_iter();
        let ended = ended.filter(|session| session.ended.is_none_or(|ended| now - ended <= SHOWN));
        let places = Places::read(&index)?;
        Ok::<_, Failure>(open.into_iter().chain(ended).map(|session| PlacedSession::of(session, &places)).collect())
    });
    Ok(Json(sessions.await??))
}

/// What became complete in a session that is open stands in the index.
fn with_recordings(index: &Index, device: DeviceId, session: Session) -> Result<Session, Failure> {
    let open = index.open_session(device)?.map(|OpenSession { session, .. }| session);
    // The journal may lag a moment behind, with the session before.
    let Some(known) = open.filter(|known| known.began == session.began) else { return Ok(session) };
    Ok(Session { recordings: known.recordings, stored: known.stored, ..session })
}
