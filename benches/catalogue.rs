//! The catalogue: how long a start takes with the index that was kept, how long without it, and how long one fact takes to
//! become durable.
//! `cargo bench --bench catalogue`; the figures stand in `docs/PERFORMANCE.md`.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use longshore_model::{Declared, DeviceId, Kind, RecordingId, Sha256, SystemClock};
use longshore_store::catalogue::{Catalogue, Writer};
use longshore_store::facts::Fact;
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::IndexPlace;

/// Facts in the journal.
const FACTS: u32 = 1_000_000;

fn declared(n: u32) -> Fact {
    let mut rid = [0; 16];
    rid[..4].copy_from_slice(&n.to_be_bytes());
    let item = Declared {
        rid: RecordingId::from_bytes(rid),
        camera: "front".into(),
        kind: Kind::Event,
        event_type: Some("button".into()),
        start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
        end: None,
        boot: None,
        overwrite_at: None,
        request: None,
        size: Some(52_428_800),
        sha256: Some(Sha256::of(&rid)),
        filename: Some("EVENT/20261121_140322.MP4".into()),
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    };
    Fact::Declared { device: DeviceId::from_bytes([1; 16]), items: vec![item] }
}

fn open(folder: &Path) -> (Catalogue, Writer) {
    let files = Arc::new(Disk::open(folder, DiskOptions::default()).unwrap());
    let (catalogue, writer, _) = Catalogue::open(files, &IndexPlace::below(folder), Arc::new(SystemClock)).unwrap();
    (catalogue, writer)
}

fn start(folder: &Path, rebuilds: bool) {
    let files = Arc::new(Disk::open(folder, DiskOptions::default()).unwrap());
    let (catalogue, writer, started) =
        Catalogue::open(files, &IndexPlace::below(folder), Arc::new(SystemClock)).unwrap();
    assert_eq!(started.rebuilt, rebuilds);
    black_box(&catalogue);
    writer.stop();
}

fn catalogue(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, writer) = open(folder.path());
    for chunk in (0..FACTS).collect::<Vec<_>>().chunks(1000) {
        let facts = chunk.iter().copied().map(declared).collect();
        runtime.block_on(catalogue.record(facts)).unwrap();
    }
    writer.stop();
    drop(catalogue);

    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(FACTS)));
    group.bench_function("start with the kept index", |bencher| {
        bencher.iter_batched(|| (), |()| start(folder.path(), false), BatchSize::PerIteration);
    });
    group.bench_function("start without an index", |bencher| {
        let lose = || std::fs::remove_dir_all(folder.path().join("index")).unwrap();
        bencher.iter_batched(lose, |()| start(folder.path(), true), BatchSize::PerIteration);
    });
    group.sample_size(100).throughput(Throughput::Elements(1));
    let other = tempfile::tempdir().unwrap();
    let (catalogue, _writer) = open(other.path());
    let mut n = 0;
    group.bench_function("record one fact", |bencher| {
        bencher.iter(|| {
            n += 1;
            runtime.block_on(catalogue.record(vec![declared(n)])).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, catalogue);
criterion_main!(benches);
