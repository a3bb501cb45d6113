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

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use chrono::{DateTime, Utc};
use longshore_actors::Engine;
use longshore_model::Clock;
use tokio::sync::{Semaphore, watch};

use crate::config::Config;
use crate::identity::Identity;
use connection::{Connections, Strangers};
use lobby::Lobby;
use operator::Guesses;
use rates::Rates;

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
    /// Places for people who watch devices arrive.
    pub(crate) streams: Arc<Semaphore>,
    /// Turns true when the server stops: whoever waits for news is answered.
    pub(crate) draining: watch::Receiver<bool>,
}

impl Server {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
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
