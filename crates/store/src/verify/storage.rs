//! The storage against the journal. The journal was read first, and a recording is in the storage before it is in the
//! journal: so what is missing is missing. What is there and unknown may have come meanwhile: that is looked at twice.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;

use longshore_model::{Sha256, UploadId};

use super::night::Pace;
use super::report::{IndexIs, OnTheirWay, Problem, ProblemKind, Report};
use super::{Catalogued, Expected, Step, Storage};
use crate::facts::Fact;
use crate::journal::{self, JournalError, Sealed};
use crate::layout::{MANIFEST_SUFFIX, could_be_ours};
use crate::manifest::Manifest;
use crate::shelf::{Keep, Paths, Shelf, being_placed, checksum, on_their_way, read_small};

/// What to do about evidence that is not what it was.
pub(super) const RESTORE: &str = "restore it from a backup";

/// A recording that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Verified,
    /// There, but its content was not read.
    Unverified,
    Wrong,
    /// Whoever watches wants no more.
    Stopped,
}

impl Storage<'_> {
    pub(super) fn look(&self, catalogued: Catalogued, watch: &mut dyn FnMut(Step)) -> Result<Report, JournalError> {
        let Catalogued { mut recordings, facts, declared_not_stored, mut index, mut problems, only_answered } =
            catalogued;
        recordings.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let bytes = if self.quick { 0 } else { recordings.iter().map(|expected| expected.size).sum() };
        watch(Step::Expect { recordings: recordings.len() as u64, bytes });
        let (mut present, mut unverified) = (0, 0);
        for expected in &recordings {
            let manifest_is_right = self.look_at_manifest(expected, &mut problems);
            let mut read = |bytes| {
                watch(Step::Read(bytes));
                Ok(())
            };
            match self.look_at_video(expected, &mut problems, &mut read) {
                Seen::Wrong | Seen::Stopped => {}
                _ if !manifest_is_right => {}
                Seen::Verified => present += 1,
                Seen::Unverified => {
                    present += 1;
                    unverified += 1;
                }
            }
            watch(Step::Recording);
        }
        let known = recordings.iter().map(|expected| expected.path.as_str()).collect();
        let foreign = self.look_at_the_rest(&known, facts, &|| Pace::On, &mut problems)?.unwrap_or_default();
        if !only_answered.is_empty() {
            // What came since the journal was read is in it now.
            let new = self.paths_since(facts)?;
            let strange = only_answered.difference(&new).count() as u64;
            if strange > 0 {
                index = IndexIs::Different { rows: strange };
                problems.extend(Problem::index(&index));
            }
        }
        let incoming = on_their_way(self.folder);
        let received = incoming.iter().map(|(_, bytes)| bytes).sum();
        let on_their_way = OnTheirWay { uploads: incoming.len() as u64, bytes: received };
        let expected = recordings.len() as u64;
        Ok(Report { expected, present, unverified, facts, declared_not_stored, on_their_way, index, problems, foreign })
    }

    pub(super) fn look_at_manifest(&self, expected: &Expected, problems: &mut Vec<Problem>) -> bool {
        let path = format!("{}{MANIFEST_SUFFIX}", expected.path);
        let (kind, text) = match read_small(&self.folder.join(&path)) {
            Ok(text) if Sha256::of(&text) == expected.manifest => match self.untrue(&text) {
                None => return true,
                Some(untrue) => {
                    (ProblemKind::AlteredManifest, format!("the manifest is as in the journal, but {untrue}"))
                }
            },
            Ok(_) => (ProblemKind::AlteredManifest, format!("the manifest was altered after it was signed: {RESTORE}")),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                (ProblemKind::AlteredManifest, format!("the manifest was altered after it was signed: {RESTORE}"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (ProblemKind::MissingManifest, format!("the manifest is missing: {RESTORE}"))
            }
            Err(error) => (ProblemKind::Unreadable, unreadable("manifest", &error)),
        };
        problems.push(Problem::new(kind, &path, text));
        false
    }

    fn untrue(&self, text: &[u8]) -> Option<String> {
        match Manifest::parse(text) {
            Ok(manifest) => Some(manifest.check(self.verifier).err()?.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// `read` is told of each piece of it that was read, and may end it.
    pub(super) fn look_at_video(
        &self,
        expected: &Expected,
        problems: &mut Vec<Problem>,
        read: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Seen {
        let path = self.folder.join(&expected.path);
        let checked = fs::symlink_metadata(&path).and_then(|there| {
            if !there.is_file() {
                return Ok(Err("the video is no file any more".to_owned()));
            }
            if there.len() != expected.size {
                return Ok(Err(format!("the video has {} bytes instead of {}", there.len(), expected.size)));
            }
            if self.quick {
                return Ok(Ok(Seen::Unverified));
            }
            let same = checksum(&path, read)? == expected.sha256;
            Ok(if same {
                Ok(Seen::Verified)
            } else {
                Err("the video's bytes are not those that were signed for".to_owned())
            })
        });
        let (kind, text) = match checked {
            Ok(Ok(seen)) => return seen,
            Ok(Err(altered)) => (ProblemKind::AlteredVideo, format!("{altered}: {RESTORE}")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Seen::Stopped,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (ProblemKind::MissingVideo, format!("the video is missing: {RESTORE}"))
            }
            Err(error) => (ProblemKind::Unreadable, unreadable("video", &error)),
        };
        problems.push(Problem::new(kind, &expected.path, text));
        Seen::Wrong
    }

    /// Everything that the journal did not tell of. `known` are the paths of which the first `facts` of it tell, and maybe more.
    /// Returns what is foreign; `None` if `pace`, which is asked at each file, stopped it.
    pub(super) fn look_at_the_rest(
        &self,
        known: &Paths,
        facts: u64,
        pace: &dyn Fn() -> Pace,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Vec<String>>, JournalError> {
        let mut shelf = Shelf::default();
        let walked = shelf.walk_but(self.folder, &mut |path| match pace() {
            Pace::Stop => ControlFlow::Break(()),
            Pace::On if known.contains(video_of(path)) => ControlFlow::Continue(Keep::No),
            Pace::On => ControlFlow::Continue(Keep::Yes),
        });
        if walked.is_break() {
            return Ok(None);
        }
        for (path, error) in &shelf.closed {
            problems.push(Problem::new(ProblemKind::Unreadable, path, unreadable("folder", error)));
        }
        let mut foreign = shelf.strange;
        if shelf.files.is_empty() {
            return Ok(Some(foreign));
        }
        // In this order: an upload's folder goes only after its recording is in the journal.
        let placing: HashSet<UploadId> = on_their_way(self.folder).into_iter().map(|(upload, _)| upload).collect();
        let being_placed: HashSet<String> =
            placing.iter().filter_map(|upload| being_placed(self.folder, *upload)).collect();
        let new = self.paths_since(facts)?;
        for path in &shelf.files {
            if pace() == Pace::Stop {
                return Ok(None);
            }
            let video = video_of(path);
            if new.contains(video) || being_placed.contains(video) || !self.folder.join(path).exists() {
                continue;
            }
            let manifest = self.manifest_at(&format!("{video}{MANIFEST_SUFFIX}"));
            match manifest {
                // A copy of a recording that the journal has: somebody put it there, and nothing is to be taken in.
                Some(manifest) if manifest.recording.path != video && known.contains(&manifest.recording.path) => {
                    foreign.push(path.to_owned());
                }
                Some(manifest) if path != video => {
                    problems.push(Problem::new(ProblemKind::UnknownManifest, path, self.advice(&manifest)));
                }
                // Its manifest tells of it.
                Some(_) => {}
                None if could_be_ours(path) => problems.push(Problem::new(
                    ProblemKind::UnknownVideo,
                    path,
                    "a video without a manifest that the journal does not know: find out who put it there; a manifest \
                     from a backup makes it a recording again",
                )),
                None => foreign.push(path.to_owned()),
            }
        }
        Ok(Some(foreign))
    }

    fn manifest_at(&self, path: &str) -> Option<Manifest> {
        Manifest::parse(&read_small(&self.folder.join(path)).ok()?).ok()
    }

    fn advice(&self, manifest: &Manifest) -> String {
        match manifest.check(self.verifier) {
            Ok(()) => "the journal does not know this recording: stop Longshore and run `longshore catalogue rebuild \
                       --from-manifests`"
                .to_owned(),
            Err(untrue) => format!("the journal does not know this manifest, and {untrue}: find out who put it there"),
        }
    }

    /// Where recordings were placed that the journal got after the first so many facts. What is before is not read again: a
    /// foreign file may lie here for years.
    fn paths_since(&self, facts: u64) -> Result<HashSet<String>, JournalError> {
        let mut paths = HashSet::new();
        journal::lines(self.journal, facts + 1, u64::MAX, &mut |_, _, line| {
            // Whether the lines follow from each other was looked at before.
            let fact = Sealed::of(line).and_then(|sealed| sealed.entry()).map(|entry| entry.fact);
            if let Some(Fact::Stored { manifest }) = fact
                && let Ok(expected) = Expected::of(manifest.as_bytes())
            {
                paths.insert(expected.path);
            }
        })?;
        Ok(paths)
    }
}

/// The video to which a path belongs: its own, or that of the manifest.
fn video_of(path: &str) -> &str {
    path.strip_suffix(MANIFEST_SUFFIX).unwrap_or(path)
}

pub(super) fn unreadable(what: &str, error: &io::Error) -> String {
    format!("the {what} cannot be read ({error}): see to the disk and to the rights, then verify again")
}

#[cfg(test)]
mod tests {
    use super::video_of;

    #[test]
    fn a_manifest_belongs_to_its_video() {
        assert_eq!(video_of("a/b.mp4.json"), "a/b.mp4");
        assert_eq!(video_of("a/b.mp4"), "a/b.mp4");
    }
}
