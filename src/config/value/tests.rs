use super::*;

/// The value that a text means, as text.
fn read<T: TryFrom<String, Error = String> + fmt::Display>(text: &str) -> Option<String> {
    T::try_from(text.to_owned()).ok().map(|value| value.to_string())
}

#[test]
fn a_size_is_a_number_with_a_unit() {
    for (text, same) in [
        ("0", "0"),
        ("1000", "1000"),
        ("1024", "1 KiB"),
        ("64 MiB", "64 MiB"),
        ("64MiB", "64 MiB"),
        ("1.5 GiB", "1536 MiB"),
        ("10 GB", "9765625 KiB"),
        ("2048 GiB", "2 TiB"),
    ] {
        assert_eq!(read::<Size>(text).as_deref(), Some(same), "{text}");
    }
    for wrong in ["", "GiB", "-1", "64 miles", "64 MiB 3"] {
        assert_eq!(read::<Size>(wrong), None, "{wrong}");
    }
}

#[test]
fn days_are_a_number_that_says_that_it_is_one_of_days() {
    for (text, same) in [("7 days", "7 days"), ("1 day", "1 day"), ("1days", "1 day"), ("366 days", "366 days")] {
        assert_eq!(read::<Days>(text).as_deref(), Some(same), "{text}");
    }
    for wrong in ["", "7", "0 days", "-1 days", "367 days", "7 weeks", "days"] {
        assert_eq!(read::<Days>(wrong), None, "{wrong}");
    }
}

#[test]
fn a_floor_is_automatic_or_a_size() {
    assert_eq!(read::<Floor>("auto").as_deref(), Some("auto"));
    assert_eq!(read::<Floor>("10 GiB").as_deref(), Some("10 GiB"));
    assert_eq!(read::<Floor>("5 %"), None);
}

#[test]
fn a_mode_is_octal_and_says_so() {
    assert_eq!(Mode::try_from("0640".to_owned()), Ok(Mode(0o640)));
    for wrong in ["640", "416", "0o640", "0649", "01777", "u=rw", "", "0+40"] {
        assert_eq!(read::<Mode>(wrong), None, "{wrong}");
    }
    assert!(Mode(0o640).with_at_least(0o600, "0640").is_ok());
    assert!(Mode(0o440).with_at_least(0o600, "0640").is_err_and(|why| why.contains("0600")));
}

#[test]
fn an_account_is_a_name_or_a_number() {
    assert_eq!(Account::try_from("1000".to_owned()), Ok(Account::Id(1000)));
    assert_eq!(Account::try_from("evidence".to_owned()), Ok(Account::Name("evidence".to_owned())));
    for wrong in ["", "a b", "a:b", "4294967296"] {
        assert_eq!(read::<Account>(wrong), None, "{wrong}");
    }
}

#[test]
fn a_url_is_https_with_a_host_and_nothing_behind_the_port() {
    for (text, same) in [
        ("https://cameras.example.org:5004", "https://cameras.example.org:5004"),
        ("https://cameras.example.org:5004/", "https://cameras.example.org:5004"),
        ("https://[2001:db8::1]:5004", "https://[2001:db8::1]:5004"),
        ("https://cameras.example.org", "https://cameras.example.org"),
    ] {
        assert_eq!(read::<ServerUrl>(text).as_deref(), Some(same));
    }
    for wrong in
        ["", "cameras.example.org", "cameras:5004", "http://a", "https://", "https://a/b", "https://u@a", "https://a#b"]
    {
        assert_eq!(read::<ServerUrl>(wrong), None, "{wrong}");
    }
}

#[test]
fn a_filter_has_levels_and_a_typing_error_does_not_silence_the_log() {
    for right in ["info", "DEBUG", "off", "info,sled=warn", "info,longshore::http=trace", &Filter::default().0] {
        assert!(read::<Filter>(right).is_some(), "{right}");
    }
    for wrong in ["", "inof", "info,sled", "sled=wran", "info,"] {
        assert_eq!(read::<Filter>(wrong), None, "{wrong}");
    }
}
