//! Keeps the actors running of which there is one each. actix's own supervisor does not restart after a panic, and has
//! neither bound nor back-off.

use actix::prelude::*;
use tokio::time::Instant;

use super::lifeline::{Ended, Lifeline};
use super::line::Line;
use super::probe::{Board, Probe};
use super::restart::{Policy, Restarts, jitter};

/// The supervisor: one for one, each child with a back-off of its own.
pub(crate) struct Supervisor {
    board: Board,
    children: Vec<Child>,
}

struct Child {
    start: Box<dyn Fn(Lifeline)>,
    cut: Box<dyn Fn()>,
    restarts: Restarts,
    probe: Probe,
}

/// A child ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Down {
    child: usize,
    ended: Ended,
}

/// Answered when every child has been started.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Started;

impl Supervisor {
    pub(crate) fn new(board: Board) -> Self {
        Self { board, children: Vec::new() }
    }

    /// Adds an actor, to be started in this order; `make` gives a new one, at the start and after each failure.
    pub(crate) fn supervise<A>(&mut self, name: &str, line: &Line<A>, make: impl Fn(Lifeline, Probe) -> A + 'static)
    where
        A: Actor<Context = Context<A>>,
    {
        let probe = self.board.probe(None, name.to_owned(), None);
        let (connected, cut, of_child) = (line.clone(), line.clone(), probe.clone());
        self.children.push(Child {
            start: Box::new(move |lifeline| connected.connect(Some(make(lifeline, of_child.clone()).start()))),
            cut: Box::new(move || cut.connect(None)),
            restarts: Restarts::new(Policy::SINGLETON),
            probe,
        });
    }

    fn start_child(&self, child: usize, ctx: &Context<Self>) {
        let Some(Child { start, probe, .. }) = self.children.get(child) else { return };
        let supervisor = ctx.address();
        start(Lifeline::new(move |ended| supervisor.do_send(Down { child, ended })));
        probe.runs();
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for child in 0..self.children.len() {
            self.start_child(child, ctx);
        }
    }
}

impl Handler<Started> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Started, _: &mut Self::Context) {}
}

impl Handler<Down> for Supervisor {
    type Result = ();

    /// However it ended: these run as long as the server does.
    fn handle(&mut self, Down { child, ended }: Down, ctx: &mut Self::Context) {
        let Some(Child { cut, restarts, probe, .. }) = self.children.get_mut(child) else { return };
        cut();
        let rest = restarts.failed(Instant::now(), jitter());
        probe.ended(ended, Some(rest));
        tracing::error!(
            actor = probe.name(),
            ?ended,
            wait_ms = rest.wait.as_millis(),
            "an actor ended and is restarted"
        );
        ctx.run_later(rest.wait, move |supervisor, ctx| supervisor.start_child(child, ctx));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use longshore_model::SystemClock;

    use super::super::probe::ActorState;
    use super::*;

    struct Fragile {
        _lifeline: Lifeline,
    }

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Ask {
        panics: bool,
    }

    impl Handler<Ask> for Fragile {
        type Result = u32;

        fn handle(&mut self, Ask { panics }: Ask, _: &mut Self::Context) -> u32 {
            assert!(!panics, "on purpose");
            7
        }
    }

    const DEADLINE: Duration = Duration::from_secs(1);

    #[actix::test]
    async fn a_singleton_that_panics_is_unavailable_and_comes_back_later_each_time() {
        tokio::time::pause();
        let board = Board::new(Arc::new(SystemClock));
        let (line, other) = (Line::<Fragile>::new(), Line::<Fragile>::new());
        let mut supervisor = Supervisor::new(board.clone());
        supervisor.supervise("fragile", &line, |lifeline, _| Fragile { _lifeline: lifeline });
        supervisor.supervise("other", &other, |lifeline, _| Fragile { _lifeline: lifeline });
        let supervisor = supervisor.start();
        supervisor.send(Started).await.unwrap();
        for (failures, (soonest, latest)) in
            (1..).zip([(500, 625), (1000, 1250), (2000, 2500), (4000, 5000), (60_000, 60_000)])
        {
            assert_eq!(line.ask(Ask { panics: false }, DEADLINE).await, Ok(7));
            assert!(line.ask(Ask { panics: true }, DEADLINE).await.is_err());
            tokio::time::sleep(Duration::from_millis(soonest - 100)).await;
            assert!(line.ask(Ask { panics: false }, DEADLINE).await.is_err(), "still resting");
            assert_eq!(other.ask(Ask { panics: false }, DEADLINE).await, Ok(7), "one for one");
            let row = &board.read()[0];
            let expected = if failures == 5 { ActorState::Parked } else { ActorState::Restarting };
            assert_eq!((row.name.as_str(), row.state, row.failures), ("fragile", expected, failures));
            tokio::time::sleep(Duration::from_millis(latest - soonest + 200)).await;
        }
        assert_eq!(line.ask(Ask { panics: false }, DEADLINE).await, Ok(7));
        assert_eq!(board.read()[0].state, ActorState::Running);
    }
}
