use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The pairs of `Upload-Metadata` (tus 1.0.0, Creation): comma-separated, a key and an optional base64 value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    header: String,
    pairs: BTreeMap<String, Vec<u8>>,
}

/// A value of `Upload-Metadata` that does not follow its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// A pair without a key.
    #[error("a pair has no key")]
    NoKey,
    /// A value that is not base64.
    #[error("a value is not base64")]
    NotBase64,
    /// The same key again.
    #[error("a key occurs twice")]
    Twice,
}

impl Metadata {
    /// Reads the header's value.
    ///
    /// # Errors
    /// [`InvalidMetadata`], by what is wrong.
    pub fn parse(header: &str) -> Result<Self, InvalidMetadata> {
        let mut pairs = BTreeMap::new();
        for pair in header.split(',').map(str::trim) {
            if pair.is_empty() && header.trim().is_empty() {
                break;
            }
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            if key.is_empty() {
                return Err(InvalidMetadata::NoKey);
            }
            let value = STANDARD.decode(value.trim()).map_err(|_| InvalidMetadata::NotBase64)?;
            if pairs.insert(key.to_owned(), value).is_some() {
                return Err(InvalidMetadata::Twice);
            }
        }
        Ok(Self { header: header.to_owned(), pairs })
    }

    /// The value of `key`, if it is there and is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The header's value, as it came.
    pub fn as_header(&self) -> &str {
        &self.header
    }

    /// The header's value for one pair.
    pub fn pair(key: &str, value: &str) -> String {
        format!("{key} {}", STANDARD.encode(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_values_decoded() {
        let metadata = Metadata::parse("filename d29ybGQ=, is_confidential,rid YWJj").unwrap();
        assert_eq!(metadata.text("filename"), Some("world"));
        assert_eq!(metadata.text("is_confidential"), Some(""));
        assert_eq!(metadata.text("rid"), Some("abc"));
        assert_eq!(metadata.text("other"), None);
        assert_eq!(Metadata::parse(&Metadata::pair("rid", "ü")).unwrap().text("rid"), Some("ü"));
        assert_eq!(Metadata::parse(""), Ok(Metadata::default()));
    }

    #[test]
    fn what_does_not_follow_the_form_is_refused() {
        assert_eq!(Metadata::parse("a,,b"), Err(InvalidMetadata::NoKey));
        assert_eq!(Metadata::parse("rid %%%"), Err(InvalidMetadata::NotBase64));
        assert_eq!(Metadata::parse("a YQ==,a Yg=="), Err(InvalidMetadata::Twice));
    }
}
