//! Confirmations: tells the requester and others by mail that a request for footage was taken, and what became of it. What it
//! says, the pure `letter` writes. Whom it still has to tell of what is in the catalogue, so a kill leaves nobody out, and the
//! ids of the messages see to it that nobody is told twice.

mod letter;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{Clock, DeviceId, MailKind};
use longshore_store::catalogue::{Catalogue, RecordError};
use longshore_store::facts::{Fact, RequestFact};
use longshore_store::index::{Index, IndexError, RequestRow};

use crate::decision::DecisionError;
use crate::kit::{Lifeline, Line, Probe, blocking, fail_point};
use crate::mailer::{Look as LookAtOutbox, MailRefused, Mailer, OutgoingMail, Post};
use crate::requests::{RequestView, Views};
use letter::{Files, Letter};

/// Between two looks: nobody waits for a mail by the second, and nearly always there is nothing to look at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The actor.
pub(crate) struct Confirmations {
    catalogue: Catalogue,
    clock: Arc<dyn Clock>,
    post: Post,
    mailer: Line<Mailer>,
    probe: Probe,
    /// What failed last, so that the log has it once.
    failed: Option<String>,
    _lifeline: Lifeline,
}

/// Look whom to tell what.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

/// A request of which somebody is to be told something now.
struct News {
    view: RequestView,
    /// What is stored of it, if it is over.
    files: Files,
    over: bool,
    /// They were told that it was taken.
    known: bool,
}

impl Confirmations {
    pub(crate) fn new(
        catalogue: Catalogue,
        clock: Arc<dyn Clock>,
        post: Post,
        mailer: Line<Mailer>,
        lifeline: Lifeline,
        probe: Probe,
    ) -> Self {
        Self { catalogue, clock, post, mailer, probe, failed: None, _lifeline: lifeline }
    }

    fn heed(&mut self, told: Result<(), Trouble>) {
        let failed = told.err().map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|error| self.failed.as_ref() != Some(*error)) {
            tracing::warn!(%error, "people could not be told of requests; it is tried again until they are");
            self.probe.error(error);
        }
        self.failed = failed;
    }
}

impl Actor for Confirmations {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
    }
}

impl Handler<Look> for Confirmations {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        fail_point!("confirmations-look");
        let (catalogue, post, mailer) = (self.catalogue.clone(), self.post.clone(), self.mailer.clone());
        let now = self.clock.now();
        let telling = async move {
            // Without a mail server they are told when there is one.
            if post.is_set_up() { tell(&catalogue, &post, &mailer, now).await } else { Ok(()) }
        };
        let again = |told, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.heed(told);
            ctx.notify_later(Look, LOOK_EVERY);
        };
        Box::pin(telling.into_actor(self).map(again))
    }
}

/// Tells everybody, as far as nothing fails; answers what failed first. A mail that cannot be kept keeps nobody else from hearing.
async fn tell(
    catalogue: &Catalogue,
    post: &Post,
    mailer: &Line<Mailer>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Trouble> {
    let index = catalogue.index().clone();
    let mut failed = Ok(());
    for news in blocking(move || news(&index, now)).await? {
        let told = tell_of(catalogue, post, news).await;
        failed = failed.and(told);
        mailer.tell(LookAtOutbox);
    }
    failed
}

async fn tell_of(catalogue: &Catalogue, post: &Post, news: News) -> Result<(), Trouble> {
    let News { view, files, over, known } = news;
    let Letter { subject, text, html } = if over { letter::over(&view, &files)? } else { letter::taken(&view)? };
    let request = view.request.id.to_string();
    let id = |stage: &str, to: &str| post.id(&["request", &request, stage, to]);
    for to in &view.request.notify {
        let Ok(address) = to.parse() else { continue };
        let mail = OutgoingMail {
            id: id(if over { "over" } else { "taken" }, to),
            kind: MailKind::Request,
            to: address,
            subject: subject.clone(),
            text: text.clone(),
            html: Some(html.clone()),
            answers: if over && known { vec![id("taken", to)] } else { Vec::new() },
            by: None,
        };
        post.queue(mail).await?;
    }
    let announced = RequestFact::Announced { request: view.request.id, over };
    Ok(catalogue.record(vec![Fact::Request(announced)]).await?)
}

/// What there is to tell now.
fn news(index: &Index, now: chrono::DateTime<chrono::Utc>) -> Result<Vec<News>, IndexError> {
    let nobody = HashSet::new();
    let mut views = Views::new(index, &nobody, now);
    let mut news = Vec::new();
    for (row, known) in index.unannounced_requests()? {
        let over = !row.is_open();
        if !over && known {
            continue;
        }
        let view = views.of(&row)?;
        let files = if over { files(index, &row)? } else { Vec::new() };
        news.push(News { view, files, over, known });
    }
    Ok(news)
}

/// What is stored of a request, by device.
fn files(index: &Index, row: &RequestRow) -> Result<Files, IndexError> {
    let most = letter::share(row.request.devices.len());
    let of = |device: &DeviceId| {
        let mut manifests = index.manifests_within(*device, row.request.span, most + 1)?;
        manifests.retain(|manifest| row.request.is_of_camera(&manifest.recording.camera));
        Ok(manifests.into_iter().map(|manifest| manifest.recording.path).collect())
    };
    row.request.devices.iter().map(of).collect()
}

/// Why somebody could not be told.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a mail cannot be written: {0}")]
    Template(#[from] askama::Error),
    #[error(transparent)]
    Queue(#[from] DecisionError<MailRefused>),
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use longshore_model::{RequestId, SettableClock, Span, VideoRequest};
    use longshore_store::files::{Fault, SimulatedDisk};

    use super::*;

    #[actix::test]
    async fn a_mail_that_cannot_be_kept_keeps_nobody_else_from_hearing() {
        let now: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let disk = SimulatedDisk::new();
        let (post, kept) = Post::over(&disk, &SettableClock::at(now));
        let added = |n: u8| {
            let request = VideoRequest {
                id: RequestId::from_bytes([n; 16]),
                key: None,
                requester: "anna".into(),
                devices: vec![DeviceId::from_bytes([1; 16])],
                cameras: Vec::new(),
                span: Span { from: now - TimeDelta::hours(1), to: now },
                priority: 5,
                note: None,
                notify: vec![format!("to{n}@example.org")],
                added_at: now,
                expires: now + TimeDelta::days(30),
            };
            Fact::Request(RequestFact::Added { request })
        };
        let index = kept.catalogue.index();
        let told = || -> Vec<String> { index.open_mails().unwrap().into_iter().map(|row| row.message.to).collect() };
        kept.catalogue.record(vec![added(1), added(2)]).await.unwrap();
        disk.fail(disk.calls(), Fault::Error(std::io::ErrorKind::Other));
        let failed = tell(&kept.catalogue, &post, &Line::new(), now).await.unwrap_err();
        assert!(failed.to_string().contains("cannot be kept"), "{failed}");
        assert_eq!(told(), ["to2@example.org"]);
        tell(&kept.catalogue, &post, &Line::new(), now).await.unwrap();
        assert_eq!(told(), ["to2@example.org", "to1@example.org"]);
        assert!(index.unannounced_requests().unwrap().iter().all(|(_, known)| *known));
    }
}
