//! Stated limits hold, and who keeps them is not touched by who does not.

use crate::support::{Camera, World, bytes, eventually, recording, rid};

const MIB: usize = 1024 * 1024;

#[test]
fn a_fifth_body_at_once_is_refused_until_one_of_the_four_ends() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content: Vec<_> = (1..=5).map(|n| bytes(n, 2 * MIB)).collect();
    let uploads: Vec<_> = (1..).zip(&content).map(|(n, content)| camera.upload_of(&recording(n, content))).collect();
    let mut open: Vec<_> = uploads[..4].iter().map(|upload| camera.begin_patch(upload, 0, 2 * MIB)).collect();
    for (exchange, content) in open.iter_mut().zip(&content) {
        exchange.send(&content[..MIB + 1]).unwrap();
    }
    eventually("all four have brought something", || {
        let begun = world.incoming().into_iter().filter(|folder| folder.join("data").metadata().unwrap().len() > 0);
        begun.count() == 4
    });
    let fifth = || camera.patch(&uploads[4], 0, &content[4]);
    fifth().is_problem(429, "too-many");
    // One that takes over from one of the four needs no place of its own.
    open[0].arrived();
    assert_eq!(camera.patch(&uploads[0], MIB as u64 + 1, &content[0][MIB + 1..]).status, 204);
    open.remove(0).reply("PATCH").is_problem(409, "superseded");
    assert_eq!(fifth().status, 204, "a place is free");
    for (mut exchange, content) in open.into_iter().zip(&content[1..]) {
        exchange.send(&content[MIB + 1..]).unwrap();
        assert_eq!(exchange.reply("PATCH").status, 204);
    }
    assert_eq!(world.stored().len(), 5);
}

#[test]
fn a_device_begins_at_most_64_uploads() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let items: Vec<_> = (0..70).map(|n| recording(n, b"xyz")).collect();
    camera.offer(&items);
    for n in 0..64 {
        assert_eq!(camera.try_create(&rid(n), 3).status, 201);
    }
    camera.try_create(&rid(64), 3).is_problem(429, "too-many");
    let answers = camera.offer(&items);
    let count = |reason: &str| answers.iter().filter(|answer| answer["reason"] == reason).count();
    assert_eq!(answers.iter().filter(|answer| answer["answer"] == "resume").count(), 16);
    assert_eq!(count("queued") + count("too_many_unfinished"), 54);
    // Another device is not touched.
    let other = world.camera("B4-2", "A. Jones");
    assert_eq!(other.offer(&[recording(1, b"xyz")])[0]["answer"], "upload");
}

#[test]
fn a_ninth_connection_of_a_device_is_refused() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let request = b"GET /device/v1/desired HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open: Vec<_> = (0..8)
        .map(|_| {
            let mut connection = camera.connect();
            connection.send(request).unwrap();
            assert_eq!(connection.reply("GET").status, 200);
            connection
        })
        .collect();
    let mut ninth = camera.connect();
    ninth.send(request).unwrap();
    let reply = ninth.reply("GET");
    reply.is_problem(429, "too-many");
    assert_eq!(reply.headers["connection"], "close", "on this connection it would never get better");
    assert_eq!(world.camera("B4-2", "A. Jones").offer(&[]), Vec::<serde_json::Value>::new());
    open.clear();
    ninth.cut();
    eventually("the connections are given back", || {
        camera.request("GET", "/device/v1/desired", &[], b"").status == 200
    });
}

#[test]
fn strangers_are_held_off_and_devices_are_not() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let stranger = Camera::new(&world);
    let hello = || stranger.request("GET", "/device/v1/hello", &[], b"");
    let refused = (0..40).map(|_| hello()).find(|reply| reply.status != 200).unwrap();
    refused.is_problem(429, "too-many");
    assert!(refused.headers["retry-after"].parse::<u64>().unwrap() <= 61);
    assert_eq!(camera.request("GET", "/device/v1/desired", &[], b"").status, 200);
}

#[test]
fn with_few_open_files_the_server_takes_fewer_connections_and_works() {
    let mut world = World::at_rest();
    assert!(world.try_start(&["prlimit", "--nofile=240:240"]), "{}", world.log());
    assert!(world.log().contains("files=240 connections=80"), "{}", world.log());
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, MIB);
    let upload = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
}
