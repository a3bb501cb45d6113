//! Waiting after a failure, or stopping where waiting is of no use.

use std::sync::Arc;
use std::time::Duration;

use longshore_protocol::Problem;
use tokio::time::{Instant, sleep};

use crate::backoff::{Backoff, Patience, random};
use crate::client::CallError;
use crate::progress::Observer;
use crate::verdict::Verdict;

/// Why an agent stops before its work is done.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The server does no business with this device.
    #[error("the server does not accept this device: {0}")]
    Refused(Box<Problem>),
    /// Trying again would end the same way.
    #[error(transparent)]
    Hopeless(CallError),
    /// Too long without progress.
    #[error(
        "gave up after {} minutes without progress ({last}); everything that is not deleted is still here, so the \
         same command continues", after.as_secs() / 60
    )]
    GaveUp {
        /// How long nothing went on.
        after: Duration,
        /// What went wrong last.
        last: String,
    },
}

/// When the calls of one run are tried again, and the person who is told of it.
pub struct Retry {
    patience: Patience,
    observer: Arc<dyn Observer>,
}

impl Retry {
    /// Waits as long as `patience` allows.
    pub fn new(patience: Patience, observer: Arc<dyn Observer>) -> Self {
        Self { patience, observer }
    }

    /// Something got done, so the next wait is short again.
    pub fn progressed(&mut self) {
        self.patience.progressed();
    }

    /// The server answered, and there is nothing to do for it now.
    pub fn answered(&mut self) {
        self.patience.answered();
    }

    /// Waits before the next try after `error`.
    ///
    /// # Errors
    /// [`Stop`] if there is to be no next try.
    pub async fn after(&mut self, error: CallError) -> Result<(), Stop> {
        let reason = error.to_string();
        let asked = self.asked(error)?;
        self.wait(asked, &reason).await
    }

    /// How long to put off what failed with `error` and does not keep the rest from going on. `waits` are its own, since
    /// the progress of the rest must not have it tried without pause.
    ///
    /// # Errors
    /// [`Stop`] if the run is to end instead.
    pub fn put_off(&self, error: CallError, waits: &mut Backoff) -> Result<Duration, Stop> {
        Ok(waits.wait(self.asked(error)?, random()))
    }

    /// The wait that is asked for after `error`, if any. A run that is to end tells its user at once of what it would wait
    /// for in vain. One that goes on for ever may be docked elsewhere next time, or its administrator changes their mind.
    fn asked(&self, error: CallError) -> Result<Option<Duration>, Stop> {
        let is_to_end = self.patience.give_up().is_some();
        match &error {
            CallError::Problem { problem, .. } if Verdict::on(problem) == Verdict::Stop => match is_to_end {
                true => Err(Stop::Refused(problem.clone())),
                false => Ok(Some(self.patience.longest())),
            },
            _ if is_to_end && is_hopeless(&error) => Err(Stop::Hopeless(error)),
            _ => Ok(error.retry_after()),
        }
    }

    /// Waits because of `reason`; `asked` is what the server wants.
    ///
    /// # Errors
    /// [`Stop::GaveUp`] when there was no progress for too long.
    pub async fn wait(&mut self, asked: Option<Duration>, reason: &str) -> Result<(), Stop> {
        let wait = self.patience.after_failure(Instant::now(), asked, random());
        let wait = wait.ok_or_else(|| self.gave_up(reason))?;
        self.observer.warn(&format!("{reason}; going on in {:.1} s", wait.as_secs_f32()));
        sleep(wait).await;
        Ok(())
    }

    /// Waits until `moment`, since nothing is to be done before; `reason` says what for.
    ///
    /// # Errors
    /// [`Stop::GaveUp`] when there was no progress for too long.
    pub async fn until(&mut self, moment: Instant, reason: &str) -> Result<(), Stop> {
        let now = Instant::now();
        let wait = self.patience.bounded(now, moment.saturating_duration_since(now));
        let wait = wait.ok_or_else(|| self.gave_up(reason))?;
        self.observer.idle(reason);
        sleep(wait).await;
        self.observer.end();
        Ok(())
    }

    fn gave_up(&self, last: &str) -> Stop {
        Stop::GaveUp { after: self.patience.give_up().unwrap_or_default(), last: last.to_owned() }
    }
}

fn is_hopeless(error: &CallError) -> bool {
    match error {
        CallError::Unreachable { .. } => false,
        CallError::WrongKey { .. } | CallError::Protocol(_) => true,
        CallError::Problem { problem, .. } => Verdict::on(problem) == Verdict::Refused,
    }
}
