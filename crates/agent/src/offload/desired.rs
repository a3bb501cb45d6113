//! What the server wants: learnt when it changes, done, and said how it stands.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use longshore_model::{CommandOp, DeviceReport};
use longshore_protocol::{CommandState, Desired, DesiredCommand, Reported, ReportedCommand};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::Offload;
use crate::backoff::{Backoff, Pace};
use crate::client::{CallError, Client, LONG_POLL};
use crate::wishes::{Sight, Wishes};

/// Between two questions at least.
const BREATH: Duration = Duration::from_millis(500);

/// What came of asking for what the server wants: the document with its ETag, if it changed.
type Found = Result<Option<(String, Desired)>, CallError>;

/// A question that the server holds back; it ends with this value.
struct Poll(JoinHandle<Found>);

/// What the server wants, and what it knows of that.
pub(super) struct Desires {
    /// ETag of the document that counts.
    tag: Option<String>,
    pub(super) wishes: Wishes,
    /// Commands that are over, while the server still has them in its document.
    ended: Vec<ReportedCommand>,
    /// What the server was told last, but for the clock.
    told: Option<Reported>,
    /// Before this time the server is not asked, since that failed.
    not_before: Instant,
    waits: Backoff,
    poll: Option<Poll>,
}

impl Desires {
    pub(super) fn new(pace: &Pace) -> Self {
        Self {
            tag: None,
            wishes: Wishes::default(),
            ended: Vec::new(),
            told: None,
            not_before: Instant::now(),
            waits: Backoff::new(pace.first, pace.longest),
            poll: None,
        }
    }

    /// Whether the server wants something else than what is known, as its last answer says.
    pub(super) fn have_changed(&self, client: &Client) -> bool {
        Instant::now() >= self.not_before && client.desired_tag().is_some_and(|tag| self.tag.as_ref() != Some(&tag))
    }

    /// Waits until the server wants something else, or has held its answer back for long; a run that is to end does not wait for
    /// what may come. The call outlives whoever waits here, since a connection is given up with its call.
    pub(super) async fn changed(&mut self, client: &Arc<Client>, once: bool) -> Found {
        if once {
            return pending().await;
        }
        sleep_until(self.not_before).await;
        let (client, tag) = (client.clone(), self.tag.clone());
        let poll = self.poll.get_or_insert_with(|| Poll(tokio::spawn(poll(client, tag))));
        let found = (&mut poll.0).await;
        self.poll = None;
        found.unwrap_or_else(|error| Err(CallError::Protocol(format!("the poll ended badly: {error}"))))
    }
}

async fn poll(client: Arc<Client>, tag: Option<String>) -> Found {
    let found = client.desired(tag.as_deref(), LONG_POLL).await;
    if matches!(found, Ok(None)) {
        // A server that does not hold its answer back is not to be called without pause.
        sleep(BREATH).await;
    }
    found
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Offload {
    /// Learns what the server wants, if that is not known, and says how it stands. Whatever goes wrong with it is tried again
    /// later, and nothing else waits for it.
    pub(super) async fn heed(&mut self) {
        if Instant::now() < self.desires.not_before {
            return;
        }
        if self.desires.tag.is_none() || self.desires.have_changed(&self.client) {
            // What an older question brings is not newer than what this one does.
            self.desires.poll = None;
            let found = self.client.desired(self.desires.tag.as_deref(), Duration::ZERO).await;
            self.take_desired(found);
        }
        let report = self.report_of_desired();
        if self.desires.told.as_ref() != Some(&report) {
            let told = Reported { clock: Some(self.clock.for_wire()), ..report.clone() };
            match self.client.tell(&told).await {
                Ok(()) => self.desires.told = Some(report),
                Err(error) => self.heed_later(error),
            }
        }
    }

    /// Takes over what came of asking for it.
    pub(super) fn take_desired(&mut self, found: Found) {
        match found {
            Err(error) => self.heed_later(error),
            Ok(found) => {
                self.desires.waits.reset();
                let Some((tag, desired)) = found else { return };
                self.desires.tag = Some(tag);
                self.desires.wishes.update(desired.requests);
                self.list.ask(&self.desires.wishes, Instant::now());
                let known = |ended: &ReportedCommand| desired.commands.iter().any(|command| command.id == ended.id);
                self.desires.ended.retain(known);
                for command in desired.commands {
                    self.obey(command);
                }
            }
        }
    }

    fn obey(&mut self, DesiredCommand { id, op }: DesiredCommand) {
        if self.desires.ended.iter().any(|ended| ended.id == id) {
            return;
        }
        let (state, text) = match op {
            CommandOp::Identify => {
                let serial = &self.identity.serial;
                self.observer.warn(&format!("somebody looks for this device: it is {serial}"));
                (CommandState::Done, None)
            }
            CommandOp::Rescan => {
                self.look_soon(Duration::ZERO);
                (CommandState::Done, None)
            }
            CommandOp::Logs => (CommandState::Failed, Some("an agent keeps no log; see its output or its journal")),
            CommandOp::Release => {
                (CommandState::Failed, Some("an agent obeys any new text; run longshore-agent enrol with it"))
            }
        };
        self.desires.ended.push(ReportedCommand { id, state, text: text.map(str::to_owned) });
    }

    fn report_of_desired(&self) -> Reported {
        let sight = Sight {
            whole: !self.here.is_empty() && self.here.len() == self.roots.len() && !self.unread,
            every_card: !self.options.watch.has_cards(),
            unreadable: self.not_read > 0 || self.summary.skipped > 0,
            growing: self.growing > 0,
            now: self.client.server_time().unwrap_or_else(|| self.clock.now()),
        };
        let report = DeviceReport { firmware: Some(env!("CARGO_PKG_VERSION").to_owned()), ..DeviceReport::default() };
        let requests = self.desires.wishes.report(&self.list.held(), sight);
        let desired = self.desires.tag.clone();
        Reported { desired, requests, commands: self.desires.ended.clone(), report, clock: None }
    }

    fn heed_later(&mut self, error: CallError) {
        // A device that the server refuses hears of it where it matters: when it offers.
        let wait = self.retry.put_off(error, &mut self.desires.waits).unwrap_or(self.pace.longest);
        self.desires.not_before = Instant::now() + wait;
    }
}
