use std::fmt;
use std::str::FromStr;

use base64::Engine;
use longshore_model::{BASE64URL, Sha256, TokenId};
use url::Url;

/// Version of the form, the first part of the fragment.
const VERSION: &str = "1";
/// Path that a phone opens when it scans the text; the secret stays in the fragment, which is never sent.
const PATH: &str = "/e";

/// What an admin hands to a device: `https://HOST:PORT/e#1.<token-id>.<secret>.<spki-sha256>`, in base64url.
///
/// `Debug` and the logs leave the secret out; `Display` is the text itself.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentText {
    /// `https://HOST:PORT`, without a path.
    pub server: Url,
    /// Names the token.
    pub token: TokenId,
    /// Proves the token.
    pub secret: [u8; 16],
    /// SHA-256 of the server's public key (SubjectPublicKeyInfo).
    pub pin: Sha256,
}

/// A text that is no enrolment text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnrolmentText {
    /// Not an `https` URL with a host and the path `/e`.
    #[error("an enrolment text begins with https://HOST:PORT/e#")]
    NotAnEnrolmentUrl,
    /// A version other than 1.
    #[error("this enrolment text is of a newer version than this device understands")]
    UnknownVersion,
    /// The fragment lacks parts, or they are damaged.
    #[error("the part after # is incomplete or damaged; copy the whole text, or ask for a new one")]
    Damaged,
}

impl EnrolmentText {
    /// `<token-id>.<secret>`, as it follows the scheme in `Authorization`.
    pub fn credentials(&self) -> String {
        format!("{}.{}", BASE64URL.encode(self.token.as_bytes()), BASE64URL.encode(self.secret))
    }

    /// Reads what [`Self::credentials`] wrote.
    pub fn parse_credentials(text: &str) -> Option<(TokenId, [u8; 16])> {
        let (token, secret) = text.split_once('.')?;
        Some((TokenId::from_bytes(decode(token)?), decode(secret)?))
    }
}

impl fmt::Display for EnrolmentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server.as_str().trim_end_matches('/');
        let pin = BASE64URL.encode(self.pin.as_bytes());
        write!(f, "{server}{PATH}#{VERSION}.{}.{pin}", self.credentials())
    }
}

impl fmt::Debug for EnrolmentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentText({} {})", self.server, self.token)
    }
}

impl FromStr for EnrolmentText {
    type Err = InvalidEnrolmentText;

    fn from_str(text: &str) -> Result<Self, InvalidEnrolmentText> {
        use InvalidEnrolmentText as Invalid;
        let (base, fragment) = text.trim().split_once('#').ok_or(Invalid::NotAnEnrolmentUrl)?;
        let mut server = Url::parse(base).map_err(|_| Invalid::NotAnEnrolmentUrl)?;
        if server.scheme() != "https" || server.path() != PATH || !server.has_host() || server.query().is_some() {
            return Err(Invalid::NotAnEnrolmentUrl);
        }
        server.set_path("");
        let mut parts = fragment.split('.');
        if parts.next() != Some(VERSION) {
            return Err(Invalid::UnknownVersion);
        }
        let mut part = || parts.next().ok_or(Invalid::Damaged);
        let (token, secret, pin) = (part()?, part()?, part()?);
        Ok(Self {
            server,
            token: TokenId::from_bytes(decode(token).ok_or(Invalid::Damaged)?),
            secret: decode(secret).ok_or(Invalid::Damaged)?,
            pin: Sha256::from_bytes(decode(pin).ok_or(Invalid::Damaged)?),
        })
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64URL.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "https://192.0.2.7:5004/e#1.AAECAwQFBgcICQoLDA0ODw.EBESExQVFhcYGRobHB0eHw.\
                        ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";

    #[test]
    fn an_enrolment_text_reads_back_as_it_was_printed() {
        let text: EnrolmentText = TEXT.parse().unwrap();
        assert_eq!(text.server.as_str(), "https://192.0.2.7:5004/");
        assert_eq!(text.token.as_bytes()[..3], [0, 1, 2]);
        assert_eq!(text.to_string(), TEXT);
        let (token, secret) = EnrolmentText::parse_credentials(&text.credentials()).unwrap();
        assert_eq!((token, secret), (text.token, text.secret));
    }

    #[test]
    fn further_parts_of_a_newer_server_are_passed_over() {
        let longer = format!("{TEXT}.a=192.0.2.8:5004");
        assert_eq!(longer.parse::<EnrolmentText>().unwrap().to_string(), TEXT);
    }

    #[test]
    fn what_is_no_enrolment_text_is_refused_with_a_reason() {
        let refused = |text: &str| text.parse::<EnrolmentText>().unwrap_err();
        assert_eq!(refused("hello"), InvalidEnrolmentText::NotAnEnrolmentUrl);
        assert_eq!(refused(&TEXT.replace("https", "http")), InvalidEnrolmentText::NotAnEnrolmentUrl);
        assert_eq!(refused(&TEXT.replace("/e#", "/x#")), InvalidEnrolmentText::NotAnEnrolmentUrl);
        assert_eq!(refused(&TEXT.replace("#1.", "#2.")), InvalidEnrolmentText::UnknownVersion);
        assert_eq!(refused(&TEXT[..TEXT.len() - 4]), InvalidEnrolmentText::Damaged);
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let text: EnrolmentText = TEXT.parse().unwrap();
        assert!(!format!("{text:?}").contains("EBES"));
    }
}
