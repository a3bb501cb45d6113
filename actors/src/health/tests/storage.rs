//! What the server notices of itself.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_store::Purpose;
use longshore_store::files::{Entry, Fault, File, Space};

use super::*;
use crate::storage::{Reserve, StorageWriter};

/// A disk that fails while an upload is made on it.
async fn fail_a_write(world: &World) {
    let probe = Board::new(Arc::new(world.clock.clone())).probe(None, "storage".to_owned(), None);
    let writer = StorageWriter::new(world.parts.storage.clone(), Lifeline::new(|_| {}), probe).start();
    let (upload, purpose) = (UploadId::from_bytes([1; 16]), Purpose::Recording(RecordingId::from_bytes([1; 16])));
    let identity = longshore_store::Identity {
        upload,
        device: DEVICE,
        purpose,
        length: Some(0),
        sha256: None,
        created_at: begin(),
    };
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert!(writer.send(Reserve(identity, Kind::Event)).await.unwrap().is_err());
}

#[actix::test]
async fn a_disk_that_failed_is_an_issue_until_it_shows_that_it_works_though_no_device_comes() {
    let world = World::new("BC4").await;
    fail_a_write(&world).await;
    world.parts.record_noticed().await.unwrap();
    assert_eq!(world.open()[0].kind, "disk_write_failed");
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert_eq!(world.round(TimeDelta::minutes(1)).await, ["disk_write_failed"], "it failed again");
    assert_eq!(world.round(TimeDelta::minutes(2)).await, Vec::<String>::new());
    let ended = world.parts.catalogue.index().newest_issues(None, 1).unwrap().remove(0);
    assert_eq!(ended.ended.map(|(how, _)| how), Some(IssueEnd::Cleared));
}

#[actix::test]
async fn a_disk_that_failed_before_the_server_was_stopped_has_to_show_that_it_works_too() {
    let world = World::new("BC4").await;
    fail_a_write(&world).await;
    world.parts.record_noticed().await.unwrap();
    let world = world.restarted().await;
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert_eq!(world.round(TimeDelta::minutes(1)).await, ["disk_write_failed"]);
    assert_eq!(world.round(TimeDelta::minutes(2)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_crowd_of_strangers_hides_no_other_trouble_of_the_server_and_is_forgotten() {
    let world = World::new("BC4").await;
    let stranger = |n: u16| Notice::of_server(health_type::DEVICE_UNKNOWN).part(n.to_string());
    (0..200).for_each(|n| world.parts.notices.happened(stranger(n)));
    world.round(TimeDelta::zero()).await;
    assert_eq!(world.open().len(), 65, "64, and one for all others");
    let untold = || Notice::of_server(health_type::WEBHOOK_FAILED).part("dispatch");
    world.parts.notices.stands(untold());
    world.round(TimeDelta::minutes(1)).await;
    assert_eq!(world.open().last().unwrap().part.as_deref(), Some("dispatch"));
    world.parts.notices.over(untold());
    assert_eq!(world.round(TimeDelta::minutes(2)).await.len(), 65);
    world.parts.notices.happened(stranger(300));
    world.round(TimeDelta::minutes(3)).await;
    let whole = world.open().into_iter().find(|issue| issue.part.is_none()).unwrap();
    assert_eq!((whole.count, whole.several), (137, true));
    let world = world.restarted().await;
    let open = world.round(TimeDelta::hours(25)).await.len();
    assert_eq!(open, 64, "their type has no end here, but nobody can say that all the others are over");
}

/// A share whose server does not answer for as long as the lock is held.
#[derive(Default)]
struct Share {
    disk: SimulatedDisk,
    hangs: Mutex<()>,
    asked: AtomicUsize,
}

impl Files for Share {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.create(path)
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(path)
    }
    fn open_direct(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open_direct(path)
    }
    fn create_folder(&self, path: &str) -> io::Result<()> {
        self.disk.create_folder(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }
    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_over(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.disk.remove_folder(path)
    }
    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.disk.sync_folder(path)
    }
    fn space(&self) -> io::Result<Space> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _answers = self.hangs.lock().unwrap();
        self.disk.space()
    }
    fn standing(&self) -> Standing {
        self.disk.standing()
    }
    fn pin(&self) -> Arc<dyn Files> {
        self.disk.pin()
    }
}

#[expect(
    clippy::await_holding_lock,
    reason = "it is held by another thread than waits for it: the share hangs for as long"
)]
#[tokio::test]
async fn a_share_that_hangs_is_asked_once_and_again_when_it_has_answered() {
    let share = Arc::new(Share::default());
    let (incoming, _) = Incoming::open(Arc::clone(&share) as _, Arc::new(SettableClock::at(begin()))).unwrap();
    let storage = StorageParts::new(Arc::clone(&share) as _, incoming, Floor::Bytes(0), None, Notices::default());
    let hangs = share.hangs.lock().unwrap();
    let first = tokio::spawn({
        let storage = storage.clone();
        async move { storage.look().await }
    });
    while share.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert_eq!(storage.look().await, None);
    }
    assert_eq!(share.asked.load(Ordering::SeqCst), 1);
    drop(hangs);
    assert!(first.await.unwrap().is_some() && storage.look().await.is_some());
    assert_eq!(share.asked.load(Ordering::SeqCst), 2);
}
