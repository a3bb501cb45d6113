//! Many uploads at once, while the server is stopped and killed under them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use longshore_model::Sha256;

use crate::support::{Client, Reply, World, bytes, eventually};

const DEVICES: usize = 25;
/// As many as a device may have open.
const UPLOADS: usize = 4;
const RESTARTS: u64 = 10;
const LENGTH: usize = 1_500_000;
/// Of one request; no multiple of anything that the server works with.
const PIECE: usize = 190_000;

/// With all restarts; a server that never comes back must not hold the test for ever.
const PATIENCE: Duration = Duration::from_secs(240);

/// What the clients saw, together.
#[derive(Default)]
struct Seen {
    /// Bytes that were acknowledged and are new.
    bytes: AtomicU64,
    /// Requests that a restart cut, or that met no server.
    cut: AtomicUsize,
    ended: AtomicUsize,
}

/// Sends one recording whatever happens; the offset never falls behind what was acknowledged.
fn send(client: &Client, upload: &str, content: &[u8], seen: &Seen) {
    let mut acknowledged = 0;
    let mut note = |reply: &Reply| {
        let offset = usize::try_from(reply.offset()).unwrap();
        assert!(offset >= acknowledged, "{upload}: {acknowledged} bytes were acknowledged, now {offset}");
        seen.bytes.fetch_add((offset - acknowledged) as u64, Ordering::Relaxed);
        acknowledged = offset;
        offset
    };
    let request = |method: &str, headers: &[&str], body: &[u8]| {
        let headers = [&["Tus-Resumable: 1.0.0", &client.authorization], headers].concat();
        let reply = client.camera.try_request(method, upload, &headers, body).ok();
        let reply = reply.filter(|reply| [200, 204].contains(&reply.status));
        if reply.is_none() {
            seen.cut.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
        }
        reply
    };
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "{upload} is not complete");
        let Some(head) = request("HEAD", &[], b"") else { continue };
        let mut at = note(&head);
        while at < content.len() {
            let piece = &content[at..content.len().min(at + PIECE)];
            let offset = format!("Upload-Offset: {at}");
            let Some(patched) = request("PATCH", &["Content-Type: application/offset+octet-stream", &offset], piece)
            else {
                break;
            };
            at = note(&patched);
        }
        // The last answer may have come without the receipt, when the server was told to stop.
        if at == content.len()
            && request("HEAD", &[], b"").is_some_and(|head| head.headers.contains_key("longshore-receipt"))
        {
            seen.ended.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}

#[test]
fn a_hundred_uploads_survive_ten_restarts_and_none_begins_anew() {
    let mut world = World::new();
    let contents: Vec<Vec<u8>> = (0..DEVICES * UPLOADS).map(|n| bytes(n as u64, LENGTH)).collect();
    let clients: Vec<Client> = (0..DEVICES).map(|n| Client::of(&world, &format!("W-{n}"))).collect();
    let uploads: Vec<(usize, String)> = (0..contents.len())
        .map(|n| {
            let created = clients[n / UPLOADS].create(LENGTH, &[("filename", "a.mp4")]);
            assert_eq!(created.status, 201, "{created:?}");
            (n, created.headers["location"].strip_prefix("https://longshore").unwrap().to_owned())
        })
        .collect();
    let seen = Seen::default();
    thread::scope(|scope| {
        for (n, upload) in &uploads {
            let (client, content, seen) = (&clients[n / UPLOADS], &contents[*n], &seen);
            scope.spawn(move || send(client, upload, content, seen));
        }
        let all = (contents.len() * LENGTH) as u64;
        for restart in 1..=RESTARTS {
            let due = all * restart / (RESTARTS + 1);
            eventually("they came further", || seen.bytes.load(Ordering::Relaxed) >= due);
            if restart % 2 == 0 {
                world.terminate();
                assert_eq!(world.stopped(), Some(0));
            } else {
                world.kill();
            }
            world.start();
        }
    });
    assert_eq!(seen.ended.into_inner(), contents.len());
    assert_eq!(seen.bytes.into_inner(), (contents.len() * LENGTH) as u64);
    assert!(seen.cut.into_inner() > 0, "no restart was noticed");
    let mut stored: Vec<Sha256> = world.stored().into_values().collect();
    let mut sent: Vec<Sha256> = contents.iter().map(|content| Sha256::of(content)).collect();
    stored.sort_unstable();
    sent.sort_unstable();
    assert_eq!(stored, sent);
    assert!(world.incoming().is_empty());
}
