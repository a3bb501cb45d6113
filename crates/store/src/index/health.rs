//! Issues of devices and of the server: those that are open, those that ended, and what happened to them. How many are kept
//! is bounded here, where no clock and no sweep is needed: each takes the place of one that is long gone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, HealthEventId, HealthSubject, Issue, IssueChange, IssueKey, IssueWhat};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, change, get, put};
use super::news::News;
use super::tables::Table;
use super::{Index, IndexError, read};
use crate::facts::{Entry, HealthFact};

/// Issues that are kept after their end: a city's 500 devices with one a week each, for most of a year.
const ISSUES_KEPT: u64 = 20_000;
/// Changes that are kept, of all issues together: five of each issue.
pub const ISSUE_CHANGES_KEPT: u64 = 5 * ISSUES_KEPT;
/// Ids of events of a device that are known again. It sends only those again of which it got no answer: those of one report,
/// which has no more.
const EVENTS_KNOWN: usize = 256;
/// Key of the one row with the counts; no issue and no change has one of that length.
const COUNTS: &[u8] = b"counts";

/// Key of the one row that says where forgetting goes on; likewise.
const FORGETTING: &[u8] = b"forgetting";
/// Old issues that are looked at when a new one begins: more than one, so that those that were open then are found again.
const LOOKED_AT: u64 = 8;

/// Where forgetting goes on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Forgetting {
    /// All before this one are forgotten.
    low: u64,
    /// The next one that is looked at.
    next: u64,
}

/// How many there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    changes: u64,
}

/// How a device reports its health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReportRow {
    /// When it did last.
    pub at: Option<DateTime<Utc>>,
    /// The events that it sent last.
    pub events: Vec<HealthEventId>,
}

impl Index {
    /// The issue with this number, if it is not long over.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn issue(&self, number: u64) -> Result<Option<Issue>, IndexError> {
        super::get(&self.tables[Table::Issues], &number.to_be_bytes())
    }

    /// The newest issue of this trouble.
    pub fn issue_by_key(&self, key: &IssueKey) -> Result<Option<Issue>, IndexError> {
        let Some(number) = self.tables[Table::IssueKeys].get(key_of(key))? else { return Ok(None) };
        self.tables[Table::Issues].get(number)?.map(|row| read(&row)).transpose()
    }

    /// The number that the next issue gets.
    pub fn next_issue(&self) -> Result<u64, IndexError> {
        let last = self.tables[Table::Issues].iter().next_back().transpose()?;
        Ok(last.and_then(|(key, _)| key.first_chunk().map(|key| u64::from_be_bytes(*key))).unwrap_or(0) + 1)
    }

    /// All issues that are open, the oldest first.
    pub fn open_issues(&self) -> Result<Vec<Issue>, IndexError> {
        self.issues_below(&[])
    }

    /// Those about one device or about the server, likewise.
    pub fn open_issues_of(&self, subject: HealthSubject) -> Result<Vec<Issue>, IndexError> {
        self.issues_below(&subject_key(subject))
    }

    fn issues_below(&self, prefix: &[u8]) -> Result<Vec<Issue>, IndexError> {
        let mut issues = Vec::new();
        for key in self.tables[Table::OpenIssues].scan_prefix(prefix).keys() {
            let Some(number) = key?.last_chunk().map(|number| u64::from_be_bytes(*number)) else { continue };
            issues.extend(self.issue(number)?);
        }
        issues.sort_by_key(|issue| issue.number);
        Ok(issues)
    }

    /// The issues that began last, the newest first; of one device or of the server, if only theirs are asked for.
    pub fn newest_issues(&self, of: Option<HealthSubject>, most: usize) -> Result<Vec<Issue>, IndexError> {
        let mut issues = Vec::new();
        for row in self.tables[Table::Issues].iter().rev() {
            let issue: Issue = read(&row?.1)?;
            if of.is_none_or(|subject| issue.subject == subject) {
                issues.push(issue);
            }
            if issues.len() >= most {
                break;
            }
        }
        Ok(issues)
    }

    /// What happened to issues, the newest first, for as long as `goes_on` says so.
    fn walk_changes(&self, mut goes_on: impl FnMut(IssueChange) -> Result<bool, IndexError>) -> Result<(), IndexError> {
        let Counts { changes } = super::get(&self.tables[Table::IssueChanges], COUNTS)?.unwrap_or_default();
        for number in (changes.saturating_sub(ISSUE_CHANGES_KEPT)..changes).rev() {
            let Some(change) = super::get(&self.tables[Table::IssueChanges], &place(number))? else { break };
            if !goes_on(change)? {
                break;
            }
        }
        Ok(())
    }

    /// What happened to this issue, the newest first.
    pub fn changes_of(&self, issue: u64, most: usize) -> Result<Vec<IssueChange>, IndexError> {
        let mut found = Vec::new();
        self.walk_changes(|change| {
            let begins = change.issue == issue && change.what == IssueWhat::Opened;
            found.extend((change.issue == issue && found.len() < most).then_some(change));
            Ok(!begins && found.len() < most)
        })?;
        Ok(found)
    }

    /// What happened to issues, the newest first, each with its issue; to those of one device or of the server, if only theirs
    /// are asked for.
    pub fn newest_changes(
        &self,
        of: Option<HealthSubject>,
        most: usize,
    ) -> Result<Vec<(Issue, IssueChange)>, IndexError> {
        let (mut found, mut issues) = (Vec::new(), BTreeMap::<u64, Option<Issue>>::new());
        self.walk_changes(|change| {
            let issue = match issues.get(&change.issue) {
                Some(known) => known.clone(),
                None => issues.entry(change.issue).or_insert(self.issue(change.issue)?).clone(),
            };
            let issue = issue.filter(|issue| of.is_none_or(|subject| issue.subject == subject));
            found.extend(issue.filter(|_| found.len() < most).map(|issue| (issue, change)));
            Ok(found.len() < most)
        })?;
        Ok(found)
    }

    /// How a device reports its health; its `at` is `None` if it never did.
    pub fn health_report(&self, device: DeviceId) -> Result<HealthReportRow, IndexError> {
        Ok(super::get(&self.tables[Table::HealthReports], device.as_bytes())?.unwrap_or_default())
    }
}

impl Rows {
    pub(super) fn apply_health(&self, entry: &Entry, fact: &HealthFact) -> Applied<()> {
        match fact {
            HealthFact::Noted { issues, changes, report } => {
                issues.iter().try_for_each(|issue| self.put_issue(issue))?;
                changes.iter().try_for_each(|change| self.add_change(change))?;
                changes.iter().try_for_each(|IssueChange { issue, what, .. }| match what {
                    IssueWhat::Opened | IssueWhat::Reopened => {
                        self.tell_news(entry, News::IssueOpened { issue: *issue })
                    }
                    IssueWhat::Ended { .. } => self.tell_news(entry, News::IssueEnded { issue: *issue }),
                    IssueWhat::Seen | IssueWhat::Silenced { .. } | IssueWhat::Ignored { .. } => Ok(()),
                })?;
                self.note_health(entry, issues, changes)?;
                let Some(report) = report else { return Ok(()) };
                let key = report.device.as_bytes();
                let known: Option<HealthReportRow> = get(&self.tables[Table::HealthReports], key)?;
                let mut events = known.unwrap_or_default().events;
                events.extend(&report.events);
                let old = events.len().saturating_sub(EVENTS_KNOWN);
                events.drain(..old);
                put(&self.tables[Table::HealthReports], key, &HealthReportRow { at: Some(entry.at), events })
            }
            HealthFact::Silenced { issue, until, by, .. } => {
                self.change_issue(*issue, |issue| issue.silenced_until = *until)?;
                self.tell(entry, *issue, IssueWhat::Silenced { until: *until, by: by.clone() })
            }
            HealthFact::Ignored { issue, ignored, by, .. } => {
                self.change_issue(*issue, |issue| issue.ignored = *ignored)?;
                self.tell(entry, *issue, IssueWhat::Ignored { ignored: *ignored, by: by.clone() })
            }
        }
    }

    fn put_issue(&self, issue: &Issue) -> Applied<()> {
        let number = issue.number.to_be_bytes();
        let is_new = self.tables[Table::Issues].get(number.as_slice())?.is_none();
        put(&self.tables[Table::Issues], &number, issue)?;
        let open = [subject_key(issue.subject).as_slice(), &number].concat();
        if issue.is_open() {
            self.tables[Table::OpenIssues].insert(open, b"".as_slice())?;
        } else {
            self.tables[Table::OpenIssues].remove(open)?;
        }
        if is_new {
            self.tables[Table::IssueKeys].insert(key_of(&issue.key()), number.as_slice())?;
            self.forget(issue.number)?;
        }
        Ok(())
    }

    /// Old issues make room for the one of this number. One that is open stays, and one that is ignored, so that it is when it
    /// comes back; of each trouble there is one at most, and so not many. They are looked at again and again.
    fn forget(&self, newest: u64) -> Applied<()> {
        let Some(last) = newest.checked_sub(ISSUES_KEPT) else { return Ok(()) };
        let row: Option<Forgetting> = get(&self.tables[Table::IssueChanges], FORGETTING)?;
        let Forgetting { mut low, mut next } = row.unwrap_or(Forgetting { low: 1, next: 1 });
        for _ in 0..LOOKED_AT.min(last + 1 - low.min(last + 1)) {
            let stays = self.stays(next)?;
            low += u64::from(!stays && low == next);
            next = if next < last { next + 1 } else { low };
        }
        put(&self.tables[Table::IssueChanges], FORGETTING, &Forgetting { low, next: next.max(low) })
    }

    /// Removes an old issue, unless it has to stay.
    fn stays(&self, number: u64) -> Applied<bool> {
        let old = number.to_be_bytes();
        let Some(issue) = get::<Issue>(&self.tables[Table::Issues], &old)? else { return Ok(false) };
        if issue.is_open() || issue.ignored {
            return Ok(true);
        }
        self.tables[Table::Issues].remove(old.as_slice())?;
        let key = key_of(&issue.key());
        let newer = self.tables[Table::IssueKeys].get(&key)?.is_some_and(|number| number != old);
        if !newer {
            self.tables[Table::IssueKeys].remove(key)?;
        }
        Ok(false)
    }

    fn change_issue(&self, number: u64, f: impl FnOnce(&mut Issue)) -> Applied<()> {
        change(&self.tables[Table::Issues], &number.to_be_bytes(), f)
    }

    fn tell(&self, entry: &Entry, issue: u64, what: IssueWhat) -> Applied<()> {
        self.add_change(&IssueChange { issue, at: entry.at, what, value: None, text: None })
    }

    fn add_change(&self, change: &IssueChange) -> Applied<()> {
        let mut counts: Counts = get(&self.tables[Table::IssueChanges], COUNTS)?.unwrap_or_default();
        put(&self.tables[Table::IssueChanges], &place(counts.changes), change)?;
        counts.changes += 1;
        put(&self.tables[Table::IssueChanges], COUNTS, &counts)
    }
}

/// All devices have keys of one length, and the server one of another.
fn subject_key(subject: HealthSubject) -> Vec<u8> {
    match subject {
        HealthSubject::Server => vec![0],
        HealthSubject::Device(device) => [[1].as_slice(), device.as_bytes()].concat(),
    }
}

/// No type has a zero in its name.
fn key_of(IssueKey { subject, kind, part }: &IssueKey) -> Vec<u8> {
    let part = part.as_ref().map_or(Vec::new(), |part| [&[0], part.as_bytes()].concat());
    [subject_key(*subject).as_slice(), kind.as_bytes(), &part].concat()
}

fn place(number: u64) -> [u8; 8] {
    (number % ISSUE_CHANGES_KEPT).to_be_bytes()
}

#[cfg(test)]
mod tests;
