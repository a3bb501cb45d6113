//! How mails say sizes, durations, counts and names.

use bytesize::ByteSize;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

/// Columns of the text part: what fits into any mail program, quoted once.
pub(crate) const COLUMNS: usize = 78;
/// Characters of a name that are shown.
const NAME: usize = 60;
/// Characters of what a device said.
pub(crate) const TEXT: usize = 300;
/// Dates of which each is named; of more, the first and the last.
const DATES: usize = 4;

/// A name that devices or people gave, so that it can stand in a header, a line of text, or in the middle of a sentence: one
/// line, that nothing in it turns round.
pub(crate) fn clean(name: &str) -> String {
    cleaned(name, NAME)
}

/// The same of a text of at most so many characters.
pub(crate) fn cleaned(name: &str, most: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    let mut clean: String =
        name.chars().map(|c| if c.is_control() || turns(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if let Some((end, _)) = clean.char_indices().nth(most) {
        clean.truncate(end);
        clean.push('…');
    }
    clean.trim().to_owned()
}

/// The same with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let text = cleaned(text, TEXT);
    if text.ends_with(['.', '!', '?', '…']) { text } else { format!("{text}.") }
}

/// `1 video`, `2 videos`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{} {many}", grouped(n)),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// In powers of ten, as disks are sold and cards are labelled.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// As people say it, with the two largest units.
pub(crate) fn duration(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `Thu 19 Nov`.
pub(crate) fn short(date: NaiveDate) -> String {
    date.format("%a %-d %b").to_string()
}

/// `18 Nov 14:03`, in this zone.
pub(crate) fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%-d %b %H:%M").to_string()
}

/// From when to when, by the clocks of the zone at either end.
pub(crate) fn window(from: DateTime<Utc>, to: DateTime<Utc>, zone: Tz) -> String {
    let [from, to] = [from, to].map(|at| at.with_timezone(&zone).format("%a %-d %b %Y %H:%M %Z"));
    format!("{from} to {to} ({zone})")
}

/// Dates in a sentence.
pub(crate) fn dates(dates: &[NaiveDate]) -> String {
    match dates {
        [] => String::new(),
        [only] => short(*only),
        [first, .., last] if dates.len() > DATES => {
            format!("{} to {} ({} days)", short(*first), short(*last), dates.len())
        }
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|date| short(*date)).collect();
            format!("{} and {}", first.join(", "), short(*last))
        }
    }
}

/// Text in lines of at most 78 columns; the first begins with `first`, the others with `then`.
pub(crate) fn wrapped(text: &str, first: &str, then: &str) -> String {
    textwrap::fill(text, textwrap::Options::new(COLUMNS).initial_indent(first).subsequent_indent(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sizes_and_durations_are_as_people_say_them() {
        assert_eq!(count(0, "video", "videos"), "no videos");
        assert_eq!(count(1, "video", "videos"), "1 video");
        assert_eq!(count(1_204, "video", "videos"), "1,204 videos");
        assert_eq!(count(1_000_000, "video", "videos"), "1,000,000 videos");
        for (bytes, told) in
            [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (62_400_000_000, "62.4 GB"), (u64::MAX, "18.4 EB")]
        {
            assert_eq!(size(bytes), told);
        }
        for (seconds, told) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (750, "12 min 30 s"),
            (3600, "1 h"),
            (3659, "1 h"),
            (7_500, "2 h 5 min"),
            (200_000, "55 h 33 min"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), told);
        }
    }

    #[test]
    fn a_window_tells_what_the_clocks_showed_at_either_end() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(
            window(at("2026-03-07T11:00:00Z"), at("2026-03-08T10:00:00Z"), chrono_tz::America::Detroit),
            "Sat 7 Mar 2026 06:00 EST to Sun 8 Mar 2026 06:00 EDT (America/Detroit)"
        );
    }

    #[test]
    fn dates_are_named_one_by_one_while_they_are_few() {
        let of = |days: std::ops::RangeInclusive<u32>| -> Vec<NaiveDate> {
            days.map(|day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap()).collect()
        };
        assert_eq!(dates(&of(16..=16)), "Mon 16 Nov");
        assert_eq!(dates(&of(16..=18)), "Mon 16 Nov, Tue 17 Nov and Wed 18 Nov");
        assert_eq!(dates(&of(16..=26)), "Mon 16 Nov to Thu 26 Nov (11 days)");
    }

    #[test]
    fn a_name_is_one_line_and_turns_nothing_round() {
        let odd = "a\r\nBcc: x@example.org\u{202E}gpj.exe\u{2028}\0";
        let clean = clean(odd);
        assert!(!clean.chars().any(|c| c.is_control() || ('\u{2028}'..='\u{202E}').contains(&c)), "{clean:?}");
        assert_eq!(super::clean(&"ä".repeat(300)).chars().count(), NAME + 1);
        assert_eq!(super::clean(" North yard "), "North yard");
    }
}
