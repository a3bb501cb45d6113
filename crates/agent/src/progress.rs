//! What the person in front of the agent sees.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A long job over many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job<'a> {
    /// Computing checksums.
    Hashing,
    /// Sending the recording of this name.
    Sending(&'a str),
}

/// Hears what the agent does. One job runs at a time.
pub trait Observer: Send + Sync + 'static {
    /// Something was done.
    fn say(&self, line: &str);
    /// Something needs a person's attention, or explains a wait.
    fn warn(&self, line: &str);
    /// A job begins: `done` of `total` bytes are done already.
    fn begin(&self, job: Job<'_>, done: u64, total: u64);
    /// The job is this many bytes further.
    fn advance(&self, bytes: u64);
    /// The job is over, well or badly.
    fn end(&self);
}

/// Bars if the output is a terminal, else one line for each thing done.
pub fn for_output() -> Arc<dyn Observer> {
    if io::stderr().is_terminal() && io::stdout().is_terminal() { Arc::new(Bars::default()) } else { Arc::new(Lines) }
}

/// One line for each thing done, for logs and scripts.
#[derive(Debug)]
pub struct Lines;

impl Observer for Lines {
    fn say(&self, line: &str) {
        println!("{line}");
    }

    fn warn(&self, line: &str) {
        eprintln!("{line}");
    }

    fn begin(&self, _job: Job<'_>, _done: u64, _total: u64) {}

    fn advance(&self, _bytes: u64) {}

    fn end(&self) {}
}

/// A bar with bytes, rate and remaining time.
#[derive(Debug, Default)]
pub struct Bars {
    current: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn print(&self, print: impl FnOnce()) {
        self.with(|current| match current {
            Some(bar) => bar.suspend(print),
            None => print(),
        });
    }
}

impl Observer for Bars {
    fn say(&self, line: &str) {
        self.print(|| println!("{line}"));
    }

    fn warn(&self, line: &str) {
        self.print(|| eprintln!("{line}"));
    }

    fn begin(&self, job: Job<'_>, done: u64, total: u64) {
        let form = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        let message = match job {
            Job::Hashing => "checksums".to_owned(),
            Job::Sending(name) => name.to_owned(),
        };
        // Bytes that were there before say nothing about the rate.
        let bar = ProgressBar::new(total).with_style(style).with_position(done).with_message(message);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        self.with(|current| *current = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.inc(bytes);
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish_and_clear();
            }
        });
    }
}

/// A number of bytes as people write it, in decimal units: `52.4 MB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let (mut unit, mut scale) = (UNITS[0], 1_000_u64);
    if bytes < scale {
        return format!("{bytes} B");
    }
    for next in UNITS.iter().skip(1) {
        // From here on one decimal would round up to 1000 of the smaller unit.
        if bytes < scale.saturating_mul(1_000).saturating_sub(scale / 20) {
            break;
        }
        (unit, scale) = (next, scale.saturating_mul(1_000));
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(scale) / 2) / u128::from(scale);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (52_428_800, "52.4 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (3_221_225_472, "3.2 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
