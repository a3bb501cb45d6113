//! Resumable uploads of the IETF (draft-ietf-httpbis-resumable-upload, interop versions 6 and 8), on the URLs of tus. It is
//! a draft: what its next version may change is here and nowhere else.
//!
//! The status 104, by which a server may tell of progress, is left out, as the draft allows: the HTTP library cannot send it.

use actix_web::guard::GuardContext;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ContentDisposition, HeaderMap, HeaderName,
    HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use actix_web::web::{Data, Path, Payload};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError as _};
use chrono::{DateTime, Utc};
use longshore_actors::{Brings, Ended};
use longshore_model::{Declared, Device, DeviceId, UploadId};
use longshore_protocol::{Metadata, ProblemType, headers, limits};
use tokio::sync::oneshot;

use super::super::super::Server;
use super::super::super::error::Failure;
use super::super::{Uploader, address};
use super::transfer::{self, Body, Standing};
use super::{fields, location, structured, to_the_end};

/// Where the draft has its types of problems registered.
const REGISTRY: &str = "https://iana.org/assignments/http-problem-types#";

/// Whether a request is of this dialect: every one that does not say that it is tus, unless the dialect is switched off.
pub(crate) fn is_meant(context: &GuardContext<'_>) -> bool {
    context.app_data::<Data<Server>>().is_some_and(|server| is_spoken(server, &context.head().headers))
}

/// The same, with the request's headers at hand.
pub(crate) fn is_spoken(server: &Server, headers_in: &HeaderMap) -> bool {
    server.config.borrow().uploads.ietf_draft.is_on() && !headers_in.contains_key(headers::TUS_RESUMABLE)
}

/// `POST`: makes an upload, and takes what it brings.
pub(crate) async fn create(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    to_the_end(|gone| async move {
        let Uploader { device, by_token } = Uploader::extract(&request).await?;
        let headers_in = request.headers();
        let completes = structured::boolean(headers_in, headers::UPLOAD_COMPLETE).ok_or_else(neither_dialect)?;
        let Said { announced, length } = said(headers_in, 0, completes)?;
        let metadata = fields::metadata(headers_in)?;
        let what = if by_token {
            Brings::Declared(Box::new(declared(headers_in, &metadata, length, server.clock.now())?))
        } else {
            Brings::Offered { rid: fields::rid(&metadata)?, length }
        };
        let digest = structured::content_digest(headers_in);
        let created = server.engine.create_upload(device.id, what).await?;
        let upload = created.upload;
        let brings = announced != Some(0);
        let ended = if created.offset > 0 && brings {
            // To answer with success would say that these bytes were taken.
            let found = transfer::wrong_offset(0, created.offset);
            return Err(in_draft(found, 0));
        } else if created.offset == 0 && (brings || completes) || created.length != length && length.is_some() {
            let body =
                Body { upload, offset: created.offset, address: address(&request), length, announced, digest, payload };
            match take(&server, &device, body, completes, gone).await {
                Ok(ended) => ended,
                Err(failure) => return Ok(refusal(&server, device.id, upload, &failure)),
            }
        } else if created.length == Some(created.offset) {
            transfer::look(&server, device.id, upload).await?.ended
        } else {
            Ended { offset: created.offset, receipt: None }
        };
        let mut response = HttpResponse::Created();
        response.insert_header((LOCATION, location(&request, by_token, upload)));
        Ok(answer(&server, device.id, upload, response, &ended))
    })
    .await
}

/// `HEAD`: how far the upload is, durably.
pub(crate) async fn offset(
    server: Data<Server>,
    Uploader { device, .. }: Uploader,
    upload: Path<String>,
) -> Result<HttpResponse, Failure> {
    let upload = fields::upload_id(&upload)?;
    let Standing { ended, length, .. } = transfer::look(&server, device.id, upload).await?;
    let mut response = HttpResponse::NoContent();
    response.insert_header((CACHE_CONTROL, "no-store"));
    if let Some(length) = length {
        response.insert_header((headers::UPLOAD_LENGTH, length));
    }
    Ok(answer(&server, device.id, upload, response, &ended))
}

/// `PATCH`: takes bytes at an offset.
pub(crate) async fn append(
    server: Data<Server>,
    upload: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    to_the_end(|gone| async move {
        let Uploader { device, .. } = Uploader::extract(&request).await?;
        let (upload, headers_in) = (fields::upload_id(&upload)?, request.headers());
        match fields::text(headers_in, CONTENT_TYPE.as_str())? {
            Some(headers::PARTIAL_UPLOAD) => {}
            Some(headers::OFFSET_OCTET_STREAM) => return Err(neither_dialect()),
            _ => {
                let detail = format!("the body must be {}", headers::PARTIAL_UPLOAD);
                return Err(Failure::new(ProblemType::UnsupportedContentType, detail));
            }
        }
        let offset = structured::number(headers_in, headers::UPLOAD_OFFSET);
        let completes = structured::boolean(headers_in, headers::UPLOAD_COMPLETE);
        let needed =
            || Failure::malformed("Upload-Offset, a number of bytes, and Upload-Complete, ?0 or ?1, must be there");
        let (offset, completes) = offset.zip(completes).ok_or_else(needed)?;
        let Said { announced, length } = said(headers_in, offset, completes)?;
        let digest = structured::content_digest(headers_in);
        let body = Body { upload, offset, address: address(&request), length, announced, digest, payload };
        match take(&server, &device, body, completes, gone).await {
            Ok(ended) => Ok(answer(&server, device.id, upload, HttpResponse::NoContent(), &ended)),
            Err(failure) => Ok(refusal(&server, device.id, upload, &failure)),
        }
    })
    .await
}

/// `DELETE`: gives an upload up.
pub(crate) async fn terminate(
    server: Data<Server>,
    Uploader { device, .. }: Uploader,
    upload: Path<String>,
) -> Result<HttpResponse, Failure> {
    server.engine.terminate(device.id, fields::upload_id(&upload)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a request says of its body and of the whole.
struct Said {
    /// Bytes of the body; `None`: it ends when it ends.
    announced: Option<u64>,
    /// Bytes of the whole.
    length: Option<u64>,
}

/// A body that completes the upload tells the length by its own.
fn said(headers_in: &HeaderMap, offset: u64, completes: bool) -> Result<Said, Failure> {
    let announced = match fields::number(headers_in, CONTENT_LENGTH.as_str())? {
        None if !headers_in.contains_key(TRANSFER_ENCODING) => Some(0),
        announced => announced,
    };
    let by_body = announced.filter(|_| completes).map(|announced| offset.saturating_add(announced));
    let length = structured::number(headers_in, headers::UPLOAD_LENGTH);
    if length.zip(by_body).is_some_and(|(length, by_body)| length != by_body) {
        let failure = Failure::new(ProblemType::InconsistentLength, "Upload-Length is not where this body ends");
        return Err(in_draft(failure, offset));
    }
    let length = length.or(by_body);
    fields::check_length(length)?;
    Ok(Said { announced, length })
}

/// What a client that offers nothing says of its recording, in the headers that it has for that.
fn declared(
    headers_in: &HeaderMap,
    metadata: &Metadata,
    length: Option<u64>,
    now: DateTime<Utc>,
) -> Result<Declared, Failure> {
    let mut declared = fields::declared(headers_in, metadata, length, Vec::new(), now)?;
    if declared.filename.is_none() {
        let disposition = headers_in.get(CONTENT_DISPOSITION).map(ContentDisposition::from_raw);
        let disposition = disposition.transpose().ok().flatten();
        let extended = disposition.as_ref().and_then(ContentDisposition::get_filename_ext);
        let extended = extended.and_then(|name| String::from_utf8(name.value.clone()).ok());
        let plain = disposition.as_ref().and_then(ContentDisposition::get_filename).map(str::to_owned);
        declared.filename = extended.or(plain).filter(|name| name.chars().count() <= limits::NAME_CHARS);
    }
    Ok(declared)
}

async fn take(
    server: &Server,
    device: &Device,
    body: Body,
    completes: bool,
    gone: oneshot::Receiver<()>,
) -> Result<Ended, Failure> {
    let (upload, offset) = (body.upload, body.offset);
    let taken = transfer::append(server, device, body, gone).await;
    if taken.as_ref().is_err_and(|failure| failure.is(ProblemType::LongerThanAnnounced)) {
        // What is longer than it should be is not what was announced: the draft wants no more of it.
        server.engine.terminate(device.id, upload).await?;
    }
    let ended = taken.map_err(|failure| in_draft(failure, offset))?;
    match server.engine.unfinished(device.id, upload) {
        Some(unfinished) if completes && !unfinished.is_complete() => {
            // The body came without its length, and is the last one.
            let completed = transfer::set_length(server, device.id, upload, ended.offset).await;
            completed.map_err(|failure| in_draft(failure, offset))
        }
        _ => Ok(ended),
    }
}

/// The draft has types of its own for some problems.
fn in_draft(failure: Failure, provided: u64) -> Failure {
    if failure.is(ProblemType::WrongOffset) && failure.offset() != Some(provided) {
        failure.with_offsets(provided).registered(409, format!("{REGISTRY}mismatching-upload-offset"))
    } else if [ProblemType::WrongOffset, ProblemType::InconsistentLength, ProblemType::LongerThanAnnounced]
        .into_iter()
        .any(|kind| failure.is(kind))
    {
        failure.registered(400, format!("{REGISTRY}inconsistent-upload-length"))
    } else if failure.is(ProblemType::BodyChecksumMismatch) {
        // 460 is a status of tus.
        let kept = failure.offset().unwrap_or(provided);
        Failure::new(ProblemType::ContentDigestMismatch, "send these bytes again").at(kept)
    } else {
        failure
    }
}

fn answer(
    server: &Server,
    device: DeviceId,
    upload: UploadId,
    mut response: HttpResponseBuilder,
    ended: &Ended,
) -> HttpResponse {
    let unfinished = server.engine.unfinished(device, upload);
    let is_complete = unfinished.as_ref().is_none_or(|upload| upload.is_complete());
    let left = transfer::expires(server, device, upload).map(|at| (at - server.now()).num_seconds().max(0));
    response.insert_header((headers::UPLOAD_OFFSET, ended.offset));
    response.insert_header((headers::UPLOAD_COMPLETE, if is_complete { "?1" } else { "?0" }));
    response.insert_header((headers::UPLOAD_LIMIT, limit(left)));
    if let Some(receipt) = &ended.receipt {
        response.insert_header((headers::RECEIPT, receipt.as_str()));
    }
    response.finish()
}

/// An error that says whether all bytes came all the same: if they did, nothing is to be sent again.
fn refusal(server: &Server, device: DeviceId, upload: UploadId, failure: &Failure) -> HttpResponse {
    let unfinished = server.engine.unfinished(device, upload);
    let came = failure.is(ProblemType::ChecksumMismatch) || unfinished.is_some_and(|upload| upload.is_complete());
    let mut response = failure.error_response();
    let complete = HeaderValue::from_static(if came { "?1" } else { "?0" });
    response.headers_mut().insert(HeaderName::from_static(headers::UPLOAD_COMPLETE), complete);
    response
}

/// Value of `Upload-Limit`, with the seconds that an upload has left.
pub(super) fn limit(left: Option<i64>) -> String {
    let left = left.map_or_else(String::new, |left| format!(", max-age={left}"));
    format!("max-size={}{left}", limits::UPLOAD_BYTES)
}

fn neither_dialect() -> Failure {
    let detail = format!("send Tus-Resumable: {}, or Upload-Complete: ?0 or ?1", headers::TUS_1_0_0);
    Failure::new(ProblemType::UnsupportedVersion, detail)
}
