//! What an admin gave so that the device may ask to be known: a text that was scanned, or a code that was typed.

use longshore_model::{Sha256, TokenId};
use longshore_protocol::{EnrolmentCode, EnrolmentText};
use url::Url;

/// Port of a server whose address is typed without one.
const PORT: u16 = 5004;

/// An address that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's address is https://HOST:PORT, as on the sheet")]
pub struct InvalidServer;

/// An invitation to ask; its secret is in no log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// It was scanned, or copied.
    Text(EnrolmentText),
    /// It was typed.
    Code {
        /// `https://HOST:PORT`.
        server: Url,
        /// What stands on the sheet.
        code: EnrolmentCode,
    },
}

impl From<&EnrolmentText> for Invitation {
    fn from(text: &EnrolmentText) -> Self {
        Self::Text(text.clone())
    }
}

impl Invitation {
    /// The invitation that a person types: `server` may lack `https://`, and the port if it is the usual one.
    ///
    /// # Errors
    /// [`InvalidServer`].
    pub fn typed(server: &str, code: EnrolmentCode) -> Result<Self, InvalidServer> {
        let is_whole = server.contains("://");
        let text = if is_whole { server.to_owned() } else { format!("https://{server}") };
        let mut url = Url::parse(text.trim()).map_err(|_| InvalidServer)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "https" || !url.has_host() || !is_bare || !url.username().is_empty() {
            return Err(InvalidServer);
        }
        if !is_whole && url.port().is_none() {
            url.set_port(Some(PORT)).map_err(|()| InvalidServer)?;
        }
        Ok(Self::Code { server: url, code })
    }

    /// Where to ask.
    pub fn server(&self) -> &Url {
        match self {
            Self::Text(text) => &text.server,
            Self::Code { server, .. } => server,
        }
    }

    /// Whether the server with this key is meant.
    pub fn is_for(&self, pin: Sha256) -> bool {
        match self {
            Self::Text(text) => text.pin == pin,
            Self::Code { code, .. } => code.is_for(pin),
        }
    }

    /// As it follows the scheme in `Authorization`.
    pub(crate) fn credentials(&self) -> String {
        match self {
            Self::Text(text) => text.credentials(),
            Self::Code { code, .. } => code.secret.to_string(),
        }
    }

    /// By which the device knows the invitation again that it was enrolled with. A code has no public half: its checksum
    /// tells nothing that is of use once it has served.
    pub(crate) fn mark(&self) -> TokenId {
        match self {
            Self::Text(text) => text.token,
            Self::Code { code, .. } => {
                let sum = Sha256::of(code.secret.to_string().as_bytes());
                TokenId::from_bytes(std::array::from_fn(|at| sum.as_bytes()[at]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_protocol::CodeSecret;

    use super::*;

    fn typed(server: &str) -> Result<String, InvalidServer> {
        let code = EnrolmentCode::new(Sha256::of(b"key"), CodeSecret::from_random([7; 8]));
        Invitation::typed(server, code).map(|invitation| invitation.server().to_string())
    }

    #[test]
    fn an_address_may_be_typed_with_little() {
        for (address, meant) in [
            ("https://192.0.2.7:5004", "https://192.0.2.7:5004/"),
            ("192.0.2.7", "https://192.0.2.7:5004/"),
            ("dock.example:8443", "https://dock.example:8443/"),
            ("[2001:db8::7]", "https://[2001:db8::7]:5004/"),
            ("https://dock.example", "https://dock.example/"),
        ] {
            assert_eq!(typed(address).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for wrong in ["", "http://192.0.2.7:5004", "192.0.2.7/e", "https://a:b@dock.example", "https://x/?y", "a b"] {
            assert_eq!(typed(wrong), Err(InvalidServer), "{wrong}");
        }
    }
}
