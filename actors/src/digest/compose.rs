//! What a digest says: from what is known to one struct for both forms of the mail. Pure.

pub(super) mod health;
pub(super) mod transfer;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use super::words::{self, clean, count};

/// Lines of a part of a mail: whoever wants to know more looks at the server.
const LINES: usize = 100;

/// What every digest is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The home site of its devices; `None`: all devices.
    pub(crate) site: Option<String>,
    pub(crate) date: NaiveDate,
    /// Dates before of which none was made.
    pub(crate) missed: Vec<NaiveDate>,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) zone: Tz,
    /// Where people find the server.
    pub(crate) url: String,
}

/// A mail, but for whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// Its subject: the answer to what most people want to know.
    pub subject: String,
    /// For programs that show no HTML.
    pub text: String,
    /// One page that needs nothing else.
    pub html: String,
}

/// How people know a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceName {
    pub(crate) assignee: Option<String>,
    pub(crate) model: String,
    pub(crate) serial: String,
}

/// What the server found when it looked at its store by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Night {
    pub(crate) day: NaiveDate,
    pub(crate) expected: u64,
    pub(crate) present: u64,
    pub(crate) unverified: u64,
    /// How many things are wrong.
    pub(crate) problems: u64,
    /// The first of them.
    pub(crate) named: Vec<String>,
}

impl Night {
    /// Whether somebody has to look into it.
    pub(crate) fn is_wrong(&self) -> bool {
        self.problems > 0 || self.present != self.expected
    }

    fn lines(&self) -> Vec<String> {
        let Self { day, expected, present, unverified, problems, named } = self;
        let number = |n: &u64| words::grouped(usize::try_from(*n).unwrap_or(usize::MAX));
        let [expected, present, unverified] = [expected, present, unverified].map(number);
        let found = format!("{}: {expected} expected, {present} present, {unverified} unverified.", words::short(*day));
        let left = problems.saturating_sub(named.len() as u64);
        let named = named.iter().map(|problem| words::sentence(problem));
        let more = (left > 0).then(|| format!("And {left} more; `longshore verify store` tells all."));
        [found].into_iter().chain(named).chain(more).collect()
    }
}

/// Places of the journal that the server signed. Each mailbox that keeps them can show later that nothing before was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoints(pub(crate) Vec<String>);

impl Checkpoints {
    /// What they are for.
    fn why(&self) -> &'static str {
        "Keep this mail. With these lines `longshore verify checkpoint` shows later that nothing in the server's records before them was changed."
    }

    /// For the text part.
    fn wrapped(&self) -> Vec<String> {
        let columns = |signed: &String| {
            let letters: Vec<char> = signed.chars().collect();
            letters.chunks(words::COLUMNS).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
        };
        self.0.iter().map(columns).collect()
    }
}

/// What stands at the top of a digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heading {
    /// Whose digest it is, and of when.
    pub(super) title: String,
    /// From when to when.
    pub(super) window: String,
    /// Days that nobody heard of in time.
    pub(super) missed: Option<String>,
    pub(super) url: String,
    /// In what of the configuration the addresses are.
    pub(super) setting: &'static str,
}

impl Heading {
    /// Who sends this, and how one ends it.
    fn foot(&self) -> String {
        let Self { url, setting, .. } = self;
        format!(
            "Longshore at {url} sends this once a day when there is something new. Its addresses are in [{setting}] of the server's configuration."
        )
    }
}

/// What both digests' text parts are made of.
trait Lines {
    /// A paragraph.
    fn line(&self, text: impl AsRef<str>) -> String {
        words::wrapped(text.as_ref(), "", "")
    }

    /// For the HTML part: what stands between backticks is typed as it is.
    fn spoken<'a>(&self, text: &'a str) -> Vec<(bool, &'a str)> {
        text.split('`').enumerate().map(|(n, part)| (n % 2 == 1, part)).collect()
    }

    /// One of several.
    fn item(&self, text: impl AsRef<str>) -> String {
        words::wrapped(text.as_ref(), "* ", "  ")
    }
}

impl About {
    fn heading(&self, what: &str, setting: &'static str) -> Heading {
        let date = self.date.format("%A %-d %B %Y");
        let missed = words::dates(&self.missed);
        // Why is not known: the server may have been off, or the time of the day was set anew.
        let missed = (!self.missed.is_empty())
            .then(|| format!("No mail was made for {missed}. This one tells of that time too."));
        Heading {
            title: format!("{}: {what}, {date}", self.place().unwrap_or_else(|| "All devices".to_owned())),
            window: words::window(self.from, self.to, self.zone),
            missed,
            url: self.url.clone(),
            setting,
        }
    }

    fn place(&self) -> Option<String> {
        self.site.as_deref().map(clean)
    }

    /// `[North yard] the answer · Thu 19 Nov`.
    fn subject(&self, answer: &[String]) -> String {
        let place = self.place().unwrap_or_else(|| "Longshore".to_owned());
        let first = self.missed.first().map(|first| format!("{} to ", words::short(*first))).unwrap_or_default();
        format!("[{place}] {} · {first}{}", answer.join(" · "), words::short(self.date))
    }
}

impl DeviceName {
    pub(super) fn label(&self) -> String {
        let device = format!("{} {}", clean(&self.model), clean(&self.serial));
        match &self.assignee {
            Some(assignee) => format!("{} ({device})", clean(assignee)),
            None => device,
        }
    }
}

/// The last line says how many are left out.
fn lines<T>(all: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    some_lines(all, LINES, line)
}

fn some_lines<T>(all: &[T], most: usize, line: impl Fn(&T) -> String) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(most).map(line).collect();
    if let Some(more) = all.len().checked_sub(most).filter(|more| *more > 0) {
        lines.push(format!("And {more} more."));
    }
    lines
}

/// `3 devices need attention`.
fn attention(devices: usize) -> Option<String> {
    let need = if devices == 1 { "needs" } else { "need" };
    (devices > 0).then(|| format!("{} {need} attention", count(devices, "device", "devices")))
}

#[cfg(test)]
mod tests;
