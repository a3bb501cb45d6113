//! Who calls: the device behind the connection's key, looked up at every request, so that a decision of an admin counts
//! at once.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use longshore_actors::{Credential, Notice};
use longshore_model::{Device, DeviceState, Sha256, health_type};
use longshore_protocol::{ProblemType, limits};

use super::super::Server;
use super::super::connection::{Connection, name_of_network};
use super::super::error::Failure;
use super::desired;
use crate::tls::ClientKey;

/// A device that may hand over recordings: every one that is enrolled and not retired, a suspended one too, since what
/// it holds may be evidence.
pub(crate) struct Caller(pub(crate) Device);

/// A device that may send to uploads: any [`Caller`], or one whose client shows a token for uploads.
pub(crate) struct Uploader {
    pub(crate) device: Device,
    /// It comes by a token: a client that knows uploads and nothing else of the protocol.
    pub(crate) by_token: bool,
}

/// A device in service.
pub(crate) struct InService(pub(crate) Device);

/// Anyone, within the bound on strangers; with the key that they proved to hold, if any.
pub(crate) struct Stranger(pub(crate) Option<ClientKey>);

/// Seconds after which a suspended device may ask again: an admin decides, not a moment.
const WHILE_SUSPENDED: u64 = 600;

/// ETag of the document that the server wants the device to read; every answer to a device carries it.
pub(crate) struct DesiredTag(pub(crate) String);

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

impl FromRequest for Caller {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(key) = key_of(&request) else {
                admit_stranger(&request)?;
                let detail = "connect with the client certificate of the device's enrolled key";
                return Err(Failure::new(ProblemType::Unauthenticated, detail));
            };
            let server = server_of(&request)?;
            let Some(device) = server.engine.identify(Credential::Key(key.sha256)).await? else {
                admit_stranger(&request)?;
                let address = address(&request);
                server.turned_away(address, "keys that no device here has");
                let unknown = Notice::of_server(health_type::DEVICE_UNKNOWN).text(format!("its key is {}", key.sha256));
                let part = address.map_or_else(|| "an unknown address".to_owned(), name_of_network);
                server.engine.notices().happened(unknown.part(part));
                let detail = "enrol this device; it may have been enrolled at another server, or not approved yet";
                return Err(Failure::new(ProblemType::UnknownDevice, detail));
            };
            let device = admit_device(&request, &server, device, false)?;
            if device.state == DeviceState::Suspended {
                // No settings, not even a hint that there are new ones.
                return Ok(Self(device));
            }
            let wants = server.engine.wants(device.id).await?;
            let tag = desired::tag(&server, &device, &wants.borrow());
            request.extensions_mut().insert(DesiredTag(tag));
            Ok(Self(device))
        })
    }
}

impl FromRequest for Uploader {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(token) = bearer(request) else {
            let caller = Caller::from_request(request, payload);
            return Box::pin(async move { Ok(Self { device: caller.await?.0, by_token: false }) });
        };
        let request = request.clone();
        Box::pin(async move {
            let server = server_of(&request)?;
            let Some(device) = server.engine.identify(Credential::UploadToken(token)).await? else {
                admit_stranger(&request)?;
                server.turned_away(address(&request), "tokens for uploads that nobody has");
                let detail = "the token is unknown, or was revoked; ask for a new one";
                return Err(Failure::new(ProblemType::Unauthenticated, detail));
            };
            let device = admit_device(&request, &server, device, true)?;
            Ok(Self { device, by_token: true })
        })
    }
}

/// The checksum of a token, if one is shown (RFC 6750).
pub(in crate::http) fn bearer(request: &HttpRequest) -> Option<Sha256> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Sha256::of(token.trim().as_bytes()))
}

/// Bounds on one that is known; it is no stranger from now on.
fn admit_device(request: &HttpRequest, server: &Server, device: Device, by_token: bool) -> Result<Device, Failure> {
    let connection = request.conn_data::<Connection>();
    if let Some(connection) = connection {
        let by_token = by_token.then(|| connection.enter_for(device.id, &server.connections));
        check_connections(by_token.unwrap_or(connection.of_this_key))?;
    }
    let device = not_retired(device)?;
    if let Some(ends) = connection.and_then(|connection| connection.ends) {
        server.lobby.recognised(ends);
    }
    let address = address(request);
    // It goes with the request, whatever becomes of its handler.
    request.extensions_mut().insert(server.engine.presence().call(device.id, address));
    Ok(device)
}

impl FromRequest for InService {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        Box::pin(async move {
            let Caller(device) = caller.await?;
            not_suspended(device).map(Self)
        })
    }
}

fn not_suspended(device: Device) -> Result<Device, Failure> {
    if device.state == DeviceState::Suspended {
        let detail = "it may offer and upload; receipts and settings come when an admin activates it again";
        return Err(Failure::new(ProblemType::DeviceSuspended, detail).retry_after(WHILE_SUSPENDED));
    }
    Ok(device)
}

fn not_retired(device: Device) -> Result<Device, Failure> {
    if device.state == DeviceState::Retired {
        let detail = "it has to be enrolled anew before it may do anything here";
        return Err(Failure::new(ProblemType::DeviceRetired, detail));
    }
    Ok(device)
}

/// The device as it is now, after its request has waited.
pub(super) async fn still_in_service(server: &Server, device: &Device) -> Result<Device, Failure> {
    let (index, id) = (server.engine.catalogue().index().clone(), device.id);
    let now = actix_web::web::block(move || index.device(id)).await??;
    let known = now.filter(|now| now.key == device.key);
    let detail = "its key was replaced while the request waited";
    not_suspended(not_retired(known.ok_or_else(|| Failure::new(ProblemType::UnknownDevice, detail))?)?)
}

impl FromRequest for Stranger {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let admitted = admit_stranger(request).map(|()| Self(key_of(request)));
        Box::pin(std::future::ready(admitted))
    }
}

pub(in crate::http) fn server_of(request: &HttpRequest) -> Result<Data<Server>, Failure> {
    let server = request.app_data::<Data<Server>>().cloned();
    server.ok_or_else(|| Failure::new(ProblemType::Internal, StatusCode::INTERNAL_SERVER_ERROR.as_str()))
}

/// From which the connection comes.
pub(in crate::http) fn address(request: &HttpRequest) -> Option<IpAddr> {
    request.conn_data::<Connection>()?.address
}

fn key_of(request: &HttpRequest) -> Option<ClientKey> {
    request.conn_data::<Connection>()?.key.clone()
}

/// Counts one more request of somebody who is not known.
pub(in crate::http) fn admit_stranger(request: &HttpRequest) -> Result<(), Failure> {
    let Some(address) = address(request) else {
        return Ok(());
    };
    let server = server_of(request)?;
    server.strangers.admit(address, Instant::now()).map_err(|wait| {
        let detail =
            format!("{} requests a minute without an enrolled key or a good token", limits::UNAUTHENTICATED_PER_MINUTE);
        Failure::new(ProblemType::TooMany, detail).retry_after(wait.as_secs() + 1)
    })
}

fn check_connections(count: usize) -> Result<(), Failure> {
    if count <= limits::CONNECTIONS {
        return Ok(());
    }
    let detail = format!("a device has at most {} connections; close some", limits::CONNECTIONS);
    Err(Failure::new(ProblemType::TooMany, detail).retry_after(1).closing())
}
