//! Things that were heard of, folded into the issues that the index has: all within one decision, so that nothing comes between.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use longshore_model::{DeviceClock, DeviceId, HealthEvent, HealthSubject, HealthTypes, Issue, IssueChange, IssueKey};
use longshore_store::facts::{Fact, HealthFact, HealthReport};
use longshore_store::index::{Index, IndexError};

use super::budget::Budgets;
use super::tally::{self, Became, Heard, Sign};

/// Open issues of one device, or of one type of the server's, that are told apart by their part, or that have a type which nobody
/// knows. Beyond, those of a type are one: nobody reads more, and whoever makes up names shall not fill the journal. A device
/// has only its own; what the server has of strangers must not hide which of its mails or programs is in trouble.
const OPEN: usize = 64;
/// A clock that was never set counts from 1970, 1980 or 2000.
const FIRST_YEAR: i32 = 2010;
/// A device that says nothing of its health but that it does is noted no more often.
const REPORTED_EVERY: TimeDelta = TimeDelta::hours(1);

/// What became of an event that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTaken {
    /// It is recorded, now or when it was sent before.
    Recorded,
    /// It has a type that nobody knows, and there are too many of those.
    TooMany,
    /// It would begin an issue, and its device has begun too many.
    TooOften,
}

/// A decision that is being made.
pub(super) struct Fold<'a> {
    index: &'a Index,
    types: Arc<HealthTypes>,
    now: DateTime<Utc>,
    next: u64,
    /// Issues that were looked at or changed, by their key: the newest of each.
    newest: HashMap<IssueKey, Option<Issue>>,
    changed: BTreeMap<u64, Issue>,
    changes: Vec<IssueChange>,
    open: HashMap<Shared, usize>,
    /// The device that reports, with what all of them may begin; the server itself begins what it notices.
    reports: Option<(DeviceId, &'a mut Budgets)>,
}

/// Whose open issues are counted together: a device's, or those of one type of the server's.
type Shared = (HealthSubject, Option<String>);

fn shared(subject: HealthSubject, kind: &str) -> Shared {
    (subject, matches!(subject, HealthSubject::Server).then(|| kind.to_owned()))
}

impl<'a> Fold<'a> {
    pub(super) fn begin(index: &'a Index, types: Arc<HealthTypes>, now: DateTime<Utc>) -> Result<Self, IndexError> {
        let (newest, changed, open) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        Ok(Self {
            index,
            types,
            now,
            next: index.next_issue()?,
            newest,
            changed,
            changes: Vec::new(),
            open,
            reports: None,
        })
    }

    /// Takes what was heard, if there is room for it.
    pub(super) fn hear(&mut self, heard: Heard) -> Result<EventTaken, IndexError> {
        let known = self.newest(&heard.key)?;
        let begins = matches!(heard.sign, Sign::Is(_)) && !known.as_ref().is_some_and(Issue::is_open);
        if begins && self.open(&heard.key)? >= OPEN {
            if heard.key.part.is_some() {
                return self.hear(Heard { key: IssueKey { part: None, ..heard.key }, several: true, ..heard });
            }
            if self.types.get(&heard.key.kind).is_none() {
                return Ok(EventTaken::TooMany);
            }
        }
        if begins && self.reports.as_mut().is_some_and(|(device, budgets)| !budgets.spend(*device, self.now)) {
            return Ok(EventTaken::TooOften);
        }
        let (value, text) = (heard.value.clone(), heard.text.clone());
        if let Some((issue, what)) = tally::hear(known, heard, self.now, self.next) {
            self.changes.extend(what.map(|what| IssueChange { issue: issue.number, at: self.now, what, value, text }));
            self.became(issue);
        }
        Ok(EventTaken::Recorded)
    }

    /// An issue became so, and not because something was heard.
    pub(super) fn take(&mut self, (issue, what): Became) {
        let change = |what| IssueChange { issue: issue.number, at: self.now, what, value: None, text: None };
        self.changes.extend(what.map(change));
        self.became(issue);
    }

    fn became(&mut self, issue: Issue) {
        if issue.number == self.next {
            self.next += 1;
            *self.open.entry(shared(issue.subject, &issue.kind)).or_default() += 1;
        }
        self.newest.insert(issue.key(), Some(issue.clone()));
        self.changed.insert(issue.number, issue);
    }

    fn newest(&mut self, key: &IssueKey) -> Result<Option<Issue>, IndexError> {
        if let Some(known) = self.newest.get(key) {
            return Ok(known.clone());
        }
        let known = self.index.issue_by_key(key)?;
        self.newest.insert(key.clone(), known.clone());
        Ok(known)
    }

    fn open(&mut self, key: &IssueKey) -> Result<usize, IndexError> {
        let shared = shared(key.subject, &key.kind);
        if let Some(open) = self.open.get(&shared) {
            return Ok(*open);
        }
        let of_it = |issue: &Issue| shared.1.as_ref().is_none_or(|kind| issue.kind == *kind);
        let open = self.index.open_issues_of(key.subject)?.into_iter().filter(of_it).count();
        self.open.insert(shared, open);
        Ok(open)
    }

    /// The facts, and the issues as they are then.
    pub(super) fn end(self, report: Option<HealthReport>) -> (Vec<Fact>, Vec<Issue>) {
        let issues: Vec<Issue> = self.changed.into_values().collect();
        if issues.is_empty() && report.is_none() {
            return (Vec::new(), issues);
        }
        let noted = HealthFact::Noted { issues: issues.clone(), changes: self.changes, report };
        (vec![Fact::Health(noted)], issues)
    }
}

/// What is to be recorded, what is answered, and the issues that changed.
type Reported = (Vec<Fact>, (Vec<EventTaken>, Vec<Issue>));

/// What follows from events that a device sends, in their order.
pub(super) fn report<'a>(
    mut fold: Fold<'a>,
    device: DeviceId,
    events: Vec<HealthEvent>,
    budgets: &'a mut Budgets,
) -> Result<Reported, IndexError> {
    fold.reports = Some((device, budgets));
    let (known, clock) = (fold.index.health_report(device)?, fold.index.clock(device)?);
    let mut report = HealthReport { device, events: Vec::new() };
    let mut taken = Vec::with_capacity(events.len());
    for event in events {
        let id = event.id;
        if known.events.contains(&id) || report.events.contains(&id) {
            taken.push(EventTaken::Recorded);
            continue;
        }
        let became = fold.hear(heard(device, event, &clock, fold.now))?;
        report.events.extend((became == EventTaken::Recorded).then_some(id));
        taken.push(became);
    }
    let is_news = !report.events.is_empty() || known.at.is_none_or(|at| fold.now - at >= REPORTED_EVERY);
    let (facts, issues) = fold.end(is_news.then_some(report));
    Ok((facts, (taken, issues)))
}

fn heard(device: DeviceId, event: HealthEvent, clock: &DeviceClock, now: DateTime<Utc>) -> Heard {
    let HealthEvent { kind, at, severity, camera, value, text, cleared, .. } = event;
    let part = camera.filter(|camera| !camera.is_empty());
    let truly = clock.to_true(at, None).unwrap_or_else(|| at.to_utc());
    // What cannot have been then was now.
    let at = if truly.year() < FIRST_YEAR { now } else { truly.min(now) };
    let sign = if cleared { Sign::Over } else { Sign::Is(1) };
    Heard {
        key: IssueKey { subject: HealthSubject::Device(device), kind, part },
        several: false,
        at,
        sign,
        said: severity,
        value,
        text,
    }
}
