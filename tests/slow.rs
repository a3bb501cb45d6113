//! Clients that hold on without saying anything, or say it very slowly: each is ended after a stated time, loses
//! nothing that arrived, and takes nothing from the others. These tests are as slow as what they test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Camera, Exchange, World, bytes, eventually, recording};

const MIB: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// Sends a piece each second until there is an answer, for at most this many seconds; how long it took.
fn drip(exchange: &mut Exchange, piece: &[u8], seconds: usize) -> Duration {
    let began = Instant::now();
    for _ in 0..seconds {
        exchange.send(piece).unwrap();
        if exchange.answers_within(SECOND) {
            return began.elapsed();
        }
    }
    panic!("no answer after {:?}", began.elapsed());
}

#[test]
fn a_body_that_stalls_is_ended_after_30_seconds_and_what_arrived_is_kept() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 3 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut stalling = camera.begin_patch(&upload, 0, content.len());
    stalling.send(&content[..2 * MIB + 17]).unwrap();
    let began = Instant::now();
    let reply = stalling.reply("PATCH");
    assert!((25..50).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let kept = 2 * MIB as u64 + 17;
    assert_eq!(reply.is_problem(503, "stalled")["offset"], kept);
    assert_eq!(reply.offset(), kept);
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(camera.offset(&upload), kept);
    assert_eq!(camera.patch(&upload, kept, &content[2 * MIB + 17..]).status, 204);
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn a_body_that_drips_is_ended_after_a_minute_and_what_arrived_is_kept() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = vec![7; MIB];
    let upload = camera.upload_of(&recording(1, &content));
    let mut dripping = camera.begin_patch(&upload, 0, content.len());
    let took = drip(&mut dripping, &content[..100], 90);
    assert!((55..90).contains(&took.as_secs()), "{took:?}");
    let reply = dripping.reply("PATCH");
    let kept = reply.is_problem(503, "stalled")["offset"].as_u64().unwrap();
    assert!((5000..9001).contains(&kept), "{kept}");
    assert_eq!(camera.offset(&upload), kept);
    assert_eq!(camera.patch(&upload, kept, &content[usize::try_from(kept).unwrap()..]).status, 204);
}

#[test]
fn a_flood_from_one_bay_does_not_stop_another() {
    let world = World::new();
    let (flooding, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    let (sent, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let content = bytes(9, 8 * MIB);
    std::thread::scope(|scope| {
        for n in 1..=4 {
            let (flooding, sent, enough) = (&flooding, &sent, &enough);
            scope.spawn(move || {
                let mut item = recording(n, b"");
                item["size"] = (1024 * MIB).into();
                let upload = flooding.upload_of(&item);
                let mut exchange = flooding.begin_patch(&upload, 0, 1024 * MIB);
                let piece = bytes(n.into(), MIB);
                for _ in (1..1024).take_while(|_| !enough.load(Ordering::Relaxed)) {
                    exchange.send(&piece).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                exchange.cut();
            });
        }
        eventually("the flood is running", || sent.load(Ordering::Relaxed) > 16);
        let upload = other.upload_of(&recording(1, &content));
        let (before, began) = (sent.load(Ordering::Relaxed), Instant::now());
        let reply = other.patch(&upload, 0, &content);
        let (after, took) = (sent.load(Ordering::Relaxed), began.elapsed());
        enough.store(true, Ordering::Relaxed);
        assert_eq!(reply.status, 204, "{reply:?}");
        assert!(after > before, "the flood went on meanwhile");
        assert!(took < Duration::from_secs(30), "8 MiB took {took:?}");
    });
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn a_tls_handshake_that_never_ends_is_ended_after_10_seconds() {
    let world = World::new();
    // Silent from the start, and after the first bytes of a ClientHello.
    for opening in [&b""[..], &[0x16, 3, 1, 2, 0, 1, 0]] {
        let mut socket = TcpStream::connect(world.address).unwrap();
        socket.set_read_timeout(Some(60 * SECOND)).unwrap();
        socket.write_all(opening).unwrap();
        let began = Instant::now();
        let _alert_or_reset = socket.read_to_end(&mut Vec::new());
        assert!(began.elapsed() >= 8 * SECOND, "{:?}", began.elapsed());
    }
}

#[test]
fn a_request_head_that_never_ends_is_ended_after_10_seconds() {
    let world = World::new();
    let stranger = Camera::new(&world);
    let mut silent = stranger.connect();
    silent.send(b"GET /device/v1/hello HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut dripping = stranger.connect();
    dripping.send(b"GET /device/v1/hello HTTP/1.1\r\nHost: x\r\n").unwrap();
    let took = drip(&mut dripping, b"X-More: 1\r\n", 30);
    assert!(took >= 8 * SECOND, "{took:?}");
    assert_eq!(dripping.reply("GET").status, 408);
    assert_eq!(silent.reply("GET").status, 408);
}

#[test]
#[ignore = "takes a minute and a half"]
fn a_later_request_head_that_drips_is_ended_soon_after_an_idle_connection_would_be() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let mut dripping = camera.begin("GET", "/device/v1/desired", &[]);
    assert_eq!(dripping.reply("GET").status, 200);
    dripping.send(b"GET /device/v1/desired HTTP/1.1\r\n").unwrap();
    let began = Instant::now();
    while !dripping.ends_within(SECOND) && began.elapsed() < 120 * SECOND {
        let _ended = dripping.send(b"X-More: 1\r\n");
    }
    assert!((70..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn a_crowd_that_only_holds_on_does_not_keep_a_bay_from_uploading() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let stranger = Camera::new(&world);
    let content = bytes(1, 4 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut uploading = camera.begin_patch(&upload, 0, content.len());
    uploading.send(&content[..MIB]).unwrap();
    eventually("the request has reached its transfer", || world.works_on(&upload));

    // Half of them before TLS, half of them in a request's head, all from the bay's own address.
    let mut silent: Vec<_> = (0..100).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    let mut in_head: Vec<_> = (0..100)
        .map(|_| {
            let mut exchange = stranger.connect();
            exchange.send(b"GET / HTTP/1.1\r\n").unwrap();
            exchange
        })
        .collect();
    let began = Instant::now();
    uploading.send(&content[MIB..]).unwrap();
    assert_eq!(uploading.reply("PATCH").status, 204, "a connection that was there goes on");
    assert_eq!(camera.offer(&[recording(1, &content)])[0]["answer"], "have", "and a new one gets in");
    assert!(began.elapsed() < 8 * SECOND, "not only because the crowd's time is over: {:?}", began.elapsed());

    let ended = |socket: &mut TcpStream| {
        socket.set_nonblocking(true).unwrap();
        !socket.read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    eventually("the first have gone", || silent.iter_mut().all(ended));
    let mut head_ended = 0;
    eventually("all have gone but 64, which may stay", || {
        head_ended =
            in_head.iter_mut().map(|exchange| exchange.ends_within(SECOND / 1000)).filter(|ended| *ended).count();
        head_ended >= 36
    });
    assert!(head_ended < 45, "{head_ended}: 64 may stay");
}

#[test]
fn a_request_head_that_is_too_large_is_refused() {
    let world = World::new();
    let stranger = Camera::new(&world);
    let mut exchange = stranger.begin("GET", "/device/v1/hello", &[]);
    assert_eq!(exchange.reply("GET").status, 200);
    let mut large = stranger.connect();
    let _refused_early =
        large.send(&[b"GET /device/v1/hello HTTP/1.1\r\nX: ".as_slice(), &b"x".repeat(200_000)].concat());
    let status = large.reply("GET").status;
    let mut many = stranger.connect();
    let headers = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    many.send(format!("GET /device/v1/hello HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap();
    assert_eq!((status, many.reply("GET").status), (431, 431));
    assert!(!world.log().contains("ERROR"), "what a stranger does wrong is no error of ours");
}
