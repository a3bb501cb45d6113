//! Resumable uploads of the IETF, on the URLs of tus.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_model::Sha256;
use serde_json::Value;

use crate::support::{Camera, Client, Reply, World, bytes, recording, rid};

const MIB: usize = 1024 * 1024;
const PARTIAL: &str = "Content-Type: application/partial-upload";

fn post(client: &Client, headers: &[&str], body: &[u8]) -> Reply {
    client.request_without_tus("POST", "/device/v1/uploads", headers, body)
}

fn patch(client: &Client, upload: &str, offset: u64, complete: &str, headers: &[&str], body: &[u8]) -> Reply {
    let (offset, complete) = (format!("Upload-Offset: {offset}"), format!("Upload-Complete: {complete}"));
    client.request_without_tus("PATCH", upload, &[&[PARTIAL, &offset, &complete], headers].concat(), body)
}

fn head(client: &Client, upload: &str) -> Reply {
    client.request_without_tus("HEAD", upload, &[], b"")
}

fn is(reply: &Reply, status: u16, complete: &str, offset: u64) {
    let told = (reply.status, reply.headers.get("upload-complete").map(String::as_str), reply.offset());
    assert_eq!(told, (status, Some(complete), offset), "{reply:?}");
    assert!(!reply.headers.contains_key("tus-resumable"), "{reply:?}");
}

fn is_registered(reply: &Reply, status: u16, name: &str) -> Value {
    let problem = reply.json(status);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(problem["type"], format!("https://iana.org/assignments/http-problem-types#{name}"), "{problem}");
    problem
}

fn digest(name: &str, content: &[u8]) -> String {
    format!("{name}: sha-256=:{}:", STANDARD.encode(Sha256::of(content).as_bytes()))
}

#[test]
fn a_recording_in_one_request_is_complete_with_its_answer() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let content = bytes(1, 3 * MIB + 7);
    let name = "Content-Disposition: inline; filename=\"gate.mp4\"";
    let created = post(&client, &["Upload-Complete: ?1", "Content-Type: video/mp4", name], &content);
    is(&created, 201, "?1", content.len() as u64);
    assert!(created.headers.contains_key("longshore-receipt") && created.headers.contains_key("location"));
    assert_eq!(world.recordings()[0]["original_name"], "gate.mp4");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
    let told = head(&client, &created.headers["location"]);
    is(&told, 204, "?1", content.len() as u64);
    assert_eq!(
        (told.headers["upload-length"].clone(), told.headers["cache-control"].as_str()),
        (content.len().to_string(), "no-store")
    );
    // An empty one.
    is(&post(&client, &["Upload-Complete: ?1"], b""), 201, "?1", 0);
}

#[test]
fn a_recording_in_pieces_goes_on_after_a_break_and_ends_with_the_last() {
    let mut world = World::new();
    let client = Client::of(&world, "W-1");
    let content = bytes(1, 3 * MIB);
    let created = post(&client, &["Upload-Complete: ?0"], &content[..MIB]);
    is(&created, 201, "?0", MIB as u64);
    let limit = &created.headers["upload-limit"];
    assert!(limit.starts_with("max-size=1099511627776, max-age=259"), "{limit}");
    let upload = created.headers["location"].clone();
    is(&patch(&client, &upload, MIB as u64, "?0", &[], &content[MIB..MIB + 9]), 204, "?0", MIB as u64 + 9);
    world.kill();
    world.start();
    let told = head(&client, &upload);
    is(&told, 204, "?0", MIB as u64 + 9);
    assert!(!told.headers.contains_key("upload-length") && told.headers["upload-limit"].contains("max-age="));
    // tus goes on with the same upload, and the other way round.
    assert_eq!(client.patch(&upload, MIB as u64 + 9, &content[MIB + 9..2 * MIB]).offset(), 2 * MIB as u64);
    let last = patch(&client, &upload, 2 * MIB as u64, "?1", &[], &content[2 * MIB..]);
    is(&last, 204, "?1", content.len() as u64);
    assert!(last.headers.contains_key("longshore-receipt"));
    is(&patch(&client, &upload, content.len() as u64, "?1", &[], b""), 204, "?1", content.len() as u64);
    let more = patch(&client, &upload, content.len() as u64, "?1", &[], b"x");
    is_registered(&more, 400, "inconsistent-upload-length");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn a_body_without_a_length_may_be_the_last() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let headers = [client.authorization.as_str(), "Upload-Complete: ?1", "Transfer-Encoding: chunked"];
    let mut creating = client.camera.begin("POST", "/device/v1/uploads", &headers);
    creating.send(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").unwrap();
    is(&creating.reply("POST"), 201, "?1", 11);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(b"hello world")]);
    // It ends before the length that was given.
    let headers = [&headers[..], &["Upload-Length: 12"]].concat();
    let mut creating = client.camera.begin("POST", "/device/v1/uploads", &headers);
    creating.send(b"5\r\nhello\r\n0\r\n\r\n").unwrap();
    is_registered(&creating.reply("POST"), 400, "inconsistent-upload-length");
}

#[test]
fn what_does_not_follow_the_draft_is_told_in_its_words() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let upload = post(&client, &["Upload-Complete: ?0", "Upload-Length: 10"], b"12345").headers["location"].clone();
    let wrong = patch(&client, &upload, 3, "?0", &[], b"x");
    let problem = is_registered(&wrong, 409, "mismatching-upload-offset");
    assert_eq!(
        (problem["expected-offset"].as_u64(), problem["provided-offset"].as_u64(), wrong.offset()),
        (Some(5), Some(3), 5)
    );
    is_registered(&patch(&client, &upload, 5, "?0", &["Upload-Length: 11"], b"x"), 400, "inconsistent-upload-length");
    is_registered(&patch(&client, &upload, 5, "?1", &[], b"6789"), 400, "inconsistent-upload-length");
    let unequal = ["Upload-Complete: ?1", "Upload-Length: 9"];
    is_registered(&post(&client, &unequal, b"12345"), 400, "inconsistent-upload-length");
    client
        .request_without_tus("PATCH", &upload, &["Upload-Offset: 5"], b"x")
        .is_problem(415, "unsupported-content-type");
    client
        .request_without_tus("PATCH", &upload, &[PARTIAL, "Upload-Offset: 5"], b"x")
        .is_problem(400, "malformed-request");
    // A malformed field is as none: this one says neither of the two dialects.
    post(&client, &["Upload-Complete: 1"], b"x").is_problem(412, "unsupported-version");
    is(&head(&client, &upload), 204, "?0", 5);
    // More than was announced: no more of it.
    is_registered(&patch(&client, &upload, 5, "?0", &[], b"678901"), 400, "inconsistent-upload-length");
    assert_eq!(head(&client, &upload).status, 404);
    let large = format!("Upload-Length: {}", (1_u64 << 40) + 1);
    post(&client, &["Upload-Complete: ?0", &large], b"").is_problem(413, "too-large");
    assert!(world.recordings().is_empty());
}

#[test]
fn a_device_sends_an_offered_recording_in_this_dialect() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 300_000);
    let offered = |n: u32| {
        camera.offer(&[recording(n, &content)]);
        format!("Upload-Metadata: rid {}", STANDARD.encode(rid(n)))
    };
    let send = |camera: &Camera, method: &str, path: &str, headers: &[&str], body: &[u8]| {
        camera.request(method, path, headers, body)
    };
    let metadata = offered(1);
    let made = send(&camera, "POST", "/device/v1/uploads", &["Upload-Complete: ?0", &metadata], &content[..1000]);
    is(&made, 201, "?0", 1000);
    // The same again would bring the same bytes twice.
    let again = send(&camera, "POST", "/device/v1/uploads", &["Upload-Complete: ?1", &metadata], &content);
    assert_eq!(is_registered(&again, 409, "mismatching-upload-offset")["expected-offset"], 1000);
    let upload = &made.headers["location"];
    assert_eq!(
        send(&camera, "HEAD", upload, &[], b"").headers["upload-length"],
        "300000",
        "it is known from the offer"
    );
    let last = [PARTIAL, "Upload-Offset: 1000", "Upload-Complete: ?1"];
    is(&send(&camera, "PATCH", upload, &last, &content[1000..]), 204, "?1", 300_000);
    let metadata = offered(2);
    let made = send(&camera, "POST", "/device/v1/uploads", &["Upload-Complete: ?0", &metadata], b"");
    is(&made, 201, "?0", 0);
    assert_eq!(send(&camera, "DELETE", &made.headers["location"], &[], b"").status, 204);
    assert_eq!(world.recordings().len(), 1);
}

#[test]
fn digest_fields_are_compared_with_the_body_and_with_the_whole() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let content = bytes(1, 12 * MIB);
    let (first, second) = content.split_at(10 * MIB);
    let repr = digest("Repr-Digest", &content);
    let upload = post(&client, &["Upload-Complete: ?0", &repr], b"").headers["location"].clone();
    let of_other = digest("Content-Digest", second);
    let refused = patch(&client, &upload, 0, "?0", &[&of_other], first);
    refused.is_problem(400, "content-digest-mismatch");
    assert_eq!(head(&client, &upload).offset(), 0);
    is(&patch(&client, &upload, 0, "?0", &[&digest("Content-Digest", first)], first), 204, "?0", 10 * MIB as u64);
    is(
        &patch(&client, &upload, 10 * MIB as u64, "?1", &["Content-Digest: sha-256=x"], second),
        204,
        "?1",
        content.len() as u64,
    );
    assert!(world.recordings()[0]["attested"] == true, "the client said what it was to be");
    post(&client, &["Upload-Complete: ?1", &repr], b"other bytes").is_problem(422, "checksum-mismatch");
    // With tus the body's digest is one more way to say its checksum.
    let upload = client.create(5, &[]).headers["location"].clone();
    let refused = client.patch_with(&upload, 0, &[&digest("Content-Digest", b"other")], b"video");
    refused.is_problem(460, "body-checksum-mismatch");
    assert_eq!(client.patch_with(&upload, 0, &[&digest("Content-Digest", b"video")], b"video").status, 204);
    assert_eq!(world.recordings().len(), 2);
}

#[test]
fn the_dialect_is_announced_unless_it_is_switched_off() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let options = |client: &Client| client.request_without_tus("OPTIONS", "/device/v1/uploads", &[], b"");
    let told = options(&client);
    assert_eq!(told.headers["upload-limit"], "max-size=1099511627776");
    assert!(told.headers["accept-patch"].contains("application/partial-upload"), "{told:?}");
    let world = World::configured("[uploads]\nietf_draft = false\n");
    let client = Client::of(&world, "W-1");
    let told = options(&client);
    assert!(
        !told.headers.contains_key("upload-limit") && told.headers["accept-patch"] == "application/offset+octet-stream"
    );
    post(&client, &["Upload-Complete: ?1"], b"video").is_problem(412, "unsupported-version");
    assert_eq!(client.upload(b"video", &[]).status, 204);
}
