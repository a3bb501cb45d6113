//! Names of the header fields, lower case as HTTP libraries want them, and their fixed values.

/// Protocol version of tus, on every request and answer of a transfer.
pub const TUS_RESUMABLE: &str = "tus-resumable";
/// Versions of tus that the server speaks.
pub const TUS_VERSION: &str = "tus-version";
/// Extensions of tus that the server speaks.
pub const TUS_EXTENSION: &str = "tus-extension";
/// Largest upload, in bytes.
pub const TUS_MAX_SIZE: &str = "tus-max-size";
/// Bytes that the server has; durable when it says so.
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Bytes of the whole recording.
pub const UPLOAD_LENGTH: &str = "upload-length";
/// At creation: the length comes later. In answers: it has not come yet.
pub const UPLOAD_DEFER_LENGTH: &str = "upload-defer-length";
/// When an unfinished upload goes that comes no further, as an HTTP date.
pub const UPLOAD_EXPIRES: &str = "upload-expires";
/// Whether an upload is a part, or joined of which parts.
pub const UPLOAD_CONCAT: &str = "upload-concat";
/// In the IETF's resumable uploads: whether the body is the last.
pub const UPLOAD_COMPLETE: &str = "upload-complete";
/// In the IETF's resumable uploads: the largest upload, and how long an unfinished one is kept.
pub const UPLOAD_LIMIT: &str = "upload-limit";
/// Digest of one request's body (RFC 9530).
pub const CONTENT_DIGEST: &str = "content-digest";
/// Digest of the whole recording (RFC 9530).
pub const REPR_DIGEST: &str = "repr-digest";
/// Content types that `PATCH` takes.
pub const ACCEPT_PATCH: &str = "accept-patch";
/// Algorithms for `Upload-Checksum`.
pub const TUS_CHECKSUM_ALGORITHM: &str = "tus-checksum-algorithm";
/// Checksum of one request's body: an algorithm, a space, base64.
pub const UPLOAD_CHECKSUM: &str = "upload-checksum";
/// The method that is meant, for clients whose network lets only some through.
pub const METHOD_OVERRIDE: &str = "x-http-method-override";
/// Key and base64 value pairs at creation.
pub const UPLOAD_METADATA: &str = "upload-metadata";
/// The signed receipt, in the answer that completes an upload and in `HEAD` of a completed one.
pub const RECEIPT: &str = "longshore-receipt";
/// ETag of the current `desired` document, on every authenticated answer.
pub const DESIRED: &str = "longshore-desired";
/// Scheme of `Authorization` for `POST /enrolments`, before `<token-id>.<secret>`.
pub const ENROL_SCHEME: &str = "Longshore-Enrol";

/// The version of tus that both ends speak.
pub const TUS_1_0_0: &str = "1.0.0";
/// Extensions of tus that are spoken here.
pub const TUS_EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";
/// Value of `Upload-Concat` of a part.
pub const PARTIAL: &str = "partial";
/// Begins the value of `Upload-Concat` of what is joined; the parts' URLs follow, with spaces between them.
pub const FINAL: &str = "final;";
/// The one value of `Upload-Defer-Length`.
pub const DEFERRED: &str = "1";
/// Content type of the bytes in a `PATCH`, and in a `POST` that brings some.
pub const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";
/// Content type of the bytes in a `PATCH` of the IETF's resumable uploads.
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";
/// Content type of a problem document (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
