//! What is served, and to whom.

pub(crate) mod connection;
pub(crate) mod device;
pub(crate) mod error;
mod json;
pub(crate) mod lobby;
pub(crate) mod local;
pub(crate) mod operator;
mod pace;
mod pages;
pub(crate) mod port;
pub(crate) mod rates;
mod requests;
pub(crate) mod suspects;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{self, ServiceConfig};
use chrono::{DateTime, Utc};
use longshore_actors::{Engine, Notice};
use longshore_model::{Clock, health_type};
use tokio::sync::{Semaphore, watch};

use crate::config::Config;
use crate::identity::Identity;
use connection::{Connections, Strangers, name_of_network};
use lobby::Lobby;
use operator::Guesses;
use rates::Rates;
use suspects::Suspects;

/// What every handler may use.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) identity: Identity,
    /// As it counts now: a reload may change it.
    pub(crate) config: watch::Receiver<Config>,
    /// Where this server answers by its own opinion; a configured URL goes before it.
    pub(crate) own_url: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connections: Connections,
    pub(crate) strangers: Strangers,
    pub(crate) lobby: Lobby,
    pub(crate) rates: Arc<Rates>,
    pub(crate) guesses: Guesses,
    pub(crate) suspects: Suspects,
    /// Places for people who watch devices arrive.
    pub(crate) streams: Arc<Semaphore>,
    /// Turns true when the server stops: whoever waits for news is answered.
    pub(crate) draining: watch::Receiver<bool>,
}

impl Server {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Somebody at this address could not show who they are.
    pub(crate) fn turned_away(&self, address: Option<IpAddr>, why: &str) {
        if let Some(address) = address.filter(|address| self.suspects.failed(*address, Instant::now())) {
            let notice = Notice::of_server(health_type::AUTHENTICATION_FAILURES).part(name_of_network(address));
            self.engine.notices().happened(notice.text(why));
        }
    }

    /// Where this server answers, for devices.
    pub(crate) fn url(&self) -> String {
        let config = self.config.borrow();
        config.server.url.as_ref().map_or_else(|| self.own_url.clone(), ToString::to_string)
    }
}

/// What answers on the port.
pub(crate) fn on_the_port(config: &mut ServiceConfig) {
    config
        .route("/", web::get().to(pages::status))
        .route("/healthz", web::get().to(pages::healthz))
        .route("/readyz", web::get().to(pages::readyz))
        .configure(device::routes)
        .configure(operator::routes)
        .default_service(web::to(error::nothing_here));
}

/// What answers on the local socket.
pub(crate) fn on_the_socket(config: &mut ServiceConfig) {
    config.configure(operator::routes).default_service(web::to(error::nothing_here));
}
