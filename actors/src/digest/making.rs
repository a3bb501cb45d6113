//! What both digests go through: the plan, the mail, the outbox, the mark; and what people see before. It holds no state of its
//! own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use longshore_model::{Clock, DigestKind, DigestOf, HealthTypes, Kind, MailKind};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::{DigestFact, Fact, Window};
use longshore_store::index::{DigestRow, DigestState, Index, IndexError};
use tokio::sync::{Mutex, watch};

use super::compose::{self, About, Composed};
use super::{DigestRefused, DigestSetting, DigestSettings, Preview, SentNow, news, plan};
use crate::decision::DecisionError;
use crate::kit::{ASK_DEADLINE, Line, blocking, fail_point};
use crate::mailer::{self, MailAddress, MailRefused, Mailer, OutgoingMail, Post};
use crate::storage::{Available, StorageWriter};

/// Between two looks at most: the clock may be put forward.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What is shown of a digest that nobody set up.
const SHOWN: TimeDelta = TimeDelta::hours(24);

/// Why a digest could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DigestError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Mail(#[from] DecisionError<MailRefused>),
    #[error("it cannot be written: {0}")]
    Template(#[from] askama::Error),
}

impl From<DecideError<Infallible>> for DigestError {
    fn from(error: DecideError<Infallible>) -> Self {
        match error {
            DecideError::Refused(never) => match never {},
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

/// What the actor and the engine share; it outlives the actor.
#[derive(Clone)]
pub(crate) struct Digests {
    pub(crate) catalogue: Catalogue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) post: Post,
    pub(crate) mailer: Line<Mailer>,
    pub(crate) writer: Line<StorageWriter>,
    pub(crate) types: Arc<HealthTypes>,
    pub(crate) settings: Arc<watch::Sender<DigestSettings>>,
    /// Held while digests are made: one after the other.
    pub(crate) making: Arc<Mutex<()>>,
}

impl Digests {
    /// Of none, for tests of other actors.
    #[cfg(test)]
    pub(crate) fn idle(completer: &crate::upload::Completer, post: Post) -> Self {
        let settings = DigestSettings { digests: Vec::new(), url: String::new(), zone: Tz::UTC };
        Self {
            catalogue: completer.catalogue.clone(),
            clock: Arc::clone(&completer.clock),
            post,
            mailer: Line::new(),
            writer: completer.writer.clone(),
            types: Arc::default(),
            settings: Arc::new(watch::Sender::new(settings)),
            making: Arc::default(),
        }
    }

    /// Does what is to be done now, as far as nothing fails; answers what failed.
    pub(super) async fn look(&self) -> Result<(), DigestError> {
        let _making = self.making.lock().await;
        let settings = self.settings.borrow().clone();
        let index = self.catalogue.index().clone();
        let known = blocking(move || index.digest_ends()).await?;
        let mut failed = Ok(());
        for end in &known {
            if let Some(date) = end.open {
                failed = self.finish(&end.digest, date).await.and(failed);
            }
        }
        for setting in &settings.digests {
            failed = self.make(setting).await.and(failed);
        }
        let gone = known.into_iter().filter(|end| settings.digests.iter().all(|setting| setting.of != end.digest));
        for end in gone {
            let index = self.catalogue.index().clone();
            let digest = end.digest.clone();
            if blocking(move || index.digest_end(&digest)).await?.is_some_and(|end| end.open.is_none()) {
                self.record(DigestFact::Ended { digest: end.digest }).await?;
            }
        }
        failed
    }

    /// Plans what is due of this digest, and sees to it.
    async fn make(&self, setting: &DigestSetting) -> Result<(), DigestError> {
        let (index, of, now) = (self.catalogue.index().clone(), setting.clone(), self.clock.now());
        // Nearly always nothing; then nobody has to wait for the writer.
        let Some(fact) = blocking(move || plan::next(&index, &of, now)).await? else { return Ok(()) };
        if let (DigestFact::Begun { digest, .. }, Some(site)) = (&fact, &setting.of.site) {
            let (index, known) = (self.catalogue.index().clone(), site.clone());
            if !blocking(move || Ok(index.sites()?.iter().any(|site| site.name == known))).await? {
                tracing::warn!(%digest, "a daily mail is set up for a site that does not exist");
            }
        }
        let of = setting.clone();
        let planned = self.catalogue.decide::<_, Infallible>(move |index| {
            let fact = plan::next(index, &of, now)?;
            let date = fact.as_ref().and_then(date_of);
            Ok(Ok((fact.into_iter().map(Fact::Digest).collect(), date)))
        });
        match planned.await? {
            Some(date) => self.finish(&setting.of, date).await,
            None => Ok(()),
        }
    }

    /// Does what follows from a plan; again, after a kill, the same.
    async fn finish(&self, of: &DigestOf, date: NaiveDate) -> Result<(), DigestError> {
        fail_point!("digest-planned");
        let (index, digest) = (self.catalogue.index().clone(), of.clone());
        let row = blocking(move || index.digest(&digest, date)).await?;
        let Some(row) = row.filter(|row| row.state == DigestState::Planned) else { return Ok(()) };
        if !self.post.is_set_up() {
            // To compose it every half minute until somebody sets mail up would be in vain.
            return Err(DecisionError::Refused(MailRefused::NotSetUp).into());
        }
        let (composed, is_news) = self.compose(row.clone()).await?;
        let digest = of.clone();
        if !is_news {
            return self.record(DigestFact::Nothing { digest, date }).await;
        }
        for to in &row.to {
            let Ok(address) = to.parse::<MailAddress>() else { continue };
            let Composed { subject, text, html } = composed.clone();
            let mail = OutgoingMail {
                id: self.post.id(&["digest", of.kind.as_str(), place(of), &date.to_string(), to]),
                kind: match of.kind {
                    DigestKind::Transfer => MailKind::TransferDigest,
                    DigestKind::Health => MailKind::HealthDigest,
                },
                to: address,
                subject,
                text,
                html: Some(html),
                answers: Vec::new(),
                by: None,
            };
            self.post.queue(mail).await?;
            fail_point!("digest-queued");
        }
        self.record(DigestFact::Sent { digest, date }).await?;
        self.mailer.tell(mailer::Look);
        tracing::info!(digest = %of, %date, recipients = row.to.len(), "a digest is on its way");
        Ok(())
    }

    async fn record(&self, fact: DigestFact) -> Result<(), DigestError> {
        Ok(self.catalogue.record(vec![Fact::Digest(fact)]).await?)
    }

    /// What the digest of a row says, and whether there is anything new in it.
    async fn compose(&self, row: DigestRow) -> Result<(Composed, bool), DigestError> {
        let DigestRow { digest, date, missed, zone, window, .. } = row;
        let url = self.settings.borrow().url.clone();
        let zone = zone.parse().unwrap_or(Tz::UTC);
        let about = About { site: digest.site.clone(), date, missed, from: window.from, to: window.to, zone, url };
        let free = match digest.kind {
            DigestKind::Transfer => self.writer.ask(Available(Kind::Event), ASK_DEADLINE).await.ok(),
            DigestKind::Health => None,
        };
        let free = free.and_then(Result::ok);
        let (index, now) = (self.catalogue.index().clone(), self.clock.now());
        let types = Arc::clone(&self.types);
        let composing = blocking(move || compose_from(&index, &types, &digest, &about, &window, free, now));
        Ok(composing.await??)
    }

    /// A digest as it was on `date`, or as it would be now.
    pub(crate) async fn preview(
        &self,
        of: DigestOf,
        date: Option<NaiveDate>,
    ) -> Result<Preview, DecisionError<DigestRefused>> {
        let (index, now) = (self.catalogue.index().clone(), self.clock.now());
        let settings = self.settings.borrow().clone();
        let row = blocking(move || shown(&index, &settings, of, date, now)).await?;
        let row = row.ok_or_else(|| DecisionError::Refused(DigestRefused::Unknown(date.unwrap_or_default())))?;
        let (Window { from, to, .. }, date) = (row.window.clone(), row.date);
        match self.compose(row).await {
            Ok((composed, is_news)) => Ok(Preview { from, to, date, is_news, composed }),
            Err(DigestError::Index(error)) => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "a digest could not be shown");
                Err(DecisionError::Unavailable)
            }
        }
    }

    pub(super) async fn send_now(&self, of: DigestOf, by: String) -> Result<SentNow, DecisionError<DigestRefused>> {
        // What is planned and begun is seen to first.
        let failed = self.look().await;
        let _making = self.making.lock().await;
        let refused = |why| Err(DecisionError::Refused(why));
        let setting = self.settings.borrow().digests.iter().find(|setting| setting.of == of).cloned();
        let Some(setting) = setting else { return refused(DigestRefused::NotSetUp(of.kind)) };
        let now = self.clock.now();
        let date = now.with_timezone(&setting.daily.zone()).date_naive();
        let preview = self.preview(of.clone(), None).await?;
        let (index, digest) = (self.catalogue.index().clone(), of.clone());
        let (made, end) = blocking(move || Ok((index.digest(&digest, date)?, index.digest_end(&digest)?))).await?;
        if made.is_some_and(|row| row.state != DigestState::Begun) {
            return refused(DigestRefused::Made(date));
        }
        if failed.is_err() || end.is_none_or(|end| end.open.is_some()) {
            return refused(DigestRefused::Waits);
        }
        if !preview.is_news {
            return Ok(SentNow { date, to: Vec::new() });
        }
        let to = setting.to.iter().map(ToString::to_string).collect();
        self.catalogue
            .decide::<_, DigestRefused>(move |index| {
                let fact = plan::at_once(index, &setting, date, now, by)?;
                Ok(fact.map(|fact| (vec![Fact::Digest(fact)], ())).ok_or(DigestRefused::Made(date)))
            })
            .await?;
        if let Err(error) = self.finish(&of, date).await {
            tracing::warn!(digest = %of, %error, "a digest could not be made; it is tried again");
            return refused(DigestRefused::Waits);
        }
        Ok(SentNow { date, to })
    }

    /// When the next one is due, or sooner.
    pub(super) fn wait(&self) -> Duration {
        let now = self.clock.now();
        let next = self.settings.borrow().digests.iter().filter_map(|setting| setting.daily.next(now)).min();
        let wait = next.and_then(|next| (next - now).to_std().ok()).unwrap_or(LOOK_EVERY);
        wait.clamp(Duration::from_millis(1), LOOK_EVERY)
    }
}

fn date_of(fact: &DigestFact) -> Option<NaiveDate> {
    match fact {
        DigestFact::Planned { date, .. } => Some(*date),
        _ => None,
    }
}

fn place(of: &DigestOf) -> &str {
    of.site.as_deref().unwrap_or_default()
}

type Written = askama::Result<(Composed, bool)>;

fn compose_from(
    index: &Index,
    types: &HealthTypes,
    of: &DigestOf,
    about: &About,
    window: &Window,
    free: Option<u64>,
    now: DateTime<Utc>,
) -> Result<Written, IndexError> {
    Ok(match of.kind {
        DigestKind::Transfer => {
            let mut news = news::transfers(index, of, window)?;
            let (nights, checkpoints) = news::custody(index, window)?;
            news.checkpoints = checkpoints;
            if of.site.is_none() {
                // Of the whole store, which is nothing for the people of a site.
                news.nights = nights;
            }
            news.attention = news::attention(index, types, of, now)?;
            news.storage = free.map(|free| news::storage(index, free, now.date_naive())).transpose()?;
            let is_news = news.is_news();
            compose::transfer::compose(about, news).map(|composed| (composed, is_news))
        }
        DigestKind::Health => {
            let mut news = news::health(index, types, of, window, now)?;
            (_, news.checkpoints) = news::custody(index, window)?;
            let is_news = news.is_news;
            compose::health::compose(about, news).map(|composed| (composed, is_news))
        }
    })
}

/// What is shown: a digest that was made, or one of what is new since the last, or of the last day.
fn shown(
    index: &Index,
    settings: &DigestSettings,
    digest: DigestOf,
    date: Option<NaiveDate>,
    now: DateTime<Utc>,
) -> Result<Option<DigestRow>, IndexError> {
    if let Some(date) = date {
        return Ok(index.digest(&digest, date)?.filter(|row| row.state != DigestState::Begun));
    }
    let setting = settings.digests.iter().find(|setting| setting.of == digest);
    let zone = setting.map_or(settings.zone, |setting| setting.daily.zone());
    let window = match index.digest_end(&digest)? {
        Some(end) => plan::since(index, &end, now)?,
        None => {
            let (from, until) = (now - SHOWN, index.applied()?.map_or(0, |mark| mark.seq));
            Window { after: index.transfer_before(from)?, until, from, to: now }
        }
    };
    let (date, missed) = (now.with_timezone(&zone).date_naive(), Vec::new());
    let (zone, to, state) = (zone.name().to_owned(), Vec::new(), DigestState::Planned);
    Ok(Some(DigestRow { digest, date, missed, zone, to, window, state }))
}
