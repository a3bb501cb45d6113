//! HealthAggregator: what devices report of themselves, and what the server notices, becomes issues. What becomes of an issue,
//! the pure `tally` decides; `fold` brings it together with what the index has. The actor holds nothing: issues are in the
//! catalogue, and what waits to be recorded is in `notices`, which outlives it.

mod budget;
pub(crate) mod clock;
mod fold;
mod listening;
mod mute;
mod notices;
mod signal;
mod survey;
mod tally;
mod view;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock, DeviceId, DeviceState, HealthEvent, HealthTypes, Issue, IssueEnd, health_type};
use longshore_store::catalogue::Catalogue;
use longshore_store::files::Standing;
use longshore_store::index::{Index, IndexError};
use tokio::time::Instant;

use crate::decision::DecisionError;
use crate::kit::{Lifeline, Probe, blocking, fail_point};
use crate::presence::Presence;
use crate::profiles::Models;
use crate::storage::StorageParts;
use budget::Budgets;
use fold::Fold;
use survey::Circumstances;
use tally::Became;

pub use fold::EventTaken;
pub use mute::MuteRefused;
pub(crate) use mute::{ignore, silence};
pub use notices::{Notice, Notices};
pub(crate) use signal::Signals;
pub(crate) use survey::is_soon;
pub use view::{DeviceHealth, HealthState, HealthViews, IssueDevice, IssueView};

/// Between two looks whether anything was noticed: what is lost when the server is killed is no older.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two rounds: what ends by itself, how much room there is, whether what was to be overwritten is here by now.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// Rounds between two looks at all devices: who is silent for days is found within five minutes.
const SURVEY_ROUNDS: u32 = 5;
/// Rounds between two looks at all that devices hold and will overwrite. Where some of it is an open issue it is looked at in each
/// round, and what a device offers as it does.
const OVERWRITE_ROUNDS: u32 = 60;
/// What a look at all devices found is recorded in slices of so many, a quarter of what may wait: the rest of that room is for
/// what others notice meanwhile.
const SLICE: usize = 1024;
/// Bytes of room by which a disk that was nearly full is not any more: a few files more or less are no news.
const ROOM_AGAIN: u64 = 1 << 30;

/// What the aggregator needs.
#[derive(Clone)]
pub(crate) struct HealthParts {
    pub(crate) catalogue: Catalogue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) types: Arc<HealthTypes>,
    pub(crate) notices: Notices,
    /// What is known of models of devices.
    pub(crate) models: Models,
    pub(crate) storage: StorageParts,
    pub(crate) presence: Presence,
    /// A device that did not call for so long is offline.
    pub(crate) offline_after: TimeDelta,
    /// What devices may still begin.
    pub(crate) budgets: Begun,
    pub(crate) signals: Signals,
}

/// Outlives the aggregator: a device that makes it fail begins no more for that.
#[derive(Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<Budgets>>);

/// The actor.
pub(crate) struct HealthAggregator {
    parts: HealthParts,
    /// Whether it is known which issues are open.
    knows: bool,
    /// When the last round began …
    round_at: Option<Instant>,
    /// … and how many there were.
    rounds: u32,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Take what a device reports of itself. It is recorded when this is answered.
#[derive(Message)]
#[rtype(result = "Result<Vec<EventTaken>, DecisionError<Infallible>>")]
pub(crate) struct Report {
    pub(crate) device: DeviceId,
    pub(crate) events: Vec<HealthEvent>,
}

/// Look what was noticed, and what is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl HealthAggregator {
    pub(crate) fn new(parts: HealthParts, lifeline: Lifeline, probe: Probe) -> Self {
        Self { parts, knows: false, round_at: None, rounds: 0, probe, _lifeline: lifeline }
    }
}

impl Actor for HealthAggregator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
    }
}

impl Handler<Report> for HealthAggregator {
    type Result = ResponseFuture<Result<Vec<EventTaken>, DecisionError<Infallible>>>;

    fn handle(&mut self, Report { device, events }: Report, _: &mut Self::Context) -> Self::Result {
        fail_point!("health-report");
        let (parts, in_flight) = (self.parts.clone(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let (types, now) = (Arc::clone(&parts.types), parts.clock.now());
            let Begun(budgets) = parts.budgets.clone();
            let before = budgets.lock().unwrap_or_else(PoisonError::into_inner).of(device);
            let of_device = Arc::clone(&budgets);
            let decision = move |index: &Index| {
                let mut budgets = of_device.lock().unwrap_or_else(PoisonError::into_inner);
                let fold = Fold::begin(index, types, now)?;
                Ok(Ok::<_, Infallible>(fold::report(fold, device, events, &mut budgets)?))
            };
            let decided = parts.catalogue.decide(decision).await;
            if decided.is_err() {
                // A device tries again until it is taken, which must cost it nothing.
                budgets.lock().unwrap_or_else(PoisonError::into_inner).give_back(device, before);
            }
            let (taken, issues) = decided?;
            if taken.contains(&EventTaken::TooOften) {
                parts.notices.stands(Notice::of_device(device, health_type::REPORTS_TOO_MUCH));
            }
            parts.notices.learn(&issues);
            Ok(taken)
        })
    }
}

impl Handler<Look> for HealthAggregator {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        fail_point!("health-look");
        let (parts, probe) = (self.parts.clone(), self.probe.clone());
        let knows = self.knows;
        let round = self.round_at.is_none_or(|at| at.elapsed() >= ROUND_EVERY).then_some(self.rounds);
        if round.is_some() {
            self.round_at = Some(Instant::now());
            self.rounds = self.rounds.wrapping_add(1);
        }
        let looking = async move {
            let looked = async {
                if !knows {
                    parts.learn_what_is_open().await?;
                }
                parts.look_at_storage();
                if let Some(round) = round {
                    parts.go_round(round).await?;
                }
                parts.record_noticed().await
            };
            let looked: Result<(), DecisionError<Infallible>> = looked.await;
            // What is not recorded now is taken again.
            looked.map_err(|error| probe.error(error)).is_ok()
        };
        let again = |went_well: bool, health: &mut Self, ctx: &mut Context<Self>| {
            health.knows |= went_well;
            ctx.notify_later(Look, LOOK_EVERY);
        };
        Box::pin(looking.into_actor(self).map(again))
    }
}

impl HealthParts {
    async fn learn_what_is_open(&self) -> Result<(), DecisionError<Infallible>> {
        let index = self.catalogue.index().clone();
        let open = blocking(move || index.open_issues()).await?;
        self.notices.know(&open);
        if open.iter().any(|issue| issue.kind == health_type::DISK_WRITE_FAILED) {
            self.storage.suspect();
        }
        Ok(())
    }

    /// Whether the storage is there; asks no disk.
    fn look_at_storage(&self) {
        let standing = self.storage.standing();
        let notice = Notice::of_server(health_type::DISK_OFFLINE).text(standing.to_string());
        self.notices.is(notice, standing != Standing::Ready);
    }

    async fn go_round(&self, round: u32) -> Result<(), DecisionError<Infallible>> {
        self.end_what_waited().await?;
        self.look_into_storage().await;
        let (index, now) = (self.catalogue.index().clone(), self.clock.now());
        let models = Arc::clone(&self.models.borrow());
        let connected = self.presence.sessions().into_iter().map(|(device, _)| device).collect();
        let offline_after = self.offline_after;
        let found = blocking(move || {
            let known = Circumstances { models: &models, connected: &connected, offline_after, now };
            let mut found = survey::overwrites(&index, round.is_multiple_of(OVERWRITE_ROUNDS), now)?;
            if round.is_multiple_of(SURVEY_ROUNDS) {
                found.extend(survey::survey(&index, &known)?);
            }
            Ok(found)
        });
        // All devices may be silent at once, and more than may wait.
        for slice in found.await?.chunks(SLICE) {
            slice.iter().for_each(|(notice, stands)| self.notices.is(notice.clone(), *stands));
            self.record_noticed().await?;
        }
        Ok(())
    }

    /// A storage that does not answer is told of by its standing.
    async fn look_into_storage(&self) {
        let Some((free, low)) = self.storage.look().await else { return };
        let notice = Notice::of_server(health_type::DISK_LOW).value(free >> 30);
        if free < low {
            self.notices.stands(notice);
        } else if free >= low.saturating_add(ROOM_AGAIN) {
            self.notices.over(notice);
        }
    }

    /// Records what was noticed since the last time.
    pub(crate) async fn record_noticed(&self) -> Result<(), DecisionError<Infallible>> {
        let now = self.clock.now();
        let taken = self.notices.take(now);
        let (heard, types) = (taken.heard(now), Arc::clone(&self.types));
        if heard.is_empty() {
            return Ok(());
        }
        self.decide(move |index| {
            let mut fold = Fold::begin(index, types, now)?;
            for heard in heard {
                fold.hear(heard)?;
            }
            Ok(fold)
        })
        .await?;
        taken.recorded();
        Ok(())
    }

    /// Ends issues that nobody reported for as long as their type says, and those of devices that are out of service.
    async fn end_what_waited(&self) -> Result<(), DecisionError<Infallible>> {
        let (index, types, now) = (self.catalogue.index().clone(), Arc::clone(&self.types), self.clock.now());
        // Nearly always nothing, so the writer is only asked when there is.
        if blocking(move || over(&index, &types, now)).await?.is_empty() {
            return Ok(());
        }
        let types = Arc::clone(&self.types);
        self.decide(move |index| {
            let over = over(index, &types, now)?;
            let mut fold = Fold::begin(index, types, now)?;
            over.into_iter().for_each(|became| fold.take(became));
            Ok(fold)
        })
        .await
    }

    async fn decide(
        &self,
        folded: impl for<'a> FnOnce(&'a Index) -> Result<Fold<'a>, IndexError> + Send + 'static,
    ) -> Result<(), DecisionError<Infallible>> {
        let decided = self.catalogue.decide(move |index| Ok(Ok::<_, Infallible>(folded(index)?.end(None))));
        let issues: Vec<Issue> = decided.await?;
        self.notices.learn(&issues);
        Ok(())
    }
}

/// The issues that end though nothing was heard of them.
fn over(index: &Index, types: &HealthTypes, now: DateTime<Utc>) -> Result<Vec<Became>, IndexError> {
    let mut ended = Vec::new();
    for issue in index.open_issues()? {
        let device = issue.subject.device().map_or(Ok(None), |device| index.device(device))?;
        if device.is_some_and(|device| device.state == DeviceState::Retired) {
            ended.push(tally::end(issue, IssueEnd::Retired, now));
        } else {
            ended.extend(tally::wait(&issue, types, now));
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests;
