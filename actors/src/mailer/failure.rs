//! Why a message was not delivered: whose fault it is, which decides what follows, and what a person can do about it.

use std::error::Error as StdError;
use std::io;

use lettre::transport::smtp::Error;
use rustls::{CertificateError, Error as TlsError};

use super::settings::{MailSettings, MailTls};

/// Characters that are kept of what the other server says.
const WORDS: usize = 300;

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(super) whose: Whose,
    /// What is wrong, and what to do about it.
    pub(super) text: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The other server's, or of how it is used: it would take nothing else either. Later it may.
    Server,
    /// This message's, or its recipient's. Later it may be taken.
    MessageNow,
    /// That of the rules by which the other server lets Longshore send there. Somebody has to mend them; then it is taken.
    Policy,
    /// The same, for good.
    Message,
}

/// How far a conversation with a mail server was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, its greeting, TLS.
    Connect,
    /// TLS within a connection that began without.
    StartTls,
    /// The password.
    Login,
    /// Naming the sender.
    Sender,
    /// Naming the recipient.
    Recipient,
    /// The message itself.
    Content,
}

impl Failure {
    pub(crate) fn of_server(text: String) -> Self {
        Self { whose: Whose::Server, text }
    }

    pub(super) fn of_message(text: String) -> Self {
        Self { whose: Whose::Message, text }
    }
}

/// What happened at this stage.
pub(super) fn smtp(stage: Stage, error: &Error, settings: &MailSettings, to: &str) -> Failure {
    let server = settings.server();
    match error.status() {
        Some(code) => answered(stage, u16::from(code), &words(error), settings, to),
        None if error.is_timeout() => too_slow(&server),
        None => match (cause::<TlsError>(error), cause::<io::Error>(error)) {
            (Some(tls), _) => Failure::of_server(untrusted(tls, settings)),
            (None, Some(io)) => unreachable(io, settings),
            (None, None) => Failure::of_server(refuses_to_talk(stage, error, settings)),
        },
    }
}

/// The server said no.
fn answered(stage: Stage, code: u16, words: &str, settings: &MailSettings, to: &str) -> Failure {
    let server = settings.server();
    // It is about to go away, or wants to know who we are: at whatever stage it says so.
    if code == 421 {
        return Failure::of_server(format!("the mail server {server} is not available now: {words}"));
    }
    if code == 530 {
        let text = format!("the mail server {server} wants a login first: {words}; set mail.user and mail.password");
        return Failure::of_server(text);
    }
    // Postfix judges the sender only when it knows to whom.
    let names = |address: &str| words.contains(&format!("<{address}>"));
    let stage = match stage {
        Stage::Recipient if names(&settings.from.email.to_string()) && !names(to) => Stage::Sender,
        stage => stage,
    };
    let permanent = code >= 500;
    let now_or_ever = if permanent { Whose::Message } else { Whose::MessageNow };
    match stage {
        Stage::Connect => Failure::of_server(format!("the mail server {server} turns Longshore away: {words}")),
        Stage::StartTls => Failure::of_server(format!(
            "the mail server {server} refuses to begin TLS: {words}; with another port, mail.tls may have to be implicit"
        )),
        Stage::Login => Failure::of_server(format!(
            "the mail server {server} refuses the login: {words}; check mail.user and mail.password"
        )),
        Stage::Sender => Failure::of_server(format!(
            "the mail server {server} refuses the sender {}: {words}; set mail.from to an address that it may send for",
            settings.from.email
        )),
        Stage::Recipient if permanent => Failure {
            // So do servers answer for every recipient when a login or an allowed address of Longshore's changed.
            whose: if is_policy(words) { Whose::Policy } else { Whose::Message },
            text: format!(
                "the mail server {server} refuses the recipient {to}: {words}; check the address, and whether that server \
                 carries mail there for Longshore"
            ),
        },
        Stage::Recipient => {
            let text = format!("the mail server {server} takes nothing for {to} now: {words}; it is tried again");
            Failure { whose: Whose::MessageNow, text }
        }
        Stage::Content if code == 552 => Failure::of_message(format!(
            "the message is too large for the mail server {server}, or the mailbox of {to} is full: {words}"
        )),
        Stage::Content => {
            Failure { whose: now_or_ever, text: format!("the mail server {server} refuses the message: {words}") }
        }
    }
}

/// Whether these words begin with a code of security or policy (RFC 3463 §3.8).
fn is_policy(words: &str) -> bool {
    words.split(' ').nth(1).is_some_and(|code| code.starts_with("5.7."))
}

pub(super) fn too_slow(server: &str) -> Failure {
    Failure::of_server(format!(
        "the mail server {server} does not answer in time; check mail.host and mail.port, and whether a firewall is in \
         between"
    ))
}

pub(super) fn no_such_name(error: &io::Error, settings: &MailSettings) -> Failure {
    let host = &settings.host;
    Failure::of_server(format!(
        "the mail server {host} cannot be found: {error}; check mail.host, and this machine's name service (DNS)"
    ))
}

fn unreachable(error: &io::Error, settings: &MailSettings) -> Failure {
    let server = settings.server();
    Failure::of_server(match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing answers at the mail server {server}: the connection is refused; check mail.port, and whether the mail \
             server runs"
        ),
        io::ErrorKind::TimedOut => return too_slow(&server),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("the mail server {server} ended the connection: {error}; check mail.tls, and that server's log")
        }
        _ => format!("the mail server {server} cannot be reached: {error}; check the network and mail.host"),
    })
}

fn untrusted(error: &TlsError, settings: &MailSettings) -> String {
    let (server, host) = (settings.server(), &settings.host);
    match error {
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!(
                "the certificate of the mail server {server} is over: renew it there, and check this machine's clock"
            )
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate of the mail server {server} is not for the name {host}: set mail.host to a name that it is for"
        ),
        TlsError::InvalidCertificate(why) => format!(
            "the certificate of the mail server {server} is not trusted: {why}; name the file of its authority in mail.ca"
        ),
        TlsError::InvalidMessage(_) => format!(
            "the mail server {server} does not begin with TLS: set mail.tls to starttls, or mail.port to the port where it \
             does"
        ),
        other => format!("no TLS could be agreed on with the mail server {server}: {other}"),
    }
}

fn refuses_to_talk(stage: Stage, error: &Error, settings: &MailSettings) -> String {
    let server = settings.server();
    let why = clean(&error.to_string());
    match stage {
        Stage::StartTls => format!(
            "the mail server {server} offers no STARTTLS; if it speaks TLS from the beginning, set mail.tls to implicit"
        ),
        Stage::Login => format!(
            "the mail server {server} offers no way to log in that Longshore knows (PLAIN, LOGIN): {why}; check mail.port, \
             or leave mail.user and mail.password out"
        ),
        _ if settings.tls != MailTls::Implicit => format!(
            "the mail server {server} does not speak SMTP as expected: {why}; if it speaks TLS from the beginning, set \
             mail.tls to implicit"
        ),
        _ => format!("the mail server {server} does not speak SMTP as expected: {why}; check mail.port"),
    }
}

/// The server's words.
fn words(error: &Error) -> String {
    let code = error.status().map(|code| format!("{code} ")).unwrap_or_default();
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    clean(&format!("{code}{said}"))
}

/// As much as a line of a list takes, and nothing that could be taken for another line.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    if text.is_empty() { "without a word".to_owned() } else { text }
}

/// What lies behind it, also inside of errors of the operating system.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| cause::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(stage: Stage, words: &str) -> Whose {
        let settings = MailSettings::nobodys();
        let code = words[..3].parse().unwrap();
        answered(stage, code, words, &settings, "anna@example.org").whose
    }

    #[test]
    fn who_may_not_send_there_now_loses_no_message() {
        for words in [
            "554 5.7.1 <anna@example.org>: Relay access denied",
            "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
            "550 5.7.1 Client was not authenticated",
        ] {
            assert_eq!(whose(Stage::Recipient, words), Whose::Policy, "{words}");
        }
        for words in ["550 5.1.1 no such user", "554 no", "550 5.17.1 odd", "550"] {
            assert_eq!(whose(Stage::Recipient, words), Whose::Message, "{words}");
        }
        assert_eq!(whose(Stage::Recipient, "450 4.7.1 later"), Whose::MessageNow);
        assert_eq!(whose(Stage::Content, "554 5.7.1 spam"), Whose::Message, "it is what it says");
    }
}
