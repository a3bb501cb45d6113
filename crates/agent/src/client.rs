//! The calls of the device protocol, one function each.

mod answer;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use longshore_model::{EnrolmentId, RecordingId};
use longshore_protocol::{
    Blocks, BlocksAnswer, Deletions, DeletionsAnswer, Desired, EnrolmentAnswer, EnrolmentRequest, HealthEvents,
    HealthEventsAnswer, Metadata, Offers, OffersAnswer, Reported, headers, paths,
};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, IF_NONE_MATCH, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::invitation::Invitation;
use crate::lock::lock;
pub use answer::CallError;

/// Time for a connection with its handshake; a cellular network may need several round trips of a second.
const CONNECT: Duration = Duration::from_secs(15);
/// Time for any call but a transfer; the server answers at once, or says that it cannot.
const CALL: Duration = Duration::from_secs(60);
/// How long the server may hold back the answer to a long poll, as asked in `Prefer`.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(50);
/// Idle connections are given up before the server (75 s) or a firewall closes them under a new request.
const IDLE: Duration = Duration::from_secs(30);

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Bytes that are durable on the server.
    pub offset: u64,
    /// The receipt, once the upload is complete and verified.
    pub receipt: Option<String>,
}

/// A client of one server, which may have several addresses.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    servers: Vec<Url>,
    current: AtomicUsize,
    /// What the server's clock showed, and when we heard it.
    heard: Mutex<Option<(DateTime<Utc>, Instant)>>,
    /// ETag of what the server wants, as its last answer told it.
    desired: Mutex<Option<String>>,
}

impl Client {
    /// A client that tries `servers` in order, and stays with the one that answers.
    ///
    /// # Errors
    /// [`CallError::Protocol`] if the TLS settings cannot be used or there is no address.
    pub fn new(tls: rustls::ClientConfig, servers: Vec<Url>) -> Result<Self, CallError> {
        if servers.is_empty() {
            return Err(CallError::Protocol("no address of the server is known".to_owned()));
        }
        // The device talks to its own server and to nobody else: no proxy, no redirect.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .user_agent(concat!("longshore-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| CallError::Protocol(error.to_string()))?;
        Ok(Self { http, servers, current: AtomicUsize::new(0), heard: Mutex::default(), desired: Mutex::default() })
    }

    /// Asks to be known (`POST /enrolments`); the same token and key ask for the same enrolment again.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn enrol(
        &self,
        invitation: &Invitation,
        request: &EnrolmentRequest,
    ) -> Result<EnrolmentAnswer, CallError> {
        let credentials = format!("{} {}", headers::ENROL_SCHEME, invitation.credentials());
        let call = self.call(Method::POST, paths::ENROLMENTS)?.timeout(CALL);
        self.json(call.header(AUTHORIZATION, credentials).json(request)).await
    }

    /// Waits for news of an enrolment (`GET /enrolments/{id}`), for at most a minute.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn enrolment(&self, id: EnrolmentId) -> Result<EnrolmentAnswer, CallError> {
        let path = format!("{}/{id}", paths::ENROLMENTS);
        let call = self.call(Method::GET, &path)?.timeout(LONG_POLL + CALL);
        self.json(call.header("prefer", format!("wait={}", LONG_POLL.as_secs()))).await
    }

    /// Offers recordings (`POST /offers`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn offer(&self, offers: &Offers) -> Result<OffersAnswer, CallError> {
        self.post(paths::OFFERS, offers).await
    }

    /// What the server wants of this device (`GET /desired`), with its ETag; `None`: still what `known` is the ETag of, after
    /// `wait`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn desired(&self, known: Option<&str>, wait: Duration) -> Result<Option<(String, Desired)>, CallError> {
        let mut call = self.call(Method::GET, paths::DESIRED)?.timeout(wait + CALL);
        if let Some(known) = known {
            call = call.header(IF_NONE_MATCH, known);
        }
        if !wait.is_zero() {
            call = call.header("prefer", format!("wait={}", wait.as_secs()));
        }
        let answer = self.send(call).await?;
        if matches!(answer.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT) {
            return Ok(None);
        }
        let tag = header(&answer, ETAG.as_str());
        let tag = tag.ok_or_else(|| CallError::Protocol("what the server wants has no ETag".to_owned()))?;
        Ok(Some((tag, answer::json(answer).await?)))
    }

    /// Says what this device is and has done (`PUT /reported`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn tell(&self, reported: &Reported) -> Result<(), CallError> {
        let call = self.call(Method::PUT, paths::REPORTED)?.timeout(CALL);
        self.send(call.json(reported)).await.map(drop)
    }

    /// ETag of what the server wants now, as its last answer told it.
    pub fn desired_tag(&self) -> Option<String> {
        lock(&self.desired).clone()
    }

    /// Reports deletions (`POST /deletions`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn report(&self, deletions: &Deletions) -> Result<DeletionsAnswer, CallError> {
        self.post(paths::DELETIONS, deletions).await
    }

    /// Says what this device noticed of itself (`POST /health-events`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn report_health(&self, events: &HealthEvents) -> Result<HealthEventsAnswer, CallError> {
        self.post(paths::HEALTH_EVENTS, events).await
    }

    /// Creates an upload (`POST /uploads`) for an offered recording of `size` bytes; returns its path and position.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create(&self, rid: RecordingId, size: u64) -> Result<(String, Position), CallError> {
        let call = self
            .tus(Method::POST, paths::UPLOADS)?
            .header(headers::UPLOAD_LENGTH, size)
            .header(headers::UPLOAD_METADATA, Metadata::pair("rid", &rid.to_string()))
            .timeout(CALL);
        let answer = self.send(call).await?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| CallError::Protocol("the new upload has no Location".to_owned()))?;
        // The request may have gone to another address than the one tried first, so the answer knows it best.
        let path = upload_path(answer.url(), location)?;
        let receipt = header(&answer, headers::RECEIPT);
        let offset = header(&answer, headers::UPLOAD_OFFSET).map_or(Ok(0), |text| number(&text))?;
        Ok((path, Position { offset, receipt }))
    }

    /// Says block by block what the bytes of a recording should be that arrived wrong (`POST /recordings/{rid}/blocks`); returns
    /// the path of the upload that goes on after the good ones.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn repair(&self, rid: RecordingId, blocks: &Blocks) -> Result<String, CallError> {
        let answer: BlocksAnswer = self.post(&format!("{}/{rid}/blocks", paths::RECORDINGS), blocks).await?;
        self.upload_path(&answer.url)
    }

    /// Asks where the upload at `path` stands (`HEAD`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn position(&self, path: &str) -> Result<Position, CallError> {
        let call = self.tus(Method::HEAD, path)?.timeout(CALL);
        position(&self.send(call).await?)
    }

    /// Sends `length` bytes from `offset` on (`PATCH`). There is no time limit: the caller watches the body move.
    ///
    /// # Errors
    /// [`CallError`]; an answer that comes before the body is through is returned at once.
    pub async fn append(&self, path: &str, offset: u64, length: u64, body: Body) -> Result<Position, CallError> {
        let call = self
            .tus(Method::PATCH, path)?
            .header(CONTENT_TYPE, headers::OFFSET_OCTET_STREAM)
            .header(headers::UPLOAD_OFFSET, offset)
            // With it the body goes out as it is; without it, hyper would send it in chunks of unknown total.
            .header(CONTENT_LENGTH, length)
            .body(body);
        position(&self.send(call).await?)
    }

    /// The path of an upload that the server named, if it is on the same server.
    ///
    /// # Errors
    /// [`CallError::Protocol`] for another origin or a path that is no upload.
    pub fn upload_path(&self, url: &str) -> Result<String, CallError> {
        upload_path(self.server()?, url)
    }

    fn server(&self) -> Result<&Url, CallError> {
        let at = self.current.load(Ordering::Relaxed) % self.servers.len().max(1);
        self.servers.get(at).ok_or_else(|| CallError::Protocol("no address of the server is known".to_owned()))
    }

    fn call(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        let url = self.server()?.join(path);
        let url = url.map_err(|error| CallError::Protocol(format!("the path {path:?} makes no URL: {error}")))?;
        Ok(self.http.request(method, url))
    }

    fn tus(&self, method: Method, path: &str) -> Result<RequestBuilder, CallError> {
        Ok(self.call(method, path)?.header(headers::TUS_RESUMABLE, headers::TUS_1_0_0))
    }

    async fn post<B: Serialize + Sync, A: DeserializeOwned>(&self, path: &str, body: &B) -> Result<A, CallError> {
        self.json(self.call(Method::POST, path)?.timeout(CALL).json(body)).await
    }

    async fn json<A: DeserializeOwned>(&self, call: RequestBuilder) -> Result<A, CallError> {
        answer::json(self.send(call).await?).await
    }

    /// The time of the server's clock, at most a second behind; `None` before its first answer. What the server decides
    /// by a time is decided by this one: a camera's clock may be years off.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        let (time, at) = (*lock(&self.heard))?;
        Some(time + at.elapsed())
    }

    fn hear(&self, response: &Response) {
        if let Some(tag) = header(response, headers::DESIRED) {
            *lock(&self.desired) = Some(tag);
        }
        // The form of HTTP's dates is one of RFC 2822's (RFC 9110 §5.6.7).
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            *lock(&self.heard) = Some((date.to_utc(), Instant::now()));
        }
    }

    async fn send(&self, call: RequestBuilder) -> Result<Response, CallError> {
        let used = self.current.load(Ordering::Relaxed);
        match call.send().await {
            Ok(response) => {
                self.hear(&response);
                answer::successful(response).await
            }
            Err(error) => {
                if error.is_connect() {
                    // The next call tries the next address; only if no other call has moved on already.
                    let next = (used + 1) % self.servers.len().max(1);
                    let _ = self.current.compare_exchange(used, next, Ordering::Relaxed, Ordering::Relaxed);
                }
                Err(CallError::from_reqwest(&error))
            }
        }
    }
}

fn header(answer: &Response, name: &str) -> Option<String> {
    let value = answer.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn number(text: &str) -> Result<u64, CallError> {
    text.parse().map_err(|_| CallError::Protocol(format!("the offset {text:?} is no number")))
}

fn position(answer: &Response) -> Result<Position, CallError> {
    let offset = header(answer, headers::UPLOAD_OFFSET)
        .ok_or_else(|| CallError::Protocol("the answer has no Upload-Offset".to_owned()))?;
    Ok(Position { offset: number(&offset)?, receipt: header(answer, headers::RECEIPT) })
}

fn upload_path(server: &Url, text: &str) -> Result<String, CallError> {
    let url = server
        .join(text)
        .ok()
        .filter(|url| url.origin() == server.origin() && url.query().is_none() && url.fragment().is_none());
    let path = url
        .as_ref()
        .map(Url::path)
        .filter(|path| path.strip_prefix(paths::UPLOADS).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1));
    path.map(str::to_owned).ok_or_else(|| {
        CallError::Protocol(format!("the server names {text:?} as an upload, which is not one of its own"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_must_be_on_the_same_server() {
        let server: Url = "https://192.0.2.7:5004".parse().unwrap();
        let path = "/device/v1/uploads/5a0e2f61c4b84d7f9b13c8a2e6d07f45";
        assert_eq!(upload_path(&server, path).unwrap(), path);
        assert_eq!(upload_path(&server, &format!("https://192.0.2.7:5004{path}")).unwrap(), path);
        for foreign in [
            format!("https://192.0.2.8:5004{path}"),
            format!("http://192.0.2.7:5004{path}"),
            format!("//evil.example{path}"),
            format!("https://192.0.2.7:5005{path}"),
            "/device/v1/uploads/../offers".to_owned(),
            "/device/v1/uploads/".to_owned(),
            "/elsewhere".to_owned(),
            format!("{path}?x=1"),
        ] {
            assert!(matches!(upload_path(&server, &foreign), Err(CallError::Protocol(_))), "{foreign}");
        }
    }
}
