//! How actix really behaves, where the engine depends on it. If one of these fails after an upgrade, the engine's
//! assumptions have to be looked at again.
#![expect(clippy::panic, reason = "one of these tests must")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Notify;

#[derive(Default)]
struct Counter {
    counted: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
    gate: Arc<Notify>,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.started.fetch_add(1, Ordering::Relaxed);
        ctx.set_mailbox_capacity(1);
    }
}

impl Supervised for Counter {}

#[derive(Message)]
#[rtype(result = "()")]
struct Count;

impl Handler<Count> for Counter {
    type Result = ();

    fn handle(&mut self, _: Count, _: &mut Self::Context) {
        self.counted.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Counter {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("on purpose");
    }
}

/// Answers when the gate opens, and lets other messages in meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
struct Slow;

impl Handler<Slow> for Counter {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Slow, _: &mut Self::Context) -> Self::Result {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move { gate.notified().await }.into_actor(self))
    }
}

#[actix::test]
async fn a_panic_closes_the_address_and_tells_nobody() {
    let actor = Counter::default().start();
    assert_eq!(actor.send(Panic).await, Err(MailboxError::Closed));
    assert!(!actor.connected());
}

#[actix::test]
async fn a_supervisor_does_not_restart_after_a_panic() {
    let started = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&started);
    let actor = Supervisor::start(move |_| Counter { started: counting, ..Counter::default() });
    assert!(actor.send(Panic).await.is_err());
    assert!(actor.send(Count).await.is_err());
    assert_eq!(started.load(Ordering::Relaxed), 1);
}

#[actix::test]
async fn a_request_that_is_dropped_takes_back_a_message_that_was_not_handled_yet() {
    let counted = Arc::new(AtomicUsize::new(0));
    let actor = Counter { counted: Arc::clone(&counted), ..Counter::default() }.start();
    // Not awaited: the actor shares this thread and has not run.
    let request = actor.send(Count);
    drop(request);
    actor.send(Count).await.unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 1);
}

#[actix::test]
async fn what_went_by_try_send_stays_when_the_answer_is_no_longer_awaited() {
    let counted = Arc::new(AtomicUsize::new(0));
    let actor = Counter { counted: Arc::clone(&counted), ..Counter::default() }.start();
    actor.try_send(Count).unwrap();
    actor.send(Count).await.unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 2);
}

#[actix::test]
async fn a_full_mailbox_refuses_try_send_and_nothing_else() {
    let counted = Arc::new(AtomicUsize::new(0));
    let actor = Counter { counted: Arc::clone(&counted), ..Counter::default() }.start();
    actor.send(Count).await.unwrap();
    let mut refused = 0;
    for _ in 0..100 {
        refused += usize::from(actor.try_send(Count).is_err());
        actor.do_send(Count);
    }
    assert!(refused > 90, "{refused}");
    actor.send(Count).await.unwrap();
    assert_eq!(counted.load(Ordering::Relaxed), 1 + (100 - refused) + 100 + 1);
}

#[actix::test]
async fn a_future_response_lets_the_next_message_in_before_it_ends() {
    let gate = Arc::new(Notify::new());
    let actor = Counter { gate: Arc::clone(&gate), ..Counter::default() }.start();
    let slow = actix::spawn(actor.send(Slow));
    actor.send(Count).await.unwrap();
    gate.notify_one();
    slow.await.unwrap().unwrap();
}

struct Timed {
    fired: Arc<AtomicUsize>,
}

impl Actor for Timed {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_secs(365 * 24 * 3600), |actor, _| {
            actor.fired.fetch_add(1, Ordering::Relaxed);
        });
    }
}

#[actix::test]
async fn a_year_passes_at_once_on_paused_time() {
    tokio::time::pause();
    let fired = Arc::new(AtomicUsize::new(0));
    let _actor = Timed { fired: Arc::clone(&fired) }.start();
    tokio::time::sleep(Duration::from_secs(366 * 24 * 3600)).await;
    assert_eq!(fired.load(Ordering::Relaxed), 1);
}
