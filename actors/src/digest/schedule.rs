//! When a digest is due. The cron expression only names a time of the day, read as a clock on the wall shows it; what is made
//! once is the digest of a local date. So neither a change to daylight saving nor a clock that is set makes one twice or loses
//! one.

use std::str::FromStr as _;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use cron::Schedule;

/// Dates that one mail names as missed, the newest: nobody wants to read more than those of a year.
const MISSED: usize = 366;
/// Between a date's time on the wall and its moment lies at most this: the offset of a zone, and the day that a zone may leave
/// out when it crosses the date line.
const AROUND: TimeDelta = TimeDelta::days(2);
/// Occurrences of an expression that are looked at before it is believed: those of more than a year.
const LOOKED_AT: usize = 400;

/// The days on which a digest is made, and when on them.
#[derive(Debug, Clone, PartialEq)]
pub struct Daily {
    text: String,
    schedule: Schedule,
    zone: Tz,
}

/// A text that names no time for a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDaily {
    /// Neither a time of the day nor an expression.
    #[error(
        "{0:?} is neither a time such as \"06:00\" nor a cron expression of five fields such as \"0 6 * * Mon-Fri\""
    )]
    Unreadable(String),
    /// Programs do not agree which day is 1.
    #[error("{0:?} has a number for a day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")]
    Weekday(String),
    /// More than one on a day.
    #[error("{0:?} comes several times a day; a digest is made once a day at most")]
    Often(String),
    /// None at all.
    #[error("{0:?} never comes")]
    Never(String),
}

/// A digest that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Of which date it is.
    pub date: NaiveDate,
    /// Earlier dates of which none was made, since nobody was there to make it.
    pub missed: Vec<NaiveDate>,
}

impl Daily {
    /// Reads a time of the day, or a cron expression of five fields, as the clocks of `zone` show it.
    ///
    /// # Errors
    /// [`NotDaily`].
    pub fn new(text: &str, zone: Tz) -> Result<Self, NotDaily> {
        let wrong = || NotDaily::Unreadable(text.to_owned());
        let fields: Vec<&str> = text.split_whitespace().collect();
        let expression = match (NaiveTime::parse_from_str(text, "%H:%M"), &fields[..]) {
            (Ok(time), _) => time.format("0 %M %H * * *").to_string(),
            // Cron's first field is the minute; the crate's is the second.
            (_, [_, _, _, _, weekday]) if weekday.contains(|c: char| c.is_ascii_digit()) => {
                return Err(NotDaily::Weekday(text.to_owned()));
            }
            (_, [_, _, _, _, _]) => format!("0 {}", fields.join(" ")),
            _ => return Err(wrong()),
        };
        let schedule = Schedule::from_str(&expression).map_err(|_| wrong())?;
        let dates: Vec<NaiveDate> =
            schedule.after(&DateTime::UNIX_EPOCH).take(LOOKED_AT).map(|at| at.date_naive()).collect();
        if dates.is_empty() {
            return Err(NotDaily::Never(text.to_owned()));
        }
        if dates.windows(2).any(|two| two[0] == two[1]) {
            return Err(NotDaily::Often(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), schedule, zone })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose clocks it goes by.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// What is due at `now`, if anything; `made` is the newest date up to the given one of which a digest was made.
    ///
    /// # Errors
    /// Those of `made`.
    pub fn due<E>(
        &self,
        now: DateTime<Utc>,
        made: impl FnOnce(NaiveDate) -> Result<Option<NaiveDate>, E>,
    ) -> Result<Option<Due>, E> {
        let Some(date) = self.newest(now) else { return Ok(None) };
        // After a clock was far ahead there are later ones; they keep nobody from making those between.
        let before = made(date)?;
        Ok((before != Some(date)).then(|| Due { date, missed: self.missed_before(date, before) }))
    }

    /// The newest date whose moment has come.
    pub fn newest(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        let wall = self.wall(now) + AROUND;
        let mut back = self.schedule.after(&wall.and_utc()).rev();
        back.find(|at| self.moment(at.naive_utc()) <= now).map(|at| at.date_naive())
    }

    /// The next moment at which one is due, after `now`.
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = self.wall(now) - AROUND;
        self.schedule.after(&wall.and_utc()).map(|at| self.moment(at.naive_utc())).find(|at| *at > now)
    }

    /// The dates before `date` of which there is none, if `before` is the newest one of which there is.
    pub(super) fn missed_before(&self, date: NaiveDate, before: Option<NaiveDate>) -> Vec<NaiveDate> {
        let Some(first) = before.and_then(|before| before.checked_add_days(Days::new(1))) else { return Vec::new() };
        let back = self.schedule.after(&date.and_time(NaiveTime::MIN).and_utc()).rev();
        let mut missed: Vec<_> =
            back.map(|at| at.date_naive()).take_while(|missed| *missed >= first).take(MISSED).collect();
        missed.reverse();
        missed
    }

    fn wall(&self, now: DateTime<Utc>) -> NaiveDateTime {
        now.with_timezone(&self.zone).naive_local()
    }

    /// When the clocks of the zone show `wall`: of two times the first; one that is left out counts as if the clocks had not
    /// been put forward yet (as in RFC 5545 §3.3.5).
    fn moment(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        let earliest = self.zone.from_local_datetime(&wall).earliest();
        earliest.map_or_else(
            || {
                let offset = self.zone.offset_from_utc_datetime(&(wall - AROUND)).fix();
                (wall - offset).and_utc()
            },
            |moment| moment.to_utc(),
        )
    }
}

#[cfg(test)]
mod tests;
