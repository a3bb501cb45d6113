//! The time in a file's name, as cameras write it: the date, then the time to the second, of their own clock.

use chrono::{NaiveDate, NaiveDateTime};

/// Digits of the parts: year, month, day, hour, minute, second.
const PARTS: [usize; 6] = [4, 2, 2, 2, 2, 2];

/// The first date and time in the last part of `path`: `20261121_140322`, `2026-11-21_14-03-22`, `20261121140322`,
/// `2026_1121_140322` and the like. Between two parts there may be one of `-`, `_`, `.`, `T` and blank. More or fewer
/// digits beside each other are another number, not a time.
pub(crate) fn time(path: &str) -> Option<NaiveDateTime> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).as_bytes();
    let begins = |at: usize| at.checked_sub(1).and_then(|before| name.get(before)).is_none_or(|b| !b.is_ascii_digit());
    (0..name.len()).filter(|at| begins(*at)).find_map(|at| read(name.get(at..)?))
}

/// Reads a time that begins `text`.
fn read(mut text: &[u8]) -> Option<NaiveDateTime> {
    let mut parts = [0; PARTS.len()];
    for (at, (part, digits)) in parts.iter_mut().zip(PARTS).enumerate() {
        if at > 0
            && let [b'-' | b'_' | b'.' | b'T' | b' ', rest @ ..] = text
        {
            text = rest;
        }
        let (number, rest) = text.split_at_checked(digits)?;
        for digit in number {
            *part = *part * 10 + char::from(*digit).to_digit(10)?;
        }
        text = rest;
    }
    let [year, month, day, hour, minute, second] = parts;
    // Cameras of other centuries do not exist; serial numbers that look like a date do.
    if text.first().is_some_and(u8::is_ascii_digit) || !(2000..2100).contains(&year) {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_opt(hour, minute, second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_names_that_cameras_give_are_read() {
        for name in [
            "20261121_140322.mp4",
            "2026-11-21_14-03-22.mp4",
            "20261121140322.MP4",
            "VID_20261121_140322.mp4",
            "2026_1121_140322_0001F.MP4",
            "EVENT/2026_1121_140322.MP4",
            "2026-11-21_14-03-22-front.mp4",
            "2026-11-21 14.03.22.jpg",
            "20261121T140322Z.mov",
            "DJI_20261121140322_0001_D.MP4",
            "20261121_140322_20261121_140922.mp4",
            "FILE261121-1-20261121-140322F.MOV",
        ] {
            let read = time(name).map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some("2026-11-21 14:03:22"), "{name}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for name in [
            "GX010123.MP4",
            "20261121.mp4",
            "20261121_1403.mp4",
            "120261121140322.mp4",
            "20261121140322123.mp4",
            "20261321_140322.mp4",
            "20260230_140322.mp4",
            "20261121_240322.mp4",
            "18261121_140322.mp4",
            "2026--11--21_14-03-22.mp4",
            "20261121_140322/a.mp4",
            "",
        ] {
            assert_eq!(time(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC*") {
            let _ = time(&name);
        }

        #[test]
        fn every_time_is_found_again_whatever_stands_around_it(
            seconds in 946_684_800_i64..4_102_444_800,
            before in "[A-Za-z]{0,5}_?",
            (date, middle, clock) in ("[-_. ]?", "[-_.T ]?", "[-_. ]?"),
            after in "(_[0-9]{1,4}|[A-Z])?",
        ) {
            let expected = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let form = format!("{before}%Y{date}%m{date}%d{middle}%H{clock}%M{clock}%S{after}.mp4");
            let name = expected.format(&form).to_string();
            prop_assert_eq!(time(&name), Some(expected), "{}", name);
        }
    }
}
