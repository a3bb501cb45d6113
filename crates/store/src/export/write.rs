//! Writes an export: everything is synced before the signature is asked for, and that comes last. So a folder without one was
//! not completed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use longshore_model::{Recording, RunningHash, Sha256};

use super::log::LogWriter;
use super::plan::ExportPlan;
use super::{files, names};
use crate::files::Files;
use crate::journal::{self, JournalError};
use crate::layout::MANIFEST_SUFFIX;
use crate::manifest::Manifest;
use crate::shelf::read_small;

/// One read.
const READ_BYTES: usize = 1024 * 1024;
/// Room beyond the recordings themselves: manifests, log and page.
const ROOM: u64 = 64 * 1024 * 1024;

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder holds something.
    #[error("{0} is not empty; name an empty folder, or one that does not exist")]
    NotEmpty(PathBuf),
    /// The server would look through it each night as through what it keeps, and it would be copied with every backup.
    #[error("{to} lies in {of}, where Longshore keeps its own files; name a folder elsewhere")]
    Inside {
        /// Which folder.
        to: PathBuf,
        /// The storage or the data folder.
        of: PathBuf,
    },
    /// It is no folder, or cannot be made.
    #[error("{0} cannot be used: {1}")]
    Folder(PathBuf, io::Error),
    /// Its disk is too full.
    #[error("{needed} bytes are needed in {folder}, and {free} are free there")]
    NoRoom {
        /// Which folder.
        folder: PathBuf,
        /// Bytes of all.
        needed: u64,
        /// Bytes that are there.
        free: u64,
    },
    /// A recording in the store is not what it was.
    #[error(
        "{0}: {1}. It is not given out; see what `longshore verify store` says, and restore it from a backup. The export is \
         not complete: remove its folder"
    )]
    Damaged(String, String),
    /// The disk refused.
    #[error("{0}: {1}. The export is not complete: remove its folder")]
    Io(PathBuf, io::Error),
    /// The journal cannot be read.
    #[error("{0}. The export is not complete: remove its folder")]
    Journal(#[from] JournalError),
    /// A place in the journal is not there.
    #[error(
        "line {0} of the journal is not where it should be; run `longshore verify store`. The export is not complete"
    )]
    NoLine(u64),
}

/// What the page for people is made from.
pub struct PageOf<'a> {
    /// What was asked for.
    pub plan: &'a ExportPlan,
    /// Every file but the page itself, with its checksum.
    pub files: &'a BTreeMap<String, Sha256>,
    /// The checkpoints to which the log leads: line, position and signed text.
    pub checkpoints: &'a [crate::custody::Checkpoint],
}

/// Where everything comes from and goes to.
pub struct Written<'a> {
    /// The storage folder.
    pub storage: &'a Path,
    /// The data folder, with the journal.
    pub data: &'a dyn Files,
    /// The folder of the export.
    pub to: &'a Path,
    /// What it is to hold.
    pub plan: &'a ExportPlan,
    /// Makes the page.
    pub page: &'a dyn Fn(&PageOf<'_>) -> io::Result<String>,
    /// Is told of each piece that was copied.
    pub copied: &'a dyn Fn(u64),
}

/// Makes sure that `to` is an empty folder outside of `kept`, with room for so many bytes, and makes it if it is not there.
///
/// # Errors
/// [`WriteError`].
pub fn prepare(to: &Path, bytes: u64, kept: &[&Path]) -> Result<(), WriteError> {
    let unusable = |error| WriteError::Folder(to.to_owned(), error);
    let at = whole(to).map_err(unusable)?;
    for of in kept {
        if at.starts_with(whole(of).map_err(|error| WriteError::Folder((*of).to_owned(), error))?) {
            return Err(WriteError::Inside { to: to.to_owned(), of: (*of).to_owned() });
        }
    }
    match fs::read_dir(to) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(WriteError::NotEmpty(to.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(to).map_err(unusable)?,
        Err(error) => return Err(unusable(error)),
    }
    let space = rustix::fs::statvfs(to).map_err(|error| unusable(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = bytes.saturating_add(ROOM);
    if free < needed {
        return Err(WriteError::NoRoom { folder: to.to_owned(), needed, free });
    }
    Ok(())
}

/// The path without links, also of a folder that is yet to be made.
fn whole(folder: &Path) -> io::Result<PathBuf> {
    match (folder.canonicalize(), folder.file_name()) {
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(above.canonicalize()?.join(name))
        }
        (found, _) => found,
    }
}

/// Writes everything but the signature. Answers the checksum of the list of files, which is what is to be signed.
///
/// # Errors
/// [`WriteError`]; what was written until then stays.
pub fn write(export: &Written<'_>, checkpoints: &[crate::custody::Checkpoint]) -> Result<Sha256, WriteError> {
    let mut writer = Writer { to: export.to, files: BTreeMap::new(), folders: BTreeSet::new() };
    for recording in &export.plan.recordings {
        writer.recording(export.storage, recording, export.copied)?;
    }
    writer.text(names::LOG, &custody_log(export.data, export.plan)?)?;
    let keys = serde_json::to_string_pretty(&export.plan.keys).map_err(|error| io_error(export.to, error.into()))?;
    writer.text(names::KEYS, &format!("{keys}\n"))?;
    let page = (export.page)(&PageOf { plan: export.plan, files: &writer.files, checkpoints });
    let page = page.map_err(|error| io_error(export.to, error))?;
    writer.text(names::PAGE, &page)?;
    let list = files::to_text(&writer.files);
    writer.text(names::LIST, &list)?;
    writer.sync()?;
    Ok(Sha256::of(list.as_bytes()))
}

/// Adds the signature: then it is complete.
///
/// # Errors
/// [`WriteError`].
pub fn sign(to: &Path, signed: &str) -> Result<(), WriteError> {
    let mut writer = Writer { to, files: BTreeMap::new(), folders: BTreeSet::new() };
    writer.text(names::SIGNATURE, &format!("{signed}\n"))?;
    writer.sync()
}

struct Writer<'a> {
    to: &'a Path,
    files: BTreeMap<String, Sha256>,
    folders: BTreeSet<PathBuf>,
}

impl Writer<'_> {
    fn recording(&mut self, storage: &Path, recording: &Recording, copied: &dyn Fn(u64)) -> Result<(), WriteError> {
        let damaged = |why: String| WriteError::Damaged(recording.path.clone(), why);
        let manifest = read_small(&storage.join(format!("{}{MANIFEST_SUFFIX}", recording.path)));
        let manifest = manifest.map_err(|error| damaged(format!("its manifest cannot be read ({error})")))?;
        let parsed = Manifest::parse(&manifest).map_err(|error| damaged(error.to_string()))?;
        if parsed.recording != *recording {
            return Err(damaged("its manifest is not the one that the journal has".to_owned()));
        }
        let path = format!("{}/{}", names::RECORDINGS, recording.path);
        let mut video = File::open(storage.join(&recording.path))
            .map_err(|error| damaged(format!("its video cannot be read ({error})")))?;
        let sha256 = self.copy(&path, &mut video, copied)?;
        if sha256 != recording.sha256 {
            return Err(damaged("its bytes are not those that were signed for".to_owned()));
        }
        self.files.insert(path.clone(), sha256);
        self.bytes(&format!("{path}{MANIFEST_SUFFIX}"), &manifest)?;
        self.text(&format!("{path}{}", names::RECEIPT_SUFFIX), &format!("{}\n", parsed.receipt))
    }

    fn copy(&mut self, path: &str, from: &mut File, copied: &dyn Fn(u64)) -> Result<Sha256, WriteError> {
        let (mut file, at) = self.create(path)?;
        let mut hash = RunningHash::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut copy = || loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return file.sync_all();
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read])?;
            copied(read as u64);
        };
        copy().map_err(|error| io_error(&at, error))?;
        Ok(hash.finish())
    }

    fn text(&mut self, path: &str, text: &str) -> Result<(), WriteError> {
        self.bytes(path, text.as_bytes())
    }

    fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let (mut file, at) = self.create(path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| io_error(&at, error))?;
        self.files.insert(path.to_owned(), Sha256::of(bytes));
        Ok(())
    }

    fn create(&mut self, path: &str) -> Result<(File, PathBuf), WriteError> {
        let at = self.to.join(path);
        for folder in at.ancestors().skip(1).take_while(|folder| folder.starts_with(self.to)) {
            self.folders.insert(folder.to_owned());
        }
        let made = at.parent().map_or(Ok(()), fs::create_dir_all);
        let file = made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(&at));
        file.map(|file| (file, at.clone())).map_err(|error| io_error(&at, error))
    }

    /// The names; the contents are synced already.
    fn sync(&self) -> Result<(), WriteError> {
        // The folders below before those above.
        for folder in self.folders.iter().rev().map(PathBuf::as_path).chain(self.to.parent()) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder).and_then(|open| open.sync_all()).map_err(|error| io_error(folder, error))?;
        }
        Ok(())
    }
}

fn custody_log(data: &dyn Files, plan: &ExportPlan) -> Result<String, WriteError> {
    let whole: BTreeSet<u64> = plan.lines.iter().copied().collect();
    let mut log = LogWriter::new(&whole);
    for span in &plan.spans {
        let mut next = span.from;
        let mut broken = None;
        journal::lines(data, span.from, span.to, &mut |seq, prev, line| {
            if seq == span.from {
                log.begin(*span, prev);
            }
            if log.line(seq, seq == span.to, line).is_none() || seq != next {
                broken.get_or_insert(seq);
            }
            next = seq + 1;
        })?;
        if let Some(seq) = broken.or((next != span.to + 1).then_some(next)) {
            return Err(WriteError::NoLine(seq));
        }
    }
    Ok(log.finish())
}

fn io_error(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io(path.to_owned(), error)
}
