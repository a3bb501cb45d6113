//! `GET /hello`.

use actix_web::web::{Data, Json};
use longshore_protocol::Hello;

use super::super::Server;
use super::Stranger;

/// Who the server is, for anyone who wants to compare it with what they were told.
pub(crate) async fn hello(server: Data<Server>, _: Stranger) -> Json<Hello> {
    Json(Hello {
        server: server.identity.receipt_key.server_id().to_owned(),
        fingerprint: server.identity.fingerprint(),
        time: server.now(),
        versions: vec![1],
    })
}
