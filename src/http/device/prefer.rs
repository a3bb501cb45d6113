//! How long a client would wait for news (RFC 7240).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

/// Longest that an answer is held back: below the idle limits of proxies and mobile networks.
const MAX_WAIT: Duration = Duration::from_secs(50);

/// The preference `wait` of a request; without one, not at all.
pub(super) fn wait(request: &HttpRequest) -> Duration {
    wait_of(request.headers())
}

fn wait_of(headers: &HeaderMap) -> Duration {
    let values = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';']));
    // Of several of the same name the first counts (§2).
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse().unwrap_or(0))
    });
    Duration::from_secs(seconds.unwrap_or(0)).min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_preference_is_found_among_others_and_bounded() {
        for (values, seconds) in [
            (&["wait=10"][..], 10),
            (&["respond-async, wait=10"], 10),
            (&["respond-async", "Wait = 10"], 10),
            (&["wait=10, wait=20"], 10),
            (&["wait=99999999"], 50),
            (&["wait=-1"], 0),
            (&["wait=99999999999999999999"], 0),
            (&["await=10"], 0),
            (&[], 0),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HeaderName::from_static("prefer"), HeaderValue::from_static(value));
            }
            assert_eq!(wait_of(&headers), Duration::from_secs(seconds), "{values:?}");
        }
    }
}
