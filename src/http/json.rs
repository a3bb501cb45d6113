//! JSON bodies within their stated limits.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use longshore_protocol::{ProblemType, limits};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::Failure;

/// A body comes within this time: 1 MiB over the slowest mobile network that is worth using. actix itself would wait
/// for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// Reads a whole body.
pub(crate) async fn read<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Failure> {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if content_type.is_some_and(|value| value.split(';').next().map(str::trim) != Some("application/json")) {
        return Err(Failure::new(ProblemType::UnsupportedContentType, "the body must be application/json"));
    }
    let body = timeout(DEADLINE, gather(payload)).await.unwrap_or_else(|_| {
        Err(Failure::new(ProblemType::Stalled, format!("a JSON body comes within {} seconds", DEADLINE.as_secs())))
    })?;
    if depth(&body) > limits::JSON_DEPTH {
        return Err(Failure::malformed(format!("a JSON body is nested at most {} deep", limits::JSON_DEPTH)));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Failure::malformed(format!("the body is not as it should be: {error}")))
}

async fn gather(mut payload: Payload) -> Result<BytesMut, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Failure::malformed(format!("the body was cut: {error}")))?;
        if body.len() + chunk.len() > limits::JSON_BYTES {
            let detail = format!("a JSON body has at most {} bytes", limits::JSON_BYTES);
            return Err(Failure::new(ProblemType::TooLarge, detail));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The deepest nesting of arrays and objects; what stands in strings does not count.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[\"{{","b":[1,[2]]}"#), 3);
        assert_eq!(depth(b"1"), 0);
        assert_eq!(depth(&b"[".repeat(1000)), 1000);
    }
}
