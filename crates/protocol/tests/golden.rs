//! Every body reads its golden example and writes it again, member for member.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use longshore_model::{
    BASE64URL, BLOCK_BYTES, Jwks, ReceiptClaims, ReceiptError, ReceiptVerifier, RunningBlocks, Sha256, is_health_type,
};
use longshore_protocol::{
    Answer, Blocks, BlocksAnswer, Deletions, DeletionsAnswer, Desired, EnrolmentAnswer, EnrolmentRequest,
    EnrolmentStatus, HealthEventOutcome, HealthEvents, HealthEventsAnswer, Hello, ItemAnswer, OfferItem, Offers,
    OffersAnswer, Problem, Reported,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn golden(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn body<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&golden(&format!("{name}.json"))).unwrap()
}

fn round_trip<T: Serialize + DeserializeOwned>(text: &str) -> Value {
    let body: T = serde_json::from_str(text).unwrap();
    serde_json::to_value(body).unwrap()
}

#[test]
fn every_body_agrees_with_its_golden_example() {
    type RoundTrip = fn(&str) -> Value;
    let bodies: [(&str, RoundTrip); 16] = [
        ("hello", round_trip::<Hello>),
        ("enrolment_request", round_trip::<EnrolmentRequest>),
        ("enrolment_pending", round_trip::<EnrolmentAnswer>),
        ("enrolment_approved", round_trip::<EnrolmentAnswer>),
        ("desired", round_trip::<Desired>),
        ("reported", round_trip::<Reported>),
        ("offers", round_trip::<Offers>),
        ("offers_answer", round_trip::<OffersAnswer>),
        ("blocks", round_trip::<Blocks>),
        ("blocks_answer", round_trip::<BlocksAnswer>),
        ("deletions", round_trip::<Deletions>),
        ("deletions_answer", round_trip::<DeletionsAnswer>),
        ("health_events", round_trip::<HealthEvents>),
        ("health_events_answer", round_trip::<HealthEventsAnswer>),
        ("receipt_claims", round_trip::<ReceiptClaims>),
        ("problem", round_trip::<Problem>),
    ];
    // No body; what it says is compared below.
    let mut seen = BTreeSet::from(["receipt.txt".to_owned()]);
    for (name, round_trip) in bodies {
        let text = golden(&format!("{name}.json"));
        assert_eq!(round_trip(&text), serde_json::from_str::<Value>(&text).unwrap(), "{name}");
        seen.insert(format!("{name}.json"));
    }
    let on_disk: BTreeSet<_> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(on_disk, seen, "each golden example is checked");
}

#[test]
fn members_that_a_newer_peer_adds_are_passed_over() {
    let text = r#"{"server":"s","fingerprint":"f","time":"2026-11-21T13:20:02Z","versions":[1,2],"motd":"hello"}"#;
    assert!(serde_json::from_str::<Hello>(text).is_ok());
}

/// The keys that the device of the examples got with its approval.
fn receipt_keys() -> Jwks {
    let EnrolmentStatus::Approved(approval) = body::<EnrolmentAnswer>("enrolment_approved").status else {
        panic!("the example of an approval is none")
    };
    approval.server.receipt_keys
}

fn receipt() -> String {
    golden("receipt.txt").trim_end().to_owned()
}

/// The key is that of RFC 7515, appendix A.3, whose private part is printed there. So anybody can sign more examples, and
/// nobody may trust one.
#[test]
fn the_golden_receipt_is_signed_by_the_golden_key_and_says_the_golden_claims() {
    let keys = receipt_keys();
    let claims: ReceiptClaims = body("receipt_claims");
    assert_eq!(ReceiptVerifier::new(&keys).unwrap().verify(&receipt()), Ok(claims));
    let header = BASE64URL.decode(receipt().split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, serde_json::json!({ "alg": "ES256", "kid": keys.keys[0].kid }));
}

#[test]
fn the_golden_receipt_with_one_altered_letter_is_none() {
    let verifier = ReceiptVerifier::new(&receipt_keys()).unwrap();
    let receipt = receipt();
    for at in 0..receipt.len() {
        let mut altered = receipt.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(&String::from_utf8(altered).unwrap()).is_err(), "letter {at}");
    }
    // What the document tells to try: the first letter of the signature.
    let (said, signature) = receipt.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let altered = format!("{said}.{other}{}", &signature[1..]);
    assert_eq!(verifier.verify(&altered), Err(ReceiptError::BadSignature));
}

#[test]
fn the_id_of_the_golden_server_is_the_checksum_of_its_golden_key() {
    let keys = receipt_keys();
    let [key] = &keys.keys[..] else { panic!("{keys:?}") };
    // As `docs/PROTOCOL.md` writes it.
    let mut spki = hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004");
    spki.extend(BASE64URL.decode(&key.x).unwrap());
    spki.extend(BASE64URL.decode(&key.y).unwrap());
    let id = BASE64URL.encode(Sha256::of(&spki).as_bytes());
    assert_eq!(key.kid, id);
    let desired: Desired = body("desired");
    assert_eq!((desired.server.id, desired.server.receipt_keys), (id.clone(), keys));
    assert_eq!((body::<Hello>("hello").server, body::<ReceiptClaims>("receipt_claims").server), (id.clone(), id));
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn examples_that_belong_together_agree() {
    let (offers, answers): (Offers, OffersAnswer) = (body("offers"), body("offers_answer"));
    let offered: Vec<_> = offers.items.iter().map(|item| item.rid).collect();
    assert_eq!(offered, answers.items.iter().map(|item| item.rid).collect::<Vec<_>>());
    let claims: ReceiptClaims = body("receipt_claims");
    let have = |item: &ItemAnswer| matches!(&item.answer, Answer::Have { receipt: have } if *have == receipt());
    let at = answers.items.iter().position(have).unwrap();
    let OfferItem { rid, camera, kind, start, end, size, sha256, .. } = offers.items[at].clone();
    assert_eq!((rid, camera, kind), (claims.rid, claims.camera, claims.kind));
    assert_eq!((start, end, size, sha256), (claims.start, claims.end, claims.size, Some(claims.sha256)));
    assert_eq!((size, claims.sha256), (3, Sha256::of(b"abc")), "a recording that everybody can make");
    let (desired, reported): (Desired, Reported) = (body("desired"), body("reported"));
    let request = &desired.requests[0];
    assert!(offers.items.iter().any(|item| item.request == Some(request.id)));
    assert_eq!((reported.requests[0].id, reported.commands[0].id), (request.id, desired.commands[0].id));
    assert!(reported.requests[0].ranges[0].to <= request.device_to);
    let (repaired, answer): (Blocks, BlocksAnswer) = (body("blocks"), body("blocks_answer"));
    assert_eq!((offers.items[0].size, offers.items[0].sha256), (repaired.size, Some(repaired.sha256)));
    let mut zeros = RunningBlocks::default();
    zeros.update(&vec![0; usize::try_from(repaired.size).unwrap()]);
    assert_eq!(repaired.blocks, zeros.finish(), "a recording that everybody can make");
    assert_eq!((repaired.block_size, answer.offset % repaired.block_size), (BLOCK_BYTES, 0));
    let (deletions, recorded): (Deletions, DeletionsAnswer) = (body("deletions"), body("deletions_answer"));
    let [deleted] = &deletions.items[..] else { panic!("{deletions:?}") };
    assert_eq!((&deleted.receipt, recorded.recorded), (&receipt(), vec![rid]));
    let (health, taken): (HealthEvents, HealthEventsAnswer) = (body("health_events"), body("health_events_answer"));
    for (event, answer) in health.events.iter().zip(&taken.events) {
        let is_recorded = answer.outcome == HealthEventOutcome::Recorded;
        assert_eq!((event.id, is_health_type(&event.kind)), (answer.id, is_recorded));
    }
    assert_eq!(health.events.len(), taken.events.len());
    assert!(claims.delete_after < deleted.deleted_at && deleted.deleted_at <= deletions.clock.unwrap().wall);
}
