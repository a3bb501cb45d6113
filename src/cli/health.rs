//! What is wrong, and what to do about it.

use std::io::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use longshore_actors::{DeviceHealth, HealthState, IssueView};
use longshore_model::{Clock as _, IssueEnd, IssueWhat, SystemClock};

use super::device::{MOMENT, seconds};
use super::{Target, query, table};
use crate::http::operator::{
    ChangeRow, DeviceHealthRow, HealthOverview, HistoryRow, IgnoreBody, IssueDetail, SilenceBody, paths,
};

#[derive(Debug, Subcommand)]
pub(super) enum Health {
    /// List open issues, those that need somebody first, and say how many devices are well
    List {
        /// Only those of the device with this serial
        #[arg(long, value_name = "SERIAL")]
        device: Option<String>,
        /// Also those that have ended, of the newest 1,000
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show an issue: what it means, what to do about it, what happened to it
    Show {
        /// Its number
        number: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Let nobody hear of an open issue for a while
    Silence {
        /// Its number
        number: u64,
        /// For how long: 8h or 7d
        #[arg(long = "for", value_name = "TIME", value_parser = seconds, required_unless_present = "end")]
        time: Option<u64>,
        /// Let people hear of it again
        #[arg(long, conflicts_with = "time")]
        end: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Let nobody hear of an issue, also when it comes back
    Ignore {
        /// Its number
        number: u64,
        /// Let people hear of it again
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List what happened to issues, the newest first
    History {
        /// Only to those of the device with this serial
        #[arg(long, value_name = "SERIAL")]
        device: Option<String>,
        /// Show at most so many lines; 1,000 at most
        #[arg(long, default_value_t = 100)]
        count: usize,
        #[command(flatten)]
        target: Target,
    },
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { device, all, target } => list(device.as_deref(), all, &target),
            Self::Show { number, target } => {
                let number = number.to_string();
                show(&target.client()?.get(&query(paths::HEALTH_ISSUE, &[("number", &number)]))?, &target)
            }
            Self::Silence { number, time, end, target } => {
                let until = time.filter(|_| !end).map(from_now);
                show(&target.client()?.post(paths::HEALTH_SILENCES, &SilenceBody { issue: number, until })?, &target)
            }
            Self::Ignore { number, end, target } => {
                let body = IgnoreBody { issue: number, ignored: !end };
                show(&target.client()?.post(paths::HEALTH_IGNORES, &body)?, &target)
            }
            Self::History { device, count, target } => history(device.as_deref(), count, &target),
        }
    }
}

/// A time that no calendar has is too long for the server too, which says so.
fn from_now(seconds: u64) -> DateTime<Utc> {
    let time = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    time.and_then(|time| SystemClock.now().checked_add_signed(time)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn list(device: Option<&str>, all: bool, target: &Target) -> anyhow::Result<()> {
    let all = if all { "true" } else { "false" };
    let which: Vec<_> = device.map(|device| ("device", device)).into_iter().chain([("all", all)]).collect();
    let HealthOverview { issues, devices } = target.client()?.get(&query(paths::HEALTH, &which))?;
    if target.json {
        return table::print_json(&HealthOverview { issues, devices });
    }
    let cells = |issue: &IssueView| {
        [
            issue.number.to_string(),
            issue.severity.to_string(),
            whom(issue),
            named(&issue.title, issue.part.as_deref()),
            issue.since.format(MOMENT).to_string(),
            issue.count.to_string(),
            state(issue),
        ]
    };
    let mut out = io::stdout().lock();
    if issues.is_empty() {
        writeln!(out, "No issue is open.")?;
    } else {
        let rows: Vec<_> = issues.iter().map(cells).collect();
        drop(out);
        table::print(["ISSUE", "SEVERITY", "DEVICE", "WHAT", "SINCE", "COUNT", "STATE"], &rows)?;
        out = io::stdout().lock();
        writeln!(out, "`longshore health show ISSUE` tells what to do.")?;
    }
    let count = |state: HealthState| devices.iter().filter(|row: &&DeviceHealthRow| row.state == state).count();
    let (attention, healthy) = (count(HealthState::Attention), count(HealthState::Healthy));
    let not_reported = count(HealthState::NotReported);
    let summary = format!("{attention} need attention, {healthy} healthy, {not_reported} not reported");
    Ok(writeln!(out, "Devices: {summary}.")?)
}

fn whom(issue: &IssueView) -> String {
    let Some(device) = &issue.device else { return "the server".to_owned() };
    let assignee = device.assignee.as_ref().map(|assignee| format!(" ({assignee})"));
    format!("{}{}", device.serial, assignee.unwrap_or_default())
}

fn named(title: &str, part: Option<&str>) -> String {
    part.map_or_else(|| title.to_owned(), |part| format!("{title}: {part}"))
}

fn state(issue: &IssueView) -> String {
    match issue {
        IssueView { ended_at: Some(at), .. } => format!("ended {}", at.format(MOMENT)),
        IssueView { ignored: true, .. } => "ignored".to_owned(),
        IssueView { silenced_until: Some(until), .. } => format!("silenced until {}", until.format(MOMENT)),
        IssueView { hidden_by: Some(other), .. } => format!("explained by {other}"),
        IssueView { flapping: true, .. } => "comes and goes".to_owned(),
        _ => "open".to_owned(),
    }
}

fn show(detail: &IssueDetail, target: &Target) -> anyhow::Result<()> {
    if target.json {
        return table::print_json(detail);
    }
    let IssueDetail { issue, changes } = detail;
    let mut out = io::stdout().lock();
    let what = named(&issue.title, issue.part.as_deref());
    writeln!(out, "Issue {}, {}: {} of {}: {}", issue.number, issue.severity, what, whom(issue), state(issue))?;
    writeln!(out, "{}", issue.text)?;
    if let Some(cause) = &issue.cause {
        writeln!(out, "It was said of it: {cause}")?;
    }
    if let Some(measured) = issue.measured() {
        writeln!(out, "Measured: {measured}")?;
    }
    let times = if issue.count == 1 { "once".to_owned() } else { format!("{} times", issue.count) };
    let (since, last) = (issue.since.format(MOMENT), issue.last_seen.format(MOMENT));
    writeln!(out, "Since {since}, reported {times}, last {last}")?;
    write_steps(&mut out, &issue.steps)?;
    writeln!(out, "What happened:")?;
    for ChangeRow { at, what, value, text } in changes {
        let value = value.as_ref().map(|value| {
            format!(", {value}{}", issue.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default())
        });
        let text = text.as_ref().map(|text| format!(": {text}"));
        let (value, text) = (value.unwrap_or_default(), text.unwrap_or_default());
        writeln!(out, "  {}  {}{value}{text}", at.format(MOMENT), in_words(what))?;
    }
    Ok(out.flush()?)
}

fn write_steps(out: &mut impl Write, steps: &[String]) -> io::Result<()> {
    writeln!(out, "What to do:")?;
    for (number, step) in (1..).zip(steps) {
        writeln!(out, "  {number}. {step}")?;
    }
    Ok(())
}

fn in_words(what: &IssueWhat) -> String {
    match what {
        IssueWhat::Opened => "began".to_owned(),
        IssueWhat::Reopened => "came back".to_owned(),
        IssueWhat::Seen => "is still there".to_owned(),
        IssueWhat::Ended { how: IssueEnd::Cleared } => "was reported to be over".to_owned(),
        IssueWhat::Ended { how: IssueEnd::Quiet } => "ended, since nobody reported it again".to_owned(),
        IssueWhat::Ended { how: IssueEnd::Retired } => "ended, since the device was retired".to_owned(),
        IssueWhat::Silenced { until: Some(until), by } => {
            format!("was silenced until {} by {by}", until.format(MOMENT))
        }
        IssueWhat::Silenced { until: None, by } => format!("was not to be silent any more, said {by}"),
        IssueWhat::Ignored { ignored: true, by } => format!("was to be ignored, said {by}"),
        IssueWhat::Ignored { ignored: false, by } => format!("was not to be ignored any more, said {by}"),
    }
}

fn history(device: Option<&str>, count: usize, target: &Target) -> anyhow::Result<()> {
    let count = count.to_string();
    let which: Vec<_> =
        device.map(|device| ("device", device)).into_iter().chain([("count", count.as_str())]).collect();
    let lines: Vec<HistoryRow> = target.client()?.get(&query(paths::HEALTH_HISTORY, &which))?;
    if target.json {
        return table::print_json(&lines);
    }
    let cells = |HistoryRow { issue, serial, title, part, change }: HistoryRow| {
        let whom = serial.unwrap_or_else(|| "the server".to_owned());
        let when = change.at.format(MOMENT).to_string();
        let text = change.text.unwrap_or_default();
        [when, issue.to_string(), whom, named(&title, part.as_deref()), in_words(&change.what), text]
    };
    let rows: Vec<_> = lines.into_iter().map(cells).collect();
    Ok(table::print(["WHEN", "ISSUE", "DEVICE", "WHAT", "HAPPENED", "SAID OF IT"], &rows)?)
}

/// How a device is, among what else is known of it.
pub(super) fn write_device(out: &mut impl Write, health: &DeviceHealth) -> io::Result<()> {
    let reported = health.reported_at.map(|at| format!(", reported {}", at.format(MOMENT))).unwrap_or_default();
    match health.state {
        HealthState::Attention => writeln!(out, "Health: needs attention{reported}")?,
        HealthState::Healthy => writeln!(out, "Health: healthy{reported}")?,
        HealthState::NotReported => {
            writeln!(out, "Health: not reported; nobody knows how it is, but for what the server notices")?;
        }
    }
    for issue in &health.issues {
        let (what, since) = (named(&issue.title, issue.part.as_deref()), issue.since.format(MOMENT));
        writeln!(out, "Issue {}, {}: {what}, since {since}: {}", issue.number, issue.severity, state(issue))?;
        write_steps(out, &issue.steps)?;
    }
    Ok(())
}
