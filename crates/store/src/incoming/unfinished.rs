//! An upload that is not finished, and how long it stays.

use chrono::{DateTime, TimeDelta, Utc};

use crate::slots::{Identity, Purpose, Slot};

/// How long an upload is kept that does not come further: a camera may be on leave with its officer, and what nobody goes
/// on with must not fill the disk for ever.
const KEPT: TimeDelta = TimeDelta::days(30);

/// How long what lies aside waits for its repair: a device that was undocked is back after a shift. What the medium altered
/// waits as long as any upload, for a person: who sent it may have deleted it.
const KEPT_ASIDE: TimeDelta = TimeDelta::days(1);

/// An upload that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What it is.
    pub identity: Identity,
    /// Bytes that are durable.
    pub offset: u64,
    /// When the last of them became so; before there are any, when it was created.
    pub advanced_at: DateTime<Utc>,
    /// Since when it lies aside, complete and wrong; `None`: it is on its way.
    pub aside_since: Option<DateTime<Utc>>,
    /// What is wrong with it then: the medium gives back other bytes than came. Otherwise those that came are not those that
    /// were declared.
    pub altered: bool,
}

impl Unfinished {
    /// Whether it is on its way, and does not lie aside.
    pub fn is_on_its_way(&self) -> bool {
        self.aside_since.is_none()
    }

    /// Whether all its bytes are here.
    pub fn is_complete(&self) -> bool {
        self.identity.length == Some(self.offset)
    }

    /// When it goes, unless it comes further, or is taken up, before; `None`: all its bytes are here, and it is to become a
    /// recording.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        if let Some(since) = self.aside_since {
            return Some(since + if self.altered { KEPT } else { KEPT_ASIDE });
        }
        let may_go = !self.is_complete() || self.identity.purpose == Purpose::Part;
        may_go.then(|| self.advanced_at + KEPT)
    }

    /// Whether that time is over.
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at().is_some_and(|expires_at| expires_at <= now)
    }
}

impl From<Slot> for Unfinished {
    fn from(Slot { identity, committed, advanced_at, aside_since, altered, .. }: Slot) -> Self {
        Self { identity, offset: committed.offset, advanced_at, aside_since, altered }
    }
}
