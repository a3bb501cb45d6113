//! Rates at times of the day.

use std::fmt;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use crate::{BytesPerSecond, Rate};

/// A rate, and others at times of the day: `unlimited, 07:00-19:00 200 Mbit/s`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timetable {
    usual: Rate,
    at_times: Vec<(NaiveTime, NaiveTime, Rate)>,
}

impl Timetable {
    /// Whether there is no bound at any time.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// What counts at this time of the day; of several windows that hold it, the last. `None`: unlimited.
    pub fn at(&self, time: NaiveTime) -> Option<BytesPerSecond> {
        let holds = |(from, to, _): &&(NaiveTime, NaiveTime, Rate)| {
            // One that ends before it begins goes over midnight.
            if from <= to { (*from..*to).contains(&time) } else { time >= *from || time < *to }
        };
        self.at_times.iter().rfind(holds).map_or(self.usual, |(.., rate)| *rate).bytes_per_second()
    }
}

impl TryFrom<String> for Timetable {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let usual = Rate::try_from(parts.next().unwrap_or_default().to_owned())?;
        let at_times = parts.map(window).collect::<Result<_, _>>()?;
        Ok(Self { usual, at_times })
    }
}

fn window(text: &str) -> Result<(NaiveTime, NaiveTime, Rate), String> {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").ok();
    let read = || {
        let (times, rate) = text.split_once(' ')?;
        let (from, to) = times.split_once('-')?;
        Some((time(from)?, time(to)?, rate))
    };
    let wrong =
        || format!("{text:?} is no time of the day with its rate; write one such as \"07:00-19:00 200 Mbit/s\"");
    let (from, to, rate) = read().ok_or_else(wrong)?;
    if from == to {
        return Err(format!("{text:?} begins when it ends"));
    }
    Ok((from, to, Rate::try_from(rate.trim_start().to_owned())?))
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.usual.fmt(f)?;
        self.at_times
            .iter()
            .try_for_each(|(from, to, rate)| write!(f, ", {}-{} {rate}", from.format("%H:%M"), to.format("%H:%M")))
    }
}

impl From<Timetable> for String {
    fn from(timetable: Timetable) -> Self {
        timetable.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_times_of_the_day_other_rates_count() {
        let text = "unlimited, 07:00-19:00 200 Mbit/s, 12:00-13:00 80 Mbit/s, 22:00-05:00 1 Gbit/s";
        let timetable = Timetable::try_from(text.to_owned()).unwrap();
        assert_eq!(timetable.to_string(), text);
        let at = |time: &str| {
            timetable.at(NaiveTime::parse_from_str(time, "%H:%M").unwrap()).map(|bytes| bytes * 8 / 1_000_000)
        };
        for (time, mbit) in [
            ("06:59", None),
            ("07:00", Some(200)),
            ("12:30", Some(80)),
            ("13:00", Some(200)),
            ("19:00", None),
            ("23:00", Some(1000)),
            ("04:59", Some(1000)),
            ("05:00", None),
        ] {
            assert_eq!(at(time), mbit, "{time}");
        }
        for wrong in
            ["unlimited, 200 Mbit/s", "unlimited, 7-19 200 Mbit/s", "unlimited, 07:00-07:00 1 Mbit/s", "unlimited,"]
        {
            assert!(Timetable::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
