//! Checksums that are known from before, so that an unchanged file is read only once.
//!
//! A file of lines, one JSON object each, the last one about a path counting: a crash can cost a line at most, and
//! what is lost is computed again.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::source::{Content, FileState};

/// The file is written anew when it has this many lines more than it has entries.
const STALE_LINES: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    #[serde(flatten)]
    content: Content,
}

/// Known checksums, by path and state of the file.
#[derive(Debug)]
pub struct HashCache {
    path: PathBuf,
    file: File,
    entries: HashMap<PathBuf, Content>,
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
            entries: lines.into_iter().map(|line| (line.path, line.content)).collect(),
        })
    }

    /// What is in the file at `path`, if it is known for a file of this size and date. Inode and ctime do not count: FAT
    /// and exFAT make inodes up again whenever the kernel forgot a file, and a full card takes an hour to read.
    pub fn get(&self, path: &Path, state: FileState) -> Option<&Content> {
        self.entries.get(path).filter(|known| known.state.looks_like(&state))
    }

    /// Keeps a checksum.
    ///
    /// # Errors
    /// What the operating system says; it is then known for this run only.
    pub fn put(&mut self, path: &Path, content: &Content) -> io::Result<()> {
        self.entries.insert(path.to_owned(), content.clone());
        self.lines += 1;
        self.file.write_all(&line(path, content)?)
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

    /// The file at `path` is deleted: forgets it, for good when the cache is tidied next.
    pub fn deleted(&mut self, path: &Path) {
        self.entries.remove(path);
    }

    /// Forgets what lies below `root` and is not among `present`, and shortens the file when that is worth it. Files
    /// of other cards stay known, and so does everything below a root that holds nothing: where a card is not in, its
    /// mount point is an empty folder, and reading the card again takes long.
    ///
    /// # Errors
    /// What the operating system says; the old file stays.
    pub fn tidy(&mut self, root: &Path, present: &HashSet<&Path>) -> io::Result<()> {
        if !present.is_empty() {
            self.entries.retain(|path, _| !path.starts_with(root) || present.contains(path.as_path()));
        }
        if self.lines > self.entries.len().saturating_add(STALE_LINES) {
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let mut content = Vec::new();
        for (path, known) in &self.entries {
            content.extend(line(path, known)?);
        }
        disk::write_durably(&self.path, &content)?;
        self.file = disk::open_to_append(&self.path)?;
        self.lines = self.entries.len();
        Ok(())
    }
}

fn line(path: &Path, content: &Content) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Line { path: path.to_owned(), content: content.clone() })?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use longshore_model::Sha256;

    use super::*;
    use crate::clip::Clip;
    use crate::source::MountId;

    const STATE: FileState = FileState { size: 3, mtime_ns: 5, ctime_ns: 5, inode: 7 };

    fn content() -> Content {
        let clip = Clip { created: None, length_ms: Some(378_200) };
        Content { state: STATE, mount: MountId::at(Path::new("/")).unwrap(), sha256: Sha256::of(b"abc"), clip }
    }

    #[test]
    fn a_checksum_is_known_after_a_restart_and_only_for_the_same_size_and_date() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("hashes"), Path::new("/card/a.mp4"));
        HashCache::open(&path).unwrap().put(file, &content()).unwrap();
        let cache = HashCache::open(&path).unwrap();
        assert_eq!(cache.get(file, STATE), Some(&content()));
        let made_up_again = FileState { inode: 8, ctime_ns: 9, ..STATE };
        assert_eq!(cache.get(file, made_up_again), Some(&content()));
        for changed in [FileState { size: 4, ..STATE }, FileState { mtime_ns: 6, ..STATE }] {
            assert_eq!(cache.get(file, changed), None);
        }
    }

    #[test]
    fn a_forgotten_checksum_stays_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("hashes"), Path::new("/card/a.mp4"));
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(file, &content()).unwrap();
        cache.forget(file).unwrap();
        assert_eq!(HashCache::open(&path).unwrap().get(file, STATE), None);
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hashes");
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(Path::new("/card/a.mp4"), &content()).unwrap();
        cache.put(Path::new("/card/b.mp4"), &content()).unwrap();
        let written = fs::read(&path).unwrap();
        fs::write(&path, &written[..written.len() - 9]).unwrap();
        let mut cache = HashCache::open(&path).unwrap();
        cache.put(Path::new("/card/c.mp4"), &content()).unwrap();
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
            cache.put(Path::new("/card/gone.mp4"), &content()).unwrap();
        }
        cache.put(Path::new("/other/a.mp4"), &content()).unwrap();
        cache.tidy(Path::new("/card"), &HashSet::from([Path::new("/card/b.mp4")])).unwrap();
        let cache = HashCache::open(&path).unwrap();
        assert_eq!(cache.lines, 1, "the file was written anew");
        assert_eq!(cache.get(Path::new("/card/gone.mp4"), STATE), None);
        assert_eq!(cache.get(Path::new("/other/a.mp4"), STATE), Some(&content()));
    }

    #[test]
    fn an_empty_mount_point_costs_no_checksum_and_a_deleted_file_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = HashCache::open(&folder.path().join("hashes")).unwrap();
        let (card, file) = (Path::new("/card"), Path::new("/card/a.mp4"));
        cache.put(file, &content()).unwrap();
        cache.tidy(card, &HashSet::new()).unwrap();
        assert_eq!(cache.get(file, STATE), Some(&content()));
        cache.deleted(file);
        assert_eq!(cache.get(file, STATE), None);
    }
}
