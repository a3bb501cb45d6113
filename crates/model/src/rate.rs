use std::fmt;

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

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit_of_bits() {
        let read = |text: &str| Rate::try_from(text.to_owned()).map(|rate| rate.to_string());
        for (text, same) in [
            ("unlimited", "unlimited"),
            ("64 Mbit/s", "64 Mbit/s"),
            ("64000kbit/s", "64 Mbit/s"),
            ("1500 kbit/s", "1500 kbit/s"),
            ("10 Gbit/s", "10 Gbit/s"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(same));
        }
        for wrong in
            ["", "64", "64 Mb/s", "8 MB/s", "0 Mbit/s", "-1 Mbit/s", "1.5 Mbit/s", "99999999999999999999 Gbit/s"]
        {
            assert!(read(wrong).is_err_and(|why| why.contains("64 Mbit/s")), "{wrong}");
        }
    }
}
