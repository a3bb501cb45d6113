//! A device with a card, and what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::server::{Fault, Server};
use longshore_agent::backoff::Pace;
use longshore_agent::deletions::{Intent, Journal};
use longshore_agent::device_clock::DeviceClock;
use longshore_agent::enrol::{About, EnrolError, enrol};
use longshore_agent::offload::{Offload, OffloadError, Options, Summary};
use longshore_agent::progress::{Job, Observer};
use longshore_agent::state::{Identity, State};
use longshore_agent::watch::Watch;
use longshore_model::SettableClock;
use longshore_protocol::EnrolmentText;
use tokio::time::{Instant, sleep};

pub(crate) const MIB: usize = 1024 * 1024;

#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    fn warn(&self, line: &str) {
        self.say(line);
    }
    fn begin(&self, _job: Job<'_>, _done: u64, _total: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
    fn idle(&self, reason: &str) {
        self.say(reason);
    }
}

/// A device with a card, and the server that it is to be enrolled at.
pub(crate) struct Camera {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Server,
    pub(crate) heard: Arc<Heard>,
}

pub(crate) fn clock() -> Arc<SettableClock> {
    Arc::new(SettableClock::at("2026-11-21T14:00:00Z".parse().unwrap()))
}

pub(crate) fn pace() -> Pace {
    Pace {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(20),
        longest_for_receipt: Duration::from_millis(20),
        rescan: Duration::from_millis(20),
        rest: Duration::ZERO,
        give_up: Duration::from_secs(60),
        stalled: Duration::from_secs(30),
    }
}

impl Camera {
    pub(crate) async fn new() -> Self {
        let camera =
            Self { folder: tempfile::tempdir().unwrap(), server: Server::start().await, heard: Arc::default() };
        fs::create_dir_all(camera.card("EVENT")).unwrap();
        camera
    }

    pub(crate) async fn enrolled() -> Self {
        let camera = Self::new().await;
        camera.enrol(&camera.server.text).await.unwrap();
        camera
    }

    pub(crate) fn card(&self, name: &str) -> PathBuf {
        self.folder.path().join("card").join(name)
    }

    pub(crate) fn state(&self) -> State {
        State::open(&self.folder.path().join("state")).unwrap()
    }

    pub(crate) fn put(&self, name: &str, bytes: usize) -> Vec<u8> {
        let content: Vec<u8> = (0..=250_u8).cycle().skip(name.len()).take(bytes).collect();
        fs::write(self.card(name), &content).unwrap();
        content
    }

    pub(crate) async fn enrol(&self, text: &EnrolmentText) -> Result<Identity, EnrolError> {
        let clock = DeviceClock::new(clock());
        enrol(&self.state(), text, About::default(), &clock, &pace(), &*self.heard).await
    }

    pub(crate) fn offload(&self, keep: bool) -> Result<Offload, OffloadError> {
        let options = Options { watch: Watch::folder(&self.card("")).unwrap(), once: true, keep, events: vec![] };
        Offload::new(options, self.state(), clock(), pace(), self.heard.clone())
    }

    /// A run that looks at the card again and again.
    pub(crate) fn without_end(&self) -> Offload {
        let watch = Watch::folder(&self.card("")).unwrap();
        let options = Options { watch, once: false, keep: false, events: vec![] };
        Offload::new(options, self.state(), clock(), pace(), self.heard.clone()).unwrap()
    }

    pub(crate) async fn once(&self) -> Summary {
        self.offload(false).unwrap().run().await.unwrap()
    }

    pub(crate) fn heard(&self) -> String {
        self.heard.0.lock().unwrap().join("\n")
    }

    pub(crate) fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.server.world.lock().unwrap().faults.extend(faults);
    }

    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.server.world.lock().unwrap().stored(name).map(<[u8]>::to_vec)
    }

    pub(crate) fn reported(&self) -> Vec<String> {
        self.server.world.lock().unwrap().deleted.clone()
    }

    pub(crate) fn open_intents(&self) -> Vec<Intent> {
        Journal::open(self.state().deletions()).unwrap().entries().unwrap().0
    }
}

/// Asks again and again until the answer is yes; a minute is more than anything here ever needs.
pub(crate) async fn eventually(what: &str, yes: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !yes() {
        assert!(Instant::now() < deadline, "still not: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
