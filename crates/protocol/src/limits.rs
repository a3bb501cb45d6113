//! Stated limits: what is beyond them is refused with a problem document: 413 or 429 for sizes and numbers, 400 for
//! what a JSON body says.

/// Bytes of `Upload-Metadata`.
pub const METADATA_BYTES: usize = 4 * 1024;
/// Bytes of the body of `POST /offers`, and of every other JSON body.
pub const JSON_BYTES: usize = 1024 * 1024;
/// Nesting of arrays and objects in a JSON body.
pub const JSON_DEPTH: usize = 16;
/// Items of one `POST /offers`.
pub const OFFER_ITEMS: usize = 1_000;
/// Requests, ranges of one of them, commands, and errors of the profile in one `PUT /reported`.
pub const REPORTED_ITEMS: usize = 64;
/// Events of one `POST /health-events`.
pub const HEALTH_EVENTS: usize = 100;
/// Characters of the text of a health event.
pub const HEALTH_TEXT_CHARS: usize = 1_000;
/// Blocks of one `POST /recordings/{rid}/blocks`: their checksums fit in a JSON body.
pub const BLOCKS: usize = 15_000;
/// Items of one answer that say `upload`; the others wait for the next offer.
pub const UPLOADS_PER_ANSWER: u32 = 16;
/// Requests with a body that a device may have open on uploads at the same time.
pub const OPEN_PATCHES: usize = 4;
/// Uploads that a device may have begun and not finished.
pub const UNFINISHED_UPLOADS: usize = 64;
/// Connections of one device at the same time.
pub const CONNECTIONS: usize = 8;
/// Unauthenticated requests of one address in a minute.
pub const UNAUTHENTICATED_PER_MINUTE: u32 = 30;
/// Connections of one address that no enrolled key has been shown on, at the same time.
pub const UNAUTHENTICATED_CONNECTIONS: usize = 64;
/// Characters of a name that a device gives: serial, model, camera, event type, file name.
pub const NAME_CHARS: usize = 255;
/// Network addresses of one device.
pub const MACS: usize = 16;
/// Largest recording, in bytes: 1 TiB, above a day of any camera's video.
pub const UPLOAD_BYTES: u64 = 1 << 40;
