//! The requests of one connection: whether one is open, or since when none is. actix times the head of a connection's
//! first request only; on a connection that is kept, a later head could drip for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

/// Shared by a connection and its requests.
#[derive(Debug, Clone)]
pub(crate) struct Requests(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    open: usize,
    /// Since when it is as it is.
    since: Instant,
}

/// A request that is open, until the last byte of its answer is on its way.
struct Open(Requests);

/// An answer's body, which holds its request open.
struct Answer {
    body: BoxBody,
    _open: Option<Open>,
}

impl Requests {
    /// Of a connection that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(State { open: 0, since: now })))
    }

    /// Resolves when no request has been open for this long.
    pub(crate) async fn none_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            match self.none_until(limit) {
                Some(end) if end <= now => return,
                Some(end) => sleep_until(end).await,
                // One that ends right now leaves the limit to wait for in any case.
                None => sleep_until(now + limit).await,
            }
        }
    }

    /// When there will have been none for this long; `None` while one is open.
    fn none_until(&self, limit: Duration) -> Option<Instant> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.open == 0).then(|| state.since + limit)
    }

    fn open(&self, now: Instant) -> Open {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.open, state.since) = (state.open + 1, now);
        Open(self.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.open, state.since) = (state.open.saturating_sub(1), Instant::now());
    }
}

/// Middleware: notes each request from its head to the end of its answer.
pub(crate) async fn note(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let connection = request.conn_data::<Connection>();
    let open = connection.and_then(|connection| connection.requests.as_ref()).map(|it| it.open(Instant::now()));
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Answer { body: body.boxed(), _open: open }))
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_without_a_request_counts() {
        let start = Instant::now();
        let limit = Duration::from_secs(85);
        let requests = Requests::new(start);
        assert_eq!(requests.none_until(limit), Some(start + limit));
        let (first, second) = (requests.open(start), requests.open(start));
        assert_eq!(requests.none_until(limit), None);
        drop(first);
        assert_eq!(requests.none_until(limit), None);
        drop(second);
        let end = requests.none_until(limit).unwrap();
        assert!(end >= start + limit && end <= Instant::now() + limit);
    }
}
