//! What follows from a write or a sync that the disk refused: nothing new is taken before it has shown that it works.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use longshore_store::files::{self, Files};

use super::StorageError;

/// Beside the uploads on their way; the walk through them takes it for none.
const PROOF: &str = ".incoming/proof";

/// Shared by all jobs of the storage.
#[derive(Clone, Default)]
pub(super) struct Suspicion(Arc<Suspected>);

#[derive(Default)]
struct Suspected {
    is: AtomicBool,
    one_at_a_time: Mutex<()>,
}

impl Suspicion {
    /// Takes note of what came of a job.
    pub(super) fn note(&self, error: &StorageError) {
        if matches!(error, StorageError::Io(_)) && !self.0.is.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the storage failed: look at the kernel's log for errors of its disk, or of its share. It is tried before anything new is taken");
        }
    }

    /// Returns if there is none, or if the disk has just shown that it works. What is refused here is no transfer's fault:
    /// none may come to rest for it.
    pub(super) fn clear(&self, files: &dyn Files) -> Result<(), StorageError> {
        if !self.0.is.load(Ordering::Acquire) {
            return Ok(());
        }
        let _alone = match self.0.one_at_a_time.try_lock() {
            // A disk that hangs must not hold one thread after the other.
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::Unavailable);
            }
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
        };
        match files::prove(files, PROOF) {
            Ok(()) => {
                self.0.is.store(false, Ordering::Release);
                tracing::info!("the storage takes and gives back what is written again");
                Ok(())
            }
            // Full is not broken: what has room is taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
            Err(error) => Err(StorageError::NotThere(format!("the storage failed before, and still does: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_store::files::{Fault, SimulatedDisk};

    use super::*;

    #[test]
    fn after_a_failure_the_disk_has_to_show_that_it_works_and_no_transfer_is_blamed_meanwhile() {
        let disk = SimulatedDisk::new();
        disk.create_folder(".incoming").unwrap();
        let suspicion = Suspicion::default();
        suspicion.note(&StorageError::Full);
        let before = disk.calls();
        suspicion.clear(&disk).unwrap();
        assert_eq!(disk.calls(), before, "a disk that is full has not failed");
        suspicion.note(&StorageError::Io("EIO".to_owned()));
        disk.fail(disk.calls(), Fault::Error(io::ErrorKind::Other));
        let refused = suspicion.clear(&disk).unwrap_err();
        assert!(matches!(&refused, StorageError::NotThere(_)) && !refused.blames_the_transfer(), "{refused}");
        suspicion.clear(&disk).unwrap();
        let before = disk.calls();
        suspicion.clear(&disk).unwrap();
        assert_eq!(disk.calls(), before, "it is tried once");
    }
}
