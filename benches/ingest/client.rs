//! A client of our own: HTTP/1.1 over TLS 1.3, with as little work for each byte as there can be.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Beyond it, an answer's head is none.
const HEAD: usize = 64 * 1024;

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// A connection's end at the client, and that at the server.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// A connection, shaken hands on.
pub(crate) struct Connection {
    stream: TlsStream<tokio::net::TcpStream>,
    pub(crate) ends: Ends,
}

/// The head of an answer; a body is read and dropped.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
}

impl Client {
    /// A client of the server at `address`, which may show any certificate: this is loopback, and what is measured is not
    /// whom we trust.
    pub(crate) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let mut provider = ring::default_provider();
        // One suite, so that no server is measured with another: the one that most devices choose.
        provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = Arc::new(provider);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.enable_sni = false;
        Ok(Self { address, config: Arc::new(config) })
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    /// The same as a client with another address of this machine.
    pub(crate) async fn connect_from(&self, from: Ipv4Addr) -> anyhow::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let tcp = socket.connect(self.address).await.with_context(|| format!("cannot reach {}", self.address))?;
        tcp.set_nodelay(true)?;
        let ends = (tcp.local_addr()?, tcp.peer_addr()?);
        let stream =
            TlsConnector::from(Arc::clone(&self.config)).connect(ServerName::try_from("localhost")?, tcp).await?;
        Ok(Connection { stream, ends })
    }
}

impl Connection {
    /// Sends the head of a request with a body of `length` bytes.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        length: u64,
    ) -> anyhow::Result<()> {
        let headers = headers.iter().flat_map(|header| [header, "\r\n"]).collect::<String>();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n");
        self.send(head.as_bytes()).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// A request without a body, and its answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> anyhow::Result<Reply> {
        self.begin(method, path, headers, 0).await?;
        self.reply(method).await
    }

    pub(crate) async fn reply(&mut self, method: &str) -> anyhow::Result<Reply> {
        let head = self.read_to(b"\r\n\r\n").await?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let headers: HashMap<String, String> =
            pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut body = Vec::new();
        if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            while let length @ 1.. = usize::from_str_radix(self.read_to(b"\r\n").await?.trim_end(), 16)? {
                body.extend(self.read(length).await?);
                self.read_to(b"\r\n").await?;
            }
            self.read_to(b"\r\n").await?;
        } else if method != "HEAD" {
            body = self.read(headers.get("content-length").map_or(Ok(0), |length| length.parse())?).await?;
        }
        if status >= 400 {
            bail!("{method} was answered with {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(Reply { status, headers })
    }

    async fn read(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_to(&mut self, end: &[u8]) -> anyhow::Result<String> {
        let mut bytes = Vec::with_capacity(1024);
        while !bytes.ends_with(end) {
            bytes.push(self.stream.read_u8().await.context("the server ended the connection before it answered")?);
            ensure!(bytes.len() < HEAD, "the head of the answer does not end");
        }
        Ok(String::from_utf8(bytes)?)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.headers.get(name).map(String::as_str);
        value.with_context(|| format!("the answer {} has no header {name}", self.status))
    }
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
