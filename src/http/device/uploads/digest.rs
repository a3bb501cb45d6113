//! The checksum of one request's body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Algorithms for `Upload-Checksum`, as `OPTIONS` tells them.
pub(super) const ALGORITHMS: &str = "sha1,sha256";

/// A checksum that a body is to have, and the one of what came of it so far.
pub(super) struct BodyDigest {
    running: Running,
    expected: Vec<u8>,
}

enum Running {
    Sha1(Sha1),
    Sha256(Sha256),
}

/// What is wrong with the value of `Upload-Checksum`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidChecksum {
    /// It is not an algorithm, a space, and base64.
    #[error("Upload-Checksum must be an algorithm, a space, and the checksum in base64")]
    Form,
    /// An algorithm that is not spoken here.
    #[error("Upload-Checksum takes {ALGORITHMS}")]
    Algorithm,
}

impl BodyDigest {
    /// Reads the value of `Upload-Checksum` (tus 1.0.0, Checksum).
    pub(super) fn parse(header: &str) -> Result<Self, InvalidChecksum> {
        let (algorithm, value) = header.split_once(' ').ok_or(InvalidChecksum::Form)?;
        let running = match algorithm {
            "sha1" => Running::Sha1(Sha1::new()),
            "sha256" => Running::Sha256(Sha256::new()),
            _ => return Err(InvalidChecksum::Algorithm),
        };
        let expected = STANDARD.decode(value).map_err(|_| InvalidChecksum::Form)?;
        Ok(Self { running, expected })
    }

    /// The SHA-256 that a digest field says (RFC 9530).
    pub(super) fn sha256(expected: [u8; 32]) -> Self {
        Self { running: Running::Sha256(Sha256::new()), expected: expected.into() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.running {
            Running::Sha1(hash) => hash.update(bytes),
            Running::Sha256(hash) => hash.update(bytes),
        }
    }

    /// Whether what came is what was to come.
    pub(super) fn matches(self) -> bool {
        match self.running {
            Running::Sha1(hash) => hash.finalize()[..] == self.expected[..],
            Running::Sha256(hash) => hash.finalize()[..] == self.expected[..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_its_checksum_says_or_not() {
        // `printf 'hello world' | openssl dgst -sha1 -binary | base64`, and with -sha256.
        for header in ["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="] {
            for (bodies, met) in [(["hello ", "world"], true), (["hello", "world"], false)] {
                let mut digest = BodyDigest::parse(header).unwrap();
                bodies.iter().for_each(|body| digest.update(body.as_bytes()));
                assert_eq!(digest.matches(), met, "{header}");
            }
        }
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        let refusal = |header| BodyDigest::parse(header).err();
        assert_eq!(refusal("sha1"), Some(InvalidChecksum::Form));
        assert_eq!(refusal("sha1 %%%"), Some(InvalidChecksum::Form));
        assert_eq!(refusal("md5 XrY7u+Ae7tCTyyK7j1rNww=="), Some(InvalidChecksum::Algorithm));
        assert!(!BodyDigest::parse("sha256 YWJj").unwrap().matches(), "one that is too short is met by nothing");
    }
}
