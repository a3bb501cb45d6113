//! tus 1.0.0: core, creation, creation-with-upload, creation-defer-length, expiration, checksum,
//! termination, concatenation.

use std::time::SystemTime;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HttpDate, LOCATION};
use actix_web::web::{Data, Path, Payload};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, HttpResponseBuilder};
use chrono::{DateTime, Utc};
use longshore_actors::{Brings, Ended};
use longshore_model::{DeviceId, UploadId};
use longshore_protocol::{ProblemType, headers, limits, paths};
use longshore_store::Purpose;

use super::super::super::Server;
use super::super::super::error::Failure;
use super::super::{Uploader, address};
use super::digest::ALGORITHMS;
use super::fields::{self, Concat};
use super::transfer::{self, Body, Said, Standing};
use super::{location, rufh, to_the_end};

/// `OPTIONS`: what is spoken here, of both dialects.
pub(crate) async fn options(server: Data<Server>, _: Uploader) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    let mut types = headers::OFFSET_OCTET_STREAM.to_owned();
    if server.config.borrow().uploads.ietf_draft.is_on() {
        types = format!("{types}, {}", headers::PARTIAL_UPLOAD);
        response.insert_header((headers::UPLOAD_LIMIT, rufh::limit(None)));
    }
    response
        .insert_header((headers::ACCEPT_PATCH, types))
        .insert_header((headers::TUS_VERSION, headers::TUS_1_0_0))
        .insert_header((headers::TUS_EXTENSION, headers::TUS_EXTENSIONS))
        .insert_header((headers::TUS_CHECKSUM_ALGORITHM, ALGORITHMS))
        .insert_header((headers::TUS_MAX_SIZE, limits::UPLOAD_BYTES))
        .finish()
}

/// `POST`: makes an upload for an offered recording, or for one that a bare client declares with it; made again for the
/// same recording, it finds the first. What it brings is taken in.
pub(crate) async fn create(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    to_the_end(|gone| async move {
        let Uploader { device, by_token } = Uploader::extract(&request).await?;
        let headers_in = request.headers();
        check_version(headers_in)?;
        let (metadata, now, brings) = (fields::metadata(headers_in)?, server.clock.now(), brings_bytes(headers_in)?);
        let concat = fields::concat(headers_in)?;
        if concat.is_some() && !by_token {
            return Err(Failure::malformed("parts are for clients with a token; send an offered recording as a whole"));
        }
        if let Some(Concat::Final(parts)) = concat {
            if brings || headers_in.contains_key(headers::UPLOAD_LENGTH) {
                return Err(Failure::malformed("what is joined has the length and the bytes of its parts"));
            }
            let declared = fields::declared(headers_in, &metadata, None, parts.clone(), now)?;
            let created = server.engine.create_upload(device.id, Brings::Declared(Box::new(declared))).await?;
            let ended = server.engine.join(device.id, created.upload, &parts).await?;
            return Ok(made(&server, &request, device.id, by_token, created.upload, &ended));
        }
        let length = length_or_deferred(headers_in)?;
        let what = match concat {
            Some(_) => Brings::Part { length },
            None if by_token => {
                Brings::Declared(Box::new(fields::declared(headers_in, &metadata, length, Vec::new(), now)?))
            }
            None => Brings::Offered { rid: fields::rid(&metadata)?, length },
        };
        let digest = fields::checksum(headers_in)?;
        let announced = fields::number(headers_in, CONTENT_LENGTH.as_str())?;
        let created = server.engine.create_upload(device.id, what).await?;
        let (upload, mut ended) = (created.upload, Ended { offset: created.offset, receipt: None });
        if brings && created.offset == 0 {
            let body = Body { upload, offset: 0, address: address(&request), length, announced, digest, payload };
            ended = transfer::append(&server, &device, body, gone).await?;
        } else if let Some(length) = length.filter(|_| created.length.is_none()) {
            // It was begun without one.
            ended = transfer::set_length(&server, device.id, upload, length).await?;
        } else if created.length == Some(created.offset) {
            // Nothing is left to send: an empty file, or a request that comes again after the last byte.
            ended = transfer::look(&server, device.id, upload).await?.ended;
        }
        Ok(made(&server, &request, device.id, by_token, upload, &ended))
    })
    .await
}

fn made(
    server: &Server,
    request: &HttpRequest,
    device: DeviceId,
    by_token: bool,
    upload: UploadId,
    ended: &Ended,
) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location(request, by_token, upload)));
    progress(response, ended, transfer::expires(server, device, upload))
}

/// `HEAD`: how far the upload is, durably. It takes the upload over: whatever hangs on it has to let go.
pub(crate) async fn offset(
    server: Data<Server>,
    Uploader { device, .. }: Uploader,
    upload: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    check_version(request.headers())?;
    let upload = fields::upload_id(&upload)?;
    let Standing { ended, purpose, length } = transfer::look(&server, device.id, upload).await?;
    let mut response = HttpResponse::Ok();
    match length {
        Some(length) => response.insert_header((headers::UPLOAD_LENGTH, length)),
        None => response.insert_header((headers::UPLOAD_DEFER_LENGTH, headers::DEFERRED)),
    };
    response.insert_header((CACHE_CONTROL, "no-store"));
    match purpose {
        Purpose::Part => drop(response.insert_header((headers::UPLOAD_CONCAT, headers::PARTIAL))),
        Purpose::Recording(rid) | Purpose::Joined(rid) => {
            let Said { metadata, parts } = transfer::said(&server, device.id, rid).await?;
            response.insert_header((headers::UPLOAD_METADATA, metadata));
            if !parts.is_empty() {
                let urls: Vec<_> = parts.iter().map(|part| format!("{}/{part}", paths::UPLOADS)).collect();
                response.insert_header((headers::UPLOAD_CONCAT, format!("{}{}", headers::FINAL, urls.join(" "))));
            }
        }
    }
    if matches!(purpose, Purpose::Joined(_)) {
        // No offset before it is joined (tus 1.0.0, Concatenation): nobody is to send bytes to it.
        return Ok(response.finish());
    }
    Ok(progress(response, &ended, transfer::expires(&server, device.id, upload)))
}

/// `PATCH`: takes bytes at an offset; at the last of them, the recording is completed.
pub(crate) async fn append(
    server: Data<Server>,
    upload: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    to_the_end(|gone| async move {
        let Uploader { device, .. } = Uploader::extract(&request).await?;
        let upload = fields::upload_id(&upload)?;
        let body = body(upload, &request, payload)?;
        let ended = transfer::append(&server, &device, body, gone).await?;
        Ok(progress(HttpResponse::NoContent(), &ended, transfer::expires(&server, device.id, upload)))
    })
    .await
}

/// `DELETE`: gives an upload up. A recording in the store is not given up by who sent it.
pub(crate) async fn terminate(
    server: Data<Server>,
    Uploader { device, .. }: Uploader,
    upload: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    check_version(request.headers())?;
    server.engine.terminate(device.id, fields::upload_id(&upload)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn body(upload: UploadId, request: &HttpRequest, payload: Payload) -> Result<Body, Failure> {
    let headers_in = request.headers();
    check_version(headers_in)?;
    if !brings_bytes(headers_in)? {
        let detail = format!("the body must be {}", headers::OFFSET_OCTET_STREAM);
        return Err(Failure::new(ProblemType::UnsupportedContentType, detail));
    }
    let offset = fields::needed_number(headers_in, headers::UPLOAD_OFFSET)?;
    let (length, announced) = (fields::length(headers_in)?, fields::number(headers_in, CONTENT_LENGTH.as_str())?);
    let digest = fields::checksum(headers_in)?;
    Ok(Body { upload, offset, address: address(request), length, announced, digest, payload })
}

/// The length at creation: there, or put off by a header of its own.
fn length_or_deferred(headers_in: &HeaderMap) -> Result<Option<u64>, Failure> {
    match (fields::length(headers_in)?, fields::text(headers_in, headers::UPLOAD_DEFER_LENGTH)?) {
        (Some(length), None) => Ok(Some(length)),
        (None, Some(headers::DEFERRED)) => Ok(None),
        _ => {
            let detail = "send either Upload-Length, a number of bytes, or Upload-Defer-Length: 1";
            Err(Failure::malformed(detail))
        }
    }
}

fn brings_bytes(headers_in: &HeaderMap) -> Result<bool, Failure> {
    Ok(fields::text(headers_in, CONTENT_TYPE.as_str())? == Some(headers::OFFSET_OCTET_STREAM))
}

fn progress(mut response: HttpResponseBuilder, ended: &Ended, expires: Option<DateTime<Utc>>) -> HttpResponse {
    response.insert_header((headers::UPLOAD_OFFSET, ended.offset));
    if let Some(expires) = expires {
        response.insert_header((headers::UPLOAD_EXPIRES, HttpDate::from(SystemTime::from(expires)).to_string()));
    }
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
