//! What must not come between each other: a text is put and then told of, and texts that nobody told of are removed. Each of it
//! runs in a task of its own, to its end, also if nobody waits for it any more: a text that is half put away when the next one
//! begins would be lost to the message that is told of it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;

use longshore_model::{Message, Sha256};
use longshore_store::facts::{Fact, OutboxFact};
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

use super::message::{self, Letter, OutgoingMail};
use super::post::{MailRefused, OPEN, Post, PostError, QueuedMail};
use super::schedule;
use super::settings::Sender;
use crate::decision::DecisionError;

impl Post {
    /// Keeps a message, unless it is kept already.
    pub(crate) async fn queue(&self, mail: OutgoingMail) -> Result<QueuedMail, DecisionError<MailRefused>> {
        let Some(from) = self.settings.borrow().as_ref().map(|settings| settings.from.clone()) else {
            return Err(DecisionError::Refused(MailRefused::NotSetUp));
        };
        let post = self.clone();
        let queueing = tokio::spawn(async move { post.put_and_tell(mail, &from).await });
        queueing.await.unwrap_or(Err(DecisionError::Unavailable))
    }

    async fn put_and_tell(&self, mail: OutgoingMail, from: &Sender) -> Result<QueuedMail, DecisionError<MailRefused>> {
        let OutgoingMail { id, kind, to, subject, text, html, answers, by } = mail;
        let unkept = |why: String| DecisionError::Refused(MailRefused::Text(why));
        let letter = serde_json::to_vec(&Letter { text, html }).map_err(|error| unkept(error.to_string()))?;
        let _texts = self.texts().await;
        let content = self.put(letter).await.map_err(|error| unkept(in_words(&error)))?;
        let message = Message {
            id,
            kind,
            to: to.to_string(),
            subject: message::subject(&subject),
            message_id: message::message_id(id, from),
            references: answers.into_iter().map(|id| message::message_id(id, from)).collect(),
            content,
            by,
        };
        let decided = self.catalogue.decide(move |index| {
            if let Some(known) = index.mail(id)? {
                return Ok(Ok((Vec::new(), QueuedMail { message: known.message, is_new: false })));
            }
            if index.open_mails()?.len() >= OPEN {
                return Ok(Err(MailRefused::TooMany));
            }
            let fact = Fact::Outbox(OutboxFact::Queued { message: message.clone() });
            Ok(Ok((vec![fact], QueuedMail { message, is_new: true })))
        });
        Ok(decided.await?)
    }

    /// Forgets what ended long ago, and removes texts that nobody needs.
    pub(super) async fn sweep(&self) -> Result<(), PostError> {
        let post = self.clone();
        let sweeping = tokio::spawn(async move { post.forget_and_remove().await });
        sweeping.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }

    async fn forget_and_remove(&self) -> Result<(), PostError> {
        let now = self.clock.now();
        let _texts = self.texts().await;
        // The catalogue's writer does it, so that no message moves from those that ended to those that wait between the two reads.
        let decided = self.catalogue.decide(move |index| {
            let (open, ended) = (index.open_mails()?, index.ended_mails()?);
            let ids = schedule::forgotten(&ended, now);
            let kept = open.into_iter().chain(ended).filter(|row| !ids.contains(&row.message.id));
            let used: HashSet<Sha256> = kept.map(|row| row.message.content).collect();
            let fact =
                (!ids.is_empty()).then(|| Fact::Outbox(OutboxFact::Forgotten { ids: ids.into_iter().collect() }));
            Ok(Ok::<_, Infallible>((fact.into_iter().collect(), used)))
        });
        let (used, contents) = (decided.await?, self.contents.clone());
        if let Ok(Err(error)) = spawn_blocking(move || contents.keep_only(&used)).await {
            tracing::warn!(%error, "texts of messages that nobody needs could not be removed")
        }
        Ok(())
    }

    /// Held while texts are put and told of, and while those are removed that nobody told of.
    pub(crate) async fn texts(&self) -> OwnedMutexGuard<()> {
        self.texts.clone().lock_owned().await
    }

    /// Keeps a text.
    pub(super) async fn put(&self, text: Vec<u8>) -> io::Result<Sha256> {
        let contents = self.contents.clone();
        spawn_blocking(move || contents.put(&text)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::FileTooLarge => "it is longer than 1 MiB".to_owned(),
        _ => format!("{error}; see to the disk of the data folder"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use chrono::TimeDelta;
    use futures_util::FutureExt as _;
    use longshore_model::{Clock as _, MailKind, SettableClock};
    use longshore_store::files::SimulatedDisk;

    use super::*;

    fn clock() -> SettableClock {
        SettableClock::at("2026-11-21T15:00:00Z".parse().unwrap())
    }

    fn mail(post: &Post, what: &str) -> OutgoingMail {
        OutgoingMail {
            id: post.id(&[what]),
            kind: MailKind::Test,
            to: "anna@example.org".parse().unwrap(),
            subject: what.into(),
            text: what.into(),
            html: None,
            answers: Vec::new(),
            by: None,
        }
    }

    /// Keeps the catalogue's writer from going on, until it is told to.
    async fn hold(post: &Post) -> mpsc::SyncSender<()> {
        let ((held, holds), (go_on, gone_on)) = (tokio::sync::oneshot::channel(), mpsc::sync_channel(1));
        let catalogue = post.catalogue.clone();
        tokio::spawn(async move {
            let decision = move |_: &_| {
                held.send(()).unwrap();
                gone_on.recv().unwrap();
                Ok(Ok::<_, Infallible>((Vec::new(), ())))
            };
            drop(catalogue.decide(decision).await);
        });
        holds.await.unwrap();
        go_on
    }

    #[tokio::test]
    async fn a_text_stays_although_nobody_waits_any_more_for_its_message_and_a_sweep_comes_in_between() {
        let (disk, clock) = (SimulatedDisk::new(), clock());
        let (post, _catalogue) = Post::over(&disk, &clock);
        let id = mail(&post, "one").id;
        let texts = post.texts().await;
        let mut queueing = Box::pin(post.queue(mail(&post, "one")));
        assert!((&mut queueing).now_or_never().is_none());
        // It takes its place in the line before the sweep does.
        tokio::task::yield_now().await;
        let mut sweep = Box::pin(post.sweep());
        assert!((&mut sweep).now_or_never().is_none());
        // Whatever a sweep does before it waits for the texts is done.
        post.catalogue.record(Vec::new()).await.unwrap();
        assert!((&mut sweep).now_or_never().is_none());
        let go_on = hold(&post).await;
        drop(texts);
        while !disk.paths().iter().any(|path| path.starts_with("outbox/")) {
            assert!((&mut queueing).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(queueing);
        // A sweep that thinks that nobody is at a text needs no more than this.
        let too_early = tokio::time::timeout(Duration::from_millis(300), &mut sweep).await;
        go_on.send(()).unwrap();
        if too_early.is_err() {
            sweep.await.unwrap();
        }
        drop(post.texts().await);
        let row = post.catalogue.index().mail(id).unwrap().unwrap();
        assert!(post.text(&row).await.is_ok(), "the message has its text");
    }

    #[tokio::test]
    async fn texts_of_messages_that_are_forgotten_go() {
        let (disk, clock) = (SimulatedDisk::new(), clock());
        let (post, _catalogue) = Post::over(&disk, &clock);
        let texts = || disk.paths().iter().filter(|path| path.starts_with("outbox/")).count();
        for what in ["one", "two"] {
            post.queue(mail(&post, what)).await.unwrap();
        }
        post.record(vec![OutboxFact::Sent { id: post.id(&["one"]), answer: "250".into() }]).await.unwrap();
        post.sweep().await.unwrap();
        assert_eq!(texts(), 2);
        clock.set(clock.now() + TimeDelta::days(31));
        post.sweep().await.unwrap();
        assert_eq!((texts(), post.catalogue.index().ended_mails().unwrap()), (1, Vec::new()));
    }
}
