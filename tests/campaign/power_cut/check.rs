//! What must be true whenever the power is back.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use longshore_model::Sha256;
use serde_json::{Value, json};

use super::clerk::{devices, is_known};
use super::guest::{DISKS, Guest, Shell};
use super::ledger::Ledger;
use super::load::{Load, Trouble};
use crate::support::{checksum, files_below, rid};

/// Between what is told of one recording and the next.
const NEXT: &str = "-- next";

/// Asks for everything that was acknowledged before. Whatever is missing is told to `load`.
pub(super) fn after_a_cut(load: &Load, shell: Shell) {
    let checked = enrolments(load, shell).and_then(|()| recordings(load, shell)).and_then(|()| uploads(load));
    load.goes_on(checked);
}

fn enrolments(load: &Load, shell: Shell) -> Result<(), Trouble> {
    let listed = devices(shell)?;
    let ledger = load.ledger();
    match ledger.cameras.iter().find(|(serial, _)| !is_known(&listed, serial)) {
        Some((serial, _)) => Err(Trouble::Wrong(format!("device {serial} was enrolled, now: {listed}"))),
        None => Ok(()),
    }
}

/// Each receipt has its row, its file and its manifest. What is stored without one is right too.
fn recordings(load: &Load, shell: Shell) -> Result<(), Trouble> {
    let rows = listed(shell)?;
    let mut unread = Vec::new();
    {
        let ledger = load.ledger();
        for (n, clip) in &ledger.clips {
            let Some(row) = rows.get(&rid(*n)) else {
                if clip.receipt.is_some() {
                    return Err(Trouble::Wrong(format!("recording {n} has a receipt and is in no list")));
                }
                continue;
            };
            if (&row["sha256"], &row["size"]) != (&json!(clip.sha256.to_string()), &json!(clip.size)) {
                return Err(Trouble::Wrong(format!("recording {n} of {} is listed as {row}", clip.sha256)));
            }
            if clip.deleted && !row["deleted_on_device_at"].is_string() {
                return Err(Trouble::Wrong(format!("recording {n}: its deletion was recorded, now {row}")));
            }
            if !clip.read_again {
                unread.push((*n, row["path"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    read_again(load, shell, &unread)
}

fn listed(shell: Shell) -> Result<BTreeMap<String, Value>, Trouble> {
    let (status, rows) = shell.cli(&["recordings", "list"])?;
    let rows = rows.as_array().filter(|_| status == 0);
    let rows = rows.ok_or_else(|| Trouble::Wrong(format!("recordings list ended with {status}")))?;
    Ok(rows.iter().map(|row| (row["rid"].as_str().unwrap_or_default().to_owned(), row.clone())).collect())
}

fn read_again(load: &Load, shell: Shell, recordings: &[(u32, String)]) -> Result<(), Trouble> {
    if recordings.is_empty() {
        return Ok(());
    }
    let mut command = "cd /storage/recordings".to_owned();
    for (_, path) in recordings {
        let words = shlex::try_join([path.as_str()]).unwrap();
        command += &format!("; sha256sum {words}; cat {words}.json; echo; echo '{NEXT}'");
    }
    let (_, said) = shell.run(&command)?;
    let mut ledger = load.ledger();
    for ((n, path), told) in recordings.iter().zip(said.split(NEXT)) {
        let clip = ledger.clips.get_mut(n).unwrap();
        let (sum, manifest) = told.trim().split_once('\n').unwrap_or((told, ""));
        if !sum.starts_with(&clip.sha256.to_string()) {
            return Err(Trouble::Wrong(format!("recording {n} of {}: its file {path} is {sum:?}", clip.sha256)));
        }
        let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
        let of_receipt = clip.receipt.as_ref().is_none_or(|receipt| manifest["receipt"] == json!(receipt));
        if manifest["recording"]["sha256"] != json!(clip.sha256.to_string()) || !of_receipt {
            return Err(Trouble::Wrong(format!("recording {n}: the manifest of {path} is {manifest}")));
        }
        clip.read_again = true;
    }
    Ok(())
}

/// No upload has less than was acknowledged.
fn uploads(load: &Load) -> Result<(), Trouble> {
    let unfinished: Vec<_> = {
        let ledger = load.ledger();
        let under_way = ledger.clips.iter().filter(|(_, clip)| clip.receipt.is_none() && clip.upload.is_some());
        under_way.map(|(n, clip)| (*n, clip.clone(), ledger.cameras[clip.camera].1.clone())).collect()
    };
    for (n, clip, camera) in unfinished {
        load.ask(n, &clip, &camera)?;
    }
    Ok(())
}

/// What the server can say of itself, and that it says the same after its index was made again.
pub(super) fn at_the_end(load: &Load, guest: &mut Guest) -> Result<(), Trouble> {
    let (status, report) = guest.shell.cli(&["verify", "store"])?;
    if status != 0 || report["problems"] != json!([]) {
        return Err(Trouble::Wrong(format!("verify store: {report}")));
    }
    let before = listed(guest.shell)?;
    if before.len() != load.ledger().clips.len() {
        return Err(Trouble::Wrong(format!("{} recordings are listed", before.len())));
    }
    for between in
        ["rm -r /data/longshore/index", "longshore catalogue rebuild --from-manifests --data /data/longshore"]
    {
        guest.restart_server(between)?;
        if listed(guest.shell)? != before {
            return Err(Trouble::Wrong(format!("the recordings are others after {between}")));
        }
    }
    Ok(())
}

/// Reads the disks of a machine that is off, without anything of the server.
pub(super) fn from_outside(folder: &Path, ledger: &Ledger) -> Result<(), Trouble> {
    for disk in DISKS {
        let said = Command::new("e2fsck").arg("-fn").arg(folder.join(disk)).output()?;
        if !said.status.success() {
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            return Err(Trouble::Wrong(format!("the file system of {disk} is damaged: {said}")));
        }
    }
    let copy = folder.join("copy");
    std::fs::create_dir(&copy)?;
    let dump = format!("rdump /recordings {}", copy.display());
    let dumped = Command::new("debugfs").args(["-R", &dump]).arg(folder.join(DISKS[1])).output()?;
    let mut stored: BTreeMap<Sha256, usize> = BTreeMap::new();
    for path in files_below(&copy) {
        let name = path.strip_prefix(&copy).unwrap_or(&path).strip_prefix("recordings").unwrap_or(&path);
        let is_manifest = name.extension().is_some_and(|ending| ending == "json");
        if is_manifest || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if !Path::new(&format!("{}.json", path.display())).exists() {
            return Err(Trouble::Wrong(format!("{} has no manifest", name.display())));
        }
        *stored.entry(checksum(&path)).or_default() += 1;
    }
    let mut known: BTreeMap<Sha256, usize> = BTreeMap::new();
    for clip in ledger.clips.values() {
        *known.entry(clip.sha256).or_default() += 1;
    }
    if stored != known {
        let said = String::from_utf8_lossy(&dumped.stderr).into_owned();
        let (has, should) = (stored.values().sum::<usize>(), known.values().sum::<usize>());
        return Err(Trouble::Wrong(format!("the disk holds {has} videos, not the {should} of the ledger: {said}")));
    }
    Ok(())
}
