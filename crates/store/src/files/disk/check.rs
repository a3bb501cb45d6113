//! Whether the storage is still there: its folder is looked at again and again, and followed where it is mounted anew.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use super::super::{Standing, platform, store_id};
use super::{Disk, Root, Shared};

/// What a look at the storage's path found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How the storage is from now on.
    pub standing: Standing,
    /// Whether calls go through another mount of it from now on; what is on it may differ, so it must be walked anew.
    pub swapped: bool,
}

impl Disk {
    /// Looks whether the folder at the path is still this one, and takes the storage up again where it was mounted anew.
    /// Waits as long as the file system at the path does not answer.
    pub fn check(&self) -> Checked {
        let (standing, swapped) = match self.look() {
            Ok((standing, swapped)) => (standing, swapped),
            Err(why) => (Standing::Vanished { why }, false),
        };
        self.set_standing(standing.clone());
        Checked { standing, swapped }
    }

    /// Says that the storage is not there, for a reason that [`Self::check`] cannot tell because it waits itself.
    pub fn gone(&self, why: &str) {
        self.set_standing(Standing::Vanished { why: why.to_owned() });
    }

    fn look(&self) -> Result<(Standing, bool), String> {
        let Shared { path, id, root, .. } = &*self.shared;
        let shown = path.display();
        let found = platform::open_folder(path).map_err(|error| format!("{shown} cannot be opened: {error}"))?;
        let unreadable = |error: io::Error| format!("{shown} cannot be read: {error}");
        if let Some(id) = id {
            match store_id::read(&found).map_err(unreadable)? {
                Some(there) if there == *id => {}
                Some(_) => return Err(format!("{shown} is another storage; mount the right one")),
                None => return Err(format!("{shown} holds no {}; is the disk mounted?", store_id::FILE)),
            }
        }
        let read_only = platform::is_read_only(&found).map_err(unreadable)?;
        let standing = if read_only { Standing::ReadOnly } else { Standing::Ready };
        let (there, open) = (platform::identity(&found), platform::identity(&self.root().folder));
        let same = there.as_ref().ok() == open.as_ref().ok() && open.is_ok();
        if !same && id.is_none() {
            return Err(format!("{shown} is another folder than it was"));
        }
        if id.is_some() {
            self.claim(&found, same, &standing).map_err(unreadable)?;
        }
        if same {
            return Ok((standing, false));
        }
        let mut root = root.write().unwrap_or_else(PoisonError::into_inner);
        root.retired.store(true, Ordering::SeqCst);
        *root = Arc::new(Root { folder: found, retired: AtomicBool::new(false) });
        Ok((standing, true))
    }

    /// Claims what stands at the path now, unless that is done. Who had unmounted it may have given it to another server.
    fn claim(&self, found: &OwnedFd, same: bool, standing: &Standing) -> io::Result<()> {
        let mut claim = self.shared.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if !same {
            // First: where the old mount lives on under work that has not ended, it would lock out the new one.
            *claim = None;
        }
        if claim.is_none() && *standing == Standing::Ready {
            let used = || io::Error::other("another Longshore is using it; stop that one");
            *claim = Some(store_id::claim(found)?.ok_or_else(used)?);
        }
        Ok(())
    }

    fn set_standing(&self, standing: Standing) {
        *self.shared.standing.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}
