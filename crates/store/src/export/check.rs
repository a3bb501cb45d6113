//! Checks an export with nothing but the export: what is in the folder, and what somebody says that the server's key is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use longshore_model::{CheckpointClaims, ExportClaims, ExportId, Jwks, ReceiptVerifier, Sha256};
use serde::Serialize;

use super::log::{self, CheckedLog};
use super::{files, names};
use crate::facts::{CustodyFact, Fact, StoredId};
use crate::layout::MANIFEST_SUFFIX;
use crate::manifest::Manifest;
use crate::shelf::checksum;

/// Largest file of ours, besides videos, that is read into memory, in bytes: a log has some MiB for each day that it leads
/// through.
const LARGEST: u64 = 1 << 30;

/// Something that is not as it was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Below the folder of the export.
    pub path: String,
    /// In a sentence.
    pub text: String,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Which export it is, if that can be said.
    pub export: Option<ExportId>,
    /// Id of the server whose key signed it.
    pub server: Option<String>,
    /// Whether that is the key that it was to be.
    pub server_is_known: bool,
    /// When the server signed it.
    pub signed_at: Option<DateTime<Utc>>,
    /// To whom it was given.
    pub by: Option<String>,
    /// Recordings that are in it.
    pub recordings: u64,
    /// Bytes of their videos.
    pub bytes: u64,
    /// The checkpoints to which the custody log leads.
    pub checkpoints: Vec<CheckpointOf>,
    /// Lines of the journal between, of which the log has but the checksum.
    pub hidden_lines: u64,
    /// What is wrong; if nothing is, everything holds.
    pub faults: Vec<Fault>,
    /// Files that are there and no part of it.
    pub foreign: Vec<String>,
}

/// A checkpoint, to be compared with the mailboxes.
#[derive(Debug, Clone, Serialize)]
pub struct CheckpointOf {
    /// What was signed.
    #[serde(flatten)]
    pub claims: CheckpointClaims,
    /// The signed text.
    pub signed: String,
}

/// What is looked at, and what was found so far.
struct Checking<'a> {
    folder: &'a Path,
    found: BTreeSet<String>,
    checked: Checked,
}

/// Checks the export in `folder`. `fingerprint` is the id that the server is known to have; `read` is told of each piece of a
/// file that was read.
///
/// # Errors
/// The disk's, if the folder cannot be listed at all.
pub fn check(folder: &Path, fingerprint: Option<&str>, read: &mut dyn FnMut(u64)) -> io::Result<Checked> {
    let checked = Checked {
        export: None,
        server: None,
        server_is_known: false,
        signed_at: None,
        by: None,
        recordings: 0,
        bytes: 0,
        checkpoints: Vec::new(),
        hidden_lines: 0,
        faults: Vec::new(),
        foreign: Vec::new(),
    };
    let mut checking = Checking { folder, found: BTreeSet::new(), checked };
    checking.walk("")?;
    checking.run(fingerprint, read);
    checking.checked.faults.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(checking.checked)
}

impl Checking<'_> {
    /// Only plain files in plain folders: a link could lead to a file that is not part of the export.
    fn walk(&mut self, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.folder.join(below))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            match entry.file_type()? {
                kind if kind.is_dir() => self.walk(&path)?,
                kind if kind.is_file() => drop(self.found.insert(path)),
                _ => self.checked.foreign.push(path),
            }
        }
        Ok(())
    }

    fn run(&mut self, fingerprint: Option<&str>, read: &mut dyn FnMut(u64)) {
        let Some((verifier, claims)) = self.signature(fingerprint) else { return };
        let Some(list) = self.list(&claims) else { return };
        self.names(&list);
        self.compare(&list, read);
        let Some(log) = self.log(&verifier) else { return };
        let exported = self.exported(&log, &claims);
        let mut given = BTreeSet::new();
        for (path, sha256) in &list {
            if let Some(video) = video_of(path) {
                given.extend(self.recording(video, *sha256, &list, &log, &verifier));
            }
        }
        if let Some(exported) = exported {
            let named = |id: &StoredId| format!("{} of device {}", id.rid, id.device);
            for missing in exported.difference(&given) {
                self.fault(
                    names::LOG,
                    format!("the recording {} was given out with it and is not here", named(missing)),
                );
            }
            for stray in given.difference(&exported) {
                self.fault(names::LOG, format!("the recording {} was not given out with it", named(stray)));
            }
        }
    }

    fn signature(&mut self, fingerprint: Option<&str>) -> Option<(ReceiptVerifier, ExportClaims)> {
        let keys = self.text(names::KEYS)?;
        let Some(verifier) = verifier_of(&keys) else {
            self.fault(names::KEYS, "it does not hold the key of one server as it is written");
            return None;
        };
        let signed = self.text(names::SIGNATURE)?;
        let claims = match signed.strip_suffix('\n').map(|signed| verifier.statement::<ExportClaims>(signed)) {
            Some(Ok(claims)) => claims,
            Some(Err(error)) => {
                self.fault(names::SIGNATURE, format!("the server's signature does not hold: {error}"));
                return None;
            }
            None => {
                self.fault(names::SIGNATURE, "it was cut off");
                return None;
            }
        };
        self.checked.server = Some(claims.server.clone());
        self.checked.export = Some(claims.export);
        self.checked.signed_at = Some(claims.at);
        match fingerprint {
            Some(known) if known == claims.server => self.checked.server_is_known = true,
            Some(known) => {
                let text = format!("it was signed by the server {}, and not by {known}", claims.server);
                self.fault(names::SIGNATURE, text);
            }
            None => {}
        }
        Some((verifier, claims))
    }

    fn list(&mut self, claims: &ExportClaims) -> Option<BTreeMap<String, Sha256>> {
        let text = self.text(names::LIST)?;
        if Sha256::of(text.as_bytes()) != claims.files {
            self.fault(names::LIST, "it is not the list that the server signed");
            return None;
        }
        let list = files::parse(&text);
        if list.is_none() {
            self.fault(names::LIST, "it is no list of files with their checksums");
        }
        list
    }

    /// The list is what the server signed, but whoever made the export wrote it: it is to name what an export holds, and no more.
    fn names(&mut self, list: &BTreeMap<String, Sha256>) {
        let mut ours: BTreeSet<String> = names::FIXED.map(str::to_owned).into();
        let videos = list.keys().filter_map(|path| video_of(path));
        ours.extend(videos.flat_map(|video| {
            [String::new(), MANIFEST_SUFFIX.to_owned(), names::RECEIPT_SUFFIX.to_owned()]
                .map(|ending| format!("{video}{ending}"))
        }));
        for stray in list.keys().filter(|path| !ours.contains(*path)) {
            self.fault(stray, "the list names it, and it is no part of an export: no manifest tells of it");
        }
        for lacking in ours.iter().filter(|path| !list.contains_key(*path)) {
            self.fault(lacking, "the list that the server signed lacks it");
        }
    }

    fn compare(&mut self, list: &BTreeMap<String, Sha256>, read: &mut dyn FnMut(u64)) {
        for (path, sha256) in list {
            if !self.found.contains(path) {
                self.fault(path, "it is missing");
                continue;
            }
            let mut bytes = |count| {
                read(count);
                Ok(())
            };
            match checksum(&self.folder.join(path), &mut bytes) {
                Ok(found) if found == *sha256 => {}
                Ok(_) => self.fault(path, "its bytes are not those that were given out"),
                Err(error) => self.fault(path, format!("it cannot be read: {error}")),
            }
        }
        let ours =
            |path: &&String| list.contains_key(*path) || [names::LIST, names::SIGNATURE].contains(&path.as_str());
        let foreign: Vec<String> = self.found.iter().filter(|path| !ours(path)).cloned().collect();
        self.checked.foreign.extend(foreign);
    }

    fn log(&mut self, verifier: &ReceiptVerifier) -> Option<CheckedLog> {
        let text = self.text(names::LOG)?;
        match log::check(&text, verifier) {
            Ok(log) => {
                self.checked.hidden_lines = log.hidden;
                let checkpoints = log.checkpoints.iter().cloned();
                self.checked.checkpoints =
                    checkpoints.map(|(claims, signed)| CheckpointOf { claims, signed }).collect();
                Some(log)
            }
            Err(error) => {
                self.fault(names::LOG, error.to_string());
                None
            }
        }
    }

    /// The recordings that were given out with this export, as the journal has it.
    fn exported(&mut self, log: &CheckedLog, claims: &ExportClaims) -> Option<BTreeSet<StoredId>> {
        let exported = log.entries.iter().find_map(|entry| match &entry.fact {
            Fact::Custody(CustodyFact::Exported { export, recordings, by }) if *export == claims.export => {
                Some((recordings.iter().copied().collect(), by.clone()))
            }
            _ => None,
        });
        let Some((recordings, by)) = exported else {
            self.fault(names::LOG, "it does not tell of this export");
            return None;
        };
        self.checked.by = Some(by);
        Some(recordings)
    }

    fn recording(
        &mut self,
        video: &str,
        manifest_sha256: Sha256,
        list: &BTreeMap<String, Sha256>,
        log: &CheckedLog,
        verifier: &ReceiptVerifier,
    ) -> Option<StoredId> {
        let path = format!("{video}{MANIFEST_SUFFIX}");
        let text = self.text(&path)?;
        let manifest = match Manifest::parse(text.as_bytes()) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.fault(&path, error.to_string());
                return None;
            }
        };
        if let Err(untrue) = manifest.check(verifier) {
            self.fault(&path, untrue.to_string());
        }
        let stored = log.entries.iter().any(|entry| {
            matches!(&entry.fact, Fact::Stored { manifest } if Sha256::of(manifest.as_bytes()) == manifest_sha256)
        });
        if !stored {
            self.fault(&path, "the custody log does not tell that this recording was stored so");
        }
        let recording = &manifest.recording;
        if format!("{}/{}", names::RECORDINGS, recording.path) != video {
            self.fault(&path, format!("it belongs to {}", recording.path));
        }
        if list.get(video) != Some(&recording.sha256) {
            self.fault(video, "it is not the video that the receipt was signed for");
        }
        let receipt = format!("{video}{}", names::RECEIPT_SUFFIX);
        if list.get(&receipt) != Some(&Sha256::of(format!("{}\n", manifest.receipt).as_bytes())) {
            self.fault(&receipt, "it is not the receipt of this recording");
        }
        self.checked.recordings += 1;
        self.checked.bytes += recording.size;
        Some(StoredId::of(&manifest))
    }

    fn text(&mut self, path: &str) -> Option<String> {
        if !self.found.contains(path) {
            // A file in the list that is missing is told there.
            if [names::KEYS, names::LIST, names::SIGNATURE].contains(&path) {
                self.fault(path, "it is missing: this is no export, or not a complete one");
            }
            return None;
        }
        let at = self.folder.join(path);
        let text = fs::metadata(&at).and_then(|there| match there.len() {
            0..=LARGEST => fs::read_to_string(&at),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        });
        match text {
            Ok(text) => Some(text),
            Err(error) => {
                self.fault(path, format!("it cannot be read: {error}"));
                None
            }
        }
    }

    fn fault(&mut self, path: &str, text: impl Into<String>) {
        self.checked.faults.push(Fault { path: path.to_owned(), text: text.into() });
    }
}

/// The video to which a manifest in the list belongs.
fn video_of(manifest: &str) -> Option<&str> {
    let video = manifest.strip_suffix(MANIFEST_SUFFIX)?;
    video.strip_prefix(names::RECORDINGS)?.starts_with('/').then_some(video)
}

/// What knows the signatures of this key, if it stands there exactly as it is written. Of several keys, one could sign the list
/// and another one, which nobody compares with anything, what is in it.
fn verifier_of(text: &str) -> Option<ReceiptVerifier> {
    let keys: Jwks = serde_json::from_str(text).ok()?;
    if keys.keys.len() != 1 {
        return None;
    }
    let verifier = ReceiptVerifier::new(&keys).ok()?;
    let written = serde_json::to_string_pretty(&keys).ok()?;
    (format!("{written}\n") == text).then_some(verifier)
}
