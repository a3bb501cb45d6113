//! Where recordings may be: folders that are always there, and mount points that come and go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use tokio::time::sleep;

use crate::mounts;
use crate::scan::PatternError;

/// How often the mount points are read: a person who puts a card in expects a sign of life, and reading them costs
/// less than a millisecond.
const NOTICE: Duration = Duration::from_secs(2);

/// What is looked through.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    folders: Vec<PathBuf>,
    mounts: GlobSet,
}

impl Watch {
    /// One folder alone, which must be there now.
    ///
    /// # Errors
    /// What the operating system says of the folder.
    pub fn folder(folder: &Path) -> io::Result<Self> {
        let folder = fs::canonicalize(folder)?;
        fs::read_dir(&folder)?;
        Ok(Self { folders: vec![folder], mounts: GlobSet::empty() })
    }

    /// These folders, and every mount point that fits one of the patterns, like `/media/*`; `*` stands for one name,
    /// `**` for any number.
    ///
    /// # Errors
    /// [`PatternError`], naming the pattern.
    pub fn new(folders: Vec<PathBuf>, mounts: &[String]) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        for pattern in mounts {
            let unreadable = |error: globset::Error| PatternError::Unreadable {
                pattern: pattern.clone(),
                reason: error.kind().to_string(),
            };
            set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(unreadable)?);
        }
        let unreadable =
            |error: globset::Error| PatternError::Unreadable { pattern: mounts.join(" "), reason: error.to_string() };
        Ok(Self { folders, mounts: set.build().map_err(unreadable)? })
    }

    /// The folders to look through now. One that lies in another one is left out: its files would be found twice,
    /// under two names.
    ///
    /// # Errors
    /// What the operating system says when it is asked for the mount points.
    pub fn roots(&self) -> io::Result<Vec<PathBuf>> {
        let mut roots = self.folders.clone();
        if self.has_cards() {
            roots.extend(mounts::mount_points()?.into_iter().filter(|point| self.mounts.is_match(point)));
        }
        roots.sort_unstable();
        roots.dedup_by(|root, before| root.starts_with(before));
        Ok(roots)
    }

    /// Whether there are cards that come and go.
    pub(crate) fn has_cards(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// Whether there are folders that are always there.
    pub(crate) fn has_folders(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Waits until the folders to look through are others than `known`: a card was put in or pulled out.
    ///
    /// # Errors
    /// What the operating system says when it is asked for the mount points.
    pub async fn changed(&self, known: &[PathBuf]) -> io::Result<()> {
        if !self.has_cards() {
            return std::future::pending().await;
        }
        while !self.has_changed(known)? {
            sleep(NOTICE).await;
        }
        Ok(())
    }

    /// Whether the folders to look through are others than `known`.
    ///
    /// # Errors
    /// What the operating system says when it is asked for the mount points.
    pub fn has_changed(&self, known: &[PathBuf]) -> io::Result<bool> {
        Ok(self.roots()? != known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_another_one_is_not_looked_through_twice() {
        let folders = ["/b/c", "/a", "/b", "/a/x/y", "/ab", "/a"].map(PathBuf::from).to_vec();
        let roots = Watch::new(folders, &[]).unwrap().roots().unwrap();
        assert_eq!(roots, ["/a", "/ab", "/b"].map(PathBuf::from));
    }

    #[test]
    fn mount_points_are_told_by_their_names() {
        let watch = Watch::new(vec![], &["/media/*".into(), "/run/media/*/CAM-??".into()]).unwrap();
        let fits = |point: &str| watch.mounts.is_match(point);
        assert!(fits("/media/BC4") && fits("/run/media/jane/CAM-07"));
        assert!(!fits("/media/jane/BC4") && !fits("/run/media/jane/STICK") && !fits("/"));
        let everywhere = Watch::new(vec![], &["/".into()]).unwrap();
        assert_eq!(everywhere.roots().unwrap(), [PathBuf::from("/")]);
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named() {
        let error = Watch::new(vec![], &["/media/[".into()]).unwrap_err().to_string();
        assert!(error.contains("/media/["), "{error}");
    }
}
