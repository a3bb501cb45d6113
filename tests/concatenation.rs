//! Recordings that clients send in parts at the same time, and the server joins.

use longshore_model::Sha256;

use crate::support::{Client, Reply, World, bytes, eventually};

const MIB: usize = 1024 * 1024;

fn path(url: &str) -> &str {
    url.strip_prefix("https://longshore").unwrap()
}

/// Makes a part and sends so much of it.
fn part(client: &Client, content: &[u8], sent: usize) -> String {
    let length = format!("Upload-Length: {}", content.len());
    let created = client.create_with(&["Upload-Concat: partial", &length], &[]);
    assert_eq!(created.status, 201, "{created:?}");
    let url = created.headers["location"].clone();
    if sent > 0 {
        assert_eq!(client.patch(&url, 0, &content[..sent]).offset(), sent as u64);
    }
    url
}

fn join(client: &Client, parts: &[String], metadata: &[(&str, &str)]) -> Reply {
    client.create_with(&[&format!("Upload-Concat: final;{}", parts.join(" "))], metadata)
}

#[test]
fn parts_are_joined_in_their_order_and_are_one_recording() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let contents = [bytes(1, 5 * MIB + 3), bytes(2, 100), Vec::new(), bytes(3, 12 * MIB)];
    let mut parts: Vec<String> = contents.iter().map(|content| part(&client, content, content.len())).collect();
    assert!(world.recordings().is_empty(), "a part is no recording");
    let head = client.head(&parts[0]);
    assert_eq!((head.headers["upload-concat"].as_str(), head.offset()), ("partial", 5 * MIB as u64 + 3));
    assert!(!head.headers.contains_key("longshore-receipt") && head.headers.contains_key("upload-expires"));
    // The second by its path alone.
    parts[1] = path(&parts[1]).to_owned();
    let said = [("filename", "gate.mp4"), ("start", "2026-11-20T14:03:22+01:00")];
    let joined = join(&client, &parts, &said);
    let whole = contents.concat();
    assert_eq!((joined.status, joined.offset()), (201, whole.len() as u64), "{joined:?}");
    assert!(joined.headers.contains_key("longshore-receipt"));
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&whole)]);
    assert_eq!(world.recordings()[0]["original_name"], "gate.mp4");
    eventually("the parts are gone", || world.incoming().is_empty());

    let upload = &joined.headers["location"];
    let head = client.head(upload);
    let paths: Vec<&str> = parts.iter().map(|part| part.strip_prefix("https://longshore").unwrap_or(part)).collect();
    assert_eq!(head.headers["upload-concat"], format!("final;{}", paths.join(" ")));
    assert_eq!((head.offset(), head.headers["upload-length"].clone()), (whole.len() as u64, whole.len().to_string()));
    client.patch(upload, whole.len() as u64, b"").is_problem(403, "joined-upload");
    // The answer was lost: the same again finds the recording.
    let again = join(&client, &parts, &said);
    assert_eq!((again.status, &again.headers["location"], again.offset()), (201, upload, whole.len() as u64));
    assert_eq!(world.recordings().len(), 1);
}

#[test]
fn what_cannot_be_joined_is_refused_and_the_parts_stay() {
    let world = World::new();
    let (client, other) = (Client::of(&world, "W-1"), Client::of(&world, "W-2"));
    let content = bytes(1, 1000);
    let (whole, half) = (part(&client, &content, 1000), part(&client, &content, 400));
    let theirs = part(&other, &content, 1000);
    let ordinary = client.create(1000, &[]).headers["location"].clone();
    join(&client, &[whole.clone(), half.clone()], &[]).is_problem(409, "unfinished-parts");
    join(&client, &[whole.clone(), theirs], &[]).is_problem(404, "upload-not-found");
    join(&client, &[whole.clone(), ordinary], &[]).is_problem(404, "upload-not-found");
    join(&client, &[whole.clone(), whole.clone()], &[]).is_problem(400, "malformed-request");
    for wrong in ["final;", "final;/elsewhere/1", "whole", "final"] {
        client.create_with(&[&format!("Upload-Concat: {wrong}")], &[]).is_problem(400, "malformed-request");
    }
    let with_length = [&format!("Upload-Concat: final;{whole}"), "Upload-Length: 1000"];
    client.create_with(&with_length, &[]).is_problem(400, "malformed-request");
    let camera = world.camera("B4-1", "J. Smith");
    let by_key = ["Tus-Resumable: 1.0.0", "Upload-Concat: partial", "Upload-Length: 5"];
    camera.request("POST", "/device/v1/uploads", &by_key, b"").is_problem(400, "malformed-request");
    let length = client.head(&half).headers["upload-length"].clone();
    assert_eq!((client.head(&whole).offset(), length.as_str()), (1000, "1000"));
    assert_eq!(client.patch(&half, 400, &content[400..]).status, 204);
    // Another checksum than declared: the recording is refused.
    let sha256 = Sha256::of(b"other").to_string();
    join(&client, &[whole, half], &[("sha256", &sha256)]).is_problem(422, "checksum-mismatch");
    assert!(world.recordings().is_empty());
}

#[test]
fn a_server_that_is_killed_while_it_joins_goes_on_with_the_same_request() {
    // It stands still at its 40th write, in the middle of the second part.
    let mut world = World::with_fail_points("storage-write=39*off->pause");
    let client = Client::of(&world, "W-1");
    let contents = [bytes(1, 10 * MIB), bytes(2, 15 * MIB)];
    let parts = [0, 1].map(|n| part(&client, &contents[n], contents[n].len()));
    let header = format!("Upload-Concat: final;{}", parts.join(" "));
    let headers = ["Tus-Resumable: 1.0.0", &client.authorization, &header, "Content-Length: 0"];
    let joining = client.camera.begin("POST", "/device/v1/uploads", &headers);
    let unfinished = || world.cli_json(&["device", "show", "W-1"])["unfinished"].as_array().unwrap().clone();
    let whole = 25 * MIB as u64;
    let found = || unfinished().into_iter().find(|upload| upload["length"].as_u64() == Some(whole));
    eventually("it is begun", || found().is_some());
    eventually("bytes of it are written", || {
        let folders = world.incoming().into_iter().map(|folder| folder.join("data"));
        folders.map(|data| std::fs::metadata(data).unwrap().len()).sum::<u64>() > whole + 8 * MIB as u64
    });
    let upload = format!("/device/v1/uploads/{}", found().unwrap()["upload"].as_str().unwrap());
    // Who only asks takes nothing from it, and is told no offset to go on from.
    let head = client.head(&upload);
    assert_eq!((head.status, head.headers["upload-length"].clone()), (200, whole.to_string()));
    assert!(!head.headers.contains_key("upload-offset") && head.headers["upload-concat"].starts_with("final;"));
    client.patch(&upload, 0, b"x").is_problem(403, "joined-upload");
    world.kill();
    drop(joining);
    world.fail_points = String::new();
    world.start();
    let before = world.incoming().len();
    assert_eq!(before, 3, "both parts and what was joined of them");
    let joined = join(&client, &parts, &[]);
    assert_eq!((joined.status, path(&joined.headers["location"])), (201, upload.as_str()), "{joined:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&contents.concat())]);
    eventually("nothing is left", || world.incoming().is_empty());
}

#[test]
fn a_part_that_the_disk_altered_is_no_part_any_more() {
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let contents = [bytes(1, 3 * MIB), bytes(2, 3 * MIB)];
    let parts = [0, 1].map(|n| part(&client, &contents[n], contents[n].len()));
    let file = world.storage().join(".incoming").join(parts[1].rsplit('/').next().unwrap()).join("data");
    let mut altered = contents[1].clone();
    altered[MIB] ^= 1;
    std::fs::write(&file, &altered).unwrap();
    join(&client, &parts, &[]).is_problem(404, "upload-not-found");
    assert_eq!((client.head(&parts[0]).status, client.head(&parts[1]).status), (200, 404));
    assert!(world.recordings().is_empty());
    let again = [parts[0].clone(), part(&client, &contents[1], contents[1].len())];
    assert_eq!(join(&client, &again, &[]).status, 201);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&contents.concat())]);
}
