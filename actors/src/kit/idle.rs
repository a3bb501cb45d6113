use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

/// An actor that ends, or rests, after a while without work.
///
/// There is one timer at a time, which winds itself up again: actix polls every timer of an actor at each message, and
/// requests may come and go a thousand times a minute.
pub(crate) trait Idles: Actor<Context = Context<Self>> {
    /// How long it waits for more.
    const LIMIT: Duration;

    /// Whether its timer runs; kept by the actor, changed here only.
    fn timer_runs(&mut self) -> &mut bool;

    /// Since when it has nothing to do; `None` while it is busy.
    fn idle_since(&self) -> Option<Instant>;

    /// It had nothing to do for [`Self::LIMIT`].
    fn idled(&mut self, ctx: &mut Context<Self>);

    /// Begins to watch; while it watches already, this does nothing.
    fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        wind_up(self, Self::LIMIT, ctx);
    }
}

fn wind_up<A: Idles>(actor: &mut A, after: Duration, ctx: &mut Context<A>) {
    if std::mem::replace(actor.timer_runs(), true) {
        return;
    }
    ctx.run_later(after, |actor, ctx| {
        *actor.timer_runs() = false;
        let left = actor.idle_since().map_or(A::LIMIT, |since| A::LIMIT.saturating_sub(since.elapsed()));
        if left.is_zero() {
            actor.idled(ctx);
        } else {
            wind_up(actor, left, ctx);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Worker {
        timer: bool,
        last: Option<Instant>,
    }

    impl Actor for Worker {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            self.watch_idleness(ctx);
        }
    }

    impl Idles for Worker {
        const LIMIT: Duration = Duration::from_secs(60);

        fn timer_runs(&mut self) -> &mut bool {
            &mut self.timer
        }

        fn idle_since(&self) -> Option<Instant> {
            self.last
        }

        fn idled(&mut self, ctx: &mut Context<Self>) {
            ctx.stop();
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Work(Option<Instant>);

    impl Handler<Work> for Worker {
        type Result = ();

        fn handle(&mut self, Work(last): Work, ctx: &mut Self::Context) {
            self.last = last;
            self.watch_idleness(ctx);
        }
    }

    #[actix::test]
    async fn an_actor_ends_when_it_was_idle_for_its_whole_limit_and_not_before() {
        tokio::time::pause();
        let worker = Worker { timer: false, last: None }.start();
        tokio::time::sleep(Duration::from_secs(500)).await;
        assert!(worker.connected(), "it was busy");
        worker.send(Work(Some(Instant::now()))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(50)).await;
        worker.send(Work(Some(Instant::now()))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(worker.connected(), "it had work 59 seconds ago");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!worker.connected());
    }
}
