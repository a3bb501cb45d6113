//! How the command line speaks to the running server: its API, over the socket in the data folder.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use longshore_protocol::Problem;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::data::SOCKET;
use crate::http::local;

/// Longer than the server itself waits for its parts.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one server.
pub(super) struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    /// Behind the path of the socket.
    _folder: File,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // reqwest asks for it even where, as here, no TLS is spoken; a second command in the process finds the first's.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(PATIENCE);
        // Nor does it need the system's authorities: a small container has none, and reqwest would refuse to work.
        let http = http.tls_certs_only([]).build()?;
        Ok(Self { runtime, http, _folder: folder })
    }

    /// Asks.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path))
    }

    /// Commands.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send(self.request(Method::POST, path).json(body))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://localhost{path}"))
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            let answer = request.send().await.context(
                "the server does not answer on its socket; if it is not running, start it with `longshore serve`",
            )?;
            let status = answer.status();
            let body = answer.bytes().await.context("the server's answer was cut")?;
            if status.is_success() {
                return serde_json::from_slice(&body)
                    .context("the server's answer cannot be read; do versions differ?");
            }
            match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) => bail!("{}", problem.detail.unwrap_or(problem.title)),
                Err(_) => bail!("the server answered {status}"),
            }
        })
    }
}
