//! Mailer: the outbox, and its way to the mail server. What is tried when, the pure `schedule` decides; what is said to the
//! mail server, `smtp`; what it costs when something fails, `failure`. The actor holds nothing: the messages are in the
//! catalogue, their texts beside it, and `post` is their only way in and out.
//!
//! A message is durable before it is tried, and its end is recorded right after the server took it. A kill in between lets
//! it be sent once more, with the same Message-ID.

mod delivering;
mod failure;
mod message;
mod post;
mod schedule;
mod settings;
mod smtp;
mod texts;
mod unrecorded;
mod webhook;

use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};

use crate::kit::{Lifeline, Probe, fail_point};
pub(crate) use failure::Failure;
pub use message::OutgoingMail;
pub use post::{MailRefused, Outbox, QueuedMail};
pub(crate) use post::{Post, PostError};
pub(crate) use schedule::Rest;
pub use settings::{BadAddress, MailAddress, MailSettings, MailTls, Sender};
pub(crate) use webhook::Delivered;

/// Between two looks at most: the clock may be put forward.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two looks for what may be forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The actor.
pub(crate) struct Mailer {
    post: Post,
    /// A look is under way …
    looks: bool,
    /// … and something happened since it began.
    again: bool,
    next: Option<SpawnHandle>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Look what is due.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// Forget what is old.
#[derive(Message)]
#[rtype(result = "()")]
struct Sweep;

impl Mailer {
    pub(crate) fn new(post: Post, lifeline: Lifeline, probe: Probe) -> Self {
        Self { post, looks: false, again: false, next: None, probe, _lifeline: lifeline }
    }

    fn looked(&mut self, next: Option<DateTime<Utc>>, ctx: &mut Context<Self>) {
        self.looks = false;
        let left = next.map(|next| (next - self.post.clock.now()).to_std().unwrap_or_default());
        let wait = if std::mem::take(&mut self.again) { Duration::ZERO } else { left.unwrap_or(LOOK_EVERY) };
        self.next = Some(ctx.notify_later(Look, wait.min(LOOK_EVERY)));
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
        ctx.notify(Sweep);
    }
}

impl Handler<Look> for Mailer {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) -> Self::Result {
        if self.looks {
            self.again = true;
            return Box::pin(fut::ready(()));
        }
        self.looks = true;
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next);
        }
        fail_point!("mailer-look");
        let (post, probe, in_flight) = (self.post.clone(), self.probe.clone(), self.probe.in_flight());
        let looking = async move {
            let _in_flight = in_flight;
            post.deliver(&probe).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the outbox could not be worked on; it is tried again");
                probe.error(error);
                None
            })
        };
        Box::pin(looking.into_actor(self).map(|next, mailer, ctx| mailer.looked(next, ctx)))
    }
}

impl Handler<Sweep> for Mailer {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) -> Self::Result {
        let (post, probe) = (self.post.clone(), self.probe.clone());
        let sweeping = async move {
            if let Err(error) = post.sweep().await {
                tracing::warn!(%error, "the outbox could not be swept; it is tried again tomorrow");
                probe.error(error);
            }
        };
        let again = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Sweep, SWEEP_EVERY);
        };
        Box::pin(sweeping.into_actor(self).map(again))
    }
}
