//! Wrong requests: each is answered with a document that says what is wrong, and costs its sender only.

use longshore_model::Sha256;
use serde_json::json;

use crate::support::{World, bytes, files_below, recording, rid};

#[test]
fn a_device_cannot_touch_another_devices_upload() {
    let world = World::new();
    let (owner, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    let content = bytes(1, 100_000);
    let upload = owner.upload_of(&recording(1, &content));
    owner.patch(&upload, 0, &content[..50_000]);

    assert_eq!(other.head(&upload).status, 404);
    other.patch(&upload, 50_000, &content[50_000..]).is_problem(404, "upload-not-found");
    assert_eq!(owner.offset(&upload), 50_000);
    assert_eq!(owner.patch(&upload, 50_000, &content[50_000..]).status, 204);
    assert_eq!(other.head(&upload).status, 404, "nor once it is stored");
    // The same id from two devices is two recordings.
    assert_eq!(other.offer(&[recording(1, &content)])[0]["answer"], "upload");
}

#[test]
fn names_with_path_tricks_stay_below_the_storage_folder() {
    let world = World::new();
    let tricks =
        ["../../../escape", "..", "/etc/passwd", "a/../../b", "C:\\Windows\\x", "con", ".incoming", "x\u{202e}4pm"];
    let mut expected = Vec::new();
    for (n, trick) in (1..).zip(tricks) {
        let camera = world.camera(&format!("B4-{n}"), trick);
        let content = bytes(n.into(), 1000);
        let mut item = recording(n, &content);
        item["camera"] = json!(trick);
        item["event_type"] = json!(trick);
        item["filename"] = json!(format!("{trick}/../../evil.sh"));
        let upload = camera.upload_of(&item);
        assert_eq!(camera.patch(&upload, 0, &content).status, 204);
        expected.push(Sha256::of(&content));
    }
    let stored = world.stored();
    for name in stored.keys() {
        let parts: Vec<_> = name.split('/').collect();
        assert_eq!(parts.len(), 3, "{name}");
        assert!(parts.iter().all(|part| !part.starts_with('.') && !part.contains('\\')), "{name}");
        assert!(name.ends_with(".bin"), "only a known ending reaches the share: {name}");
    }
    let mut found: Vec<_> = stored.into_values().collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let outside = files_below(world.path()).into_iter().filter(|path| !path.starts_with(world.data()));
    let mut outside: Vec<_> = outside.map(|path| path.file_name().unwrap().to_owned()).collect();
    outside.sort_unstable();
    assert_eq!(outside, ["longshore.toml", "server.log"]);
}

#[test]
fn a_wrong_offset_is_answered_with_the_right_one() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 100_000);
    let upload = camera.upload_of(&recording(1, &content));
    camera.patch(&upload, 0, &content[..60_000]);
    for wrong in [0, 59_999, 60_001, 100_000, u64::MAX] {
        let reply = camera.patch(&upload, wrong, b"x");
        assert_eq!(reply.is_problem(409, "wrong-offset")["offset"], 60_000);
        assert_eq!(reply.offset(), 60_000);
    }
    assert_eq!(camera.patch(&upload, 60_000, &content[60_000..]).status, 204);
    camera.patch(&upload, 0, b"x").is_problem(409, "wrong-offset");
}

#[test]
fn a_body_longer_than_announced_is_refused_and_leaves_what_was_there() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 100_000);
    let upload = camera.upload_of(&recording(1, &content));
    camera.patch(&upload, 0, &content[..60_000]);

    // By its length.
    camera.patch(&upload, 60_000, &bytes(2, 40_001)).is_problem(413, "longer-than-announced");
    assert_eq!(camera.offset(&upload), 60_000);
    // By its chunks, whose sum nobody announced.
    let kind = "Content-Type: application/offset+octet-stream";
    let headers = ["Tus-Resumable: 1.0.0", kind, "Upload-Offset: 60000", "Transfer-Encoding: chunked"];
    let mut exchange = camera.begin("PATCH", &upload, &headers);
    let too_much = bytes(3, 40_001);
    let _answered_early = exchange.send(&[b"9c41\r\n", too_much.as_slice(), b"\r\n0\r\n\r\n"].concat());
    exchange.reply("PATCH").is_problem(413, "longer-than-announced");

    let offset = usize::try_from(camera.offset(&upload)).unwrap();
    assert!(offset < content.len(), "the recording must not be completed by wrong bytes");
    assert!(world.stored().is_empty());
}

#[test]
fn requests_that_do_not_follow_the_protocol_are_told_what_is_missing() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 1000);
    let upload = camera.upload_of(&recording(1, &content));
    let (tus, kind) = ("Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream");
    let patch = |headers: &[&str]| camera.request("PATCH", &upload, headers, b"x");

    patch(&[kind, "Upload-Offset: 0"]).is_problem(412, "unsupported-version");
    let older = patch(&["Tus-Resumable: 0.2.2", kind, "Upload-Offset: 0"]);
    older.is_problem(412, "unsupported-version");
    assert_eq!(older.headers["tus-version"], "1.0.0");
    patch(&[tus, "Upload-Offset: 0"]).is_problem(415, "unsupported-content-type");
    patch(&[tus, kind]).is_problem(400, "malformed-request");
    for offset in ["-1", "+0", "0x0", "", "99999999999999999999"] {
        patch(&[tus, kind, &format!("Upload-Offset: {offset}")]).is_problem(400, "malformed-request");
    }
    assert_eq!(older.headers["tus-resumable"], "1.0.0");
    // What says neither of the two dialects is told of both.
    assert_eq!(patch(&[kind]).headers["tus-version"], "1.0.0");

    let create = |headers: &[&str]| camera.request("POST", "/device/v1/uploads", headers, b"");
    create(&[tus, "Upload-Length: 5"]).is_problem(400, "malformed-request");
    create(&[tus, "Upload-Length: 5", "Upload-Metadata: rid %%%"]).is_problem(400, "malformed-request");
    create(&[tus, "Upload-Length: 99999999999999"]).is_problem(413, "too-large");
    create(&[tus, "Upload-Length: 5", &format!("Upload-Metadata: a {}", "A".repeat(4096))])
        .is_problem(413, "too-large");
    camera.try_create(&rid(99), 5).is_problem(409, "not-offered");
    camera.offer(&[recording(2, &content)]);
    camera.try_create(&rid(2), 999).is_problem(409, "size-differs-from-offer");

    camera.request("GET", "/device/v1/nothing", &[], b"").is_problem(404, "not-found");
    camera.request("GET", "/nothing", &[], b"").is_problem(404, "not-found");
    let put = camera.request("PUT", &upload, &[], b"");
    put.is_problem(405, "method-not-allowed");
    assert_eq!(put.headers["allow"], "HEAD, PATCH, DELETE, OPTIONS");
    camera
        .request("PATCH", "/device/v1/uploads/../../x", &[tus, kind, "Upload-Offset: 0"], b"")
        .is_problem(404, "not-found");
    camera.patch("/device/v1/uploads/zz", 0, b"x").is_problem(404, "upload-not-found");
    assert_eq!(camera.offset(&upload), 0);
}

#[test]
fn json_bodies_are_read_within_their_limits() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let offers = |body: &[u8]| camera.request("POST", "/device/v1/offers", &["Content-Type: application/json"], body);
    offers(b"{").is_problem(400, "malformed-request");
    offers(b"{\"items\":[{\"rid\":\"../..\"}]}").is_problem(400, "malformed-request");
    offers(&[b"{\"items\":".as_slice(), &b"[".repeat(20), &b"]".repeat(20), b"}"].concat())
        .is_problem(400, "malformed-request");
    offers(&b" ".repeat(1024 * 1024 + 1)).is_problem(413, "too-large");
    let many: Vec<_> = (0..1001).map(|n| recording(n, b"x")).collect();
    offers(json!({"items": many}).to_string().as_bytes()).is_problem(413, "too-large");
    let mut long = recording(1, b"x");
    long["camera"] = json!("x".repeat(256));
    let problem = offers(json!({"items": [recording(0, b"x"), long]}).to_string().as_bytes());
    assert!(problem.is_problem(400, "malformed-request")["detail"].as_str().unwrap().contains("items[1]"));
    camera
        .request("POST", "/device/v1/offers", &["Content-Type: text/plain"], b"{}")
        .is_problem(415, "unsupported-content-type");
    assert_eq!(camera.offer(&many[..1000]).len(), 1000);
}
