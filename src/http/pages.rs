//! What a browser or a monitor sees.

use actix_web::HttpResponse;
use actix_web::web::{Data, Html};

use super::Server;
use super::error::Failure;

/// `GET /`: that this is Longshore and how to go on. No names, no counts: it needs no login.
pub(crate) async fn status(server: Data<Server>) -> Html {
    let fingerprint = server.identity.fingerprint();
    let version = env!("CARGO_PKG_VERSION");
    Html::new(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Longshore</title>\
         <h1>Longshore {version}</h1><p>This server unloads cameras. It is running.\
         <p>Fingerprint of its key (SHA-256): <code>{fingerprint}</code>\
         <p>On the server, <code>longshore device add</code> prints the text that a camera needs.\n"
    ))
}

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the journal takes facts and the engine answers.
pub(crate) async fn readyz(server: Data<Server>) -> Result<HttpResponse, Failure> {
    if *server.draining.borrow() {
        return Err(Failure::shutting_down());
    }
    server.engine.check().await?;
    Ok(HttpResponse::Ok().body("ready\n"))
}
