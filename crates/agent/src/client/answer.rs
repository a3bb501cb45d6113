//! What came back: a body, a problem document, or nothing.

use std::error::Error;
use std::time::Duration;

use bytes::BytesMut;
use longshore_protocol::{Problem, headers};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::tls::WrongKey;

/// Largest answer that is read, in bytes: receipts for a full offer need about 1 MiB.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("{server} does not answer: {reason}")]
    Unreachable {
        /// Whom we called.
        server: String,
        /// What the operating system or the connection says.
        reason: String,
    },
    /// Somebody else answers at that address.
    #[error(
        "the server at {server} shows another key than the enrolment text names; check the address, and whether \
         something answers in the server's place"
    )]
    WrongKey {
        /// Whom we called.
        server: String,
    },
    /// The server says what is wrong.
    #[error("{problem}")]
    Problem {
        /// What it says.
        problem: Box<Problem>,
        /// How long it wants us to wait.
        retry_after: Option<Duration>,
    },
    /// The answer does not follow the protocol.
    #[error("{0}; is this a Longshore server, and as new as this agent?")]
    Protocol(String),
}

impl CallError {
    /// What a failed request means.
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        let server = error.url().map_or_else(|| "the server".to_owned(), |url| url.origin().ascii_serialization());
        if WrongKey::among(error).is_some() {
            return Self::WrongKey { server };
        }
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { deepest(error) };
        Self::Unreachable { server, reason }
    }

    /// How long the server wants us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The last cause says what happened; those before it say only that it happened while connecting or sending.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// Passes a success on; anything else becomes a [`CallError::Problem`].
pub(super) async fn successful(response: Response) -> Result<Response, CallError> {
    let status = response.status();
    // Of what was asked for by its ETag, that nothing changed is a success too.
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let field = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = field(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let is_problem = field(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(headers::PROBLEM_JSON));
    let problem = match is_problem {
        // A problem that cannot be read is no worse than none: the status says the most important part.
        true => json(response).await.unwrap_or_else(|_| bare(status)),
        false => bare(status),
    };
    Err(CallError::Problem { problem: Box::new(problem), retry_after })
}

/// What a status alone says: the answer to `HEAD` has no body, and something between us and the server may have
/// answered in its place.
fn bare(status: StatusCode) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: format!("The server answered {status}"),
        status: status.as_u16(),
        detail: None,
        offset: None,
        expected_offset: None,
        provided_offset: None,
        needed: None,
        available: None,
    }
}

/// Reads a JSON body of bounded size.
pub(super) async fn json<A: DeserializeOwned>(mut response: Response) -> Result<A, CallError> {
    let mut body = BytesMut::new();
    let path = response.url().path().to_owned();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::from_reqwest(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(CallError::Protocol(format!("the answer to {path} is too long")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body)
        .map_err(|error| CallError::Protocol(format!("the answer to {path} cannot be read ({error})")))
}
