use proptest::prelude::*;

use super::*;
use crate::{Resolution, WifiRadio};

fn read(json: &str) -> Settings {
    serde_json::from_str(json).unwrap()
}

fn wrong(json: &str) -> Vec<String> {
    read(json).mistakes().into_iter().map(|complaint| complaint.key).collect()
}

fn network_with(ssid: &str, passphrase: &str) -> Settings {
    let json = serde_json::json!({"wifi": [{"ssid": ssid, "security": "wpa2-aes", "passphrase": passphrase}]});
    serde_json::from_value(json).unwrap()
}

fn takes(ssid: &str, passphrase: &str) -> bool {
    network_with(ssid, passphrase).mistakes().is_empty()
}

/// 2.4 GHz alone, DHCP alone, no WPA2-Enterprise, 1080p30, 1 to 4 Mbit/s.
fn old() -> DeviceModel {
    DeviceModel {
        wifi: Some(WifiRadio { bands: vec![Band::Ghz2], standard: None, rate: crate::Rate::default() }),
        addressing: Some(vec![Addressing::Dhcp]),
        wpa2_enterprise: Some(false),
        resolution: Some(Bounds { least: None, most: Some(Resolution::P1080), default: None }),
        frame_rate: Some(Bounds { least: None, most: Some(30), default: None }),
        bitrate_kbps: Some(Bounds { least: Some(1000), most: Some(4000), default: None }),
        ..DeviceModel::default()
    }
}

#[test]
fn a_passphrase_has_8_to_63_letters_digits_and_special_characters_but_no_semicolon() {
    for (passphrase, right) in [
        ("1234567", false),
        ("12345678", true),
        (&"x".repeat(63), true),
        (&"x".repeat(64), false),
        ("p@ss!word#?{}", true),
        ("pass;word", false),
        ("pass word", false),
        ("pässword1", false),
        ("pass\tword", false),
        ("", false),
    ] {
        assert_eq!(takes("Yard", passphrase), right, "{passphrase}");
    }
}

#[test]
fn an_ssid_has_letters_digits_underscores_and_dashes() {
    for (ssid, right) in [
        ("Yard_5-GHz", true),
        (&"x".repeat(32), true),
        (&"x".repeat(33), false),
        ("", false),
        ("Yard 5", false),
        ("Yard.5", false),
        ("Höf", false),
    ] {
        assert_eq!(takes(ssid, "12345678"), right, "{ssid}");
    }
}

#[test]
fn what_no_device_can_do_is_refused_by_its_key() {
    for (json, key) in [
        (r#"{"video": {"frame_rate": 0}}"#, "video.frame_rate"),
        (r#"{"event": {"pre_s": 601}}"#, "event.pre_s"),
        (r#"{"sound": {"volume_percent": 101}}"#, "sound.volume_percent"),
        (r#"{"retention": {"unrequested_h": 0}}"#, "retention.unrequested_h"),
        (r#"{"event": {"triggers": ["speed"]}}"#, "event.triggers"),
        (r#"{"event": {"triggers": ["button"], "speed_kmh": 120}}"#, "event.speed_kmh"),
        (r#"{"network": {"addressing": "static"}}"#, "network.address"),
        (r#"{"network": {"address": "10.0.0.2"}}"#, "network.address"),
        (r#"{"network": {"addressing": "static", "address": "10.0.0.2"}}"#, "network.prefix"),
        (r#"{"network": {"addressing": "static", "address": "10.0.0.2", "prefix": 33}}"#, "network.prefix"),
        (r#"{"network": {"addressing": "static", "address": "0.0.0.0", "prefix": 24}}"#, "network.address"),
        (
            r#"{"network": {"addressing": "static", "address": "10.0.0.2", "prefix": 24, "gateway": "10.0.1.1"}}"#,
            "network.gateway",
        ),
        (r#"{"wifi": [{"ssid": "Y", "security": "open", "passphrase": "12345678"}]}"#, "wifi[0].security"),
        (r#"{"wifi": [{"ssid": "Y", "security": "wpa2-enterprise", "passphrase": "12345678"}]}"#, "wifi[0].identity"),
        (
            r#"{"wifi": [{"ssid": "Y", "security": "wpa2-aes", "passphrase": "12345678", "identity": "x"}]}"#,
            "wifi[0].identity",
        ),
    ] {
        assert_eq!(wrong(json), [key], "{json}");
    }
    let network = r#"{"ssid": "Y", "security": "wpa-tkip", "passphrase": "12345678"}"#;
    assert_eq!(wrong(&format!("{{\"wifi\": [{network}, {network}]}}")), ["wifi[1].ssid"]);
    let many = vec![network; 17].join(",").replace("\"Y\"", "\"Z\"");
    assert!(wrong(&format!("{{\"wifi\": [{many}]}}")).contains(&"wifi".to_owned()));
}

#[test]
fn an_address_that_would_cut_a_device_off_is_refused() {
    let with = |address: &str, prefix: u32, more: &str| {
        wrong(&format!(
            r#"{{"network": {{"addressing": "static", "address": "{address}", "prefix": {prefix}{more}}}}}"#
        ))
    };
    for address in ["255.255.255.255", "10.0.0.0", "10.0.0.255", "127.0.0.1", "224.0.0.1", "0.1.2.3", "::", "ff02::1"] {
        assert_eq!(with(address, 24, ""), ["network.address"], "{address}");
    }
    assert_eq!(with("2001:db8::", 64, ""), ["network.address"]);
    for (address, prefix) in
        [("10.0.0.0", 31), ("10.0.0.1", 31), ("10.0.0.0", 32), ("10.0.0.255", 23), ("2001:db8::", 127)]
    {
        assert!(with(address, prefix, "").is_empty(), "{address}/{prefix}");
    }
    for gateway in ["10.0.0.2", "10.0.0.0", "10.0.0.255"] {
        assert_eq!(with("10.0.0.2", 24, &format!(r#", "gateway": "{gateway}""#)), ["network.gateway"], "{gateway}");
    }
    for server in ["0.0.0.0", "255.255.255.255", "239.1.1.1", "::", "::1"] {
        assert_eq!(with("10.0.0.2", 24, &format!(r#", "dns": ["10.0.0.1", "{server}"]"#)), ["network.dns"], "{server}");
    }
    let servers = |count| format!(r#", "dns": [{}]"#, vec![r#""10.0.0.1""#; count].join(","));
    assert!(with("10.0.0.2", 24, &servers(4)).is_empty());
    assert_eq!(with("10.0.0.2", 24, &servers(50_000)), ["network.dns"]);
}

#[test]
fn a_refusal_does_not_tell_the_secret() {
    for secret in ["hush;hush", "hush hush", "hush"] {
        let told = format!("{:?}", network_with("Yard", secret).mistakes());
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn what_a_model_cannot_do_is_refused_with_the_setting_and_the_reason() {
    for (json, key, reason) in [
        (r#"{"video": {"resolution": "2160p"}}"#, "video.resolution", "at most 1080p"),
        (r#"{"video": {"frame_rate": 60}}"#, "video.frame_rate", "at most 30"),
        (r#"{"video": {"bitrate_kbps": 500}}"#, "video.bitrate_kbps", "1000 to 4000"),
        (
            r#"{"network": {"addressing": "static", "address": "10.0.0.2", "prefix": 24}}"#,
            "network.addressing",
            "DVR has no static addresses",
        ),
        (
            r#"{"wifi": [{"ssid": "Y", "security": "wpa2-aes", "passphrase": "12345678", "band": "5 GHz"}]}"#,
            "wifi[0].band",
            "DVR has 2.4 GHz only",
        ),
        (
            r#"{"wifi": [{"ssid": "Y", "security": "wpa2-enterprise", "passphrase": "12345678", "identity": "d"}]}"#,
            "wifi[0].security",
            "cannot use networks with WPA2-Enterprise",
        ),
    ] {
        let settings = read(json);
        assert_eq!(settings.mistakes(), [], "{json}");
        let suits = settings.suit("DVR", Some(&old()));
        let [refused] = &suits.refused[..] else { panic!("{json}: {suits:?}") };
        assert!(refused.key == key && refused.what.contains(reason), "{refused}");
    }
}

#[test]
fn what_is_not_known_of_a_model_is_warned_of_and_not_refused() {
    let enterprise =
        read(r#"{"wifi": [{"ssid": "Y", "security": "wpa2-enterprise", "passphrase": "12345678", "identity": "d"}]}"#);
    let suits = enterprise.suit("PD-1", Some(&DeviceModel::default()));
    assert!(suits.refused.is_empty() && suits.warnings[0].key == "wifi[0].security", "{suits:?}");
    let suits = enterprise.suit("new", None);
    assert!(suits.refused.is_empty() && suits.warnings[0].what.contains("new is not known"), "{suits:?}");
    assert_eq!(Settings::default().suit("new", None), Suits::default());
}

#[test]
fn a_static_address_is_warned_of_where_it_is_possible() {
    let settings = read(r#"{"network": {"addressing": "static", "address": "10.0.0.2", "prefix": 24}}"#);
    let both = DeviceModel { addressing: Some(vec![Addressing::Dhcp, Addressing::Static]), ..DeviceModel::default() };
    let suits = settings.suit("DVR", Some(&both));
    assert!(suits.refused.is_empty() && suits.warnings[0].what.contains("MAC address"), "{suits:?}");
}

proptest! {
    #[test]
    fn whatever_is_taken_keeps_the_rules_of_the_recorders(ssid in ".{0,40}", passphrase in ".{0,70}") {
        if passphrase != "***" && takes(&ssid, &passphrase) {
            prop_assert!(ssid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            prop_assert!((1..=32).contains(&ssid.len()) && (8..=63).contains(&passphrase.len()));
            prop_assert!(!passphrase.contains(';') && passphrase.is_ascii());
        }
    }

    #[test]
    fn whatever_keeps_the_rules_of_the_recorders_is_taken(ssid in "[A-Za-z0-9_-]{1,32}", passphrase in "[!-:<-~]{8,63}") {
        prop_assert!(takes(&ssid, &passphrase));
    }

    #[test]
    fn a_device_that_suits_suits_also_with_less_of_the_settings(
        frame_rate in prop::option::of(1_u32..240),
        bitrate_kbps in prop::option::of(64_u32..10_000),
    ) {
        let mut settings = Settings::default();
        (settings.video.frame_rate, settings.video.bitrate_kbps) = (frame_rate, bitrate_kbps);
        let suits = |settings: &Settings| settings.suit("DVR", Some(&old())).refused.is_empty();
        if suits(&settings) {
            settings.video.frame_rate = None;
            prop_assert!(suits(&settings));
            settings.video.bitrate_kbps = None;
            prop_assert!(suits(&settings));
        }
    }
}
