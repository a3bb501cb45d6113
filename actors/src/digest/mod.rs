//! EmailDigest: the daily mails. When one is due, the pure `schedule` says; what is recorded about it, `plan`; what it tells,
//! `news` reads from the index, and the pure `compose` puts into words. The actor holds nothing: what was planned and sent is
//! in the catalogue.
//!
//! A digest is the fact *planned*, with its window of the journal, then a mail to each recipient in the outbox, then the fact
//! *sent*. A kill in between leaves the plan, from which the next start goes on; the mails have ids that follow from the plan,
//! so none is queued twice.

mod compose;
mod making;
mod news;
mod plan;
mod schedule;
pub(crate) mod words;

use actix::prelude::*;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use longshore_model::{DigestKind, DigestOf};

use crate::decision::DecisionError;
use crate::kit::{Lifeline, Probe, fail_point};
use crate::mailer::MailAddress;
pub use compose::Composed;
use making::DigestError;
pub(crate) use making::Digests;
pub use schedule::{Daily, NotDaily};

/// The digests that are made.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestSettings {
    /// Which, each once.
    pub digests: Vec<DigestSetting>,
    /// Where people find the server.
    pub url: String,
    /// Time zone of what nobody set up.
    pub zone: Tz,
}

/// A digest that is made.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestSetting {
    /// Which.
    pub of: DigestOf,
    /// For whom.
    pub to: Vec<MailAddress>,
    /// When.
    pub daily: Daily,
}

/// Why a digest is not made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestRefused {
    /// It has no addresses.
    #[error(
        "no addresses are set for this digest: set `to` in [digest.{0}] of the configuration, or the site in its `sites`"
    )]
    NotSetUp(DigestKind),
    /// Its mail is out.
    #[error(
        "the digest of {0} is made already; what is new since comes with the next one, and `longshore digest preview` shows it"
    )]
    Made(NaiveDate),
    /// One before it is not.
    #[error("the digest before this one could not be made yet; the server's log tells why")]
    Waits,
    /// Nobody knows it.
    #[error("there is no digest of {0}")]
    Unknown(NaiveDate),
}

/// A digest as it is, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// From when on it tells.
    pub from: DateTime<Utc>,
    /// Until when.
    pub to: DateTime<Utc>,
    /// Of which date it is.
    pub date: NaiveDate,
    /// Whether a mail is sent of it: there is something new.
    pub is_news: bool,
    /// What it says.
    pub composed: Composed,
}

/// What came of asking for a digest now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentNow {
    /// Of which date it is.
    pub date: NaiveDate,
    /// To whom it goes; nobody: there is nothing new, and it comes at its time if there is then.
    pub to: Vec<String>,
}

/// The actor.
pub(crate) struct EmailDigest {
    digests: Digests,
    probe: Probe,
    /// What failed last, so that the log has it once.
    failed: Option<String>,
    _lifeline: Lifeline,
}

/// Look what is due, again and again.
#[derive(Message)]
#[rtype(result = "()")]
struct Tick;

/// Look what is due: the settings are others.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reschedule;

/// Make a digest before its time.
#[derive(Message)]
#[rtype(result = "Result<SentNow, DecisionError<DigestRefused>>")]
pub(crate) struct SendNow {
    pub(crate) of: DigestOf,
    pub(crate) by: String,
}

impl EmailDigest {
    pub(crate) fn new(digests: Digests, lifeline: Lifeline, probe: Probe) -> Self {
        Self { digests, probe, failed: None, _lifeline: lifeline }
    }

    fn look(&self) -> ResponseActFuture<Self, ()> {
        let (digests, in_flight) = (self.digests.clone(), self.probe.in_flight());
        let looking = async move {
            let _in_flight = in_flight;
            digests.look().await
        };
        Box::pin(looking.into_actor(self).map(|looked, actor, _| actor.heed(looked)))
    }

    fn heed(&mut self, looked: Result<(), DigestError>) {
        let failed = looked.err().map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|error| self.failed.as_ref() != Some(*error)) {
            tracing::warn!(%error, "a digest could not be made; it is tried again until it is");
            self.probe.error(error);
        }
        self.failed = failed;
    }
}

impl Actor for EmailDigest {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Tick);
    }
}

impl Handler<Tick> for EmailDigest {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Tick, _: &mut Self::Context) -> Self::Result {
        fail_point!("digest-tick");
        let again = |(), actor: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Tick, actor.digests.wait());
        };
        Box::pin(self.look().map(again))
    }
}

impl Handler<Reschedule> for EmailDigest {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Reschedule, _: &mut Self::Context) -> Self::Result {
        self.look()
    }
}

impl Handler<SendNow> for EmailDigest {
    type Result = ResponseFuture<Result<SentNow, DecisionError<DigestRefused>>>;

    fn handle(&mut self, SendNow { of, by }: SendNow, _: &mut Self::Context) -> Self::Result {
        let (digests, in_flight) = (self.digests.clone(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            digests.send_now(of, by).await
        })
    }
}

#[cfg(test)]
mod tests;
