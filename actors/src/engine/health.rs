//! How devices and the server are: what is reported and noticed, what people see of it and do not want to hear of.

use std::convert::Infallible;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, HealthEvent, HealthTypes, Issue};
use longshore_store::index::{Index, IndexError};
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::health::{self, EventTaken, HealthViews, IssueView, MuteRefused, Notices, Report};
use crate::kit::{ASK_DEADLINE, blocking};

impl Engine {
    /// Takes what a device reports of its health, in the order in which it happened. One answer for each event; those that are
    /// taken are recorded.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn report_health(
        &self,
        device: DeviceId,
        events: Vec<HealthEvent>,
    ) -> Result<Vec<EventTaken>, DecisionError<Infallible>> {
        let asked = self.health.ask(Report { device, events }, ASK_DEADLINE).await;
        asked.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Where the parts of the server tell what they notice: a moment's work that waits for nothing. It is recorded within a
    /// second or so.
    pub fn notices(&self) -> &Notices {
        &self.health_parts.notices
    }

    /// What is known of types of health events.
    pub fn health_types(&self) -> &Arc<HealthTypes> {
        &self.health_parts.types
    }

    /// Records what is noticed and not recorded yet: for when the server stops.
    pub async fn record_notices(&self) {
        let recording = timeout(ASK_DEADLINE, self.health_parts.record_noticed());
        if let Ok(Err(error)) = recording.await {
            tracing::warn!(%error, "what was noticed last could not be recorded");
        }
    }

    /// What the issues that `find` gives look like, those that matter most first.
    ///
    /// # Errors
    /// [`EngineError`]; so for all that follow.
    pub async fn issues(
        &self,
        find: impl FnOnce(&Index) -> Result<Vec<Issue>, IndexError> + Send + 'static,
    ) -> Result<Vec<IssueView>, EngineError> {
        self.with_views(move |index, views| views.of_all(&find(index)?)).await
    }

    /// One issue.
    pub async fn issue(&self, number: u64) -> Result<Option<IssueView>, EngineError> {
        self.with_views(move |index, views| index.issue(number)?.map(|issue| views.of(&issue)).transpose()).await
    }

    async fn with_views<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Index, &mut HealthViews<'_>) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (index, types, now) = (self.catalogue.index().clone(), Arc::clone(self.health_types()), self.clock.now());
        Ok(blocking(move || look(&index, &mut HealthViews::new(&index, &types, now))).await?)
    }

    /// Lets people hear nothing of an open issue until a moment; without one, they do again.
    ///
    /// # Errors
    /// [`DecisionError`]; so for what follows.
    pub async fn silence_issue(
        &self,
        number: u64,
        until: Option<DateTime<Utc>>,
        by: String,
    ) -> Result<(), DecisionError<MuteRefused>> {
        let now = self.clock.now();
        let decision = move |index: &Index| {
            Ok(health::silence(number, index.issue(number)?, until, now, by).map(|(facts, _)| (facts, ())))
        };
        let decided = timeout(ASK_DEADLINE, self.catalogue.decide(decision)).await;
        Ok(decided.map_err(|_| DecisionError::Unavailable)??)
    }

    /// Lets people hear nothing of an issue, whenever it comes back too, or again.
    pub async fn ignore_issue(&self, number: u64, ignored: bool, by: String) -> Result<(), DecisionError<MuteRefused>> {
        let decision = move |index: &Index| {
            Ok(health::ignore(number, index.issue(number)?, ignored, by).map(|(facts, _)| (facts, ())))
        };
        let decided = timeout(ASK_DEADLINE, self.catalogue.decide(decision)).await;
        Ok(decided.map_err(|_| DecisionError::Unavailable)??)
    }
}
