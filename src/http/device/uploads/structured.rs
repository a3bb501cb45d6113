//! Structured fields (RFC 9651) and digest fields (RFC 9530). One that is malformed is as none at all.

use actix_web::http::header::HeaderMap;
use longshore_model::Sha256;
use longshore_protocol::headers;
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::digest::BodyDigest;

/// The algorithm of a digest field that is known here; others are passed over.
const SHA_256: &str = "sha-256";

/// A field that is true or false.
pub(super) fn boolean(headers_in: &HeaderMap, name: &str) -> Option<bool> {
    match item(headers_in, name)? {
        BareItem::Boolean(value) => Some(value),
        _ => None,
    }
}

/// A field that is a number of bytes.
pub(super) fn number(headers_in: &HeaderMap, name: &str) -> Option<u64> {
    match item(headers_in, name)? {
        BareItem::Integer(value) => value.try_into().ok(),
        _ => None,
    }
}

/// What the body of the request is to be.
pub(super) fn content_digest(headers_in: &HeaderMap) -> Option<BodyDigest> {
    sha256(headers_in, headers::CONTENT_DIGEST).map(BodyDigest::sha256)
}

/// What the whole recording is to be.
pub(super) fn repr_digest(headers_in: &HeaderMap) -> Option<Sha256> {
    sha256(headers_in, headers::REPR_DIGEST).map(Sha256::from_bytes)
}

fn sha256(headers_in: &HeaderMap, name: &str) -> Option<[u8; 32]> {
    let dictionary: Dictionary = Parser::new(&joined(headers_in, name)?).parse().ok()?;
    match dictionary.get(SHA_256)? {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}

fn item(headers_in: &HeaderMap, name: &str) -> Option<BareItem> {
    let item: Item = Parser::new(&joined(headers_in, name)?).parse().ok()?;
    Some(item.bare_item)
}

/// Lines of the same name are one field (RFC 9110 §5.2).
fn joined(headers_in: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers_in.get_all(name).map(|line| line.to_str().ok()).collect::<Option<_>>()?;
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        let mut headers_in = HeaderMap::new();
        for line in lines {
            headers_in.append(HeaderName::from_static(name), HeaderValue::from_static(line));
        }
        headers_in
    }

    #[test]
    fn a_field_is_read_or_ignored_as_a_whole() {
        let complete = |lines: &[&'static str]| boolean(&with("upload-complete", lines), "upload-complete");
        assert_eq!((complete(&["?1"]), complete(&["?0;a=1"])), (Some(true), Some(false)));
        for wrong in [&[][..], &["1"], &["true"], &["?2"], &["?1", "?1"], &["?1 x"]] {
            assert_eq!(complete(wrong), None, "{wrong:?}");
        }
        let length = |line| number(&with("upload-length", &[line]), "upload-length");
        assert_eq!((length("0"), length("100;x")), (Some(0), Some(100)));
        for wrong in ["-1", "1.5", "\"1\"", "1x", "9999999999999999"] {
            assert_eq!(length(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_sha_256_of_a_digest_field_counts_and_others_are_passed_over() {
        let digest = |lines: &[&'static str]| repr_digest(&with("repr-digest", lines));
        let expected = Some(Sha256::of(b"hello world"));
        assert_eq!(digest(&["sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"]), expected);
        assert_eq!(digest(&["sha-512=:YQ==:", "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"]), expected);
        for wrong in ["sha-512=:YQ==:", "sha-256=:YQ==:", "sha-256=uU0n", "sha-256=:uU0n"] {
            assert_eq!(digest(&[wrong]), None, "{wrong}");
        }
    }
}
