//! What the person in front of the agent sees.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::lock::lock;

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
    /// Nothing is to be done for a while, for this `reason`; over with `end` or with the next job.
    fn idle(&self, reason: &str);
}

/// Bars if the output is a terminal, else one line for each thing done.
pub fn for_output() -> Arc<dyn Observer> {
    if io::stderr().is_terminal() && io::stdout().is_terminal() {
        Arc::new(Bars::default())
    } else {
        Arc::new(Lines::default())
    }
}

/// Writes a line to the output. That nobody listens any more, as behind `head`, is no reason to stop working.
pub fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Writes a line to the error output, in the same way.
pub fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// How often a job that takes long tells how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// One line for each thing done, for logs and scripts; a long job has one each minute.
#[derive(Debug, Default)]
pub struct Lines {
    current: Mutex<Option<Going>>,
    /// Why there was nothing to do the last time, so that a log is not filled with it.
    idle: Mutex<String>,
}

/// A job on its way.
#[derive(Debug)]
struct Going {
    what: String,
    /// Bytes that were there before.
    before: u64,
    done: u64,
    total: u64,
    since: Instant,
    told: Instant,
}

impl Going {
    /// How far it is after this long.
    fn line(&self, after: Duration) -> String {
        let moved = u128::from(self.done.saturating_sub(self.before));
        let rate = u64::try_from(moved * 1_000 / after.as_millis().max(1)).unwrap_or(u64::MAX);
        let left = self.total.saturating_sub(self.done).checked_div(rate);
        let left = left.map_or_else(|| "standing still".to_owned(), |left| format!("{} left", human_time(left)));
        let (done, total) = (human_bytes(self.done), human_bytes(self.total));
        format!("{}: {done} of {total}, {}/s, {left}", self.what, human_bytes(rate))
    }
}

fn name(job: Job<'_>) -> String {
    match job {
        Job::Hashing => "checksums".to_owned(),
        Job::Sending(name) => name.to_owned(),
    }
}

impl Observer for Lines {
    fn say(&self, line: &str) {
        print(line);
    }

    fn warn(&self, line: &str) {
        print_error(line);
    }

    fn begin(&self, job: Job<'_>, done: u64, total: u64) {
        let now = Instant::now();
        let going = Going { what: name(job), before: done, done, total, since: now, told: now };
        *lock(&self.current) = Some(going);
        // What comes after a job is news, even if it is the same again.
        lock(&self.idle).clear();
    }

    fn advance(&self, bytes: u64) {
        if let Some(going) = &mut *lock(&self.current) {
            going.done = going.done.saturating_add(bytes);
            if going.told.elapsed() >= SIGN_OF_LIFE {
                going.told = Instant::now();
                self.say(&going.line(going.since.elapsed()));
            }
        }
    }

    fn end(&self) {
        *lock(&self.current) = None;
    }

    fn idle(&self, reason: &str) {
        let mut last = lock(&self.idle);
        if *last != reason {
            reason.clone_into(&mut last);
            self.say(reason);
        }
    }
}

/// A bar with bytes, rate and remaining time.
#[derive(Debug, Default)]
pub struct Bars {
    current: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn show(&self, bar: ProgressBar) {
        bar.enable_steady_tick(Duration::from_millis(500));
        if let Some(before) = lock(&self.current).replace(bar) {
            before.finish_and_clear();
        }
    }

    fn suspend(&self, work: impl FnOnce()) {
        match &*lock(&self.current) {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }
}

impl Observer for Bars {
    fn say(&self, line: &str) {
        self.suspend(|| print(line));
    }

    fn warn(&self, line: &str) {
        self.suspend(|| print_error(line));
    }

    fn begin(&self, job: Job<'_>, done: u64, total: u64) {
        let form = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Bytes that were there before say nothing about the rate.
        let bar = ProgressBar::new(total).with_style(style).with_position(done).with_message(name(job));
        bar.reset_eta();
        self.show(bar);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*lock(&self.current) {
            bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Some(bar) = lock(&self.current).take() {
            bar.finish_and_clear();
        }
    }

    fn idle(&self, reason: &str) {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.show(ProgressBar::new_spinner().with_style(style).with_message(reason.to_owned()));
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

/// A time in seconds as people say it: `40 s`, `7 min`, `2 h 5 min`.
fn human_time(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_job_tells_how_far_it_is_how_fast_and_how_long_it_takes() {
        let now = Instant::now();
        let (before, done, total) = (1_000_000_000, 1_480_000_000, 3_200_000_000);
        let going = Going { what: "a.mp4".into(), before, done, total, since: now, told: now };
        let line = going.line(Duration::from_secs(60));
        assert_eq!(line, "a.mp4: 1.5 GB of 3.2 GB, 8.0 MB/s, 3 min left");
        let line = Going { done: before, ..going }.line(Duration::ZERO);
        assert_eq!(line, "a.mp4: 1.0 GB of 3.2 GB, 0 B/s, standing still");
        assert_eq!([59, 3_599, 7_500].map(human_time), ["59 s", "59 min", "2 h 5 min"]);
    }

    #[test]
    fn a_log_hears_once_why_there_is_nothing_to_do() {
        let lines = Lines::default();
        lines.idle("no card is in");
        assert_eq!(*lock(&lines.idle), "no card is in");
        lines.begin(Job::Hashing, 0, 1);
        assert!(lock(&lines.idle).is_empty());
    }

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
