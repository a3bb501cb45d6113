//! What is kept of recordings that will be overwritten.

use longshore_model::{Declared, ReceiptKey, Recording, Sha256, UploadId};
use serde_json::json;

use super::*;
use crate::manifest::Manifest;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const AT: &str = "2026-11-22T15:00:00Z";

fn declared(n: u8, more: &serde_json::Value) -> Declared {
    let mut item = json!({"rid": RecordingId::from_bytes([n; 16]), "camera": "", "kind": "event", "start": AT, "overwrite_at": AT});
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(item).unwrap()
}

fn stored(n: u8) -> Fact {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = ReceiptKey::from_pkcs8(key.serialized_der()).unwrap();
    let json = json!({
        "device": DEVICE, "rid": RecordingId::from_bytes([n; 16]), "revision": 1,
        "upload": UploadId::from_bytes([n; 16]), "serial": "B-1", "model": "BC4", "assignee": null,
        "camera": "", "kind": "event", "start": AT, "size": 3, "sha256": Sha256::of(b"abc"),
        "attested": false, "path": "a/b.mp4", "held": false, "clock_unset": false, "verified_at": AT,
    });
    let recording: Recording = serde_json::from_value(json).unwrap();
    Fact::Stored { manifest: Manifest::sign(recording, AT.parse().unwrap(), &key).unwrap().to_text().unwrap() }
}

#[test]
fn only_what_people_want_and_is_not_stored_is_endangered() {
    let data = tempfile::tempdir().unwrap();
    let (catalogue, _writer, _) = open(data.path());
    let index = catalogue.index().clone();
    let holds = || (index.endangered_of(DEVICE).unwrap().len(), index.endangered_devices().unwrap());
    let declare = |items: Vec<Declared>| record(&catalogue, vec![Fact::Declared { device: DEVICE, items }]);
    let continuous = json!({"kind": "continuous"});
    declare(vec![
        declared(1, &json!({})),
        declared(2, &json!({})),
        declared(3, &continuous),
        declared(4, &json!({"overwrite_at": null})),
    ]);
    assert_eq!(holds(), (2, vec![DEVICE]));
    record(&catalogue, vec![stored(1)]);
    declare(vec![declared(1, &json!({"size": 7}))]);
    assert_eq!(holds(), (1, vec![DEVICE]), "a first copy is here");
    declare(vec![declared(2, &json!({"overwrite_at": null}))]);
    assert_eq!(holds(), (0, vec![]));
}
