//! What happened and is not in the journal yet. Several tell it side by side, and each of them waits until all is recorded that
//! was told so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use longshore_store::facts::OutboxFact;

/// In the order in which it happened.
#[derive(Default)]
pub(super) struct Unrecorded {
    facts: Mutex<Vec<OutboxFact>>,
    /// Held while they are written, by one after the other: nothing is written twice.
    writing: tokio::sync::Mutex<()>,
}

impl Unrecorded {
    /// Lets `write` record this with all that could not be recorded before, and forgets what it recorded.
    pub(super) async fn record<E, W: Future<Output = Result<(), E>>>(
        &self,
        happened: Vec<OutboxFact>,
        write: impl FnOnce(Vec<OutboxFact>) -> W,
    ) -> Result<(), E> {
        // Before anything is waited for: whoever is given up meanwhile has told it.
        self.facts().extend(happened);
        let _writing = self.writing.lock().await;
        let facts = self.facts().clone();
        let count = facts.len();
        if count > 0 {
            write(facts).await?;
            // What was told since is not among them.
            self.facts().drain(..count);
        }
        Ok(())
    }

    fn facts(&self) -> MutexGuard<'_, Vec<OutboxFact>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::MailId;
    use tokio::sync::oneshot;

    use super::*;

    fn fact(n: u8) -> OutboxFact {
        OutboxFact::Sent { id: MailId::from_bytes([n; 16]), answer: "250".into() }
    }

    #[tokio::test]
    async fn what_one_tells_is_not_forgotten_when_anothers_is_recorded() {
        let unrecorded = Unrecorded::default();
        let (written, gate) = oneshot::channel();
        let first = unrecorded.record(vec![fact(1)], |facts| async move {
            assert_eq!(facts, [fact(1)]);
            gate.await.map_err(|_| "nobody opened it")
        });
        let second = async {
            let second = unrecorded.record(vec![fact(2)], |facts| async move {
                assert_eq!(facts, [fact(2)], "the first is recorded, once");
                Err("the disk is full")
            });
            let opening = async { written.send(()) };
            let (second, opened) = tokio::join!(second, opening);
            opened.unwrap();
            second
        };
        assert_eq!(tokio::join!(first, second), (Ok(()), Err("the disk is full")));
        let again = unrecorded.record(vec![fact(3)], |facts| async move {
            assert_eq!(facts, [fact(2), fact(3)]);
            Ok::<_, ()>(())
        });
        again.await.unwrap();
        let nothing = unrecorded.record(Vec::new(), |_| async { Err("nothing is left to write") });
        nothing.await.unwrap();
    }
}
