//! Header values that nobody means, by the hundred: the server answers each of them, and blames itself for none.

use std::cell::Cell;
use std::env;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::support::{Client, World};

/// How many requests are tried.
const CASES: &str = "LONGSHORE_FUZZ_REQUESTS";
const USUAL_CASES: u32 = 400;

/// What each header may hold; what is tried is some of it, with bytes changed, doubled, or left out.
const SEEDS: [(&str, &str); 16] = [
    ("Tus-Resumable", "1.0.0"),
    ("Upload-Offset", "0"),
    ("Upload-Length", "1000"),
    ("Upload-Defer-Length", "1"),
    ("Upload-Metadata", "filename YS5tcDQ=,start MjAyNi0xMS0yMVQxNDowMzoyMlo=,kind ZXZlbnQ=,sha256"),
    ("Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
    ("Upload-Concat", "final;/device/v1/uploads/00000000000000000000000000000001 /x"),
    ("Upload-Complete", "?1"),
    ("Upload-Draft-Interop-Version", "8"),
    ("Content-Type", "application/partial-upload"),
    ("Content-Digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:, sha-512=:AA==:;a=1"),
    ("Repr-Digest", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"),
    ("Content-Disposition", "attachment; filename*=UTF-8''a%20b.mp4; filename=\"a.mp4\""),
    ("X-HTTP-Method-Override", "PATCH"),
    ("Prefer", "wait=0, respond-async"),
    ("Authorization", "Bearer lsu_0123456789abcdef"),
];

fn changed(seed: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..4_u8, any::<prop::sample::Index>(), prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8, Just(b'\t')]);
    prop::collection::vec(change, 0..6).prop_map(move |changes| {
        let mut value = seed.as_bytes().to_vec();
        for (how, at, byte) in changes {
            let at = at.index(value.len() + 1);
            match how {
                0 => value.insert(at, byte),
                1 if at < value.len() => value[at] = byte,
                2 if at < value.len() => drop(value.remove(at)),
                _ => value.extend_from_within(at..),
            }
        }
        value
    })
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    prop::sample::select(SEEDS.to_vec())
        .prop_flat_map(|(name, seed)| changed(seed).prop_map(move |value| (name, value)))
}

#[test]
fn no_header_value_makes_the_server_fail() {
    let cases = env::var(CASES).map_or(USUAL_CASES, |cases| cases.parse().unwrap());
    let world = World::new();
    let client = Client::of(&world, "W-1");
    let location = client.create(1000, &[]).headers["location"].clone();
    let upload = location.strip_prefix("https://longshore").unwrap();
    let paths = ["/device/v1/uploads", upload, "/device/v1/uploads/0", "/device/v1/desired"].map(str::to_owned);
    let paths = prop::sample::select(paths.to_vec());
    let methods = prop::sample::select(vec!["POST", "PATCH", "HEAD", "OPTIONS", "GET"]);
    let request = (methods, paths, prop::collection::vec(header(), 1..6), any::<bool>());
    let refused = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&request, |(method, path, headers, known)| {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: longshore\r\nContent-Length: 0\r\n").into_bytes();
        if known {
            head.extend_from_slice(format!("{}\r\n", client.authorization).as_bytes());
        }
        for (name, value) in headers.iter().filter(|(name, _)| !(known && *name == "Authorization")) {
            head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        let mut exchange = client.camera.connect();
        exchange.send(&head).unwrap();
        let reply = exchange.reply(method);
        prop_assert!((200..500).contains(&reply.status), "{:?}", reply);
        refused.set(refused.get() + u32::from(reply.status >= 400));
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\n{input:#?}\n{}", world.log()),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    assert!(!world.log().contains("panicked"), "{}", world.log());
    println!("{cases} requests, {} of them refused", refused.get());
}
