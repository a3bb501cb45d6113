//! An engine over a disk that can be made to fail, with one device.

use std::sync::Arc;
use std::time::Duration;

use longshore_actors::{
    Attachment, Brings, Called, CommitEvery, Courier, CustodyParts, DigestSettings, Engine, Floor, Held, Limits, Parts,
    Verdict, Wants, WebhookCall,
};
use longshore_model::{
    Declared, Device, DeviceId, DeviceState, EnrolmentId, Kind, ReceiptKey, RecordingId, SettableClock, Sha256,
    UploadId,
};
use longshore_store::catalogue::Catalogue;
use longshore_store::facts::Fact;
use longshore_store::files::{Disk, DiskOptions, Files, SimulatedDisk};
use longshore_store::incoming::Incoming;
use longshore_store::index::IndexPlace;
use longshore_store::outbox::Contents;
use longshore_store::verify::Share;
use tempfile::TempDir;
use tokio::sync::watch;

use super::gated_disk::GatedDisk;

pub(crate) const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
pub(crate) const RID: RecordingId = RecordingId::from_bytes([2; 16]);
pub(crate) const MIB: usize = 1024 * 1024;

/// Carries nothing: there are no webhooks.
struct Nobody;

impl Courier for Nobody {
    fn carry(&self, _: WebhookCall) -> Called {
        Box::pin(async { Err("there is nobody".to_owned()) })
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) disk: SimulatedDisk,
    pub(crate) gate: GatedDisk,
    pub(crate) clock: SettableClock,
    _folder: TempDir,
}

pub(crate) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let clock = SettableClock::at("2026-11-21T15:00:00Z".parse().unwrap());
    let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
    let (catalogue, _writer, _) =
        Catalogue::open(journal, &IndexPlace::below(folder.path()), Arc::new(clock.clone())).unwrap();
    let device = Device {
        id: DEVICE,
        serial: "B-1".into(),
        model: "BC4".into(),
        state: DeviceState::Active,
        key: Some(Sha256::of(b"key")),
        upload_tokens: Vec::new(),
        assignments: Vec::new(),
        profile: "default".into(),
        site: None,
        groups: std::collections::BTreeSet::new(),
        replaced_by: None,
        approved_at: "2026-11-21T15:00:00Z".parse().unwrap(),
    };
    let approved = Fact::DeviceApproved { enrolment: EnrolmentId::from_bytes([0; 16]), device, by: "test".into() };
    catalogue.record(vec![approved]).await.unwrap();
    let disk = SimulatedDisk::new();
    let gate = GatedDisk::over(disk.clone());
    let files: Arc<dyn Files> = Arc::new(gate.clone());
    let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(clock.clone())).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let custody = CustodyParts {
        data: Arc::clone(&files),
        storage: folder.path().to_owned(),
        is_there: Arc::new(|| false),
        time: chrono::NaiveTime::MIN,
        share: Share::of_percent(100, u64::MAX),
    };
    let parts = Parts {
        custody,
        files,
        incoming,
        catalogue,
        receipt_key: Arc::new(ReceiptKey::from_pkcs8(key.serialized_der()).unwrap()),
        clock: Arc::new(clock.clone()),
        floor: Floor::Bytes(0),
        commits: CommitEvery::for_sync_time(Some(Duration::ZERO)),
        read_back: true,
        limits: Limits {
            patches_in_all: 2,
            open_patches: 4,
            unfinished_uploads: 64,
            uploads_per_answer: 16,
            upload_bytes: 1 << 40,
        },
        models: watch::channel(Arc::default()).1,
        contents: Contents::open(Arc::new(SimulatedDisk::new())).unwrap(),
        mail: None,
        health_types: Arc::default(),
        digests: DigestSettings { digests: Vec::new(), url: String::new(), zone: chrono_tz::Tz::UTC },
        offline_after: chrono::TimeDelta::days(7),
        webhooks: Vec::new(),
        courier: Arc::new(Nobody),
    };
    World { engine: Engine::start(parts).await.unwrap(), disk, gate, clock, _folder: folder }
}

pub(crate) fn content() -> Vec<u8> {
    (0..5 * u32::try_from(MIB).unwrap() / 4).flat_map(|n| n.to_le_bytes()).collect()
}

pub(crate) fn declared() -> Declared {
    Declared {
        rid: RID,
        camera: String::new(),
        kind: Kind::Event,
        event_type: None,
        start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
        end: None,
        boot: None,
        overwrite_at: None,
        request: None,
        size: Some(content().len() as u64),
        sha256: Some(Sha256::of(&content())),
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    }
}

impl World {
    pub(crate) async fn upload(&self) -> UploadId {
        let verdicts = self.engine.offer(DEVICE, vec![declared()], None).await.unwrap();
        assert_eq!(verdicts, [Verdict::Upload { priority: 1 }]);
        self.engine.create_upload(DEVICE, Brings::Offered { rid: RID, length: declared().size }).await.unwrap().upload
    }

    pub(crate) async fn attach(&self, upload: UploadId) -> Box<Attachment> {
        match self.engine.attach(DEVICE, upload, Wants::Append).await.unwrap() {
            Held::Transfer(attachment) => attachment,
            Held::Stored { .. } => panic!("stored already"),
        }
    }

    /// Sends the rest, from wherever the upload stands, as often as that takes.
    pub(crate) async fn send_the_rest(&self, upload: UploadId) {
        for _ in 0..100 {
            let mut attachment = match self.engine.attach(DEVICE, upload, Wants::Append).await {
                Ok(Held::Transfer(attachment)) => attachment,
                Ok(Held::Stored { .. }) => return,
                Err(error) if error.is_slowness() => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let at = usize::try_from(attachment.offset()).unwrap();
            attachment.write(&content()[at..]).await.unwrap();
            attachment.end().await.unwrap();
        }
        panic!("the recording was not completed");
    }

    pub(crate) fn stored(&self) -> Vec<u8> {
        let paths = self.disk.paths();
        let videos: Vec<_> = paths.iter().filter(|path| path.ends_with(".mp4")).collect();
        let [video] = videos[..] else { panic!("{paths:?}") };
        let file = self.disk.open(video).unwrap();
        let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }
}
