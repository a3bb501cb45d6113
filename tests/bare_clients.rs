//! Clients that know tus and nothing of Longshore: they upload with a token, and what they bring is a recording like any
//! other.

use longshore_model::Sha256;
use serde_json::Value;

use crate::support::{Client, World, bytes, eventually, files_below, issue, rid};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn what_a_bare_client_uploads_is_a_recording_with_a_receipt() {
    let world = World::new();
    let client = Client::new(&world, text(&issue(&world, "W-1")["token"]));
    let content = bytes(1, 300_000);
    let created = client.create(content.len(), &[("filename", "gate 4.mp4"), ("filetype", "video/mp4")]);
    let upload = &created.headers["location"];
    assert_eq!(client.patch(upload, 0, &content[..100_000]).offset(), 100_000);
    assert_eq!(client.request("HEAD", upload, &[], b"").offset(), 100_000);
    let last = client.patch(upload, 100_000, &content[100_000..]);
    assert!(last.status == 204 && last.headers.contains_key("longshore-receipt"), "{last:?}");
    let row = &world.recordings()[0];
    assert_eq!((text(&row["serial"]), text(&row["assignee"])), ("W-1", "Front desk"));
    assert_eq!((text(&row["kind"]), text(&row["original_name"])), ("event", "gate 4.mp4"));
    assert!(row["clock_unset"] == true && row["attested"] == false, "nobody said when, or what: {row}");
    assert!(text(&row["path"]).starts_with("Front desk/") && text(&row["path"]).ends_with(".mp4"), "{row}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn what_a_bare_client_says_of_its_recording_counts() {
    let world = World::new();
    let client = Client::new(&world, text(&issue(&world, "W-1")["token"]));
    let content = bytes(1, 1000);
    let (sha256, rid) = (Sha256::of(&content).to_string(), rid(7));
    let said = [
        ("rid", rid.as_str()),
        ("name", "a.mov"),
        ("camera", "gate"),
        ("kind", "continuous"),
        ("start", "2026-11-20T14:03:22+01:00"),
        ("end", "2026-11-20T14:13:22+01:00"),
        ("sha256", &sha256),
    ];
    assert_eq!(client.upload(&content, &said).status, 204);
    let row = &world.recordings()[0];
    assert_eq!((text(&row["rid"]), text(&row["camera"]), text(&row["kind"])), (rid.as_str(), "gate", "continuous"));
    assert!(row["attested"] == true && row.get("clock_unset").is_none(), "{row}");
    assert!(text(&row["path"]).contains("2026-11-20 14-03-22 gate continuous.mov"), "{row}");
    client.create(content.len(), &said).is_problem(409, "already-stored");

    let other = [("sha256", sha256.as_str())];
    client.upload(&bytes(2, 1000), &other).is_problem(422, "checksum-mismatch");
    assert!(world.incoming().is_empty(), "such a client repairs nothing");
    for wrong in
        [("kind", "film"), ("start", "yesterday"), ("sha256", "abc"), ("rid", "7"), ("camera", &"x".repeat(256))]
    {
        client.create(1000, &[wrong]).is_problem(400, "malformed-request");
    }
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn a_bare_client_whose_file_changed_begins_anew_and_splices_nothing() {
    let world = World::new();
    let client = Client::new(&world, text(&issue(&world, "W-1")["token"]));
    let (old, new, rid) = (bytes(1, 1000), bytes(2, 1001), rid(7));
    let said = [("rid", rid.as_str())];
    let first = client.create(old.len(), &said).headers["location"].clone();
    assert_eq!(client.patch(&first, 0, &old[..400]).status, 204);
    let second = client.create(new.len(), &said);
    assert_eq!((second.status, second.offset()), (201, 0));
    assert_eq!(client.request("HEAD", &first, &[], b"").status, 404);
    client.patch(&first, 400, &old[400..]).is_problem(404, "upload-not-found");
    assert_eq!(client.patch(&second.headers["location"], 0, &new).status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&new)]);
}

#[test]
fn a_token_is_for_uploads_of_its_device_and_nothing_else() {
    let world = World::new();
    let client = Client::new(&world, text(&issue(&world, "W-1")["token"]));
    let other = Client::new(&world, text(&issue(&world, "W-2")["token"]));
    let offers = client.request("POST", "/device/v1/offers", &["Content-Type: application/json"], b"{\"items\":[]}");
    offers.is_problem(403, "unknown-device");
    client.request("GET", "/device/v1/desired", &[], b"").is_problem(403, "unknown-device");
    let created = client.create(1000, &[]);
    assert_eq!(other.request("HEAD", &created.headers["location"], &[], b"").status, 404);
    let guess = Client::new(&world, "lsu_00000000000000000000000000000000").create(1000, &[]);
    guess.is_problem(401, "unauthenticated");
    assert!(guess.headers["www-authenticate"].starts_with("Bearer"));
}

#[test]
fn a_ninth_connection_with_tokens_of_a_device_is_refused() {
    let world = World::new();
    let first = issue(&world, "W-1");
    let second = world.cli_json(&["device", "token", "W-1"]);
    let clients = [&first, &second].map(|token| Client::new(&world, text(&token["token"])));
    let ask = |client: &Client| {
        let mut connection = client.camera.connect();
        let request = format!("OPTIONS /device/v1/uploads HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", client.authorization);
        connection.send(request.as_bytes()).unwrap();
        let reply = connection.reply("OPTIONS");
        (connection, reply)
    };
    let open: Vec<_> = (0..8).map(|n| ask(&clients[n % 2])).collect();
    assert!(open.iter().all(|(_, reply)| reply.status == 204));
    let (_ninth, refused) = ask(&clients[0]);
    refused.is_problem(429, "too-many");
    assert_eq!(refused.headers["connection"], "close");
    let other = Client::new(&world, text(&issue(&world, "W-2")["token"]));
    assert_eq!(ask(&other).1.status, 204);
    drop(open);
    eventually("the connections are given back", || ask(&clients[0]).1.status == 204);
}

#[test]
fn a_revoked_token_counts_for_nothing_at_once_and_another_goes_on() {
    let mut world = World::new();
    let first = issue(&world, "W-1");
    let second = world.cli_json(&["device", "token", "W-1"]);
    let (one, two) = (Client::new(&world, text(&first["token"])), Client::new(&world, text(&second["token"])));
    let content = bytes(1, 1000);
    let upload = one.create(content.len(), &[]).headers["location"].clone();
    assert_eq!(one.patch(&upload, 0, &content[..400]).status, 204);
    world.cli_json(&["device", "revoke-token", "W-1", text(&first["id"])]);
    one.patch(&upload, 400, &content[400..]).is_problem(401, "unauthenticated");
    // Also to a server that reads its journal anew.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    let (one, two) = (
        Client::new(&world, text(&first["token"])),
        Client::new(&world, two.authorization.trim_start_matches("Authorization: Bearer ")),
    );
    one.patch(&upload, 400, &content[400..]).is_problem(401, "unauthenticated");
    assert_eq!(two.patch(&upload, 400, &content[400..]).status, 204);
    let shown = world.cli_json(&["device", "show", "W-1"]);
    assert_eq!(shown["upload_tokens"].as_array().unwrap().len(), 1);
    let again = world.cli(&["device", "revoke-token", "W-1", text(&first["id"])]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("has no upload token"));
    let lines = world.cli_json(&["device", "history", "W-1"]);
    let what: Vec<_> = lines.as_array().unwrap().iter().map(|line| text(&line["what"])).collect();
    assert_eq!(what, ["added", "upload_token_issued", "upload_token_issued", "first_call", "upload_token_revoked"]);
}

#[test]
fn a_tokens_secret_is_in_no_file_and_no_log() {
    let world = World::new();
    let token = text(&issue(&world, "W-1")["token"]).to_owned();
    Client::new(&world, &token).upload(b"video", &[]);
    for file in files_below(world.path()) {
        let content = std::fs::read(&file).unwrap_or_default();
        let found = content.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn a_suspended_client_hands_over_and_gets_no_receipt() {
    let world = World::new();
    let client = Client::new(&world, text(&issue(&world, "W-1")["token"]));
    assert_eq!(client.create(1000, &[]).status, 201);
    world.cli_json(&["device", "suspend", "W-1"]);
    let last = client.upload(b"video", &[]);
    assert!(last.status == 204 && !last.headers.contains_key("longshore-receipt"), "{last:?}");
    world.cli_json(&["device", "retire", "W-1"]);
    client.create(1000, &[]).is_problem(403, "device-retired");
}

#[test]
fn tokens_are_for_known_devices_and_few() {
    let world = World::new();
    let refused = |arguments: &[&str], words: &str| {
        let output = world.cli(&[&["device", "token"], arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(words), "{said}");
    };
    refused(&["B4-1"], "--model and --assignee");
    world.camera("B4-1", "J. Smith");
    refused(&["B4-1", "--model", "BC4", "--assignee", "J. Smith"], "known already");
    let tokens: Vec<Value> = (0..4).map(|_| world.cli_json(&["device", "token", "B4-1"])).collect();
    refused(&["B4-1"], "revoke one first");
    // A device with a key of its own may have a client with a token beside it.
    let client = Client::new(&world, text(&tokens[3]["token"]));
    assert_eq!(client.upload(b"video", &[("filename", "a.mp4")]).status, 204);
    assert!(text(&world.recordings()[0]["path"]).starts_with("J. Smith/"));
}

#[test]
fn a_length_that_was_put_off_comes_with_a_later_request_and_ends_the_recording() {
    let mut world = World::new();
    let client = Client::of(&world, "W-1");
    let content = bytes(1, 10 * 1024 * 1024 + 5);
    let created = client.create_with(&["Upload-Defer-Length: 1"], &[("filename", "gate.mp4")]);
    assert_eq!(created.status, 201, "{created:?}");
    let upload = created.headers["location"].clone();
    assert_eq!(client.patch(&upload, 0, &content[..100_000]).offset(), 100_000);
    let head = client.head(&upload);
    assert_eq!((head.offset(), head.headers["upload-defer-length"].as_str()), (100_000, "1"));
    assert!(!head.headers.contains_key("upload-length"));
    // The length, and that there was none, survive a server that is killed.
    world.kill();
    world.start();
    assert_eq!(client.head(&upload).headers["upload-defer-length"], "1");
    let length = format!("Upload-Length: {}", content.len());
    assert_eq!(client.patch_with(&upload, 100_000, &[&length], &content[100_000..200_000]).offset(), 200_000);
    world.kill();
    world.start();
    let head = client.head(&upload);
    assert_eq!((head.offset(), head.headers["upload-length"].clone()), (200_000, content.len().to_string()));
    assert!(!head.headers.contains_key("upload-defer-length"));
    let last = client.patch(&upload, 200_000, &content[200_000..]);
    assert!(last.status == 204 && last.headers.contains_key("longshore-receipt"), "{last:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
    assert_eq!(world.recordings()[0]["size"], content.len());
}

#[test]
fn a_length_is_said_once_and_may_be_said_last() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    for wrong in [&[][..], &["Upload-Defer-Length: 0"], &["Upload-Defer-Length: 1", "Upload-Length: 10"]] {
        client.create_with(wrong, &[]).is_problem(400, "malformed-request");
    }
    let (rid, length) = (rid(7), "Upload-Length: 1000");
    let said = [("rid", rid.as_str())];
    let begin = || client.create_with(&["Upload-Defer-Length: 1"], &said);
    let upload = begin().headers["location"].clone();
    let content = bytes(1, 1000);
    assert_eq!(client.patch(&upload, 0, &content).offset(), 1000);
    // At a wrong offset nothing of a request counts.
    client.patch_with(&upload, 500, &["Upload-Length: 2000"], b"").is_problem(409, "wrong-offset");
    let short = client.patch_with(&upload, 1000, &["Upload-Length: 999"], b"");
    assert_eq!(short.is_problem(400, "inconsistent-length")["offset"], 1000);
    let large = format!("Upload-Length: {}", (1_u64 << 40) + 1);
    client.patch_with(&upload, 1000, &[&large], b"").is_problem(413, "too-large");
    assert_eq!(client.patch_with(&upload, 1000, &["Upload-Length: 1001"], b"").offset(), 1000);
    client.patch_with(&upload, 1000, &[length], b"").is_problem(400, "inconsistent-length");
    // Made again, it is found, and goes on with its length.
    let again = begin();
    assert_eq!((again.status, again.offset(), &again.headers["location"]), (201, 1000, &upload));
    assert!(client.patch(&upload, 1000, b"!").headers.contains_key("longshore-receipt"));
    client.patch_with(&upload, 1001, &[length], b"").is_problem(400, "inconsistent-length");

    let upload = client.create_with(&["Upload-Defer-Length: 1"], &[]).headers["location"].clone();
    client.patch(&upload, 0, &content);
    let last = client.patch_with(&upload, 1000, &[length], b"");
    assert!(last.headers.contains_key("longshore-receipt"), "the length alone may come last: {last:?}");
    // Also with a repeated POST.
    let deferred = [("rid", "00000000000000000000000000000008")];
    let upload = client.create_with(&["Upload-Defer-Length: 1"], &deferred).headers["location"].clone();
    client.patch(&upload, 0, &content);
    assert_eq!(client.create(999, &deferred).is_problem(400, "inconsistent-length")["offset"], 1000);
    assert!(client.create(1000, &deferred).headers.contains_key("longshore-receipt"));
    assert_eq!(world.recordings().len(), 3);
}

#[test]
fn what_a_bare_client_said_is_told_again_as_it_said_it() {
    let mut world = World::new();
    let client = Client::of(&world, "W-1");
    let content = bytes(1, 1000);
    // Keys that mean nothing here, a key without a value, spaces and an order of its own.
    let said = "case_number MjAyNi0xMTI=, filename Z2F0ZSA0Lm1wNA==,is_confidential,start MjAyNi0xMS0yMFQxNDowMzoyMiswMTowMA==";
    let header = format!("Upload-Metadata: {said}");
    let created = client.request("POST", "/device/v1/uploads", &["Upload-Length: 1000", &header], b"");
    let upload = created.headers["location"].clone();
    let told = |client: &Client| client.head(&upload).headers["upload-metadata"].clone();
    assert_eq!(told(&client), said);
    assert_eq!(client.patch(&upload, 0, &content[..400]).offset(), 400);
    // Also by a server that reads its journal anew, and of a recording in the store.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!(told(&client), said);
    assert_eq!(client.patch(&upload, 400, &content[400..]).status, 204);
    assert_eq!(told(&client), said);
    assert_eq!(text(&world.recordings()[0]["original_name"]), "gate 4.mp4");

    let large = format!("Upload-Metadata: note {}", "YWJj".repeat(1024));
    let refused = client.request("POST", "/device/v1/uploads", &["Upload-Length: 1000", &large], b"");
    refused.is_problem(413, "too-large");
}
