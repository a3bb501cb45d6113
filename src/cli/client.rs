//! How the command line speaks to a running server: its API, over the socket in the data folder, or from another
//! computer after a login.

mod pinned;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use longshore_model::Sha256;
use longshore_protocol::Problem;
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::login::Login;
use crate::data::SOCKET;
use crate::http::local;

/// Longer than the server itself waits for its parts.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(15);
/// A stream that says nothing for so long is broken: the server gives a sign of life every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// A connection to one server.
pub(super) struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    /// `https://HOST:PORT`; over the socket, what its calls are made with.
    server: String,
    /// On another computer.
    token: Option<String>,
    /// Behind the path of the socket.
    folder: Option<File>,
}

impl Client {
    /// Finds the server of a data folder.
    pub(super) fn new(data: &Path) -> anyhow::Result<Self> {
        let not_there = || {
            format!(
                "no Longshore is running on the data folder {}; start it with `longshore serve`, or name its folder \
                 with --data or its configuration with --config",
                data.display()
            )
        };
        let (folder, socket) = local::short_path(data).with_context(not_there)?;
        if !data.join(SOCKET).exists() {
            bail!(not_there());
        }
        // reqwest asks for it even where, as here, no TLS is spoken; a second command in the process finds the first's.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(PATIENCE);
        // Nor does it need the system's authorities: a small container has none, and reqwest would refuse to work.
        let http = http.tls_certs_only([]).build()?;
        let server = "http://localhost".to_owned();
        Ok(Self { runtime: runtime()?, http, server, token: None, folder: Some(folder) })
    }

    /// The server that somebody has logged in to.
    pub(super) fn of_login(login: &Login) -> anyhow::Result<Self> {
        let http = over_tls(Some(login.pin()?), Arc::default())?;
        let (server, token) = (login.server.clone(), Some(login.token.clone()));
        Ok(Self { runtime: runtime()?, http, server, token, folder: None })
    }

    /// The server with this key, which gets no token.
    pub(super) fn of_key(server: &str, pin: Sha256) -> anyhow::Result<Self> {
        let http = over_tls(Some(pin), Arc::default())?;
        Ok(Self { runtime: runtime()?, http, server: server.to_owned(), token: None, folder: None })
    }

    /// The key that answers at this address.
    pub(super) fn key_of(server: &str) -> anyhow::Result<Sha256> {
        let shown: Arc<OnceLock<Sha256>> = Arc::default();
        let http = over_tls(None, Arc::clone(&shown))?;
        let client = Self { runtime: runtime()?, http, server: server.to_owned(), token: None, folder: None };
        client.runtime.block_on(async { client.answer(client.request(Method::GET, "/healthz")).await.map(drop) })?;
        shown.get().copied().context("the server showed no key")
    }

    /// Asks.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path))
    }

    /// Commands.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send(self.request(Method::POST, path).json(body))
    }

    /// Changes.
    pub(super) fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send(self.request(Method::PATCH, path).json(body))
    }

    /// Removes; the answer says nothing.
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.runtime.block_on(async { self.answer(self.request(Method::DELETE, path)).await.map(drop) })
    }

    /// Hands every line of a stream on until it ends.
    pub(super) fn lines(&self, path: &str, mut line: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let mut answer = self.answer(self.request(Method::GET, path).timeout(Duration::from_secs(86_400))).await?;
            let mut begun = Vec::new();
            loop {
                let chunk = tokio::time::timeout(SILENCE, answer.chunk()).await;
                let Some(chunk) = chunk.context("the server has fallen silent")?.context("the stream was cut")? else {
                    return Ok(());
                };
                begun.extend_from_slice(&chunk);
                while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                    let whole: Vec<u8> = begun.drain(..=end).collect();
                    line(String::from_utf8_lossy(&whole).trim_end())?;
                }
            }
        })
    }

    /// Waits.
    pub(super) fn pause(&self, time: Duration) {
        // The timer is made inside of the runtime.
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            let body = self.answer(request).await?.bytes().await.context("the server's answer was cut")?;
            serde_json::from_slice(&body).context("the server's answer cannot be read; do versions differ?")
        })
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.bytes().await.context("the server's answer was cut")?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}", problem.detail.unwrap_or(problem.title)),
            Err(_) => bail!("the server answered {status}"),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        if self.folder.is_some() {
            let hint =
                "the server does not answer on its socket; if it is not running, start it with `longshore serve`";
            return anyhow::Error::new(error).context(hint);
        }
        let mut deepest: &dyn std::error::Error = &error;
        while let Some(cause) = deepest.source() {
            deepest = cause;
        }
        let text = deepest.to_string();
        // rustls wraps what a verifier says.
        if text.contains(&pinned::WrongKey.to_string()) {
            return anyhow::anyhow!("{}: {}", self.server, pinned::WrongKey);
        }
        anyhow::anyhow!(
            "{} does not answer: {text}; check the address, the network and the server's firewall",
            self.server
        )
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn over_tls(pin: Option<Sha256>, shown: Arc<OnceLock<Sha256>>) -> anyhow::Result<reqwest::Client> {
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(pinned::client_config(pin, shown)?)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(PATIENCE);
    Ok(http.build()?)
}
