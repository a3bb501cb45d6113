use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

fn daily(text: &str, name: &str) -> Daily {
    Daily::new(text, zone(name)).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// What a server keeps of one digest, as the journal would.
#[derive(Default)]
struct Kept {
    made: BTreeMap<NaiveDate, usize>,
    missed: Vec<NaiveDate>,
}

impl Kept {
    /// As one that was set up at `now`.
    fn begun(daily: &Daily, now: DateTime<Utc>) -> Self {
        Self { made: daily.newest(now).into_iter().map(|date| (date, 0)).collect(), missed: Vec::new() }
    }

    /// Looks what is due, and makes it.
    fn look(&mut self, daily: &Daily, now: DateTime<Utc>) -> Option<Due> {
        let made = |date| Ok::<_, Infallible>(self.made.range(..=date).next_back().map(|(date, _)| *date));
        let due = daily.due(now, made).unwrap()?;
        *self.made.entry(due.date).or_default() += 1;
        self.missed.extend(&due.missed);
        Some(due)
    }
}

#[test]
fn what_is_no_daily_time_is_refused_with_what_would_be() {
    let refused = |text: &str| Daily::new(text, Tz::UTC).unwrap_err();
    for text in ["", "6", "24:00", "06:60", "yesterday", "0 6 * *", "0 0 6 * * *", "0 25 * * *"] {
        assert_eq!(refused(text), NotDaily::Unreadable(text.into()), "{text}");
    }
    assert_eq!(refused("0 6 * * 1-5"), NotDaily::Weekday("0 6 * * 1-5".into()));
    for text in ["* * * * *", "0 6,18 * * *", "*/30 6 * * *"] {
        assert_eq!(refused(text), NotDaily::Often(text.into()), "{text}");
    }
    assert_eq!(refused("0 6 30 2 *"), NotDaily::Never("0 6 30 2 *".into()));
    for text in ["06:00", "6:00", "0 6 * * *", "30 5 * * Mon-Fri", "0 0 1 * *", "59 23 * * *", "0 0 29 2 *"] {
        Daily::new(text, Tz::UTC).unwrap();
    }
}

#[test]
fn a_time_of_the_day_is_that_of_the_clock_on_the_wall() {
    let detroit = daily("06:00", "America/Detroit");
    assert_eq!(detroit.next(at("2026-03-07T00:00:00Z")), Some(at("2026-03-07T11:00:00Z")));
    assert_eq!(detroit.next(at("2026-03-07T11:00:00Z")), Some(at("2026-03-08T10:00:00Z")), "summer time began");
    assert_eq!(detroit.newest(at("2026-03-08T09:59:59Z")), Some(date("2026-03-07")));
    assert_eq!(detroit.newest(at("2026-03-08T10:00:00Z")), Some(date("2026-03-08")));
    let weekdays = daily("30 5 * * Mon-Fri", "Europe/Berlin");
    assert_eq!(weekdays.next(at("2026-11-20T12:00:00Z")), Some(at("2026-11-23T04:30:00Z")));
    assert_eq!(weekdays.newest(at("2026-11-22T12:00:00Z")), Some(date("2026-11-20")));
}

#[test]
fn a_time_that_is_left_out_comes_once_and_one_that_comes_twice_too() {
    // Facts of the crate: on these days it has no run, and two.
    let crate_only = |text: &str, from: &str, to: &str| {
        let schedule = Schedule::from_str(text).unwrap();
        let [from, to] = [from, to].map(|text| at(text).with_timezone(&zone("America/Detroit")));
        schedule.after(&from).take_while(|at| *at < to).count()
    };
    assert_eq!(crate_only("0 30 2 * * *", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"), 0);
    assert_eq!(crate_only("0 30 1 * * *", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"), 2);

    let left_out = daily("02:30", "America/Detroit");
    assert_eq!(left_out.next(at("2026-03-07T08:00:00Z")), Some(at("2026-03-08T07:30:00Z")), "it shows 03:30 then");
    assert_eq!(left_out.next(at("2026-03-08T07:30:00Z")), Some(at("2026-03-09T06:30:00Z")));
    let twice = daily("01:30", "America/Detroit");
    assert_eq!(twice.next(at("2026-11-01T04:00:00Z")), Some(at("2026-11-01T05:30:00Z")));
    assert_eq!(twice.next(at("2026-11-01T05:30:00Z")), Some(at("2026-11-02T06:30:00Z")));
    for (daily, day) in [(left_out, "2026-03-08"), (twice, "2026-11-01")] {
        let begin = date(day).and_time(NaiveTime::MIN).and_utc();
        let mut kept = Kept::begun(&daily, begin);
        let minutes = (0..2 * 24 * 60).map(|minute| begin + TimeDelta::minutes(minute));
        let due: Vec<_> = minutes.filter_map(|now| kept.look(&daily, now)).collect();
        assert_eq!(due.iter().filter(|due| due.date == date(day)).count(), 1, "{due:?}");
        assert!(due.iter().all(|due| due.missed.is_empty()), "{due:?}");
    }
}

#[test]
fn what_was_missed_is_named_in_one() {
    let daily = daily("06:00", "Europe/Berlin");
    let mut kept = Kept::begun(&daily, at("2026-11-16T12:00:00Z"));
    assert_eq!(kept.look(&daily, at("2026-11-16T12:00:30Z")), None, "it was set up after its time");
    assert_eq!(kept.look(&daily, at("2026-11-17T05:00:00Z")), Some(Due { date: date("2026-11-17"), missed: vec![] }));
    // Down from Tuesday to Friday.
    let due = kept.look(&daily, at("2026-11-20T17:00:00Z")).unwrap();
    assert_eq!(due, Due { date: date("2026-11-20"), missed: vec![date("2026-11-18"), date("2026-11-19")] });
    assert_eq!(kept.look(&daily, at("2026-11-20T17:00:30Z")), None);
    assert_eq!(kept.look(&daily, at("2026-11-21T05:00:00Z")), Some(Due { date: date("2026-11-21"), missed: vec![] }));
    // Of ten years, those of the last are named.
    let due = kept.look(&daily, at("2036-11-21T05:00:00Z")).unwrap();
    assert_eq!((due.missed.len(), due.missed.last()), (MISSED, Some(&date("2036-11-20"))));
}

#[test]
fn only_days_of_the_expression_are_missed() {
    let daily = daily("0 6 * * Mon-Fri", "UTC");
    let mut kept = Kept::begun(&daily, at("2026-11-19T12:00:00Z"));
    let due = kept.look(&daily, at("2026-11-24T12:00:00Z")).unwrap();
    assert_eq!(due, Due { date: date("2026-11-24"), missed: vec![date("2026-11-20"), date("2026-11-23")] });
}

#[test]
fn a_clock_that_was_a_year_ahead_does_not_silence_the_year() {
    let daily = daily("06:00", "America/Detroit");
    let mut kept = Kept::begun(&daily, at("2026-11-20T12:00:00Z"));
    assert_eq!(kept.look(&daily, at("2027-11-20T12:00:00Z")).unwrap().date, date("2027-11-20"));
    assert_eq!(kept.look(&daily, at("2026-11-20T12:01:00Z")), None);
    let due = kept.look(&daily, at("2026-11-21T12:00:00Z")).unwrap();
    assert_eq!(due, Due { date: date("2026-11-21"), missed: vec![] });
    // One that shows 1970 after a change of its battery, likewise.
    assert_eq!(kept.look(&daily, at("1970-01-02T12:00:00Z")).unwrap().missed, []);
    assert_eq!(kept.look(&daily, at("2026-11-21T12:01:00Z")), None);
    assert_eq!(kept.look(&daily, at("2026-11-22T12:00:00Z")).unwrap().missed, []);
}

/// Zones with both changes of the year, at odd hours and by half an hour too, over the date line, and one without any.
const ZONES: [&str; 7] = [
    "America/Detroit",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Tokyo",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..24_u32, 0..60_u32).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}")),
        Just("02:30".to_owned()),
        Just("01:30".to_owned()),
        Just("00:00".to_owned()),
        (0..24_u32).prop_map(|hour| format!("15 {hour} * * Mon-Fri")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over years of both changes, with a look every so often, each date comes exactly once and none is missed.
    #[test]
    fn each_date_comes_once(name in prop::sample::select(&ZONES[..]), text in texts(), begin in 0..20_000_i64) {
        let daily = daily(&text, name);
        let begin = at("2008-01-01T00:00:00Z") + TimeDelta::hours(begin);
        let mut kept = Kept::begun(&daily, begin);
        let first = *kept.made.keys().next().unwrap();
        let mut now = begin;
        while now < begin + TimeDelta::days(800) {
            now = daily.next(now).unwrap();
            let due = kept.look(&daily, now).unwrap();
            // Over the date line Samoa left a day out; its digest and that of the next day come in one moment.
            prop_assert!(due.missed.is_empty() || name == "Pacific/Apia" && due.missed == [date("2011-12-30")], "{due:?}");
            prop_assert_eq!(kept.look(&daily, now + TimeDelta::seconds(30)), None);
        }
        let named: BTreeSet<NaiveDate> = kept.made.keys().chain(&kept.missed).copied().collect();
        let last = *named.last().unwrap();
        let wanted = first.iter_days().take_while(|day| *day <= last);
        let wanted: BTreeSet<_> =
            wanted.filter(|day| !text.ends_with("Fri") || chrono::Datelike::weekday(day).number_from_monday() < 6).collect();
        prop_assert_eq!(named, wanted);
    }

    /// Whatever the clock does and however long nobody looks: no date is made twice, and on a clock that does not go back
    /// each is made or named.
    #[test]
    fn no_date_comes_twice(
        name in prop::sample::select(&ZONES[..]),
        text in texts(),
        steps in prop::collection::vec(prop_oneof![
            8 => 1..3_000_i64, 3 => 1..20_000_i64, 1 => -300_000..300_000_i64, 1 => -4_000..0_i64
        ], 1..200),
    ) {
        let daily = daily(&text, name);
        let mut now = at("2026-03-01T00:00:00Z");
        let mut kept = Kept::begun(&daily, now);
        let (mut newest, mut went_back) = (daily.newest(now), false);
        for minutes in steps {
            now += TimeDelta::minutes(minutes);
            went_back |= minutes < 0;
            let due = kept.look(&daily, now);
            prop_assert_eq!(kept.look(&daily, now), None, "once it is made, it is");
            if let Some(due) = &due {
                prop_assert_eq!(Some(due.date), daily.newest(now));
                prop_assert!(due.missed.iter().all(|missed| *missed < due.date && !kept.made.contains_key(missed)));
            }
            if !went_back {
                prop_assert_eq!(due.is_some(), daily.newest(now) != newest);
                let mut named = kept.missed.clone();
                named.dedup();
                prop_assert_eq!(named.len(), kept.missed.len(), "none is named twice");
            }
            newest = daily.newest(now);
            // What comes next comes after now, and then it is due.
            let next = daily.next(now).unwrap();
            prop_assert!(next > now && next - now < TimeDelta::days(4));
            prop_assert!(daily.newest(next) > newest || daily.newest(next) == newest && name == "Pacific/Apia");
        }
        prop_assert!(kept.made.values().all(|times| *times <= 1));
    }
}
