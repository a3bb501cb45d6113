//! What becomes of an issue when something is heard of it, and when nothing is. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{HealthTypes, Issue, IssueEnd, IssueKey, IssueWhat, Severity};
use serde_json::Number;

/// Trouble that comes back within this time is the same trouble: a loose cable, a card that sits badly.
pub(super) const CALM: TimeDelta = TimeDelta::hours(1);
/// Trouble that came back so often is believed to be over only after it was over for [`CALM`]: otherwise people are told of
/// it again and again.
const FLAPS: u32 = 3;
/// What stands for several parts ends by itself after this time at the latest: nobody can say that all of them are over.
const SEVERAL: TimeDelta = TimeDelta::hours(24);
/// Between two lines in the history of an issue that is still there.
const SEEN_EVERY: TimeDelta = TimeDelta::hours(1);

/// Something that somebody noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) key: IssueKey,
    /// It is about one of several parts that are not told apart.
    pub(super) several: bool,
    /// When, in true time as far as it is known.
    pub(super) at: DateTime<Utc>,
    pub(super) sign: Sign,
    /// How much it matters, in the opinion of whoever noticed it.
    pub(super) said: Option<Severity>,
    pub(super) value: Option<Number>,
    pub(super) text: Option<String>,
}

/// What was noticed of a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there, and was noticed so often.
    Is(u64),
    /// It is over.
    Over,
}

/// An issue as it is from now on, and what people read of it; nothing, if it only goes on.
pub(super) type Became = (Issue, Option<IssueWhat>);

/// What becomes of the trouble whose newest issue is `known`; `next` is the number of a new one. `None`: nothing.
pub(super) fn hear(known: Option<Issue>, heard: Heard, now: DateTime<Utc>, next: u64) -> Option<Became> {
    match (known, heard.sign) {
        (Some(issue), Sign::Is(times)) if issue.is_open() => Some(goes_on(issue, heard, times, now)),
        (Some(issue), Sign::Over) if issue.is_open() => ends(issue, &heard, now),
        (_, Sign::Over) => None,
        (Some(issue), Sign::Is(times)) => match issue.ended {
            Some((IssueEnd::Cleared, at)) if heard.at - at < CALM => Some(comes_back(issue, heard, times, now)),
            _ => Some(begins(Some(&issue), heard, times, now, next)),
        },
        (None, Sign::Is(times)) => Some(begins(None, heard, times, now, next)),
    }
}

fn begins(before: Option<&Issue>, heard: Heard, times: u64, now: DateTime<Utc>, number: u64) -> Became {
    let Heard { key: IssueKey { subject, kind, part }, several, at, said, value, text, .. } = heard;
    let issue = Issue {
        number,
        subject,
        kind,
        part,
        several,
        said,
        since: at,
        last_seen: at,
        heard_at: now,
        count: times,
        reopened: 0,
        value,
        text,
        calm_at: None,
        ended: None,
        // Who does not want to hear of it does not when it comes back.
        silenced_until: before.and_then(|before| before.silenced_until).filter(|until| now < *until),
        ignored: before.is_some_and(|before| before.ignored),
    };
    (issue, Some(IssueWhat::Opened))
}

fn goes_on(issue: Issue, heard: Heard, times: u64, now: DateTime<Utc>) -> Became {
    let was_calm = issue.calm_at.is_some();
    let what = (now - issue.heard_at >= SEEN_EVERY).then_some(IssueWhat::Seen);
    (again(issue, heard, times, u32::from(was_calm), now), what)
}

fn comes_back(issue: Issue, heard: Heard, times: u64, now: DateTime<Utc>) -> Became {
    let issue = Issue { ended: None, ..issue };
    (again(issue, heard, times, 1, now), Some(IssueWhat::Reopened))
}

fn again(issue: Issue, heard: Heard, times: u64, reopened: u32, now: DateTime<Utc>) -> Issue {
    Issue {
        several: issue.several || heard.several,
        said: heard.said.or(issue.said),
        since: issue.since.min(heard.at),
        last_seen: issue.last_seen.max(heard.at),
        heard_at: now,
        count: issue.count.saturating_add(times),
        reopened: issue.reopened.saturating_add(reopened),
        value: heard.value.or(issue.value),
        text: heard.text.or(issue.text),
        calm_at: None,
        ..issue
    }
}

fn ends(issue: Issue, heard: &Heard, now: DateTime<Utc>) -> Option<Became> {
    if issue.reopened >= FLAPS {
        // It was over before.
        return issue.calm_at.is_none().then(|| (Issue { calm_at: Some(now + CALM), ..issue }, None));
    }
    Some(end(issue, IssueEnd::Cleared, heard.at))
}

/// Ends an issue.
pub(super) fn end(issue: Issue, how: IssueEnd, at: DateTime<Utc>) -> Became {
    let at = at.max(issue.since);
    (Issue { ended: Some((how, at)), calm_at: None, ..issue }, Some(IssueWhat::Ended { how }))
}

/// What becomes of an issue of which nothing was heard until now. `None`: nothing.
pub(super) fn wait(issue: &Issue, types: &HealthTypes, now: DateTime<Utc>) -> Option<Became> {
    if !issue.is_open() {
        return None;
    }
    if let Some(calm) = issue.calm_at {
        if calm <= now {
            return Some(end(issue.clone(), IssueEnd::Cleared, calm - CALM));
        }
        if calm - now > CALM {
            // The clock was ahead then, and was set back: the time counts from now.
            return Some((Issue { calm_at: Some(now + CALM), ..issue.clone() }, None));
        }
    }
    let of_type = types.get(&issue.kind).and_then(|kind| kind.auto_close());
    let auto_close = of_type.into_iter().chain(issue.several.then_some(SEVERAL)).min()?;
    if issue.heard_at - now > auto_close {
        return Some((Issue { heard_at: now, ..issue.clone() }, None));
    }
    (now - issue.heard_at >= auto_close).then(|| end(issue.clone(), IssueEnd::Quiet, now))
}

/// The open issue that explains `issue`, if there is one among those of its device that people see now: of the same part, or of
/// the device as a whole.
pub(super) fn hidden_by<'a>(
    issue: &Issue,
    of_subject: &'a [Issue],
    types: &HealthTypes,
    now: DateTime<Utc>,
) -> Option<&'a Issue> {
    let severity = |issue: &Issue| types.severity(&issue.kind, issue.said);
    // Nobody has to act on a notice, so it must not hide what somebody has to act on.
    let least = severity(issue).min(Severity::Warning);
    let explains = |other: &Issue| {
        let of_it = other.part.is_none() || other.part == issue.part;
        of_it && other.is_open() && !other.is_muted(now) && severity(other) >= least
    };
    types
        .parents(&issue.kind)
        .find_map(|parent| of_subject.iter().find(|other| other.kind == parent && explains(other)))
}

#[cfg(test)]
mod tests;
