use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use longshore_model::{IssueEnd, Severity, health_type};

use super::super::words::{self, clean, count};
use super::{About, Checkpoints, Composed, DeviceName, Heading, Lines, attention, lines};
use crate::health::IssueView;

/// Devices of a cause that are listed.
const DEVICES: usize = 50;

/// What there is to tell about health.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthNews {
    /// Issues that are open, and wanted to be heard of.
    pub(crate) open: Vec<IssueView>,
    /// Numbers of those that began, or came back, in the window.
    pub(crate) begun: BTreeSet<u64>,
    /// Issues that ended in the window.
    pub(crate) ended: Vec<IssueView>,
    pub(crate) checkpoints: Checkpoints,
    /// Something happened in the window.
    pub(crate) is_news: bool,
}

/// A trouble, and who has it.
#[derive(Debug)]
struct Cause {
    severity: &'static str,
    title: String,
    text: String,
    devices: Vec<String>,
    steps: Vec<String>,
}

#[derive(Debug)]
struct Health {
    heading: Heading,
    answer: Vec<String>,
    attention: Vec<Cause>,
    silent: Vec<Cause>,
    notices: Vec<String>,
    ended: Vec<String>,
    checkpoints: Checkpoints,
}

#[derive(Template)]
#[template(path = "digest/health.txt", escape = "none")]
struct Text<'a> {
    digest: &'a Health,
}

#[derive(Template)]
#[template(path = "digest/health.html")]
struct Html<'a> {
    digest: &'a Health,
}

/// The mail about health.
///
/// # Errors
/// Those of the templates, which have none of their own.
pub(crate) fn compose(about: &About, news: HealthNews) -> askama::Result<Composed> {
    let answer = answer(about, &news);
    let subject = about.subject(&answer);
    let HealthNews { open, begun, mut ended, checkpoints, .. } = news;
    let (needed, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|issue| issue.needs_somebody(about.to));
    let (silent, needed): (Vec<_>, Vec<_>) =
        needed.into_iter().partition(|issue| issue.kind == health_type::LINK_OFFLINE);
    ended.sort_by_key(|issue| issue.ended_at);
    let notices: Vec<_> = others.into_iter().filter(|issue| begun.contains(&issue.number)).collect();
    let digest = Health {
        heading: about.heading("health", "digest.health"),
        answer,
        attention: causes(needed, &begun, about),
        silent: causes(silent, &begun, about),
        notices: lines(&notices, |issue| format!("{}: {}", whose(issue), title(issue))),
        ended: lines(&ended, |issue| ended_line(issue, about)),
        checkpoints,
    };
    Ok(Composed { subject, text: Text { digest: &digest }.render()?, html: Html { digest: &digest }.render()? })
}

/// Devices that need somebody; the server is one of them if it does.
pub(crate) fn needing(open: &[IssueView], now: chrono::DateTime<chrono::Utc>) -> usize {
    let needed = open.iter().filter(|issue| issue.needs_somebody(now));
    needed.filter_map(|issue| issue.device.as_ref()).map(|device| &device.serial).collect::<BTreeSet<_>>().len()
}

fn answer(about: &About, news: &HealthNews) -> Vec<String> {
    let devices = needing(&news.open, about.to);
    let server = news.open.iter().any(|issue| issue.device.is_none() && issue.needs_somebody(about.to));
    let needed = match (attention(devices), server) {
        (None, false) => "no device needs attention".to_owned(),
        (None, true) => "the server needs attention".to_owned(),
        (Some(devices), false) => devices,
        (Some(_), true) => format!("the server and {} need attention", count(devices, "device", "devices")),
    };
    let ended = news.ended.len();
    [needed].into_iter().chain((ended > 0).then(|| format!("{ended} resolved"))).collect()
}

/// Issues by their type: the steps are the same for all who have it.
fn causes(issues: Vec<IssueView>, begun: &BTreeSet<u64>, about: &About) -> Vec<Cause> {
    let mut by_kind: BTreeMap<(std::cmp::Reverse<Severity>, String), Vec<IssueView>> = BTreeMap::new();
    for issue in issues {
        by_kind.entry((std::cmp::Reverse(issue.severity), issue.kind.clone())).or_default().push(issue);
    }
    let cause = |((std::cmp::Reverse(severity), _), mut issues): (_, Vec<IssueView>)| {
        issues.sort_by_cached_key(|issue| (!begun.contains(&issue.number), whose(issue), issue.part.clone()));
        let first = issues.first()?;
        Some(Cause {
            severity: Severity::as_str(severity),
            title: clean(&first.title),
            text: first.text.clone(),
            steps: first.steps.clone(),
            devices: super::some_lines(&issues, DEVICES, |issue| {
                issue_line(issue, begun.contains(&issue.number), about)
            }),
        })
    };
    by_kind.into_iter().filter_map(cause).collect()
}

fn whose(issue: &IssueView) -> String {
    let Some(device) = &issue.device else { return "The server".to_owned() };
    let (assignee, model, serial) = (device.assignee.clone(), device.model.clone(), device.serial.clone());
    DeviceName { assignee, model, serial }.label()
}

/// What it is, and at which camera.
fn title(issue: &IssueView) -> String {
    let part = issue.part.as_ref().map(|part| format!(", {}", clean(part))).unwrap_or_default();
    format!("{}{part}", clean(&issue.title))
}

fn issue_line(issue: &IssueView, is_new: bool, about: &About) -> String {
    let new = if is_new { "new, " } else { "" };
    let mut line = whose(issue);
    if let Some(part) = &issue.part {
        line += &format!(", {}", clean(part));
    }
    line += &format!(": {new}since {}", words::moment(issue.since, about.zone));
    if issue.count > 1 {
        line += &format!(", {} times", issue.count);
    }
    if let Some(measured) = issue.measured() {
        line += &format!(", {}", clean(&measured));
    }
    if let Some(cause) = &issue.cause {
        line += &format!(". It says: {}", words::sentence(cause));
    }
    line
}

fn ended_line(issue: &IssueView, about: &About) -> String {
    let how = match issue.end {
        Some(IssueEnd::Quiet) => "not seen any more",
        Some(IssueEnd::Retired) => "out of service",
        Some(IssueEnd::Cleared) | None => "over",
    };
    let at = issue.ended_at.map(|at| format!(" since {}", words::moment(at, about.zone))).unwrap_or_default();
    format!("{}: {} is {how}{at}.", whose(issue), title(issue))
}

impl Lines for Health {}

impl Cause {
    fn heading(&self) -> String {
        format!("{} ({})", self.title, self.severity)
    }

    /// The steps of the text part.
    fn numbered(&self) -> Vec<String> {
        let number = |(n, step): (usize, &String)| words::wrapped(step, &format!("  {n:>2}. "), "      ");
        (1..).zip(&self.steps).map(number).collect()
    }
}
