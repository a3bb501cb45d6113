//! Every body reads its golden example and writes it again, member for member.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use longshore_model::ReceiptClaims;
use longshore_protocol::{
    Deletions, DeletionsAnswer, Desired, EnrolmentAnswer, EnrolmentRequest, Hello, Offers, OffersAnswer, Problem,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn round_trip<T: Serialize + DeserializeOwned>(text: &str) -> Value {
    let body: T = serde_json::from_str(text).unwrap();
    serde_json::to_value(body).unwrap()
}

#[test]
fn every_body_agrees_with_its_golden_example() {
    type RoundTrip = fn(&str) -> Value;
    let bodies: [(&str, RoundTrip); 11] = [
        ("hello", round_trip::<Hello>),
        ("enrolment_request", round_trip::<EnrolmentRequest>),
        ("enrolment_pending", round_trip::<EnrolmentAnswer>),
        ("enrolment_approved", round_trip::<EnrolmentAnswer>),
        ("desired", round_trip::<Desired>),
        ("offers", round_trip::<Offers>),
        ("offers_answer", round_trip::<OffersAnswer>),
        ("deletions", round_trip::<Deletions>),
        ("deletions_answer", round_trip::<DeletionsAnswer>),
        ("receipt_claims", round_trip::<ReceiptClaims>),
        ("problem", round_trip::<Problem>),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut seen = BTreeSet::new();
    for (name, round_trip) in bodies {
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert_eq!(round_trip(&text), serde_json::from_str::<Value>(&text).unwrap(), "{name}");
        seen.insert(format!("{name}.json"));
    }
    let on_disk: BTreeSet<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(on_disk, seen, "each golden example is checked");
}

#[test]
fn members_that_a_newer_peer_adds_are_passed_over() {
    let text = r#"{"server":"s","fingerprint":"f","time":"2026-11-21T13:20:02Z","versions":[1,2],"motd":"hello"}"#;
    assert!(serde_json::from_str::<Hello>(text).is_ok());
}
