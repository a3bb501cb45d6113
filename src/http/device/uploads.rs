//! `/uploads`: transfers, as tus 1.0.0 (core and creation) tells them.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use actix_web::web::{Data, Path, Payload};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, HttpResponseBuilder};
use longshore_actors::{Attachment, Ended, Held};
use longshore_model::{DeviceId, RecordingId, UploadId};
use longshore_protocol::{Metadata, ProblemType, headers, limits, paths};
use tokio::sync::oneshot;

use super::super::Server;
use super::super::error::Failure;
use super::Caller;
use super::receive::{Outcome, receive};

/// `OPTIONS`: what of tus is spoken here.
pub(crate) async fn options(_: Caller) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((headers::TUS_VERSION, headers::TUS_1_0_0))
        .insert_header((headers::TUS_EXTENSION, "creation"))
        .insert_header((headers::TUS_MAX_SIZE, limits::UPLOAD_BYTES))
        .finish()
}

/// `POST`: makes an upload for an offered recording; made again, it finds the first.
pub(crate) async fn create(
    server: Data<Server>,
    Caller(device): Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    check_version(request.headers())?;
    let length = number(request.headers(), headers::UPLOAD_LENGTH)?;
    if length > limits::UPLOAD_BYTES {
        let detail = format!("a recording has at most {} bytes", limits::UPLOAD_BYTES);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    let rid = rid(request.headers())?;
    let created = server.engine.create_upload(device.id, rid, length).await?;
    let mut ended = Ended { offset: created.offset, receipt: None };
    if created.offset == length {
        // Nothing is left to send: an empty file, or a request that comes again after the last byte.
        ended = look(&server, device.id, created.upload).await?.ended;
    }
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("{}/{}", paths::UPLOADS, created.upload)));
    Ok(progress(response, &ended))
}

/// `HEAD`: how far the upload is, durably. It takes the upload over: whatever hangs on it has to let go.
pub(crate) async fn offset(
    server: Data<Server>,
    Caller(device): Caller,
    upload: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    check_version(request.headers())?;
    let Standing { ended, rid, length } = look(&server, device.id, upload_id(&upload)?).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header((headers::UPLOAD_LENGTH, length)).insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((headers::UPLOAD_METADATA, Metadata::pair("rid", &rid.to_string())));
    Ok(progress(response, &ended))
}

/// How far an upload is, of which recording, and its length.
struct Standing {
    ended: Ended,
    rid: RecordingId,
    length: u64,
}

async fn look(server: &Server, device: DeviceId, upload: UploadId) -> Result<Standing, Failure> {
    match server.engine.attach(device, upload, false).await {
        Ok(Held::Stored { rid, length, receipt }) => {
            Ok(Standing { ended: Ended { offset: length, receipt }, rid, length })
        }
        Ok(Held::Transfer(attachment)) => {
            let (rid, length) = (attachment.rid(), attachment.length());
            Ok(Standing { ended: attachment.end().await?, rid, length })
        }
        Err(error) => {
            // The disk is slow: what was durable before is the answer, and the transfer goes on from there.
            let durable = server.engine.unfinished(device, upload).filter(|_| error.is_slowness()).ok_or(error)?;
            let ended = Ended { offset: durable.offset, receipt: None };
            Ok(Standing { ended, rid: durable.identity.rid, length: durable.identity.length })
        }
    }
}

/// `PATCH`: takes bytes at an offset; at the last of them, the recording is completed.
pub(crate) async fn append(
    server: Data<Server>,
    upload: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    // A task of its own, from the first look at who calls: actix drops the handler as soon as the connection dies, and
    // with it what has arrived and was not read yet. The task hears of that by the sender, which goes with the handler.
    let (_alive, gone) = oneshot::channel();
    let transferring = actix_web::rt::spawn(async move {
        let Caller(device) = Caller::extract(&request).await?;
        let body = Body::new(&upload, &request, payload)?;
        transfer(&server, device.id, body, gone).await
    });
    transferring.await.unwrap_or_else(|_| {
        Err(Failure::new(ProblemType::Unavailable, "the request was interrupted inside the server").retry_after(1))
    })
}

/// What a `PATCH` brings.
struct Body {
    upload: UploadId,
    offset: u64,
    /// By `Content-Length`.
    announced: Option<u64>,
    payload: Payload,
}

impl Body {
    fn new(upload: &str, request: &HttpRequest, payload: Payload) -> Result<Self, Failure> {
        let headers_in = request.headers();
        check_version(headers_in)?;
        let content_type = headers_in.get(CONTENT_TYPE).map(|value| value.as_bytes());
        if content_type != Some(headers::OFFSET_OCTET_STREAM.as_bytes()) {
            let detail = format!("the body must be {}", headers::OFFSET_OCTET_STREAM);
            return Err(Failure::new(ProblemType::UnsupportedContentType, detail));
        }
        let offset = number(headers_in, headers::UPLOAD_OFFSET)?;
        let announced = headers_in.contains_key(CONTENT_LENGTH).then(|| number(headers_in, "content-length"));
        Ok(Self { upload: upload_id(upload)?, offset, announced: announced.transpose()?, payload })
    }
}

async fn transfer(
    server: &Server,
    device: DeviceId,
    body: Body,
    gone: oneshot::Receiver<()>,
) -> Result<HttpResponse, Failure> {
    let Body { upload, offset, announced, payload } = body;
    let mut attachment = match server.engine.attach(device, upload, true).await? {
        Held::Transfer(attachment) => attachment,
        Held::Stored { length, receipt, .. } if offset == length && announced.unwrap_or(0) == 0 => {
            return Ok(progress(HttpResponse::NoContent(), &Ended { offset, receipt }));
        }
        Held::Stored { length, .. } => return Err(wrong_offset(offset, length)),
    };
    let at = attachment.offset();
    if at != offset {
        let ended = attachment.end().await?;
        return Err(wrong_offset(offset, ended.offset));
    }
    if announced.is_some_and(|announced| announced > attachment.length() - at) {
        return Err(too_long(attachment, at).await);
    }
    let outcome = receive(&mut attachment, payload, gone).await;
    finish(server, device, upload, attachment, outcome).await
}

async fn finish(
    server: &Server,
    device: DeviceId,
    upload: UploadId,
    attachment: Box<Attachment>,
    outcome: Outcome,
) -> Result<HttpResponse, Failure> {
    let at = attachment.offset();
    let failure = match outcome {
        Outcome::Refused(error) => {
            // Letting go first: what was accepted before is committed, unless the storage itself failed.
            drop(attachment);
            return Err(with_durable_offset(server, device, upload, error.into()));
        }
        Outcome::TooLong => return Err(too_long(attachment, at).await),
        Outcome::Whole => None,
        Outcome::Superseded => Some(Failure::new(ProblemType::Superseded, "what this request brought is kept")),
        Outcome::Draining => Some(Failure::shutting_down()),
        Outcome::Stalled => {
            let detail = "send at least 1 KiB a second; what arrived is kept";
            Some(Failure::new(ProblemType::Stalled, detail).retry_after(1))
        }
        Outcome::Cut(error) => Some(Failure::malformed(format!("the body was cut: {error}"))),
    };
    let ended = attachment.end().await.map_err(|error| with_durable_offset(server, device, upload, error.into()))?;
    match failure {
        None => Ok(progress(HttpResponse::NoContent(), &ended)),
        Some(failure) => Err(failure.at(ended.offset)),
    }
}

fn with_durable_offset(server: &Server, device: DeviceId, upload: UploadId, failure: Failure) -> Failure {
    match server.engine.unfinished(device, upload) {
        Some(durable) => failure.at(durable.offset),
        None => failure,
    }
}

async fn too_long(attachment: Box<Attachment>, at: u64) -> Failure {
    let detail = format!("{} bytes are left from offset {at}", attachment.length() - at);
    match attachment.end().await {
        Ok(ended) => Failure::new(ProblemType::LongerThanAnnounced, detail).at(ended.offset),
        Err(error) => error.into(),
    }
}

fn wrong_offset(given: u64, right: u64) -> Failure {
    Failure::new(ProblemType::WrongOffset, format!("the request begins at {given}, the upload continues at {right}"))
        .at(right)
}

fn progress(mut response: HttpResponseBuilder, ended: &Ended) -> HttpResponse {
    response.insert_header((headers::UPLOAD_OFFSET, ended.offset));
    if let Some(receipt) = &ended.receipt {
        response.insert_header((headers::RECEIPT, receipt.as_str()));
    }
    response.finish()
}

fn check_version(headers_in: &HeaderMap) -> Result<(), Failure> {
    match headers_in.get(headers::TUS_RESUMABLE) {
        Some(version) if version == headers::TUS_1_0_0 => Ok(()),
        _ => {
            let detail = format!("send Tus-Resumable: {}", headers::TUS_1_0_0);
            Err(Failure::new(ProblemType::UnsupportedVersion, detail))
        }
    }
}

/// A header that is a number of bytes; `+` and spaces, which Rust would read, are not digits.
fn number(headers_in: &HeaderMap, name: &str) -> Result<u64, Failure> {
    let text = headers_in.get(name).and_then(|value| value.to_str().ok());
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Failure::malformed(format!("the header {name} must be there and be a number of bytes")))
}

fn rid(headers_in: &HeaderMap) -> Result<RecordingId, Failure> {
    let value = headers_in.get(headers::UPLOAD_METADATA);
    if value.is_some_and(|value| value.len() > limits::METADATA_BYTES) {
        let detail = format!("Upload-Metadata has at most {} bytes", limits::METADATA_BYTES);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let metadata = Metadata::parse(text).map_err(|error| Failure::malformed(format!("Upload-Metadata: {error}")))?;
    let rid = metadata.text("rid").and_then(|rid| rid.parse().ok());
    rid.ok_or_else(|| Failure::malformed("Upload-Metadata must hold the rid of an offered recording"))
}

fn upload_id(path: &str) -> Result<UploadId, Failure> {
    path.parse().map_err(|_| Failure::new(ProblemType::UploadNotFound, "there is no upload with such an id"))
}
