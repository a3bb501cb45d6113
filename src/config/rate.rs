//! Rates, and times of the day at which they count.

use std::fmt;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

/// Bytes a second.
pub type BytesPerSecond = u64;

const UNITS: [(&str, u64); 3] = [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1_000)];

/// A rate such as `64 Mbit/s`, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(Option<BytesPerSecond>);

impl Rate {
    /// `None`: unlimited.
    pub fn bytes_per_second(self) -> Option<BytesPerSecond> {
        self.0
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        let bits = UNITS.iter().find_map(|(unit, factor)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(*factor)
        });
        // With less than a byte a second nothing would ever arrive.
        let bytes = bits.map(|bits| bits / 8).filter(|bytes| *bytes > 0);
        let right = "write \"unlimited\" or a whole number of kbit/s, Mbit/s or Gbit/s, such as \"64 Mbit/s\"";
        bytes.map(|bytes| Self(Some(bytes))).ok_or_else(|| format!("{text:?} is no rate; {right}"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bits) = self.0.map(|bytes| bytes * 8) else { return f.write_str("unlimited") };
        // One of them divides it: that is how it was read.
        let whole = UNITS.iter().find(|(_, factor)| bits % factor == 0);
        let (unit, factor) = whole.copied().unwrap_or(("bit/s", 1));
        write!(f, "{} {unit}", bits / factor)
    }
}

/// A rate, and others at times of the day: `unlimited, 07:00-19:00 200 Mbit/s`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timetable {
    usual: Rate,
    at_times: Vec<(NaiveTime, NaiveTime, Rate)>,
}

impl Timetable {
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

/// Rate of one transfer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StreamRate {
    /// What `config/models.toml` says of the device's model.
    #[default]
    ByModel,
    /// The same for all.
    Same(Timetable),
}

impl TryFrom<String> for StreamRate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "by model" {
            return Ok(Self::ByModel);
        }
        Timetable::try_from(text).map(Self::Same).map_err(|why| format!("{why}; or write \"by model\""))
    }
}

impl fmt::Display for StreamRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByModel => f.write_str("by model"),
            Self::Same(timetable) => timetable.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: TryFrom<String, Error = String> + fmt::Display>(text: &str) -> Result<String, String> {
        T::try_from(text.to_owned()).map(|value| value.to_string())
    }

    #[test]
    fn a_rate_has_a_unit_of_bits() {
        for (text, same) in [
            ("unlimited", "unlimited"),
            ("64 Mbit/s", "64 Mbit/s"),
            ("64000kbit/s", "64 Mbit/s"),
            ("1500 kbit/s", "1500 kbit/s"),
            ("10 Gbit/s", "10 Gbit/s"),
        ] {
            assert_eq!(read::<Rate>(text).as_deref(), Ok(same));
        }
        for wrong in
            ["", "64", "64 Mb/s", "8 MB/s", "0 Mbit/s", "-1 Mbit/s", "1.5 Mbit/s", "99999999999999999999 Gbit/s"]
        {
            assert!(read::<Rate>(wrong).is_err_and(|why| why.contains("64 Mbit/s")), "{wrong}");
        }
    }

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
            assert!(read::<Timetable>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rate_of_a_transfer_may_follow_from_the_model() {
        assert_eq!(read::<StreamRate>("by model").as_deref(), Ok("by model"));
        assert_eq!(read::<StreamRate>("10 Mbit/s").as_deref(), Ok("10 Mbit/s"));
        assert!(read::<StreamRate>("by size").is_err_and(|why| why.contains("by model")));
    }
}
