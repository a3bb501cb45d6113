//! Sites and docks.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use longshore_actors::SiteChange;
use longshore_model::{Dock, Site, Timetable};
use serde::{Deserialize, Serialize};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::devices::name;
use super::places::Places;

/// Which one; in the query, since a name may hold anything.
#[derive(Debug, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
}

/// All sites.
#[utoipa::path(get, path = "/api/v1/sites", responses((status = 200, body = [Site])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<Site>>, Failure> {
    Ok(Json(places(&server).await?.sites))
}

/// A site that is to be made, or what is to be changed of the one of that name.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteBody {
    pub(crate) name: String,
    /// Networks that devices call from when they are there; left out, they stay. A new site has to have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(crate) networks: Option<Vec<IpNet>>,
    /// What all devices that are there may send together, such as `unlimited, 07:00-19:00 50 Mbit/s`; left out, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Timetable>,
}

/// Makes a site, or gives the one of that name other networks or another rate.
#[utoipa::path(post, path = "/api/v1/sites", request_body = SiteBody,
    responses((status = 201, description = "it is new", body = Site), (status = 200, body = Site)))]
pub(super) async fn set(server: Data<Server>, request: HttpRequest, body: Payload) -> Result<HttpResponse, Failure> {
    let SiteBody { name: called, networks, rate } = json::read(&request, body).await?;
    let change = SiteChange { networks, rate };
    let (site, is_new) = server.engine.set_site(name("name", &called)?, change, by(&request)).await?;
    server.rates.look().await;
    Ok(HttpResponse::build(created(is_new)).json(site))
}

/// Removes a site that no dock and no device has as its own.
#[utoipa::path(delete, path = "/api/v1/site", params(Named), responses((status = 204)))]
pub(super) async fn remove(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Named>,
) -> Result<HttpResponse, Failure> {
    server.engine.remove_site(which.into_inner().name, by(&request)).await?;
    server.rates.look().await;
    Ok(HttpResponse::NoContent().finish())
}

/// All docks, each with its bays in the order of its label.
#[utoipa::path(get, path = "/api/v1/docks", responses((status = 200, body = [Dock])))]
pub(super) async fn list_docks(server: Data<Server>) -> Result<Json<Vec<Dock>>, Failure> {
    Ok(Json(places(&server).await?.docks))
}

/// Makes a dock, or gives the one of that name other bays or another site.
#[utoipa::path(post, path = "/api/v1/docks", request_body = Dock,
    responses((status = 201, description = "it is new", body = Dock), (status = 200, body = Dock)))]
pub(super) async fn set_dock(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Failure> {
    let Dock { name: called, site, bays } = json::read(&request, body).await?;
    let dock = Dock { name: name("name", &called)?, site, bays };
    let (dock, is_new) = server.engine.set_dock(dock, by(&request)).await?;
    Ok(HttpResponse::build(created(is_new)).json(dock))
}

/// Removes a dock.
#[utoipa::path(delete, path = "/api/v1/dock", params(Named), responses((status = 204)))]
pub(super) async fn remove_dock(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Named>,
) -> Result<HttpResponse, Failure> {
    server.engine.remove_dock(which.into_inner().name, by(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn created(is_new: bool) -> StatusCode {
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

async fn places(server: &Server) -> Result<Places, Failure> {
    let index = server.engine.catalogue().index().clone();
    Ok(web::block(move || Places::read(&index)).await??)
}
