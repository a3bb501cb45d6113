//! A store with recordings, a journal and an index, all real, and no server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use longshore_model::{
    CheckpointClaims, DeviceId, Kind, ReceiptKey, ReceiptVerifier, Recording, RecordingId, SettableClock, Sha256,
    UploadId,
};
use longshore_store::catalogue::{Catalogue, Writer};
use longshore_store::facts::{CustodyFact, Fact};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::{Index, IndexPlace};
use longshore_store::manifest::Manifest;
use tempfile::TempDir;

pub(crate) const RECORDINGS: u8 = 12;
pub(crate) const BYTES: usize = 3000;
pub(crate) const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) key: ReceiptKey,
    pub(crate) catalogue: Catalogue,
    pub(crate) clock: SettableClock,
    writer: Writer,
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-21T02:30:00Z".parse().unwrap()
}

pub(crate) fn today() -> NaiveDate {
    now().date_naive()
}

pub(crate) fn path(n: u8) -> String {
    format!("J. Smith/2026-11-20/2026-11-20 14-03-22 event ({n}).mp4")
}

pub(crate) fn video(n: u8) -> Vec<u8> {
    vec![n; BYTES]
}

impl World {
    pub(crate) async fn new() -> Self {
        let der = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
        let (folder, clock) = (tempfile::tempdir().unwrap(), SettableClock::at(now()));
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let place = IndexPlace::below(folder.path());
        let (catalogue, writer, _) = Catalogue::open(journal, &place, Arc::new(clock.clone())).unwrap();
        let key = ReceiptKey::from_pkcs8(&der).unwrap();
        let world = Self { folder, key, catalogue, clock, writer };
        fs::create_dir_all(world.storage().join(".incoming")).unwrap();
        for n in 1..=RECORDINGS {
            world.put(n).await;
        }
        world
    }

    /// As it is after something was done to it while nothing ran.
    pub(crate) fn reopened(self, meanwhile: impl FnOnce(&IndexPlace)) -> Self {
        let Self { folder, key, catalogue, clock, writer } = self;
        writer.stop();
        drop(catalogue);
        let place = IndexPlace::below(folder.path());
        meanwhile(&place);
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let (catalogue, writer, _) = Catalogue::open(journal, &place, Arc::new(clock.clone())).unwrap();
        Self { folder, key, catalogue, clock, writer }
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.storage().join(path)
    }

    pub(crate) async fn put(&self, n: u8) {
        let stored = self.place(n);
        self.catalogue.record(vec![stored]).await.unwrap();
    }

    /// Puts its files into the storage, and answers what the journal is to say.
    pub(crate) fn place(&self, n: u8) -> Fact {
        let recording = Recording {
            device: DEVICE,
            rid: RecordingId::from_bytes([n; 16]),
            revision: 1,
            serial: "B-1".into(),
            model: "BC4".into(),
            assignee: Some("J. Smith".into()),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: "2026-11-20T14:03:22+01:00".parse().unwrap(),
            end: None,
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: BYTES as u64,
            sha256: Sha256::of(&video(n)),
            attested: true,
            held: false,
            original_name: None,
            received_at: Some(now()),
            verified_at: now(),
            upload: UploadId::from_bytes([n; 16]),
            path: path(n),
        };
        let manifest = Manifest::sign(recording, now(), &self.key).unwrap().to_text().unwrap();
        fs::create_dir_all(self.at(&path(n)).parent().unwrap()).unwrap();
        fs::write(self.at(&path(n)), video(n)).unwrap();
        fs::write(self.at(&format!("{}.json", path(n))), &manifest).unwrap();
        Fact::Stored { manifest }
    }

    pub(crate) async fn checkpoint(&self) -> String {
        let (key, at) = (&self.key, now());
        let end = self.catalogue.index().applied().unwrap().unwrap();
        let server = key.server_id().to_owned();
        let claims = CheckpointClaims { position: end.seq, hash: end.hash.parse().unwrap(), at, server };
        let signed = key.state(&claims).unwrap();
        let fact = CustodyFact::Checkpointed { claims, signed: signed.clone() };
        self.catalogue.record(vec![Fact::Custody(fact)]).await.unwrap();
        signed
    }

    pub(crate) fn index(&self) -> &Index {
        self.catalogue.index()
    }

    pub(crate) fn journal(&self) -> Disk {
        Disk::open(self.folder.path(), DiskOptions::default()).unwrap()
    }

    pub(crate) fn verifier(&self) -> ReceiptVerifier {
        ReceiptVerifier::new(&self.key.jwks()).unwrap()
    }
}

pub(crate) fn change(path: &Path, f: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    f(&mut bytes);
    fs::write(path, bytes).unwrap();
}
