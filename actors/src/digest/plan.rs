//! What is to be recorded next about a digest: pure but for what it reads from the index.

use chrono::{DateTime, NaiveDate, Utc};
use longshore_store::facts::{DigestFact, Window};
use longshore_store::index::{DigestEnd, DigestState, Index, IndexError};

use super::DigestSetting;
use super::schedule::Due;

/// What follows for this digest from the time that it is. One that was planned is seen to first.
pub(super) fn next(
    index: &Index,
    setting: &DigestSetting,
    now: DateTime<Utc>,
) -> Result<Option<DigestFact>, IndexError> {
    let Some(end) = index.digest_end(&setting.of)? else {
        let (digest, date) = (setting.of.clone(), setting.daily.newest(now));
        return Ok(Some(DigestFact::Begun { digest, date }));
    };
    if end.open.is_some() {
        return Ok(None);
    }
    let due = setting.daily.due(now, |date| index.digest_until(&setting.of, date))?;
    due.map(|due| planned(index, setting, &end, due, now, None)).transpose()
}

/// The digest of `date` before its time, if there is none of that date yet.
pub(super) fn at_once(
    index: &Index,
    setting: &DigestSetting,
    date: NaiveDate,
    now: DateTime<Utc>,
    by: String,
) -> Result<Option<DigestFact>, IndexError> {
    let Some(end) = index.digest_end(&setting.of)? else { return Ok(None) };
    let made = index.digest(&setting.of, date)?.is_some_and(|row| row.state != DigestState::Begun);
    if end.open.is_some() || made {
        return Ok(None);
    }
    let before = date.pred_opt().map(|before| index.digest_until(&setting.of, before)).transpose()?.flatten();
    let missed = setting.daily.missed_before(date, before);
    planned(index, setting, &end, Due { date, missed }, now, Some(by)).map(Some)
}

fn planned(
    index: &Index,
    DigestSetting { of, to, daily }: &DigestSetting,
    end: &DigestEnd,
    Due { date, missed }: Due,
    now: DateTime<Utc>,
    by: Option<String>,
) -> Result<DigestFact, IndexError> {
    Ok(DigestFact::Planned {
        digest: of.clone(),
        date,
        missed,
        zone: daily.zone().name().to_owned(),
        to: to.iter().map(ToString::to_string).collect(),
        window: since(index, end, now)?,
        by,
    })
}

/// From the end of the last window to what the index holds.
pub(super) fn since(index: &Index, end: &DigestEnd, now: DateTime<Utc>) -> Result<Window, IndexError> {
    let until = index.applied()?.map_or(0, |mark| mark.seq);
    Ok(Window { after: end.until, until, from: end.to, to: now })
}
