//! What other parts of the server notice. Telling it is a moment's work under a lock and waits for nothing, so that a
//! transfer never does; the aggregator takes what was told and records it. What is told here outlives the aggregator.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{DeviceId, HealthSubject, Issue, IssueKey};
use serde_json::Number;

use super::tally::{Heard, Sign};

/// Troubles that may wait for a journal that takes none now; beyond, they are passed over, so that memory stays flat. They are
/// noticed again if they last.
const WAITING: usize = 4096;
/// An open issue is not written anew for each time that it is noticed again.
const AGAIN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Likewise one that simply stands: it is known to be there.
const STANDS_EVERY: TimeDelta = TimeDelta::hours(1);

/// Something that a part of the server noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    key: IssueKey,
    value: Option<Number>,
    text: Option<String>,
}

impl Notice {
    /// About the server, or about somebody whom it does not know; `kind` is one of `longshore_model::health_type`.
    pub fn of_server(kind: &str) -> Self {
        Self::of(HealthSubject::Server, kind)
    }

    /// About a device.
    pub fn of_device(device: DeviceId, kind: &str) -> Self {
        Self::of(HealthSubject::Device(device), kind)
    }

    fn of(subject: HealthSubject, kind: &str) -> Self {
        Self { key: IssueKey { subject, kind: kind.to_owned(), part: None }, value: None, text: None }
    }

    /// About this part of it alone: a camera, an address, a recipient.
    #[must_use]
    pub fn part(mut self, part: impl Into<String>) -> Self {
        self.key.part = Some(part.into());
        self
    }

    /// What was measured, in the unit of the type.
    #[must_use]
    pub fn value(mut self, value: impl Into<Number>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// What is known beside the type: its cause, for people.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }
}

/// What is noticed, for the aggregator; cheap to clone, usable from any thread.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Table>>);

impl Notices {
    /// It happened, once more.
    pub fn happened(&self, notice: Notice) {
        self.table().note(Noticed { times: 1, ..Noticed::nothing_of(notice) });
    }

    /// It is so, whoever says it how often.
    pub fn stands(&self, notice: Notice) {
        self.table().note(Noticed { stands: true, ..Noticed::nothing_of(notice) });
    }

    /// It is over, if it was.
    pub fn over(&self, notice: Notice) {
        self.table().note(Noticed { over: true, ..Noticed::nothing_of(notice) });
    }

    /// It stands or is over.
    pub fn is(&self, notice: Notice, stands: bool) {
        if stands { self.stands(notice) } else { self.over(notice) }
    }

    /// These are all issues that are open. Nothing is taken before that is known.
    pub(super) fn know(&self, open: &[Issue]) {
        let mut table = self.table();
        (table.open, table.several) = (Some(HashMap::new()), HashSet::new());
        table.learn(open);
    }

    /// These issues became so.
    pub(super) fn learn(&self, issues: &[Issue]) {
        self.table().learn(issues);
    }

    /// What is to be recorded now.
    pub(super) fn take(&self, now: DateTime<Utc>) -> Taken {
        let mut table = self.table();
        let lost = std::mem::take(&mut table.lost);
        if lost > 0 {
            tracing::warn!(lost, "health: more was noticed than could be kept until the journal takes it");
        }
        Taken { notices: self.clone(), noticed: table.take(now) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is being recorded. If it is dropped before it was, it waits again: what becomes of whoever records it loses nothing.
pub(super) struct Taken {
    notices: Notices,
    noticed: Vec<Noticed>,
}

impl Taken {
    /// As the tally hears it; empty if there is nothing to record.
    pub(super) fn heard(&self, at: DateTime<Utc>) -> Vec<Heard> {
        self.noticed.iter().flat_map(|noticed| noticed.clone().heard(at)).collect()
    }

    /// It is in the journal, and the table has learned what became of it.
    pub(super) fn recorded(mut self) {
        let mut table = self.notices.table();
        for noticed in std::mem::take(&mut self.noticed) {
            table.recording.remove(&noticed.notice.key);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut table = self.notices.table();
        for before in std::mem::take(&mut self.noticed) {
            table.recording.remove(&before.notice.key);
            match table.waiting.remove(&before.notice.key) {
                Some(newer) => table.note(before.then(newer)),
                None => table.note(before),
            }
        }
    }
}

/// What was noticed of one trouble since it was taken last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noticed {
    notice: Notice,
    /// It happened so often.
    times: u64,
    /// It was so.
    stands: bool,
    /// After all that it is over.
    over: bool,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of the keys, so that issues that begin together get their numbers in an order that can be foretold.
    waiting: BTreeMap<IssueKey, Noticed>,
    /// Troubles of which something is on its way to the journal; what comes of them meanwhile waits.
    recording: HashSet<IssueKey>,
    /// Troubles that are open, and when the journal heard of them last; `None`: nobody knows yet.
    open: Option<HashMap<IssueKey, DateTime<Utc>>>,
    /// Those that stand for several parts.
    several: HashSet<IssueKey>,
    lost: u64,
}

impl Table {
    fn note(&mut self, mut newer: Noticed) {
        // Nearly all that a look at all devices finds is that something is not so: that must not take the room.
        if newer.is_only_over() && self.is_nothing(&newer.notice.key) {
            return;
        }
        if let Some(stands_for) = self.stands_for(&newer.notice.key) {
            newer.notice.key = stands_for;
        }
        let noticed = match self.waiting.remove(&newer.notice.key) {
            Some(before) => before.then(newer),
            None => newer,
        };
        if self.waiting.len() < WAITING {
            self.waiting.insert(noticed.notice.key.clone(), noticed);
        } else {
            self.lost += 1;
        }
    }

    /// The open issue that stands for this part, which is none by itself: of a crowd of strangers not each is written down.
    fn stands_for(&self, key: &IssueKey) -> Option<IssueKey> {
        let whole = IssueKey { part: None, ..key.clone() };
        (key.part.is_some() && self.is_nothing(key) && self.several.contains(&whole)).then_some(whole)
    }

    /// Nobody noticed it, as far as is known.
    fn is_nothing(&self, key: &IssueKey) -> bool {
        let is_open = self.open.as_ref().is_none_or(|open| open.contains_key(key));
        !is_open && !self.waiting.contains_key(key) && !self.recording.contains(key)
    }

    fn learn(&mut self, issues: &[Issue]) {
        let Some(open) = &mut self.open else { return };
        for issue in issues {
            let key = issue.key();
            if issue.is_open() && issue.several {
                self.several.insert(key.clone());
            } else {
                self.several.remove(&key);
            }
            if issue.is_open() {
                open.insert(key, issue.heard_at);
            } else {
                open.remove(&key);
            }
        }
    }

    fn take(&mut self, now: DateTime<Utc>) -> Vec<Noticed> {
        let Some(open) = &self.open else { return Vec::new() };
        let mut due: Vec<Noticed> = Vec::new();
        self.waiting.retain(|key, noticed| {
            if self.recording.contains(key) {
                return true;
            }
            // A clock that was set back makes nothing wait.
            let heard_within =
                |time| open.get(key).is_some_and(|heard| (TimeDelta::zero()..time).contains(&(now - heard)));
            let Noticed { times, stands, over, .. } = *noticed;
            let nothing_new = match over {
                true => times == 0 && !stands && !open.contains_key(key),
                false => times == 0 && heard_within(STANDS_EVERY),
            };
            if nothing_new {
                return false;
            }
            let waits = !over && heard_within(AGAIN_EVERY);
            if !waits {
                due.push(noticed.clone());
            }
            waits
        });
        self.recording.extend(due.iter().map(|noticed| noticed.notice.key.clone()));
        due
    }
}

impl Noticed {
    fn nothing_of(notice: Notice) -> Self {
        Self { notice, times: 0, stands: false, over: false }
    }

    fn is_only_over(&self) -> bool {
        self.over && self.times == 0 && !self.stands
    }

    fn then(self, newer: Self) -> Self {
        let only_over = newer.times == 0 && !newer.stands;
        let (value, text) = (self.notice.value, self.notice.text);
        let notice = Notice { value: newer.notice.value.or(value), text: newer.notice.text.or(text), ..newer.notice };
        Self {
            notice,
            times: self.times.saturating_add(newer.times),
            stands: self.stands || newer.stands,
            over: newer.over || (only_over && self.over),
        }
    }

    fn heard(self, at: DateTime<Utc>) -> Vec<Heard> {
        let Self { notice: Notice { key, value, text }, times, stands, over } = self;
        let ended = over.then(|| Heard {
            key: key.clone(),
            several: false,
            at,
            sign: Sign::Over,
            said: None,
            value: None,
            text: None,
        });
        let is = (stands || times > 0).then(|| Heard {
            key,
            several: false,
            at,
            sign: Sign::Is(times.max(1)),
            said: None,
            value,
            text,
        });
        is.into_iter().chain(ended).collect()
    }
}

#[cfg(test)]
mod tests;
