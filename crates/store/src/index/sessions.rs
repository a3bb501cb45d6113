//! Sessions of devices: the one that is open, and the last ones that ended. How many are kept is bounded here, where no
//! clock and no sweep is needed: each takes the place of one that is long gone.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{DeviceId, Recording, Session};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, put};
use super::tables::Table;
use super::{Index, IndexError, get, read};
use crate::facts::SessionFact;

/// Sessions of a device that are kept: of one that comes three times a day, those of a year.
pub const SESSIONS_KEPT: u64 = 1_000;

/// The begin of a session is told a moment after it: a recording that is complete before still belongs to it.
const MOMENT: TimeDelta = TimeDelta::seconds(10);

/// The one row of a device beside its sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ledger {
    /// How many ended.
    ended: u64,
    /// The one that is open.
    open: Option<OpenSession>,
    /// What became complete while none was open.
    early: Option<Early>,
}

/// Recordings that became complete before their session was heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Early {
    since: DateTime<Utc>,
    recordings: u64,
    stored: u64,
}

/// A session that has not ended, as far as the journal knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// What is known of it.
    pub session: Session,
    /// The last thing that it brought, or its begin.
    pub last_sign: DateTime<Utc>,
}

impl Rows {
    pub(super) fn apply_session(&self, fact: &SessionFact) -> Applied<()> {
        let sessions = &self.tables[Table::Sessions];
        match fact {
            SessionFact::Began { device, at, address } => {
                let mut ledger = self.ledger(*device)?;
                let early = ledger.early.take().filter(|early| early.since >= *at);
                let (recordings, stored) = early.map_or((0, 0), |early| (early.recordings, early.stored));
                let session = Session {
                    began: *at,
                    ended: None,
                    end: None,
                    address: *address,
                    network: None,
                    received: None,
                    recordings,
                    stored,
                };
                ledger.open = Some(OpenSession { session, last_sign: *at });
                put(sessions, device.as_bytes(), &ledger)
            }
            SessionFact::Ended { device, at, address, network, received, end } => {
                let mut ledger = self.ledger(*device)?;
                let Some(OpenSession { session, .. }) = ledger.open.take() else { return Ok(()) };
                let ended = Session {
                    ended: Some(*at),
                    end: Some(*end),
                    address: *address,
                    network: network.clone(),
                    received: *received,
                    ..session
                };
                put(sessions, &place(*device, ledger.ended), &ended)?;
                ledger.ended += 1;
                put(sessions, device.as_bytes(), &ledger)
            }
        }
    }

    fn ledger(&self, device: DeviceId) -> Applied<Ledger> {
        Ok(super::apply::get(&self.tables[Table::Sessions], device.as_bytes())?.unwrap_or_default())
    }

    /// A recording that became complete counts for the session that is open, or for one that is told of in a moment.
    pub(super) fn count_in_session(&self, recording: &Recording, at: DateTime<Utc>) -> Applied<()> {
        let mut ledger = self.ledger(recording.device)?;
        if let Some(OpenSession { session, last_sign }) = &mut ledger.open {
            session.recordings += 1;
            session.stored += recording.size;
            *last_sign = at;
        } else {
            let early = ledger.early.take().filter(|early| at - early.since < MOMENT);
            let mut early = early.unwrap_or(Early { since: at, recordings: 0, stored: 0 });
            early.recordings += 1;
            early.stored += recording.size;
            ledger.early = Some(early);
        }
        put(&self.tables[Table::Sessions], recording.device.as_bytes(), &ledger)
    }
}

impl Index {
    /// The session of this device that is open, as far as the journal knows.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn open_session(&self, device: DeviceId) -> Result<Option<OpenSession>, IndexError> {
        let ledger: Option<Ledger> = get(&self.tables[Table::Sessions], device.as_bytes())?;
        Ok(ledger.and_then(|ledger| ledger.open))
    }

    /// When the device was last heard of, as far as its sessions tell; `None`: it was never connected.
    pub fn last_connected(&self, device: DeviceId) -> Result<Option<DateTime<Utc>>, IndexError> {
        let ledger: Option<Ledger> = get(&self.tables[Table::Sessions], device.as_bytes())?;
        let Some(Ledger { ended, open, .. }) = ledger else { return Ok(None) };
        let newest = ended.checked_sub(1).map(|number| get(&self.tables[Table::Sessions], &place(device, number)));
        let newest: Option<Session> = newest.transpose()?.flatten();
        Ok(newest.and_then(|session| session.ended).max(open.map(|open| open.last_sign)))
    }

    /// All that are open.
    pub fn open_sessions(&self) -> Result<Vec<(DeviceId, OpenSession)>, IndexError> {
        let mut open = Vec::new();
        for device in self.devices()? {
            open.extend(self.open_session(device.id)?.map(|session| (device.id, session)));
        }
        Ok(open)
    }

    /// The sessions of a device that ended, the newest first.
    pub fn sessions(&self, device: DeviceId) -> Result<Vec<Session>, IndexError> {
        let mut sessions = Vec::new();
        for row in self.tables[Table::Sessions].scan_prefix(device.as_bytes()) {
            let (key, row) = row?;
            if key.len() > device.as_bytes().len() {
                sessions.push(read::<Session>(&row)?);
            }
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.began));
        Ok(sessions)
    }
}

fn place(device: DeviceId, number: u64) -> Vec<u8> {
    [device.as_bytes().as_slice(), &(number % SESSIONS_KEPT).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use longshore_model::SessionEnd;

    use super::*;
    use crate::facts::{Entry, Fact};
    use crate::index::IndexPlace;
    use crate::journal::Mark;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    fn day(n: u64) -> DateTime<Utc> {
        let begin: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        begin + TimeDelta::days(i64::try_from(n).unwrap())
    }

    #[test]
    fn the_last_thousand_sessions_of_a_device_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&IndexPlace::below(folder.path())).unwrap();
        let sessions = 1_500;
        let facts = (0..sessions).flat_map(|n| {
            let (device, address, network) = (DEVICE, None, None);
            let (received, end) = (Some(n), SessionEnd::Silent);
            [
                SessionFact::Began { device, at: day(n), address },
                SessionFact::Ended { device, at: day(n), address, network, received, end },
            ]
        });
        let entries: Vec<_> =
            facts.zip(1..).map(|(fact, seq)| Entry { seq, at: day(0), fact: Fact::Session(fact) }).collect();
        for group in entries.chunks(256) {
            let mark = Mark { seq: group.last().unwrap().seq, hash: String::new(), segment: 1, batch_at: 0 };
            index.apply(group, &mark).unwrap();
        }
        let kept = index.sessions(DEVICE).unwrap();
        let numbers: Vec<_> = kept.iter().map(|session| session.received.unwrap()).collect();
        let newest: Vec<_> = (sessions - SESSIONS_KEPT..sessions).rev().collect();
        assert_eq!(numbers, newest);
        assert_eq!(index.open_session(DEVICE).unwrap(), None);
        assert_eq!(index.last_connected(DEVICE).unwrap(), Some(day(sessions - 1)));
        assert_eq!(index.last_connected(DeviceId::from_bytes([2; 16])).unwrap(), None);
    }
}
