//! `[custody]`: when and how much the server reads of what it stores.

use std::fmt;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::value::Size;

/// How the server looks after what it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Custody {
    /// When it begins each day.
    pub time: TimeOfDay,
    /// Part of the recordings that is read again each day.
    pub share: Percent,
    /// Bytes that are read at most.
    pub budget: Size,
}

impl Default for Custody {
    fn default() -> Self {
        // At night, when cameras are out or have been emptied; each recording about once a month; at 20 MiB/s, which is what it
        // takes while devices upload, the budget is read in three hours.
        let time = NaiveTime::from_hms_opt(2, 30, 0).unwrap_or(NaiveTime::MIN);
        Self { time: TimeOfDay(time), share: Percent(3), budget: Size(200 << 30) }
    }
}

/// A time of the day, such as `02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(pub NaiveTime);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = NaiveTime::parse_from_str(&text, "%H:%M");
        time.map(Self).map_err(|_| format!("{text:?} is no time of the day; write one such as \"02:30\""))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%H:%M").fmt(f)
    }
}

/// A part of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub u8);

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(&text).trim_end().parse::<u8>().ok();
        let right = number.filter(|number| *number <= 100);
        right.map(Self).ok_or_else(|| format!("{text:?} is no share; write a whole number of percent such as \"3 %\""))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

macro_rules! as_text {
    ($($type:ty)*) => {$(
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
as_text!(TimeOfDay Percent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_read_back_as_they_are_printed_and_nothing_else_is_one() {
        for text in ["00:00", "02:30", "23:59"] {
            assert_eq!(TimeOfDay::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "24:00", "2", "02:30:00", "half past two"] {
            assert!(TimeOfDay::try_from(text.to_owned()).unwrap_err().contains("02:30"), "{text}");
        }
        for (text, share) in [("3 %", 3), ("100%", 100), ("0", 0)] {
            assert_eq!(Percent::try_from(text.to_owned()), Ok(Percent(share)));
        }
        for text in ["", "101 %", "-1", "3.5 %", "all"] {
            assert!(Percent::try_from(text.to_owned()).unwrap_err().contains("3 %"), "{text}");
        }
    }
}
