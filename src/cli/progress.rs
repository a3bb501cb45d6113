//! How far long work is: a bar on a terminal, a line for each step elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the bar is drawn anew while nothing moves.
const TICK: Duration = Duration::from_millis(200);
const COUNT: &str = "{msg} {human_pos} {elapsed}";
const SUM: &str = "{msg} {decimal_bytes} {decimal_bytes_per_sec} {elapsed}";
const ITEMS: &str = "{msg} {wide_bar} {human_pos}/{human_len} {eta}";
const BYTES: &str = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";

/// What is shown while a command works; on standard error, so that the answer can be piped.
pub(super) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// Nothing is under way yet.
    pub(super) fn new() -> Self {
        Self { bar: ProgressBar::hidden(), terminal: io::stderr().is_terminal() }
    }

    /// Begins something of which it is not known how much it is.
    pub(super) fn count(&mut self, what: &'static str) {
        self.begin(what, ProgressBar::new_spinner(), COUNT);
    }

    /// Begins reading of which it is not known how much it is.
    pub(super) fn sum(&mut self, what: &'static str) {
        self.begin(what, ProgressBar::new_spinner(), SUM);
    }

    /// Begins work on so many things.
    pub(super) fn items(&mut self, what: &'static str, len: u64) {
        self.begin(what, ProgressBar::new(len), ITEMS);
    }

    /// Begins work on so many bytes.
    pub(super) fn bytes(&mut self, what: &'static str, len: u64) {
        self.begin(what, ProgressBar::new(len), BYTES);
    }

    pub(super) fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    pub(super) fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn begin(&mut self, what: &'static str, bar: ProgressBar, template: &str) {
        self.end();
        if !self.terminal {
            eprintln!("{what} …");
            return;
        }
        // A template that does not parse would show the usual bar.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = bar.with_style(style).with_message(what);
        self.bar.enable_steady_tick(TICK);
    }
}
