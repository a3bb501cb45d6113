//! Those who take what they can get: floods, connections that only drip, and uploads whose disk hangs. They have a thread
//! and a runtime of their own, so that the measured bays do not wait for them on the client's side.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::bay::{Bay, Target};
use super::content::Content;
use super::pace::Pace;
use super::stall::Stall;

const MIB: u64 = 1024 * 1024;
/// Uploads as fast as it goes, each of a device of its own.
pub(crate) const FLOODS: usize = 4;
/// Uploads whose writes hang, each of a device of its own.
pub(crate) const STALLS: usize = 4;
/// Connections that send the head of a request byte by byte.
const HEADS: usize = 100;
/// How many of them come from one address: below what one address may hold open, so that none is just shown out.
const HEADS_OF_AN_ADDRESS: usize = 50;
/// Devices whose bodies drip, and bodies of each: as many as one may have open.
const DRIPPERS: usize = 25;
const DRIPS_OF_A_DEVICE: usize = 4;
/// What drips, and how often: just more than would be ended for its slowness.
const DRIP: u64 = 1024;
const DRIPS_EVERY: Duration = Duration::from_millis(500);
/// Before one that was ended comes again.
const AGAIN: Duration = Duration::from_millis(200);
/// A flood's recording; then it begins another. The server promises room for it, so it must not be more than a disk has.
const FLOOD: u64 = 4 * 1024 * MIB;

/// Tokens that an attack needs.
pub(crate) const DEVICES: usize = FLOODS + STALLS + DRIPPERS;
pub(crate) const SLOWLORIS: usize = HEADS + DRIPPERS * DRIPS_OF_A_DEVICE;

/// An attack that goes on; it ends when this value goes.
pub(crate) struct Attack {
    pub(crate) told: Arc<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How it goes.
#[derive(Default)]
pub(crate) struct Told {
    /// Bytes of the floods.
    pub(crate) flooded: Arc<AtomicU64>,
    /// Writes that hang, or will with the next byte.
    stalled: AtomicUsize,
    /// Connections that drip.
    dripping: AtomicUsize,
    /// Why the last of them that was ended was.
    trouble: Mutex<String>,
}

impl Told {
    /// How many writes hang, and how many connections drip.
    pub(crate) fn now(&self) -> (usize, usize) {
        (self.stalled.load(Ordering::Relaxed), self.dripping.load(Ordering::Relaxed))
    }

    /// The same in words, and what ended some of it.
    pub(crate) fn sentence(&self) -> String {
        let (stalled, dripping) = self.now();
        let flooded = self.flooded.load(Ordering::Relaxed);
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{flooded} bytes flooded, {stalled} writes hang, {dripping} connections drip; last trouble: {trouble}")
    }
}

/// What everybody needs.
#[derive(Clone)]
struct Scene {
    target: Target,
    folder: PathBuf,
    content: Arc<Content>,
    told: Arc<Told>,
}

impl Attack {
    /// Begins, with the tokens from `first` on; `folder` is the server's.
    pub(crate) fn begin(target: &Target, folder: PathBuf, first: usize, content: &Arc<Content>) -> Self {
        let told = Arc::<Told>::default();
        let scene = Scene { target: target.clone(), folder, content: Arc::clone(content), told: Arc::clone(&told) };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                scene.begin(first);
                let _told_or_forgotten = stopped.await;
            });
        });
        Self { told, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.take();
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

impl Scene {
    fn begin(&self, first: usize) {
        let mut device = first..;
        for number in device.by_ref().take(FLOODS) {
            self.again_and_again(move |scene| scene.flood(number));
        }
        for number in device.by_ref().take(STALLS) {
            self.again_and_again(move |scene| scene.hang(number));
        }
        for number in device.take(DRIPPERS).flat_map(|number| [number; DRIPS_OF_A_DEVICE]) {
            self.again_and_again(move |scene| scene.drip_body(number));
        }
        for n in 0..HEADS {
            let address = Ipv4Addr::new(127, 0, 1, 1 + (n / HEADS_OF_AN_ADDRESS) as u8);
            self.again_and_again(move |scene| scene.drip_head(address));
        }
    }

    /// Starts over whenever it is ended.
    fn again_and_again<F>(&self, work: impl Fn(Self) -> F + Send + 'static)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let scene = self.clone();
        tokio::spawn(async move {
            loop {
                if let Err(error) = work(scene.clone()).await {
                    *scene.told.trouble.lock().unwrap_or_else(PoisonError::into_inner) = format!("{error:#}");
                }
                sleep(AGAIN).await;
            }
        });
    }

    async fn flood(self, number: usize) -> anyhow::Result<()> {
        let mut bay = Bay::new(&self.target, number, &self.content).await?;
        bay.sent = Arc::clone(&self.told.flooded);
        bay.upload(FLOOD, None).await.map(drop)
    }

    async fn hang(self, number: usize) -> anyhow::Result<()> {
        let mut bay = Bay::new(&self.target, number, &self.content).await?;
        let upload = bay.create(1024 * MIB).await?;
        let _stall = Stall::over(&self.folder, &upload)?;
        let _counted = Counted::begin(&self.told.stalled);
        bay.patch(&upload, 0, 1024 * MIB, &mut Pace::of(None)).await.map(drop)
    }

    async fn drip_body(self, number: usize) -> anyhow::Result<()> {
        let mut bay = Bay::new(&self.target, number, &self.content).await?;
        let upload = bay.create(MIB).await?;
        bay.begin_patch(&upload, 0, MIB).await?;
        let _counted = Counted::begin(&self.told.dripping);
        for n in 0..MIB / DRIP {
            bay.connection.send(self.content.at(n * DRIP, DRIP)).await?;
            sleep(DRIPS_EVERY).await;
        }
        Ok(())
    }

    async fn drip_head(self, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut connection = self.target.client.connect_from(address).await?;
        let _counted = Counted::begin(&self.told.dripping);
        connection.send(b"GET /device/v1/hello HTTP/1.1\r\nHost: localhost\r\nX: ").await?;
        loop {
            connection.send(b"x").await?;
            sleep(DRIPS_EVERY).await;
        }
    }
}

/// One more, while this lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
