//! What follows from a write or a sync that the disk refused: nothing new is taken before it has shown that it works.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Failures since the disk showed last that it works.
    failures: AtomicU64,
    one_at_a_time: Mutex<()>,
}

impl Suspicion {
    /// Takes note of what came of a job.
    pub(super) fn note(&self, error: &StorageError) {
        if matches!(error, StorageError::Io(_)) && self.0.failures.fetch_add(1, Ordering::AcqRel) == 0 {
            tracing::error!(%error, "the storage failed: look at the kernel's log for errors of its disk, or of its share. It is tried before anything new is taken");
        }
    }

    /// Returns if there is none, or if the disk has just shown that it works. What is refused here is no transfer's fault:
    /// none may come to rest for it.
    pub(super) fn clear(&self, files: &dyn Files) -> Result<(), StorageError> {
        if self.0.failures.load(Ordering::Acquire) == 0 {
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
        let before = self.0.failures.load(Ordering::Acquire);
        match files::prove(files, PROOF) {
            Ok(()) => {
                // What failed meanwhile is not made up for by what went well: the next one tries it again.
                let proven = self.0.failures.compare_exchange(before, 0, Ordering::AcqRel, Ordering::Acquire);
                if proven.is_ok() {
                    tracing::info!("the storage takes and gives back what is written again");
                }
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
