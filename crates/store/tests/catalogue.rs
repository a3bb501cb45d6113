//! The journal and the index together, on a real disk.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;

use longshore_model::{Declared, DeviceId, EnrolToken, Kind, RecordingId, SettableClock, Sha256, TokenId};
use longshore_store::catalogue::{Catalogue, DecideError, Writer};
use longshore_store::facts::Fact;
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::IndexPlace;

fn open(folder: &Path) -> (Catalogue, Writer) {
    let clock = SettableClock::at("2026-11-21T15:00:00Z".parse().unwrap());
    let files = Arc::new(Disk::open(folder, DiskOptions::default()).unwrap());
    let (catalogue, writer, started) = Catalogue::open(files, &IndexPlace::below(folder), Arc::new(clock)).unwrap();
    assert_eq!(started.torn, None);
    (catalogue, writer)
}

fn token(n: u8) -> Fact {
    let token = EnrolToken {
        id: TokenId::from_bytes([n; 16]),
        secret_hash: Sha256::of(&[n]),
        serial: Some(format!("B-{n}")),
        model: Some("BC4".into()),
        typed: false,
        expires: "2026-11-22T15:00:00Z".parse().unwrap(),
        uses_left: 1,
        revoked_at: None,
    };
    Fact::TokenIssued { token, by: "uid 0".into() }
}

#[tokio::test]
async fn what_was_recorded_is_in_the_index_and_there_again_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let device = DeviceId::from_bytes([4; 16]);
    let declared = Declared {
        rid: RecordingId::from_bytes([5; 16]),
        camera: "front".into(),
        kind: Kind::Event,
        event_type: None,
        start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
        end: None,
        boot: None,
        overwrite_at: None,
        request: None,
        size: Some(3),
        sha256: Some(Sha256::of(b"abc")),
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    };
    let (catalogue, writer) = open(folder.path());
    catalogue.record(vec![token(1), Fact::Declared { device, items: vec![declared.clone()] }]).await.unwrap();
    let before = catalogue.index().declared(device, declared.rid).unwrap().unwrap();
    assert_eq!(before.declared, declared);
    writer.stop();
    drop(catalogue);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let (catalogue, _writer) = open(folder.path());
    assert_eq!(catalogue.index().declared(device, declared.rid).unwrap(), Some(before));
    assert!(catalogue.index().token(TokenId::from_bytes([1; 16])).unwrap().is_some());
}

#[tokio::test]
async fn a_decision_sees_every_earlier_one_even_when_they_are_made_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, _writer) = open(folder.path());
    let decisions = (0..50).map(|_| {
        catalogue.decide(|index| {
            let taken = index.token(TokenId::from_bytes([1; 16]))?.is_some();
            Ok(if taken { Err("taken") } else { Ok((vec![token(1)], ())) })
        })
    });
    let outcomes = futures_util::future::join_all(decisions).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().skip(1).all(|outcome| matches!(outcome, Err(DecideError::Refused("taken")))));
}
