//! Checksums that are known from before, so that an unchanged file is read only once.
//!
//! A file of lines, one JSON object each, the last one about a path counting: a crash can cost a line at most, and
//! what is lost is computed again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use longshore_model::Sha256;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::source::FileState;

/// The file is written anew when it has this many lines more than it has entries.
const STALE_LINES: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    #[serde(flatten)]
    state: FileState,
    sha256: Sha256,
}

/// Known checksums, by path and state of the file.
#[derive(Debug)]
pub struct HashCache {
    path: PathBuf,
    file: File,
    entries: HashMap<PathBuf, (FileState, Sha256)>,
    lines: usize,
}

impl HashCache {
    /// Reads the cache at `path`; a missing file is an empty cache, and a damaged line is passed over.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut file = disk::open_to_append(path)?;
        if content.last().is_some_and(|last| *last != b'\n') {
            // A torn last line would swallow the next one.
            file.write_all(b"\n")?;
        }
        let lines = content.split(|byte| *byte == b'\n');
        let lines: Vec<Line> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Ok(Self {
            path: path.to_owned(),
            file,
            lines: lines.len(),
            entries: lines.into_iter().map(|line| (line.path, (line.state, line.sha256))).collect(),
        })
    }

    /// The checksum of the file at `path`, if it is known for exactly this state.
    pub fn get(&self, path: &Path, state: FileState) -> Option<Sha256> {
        let (known, sha256) = self.entries.get(path)?;
        (*known == state).then_some(*sha256)
    }

    /// Keeps a checksum.
    ///
    /// # Errors
    /// What the operating system says; it is then known for this run only.
    pub fn put(&mut self, path: &Path, state: FileState, sha256: Sha256) -> io::Result<()> {
        self.entries.insert(path.to_owned(), (state, sha256));
        self.lines += 1;
        self.file.write_all(&line(path, state, sha256)?)
    }

    /// Forgets a checksum, so that the file is read again.
    ///
    /// # Errors
    /// What the operating system says; it is then forgotten for this run only.
    pub fn forget(&mut self, path: &Path) -> io::Result<()> {
        match self.entries.remove(path) {
            Some(_) => self.rewrite(),
            None => Ok(()),
        }
    }

    /// Forgets what lies below `root` and is not among `present`, and shortens the file when that is worth it. Files
    /// of other cards stay known.
    ///
    /// # Errors
    /// What the operating system says; the old file stays.
    pub fn tidy(&mut self, root: &Path, present: impl Fn(&Path) -> bool) -> io::Result<()> {
        self.entries.retain(|path, _| !path.starts_with(root) || present(path));
        if self.lines > self.entries.len().saturating_add(STALE_LINES) {
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let mut content = Vec::new();
        for (path, (state, sha256)) in &self.entries {
            content.extend(line(path, *state, *sha256)?);
        }
        disk::write_durably(&self.path, &content)?;
        self.file = disk::open_to_append(&self.path)?;
        self.lines = self.entries.len();
        Ok(())
    }
}

fn line(path: &Path, state: FileState, sha256: Sha256) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    let mut line = serde_json::to_vec(&Line { path, state, sha256 })?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: FileState = FileState { size: 3, mtime_ns: 5, inode: 7 };

    fn sha() -> Sha256 {
        Sha256::of(b"abc")
    }

    #[test]
    fn a_checksum_is_known_after_a_restart_and_only_for_the_same_state() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("hashes"), Path::new("/card/a.mp4"));
        HashCache::open(&path).unwrap().put(file, STATE, sha()).unwrap();
        let cache = HashCache::open(&path).unwrap();
        assert_eq!(cache.get(file, STATE), Some(sha()));
        for changed in
            [FileState { size: 4, ..STATE }, FileState { mtime_ns: 6, ..STATE }, FileState { inode: 8, ..STATE }]
        {
            assert_eq!(cache.get(file, changed), None);
        }
    }

    #[test]
    fn a_forgotten_checksum_stays_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("hashes"), Path::new("/card/a.mp4"));
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(file, STATE, sha()).unwrap();
        cache.forget(file).unwrap();
        assert_eq!(HashCache::open(&path).unwrap().get(file, STATE), None);
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hashes");
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(Path::new("/card/a.mp4"), STATE, sha()).unwrap();
        cache.put(Path::new("/card/b.mp4"), STATE, sha()).unwrap();
        let content = fs::read(&path).unwrap();
        fs::write(&path, &content[..content.len() - 9]).unwrap();
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(Path::new("/card/c.mp4"), STATE, sha()).unwrap();
        let cache = HashCache::open(&path).unwrap();
        let known = |name| cache.get(Path::new(name), STATE).is_some();
        assert_eq!(["/card/a.mp4", "/card/b.mp4", "/card/c.mp4"].map(known), [true, false, true]);
    }

    #[test]
    fn tidying_forgets_vanished_files_of_this_card_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hashes");
        let mut cache = HashCache::open(&path).unwrap();
        for _ in 0..=STALE_LINES {
            cache.put(Path::new("/card/gone.mp4"), STATE, sha()).unwrap();
        }
        cache.put(Path::new("/other/a.mp4"), STATE, sha()).unwrap();
        cache.tidy(Path::new("/card"), |_| false).unwrap();
        let cache = HashCache::open(&path).unwrap();
        assert_eq!(cache.lines, 1, "the file was written anew");
        assert_eq!(cache.get(Path::new("/card/gone.mp4"), STATE), None);
        assert_eq!(cache.get(Path::new("/other/a.mp4"), STATE), Some(sha()));
    }
}
