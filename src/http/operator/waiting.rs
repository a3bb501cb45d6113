//! The devices that wait to be approved, live: server-sent events (WHATWG HTML §9.2). Each event is the whole list, so
//! that nothing is missed whatever got lost, and a page that comes back is right at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use longshore_protocol::ProblemType;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::super::Server;
use super::super::error::Failure;
use super::DeviceRow;
use super::access::{Person, caller, nobody};
use super::devices::waiting;

/// Streams at once: each is a person who adds devices.
pub(crate) const STREAMS: usize = 64;
/// Silence after which a comment is sent: below the idle limits of proxies, and it finds out who has gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Shortest time between two lists: devices that dock in one moment come in one list.
const PAUSE: Duration = Duration::from_millis(100);

struct Stream {
    server: Data<Server>,
    person: Person,
    arrivals: watch::Receiver<()>,
    draining: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
    /// What was told last.
    told: Option<String>,
}

/// The devices that wait, told anew whenever it is another list; events are named `waiting`.
#[utoipa::path(get, path = "/api/v1/enrolments/events",
    responses((status = 200, content_type = "text/event-stream", body = [DeviceRow])))]
pub(super) async fn stream(server: Data<Server>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let person = caller(&request).ok_or_else(nobody)?;
    let place = Arc::clone(&server.streams).try_acquire_owned().map_err(|_| {
        Failure::new(ProblemType::TooMany, format!("{STREAMS} are watched already; close some")).retry_after(30)
    })?;
    let (arrivals, draining) = (server.engine.watch_arrivals(), server.draining.clone());
    let stream = Stream { server, person, arrivals, draining, _place: place, told: None };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(HttpResponse::Ok().content_type("text/event-stream").streaming(events))
}

impl Stream {
    /// The next thing to say; `None` at the end, as when the list cannot be read: the client comes again. Nothing is said to
    /// whoever may not hear it any more, so a revoked token ends the stream with the next thing to say.
    async fn next(&mut self) -> Option<Bytes> {
        let said = self.compose().await?;
        self.person.still_may(&self.server).await.then_some(said)
    }

    async fn compose(&mut self) -> Option<Bytes> {
        loop {
            if *self.draining.borrow() {
                return None;
            }
            self.arrivals.mark_unchanged();
            let server = self.server.clone();
            let look = move || waiting(server.engine.catalogue().index(), &server.engine.models(), server.now());
            let rows = web::block(look).await.ok()?.ok()?;
            let list = serde_json::to_string(&rows).ok()?;
            if self.told.as_ref() != Some(&list) {
                let event = format!("event: waiting\ndata: {list}\n\n");
                self.told = Some(list);
                return Some(event.into());
            }
            tokio::time::sleep(PAUSE).await;
            let (arrivals, draining) = (&mut self.arrivals, &mut self.draining);
            let news = async {
                tokio::select! {
                    changed = arrivals.changed() => changed.is_ok(),
                    _ = draining.wait_for(|draining| *draining) => false,
                }
            };
            match timeout(SIGN_OF_LIFE, news).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}

/// Places for streams.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STREAMS))
}
