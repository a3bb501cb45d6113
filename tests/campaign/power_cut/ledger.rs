//! What devices were told, kept outside of what loses its power: whatever is in here must never be taken back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use longshore_model::{ReceiptVerifier, Sha256};
use serde_json::{Value, json};

use crate::support::{Camera, bytes, recording, rid};

/// All that was acknowledged. Each acknowledgement is also a line of a file, which only grows.
pub(super) struct Ledger {
    file: File,
    seed: u64,
    pub(super) clips: BTreeMap<u32, Clip>,
    /// Enrolled devices, and their serials.
    pub(super) cameras: Vec<(String, Arc<Camera>)>,
    /// Checks the receipts; known as soon as the first device is.
    pub(super) verifier: Option<ReceiptVerifier>,
    pub(super) told: Told,
}

/// How much was acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Answers with an offset.
    pub(super) offsets: u64,
    /// Bytes that those brought forward.
    pub(super) bytes: u64,
    pub(super) uploads: u64,
    pub(super) receipts: u64,
    pub(super) deletions: u64,
}

/// A recording. Its content follows from the seed.
#[derive(Debug, Clone)]
pub(super) struct Clip {
    /// Which device has it.
    pub(super) camera: usize,
    pub(super) size: usize,
    pub(super) sha256: Sha256,
    /// The server wants it; it need not be offered again.
    pub(super) offered: bool,
    /// Path of its upload.
    pub(super) upload: Option<String>,
    pub(super) offset: u64,
    pub(super) receipt: Option<String>,
    pub(super) deleted: bool,
    /// Since it was stored, its bytes and its manifest were read after a power cut.
    pub(super) read_again: bool,
}

impl Ledger {
    pub(super) fn new(file: &Path, seed: u64) -> Self {
        let file = File::create_new(file).unwrap();
        let (clips, cameras) = (BTreeMap::new(), Vec::new());
        Self { file, seed, clips, cameras, verifier: None, told: Told::default() }
    }

    pub(super) fn line(&mut self, what: &str, of: &Value) {
        writeln!(self.file, "{}", json!({what: of})).unwrap();
    }

    pub(super) fn content(seed: u64, n: u32, size: usize) -> Vec<u8> {
        bytes(seed ^ u64::from(n) << 20, size)
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// A new recording on a card; nobody was told of it.
    pub(super) fn add(&mut self, n: u32, camera: usize, content: &[u8]) {
        let (size, sha256) = (content.len(), Sha256::of(content));
        let clip = Clip {
            camera,
            size,
            sha256,
            offered: false,
            upload: None,
            offset: 0,
            receipt: None,
            deleted: false,
            read_again: false,
        };
        self.clips.insert(n, clip);
    }

    pub(super) fn item(&self, n: u32) -> Value {
        let clip = &self.clips[&n];
        let mut item = recording(n, &[]);
        (item["size"], item["sha256"]) = (json!(clip.size), json!(clip.sha256.to_string()));
        item
    }

    pub(super) fn offered(&mut self, n: u32) {
        self.line("offered", &json!(n));
        self.clip(n).offered = true;
    }

    pub(super) fn created(&mut self, n: u32, upload: &str) -> Result<(), String> {
        self.line("created", &json!([n, upload]));
        self.told.uploads += 1;
        let clip = self.clip(n);
        match clip.upload.replace(upload.to_owned()) {
            Some(before) if before != upload => Err(format!("recording {n}: {before} was its upload, now {upload}")),
            _ => Ok(()),
        }
    }

    /// The server says that it has this much.
    pub(super) fn offset(&mut self, n: u32, offset: u64) -> Result<(), String> {
        self.line("offset", &json!([n, offset]));
        let clip = self.clip(n);
        if offset < clip.offset || offset > clip.size as u64 {
            let (size, before) = (clip.size, clip.offset);
            return Err(format!("recording {n} of {size} bytes: {before} were acknowledged, now {offset}"));
        }
        let more = offset - clip.offset;
        clip.offset = offset;
        (self.told.offsets, self.told.bytes) = (self.told.offsets + 1, self.told.bytes + more);
        Ok(())
    }

    pub(super) fn receipt(&mut self, n: u32, receipt: &str) -> Result<(), String> {
        self.line("receipt", &json!([n, receipt]));
        let claims = self.verifier.as_ref().unwrap().verify(receipt);
        let claims = claims.map_err(|error| format!("recording {n}: its receipt is none: {error}"))?;
        let clip = self.clip(n);
        let (sha256, size) = (clip.sha256, clip.size as u64);
        if (claims.rid.to_string(), claims.sha256, claims.size) != (rid(n), sha256, size) {
            return Err(format!("recording {n}: its receipt says {claims:?}"));
        }
        clip.offset = size;
        if clip.receipt.replace(receipt.to_owned()).is_some_and(|before| before != receipt) {
            return Err(format!("recording {n} has two receipts"));
        }
        self.told.receipts += 1;
        Ok(())
    }

    pub(super) fn deleted(&mut self, n: u32) {
        self.line("deleted", &json!(n));
        self.told.deletions += 1;
        self.clip(n).deleted = true;
    }

    pub(super) fn enrolled(&mut self, serial: &str, camera: Camera) {
        self.line("enrolled", &json!(serial));
        self.cameras.push((serial.to_owned(), Arc::new(camera)));
    }

    fn clip(&mut self, n: u32) -> &mut Clip {
        self.clips.get_mut(&n).unwrap()
    }
}
