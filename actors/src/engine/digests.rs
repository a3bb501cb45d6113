//! The daily mails.

use chrono::NaiveDate;
use longshore_model::DigestOf;

use super::Engine;
use crate::decision::DecisionError;
use crate::digest::{DigestRefused, DigestSettings, Preview, Reschedule, SendNow, SentNow};
use crate::kit::ASK_DEADLINE;

impl Engine {
    /// From now on these digests are made.
    pub fn set_digests(&self, settings: DigestSettings) {
        self.digests.settings.send_replace(settings);
        self.email_digest.tell(Reschedule);
    }

    /// A digest as it was on `date`; without one, what the next one would tell now.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn preview_digest(
        &self,
        of: DigestOf,
        date: Option<NaiveDate>,
    ) -> Result<Preview, DecisionError<DigestRefused>> {
        self.digests.preview(of, date).await
    }

    /// Makes the digest of today before its time, if there is anything new.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn send_digest(&self, of: DigestOf, by: String) -> Result<SentNow, DecisionError<DigestRefused>> {
        let asked = self.email_digest.ask(SendNow { of, by }, ASK_DEADLINE).await;
        asked.unwrap_or(Err(DecisionError::Unavailable))
    }
}
