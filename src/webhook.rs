//! Webhooks: which there are, and the HTTPS by which they are told. Nothing else of a network can be reached through them: only
//! https, no redirect is followed, no proxy asked, and the addresses behind a name are looked at before one is called.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_actors::{Called, Courier, WebhookCall, WebhookSettings};
use longshore_model::{Complaint, Secret};
use reqwest::redirect::Policy;
use ring::hmac;
use serde::Deserialize;
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::{Host, Url};

use crate::config::{Mistake, Mistakes, Source, Webhooks, typed};

/// Time for one call, from the look-up of the name to the answer.
const CALL: Duration = Duration::from_secs(30);
/// Begins a secret (Standard Webhooks); base64 follows.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    webhook: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: String,
    secret: Secret,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    ca: Option<PathBuf>,
}

/// All webhooks that are configured. Reads files.
///
/// # Errors
/// Every mistake in the file.
pub(crate) fn load(config: &Webhooks) -> Result<Vec<WebhookSettings>, Mistakes> {
    let Some(path) = &config.file else { return Ok(Vec::new()) };
    let text = fs::read_to_string(path).map_err(|error| {
        let what = format!("the webhooks cannot be read: {error}");
        Mistakes(vec![Mistake::of_whole(Source::WholeFile(path.clone()), what)])
    })?;
    read(path, &text)
}

fn read(path: &Path, text: &str) -> Result<Vec<WebhookSettings>, Mistakes> {
    let written = typed::read::<Written>(path, text).map_err(Mistakes)?;
    let (mut hooks, mut wrong, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (place, entry) in written.value.webhook.iter().enumerate() {
        let mut complain = |key: &str, what: &str| {
            wrong.push(Complaint { key: format!("webhook[{place}].{key}"), what: what.to_owned() });
        };
        if entry.name.trim().is_empty() || entry.name.chars().any(char::is_control) {
            complain("name", "it has no name: write one by which you know it");
        }
        if !names.insert(entry.name.as_str()) {
            complain("name", "another one has this name");
        }
        if let Err(why) = check_url(&entry.url, entry.private) {
            complain("url", &why);
        }
        if key(&entry.secret).is_none() {
            complain(
                "secret",
                "it is no secret: write whsec_ and behind it 24 to 64 random bytes in base64; `openssl rand -base64 32` makes them",
            );
        }
        let ca = entry.ca.as_ref().map(|path| match fs::read(path) {
            Ok(pem) if reqwest::Certificate::from_pem_bundle(&pem).is_ok_and(|all| !all.is_empty()) => Some(pem),
            _ => {
                complain("ca", &format!("{} holds no certificate that can be read", path.display()));
                None
            }
        });
        hooks.push(WebhookSettings {
            name: entry.name.clone(),
            url: entry.url.clone(),
            secret: entry.secret.clone(),
            private: entry.private,
            ca: ca.flatten(),
        });
    }
    if wrong.is_empty() {
        return Ok(hooks);
    }
    Err(Mistakes(wrong.into_iter().map(|complaint| written.mistake(complaint)).collect()))
}

fn check_url(text: &str, private: bool) -> Result<(), String> {
    let right = "write one such as \"https://hooks.example.org/longshore\"";
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}; {right}"))?;
    if url.scheme() != "https" {
        return Err(format!("it does not begin with https://; {right}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user or a password in it: what is sent is signed instead".to_owned());
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    address.map_or(Ok(()), |address| permitted(address, private).map_err(str::to_owned))
}

/// Whether a webhook may be at this address; otherwise why not, and what to do.
fn permitted(address: IpAddr, private: bool) -> Result<(), &'static str> {
    if let IpAddr::V6(holder) = address
        && let Some(held) = held_v4(holder)
    {
        return permitted(IpAddr::V4(held), private);
    }
    let never = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || v6 == METADATA,
    };
    if never {
        return Err("its address is one that no webhook may have: link-local, unspecified, or of many machines");
    }
    let is_private = match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    if is_private && !private {
        return Err("its address is of a private network: set private = true for this webhook if that is meant");
    }
    Ok(())
}

/// Between customers and a provider (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

/// Where a cloud keeps its secrets, besides the link-local address of IPv4.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The IPv4 address that is reached through this one: as itself (RFC 4291 §2.5.5), or behind a translator (RFC 6052, RFC 3056).
fn held_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, _, _, _, _, high, low] | [0x2002, high, low, ..] => {
            Some(v4(high, low))
        }
        _ => None,
    }
}

fn key(secret: &Secret) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.reveal().strip_prefix(SECRET_PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The header `webhook-signature` (Standard Webhooks): over the id, the time and the body.
fn signature(key: &hmac::Key, id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// Carries messages to webhooks.
pub(crate) struct Https;

impl Courier for Https {
    fn carry(&self, call: WebhookCall) -> Called {
        Box::pin(async move {
            // Without its path, which may hold a secret: what is said here is kept.
            let place = Url::parse(&call.hook.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
            match timeout(CALL, carry(call)).await {
                Ok(carried) => carried.map_err(|why| format!("{place}: {why}")),
                Err(_) => {
                    Err(format!("{place} does not answer within {} s; check it, and the network", CALL.as_secs()))
                }
            }
        })
    }
}

async fn carry(call: WebhookCall) -> Result<String, String> {
    let WebhookCall { hook, id, at, body } = call;
    let url = Url::parse(&hook.url).map_err(|error| error.to_string())?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((bare, port)).await.map_err(|error: io::Error| format!("it cannot be found: {error}"))?;
    let (mut addresses, mut refused) = (Vec::<SocketAddr>::new(), "it has no address");
    for address in found {
        match permitted(address.ip(), hook.private) {
            Ok(()) => addresses.push(address),
            Err(why) => refused = why,
        }
    }
    if addresses.is_empty() {
        return Err(refused.to_owned());
    }
    // reqwest asks for it; another part of the process may have been first.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let (host, ca) = (host.to_owned(), hook.ca);
    // The authorities that the system trusts are read from its disk.
    let client = spawn_blocking(move || {
        let client = reqwest::Client::builder()
            .https_only(true)
            .no_proxy()
            .redirect(Policy::none())
            // These and no others: whoever answers for the name might say something else now.
            .resolve_to_addrs(&host, &addresses);
        match ca {
            None => client.build(),
            Some(pem) => client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?).build(),
        }
    });
    let client = client.await.map_err(|error| error.to_string())?.map_err(in_words)?;
    let key = key(&hook.secret).ok_or("its secret cannot be used")?;
    let (id, timestamp) = (id.to_string(), at.timestamp());
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("Longshore/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature(&key, &id, timestamp, &body))
        .body(body)
        .send()
        .await
        .map_err(in_words)?;
    let status = answer.status();
    match status.is_success() {
        true => Ok(status.to_string()),
        false if status.is_redirection() => {
            Err(format!("it answers {status}, and redirects are not followed: set its new URL"))
        }
        false => Err(format!("it answers {status}; see its log")),
    }
}

/// The deepest cause: what is around it says no more.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, <https://github.com/standard-webhooks/standard-webhooks>.
    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        let key = key(&Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn no_webhook_reaches_what_only_this_machine_and_its_neighbours_should() {
        let all = |text: &str| text.parse::<IpAddr>().unwrap();
        for text in [
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::169.254.169.254",
            "fd00:ec2::254",
        ] {
            assert!(permitted(all(text), true).is_err(), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(permitted(all(text), false).is_err() && permitted(all(text), true).is_ok(), "{text}");
        }
        for text in ["192.0.2.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(permitted(all(text), false).is_ok(), "{text}");
        }
    }

    #[test]
    fn mistakes_in_the_file_are_told_with_their_places_and_no_secret() {
        let text = "[[webhook]]\nname = 'a'\nurl = 'http://x.example'\nsecret = 'hush'\n\
            [[webhook]]\nname = 'a'\nurl = 'https://10.0.0.1/'\nsecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n\
            [[webhook]]\nname = 'c'\nurl = 'https://u:p@x.example'\nsecret = 'whsec_AAAA'\nca = '/nowhere.pem'\n";
        let mistakes = read(Path::new("f"), text).unwrap_err();
        let told: Vec<_> = mistakes.0.iter().map(ToString::to_string).collect();
        let begin = [
            "f:3:7: webhook[0].url: it does not begin with https://",
            "f:4:10: webhook[0].secret: it is no secret",
            "f:6:8: webhook[1].name: another one",
            "f:7:7: webhook[1].url: its address is of a private network",
            "f:11:7: webhook[2].url: it has a user",
            "f:12:10: webhook[2].secret: it is no secret",
            "f:13:6: webhook[2].ca: /nowhere.pem holds no certificate",
        ];
        assert_eq!(told.len(), begin.len(), "{told:#?}");
        for (told, begin) in told.iter().zip(begin) {
            assert!(told.starts_with(begin) && !told.contains("hush"), "{told}");
        }
        let right =
            "[[webhook]]\nname = 'a'\nurl = 'https://x.example'\nsecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n";
        assert_eq!(read(Path::new("f"), right).unwrap()[0].name, "a");
    }
}
