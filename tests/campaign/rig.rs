use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::card::Card;
use super::nap;
use super::observer::Observer;
use super::relay::Relay;
use crate::support::{Camera, Process, World, checksum, eventually, files_below, offload};

/// Recordings that the server takes at a time; of those that come later, nothing is under way.
const UNDER_WAY: usize = 16;
/// What a kill, a restart, a back-off and a stock-taking may take together, when nothing else is wrong.
pub(super) const RECOVERY: Duration = Duration::from_secs(60);

/// Seconds; a longer wait of the agent is one for a person. After a failed call that may mend itself the server asks for
/// 10 s, on a full disk for 300 s.
const FOR_A_PERSON: f64 = 20.0;

/// What an agent says that is to end and could not report deletions.
pub(super) const LEFT_REPORTS: &str = "deletions are not reported yet; the next run reports them";

/// A server, an agent with a card, the network between them, and those who watch.
pub(super) struct Rig {
    pub(super) world: World,
    pub(super) relay: Relay,
    pub(super) card: Card,
    pub(super) observer: Observer,
    state: PathBuf,
    agent: Option<Process>,
    checked: BTreeSet<String>,
    /// The durable offsets that the server told last.
    told: BTreeMap<String, u64>,
}

impl Rig {
    pub(super) fn new(seed: u64, bytes_per_second: u64) -> Self {
        Self::in_world(World::new(), seed, bytes_per_second)
    }

    /// In a world whose server runs.
    pub(super) fn in_world(world: World, seed: u64, bytes_per_second: u64) -> Self {
        let state = world.path().join("state");
        world.enrol_agent(&state, "USB-1", "Unit 12");
        let relay = Relay::to(world.address, bytes_per_second);
        // The agent goes by the addresses of its identity; there is no other way for it than the relay.
        let identity = state.join("identity.json");
        let mut known: Value = serde_json::from_str(&fs::read_to_string(&identity).unwrap()).unwrap();
        known["server"]["urls"] = json!([relay.url()]);
        fs::write(&identity, known.to_string()).unwrap();
        let card = Card::new(&world.path().join("card"), seed);
        let observer = Observer::new(&card.events(), &world.storage());
        Self { world, relay, card, observer, state, agent: None, checked: BTreeSet::new(), told: BTreeMap::new() }
    }

    fn agent_log(&self) -> PathBuf {
        self.world.path().join("agent.log")
    }

    /// All that the agent said.
    pub(super) fn agent_said(&self) -> String {
        fs::read_to_string(self.agent_log()).unwrap_or_default()
    }

    /// An agent that is to end when the card is empty.
    pub(super) fn start_agent(&mut self) {
        self.agent = Some(offload(self.card.folder(), &self.state, &self.agent_log()));
    }

    pub(super) fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill();
        }
    }

    /// How the agent ended, if it did.
    pub(super) fn agent_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.agent.as_mut()?.ended()?;
        self.agent = None;
        Some(ended)
    }

    /// What the agent said last, if the server told it to wait long: its disk is full.
    pub(super) fn long_wait(&self) -> Option<String> {
        let said = self.agent_said();
        let last = said.lines().next_back()?;
        let (_, wait) = last.rsplit_once("; going on in ")?;
        let seconds: f64 = wait.strip_suffix(" s")?.parse().ok()?;
        (seconds > FOR_A_PERSON).then(|| last.to_owned())
    }

    /// Whether the agent ended, and all that it left to the next run is to report deletions.
    pub(super) fn left_reports(&self) -> bool {
        // The summary comes last.
        let said = self.agent_said();
        self.agent.is_none() && said.lines().rev().take(2).any(|line| line.contains(LEFT_REPORTS))
    }

    /// What the server says if it takes no more changes until it is restarted.
    pub(super) fn wants_a_restart(&self) -> Option<String> {
        let answer = Camera::of_agent(&self.world, &self.state).try_request("GET", "/readyz", &[], b"").ok()?;
        let text = String::from_utf8(answer.body).unwrap();
        (answer.status == 503 && text.contains("restart Longshore")).then_some(text)
    }

    /// Every file that left the card lies in the store, byte for byte; each is read once.
    pub(super) fn check_stored(&mut self) {
        self.observer.all_is_well();
        for (name, stored) in self.observer.stored() {
            if self.checked.insert(name.clone()) {
                let made = &self.card.made[&name];
                assert_eq!((stored.size, stored.sha256), (made.size, made.sha256), "{name}: its manifest");
                assert_eq!(checksum(&stored.video), made.sha256, "{name}: its bytes");
            }
        }
    }

    /// Asks the server as the agent's device how far each file is, durably, and asserts that it takes nothing back. An
    /// offer tells that and, unlike `HEAD`, takes nothing over. Returns the sum over all files that ever were; `None`
    /// if the server does not answer now.
    pub(super) fn durable(&mut self) -> Option<u64> {
        self.observer.all_is_well();
        let mut now: BTreeMap<String, u64> =
            self.card.made.iter().map(|(name, made)| (name.clone(), made.size)).collect();
        let present = self.card.present();
        let (under_way, later) = present.split_at(present.len().min(UNDER_WAY));
        now.extend(later.iter().map(|(name, _)| ((*name).to_owned(), 0)));
        if !under_way.is_empty() {
            let offers: Vec<Value> = under_way.iter().map(|(_, made)| made.offer.clone()).collect();
            let answers = Camera::of_agent(&self.world, &self.state).try_offer(&offers)?;
            for ((name, made), answer) in under_way.iter().zip(answers) {
                let offset = match answer["answer"].as_str().unwrap() {
                    "have" => made.size,
                    "resume" => answer["offset"].as_u64().unwrap(),
                    _ => 0,
                };
                now.insert((*name).to_owned(), offset);
            }
        }
        for (name, before) in &self.told {
            assert!(now[name] >= *before, "{name}: {before} bytes were acknowledged, now {}", now[name]);
        }
        let sum = now.values().sum();
        self.told = now;
        Some(sum)
    }

    /// The agent comes to its end by itself, within what the rest of the card takes at this pace, and [`RECOVERY`].
    pub(super) fn comes_to_its_end(&mut self, bytes_per_second: u64) -> Duration {
        let left: u64 = self.card.present().iter().map(|(_, made)| made.size).sum();
        self.ends_within(RECOVERY + Duration::from_secs(left / bytes_per_second * 2))
    }

    pub(super) fn ends_within(&mut self, limit: Duration) -> Duration {
        let began = Instant::now();
        let status = loop {
            self.observer.all_is_well();
            if let Some(status) = self.agent_ended() {
                break status;
            }
            assert!(began.elapsed() < limit, "not done after {limit:?}; the agent said: {}", self.agent_said());
            nap(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}; the agent said: {}", self.agent_said());
        began.elapsed()
    }

    /// Nothing is on its way any more, each file is stored once and right, and the catalogue is what the disk tells.
    pub(super) fn all_came_home(&mut self) {
        let made = self.card.made.len();
        eventually("the observer saw everything", || {
            self.observer.all_is_well();
            (self.observer.stored_count(), self.observer.deleted_count()) == (made, made)
        });
        self.check_stored();
        assert!(self.card.present().is_empty());
        eventually("nothing is incoming", || self.world.incoming().is_empty());
        let files = files_below(&self.world.storage());
        let videos = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "mp4")).count();
        assert_eq!(videos, made, "each file is stored once");
        let recordings = self.world.recordings();
        assert_eq!(recordings.len(), made);
        assert!(recordings.iter().all(|recording| recording["deleted_on_device_at"].is_string()));
        self.world.kill();
        fs::remove_dir_all(self.world.data().join("index")).unwrap();
        self.world.start();
        assert_eq!(self.world.recordings(), recordings, "the catalogue is what a rebuild gives");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill_agent();
        if std::thread::panicking() {
            let said = self.agent_said();
            let tail: Vec<&str> = said.lines().rev().take(60).collect();
            eprintln!("--- the end of what the agent said, last line first:\n{}", tail.join("\n"));
        }
    }
}
