//! A bay: one device that uploads one recording after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::client::{Client, Connection, Reply};
use super::content::Content;
use super::pace::Pace;

const TUS: &str = "Tus-Resumable: 1.0.0";
const OCTETS: &str = "Content-Type: application/offset+octet-stream";

/// What a server wants to hear.
#[derive(Clone)]
pub(crate) enum Dialect {
    /// `PUT` of the whole file below `/`.
    Put,
    /// tus 1.0.0: uploads are created here, with a token for each bay if any are needed.
    Tus { create: &'static str, tokens: Arc<[String]> },
}

/// A server as clients see it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) dialect: Dialect,
}

/// A device in its place.
pub(crate) struct Bay {
    target: Target,
    number: usize,
    content: Arc<Content>,
    /// Bytes that it has sent.
    pub(crate) sent: Arc<AtomicU64>,
    pub(crate) connection: Connection,
}

impl Bay {
    /// A bay that is connected. Its number says which token it uses.
    pub(crate) async fn new(target: &Target, number: usize, content: &Arc<Content>) -> anyhow::Result<Self> {
        let connection = target.client.connect().await?;
        let (target, content) = (target.clone(), Arc::clone(content));
        Ok(Self { target, number, content, sent: Arc::default(), connection })
    }

    /// Uploads one recording with one request; the last answer.
    pub(crate) async fn upload(&mut self, length: u64, rate: Option<u64>) -> anyhow::Result<Reply> {
        match &self.target.dialect {
            Dialect::Put => {
                self.connection.begin("PUT", &format!("/bay-{}", self.number), &[], length).await?;
                self.body(0, length, &mut Pace::of(rate)).await?;
                self.connection.reply("PUT").await
            }
            Dialect::Tus { .. } => {
                let upload = self.create(length).await?;
                Ok(self.patch(&upload, 0, length, &mut Pace::of(rate)).await?.0)
            }
        }
    }

    /// Makes an upload with tus; its path.
    pub(crate) async fn create(&mut self, length: u64) -> anyhow::Result<String> {
        let Dialect::Tus { create, .. } = self.target.dialect else { bail!("no tus server") };
        let length = format!("Upload-Length: {length}");
        let authorization = self.authorization();
        let headers: Vec<&str> = [TUS, &length].into_iter().chain(authorization.as_deref()).collect();
        let reply = self.connection.ask("POST", create, &headers).await?;
        let location = reply.header("location")?;
        // Some servers tell the whole address.
        let path =
            location.split_once("://").map_or(location, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        Ok(path.to_owned())
    }

    /// Sends a piece of an upload: the answer, and the time from its last byte to the answer.
    pub(crate) async fn patch(
        &mut self,
        upload: &str,
        offset: u64,
        length: u64,
        pace: &mut Pace,
    ) -> anyhow::Result<(Reply, Duration)> {
        self.begin_patch(upload, offset, length).await?;
        self.body(offset, length, pace).await?;
        let sent = Instant::now();
        let reply = self.connection.reply("PATCH").await?;
        ensure!(reply.header("upload-offset")? == (offset + length).to_string(), "another offset: {reply:?}");
        Ok((reply, sent.elapsed()))
    }

    /// Sends the head of a PATCH.
    pub(crate) async fn begin_patch(&mut self, upload: &str, offset: u64, length: u64) -> anyhow::Result<()> {
        let (offset, authorization) = (format!("Upload-Offset: {offset}"), self.authorization());
        let headers: Vec<&str> = [TUS, OCTETS, &offset].into_iter().chain(authorization.as_deref()).collect();
        self.connection.begin("PATCH", upload, &headers, length).await
    }

    /// Asks for an upload, or gives it up.
    pub(crate) async fn ask(&mut self, method: &str, upload: &str) -> anyhow::Result<Reply> {
        let authorization = self.authorization();
        let headers: Vec<&str> = [TUS].into_iter().chain(authorization.as_deref()).collect();
        self.connection.ask(method, upload, &headers).await
    }

    /// Sends a part of the content as a request's body.
    pub(crate) async fn body(&mut self, mut offset: u64, length: u64, pace: &mut Pace) -> anyhow::Result<()> {
        let end = offset + length;
        while offset < end {
            let piece = self.content.at(offset, pace.piece().min(end - offset));
            pace.next(piece.len()).await;
            if let Err(error) = self.connection.send(piece).await {
                // A server that refuses ends the connection, and says why before.
                self.connection.reply("PATCH").await?;
                return Err(error.context("the server ended the connection"));
            }
            offset += piece.len() as u64;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn authorization(&self) -> Option<String> {
        let Dialect::Tus { tokens, .. } = &self.target.dialect else { return None };
        tokens.get(self.number).map(|token| format!("Authorization: Bearer {token}"))
    }
}
