//! The device protocol, version 1: what `docs/PROTOCOL.md` tells, on the port.

mod blocks;
mod caller;
mod clock;
mod deletions;
mod desired;
mod enrolments;
mod health;
mod hello;
mod offers;
mod prefer;
mod reported;
mod uploads;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Data, ServiceConfig, delete, get, head, method, patch, post, put, resource, scope};
use actix_web::{Error, HttpMessage as _};
use longshore_protocol::{headers, paths};

use super::Server;
use super::error::{Failure, only};
pub(crate) use caller::{Caller, DesiredTag, InService, Stranger, Uploader};
pub(super) use caller::{address, admit_stranger, bearer, server_of};
use uploads::{rufh, tus};

/// All of it.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.service(resource(paths::HELLO).route(get().to(hello::hello)).default_service(only("GET")));
    config.service(resource(paths::ENROLMENTS).route(post().to(enrolments::request)).default_service(only("POST")));
    config.service(
        resource(format!("{}/{{id}}", paths::ENROLMENTS))
            .route(get().to(enrolments::wait))
            .default_service(only("GET")),
    );
    config.service(
        scope("/device/v1")
            .wrap(from_fn(answer_headers))
            .wrap(from_fn(meant_method))
            .service(resource("/desired").route(get().to(desired::desired)).default_service(only("GET")))
            .service(resource("/reported").route(put().to(reported::report)).default_service(only("PUT")))
            .service(resource("/offers").route(post().to(offers::offer)).default_service(only("POST")))
            .service(resource("/deletions").route(post().to(deletions::report)).default_service(only("POST")))
            .service(resource("/health-events").route(post().to(health::report)).default_service(only("POST")))
            .service(
                resource("/recordings/{rid}/blocks").route(post().to(blocks::repair)).default_service(only("POST")),
            )
            .service(
                resource("/uploads")
                    .route(post().guard(fn_guard(rufh::is_meant)).to(rufh::create))
                    .route(post().to(tus::create))
                    .route(method(Method::OPTIONS).to(tus::options))
                    .default_service(only("POST, OPTIONS")),
            )
            .service(
                resource("/uploads/{id}")
                    .route(head().guard(fn_guard(rufh::is_meant)).to(rufh::offset))
                    .route(head().to(tus::offset))
                    .route(patch().guard(fn_guard(rufh::is_meant)).to(rufh::append))
                    .route(patch().to(tus::append))
                    .route(delete().guard(fn_guard(rufh::is_meant)).to(rufh::terminate))
                    .route(delete().to(tus::terminate))
                    .route(method(Method::OPTIONS).to(tus::options))
                    .default_service(only("HEAD, PATCH, DELETE, OPTIONS")),
            ),
    );
}

/// On uploads, the method that a client means where its network does not let that one through (tus 1.0.0).
async fn meant_method(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let meant = request.headers().get(headers::METHOD_OVERRIDE).map(|value| Method::from_bytes(value.as_bytes()));
    if let Some(meant) = meant.filter(|_| request.path().starts_with(paths::UPLOADS)) {
        let wrong = |_| Failure::malformed(format!("{} must be a method", headers::METHOD_OVERRIDE));
        request.head_mut().method = meant.map_err(wrong)?;
    }
    next.call(request).await
}

/// Headers that belong on answers whether they succeed or not.
async fn answer_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_upload = request.path().starts_with(paths::UPLOADS) && request.method() != Method::OPTIONS;
    let server = request.app_data::<Data<Server>>();
    let is_tus = is_upload && !server.is_some_and(|server| rufh::is_spoken(server, request.headers()));
    let mut response = next.call(request).await?;
    let tag = response.request().extensions().get::<DesiredTag>().map(|tag| tag.0.clone());
    let headers = response.headers_mut();
    if is_tus {
        headers.insert(HeaderName::from_static(headers::TUS_RESUMABLE), HeaderValue::from_static(headers::TUS_1_0_0));
    }
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(HeaderName::from_static(headers::DESIRED), tag);
    }
    Ok(response)
}
