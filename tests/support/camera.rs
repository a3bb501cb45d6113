use std::collections::HashMap;
use std::io::{self, BufRead as _, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_agent::tls;
use longshore_model::{BASE64URL, Sha256};
use longshore_protocol::EnrolmentText;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};

use super::world::{World, eventually};

/// Longer than anything that the server waits for, but for a body that stalls.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A device that writes its requests itself, so that it can also write wrong ones and stop anywhere.
pub(crate) struct Camera {
    address: SocketAddr,
    /// From which it calls; `None`: as the system likes.
    from: Option<IpAddr>,
    pin: Sha256,
    key: KeyPair,
    config: Arc<ClientConfig>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A connection with a request on it that may not be finished.
pub(crate) struct Exchange {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Camera {
    /// A camera with a new key and a certificate that it made itself.
    pub(crate) fn new(world: &World) -> Self {
        Self::at(world.address, world.pin)
    }

    /// The same for a server that is no world.
    pub(crate) fn at(address: SocketAddr, pin: Sha256) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = tls::self_signed(&key).unwrap();
        let config = Arc::new(tls::client_config(&key, vec![certificate], vec![pin]).unwrap());
        Self { address, from: None, pin, key, config }
    }

    /// The camera that an agent with this state folder is.
    pub(crate) fn of_agent(world: &World, state: &Path) -> Self {
        let pem = |name: &str| std::fs::read_to_string(state.join(name)).unwrap();
        let key = KeyPair::from_pem(&pem("device.key")).unwrap();
        let certificate = CertificateDer::from_pem_slice(pem("device.crt").as_bytes()).unwrap();
        let config = Arc::new(tls::client_config(&key, vec![certificate], vec![world.pin]).unwrap());
        Self { address: world.address, from: None, pin: world.pin, key, config }
    }

    /// Calls from this address from now on, as in another network.
    pub(crate) fn call_from(&mut self, address: &str) {
        self.from = Some(address.parse().unwrap());
    }

    /// Shows another certificate from now on; the key stays.
    pub(crate) fn show(&mut self, certificate: CertificateDer<'static>) {
        self.config = Arc::new(tls::client_config(&self.key, vec![certificate], vec![self.pin]).unwrap());
    }

    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(crate) fn ask_to_be_known(&self, text: &str) -> Reply {
        let text: EnrolmentText = text.parse().unwrap();
        let authorization = format!("Authorization: Longshore-Enrol {}", text.credentials());
        self.post_json("/device/v1/enrolments", &[&authorization], &json!({"device": {}}))
    }

    pub(crate) fn fetch_certificate(&mut self, enrolment: &str) {
        let path = format!("/device/v1/enrolments/{enrolment}");
        let approved = self.request("GET", &path, &["Prefer: wait=50"], b"").json(200);
        assert_eq!(approved["state"], "approved");
        let pem = approved["certificate"].as_str().unwrap();
        self.show(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    }

    /// Opens a connection and sends the head of a request.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &[&str]) -> Exchange {
        self.try_begin(method, path, headers).unwrap()
    }

    /// The same of a server that may be dead.
    pub(crate) fn try_begin(&self, method: &str, path: &str, headers: &[&str]) -> io::Result<Exchange> {
        let mut exchange = self.try_connect()?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: longshore\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        exchange.send(head.as_bytes())?;
        Ok(exchange)
    }

    /// Opens a connection and shakes hands.
    pub(crate) fn connect(&self) -> Exchange {
        self.try_connect().unwrap()
    }

    fn try_connect(&self) -> io::Result<Exchange> {
        let socket = match self.from {
            None => TcpStream::connect(self.address)?,
            Some(from) => {
                let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
                bind(&socket, &SocketAddr::new(from, 0))?;
                connect(&socket, &self.address)?;
                socket.into()
            }
        };
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("longshore").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Exchange { stream })
    }

    /// A whole request and its answer. The answer may come before the body is sent.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.try_request(method, path, headers, body).unwrap()
    }

    /// The same of a server that may be dead.
    pub(crate) fn try_request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> io::Result<Reply> {
        let length = format!("Content-Length: {}", body.len());
        let mut exchange = self.try_begin(method, path, &[headers, &[&length]].concat())?;
        let _answered_early = exchange.send(body);
        exchange.try_reply(method)
    }

    pub(crate) fn post_json(&self, path: &str, headers: &[&str], body: &Value) -> Reply {
        let headers = [headers, &["Content-Type: application/json"]].concat();
        self.request("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Offers recordings; the answers.
    pub(crate) fn offer(&self, items: &[Value]) -> Vec<Value> {
        let answer = self.post_json("/device/v1/offers", &[], &json!({"items": items})).json(200);
        answer["items"].as_array().unwrap().clone()
    }

    /// The same of a server that may be dead or in trouble; then `None`.
    pub(crate) fn try_offer(&self, items: &[Value]) -> Option<Vec<Value>> {
        let body = json!({"items": items}).to_string();
        let kind = "Content-Type: application/json";
        let reply = self.try_request("POST", "/device/v1/offers", &[kind], body.as_bytes()).ok()?;
        (reply.status == 200).then(|| reply.json(200)["items"].as_array().unwrap().clone())
    }

    pub(crate) fn try_create(&self, rid: &str, length: usize) -> Reply {
        let length = format!("Upload-Length: {length}");
        let metadata = format!("Upload-Metadata: rid {}", STANDARD.encode(rid));
        self.request("POST", "/device/v1/uploads", &["Tus-Resumable: 1.0.0", &length, &metadata], b"")
    }

    /// Offers one recording and makes its upload: the path.
    pub(crate) fn upload_of(&self, item: &Value) -> String {
        let answer = &self.offer(std::slice::from_ref(item))[0];
        assert_eq!(answer["answer"], "upload", "{answer}");
        let length = usize::try_from(item["size"].as_u64().unwrap()).unwrap();
        let created = self.try_create(item["rid"].as_str().unwrap(), length);
        assert_eq!(created.status, 201, "{created:?}");
        created.headers["location"].clone()
    }

    /// Begins a PATCH that announces `length` bytes.
    pub(crate) fn begin_patch(&self, upload: &str, offset: u64, length: usize) -> Exchange {
        let (offset, length) = (format!("Upload-Offset: {offset}"), format!("Content-Length: {length}"));
        let kind = "Content-Type: application/offset+octet-stream";
        self.begin("PATCH", upload, &["Tus-Resumable: 1.0.0", kind, &offset, &length])
    }

    pub(crate) fn patch(&self, upload: &str, offset: u64, body: &[u8]) -> Reply {
        let mut exchange = self.begin_patch(upload, offset, body.len());
        let _answered_early = exchange.send(body);
        exchange.reply("PATCH")
    }

    pub(crate) fn head(&self, upload: &str) -> Reply {
        self.request("HEAD", upload, &["Tus-Resumable: 1.0.0"], b"")
    }

    /// The offset that the server acknowledges.
    pub(crate) fn offset(&self, upload: &str) -> u64 {
        let reply = self.head(upload);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.offset()
    }
}

impl Exchange {
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Waits until the server has read everything that was sent: until then, a cut would take it back.
    pub(crate) fn arrived(&self) {
        let socket = &self.stream.sock;
        let (client, server) = (socket.local_addr().unwrap().port(), socket.peer_addr().unwrap().port());
        eventually("the server has read what was sent", || unread(server, client) == Some(0));
    }

    /// Whether the server has begun to answer within this time.
    pub(crate) fn answers_within(&mut self, time: Duration) -> bool {
        self.stream.sock.set_read_timeout(Some(time)).unwrap();
        let begun = match self.stream.fill_buf() {
            Ok(bytes) => !bytes.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => panic!("no answer: {error}"),
        };
        self.stream.sock.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        begun
    }

    /// Whether the answer, which has begun, begins so.
    pub(crate) fn starts_with(&mut self, text: &str) -> bool {
        let begun = self.stream.fill_buf().unwrap();
        String::from_utf8_lossy(begun).starts_with(text)
    }

    /// Whether the server ends the connection within this time, without an answer.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        self.stream.sock.set_read_timeout(Some(time)).unwrap();
        let read = self.stream.fill_buf().map(<[u8]>::is_empty);
        self.stream.sock.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        read.unwrap_or_else(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    /// What the server says until it ends the connection, which is soon.
    pub(crate) fn rest(&mut self) -> String {
        let (mut rest, end) = (Vec::new(), Instant::now() + READ_TIMEOUT);
        loop {
            let told = match self.stream.fill_buf() {
                // Without a farewell of TLS, it is the end all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                told => told.unwrap(),
            };
            if told.is_empty() {
                break;
            }
            rest.extend_from_slice(told);
            let len = told.len();
            self.stream.consume(len);
            assert!(Instant::now() < end, "the connection does not end: {}", String::from_utf8_lossy(&rest));
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Closes the connection without a farewell, as a device without power does.
    pub(crate) fn cut(self) {
        drop(self.stream.sock);
    }

    pub(crate) fn reply(&mut self, method: &str) -> Reply {
        self.try_reply(method).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The same of a server that may be dead.
    pub(crate) fn try_reply(&mut self, method: &str) -> io::Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, headers, body })
    }
}

impl Reply {
    /// The JSON of an answer with this status.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that this is a problem document of this type, complete.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.json(status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["type"], format!("urn:longshore:problem:{kind}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        problem
    }

    pub(crate) fn offset(&self) -> u64 {
        self.headers["upload-offset"].parse().unwrap()
    }
}

/// Bytes in the receive queue of the connection from `remote` to `local`, as the kernel tells (proc(5), net/tcp).
fn unread(local: u16, remote: u16) -> Option<u64> {
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.len() > 4 && row[1].ends_with(&local) && row[2].ends_with(&remote))?;
    u64::from_str_radix(row[4].split(':').nth(1)?, 16).ok()
}

pub(crate) fn decode32(text: &str) -> Sha256 {
    Sha256::from_bytes(BASE64URL.decode(text).unwrap().try_into().unwrap())
}

/// Bytes that are different for each `seed`, and the same each time.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

/// A recording's id.
pub(crate) fn rid(n: u32) -> String {
    format!("{n:032x}")
}

/// An event recording for an offer.
pub(crate) fn recording(n: u32, content: &[u8]) -> Value {
    json!({
        "rid": rid(n),
        "camera": "front",
        "kind": "event",
        "start": format!("2026-11-20T14:{:02}:{:02}+01:00", n / 60 % 60, n % 60),
        "size": content.len(),
        "sha256": Sha256::of(content).to_string(),
        "filename": format!("EVENT/{n}.mp4"),
    })
}
