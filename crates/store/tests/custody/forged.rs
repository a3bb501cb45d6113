//! Somebody can have the server sign any list of files for one export, and has not its key.

use std::fs;
use std::path::Path;

use longshore_model::{CheckpointClaims, Jwks, ReceiptKey, Sha256};

use super::export::{exported, faults, sign_anew};
use super::world::path;

fn another_key() -> ReceiptKey {
    let der = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
    ReceiptKey::from_pkcs8(&der).unwrap()
}

fn write_keys(folder: &Path, keys: &Jwks) {
    fs::write(folder.join("keys.json"), format!("{}\n", serde_json::to_string_pretty(keys).unwrap())).unwrap();
}

/// The custody log with `from` replaced by `to`, its chain made anew, and its checkpoints signed with this key.
fn forged(log: &str, from: &str, to: &str, key: &ReceiptKey) -> String {
    let (mut prev, mut text) = (String::new(), String::new());
    for line in log.lines() {
        let chain = |prev: &str, content: Sha256| Sha256::of(format!("{prev}{content}").as_bytes()).to_string();
        if let Some((_, behind)) = line.split_once(" behind ") {
            // The first line behind a hash that nobody can check, and all others behind what was forged.
            prev = if prev.is_empty() { behind.replace("nothing", "") } else { prev };
            let (head, _) = line.split_once(" behind ").unwrap();
            text.push_str(&format!("{head} behind {}\n", if prev.is_empty() { "nothing" } else { &prev }));
        } else if let Ok(content) = line.parse::<Sha256>() {
            prev = chain(&prev, content);
            text.push_str(&format!("{line}\n"));
        } else if let Some((content, _)) = line.rsplit_once(",\"hash\":\"") {
            let mut content = content.replace(from, to);
            let begin = content.find("\"prev\":\"").unwrap() + 8;
            let end = begin + content[begin..].find('"').unwrap();
            content.replace_range(begin..end, &prev);
            let mut line: serde_json::Value = serde_json::from_str(&format!("{content}}}")).unwrap();
            if line["body"]["what"] == "checkpointed" {
                let mut claims: CheckpointClaims = serde_json::from_value(line["body"]["claims"].clone()).unwrap();
                let (was_hash, was_server) = (claims.hash.to_string(), claims.server.clone());
                (claims.hash, claims.server) = (prev.parse().unwrap(), key.server_id().to_owned());
                let signed = line["body"]["signed"].take().as_str().unwrap().to_owned();
                content = content.replace(&signed, &key.state(&claims).unwrap());
                content = content.replace(&was_server, &claims.server).replace(&was_hash, &prev);
            }
            prev = chain(&prev, Sha256::of(content.as_bytes()));
            text.push_str(&format!("{content},\"hash\":\"{prev}\"}}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

#[tokio::test]
async fn a_log_whose_checkpoints_another_key_signed_is_no_proof_even_if_that_key_stands_beside_the_servers() {
    let (world, folder) = exported().await;
    let (folder, other) = (folder.path(), another_key());
    let log = fs::read_to_string(folder.join("custody-log.txt")).unwrap();
    let changed = forged(&log, "auditor", "nobody", &other);
    assert!(changed.contains("nobody"));
    fs::write(folder.join("custody-log.txt"), changed).unwrap();
    sign_anew(folder, &world.key);
    assert_eq!(faults(folder), ["custody-log.txt"], "the key is not in the export");
    let mut keys = world.key.jwks();
    keys.keys.extend(other.jwks().keys);
    write_keys(folder, &keys);
    sign_anew(folder, &world.key);
    assert_eq!(faults(folder), ["keys.json"]);
    keys.keys.reverse();
    write_keys(folder, &keys);
    sign_anew(folder, &world.key);
    assert_eq!(faults(folder), ["keys.json"]);
    // The forgery itself is a good one: only the key is another.
    write_keys(folder, &other.jwks());
    sign_anew(folder, &other);
    let receipts = faults(folder);
    assert!(receipts.iter().all(|path| path.ends_with(".json") && path.starts_with("recordings/")), "{receipts:?}");
}

#[tokio::test]
async fn a_signed_list_names_what_an_export_holds_and_nothing_else() {
    let (world, folder) = exported().await;
    let folder = folder.path();
    let stray = format!("recordings/{}", path(50));
    for name in [stray.as_str(), "recordings/x.mp4", "recordings/x.mp4.receipt", "letter.txt"] {
        fs::write(folder.join(name), "who put this here").unwrap();
        sign_anew(folder, &world.key);
        assert_eq!(faults(folder), [name]);
        fs::remove_file(folder.join(name)).unwrap();
    }
    for name in ["custody-log.txt", "verification.html", "keys.json"] {
        let kept = fs::read(folder.join(name)).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
        sign_anew(folder, &world.key);
        assert!(faults(folder).contains(&name.to_owned()), "without {name}");
        fs::write(folder.join(name), kept).unwrap();
    }
    for ending in ["", ".receipt"] {
        let name = format!("recordings/{}{ending}", path(3));
        let kept = fs::read(folder.join(&name)).unwrap();
        fs::remove_file(folder.join(&name)).unwrap();
        sign_anew(folder, &world.key);
        assert!(faults(folder).contains(&name), "without {name}");
        fs::write(folder.join(&name), kept).unwrap();
    }
    sign_anew(folder, &world.key);
    assert!(faults(folder).is_empty());
}
