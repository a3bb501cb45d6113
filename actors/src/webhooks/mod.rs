//! Webhooks: tells other programs what happened, through the outbox. Each gets one message at a time, with all that happened since
//! the one before, so they hear of everything in its order, and one that does not answer costs one message. The HTTP is the
//! edge's ([`Courier`]); what is said, the pure `payload` writes.

mod payload;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use longshore_model::{Clock, HealthTypes, MailId, Secret};
use longshore_store::index::OutboxRow;

use crate::kit::{Lifeline, Probe, fail_point};
use crate::mailer::{Delivered, Failure, Post, PostError, Rest};
pub(crate) use payload::{MOST, write};

/// Between two looks for news: programs that want to know at once are told within this time.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A program that is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Told apart by it.
    pub name: String,
    /// `https`, where its messages go.
    pub url: String,
    /// Signs them.
    pub secret: Secret,
    /// Whether it may have an address of a private network.
    pub private: bool,
    /// PEM of the authority behind its certificate; without one, those that the system trusts.
    pub ca: Option<Vec<u8>>,
}

/// A message for a webhook.
#[derive(Debug)]
pub struct WebhookCall {
    /// Where it goes.
    pub hook: WebhookSettings,
    /// The header `webhook-id`: the same if it is tried again.
    pub id: MailId,
    /// The header `webhook-timestamp`: when it is tried.
    pub at: DateTime<Utc>,
    /// JSON.
    pub body: Vec<u8>,
}

/// What came of a call: what the other program answered, or why it did not take the message and what to do.
pub type Called = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Carries messages to webhooks over HTTPS.
pub trait Courier: Send + Sync + 'static {
    /// Carries one.
    fn carry(&self, call: WebhookCall) -> Called;
}

/// What outlives the actor; shared with the engine.
#[derive(Clone)]
pub(crate) struct Hooks {
    settings: Arc<Mutex<Vec<WebhookSettings>>>,
    rests: Arc<Mutex<HashMap<String, Rest>>>,
}

impl Hooks {
    pub(crate) fn new(settings: Vec<WebhookSettings>) -> Self {
        Self { settings: Arc::new(Mutex::new(settings)), rests: Arc::default() }
    }

    /// From now on these are told.
    pub(crate) fn set(&self, settings: Vec<WebhookSettings>) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        self.end_rests();
    }

    /// Lets all be called again now, however often they failed.
    pub(crate) fn end_rests(&self) {
        self.rests().clear();
    }

    fn settings(&self) -> Vec<WebhookSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rests(&self) -> MutexGuard<'_, HashMap<String, Rest>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the actor works with.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) hooks: Hooks,
    pub(crate) post: Post,
    pub(crate) types: Arc<HealthTypes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) courier: Arc<dyn Courier>,
}

/// The actor.
pub(crate) struct Webhooks {
    teller: Teller,
    /// Those that are being told.
    busy: HashSet<String>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Look what there is to tell.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl Webhooks {
    pub(crate) fn new(teller: Teller, lifeline: Lifeline, probe: Probe) -> Self {
        Self { teller, busy: HashSet::new(), probe, _lifeline: lifeline }
    }
}

impl Actor for Webhooks {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
    }
}

impl Handler<Look> for Webhooks {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        fail_point!("webhooks-look");
        // Each by itself: one that answers slowly, or has much to hear, holds nobody else.
        for name in self.teller.hooks.settings().into_iter().map(|hook| hook.name) {
            if !self.busy.insert(name.clone()) {
                continue;
            }
            let (teller, told) = (self.teller.clone(), name.clone());
            let telling = async move { teller.tell(&told).await }.into_actor(self);
            ctx.spawn(telling.map(move |told, webhooks, _| {
                webhooks.busy.remove(&name);
                if let Err(error) = told {
                    tracing::warn!(webhook = name, %error, "a webhook could not be told; it is tried again");
                    webhooks.probe.error(error);
                }
            }));
        }
        ctx.notify_later(Look, LOOK_EVERY);
    }
}

impl Teller {
    /// Hands over what waits for the one of this name, and then what is new.
    async fn tell(&self, name: &str) -> Result<(), PostError> {
        loop {
            // Anew for each message: the file may have been changed meanwhile.
            let Some(hook) = self.hooks.settings().into_iter().find(|hook| hook.name == name) else { return Ok(()) };
            let rest = self.hooks.rests().get(&hook.name).cloned();
            let row = match self.post.waits_for(&hook.name).await? {
                Some(row) => row,
                None => match self.post.gather(hook.name.clone(), Arc::clone(&self.types)).await? {
                    Some(row) => row,
                    None => return Ok(()),
                },
            };
            if !self.post.is_due(&row, rest.as_ref()) {
                return Ok(());
            }
            let tried = match self.post.text(&row).await {
                Ok(body) => self.call(&hook, &row, body).await,
                Err(failure) => Err(failure),
            };
            match self.post.called(&row, tried, rest.as_ref()).await? {
                Delivered::Done => drop(self.hooks.rests().remove(&hook.name)),
                Delivered::Rest(rest) => {
                    // One that was mended meanwhile does not rest for what it was before.
                    if self.hooks.settings().contains(&hook) {
                        self.hooks.rests().insert(hook.name, rest);
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn call(&self, hook: &WebhookSettings, row: &OutboxRow, body: Vec<u8>) -> Result<String, Failure> {
        let call = WebhookCall { hook: hook.clone(), id: row.message.id, at: self.clock.now(), body };
        self.courier.carry(call).await.map_err(Failure::of_server)
    }
}
