//! Logs: to standard error, one line an event, by the level in `LONGSHORE_LOG` (default `info`).

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

const VARIABLE: &str = "LONGSHORE_LOG";
/// sled and the HTTP server tell of their inner life at `info`.
const DEFAULT: &str = "info,sled=warn,actix_server=warn,actix_http=warn";

/// Starts logging; a second call changes nothing.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr);
    let _already_started = subscriber.try_init();
}
