use std::fmt;

use serde::{Deserialize, Serialize};

const PREFIX: &str = "urn:longshore:problem:";

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $slug:literal $title:literal;)*) => {
        /// Every kind of problem that the server answers with (RFC 9457); the `type` is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ProblemType {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemType {
            /// All of them, for documentation and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The last part of `type`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// What it is, in plain words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_types! {
    /// The request does not follow the protocol.
    MalformedRequest = 400 "malformed-request" "The request does not follow the protocol";
    /// The upload's length is another than the one that was given before, or less than what is there.
    InconsistentLength = 400 "inconsistent-length" "The length differs from what is known of the upload";
    /// The bytes of one request are not those of its `Content-Digest`; none of them counts.
    ContentDigestMismatch = 400 "content-digest-mismatch" "The body differs from its digest; none of it was taken";
    /// No client certificate, or no enrolment token.
    Unauthenticated = 401 "unauthenticated" "This call needs an identity";
    /// The key in the client certificate belongs to no device.
    UnknownDevice = 403 "unknown-device" "No device with this key is enrolled here";
    /// The device is suspended: it may say hello, offer and upload, and nothing else.
    DeviceSuspended = 403 "device-suspended" "This device is suspended";
    /// The device is out of service for good.
    DeviceRetired = 403 "device-retired" "This device is retired";
    /// The server joins this upload of its parts.
    JoinedUpload = 403 "joined-upload" "The server joins this upload of its parts; it takes no bytes";
    /// The enrolment token is unknown, expired or used up.
    TokenRefused = 403 "token-refused" "The enrolment token is not valid";
    /// An admin turned the device's request to be known down.
    EnrolmentRejected = 403 "enrolment-rejected" "This device was turned away";
    /// The account behind the token may not do this.
    Forbidden = 403 "forbidden" "This account may not do that";
    /// The token was made for another serial or model.
    TokenForAnotherDevice = 403 "token-for-another-device" "The enrolment token was made for another device";
    /// Nothing at this path.
    NotFound = 404 "not-found" "There is nothing at this path";
    /// No enrolment of this device with this id.
    EnrolmentNotFound = 404 "enrolment-not-found" "This device has no such enrolment";
    /// No upload of this device with this id.
    UploadNotFound = 404 "upload-not-found" "This device has no such upload";
    /// The path exists, the method does not.
    MethodNotAllowed = 405 "method-not-allowed" "This path does not take that method";
    /// The recording was not offered before.
    NotOffered = 409 "not-offered" "Offer the recording before uploading it";
    /// The upload's length is not the size that was offered.
    SizeDiffers = 409 "size-differs-from-offer" "The length differs from the size that was offered";
    /// The recording is in the store.
    AlreadyStored = 409 "already-stored" "The recording is stored already; offer it again for its receipt";
    /// The request continues at another offset than the server's.
    WrongOffset = 409 "wrong-offset" "The upload continues at another offset";
    /// A newer request took the upload over.
    Superseded = 409 "superseded" "A newer request took this upload over";
    /// Parts of which an upload is to be joined lack bytes.
    UnfinishedParts = 409 "unfinished-parts" "A part is not complete";
    /// The state does not allow it: a device or enrolment is not where the command needs it.
    Conflict = 409 "conflict" "The current state does not allow this";
    /// The upload did not come further for so long that it was given up.
    UploadExpired = 410 "upload-expired" "The upload expired; offer the recording again";
    /// What the device offers now is another content than the upload's.
    SourceChanged = 412 "source-changed" "The source has changed; this upload is superseded";
    /// Another version of tus.
    UnsupportedVersion = 412 "unsupported-version" "This version of tus is not spoken here";
    /// A body, or a header, above its stated limit.
    TooLarge = 413 "too-large" "The request is above a stated limit";
    /// More bytes than the upload's length leaves.
    LongerThanAnnounced = 413 "longer-than-announced" "The body is longer than the upload";
    /// Another content type than the call takes.
    UnsupportedContentType = 415 "unsupported-content-type" "This call takes another content type";
    /// The bytes are not those that were declared.
    ChecksumMismatch = 422 "checksum-mismatch" "The bytes differ from the declared checksum";
    /// More requests, connections or uploads than the stated limit.
    TooMany = 429 "too-many" "There are more of these at once than the stated limit";
    /// The bytes of one request are not those of its `Upload-Checksum`; none of them counts (tus 1.0.0, Checksum).
    BodyChecksumMismatch = 460 "body-checksum-mismatch" "The body differs from its checksum; none of it was taken";
    /// A fault of the server.
    Internal = 500 "internal" "The server made a mistake";
    /// A part of the server does not answer now.
    Unavailable = 503 "unavailable" "A part of the server is not available now";
    /// The server is stopping; what arrived is kept.
    ShuttingDown = 503 "shutting-down" "The server is stopping; what arrived is kept";
    /// The request's body came too slowly; what arrived is kept.
    Stalled = 503 "stalled" "The body stalled; what arrived is kept";
    /// The storage is not mounted, or read-only; nothing is lost, and it carries on by itself.
    StorageNotThere = 503 "storage-not-there" "The storage is not there now";
    /// The disk refused; the upload is back at its last durable offset.
    StorageFailed = 503 "storage-failed" "The storage failed; continue from the durable offset";
    /// The disk is full.
    InsufficientStorage = 507 "insufficient-storage" "The storage is full";
}

/// A problem document (RFC 9457), with the members that Longshore adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, in plain words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This occurrence, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The offset at which the upload continues, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The same, as the IETF's resumable uploads name it.
    #[serde(default, rename = "expected-offset", skip_serializing_if = "Option::is_none")]
    pub expected_offset: Option<u64>,
    /// The offset that the request had.
    #[serde(default, rename = "provided-offset", skip_serializing_if = "Option::is_none")]
    pub provided_offset: Option<u64>,
    /// Bytes of room that the request needs, where there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// Bytes of room that there are for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<u64>,
}

impl Problem {
    /// A problem of this kind with an explanation.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{PREFIX}{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: Some(detail.into()),
            offset: None,
            expected_offset: None,
            provided_offset: None,
            needed: None,
            available: None,
        }
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: ProblemType) -> bool {
        self.kind.strip_prefix(PREFIX) == Some(kind.slug())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let slugs: HashSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
        assert!(ProblemType::ALL.iter().all(|kind| (400..=599).contains(&kind.status())));
    }
}
