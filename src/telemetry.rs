//! Logs: to standard error, one line a message.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// The log that runs, to change what it lets through.
pub(crate) struct Logging(reload::Handle<EnvFilter, Registry>);

/// Starts logging; a second call changes nothing.
pub(crate) fn start(log: &Log) -> Logging {
    let (filter, handle) = reload::Layer::new(log.filter.for_tracing());
    let lines = match log.format {
        LogFormat::Text => fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    };
    let _already_started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Logging(handle)
}

impl Logging {
    /// Takes what a reload brought.
    pub(crate) fn follow(&self, log: &Log) {
        // It fails only when there is no such log any more, that is, in no running server.
        let _gone = self.0.reload(log.filter.for_tracing());
    }
}
