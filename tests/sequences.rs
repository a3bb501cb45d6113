//! Random sequences of requests on uploads, in both dialects, against a model of the rules: whatever is cut, wrong, lied
//! about, repeated or sent at once, the offset is the truth, and what is completed is what was sent.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::env;

use longshore_model::Sha256;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::support::{Client, Reply, World, bytes};

/// How many sequences are tried.
const CASES: &str = "LONGSHORE_SEQUENCES";
const USUAL_CASES: u32 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Tus,
    Ietf,
}

#[derive(Debug, Clone)]
enum Step {
    /// Bytes from where the upload stands.
    Append {
        len: usize,
    },
    /// Bytes from somewhere else.
    WrongOffset {
        off_by: i64,
        len: usize,
    },
    /// More than is left.
    TooLong {
        by: usize,
    },
    /// A connection that dies after this share of its body.
    Cut {
        len: usize,
        percent: usize,
    },
    /// A checksum of other bytes.
    WrongChecksum {
        len: usize,
    },
    /// The request before, once more.
    Again,
    /// Two at the same offset at once.
    Race {
        len: usize,
    },
    /// No offset, no number, nothing of the kind.
    Nonsense {
        which: usize,
    },
    Offset,
    /// `kill -9`, and a new start.
    Kill,
}

fn step() -> impl Strategy<Value = (Dialect, Step)> {
    let len = || prop_oneof![3 => 0..9000_usize, 1 => Just(4096), 1 => Just(8192)];
    let step = prop_oneof![
        10 => len().prop_map(|len| Step::Append { len }),
        2 => (-5000..5000_i64, len()).prop_map(|(off_by, len)| Step::WrongOffset { off_by, len }),
        1 => (1..5000_usize).prop_map(|by| Step::TooLong { by }),
        4 => (1..9000_usize, 0..100_usize).prop_map(|(len, percent)| Step::Cut { len, percent }),
        2 => (1..9000_usize).prop_map(|len| Step::WrongChecksum { len }),
        2 => Just(Step::Again),
        2 => (1..9000_usize).prop_map(|len| Step::Race { len }),
        2 => (0..5_usize).prop_map(|which| Step::Nonsense { which }),
        3 => Just(Step::Offset),
        1 => Just(Step::Kill),
    ];
    (prop_oneof![Just(Dialect::Tus), Just(Dialect::Ietf)], step)
}

/// What is known of an upload from outside.
struct Model<'a> {
    client: &'a Client,
    upload: String,
    content: &'a [u8],
    /// What was acknowledged.
    at: usize,
    /// What may have arrived besides, of requests that got no answer.
    at_most: usize,
    /// Requests whose connection was cut: each may come to the upload after a later one asked, and take it over even if it
    /// brings nothing, once.
    late: usize,
    last: Option<(Dialect, usize, usize)>,
}

type Tried = Result<(), TestCaseError>;

impl Model<'_> {
    fn headers(&self, dialect: Dialect, offset: usize, end: usize) -> Vec<String> {
        match dialect {
            Dialect::Tus => {
                vec!["Content-Type: application/offset+octet-stream".to_owned(), format!("Upload-Offset: {offset}")]
            }
            Dialect::Ietf => vec![
                "Content-Type: application/partial-upload".to_owned(),
                format!("Upload-Offset: {offset}"),
                format!("Upload-Complete: ?{}", u8::from(end == self.content.len())),
            ],
        }
    }

    fn send(&self, method: &str, dialect: Dialect, headers: &[String], body: &[u8]) -> Reply {
        let mut all: Vec<&str> = headers.iter().map(String::as_str).collect();
        all.push(&self.client.authorization);
        if dialect == Dialect::Tus {
            all.push("Tus-Resumable: 1.0.0");
        }
        self.client.camera.request(method, &self.upload, &all, body)
    }

    fn patch(&self, dialect: Dialect, offset: usize, body: &[u8]) -> Reply {
        self.send("PATCH", dialect, &self.headers(dialect, offset, offset + body.len()), body)
    }

    /// Asks for the offset; from then on nothing is on its way.
    fn look(&mut self, dialect: Dialect) -> Tried {
        let reply = self.send("HEAD", dialect, &[], b"");
        prop_assert_eq!(reply.status, if dialect == Dialect::Tus { 200 } else { 204 }, "{:?}", reply);
        self.stands(&reply)
    }

    /// An answer tells the offset.
    fn stands(&mut self, reply: &Reply) -> Tried {
        let offset = usize::try_from(reply.offset()).unwrap();
        prop_assert!((self.at..=self.at_most).contains(&offset), "{} is not in {}..={}", offset, self.at, self.at_most);
        (self.at, self.at_most) = (offset, offset);
        Ok(())
    }

    /// Bytes from here on, at most `len`, and never the last one: the end has its own test.
    fn piece(&self, len: usize) -> std::ops::Range<usize> {
        self.at..(self.at + len).min(self.content.len().saturating_sub(1)).max(self.at)
    }

    fn take(&mut self, dialect: Dialect, step: &Step, world: &RefCell<World>) -> Tried {
        let tried = self.try_once(dialect, step, world);
        if tried.is_ok() || self.late == 0 {
            return tried;
        }
        self.late -= 1;
        // What this one brought before the late one took the upload over is kept.
        self.at_most = self.content.len();
        self.try_once(dialect, step, world)
    }

    fn try_once(&mut self, dialect: Dialect, step: &Step, world: &RefCell<World>) -> Tried {
        if self.at != self.at_most {
            self.look(dialect)?;
        }
        let before = self.at;
        match *step {
            Step::Append { len } => {
                let piece = self.piece(len);
                let reply = self.patch(dialect, piece.start, &self.content[piece.clone()]);
                prop_assert_eq!(reply.status, 204, "{:?}", reply);
                self.at_most = piece.end;
                self.last = Some((dialect, piece.start, piece.end));
                self.stands(&reply)?;
                prop_assert_eq!(self.at, piece.end);
            }
            Step::WrongOffset { off_by, len } => {
                let offset = i64::try_from(before).unwrap() + off_by;
                if let Ok(offset) = usize::try_from(offset)
                    && offset != before
                {
                    let body = &self.content[..len.min(self.content.len())];
                    // With the wrong end it would be a lie as well.
                    let headers = self.headers(dialect, offset, usize::MAX);
                    let reply = self.send("PATCH", dialect, &headers, body);
                    prop_assert_eq!(reply.status, 409, "{:?}", reply);
                    self.stands(&reply)?;
                    prop_assert_eq!(self.at, before);
                }
            }
            Step::TooLong { by } if dialect == Dialect::Tus => {
                let reply = self.patch(dialect, before, &vec![0; self.content.len() - before + by]);
                prop_assert_eq!(reply.status, 413, "{:?}", reply);
                self.look(dialect)?;
                prop_assert_eq!(self.at, before);
            }
            Step::TooLong { by } => {
                // `?1` says that the whole is as long as that.
                let mut headers = self.headers(dialect, before, self.content.len());
                headers.push(format!("Upload-Length: {}", self.content.len()));
                let reply = self.send("PATCH", dialect, &headers, &vec![0; self.content.len() - before + by]);
                prop_assert_eq!(reply.status, 400, "{:?}", reply);
                self.look(dialect)?;
                prop_assert_eq!(self.at, before);
            }
            Step::Cut { len, percent } => {
                let piece = self.piece(len);
                let body = &self.content[piece.clone()];
                let sent = body.len() * percent / 100;
                let length = format!("Content-Length: {}", body.len());
                let headers = self.headers(dialect, before, piece.end);
                let mut all: Vec<&str> = headers.iter().map(String::as_str).collect();
                all.extend([self.client.authorization.as_str(), &length]);
                if dialect == Dialect::Tus {
                    all.push("Tus-Resumable: 1.0.0");
                }
                let mut exchange = self.client.camera.begin("PATCH", &self.upload, &all);
                exchange.send(&body[..sent]).unwrap();
                exchange.cut();
                self.at_most = before + sent;
                self.late += 1;
            }
            Step::WrongChecksum { len } => {
                let piece = self.piece(len);
                let mut headers = self.headers(dialect, before, piece.end);
                headers.push(match dialect {
                    Dialect::Tus => "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=".to_owned(),
                    Dialect::Ietf => {
                        "Content-Digest: sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:".to_owned()
                    }
                });
                let reply = self.send("PATCH", dialect, &headers, &self.content[piece]);
                prop_assert!([400, 460].contains(&reply.status), "{:?}", reply);
                self.look(dialect)?;
                prop_assert_eq!(self.at, before);
            }
            Step::Again => {
                if let Some((dialect, start, end)) = self.last.filter(|(_, start, end)| start != end) {
                    let reply = self.patch(dialect, start, &self.content[start..end]);
                    // Bytes that were taken are not taken twice; if they were not, this is as good as the first time.
                    if start == before {
                        prop_assert_eq!(reply.status, 204, "{:?}", reply);
                        self.at_most = end;
                    } else {
                        prop_assert_eq!(reply.status, 409, "{:?}", reply);
                    }
                    self.stands(&reply)?;
                }
            }
            Step::Race { len } => {
                let piece = self.piece(len);
                let body = &self.content[piece.clone()];
                let replies = std::thread::scope(|scope| {
                    let racers = [0, 1].map(|_| scope.spawn(|| self.patch(dialect, piece.start, body)));
                    racers.map(|racer| racer.join().unwrap())
                });
                for reply in &replies {
                    prop_assert!([204, 409].contains(&reply.status), "{:?}", reply);
                }
                self.at_most = piece.end;
                self.look(dialect)?;
                let taken = replies.iter().any(|reply| reply.status == 204);
                prop_assert!(!taken || self.at == piece.end, "{:?}", replies);
            }
            Step::Nonsense { which } => {
                let (key, value) = [
                    ("Upload-Offset", "-1"),
                    ("Upload-Offset", "99999999999999999999999"),
                    ("Upload-Offset", "0x10"),
                    ("Upload-Offset", ""),
                    ("Content-Type", "video/mp4"),
                ][which];
                let mut headers = self.headers(dialect, before, before);
                headers.retain(|header| !header.starts_with(key));
                headers.push(format!("{key}: {value}"));
                let reply = self.send("PATCH", dialect, &headers, b"");
                prop_assert_eq!(reply.status, if key == "Content-Type" { 415 } else { 400 }, "{:?}", reply);
                self.look(dialect)?;
                prop_assert_eq!(self.at, before);
            }
            Step::Offset => {
                self.look(dialect)?;
                prop_assert_eq!(self.at, before);
            }
            Step::Kill => {
                world.borrow_mut().kill();
                world.borrow_mut().start();
                self.look(dialect)?;
                prop_assert_eq!(self.at, before, "what was acknowledged was durable");
            }
        }
        Ok(())
    }

    fn end(&mut self, dialect: Dialect) -> Tried {
        let ended = self.try_to_end(dialect);
        if ended.is_ok() || self.late == 0 {
            return ended;
        }
        self.at_most = self.content.len();
        self.try_to_end(dialect)
    }

    fn try_to_end(&mut self, dialect: Dialect) -> Tried {
        self.look(dialect)?;
        let reply = self.patch(dialect, self.at, &self.content[self.at..]);
        prop_assert_eq!(reply.status, 204, "{:?}", reply);
        self.at_most = self.content.len();
        self.stands(&reply)
    }
}

#[test]
fn whatever_is_requested_the_offset_is_the_truth_and_the_recording_what_was_sent() {
    let cases = env::var(CASES).map_or(USUAL_CASES, |cases| cases.parse().unwrap());
    let world = RefCell::new(World::new());
    let client = Client::of(&world.borrow(), "W-1");
    let (tried, requests, sent) = (Cell::new(0_u64), Cell::new(0), RefCell::new(BTreeSet::new()));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let sequence =
        (1..60_000_usize, prop::collection::vec(step(), 1..20), prop_oneof![Just(Dialect::Tus), Just(Dialect::Ietf)]);
    let outcome = runner.run(&sequence, |(length, steps, last)| {
        tried.set(tried.get() + 1);
        let content = bytes(tried.get(), length);
        let created = client.create(length, &[("filename", "a.mp4")]);
        prop_assert_eq!(created.status, 201, "{:?}", created);
        let upload = created.headers["location"].strip_prefix("https://longshore").unwrap().to_owned();
        let mut model = Model { client: &client, upload, content: &content, at: 0, at_most: 0, late: 0, last: None };
        for (dialect, step) in &steps {
            requests.set(requests.get() + 1);
            model.take(*dialect, step, &world)?;
        }
        model.end(last)?;
        sent.borrow_mut().insert(Sha256::of(&content));
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\n{input:#?}\n{}", world.borrow().log()),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let stored: BTreeSet<Sha256> = world.borrow().stored().into_values().collect();
    assert_eq!(stored, sent.into_inner());
    assert!(world.borrow().incoming().is_empty());
    println!("{} sequences, {} steps", tried.get(), requests.get());
}
