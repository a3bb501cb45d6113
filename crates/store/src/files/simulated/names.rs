//! Names on the simulated disk, and the operations that change them.

use std::collections::BTreeMap;
use std::io;

use crate::files::parent;

/// Paths and what they name: an inode, or `None` for a folder.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) BTreeMap<String, Option<usize>>);

#[derive(Clone)]
pub(super) enum Operation {
    Create {
        path: String,
        node: Option<usize>,
    },
    /// Carries what it renames: synced in its new folder, it is there whether the old name ever was durable or not.
    Rename {
        from: String,
        to: String,
        node: usize,
        /// Whether what stood there goes.
        over: bool,
    },
    Remove {
        path: String,
    },
}

impl Names {
    pub(super) fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.0.get(path) == Some(&None)
    }

    pub(super) fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, Option<usize>)> {
        self.0
            .iter()
            .filter(move |(name, _)| parent(name) == path)
            .map(|(name, node)| (name.rsplit('/').next().unwrap_or_default(), *node))
    }

    pub(super) fn apply(&mut self, operation: &Operation) -> io::Result<()> {
        match operation {
            Operation::Create { path, node } => {
                if !self.is_folder(parent(path)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                if self.0.contains_key(path) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.0.insert(path.clone(), *node);
            }
            Operation::Rename { from, to, node, over } => {
                if !self.is_folder(parent(to)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                if self.0.contains_key(to) && !over {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.0.remove(from);
                self.0.insert(to.clone(), Some(*node));
            }
            Operation::Remove { path } => {
                if self.children(path).next().is_some() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                self.0.remove(path).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(())
    }
}

impl Operation {
    pub(super) fn touches(&self, folder: &str) -> bool {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => parent(path) == folder,
            Self::Rename { from, to, .. } => parent(from) == folder || parent(to) == folder,
        }
    }
}
