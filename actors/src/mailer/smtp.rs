//! A conversation with the mail server, step by step, so that it is known at which step it failed. It runs on the engine's
//! thread and blocks nothing: names are looked up, and the files of authorities read, on the runtime's blocking threads.
//!
//! A connection is not kept for later: between two digests it would be cut, and what is sent on it then may have arrived or
//! not.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::failure::{self, Failure, Stage};
use super::settings::{MailSettings, MailTls};

/// Time for finding the server, connecting, its greeting, TLS and the login, each.
const OPENING: Duration = Duration::from_secs(30);
/// Time for the answer to one command: servers that mistrust us answer slowly on purpose (RFC 5321 §4.5.3.2 says 5 min).
const COMMAND: Duration = Duration::from_secs(300);
/// Time for the message and the answer to it; to give up earlier would send again what arrived (RFC 5321 §4.5.3.2.6).
const CONTENT: Duration = Duration::from_secs(600);
/// Time for a good-bye, which nobody needs.
const CLOSING: Duration = Duration::from_secs(5);
/// The ways to log in, in the order in which they are tried.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// A conversation in which messages can be handed over.
pub(super) struct Conversation {
    connection: AsyncSmtpConnection,
    settings: MailSettings,
}

impl Conversation {
    /// Begins one, with TLS and login as the settings want it.
    pub(super) async fn open(settings: MailSettings) -> Result<Self, Failure> {
        let name = hello_name();
        let tls = match settings.tls {
            MailTls::None => None,
            MailTls::StartTls | MailTls::Implicit => Some(trust(&settings).await?),
        };
        let implicit = tls.clone().filter(|_| settings.tls == MailTls::Implicit);
        let mut connection = connect(&settings, &name, implicit).await?;
        let failed = |stage| {
            let settings = settings.clone();
            move |error: Step| error.at(stage, &settings, "")
        };
        if let Some(tls) = tls.filter(|_| settings.tls == MailTls::StartTls) {
            let starting = connection.starttls(tls, &name);
            within(OPENING, starting).await.map_err(failed(Stage::StartTls))?;
        }
        if let Some((user, password)) = &settings.login {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            let login = connection.auth(&MECHANISMS, &credentials);
            within(OPENING, login).await.map_err(failed(Stage::Login))?;
        }
        Ok(Self { connection, settings })
    }

    /// Hands one message over. Returns what the server says when it has taken it: from then on it answers for it.
    pub(super) async fn deliver(&mut self, to: &Address, message: &[u8]) -> Result<String, Failure> {
        let from = Address::from(self.settings.from.email.clone());
        self.command(Stage::Sender, to, Mail::new(Some(from), Vec::new())).await?;
        self.command(Stage::Recipient, to, Rcpt::new(to.clone(), Vec::new())).await?;
        self.command(Stage::Content, to, Data).await?;
        let taken = within(CONTENT, self.connection.message(message)).await;
        let taken = taken.map_err(|error| error.at(Stage::Content, &self.settings, to.as_ref()))?;
        let said: Vec<&str> = taken.message().collect();
        Ok(failure::clean(&format!("{} {}", taken.code(), said.join(" "))))
    }

    /// After a refusal, makes the conversation ready for the next message.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        let done = within(COMMAND, self.connection.command(Rset)).await;
        done.map(drop).map_err(|error| error.at(Stage::Sender, &self.settings, ""))
    }

    /// Says good-bye; what was taken stays taken, whatever becomes of that.
    pub(super) async fn close(mut self) {
        let _whatever = timeout(CLOSING, self.connection.quit()).await;
    }

    async fn command(&mut self, stage: Stage, to: &Address, command: impl Display) -> Result<Response, Failure> {
        let done = within(COMMAND, self.connection.command(command)).await;
        done.map_err(|error| error.at(stage, &self.settings, to.as_ref()))
    }
}

/// Why a step failed.
enum Step {
    Slow,
    Failed(Error),
}

impl Step {
    fn at(self, stage: Stage, settings: &MailSettings, to: &str) -> Failure {
        match self {
            Self::Slow => failure::too_slow(&settings.server()),
            Self::Failed(error) => failure::smtp(stage, &error, settings, to),
        }
    }
}

/// lettre's connections have no deadline of their own once they stand.
async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Step> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(Step::Failed),
        Err(_) => Err(Step::Slow),
    }
}

/// Tries each address that the name has.
async fn connect(
    settings: &MailSettings,
    name: &ClientId,
    tls: Option<TlsParameters>,
) -> Result<AsyncSmtpConnection, Failure> {
    let looking_up = tokio::net::lookup_host((settings.host.as_str(), settings.port));
    let addresses: Vec<SocketAddr> = match timeout(OPENING, looking_up).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(failure::no_such_name(&error, settings)),
        Err(_) => return Err(failure::no_such_name(&io::ErrorKind::TimedOut.into(), settings)),
    };
    let mut last = failure::no_such_name(&io::ErrorKind::AddrNotAvailable.into(), settings);
    for address in addresses {
        let connecting = AsyncSmtpConnection::connect_tokio1(address, None, name, tls.clone(), None);
        match within(OPENING, connecting).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error.at(Stage::Connect, settings, ""),
        }
    }
    Err(last)
}

/// Whose certificates count. Reads files.
async fn trust(settings: &MailSettings) -> Result<TlsParameters, Failure> {
    let (host, ca) = (settings.host.clone(), settings.ca.clone());
    let read = spawn_blocking(move || trusting(host, ca.as_deref())).await;
    read.unwrap_or_else(|error| Err(error.to_string())).map_err(Failure::of_server)
}

fn trusting(host: String, ca: Option<&Path>) -> Result<TlsParameters, String> {
    let builder = TlsParameters::builder(host);
    let builder = match ca {
        None => builder,
        Some(path) => {
            let wrong = |error: &dyn Display| format!("mail.ca: {} cannot be used: {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            let authority = Certificate::from_pem(&pem).map_err(|error| wrong(&error))?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
        }
    };
    builder.build().map_err(|error| format!("TLS cannot be used: {error}"))
}

/// How this machine names itself, if that is a name; otherwise as servers expect it of those without one.
fn hello_name() -> ClientId {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    let is_name = name
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    if is_name { ClientId::Domain(name) } else { ClientId::default() }
}
