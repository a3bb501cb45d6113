//! `POST /enrolments`, `GET /enrolments/{id}`: how a device becomes known.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use longshore_actors::{Claim, ClaimRefused, DecisionError, Notice};
use longshore_model::{BASE64URL, Description, Enrolment, EnrolmentId, EnrolmentState, Sha256, TokenId, health_type};
use longshore_protocol::{
    Approval, CodeSecret, EnrolmentAnswer, EnrolmentDevice, EnrolmentRequest, EnrolmentStatus, EnrolmentText,
    ProblemType, headers, limits,
};

use super::super::Server;
use super::super::connection::name_of_network;
use super::super::error::Failure;
use super::super::json;
use super::super::operator::name;
use super::{Stranger, address, prefer};
use crate::identity::is_p256;
use crate::tls::ClientKey;

/// Takes a request to be known: 202, pending.
pub(crate) async fn request(
    server: Data<Server>,
    Stranger(key): Stranger,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let key = own_key(key)?;
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = authorization.and_then(|value| value.strip_prefix(headers::ENROL_SCHEME)?.strip_prefix(' '));
    let (token, secret_hash) = credentials.and_then(|credentials| token(credentials.trim())).ok_or_else(|| {
        let detail = format!(
            "Authorization: {} <token-id>.<secret>, from the enrolment text, or the last 12 letters of a code",
            headers::ENROL_SCHEME
        );
        Failure::new(ProblemType::Unauthenticated, detail)
    })?;
    let body: EnrolmentRequest = json::read(&request, payload).await?;
    let EnrolmentDevice { uid, model, serial, firmware, macs, bay_mac } = body.device;
    if macs.len() > limits::MACS {
        return Err(Failure::malformed(format!("a device has at most {} addresses", limits::MACS)));
    }
    // Admins read them in a terminal, before anybody has decided who the device is.
    let said = |what, said: Option<String>| said.map(|said| name(what, &said)).transpose();
    let (serial, model, uid) = (said("serial", serial)?, said("model", model)?, said("uid", uid)?);
    let (firmware, bay_mac) = (said("firmware", firmware)?, said("bay's address", bay_mac)?);
    let macs = macs.iter().map(|mac| name("address", mac)).collect::<Result<_, _>>()?;
    let description = Description { uid, firmware, macs, bay_mac };
    let spki = BASE64URL.encode(&key.spki);
    let (address, said) = (address(&request), serial.clone());
    let claim = Claim { token, secret_hash, serial, model, description, address, key: key.sha256, spki };
    let enrolment = server.engine.request_enrolment(claim).await.inspect_err(|error| {
        if matches!(error, DecisionError::Refused(ClaimRefused::Rejected)) {
            let called = address.map(|address| format!("it calls from {address}"));
            let who = said.or_else(|| address.map(name_of_network)).unwrap_or_default();
            let notice = Notice::of_server(health_type::DEVICE_REJECTED).part(who);
            server.engine.notices().happened(notice.text(called.unwrap_or_default()));
        }
    })?;
    Ok(HttpResponse::Accepted().json(answer(&server, enrolment)?))
}

/// Answers when the enrolment is decided, or when the time in `Prefer: wait` is over (RFC 7240).
pub(crate) async fn wait(
    server: Data<Server>,
    Stranger(key): Stranger,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let key = own_key(key)?;
    let not_found =
        || Failure::new(ProblemType::EnrolmentNotFound, "it was made with another key, or at another server");
    let id: EnrolmentId = id.parse().map_err(|_| not_found())?;
    // Watched before it is looked at, so that no decision falls between the two.
    let decided = server.engine.watch_enrolment(id).await?;
    let look = || async { server.engine.enrolment(id, key.sha256).await?.ok_or_else(not_found) };
    let mut enrolment = look().await?;
    if enrolment.state == EnrolmentState::Pending
        && let Some(mut decided) = decided
    {
        let mut draining = server.draining.clone();
        tokio::select! {
            _ = decided.changed() => {}
            _ = draining.wait_for(|draining| *draining) => {}
            () = tokio::time::sleep(prefer::wait(&request)) => {}
        }
        enrolment = look().await?;
    }
    Ok(HttpResponse::Ok().json(answer(&server, enrolment)?))
}

/// Which token is meant, and the checksum of the secret that is shown for it. A code has no id: its device is looked up.
fn token(credentials: &str) -> Option<(Option<TokenId>, Sha256)> {
    if let Ok(secret) = credentials.parse::<CodeSecret>() {
        return Some((None, Sha256::of(secret.to_string().as_bytes())));
    }
    let (token, secret) = EnrolmentText::parse_credentials(credentials)?;
    Some((Some(token), Sha256::of(&secret)))
}

fn own_key(key: Option<ClientKey>) -> Result<ClientKey, Failure> {
    let key = key.ok_or_else(|| {
        let detail = "connect with a self-signed client certificate of the device's own key";
        Failure::new(ProblemType::Unauthenticated, detail)
    })?;
    if is_p256(&key.spki) { Ok(key) } else { Err(Failure::malformed("a device's key must be a P-256 key")) }
}

fn answer(server: &Server, enrolment: Enrolment) -> Result<EnrolmentAnswer, Failure> {
    let waits = enrolment.waits(server.clock.now());
    let Enrolment { id, code, serial, model, state, device, spki, .. } = enrolment;
    let status = match (state, device) {
        (EnrolmentState::Approved, Some(device)) => {
            let certificate = server.identity.certify(device, &spki).map_err(|error| {
                tracing::error!(%error, "a device's certificate cannot be made");
                Failure::new(ProblemType::Internal, "the certificate cannot be made; the server's log tells more")
            })?;
            let server = server.identity.for_devices(vec![server.url()]);
            EnrolmentStatus::Approved(Approval { device, certificate, server })
        }
        _ if waits => EnrolmentStatus::Pending,
        (EnrolmentState::Rejected, _) => return Err(ClaimRefused::Rejected.into()),
        _ => return Err(ClaimRefused::Lapsed.into()),
    };
    Ok(EnrolmentAnswer { id, code, serial, model, status })
}
