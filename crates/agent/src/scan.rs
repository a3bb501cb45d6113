//! Which files of a folder are recordings, and which of those are events.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use longshore_model::Kind;

use crate::source::FileState;

/// What counts as an event unless the caller says otherwise: the folders of dash cameras, and their file names.
pub const DEFAULT_EVENTS: [&str; 3] = ["EVENT/", "RO/", "Event*"];
/// Endings of the files that cameras write.
const ENDINGS: [&str; 6] = ["mp4", "mov", "avi", "mkv", "ts", "jpg"];

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Not a pattern at all.
    #[error("the pattern {pattern:?} cannot be read: {reason}")]
    Unreadable {
        /// As given.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A path, where one name is meant.
    #[error("the pattern {0:?} must be one file name, like Event*, or one folder name with / at its end, like EVENT/")]
    NotOneName(String),
}

/// Tells recordings from other files and events from the rest, by names alone.
#[derive(Debug)]
pub struct Classifier {
    folders: GlobSet,
    names: GlobSet,
}

impl Classifier {
    /// Reads the patterns: one that ends in `/` names a folder, any other a file; case does not matter.
    ///
    /// # Errors
    /// [`PatternError`], naming the pattern.
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, PatternError> {
        let (mut folders, mut names) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns.iter().map(AsRef::as_ref) {
            let unreadable = |error: globset::Error| PatternError::Unreadable {
                pattern: pattern.to_owned(),
                reason: error.kind().to_string(),
            };
            let (name, set) = match pattern.strip_suffix('/') {
                Some(folder) => (folder, &mut folders),
                None => (pattern, &mut names),
            };
            if name.is_empty() || name.contains('/') {
                return Err(PatternError::NotOneName(pattern.to_owned()));
            }
            let glob = GlobBuilder::new(name).case_insensitive(true).build();
            set.add(glob.map_err(unreadable)?);
        }
        let build = |set: GlobSetBuilder| {
            set.build().map_err(|error| PatternError::Unreadable { pattern: String::new(), reason: error.to_string() })
        };
        Ok(Self { folders: build(folders)?, names: build(names)? })
    }

    /// Why the file at `path` (relative, with `/`) was recorded; `None` if it is no recording.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, ending) = name.rsplit_once('.')?;
        let ending = ending.to_ascii_lowercase();
        if stem.is_empty() || !ENDINGS.contains(&ending.as_str()) {
            return None;
        }
        let event = self.names.is_match(name) || folders.split('/').any(|folder| self.folders.is_match(folder));
        Some(match event {
            true => Kind::Event,
            false if ending == "jpg" => Kind::Snapshot,
            false => Kind::Continuous,
        })
    }
}

/// A recording that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the folder, with `/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Why it was recorded.
    pub kind: Kind,
    /// As it was when it was found.
    pub state: FileState,
}

/// Something that could not be looked at.
#[derive(Debug)]
pub struct Skipped {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// The recordings, in no order.
    pub found: Vec<Found>,
    /// What was passed over, since it could not be read.
    pub skipped: Vec<Skipped>,
}

/// Walks through `root`. Symbolic links are not followed: they could lead out of the card. No camera hides what it
/// records: hidden folders are waste bins and the like, and hidden files what other computers left (`._a.mp4`) or were to
/// throw away (`.trashed-1790000000-a.mp4`).
///
/// # Errors
/// What the operating system says about `root` itself.
pub fn scan(root: &Path, classifier: &Classifier) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut entries = fs::read_dir(root)?;
    let (mut folder, mut prefix) = (root.to_owned(), String::new());
    // Paths and not open folders: a card may hold more of them than a process may have open.
    let mut folders = Vec::new();
    loop {
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    scan.skip(&folder, &error);
                    continue;
                }
            };
            let path = entry.path();
            let Ok(kind) = entry.file_type().inspect_err(|error| scan.skip(&path, error)) else {
                continue;
            };
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let Some(name) = name.to_str() else {
                if kind.is_file() || kind.is_dir() {
                    scan.skip(&path, &"its name is not UTF-8; rename it");
                }
                continue;
            };
            let relative = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((path, format!("{relative}/")));
            } else if kind.is_file()
                && let Some(kind) = classifier.kind(&relative)
            {
                match FileState::at(&path) {
                    Ok(state) => scan.found.push(Found { name: relative, path, kind, state }),
                    Err(error) => scan.skip(&path, &error),
                }
            }
        }
        (folder, prefix, entries) = loop {
            let Some((folder, prefix)) = folders.pop() else {
                return Ok(scan);
            };
            match read_folder(&folder) {
                Ok(entries) => break (folder, prefix, entries),
                Err(error) => scan.skip(&folder, &error),
            }
        };
    }
}

/// Opens a folder below the root, unless a link has taken its place since it was found.
fn read_folder(folder: &Path) -> io::Result<fs::ReadDir> {
    if !folder.symlink_metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no longer a folder"));
    }
    fs::read_dir(folder)
}

impl Scan {
    fn skip(&mut self, path: &Path, reason: &dyn ToString) {
        self.skipped.push(Skipped { path: path.to_owned(), reason: reason.to_string() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Classifier {
        Classifier::new(&DEFAULT_EVENTS).unwrap()
    }

    #[test]
    fn events_are_told_by_folder_or_name_in_any_case() {
        let classifier = defaults();
        for event in ["EVENT/a.mp4", "DCIM/event/100/a.MOV", "Ro/a.ts", "event_0001.avi", "x/EVENT1.MP4", "EVENT/a.jpg"]
        {
            assert_eq!(classifier.kind(event), Some(Kind::Event), "{event}");
        }
        for plain in ["a.mp4", "EVENTS/a.mkv", "prevent.mp4", "RO.mp4", "event.d/a.mp4"] {
            assert_eq!(classifier.kind(plain), Some(Kind::Continuous), "{plain}");
        }
        assert_eq!(classifier.kind("DCIM/a.JPG"), Some(Kind::Snapshot));
    }

    #[test]
    fn files_that_no_camera_writes_are_no_recordings() {
        let classifier = defaults();
        for other in ["a.txt", "EVENT/a.gps", "mp4", ".mp4", "a.mp4.part", "a", "x.mp4/a"] {
            assert_eq!(classifier.kind(other), None, "{other}");
        }
    }

    #[test]
    fn given_patterns_replace_the_defaults() {
        let classifier = Classifier::new(&["lock*/", "*_E.mp4"]).unwrap();
        assert_eq!(classifier.kind("Locked/a.mp4"), Some(Kind::Event));
        assert_eq!(classifier.kind("a_e.mp4"), Some(Kind::Event));
        assert_eq!(classifier.kind("EVENT/a.mp4"), Some(Kind::Continuous));
    }

    #[test]
    fn a_pattern_that_is_a_path_is_refused() {
        for pattern in ["a/b", "a/b/", "/", ""] {
            assert!(matches!(Classifier::new(&[pattern]), Err(PatternError::NotOneName(_))), "{pattern:?}");
        }
        let error = Classifier::new(&["a[b"]).unwrap_err().to_string();
        assert!(error.contains("a[b"), "{error}");
    }

    #[test]
    fn links_and_what_is_hidden_are_passed_by_like_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"x").unwrap();
        };
        let hidden = [".Trash/c.mp4", "EVENT/._a.mp4", ".trashed-1790000000-a.mp4"];
        for path in ["a.mp4", "EVENT/deep/b.mp4", "notes.txt"].into_iter().chain(hidden) {
            put(path);
        }
        std::os::unix::fs::symlink(folder.path().join("a.mp4"), folder.path().join("link.mp4")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("EVENT"), folder.path().join("loop")).unwrap();
        let scan = scan(folder.path(), &defaults()).unwrap();
        let mut names: Vec<_> = scan.found.iter().map(|found| found.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["EVENT/deep/b.mp4", "a.mp4"]);
        assert!(scan.skipped.is_empty());
    }

    #[test]
    fn more_folders_than_a_process_may_have_open_are_looked_through() {
        const LIMITED: &str = "LONGSHORE_TEST_LIMITED_SCAN";
        if let Some(folder) = std::env::var_os(LIMITED) {
            let scan = scan(Path::new(&folder), &defaults()).unwrap();
            assert_eq!((scan.found.len(), scan.skipped.len()), (200, 0), "{:?}", scan.skipped.first());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for n in 0..200 {
            fs::create_dir(folder.path().join(n.to_string())).unwrap();
            fs::write(folder.path().join(format!("{n}/a.mp4")), b"x").unwrap();
        }
        // The limit is that of a whole process, so this test runs once more in one of its own.
        let limited = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .arg("scan::tests::more_folders_than_a_process_may_have_open_are_looked_through")
            .env(LIMITED, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&limited.stdout);
        assert!(limited.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_link_that_took_the_place_of_a_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(read_folder(&link).is_err());
        assert!(read_folder(folder.path()).is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_the_rest_is_found() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.mp4"), b"x").unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"\xff.mp4")), b"x").unwrap();
        let scan = scan(folder.path(), &defaults()).unwrap();
        assert_eq!((scan.found.len(), scan.skipped.len()), (1, 1));
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(scan(&folder.path().join("missing"), &defaults()).is_err());
    }
}
