//! Header fields and path segments of a transfer.

use std::collections::HashSet;

use actix_web::http::header::HeaderMap;
use chrono::{DateTime, Utc};
use longshore_model::{Declared, Kind, RecordingId, Sha256, UploadId};
use longshore_protocol::{Metadata, ProblemType, headers, limits, paths};

use super::super::super::error::Failure;
use super::digest::BodyDigest;
use super::structured;

/// The value of a header that may be there once, in visible ASCII.
pub(super) fn text<'a>(headers_in: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut values = headers_in.get_all(name);
    let (first, second) = (values.next(), values.next());
    match (first.map(|value| value.to_str()).transpose(), second) {
        (Ok(text), None) => Ok(text),
        _ => Err(Failure::malformed(format!("the header {name} must be there once, in visible ASCII"))),
    }
}

/// A header that is a number of bytes; `+` and spaces, which Rust would read, are not digits.
pub(super) fn number(headers_in: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = text(headers_in, name)? else { return Ok(None) };
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or_else(|| Failure::malformed(format!("the header {name} must be a number of bytes")))
}

/// The same, for one that has to be there.
pub(super) fn needed_number(headers_in: &HeaderMap, name: &str) -> Result<u64, Failure> {
    let missing = || Failure::malformed(format!("the header {name} must be there and be a number of bytes"));
    number(headers_in, name)?.ok_or_else(missing)
}

/// Bytes of the whole recording, if the request says so.
pub(super) fn length(headers_in: &HeaderMap) -> Result<Option<u64>, Failure> {
    let length = number(headers_in, headers::UPLOAD_LENGTH)?;
    check_length(length)?;
    Ok(length)
}

pub(super) fn check_length(length: Option<u64>) -> Result<(), Failure> {
    if length.is_some_and(|length| length > limits::UPLOAD_BYTES) {
        let detail = format!("a recording has at most {} bytes", limits::UPLOAD_BYTES);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    Ok(())
}

pub(super) fn metadata(headers_in: &HeaderMap) -> Result<Metadata, Failure> {
    let value = text(headers_in, headers::UPLOAD_METADATA)?.unwrap_or_default();
    if value.len() > limits::METADATA_BYTES {
        let detail = format!("Upload-Metadata has at most {} bytes", limits::METADATA_BYTES);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    Metadata::parse(value).map_err(|error| Failure::malformed(format!("Upload-Metadata: {error}")))
}

pub(super) fn rid(metadata: &Metadata) -> Result<RecordingId, Failure> {
    let rid = metadata.text("rid").and_then(|rid| rid.parse().ok());
    rid.ok_or_else(|| Failure::malformed("Upload-Metadata must hold the rid of an offered recording"))
}

/// What `Upload-Concat` says (tus 1.0.0, Concatenation).
pub(super) enum Concat {
    /// The upload is a part.
    Partial,
    /// It is joined of these.
    Final(Vec<UploadId>),
}

pub(super) fn concat(headers_in: &HeaderMap) -> Result<Option<Concat>, Failure> {
    let Some(text) = text(headers_in, headers::UPLOAD_CONCAT)? else { return Ok(None) };
    if text == headers::PARTIAL {
        return Ok(Some(Concat::Partial));
    }
    let wrong = || Failure::malformed("Upload-Concat must be partial, or final; and the URLs of the parts");
    let urls = text.strip_prefix(headers::FINAL).ok_or_else(wrong)?.split_ascii_whitespace();
    // The URL with or without its host: only what we gave out counts.
    let part = |url: &str| url.rsplit_once(paths::UPLOADS)?.1.strip_prefix('/')?.parse().ok();
    let parts: Vec<UploadId> = urls.map(part).collect::<Option<_>>().ok_or_else(wrong)?;
    let once = parts.iter().collect::<HashSet<_>>().len() == parts.len();
    if parts.is_empty() || !once {
        return Err(Failure::malformed("Upload-Concat must name one part or more, each once"));
    }
    Ok(Some(Concat::Final(parts)))
}

/// The recording of a client that has no name for it, so that a repeated request finds what the first one began.
fn joined_rid(parts: &[UploadId]) -> RecordingId {
    let all: Vec<u8> = parts.iter().flat_map(|part| *part.as_bytes()).collect();
    let mut rid = [0; 16];
    rid.copy_from_slice(&Sha256::of(&all).as_bytes()[..16]);
    RecordingId::from_bytes(rid)
}

/// What a client that offers nothing says of its recording; whatever it leaves out has a meaning of its own.
pub(super) fn declared(
    headers_in: &HeaderMap,
    metadata: &Metadata,
    size: Option<u64>,
    parts: Vec<UploadId>,
    now: DateTime<Utc>,
) -> Result<Declared, Failure> {
    let wrong = |key: &str| Failure::malformed(format!("Upload-Metadata: {key} is not as docs/PROTOCOL.md says"));
    let name = |key: &str| match metadata.text(key).filter(|name| !name.is_empty()) {
        Some(name) if name.chars().count() > limits::NAME_CHARS => Err(wrong(key)),
        name => Ok(name.map(str::to_owned)),
    };
    let time = |key: &str| {
        let text = metadata.text(key).filter(|text| !text.is_empty());
        text.map(DateTime::parse_from_rfc3339).transpose().map_err(|_| wrong(key))
    };
    let rid = match metadata.text("rid") {
        Some(rid) => rid.parse().map_err(|_| wrong("rid"))?,
        None if !parts.is_empty() => joined_rid(&parts),
        None => RecordingId::random().map_err(|error| Failure::new(ProblemType::Internal, error.to_string()))?,
    };
    let sha256 = metadata.text("sha256").map(|sha256| sha256.parse().map_err(|_| wrong("sha256"))).transpose()?;
    let digest = structured::repr_digest(headers_in);
    if sha256.zip(digest).is_some_and(|(sha256, digest)| sha256 != digest) {
        return Err(Failure::malformed("sha256 in Upload-Metadata and Repr-Digest differ"));
    }
    let start = time("start")?;
    // `name` is what some clients call it.
    let filename = name("filename")?.map_or_else(|| name("name"), |filename| Ok(Some(filename)))?;
    Ok(Declared {
        rid,
        camera: name("camera")?.unwrap_or_default(),
        kind: metadata.text("kind").map_or(Ok(Kind::Event), |kind| kind.parse().map_err(|_| wrong("kind")))?,
        event_type: name("event_type")?,
        clock_unset: start.is_none(),
        start: start.unwrap_or_else(|| now.fixed_offset()),
        end: time("end")?,
        boot: None,
        overwrite_at: None,
        request: None,
        size,
        sha256: sha256.or(digest),
        filename,
        metadata: Some(metadata.as_header()).filter(|text| !text.is_empty()).map(str::to_owned),
        parts,
    })
}

/// What the body is to be: as tus says it, or else as RFC 9530 does.
pub(super) fn checksum(headers_in: &HeaderMap) -> Result<Option<BodyDigest>, Failure> {
    let Some(value) = text(headers_in, headers::UPLOAD_CHECKSUM)? else {
        return Ok(structured::content_digest(headers_in));
    };
    BodyDigest::parse(value).map(Some).map_err(|error| Failure::malformed(error.to_string()))
}

pub(super) fn upload_id(path: &str) -> Result<UploadId, Failure> {
    path.parse().map_err(|_| Failure::new(ProblemType::UploadNotFound, "there is no upload with such an id"))
}
