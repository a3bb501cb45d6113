//! HealthAggregator: what devices report of themselves, and what the server notices, becomes issues. What becomes of an issue,
//! the pure `tally` decides; `fold` brings it together with what the index has. The actor holds nothing: issues are in the
//! catalogue, and what waits to be recorded is in `notices`, which outlives it.

mod fold;
mod mute;
mod notices;
mod tally;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{Clock, DeviceId, HealthEvent, HealthTypes, Issue};
use longshore_store::catalogue::Catalogue;
use longshore_store::index::{Index, IndexError};
use tokio::time::Instant;

use crate::decision::DecisionError;
use crate::kit::{Lifeline, Probe, blocking, fail_point};
use fold::Fold;

pub use fold::EventTaken;
pub use mute::MuteRefused;
pub(crate) use mute::{ignore, silence};
pub use notices::{Notice, Notices};
pub use view::{DeviceHealth, HealthState, HealthViews, IssueDevice, IssueView};

/// Between two looks whether anything was noticed: what is lost when the server is killed is no older.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks what ends by itself.
const WAIT_EVERY: Duration = Duration::from_secs(60);

/// What the aggregator needs.
#[derive(Clone)]
pub(crate) struct HealthParts {
    pub(crate) catalogue: Catalogue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) types: Arc<HealthTypes>,
    pub(crate) notices: Notices,
}

/// The actor.
pub(crate) struct HealthAggregator {
    parts: HealthParts,
    /// When it looked last what ends by itself.
    waited: Option<Instant>,
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
        Self { parts, waited: None, probe, _lifeline: lifeline }
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
            let decision = move |index: &Index| {
                let fold = Fold::begin(index, types, now)?;
                Ok(Ok::<_, Infallible>(fold::report(fold, device, events)?))
            };
            let (taken, issues) = parts.catalogue.decide(decision).await?;
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
        let is_first = self.waited.is_none();
        let waits = self.waited.is_none_or(|waited| waited.elapsed() >= WAIT_EVERY);
        if waits {
            self.waited = Some(Instant::now());
        }
        let looking = async move {
            let looked = async {
                if is_first {
                    let index = parts.catalogue.index().clone();
                    parts.notices.know(&blocking(move || index.open_issues()).await?);
                }
                parts.record_noticed().await?;
                if waits { parts.end_what_waited().await } else { Ok(()) }
            };
            let looked: Result<(), DecisionError<Infallible>> = looked.await;
            if let Err(error) = &looked {
                tracing::warn!(%error, "what was noticed could not be recorded; it is tried again");
                probe.error(error);
            }
            looked.is_ok()
        };
        let again = |went_well: bool, health: &mut Self, ctx: &mut Context<Self>| {
            if !went_well {
                health.waited = None;
            }
            ctx.notify_later(Look, LOOK_EVERY);
        };
        Box::pin(looking.into_actor(self).map(again))
    }
}

impl HealthParts {
    /// Records what was noticed since the last time.
    pub(crate) async fn record_noticed(&self) -> Result<(), DecisionError<Infallible>> {
        let now = self.clock.now();
        let noticed = self.notices.take(now);
        if noticed.is_empty() {
            return Ok(());
        }
        let (heard, types) = (noticed.clone(), Arc::clone(&self.types));
        let recorded = self.decide(move |index| {
            let mut fold = Fold::begin(index, types, now)?;
            for heard in heard.into_iter().flat_map(|noticed| noticed.heard(now)) {
                fold.hear(heard)?;
            }
            Ok(fold)
        });
        let recorded = recorded.await;
        if recorded.is_err() {
            self.notices.give_back(noticed);
        }
        recorded
    }

    /// Ends issues that nobody reported for as long as their type says.
    async fn end_what_waited(&self) -> Result<(), DecisionError<Infallible>> {
        let (index, types, now) = (self.catalogue.index().clone(), Arc::clone(&self.types), self.clock.now());
        let over = move || Ok(index.open_issues()?.iter().any(|issue| tally::wait(issue, &types, now).is_some()));
        // Nearly always nothing, so the writer is only asked when there is.
        if !blocking(over).await? {
            return Ok(());
        }
        let types = Arc::clone(&self.types);
        self.decide(move |index| {
            let mut fold = Fold::begin(index, types, now)?;
            index.open_issues()?.iter().for_each(|issue| fold.wait(issue));
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
