//! The extensions of tus 1.0.0 that are spoken here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;

use crate::support::{Camera, Exchange, Reply, World, bytes, eventually, recording, rid};

const MIB: usize = 1024 * 1024;
const TUS: &str = "Tus-Resumable: 1.0.0";
const OCTETS: &str = "Content-Type: application/offset+octet-stream";

/// Offers a recording, and begins the `POST` that makes its upload and brings bytes.
fn begin_with_bytes(camera: &Camera, n: u32, content: &[u8], brings: usize) -> Exchange {
    camera.offer(&[recording(n, content)]);
    let length = format!("Upload-Length: {}", content.len());
    let metadata = format!("Upload-Metadata: rid {}", STANDARD.encode(rid(n)));
    let brings = format!("Content-Length: {brings}");
    camera.begin("POST", "/device/v1/uploads", &[TUS, OCTETS, &length, &metadata, &brings])
}

fn sha1(bytes: &[u8]) -> String {
    format!("Upload-Checksum: sha1 {}", STANDARD.encode(sha1::Sha1::digest(bytes)))
}

fn sha256(bytes: &[u8]) -> String {
    format!("Upload-Checksum: sha256 {}", STANDARD.encode(sha2::Sha256::digest(bytes)))
}

fn patch_with(camera: &Camera, upload: &str, offset: u64, checksum: &str, body: &[u8]) -> Reply {
    let offset = format!("Upload-Offset: {offset}");
    camera.request("PATCH", upload, &[TUS, OCTETS, &offset, checksum], body)
}

#[test]
fn what_is_spoken_here_is_told() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let options = camera.request("OPTIONS", "/device/v1/uploads", &[], b"");
    assert_eq!(options.status, 204);
    assert_eq!(options.headers["tus-version"], "1.0.0");
    assert_eq!(
        options.headers["tus-extension"],
        "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
    );
    assert_eq!(options.headers["tus-checksum-algorithm"], "sha1,sha256");
    assert_eq!(options.headers["tus-max-size"], (1_u64 << 40).to_string());
}

#[test]
fn an_upload_that_is_made_with_all_its_bytes_is_a_recording_at_once() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 3 * MIB + 5);
    let mut creating = begin_with_bytes(&camera, 1, &content, content.len());
    creating.send(&content).unwrap();
    let created = creating.reply("POST");
    assert_eq!((created.status, created.offset()), (201, content.len() as u64), "{created:?}");
    assert!(created.headers.contains_key("longshore-receipt") && created.headers.contains_key("location"));
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn an_upload_that_is_made_with_some_bytes_goes_on_after_them() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 3 * MIB);
    let mut creating = begin_with_bytes(&camera, 1, &content, MIB);
    creating.send(&content[..MIB]).unwrap();
    let created = creating.reply("POST");
    assert_eq!((created.status, created.offset()), (201, MIB as u64), "{created:?}");
    let upload = &created.headers["location"];
    assert_eq!(camera.patch(upload, MIB as u64, &content[MIB..]).status, 204);
    // Cut in the middle: what arrived is kept, and making it again finds it.
    let mut creating = begin_with_bytes(&camera, 2, &content, content.len());
    creating.send(&content[..2 * MIB + 9]).unwrap();
    creating.arrived();
    creating.cut();
    eventually("it is kept", || {
        let again = camera.try_create(&rid(2), content.len());
        again.status == 201 && again.offset() > 0
    });
}

#[test]
fn bytes_with_their_checksum_are_taken_and_others_are_not() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 12 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    // More than is committed in the middle of other requests.
    let (first, second) = content.split_at(10 * MIB);
    patch_with(&camera, &upload, 0, &sha1(second), first).is_problem(460, "body-checksum-mismatch");
    assert_eq!(camera.offset(&upload), 0);
    assert_eq!(patch_with(&camera, &upload, 0, &sha1(first), first).offset(), 10 * MIB as u64);
    patch_with(&camera, &upload, 10 * MIB as u64, &sha256(first), second).is_problem(460, "body-checksum-mismatch");
    let last = patch_with(&camera, &upload, 10 * MIB as u64, &sha256(second), second);
    assert!(last.status == 204 && last.headers.contains_key("longshore-receipt"), "{last:?}");
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn a_cut_request_with_a_checksum_leaves_nothing() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 12 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let (length, checksum) = (format!("Content-Length: {}", content.len()), sha1(&content));
    let mut patch = camera.begin("PATCH", &upload, &[TUS, OCTETS, "Upload-Offset: 0", &length, &checksum]);
    patch.send(&content[..11 * MIB]).unwrap();
    patch.arrived();
    patch.cut();
    assert_eq!(camera.offset(&upload), 0);
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
}

#[test]
fn a_checksum_that_is_none_is_refused() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let upload = camera.upload_of(&recording(1, b"video"));
    for checksum in
        ["Upload-Checksum: md5 XrY7u+Ae7tCTyyK7j1rNww==", "Upload-Checksum: sha1", "Upload-Checksum: sha1 %"]
    {
        patch_with(&camera, &upload, 0, checksum, b"video").is_problem(400, "malformed-request");
    }
    assert_eq!(camera.offset(&upload), 0);
}

#[test]
fn a_device_gives_up_its_own_uploads_and_no_recording() {
    let world = World::new();
    let (owner, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    let delete = |camera: &Camera, upload: &str| camera.request("DELETE", upload, &[TUS], b"");
    let content = bytes(1, 100_000);
    let upload = owner.upload_of(&recording(1, &content));
    owner.patch(&upload, 0, &content[..50_000]);
    delete(&other, &upload).is_problem(404, "upload-not-found");
    assert_eq!(owner.offset(&upload), 50_000);
    assert_eq!(delete(&owner, &upload).status, 204);
    assert_eq!(owner.head(&upload).status, 404);
    delete(&owner, &upload).is_problem(404, "upload-not-found");
    assert!(world.incoming().is_empty());

    let upload = owner.upload_of(&recording(1, &content));
    assert_eq!(owner.patch(&upload, 0, &content).status, 204);
    delete(&owner, &upload).is_problem(409, "already-stored");
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn the_method_that_is_meant_counts() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 100_000);
    let upload = camera.upload_of(&recording(1, &content));
    let meant = |method: &str, headers: &[&str], body: &[u8]| {
        let meant = format!("X-HTTP-Method-Override: {method}");
        camera.request("POST", &upload, &[&[TUS, &meant], headers].concat(), body)
    };
    assert_eq!(meant("PATCH", &[OCTETS, "Upload-Offset: 0"], &content[..60_000]).status, 204);
    assert_eq!(meant("HEAD", &[], b"").offset(), 60_000);
    assert_eq!(meant("DELETE", &[], b"").status, 204);
    meant("HE AD", &[], b"").is_problem(400, "malformed-request");
    meant("BREW", &[], b"").is_problem(405, "method-not-allowed");
}
