use std::thread;

/// How an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its work was done, or there was none.
    Done,
    /// It gave up.
    Failed,
    /// It panicked. actix closes its address and tells nobody.
    Panicked,
}

/// Held by an actor; tells, when the actor is gone, how it ended, whatever it ended of.
pub(crate) struct Lifeline {
    ended: Ended,
    tell: Option<Box<dyn FnOnce(Ended)>>,
}

impl Lifeline {
    /// `tell` is called once, when this is dropped; it must not panic.
    pub(crate) fn new(tell: impl FnOnce(Ended) + 'static) -> Self {
        Self { ended: Ended::Done, tell: Some(Box::new(tell)) }
    }

    /// The actor is about to give up.
    pub(crate) fn failed(&mut self) {
        self.ended = Ended::Failed;
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let ended = if thread::panicking() { Ended::Panicked } else { self.ended };
        if let Some(tell) = self.tell.take() {
            tell(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use actix::prelude::*;

    use super::*;

    struct Mortal {
        lifeline: Lifeline,
    }

    impl Actor for Mortal {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct End(Ended);

    impl Handler<End> for Mortal {
        type Result = ();

        fn handle(&mut self, End(how): End, ctx: &mut Self::Context) {
            match how {
                Ended::Done => ctx.stop(),
                Ended::Failed => {
                    self.lifeline.failed();
                    ctx.stop();
                }
                Ended::Panicked => panic!("on purpose"),
            }
        }
    }

    #[actix::test]
    async fn however_an_actor_ends_its_lifeline_tells() {
        for how in [Ended::Done, Ended::Failed, Ended::Panicked] {
            let told = Rc::new(Cell::new(None));
            let tell = Rc::clone(&told);
            let mortal = Mortal { lifeline: Lifeline::new(move |ended| tell.set(Some(ended))) }.start();
            let _ended_before_it_answered = mortal.send(End(how)).await;
            while mortal.connected() {
                tokio::task::yield_now().await;
            }
            assert_eq!(told.get(), Some(how));
        }
    }
}
