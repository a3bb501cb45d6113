//! What follows from a write or a sync that the disk refused: nothing new is taken before it has shown that it works. And from
//! bytes that it altered: those who send would send again and again, for ever; so nothing new is taken for a while.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use longshore_model::health_type;
use longshore_store::files::{self, Files};

use super::StorageError;
use crate::health::{Notice, Notices};

/// Beside the uploads on their way; the walk through them takes it for none.
const PROOF: &str = ".incoming/proof";

/// So many recordings that the medium altered …
const ALTERED: usize = 3;
/// … within this time are no accident: nothing more is taken until the first of them is as old. Each costs its sender a
/// whole transfer, and the storage the room for it.
const WITHIN: Duration = Duration::from_secs(3600);

/// Shared by all jobs of the storage.
#[derive(Clone, Default)]
pub(super) struct Suspicion(Arc<Suspected>);

#[derive(Default)]
struct Suspected {
    notices: Notices,
    /// Failures since the disk showed last that it works.
    failures: AtomicU64,
    one_at_a_time: Mutex<()>,
    /// When the last recordings were altered.
    altered: Mutex<VecDeque<Instant>>,
}

impl Suspicion {
    /// None yet; what fails is told there.
    pub(super) fn new(notices: Notices) -> Self {
        Self(Arc::new(Suspected { notices, ..Suspected::default() }))
    }

    /// The disk failed before this server began, and nobody knows whether it works by now.
    pub(super) fn suspect(&self) {
        self.0.failures.fetch_max(1, Ordering::AcqRel);
    }

    /// Takes note of what came of a job.
    pub(super) fn note(&self, error: &StorageError) {
        if !matches!(error, StorageError::Io(_)) {
            return;
        }
        self.0.notices.happened(failed().text(error.to_string()));
        if self.0.failures.fetch_add(1, Ordering::AcqRel) == 0 {
            tracing::error!(%error, "the storage failed: look at the kernel's log for errors of its disk, or of its share. It is tried before anything new is taken");
        }
    }

    /// Takes note of a recording that the medium gave back altered, however often it was read.
    pub(super) fn note_altered(&self, now: Instant) {
        let mut altered = self.0.altered.lock().unwrap_or_else(PoisonError::into_inner);
        altered.push_back(now);
        let surplus = altered.len().saturating_sub(ALTERED);
        altered.drain(..surplus);
        if altered.len() == ALTERED && altered.iter().all(|at| now.duration_since(*at) < WITHIN) {
            tracing::error!(
                "the storage altered {ALTERED} recordings within an hour: nothing new is taken for as long"
            );
        }
    }

    fn alters(&self, now: Instant) -> bool {
        let altered = self.0.altered.lock().unwrap_or_else(PoisonError::into_inner);
        altered.len() == ALTERED && altered.iter().all(|at| now.duration_since(*at) < WITHIN)
    }

    /// Returns if there is none, or if the disk has just shown that it works. What is refused here is no transfer's fault:
    /// none may come to rest for it.
    pub(super) fn clear(&self, files: &dyn Files) -> Result<(), StorageError> {
        if self.alters(Instant::now()) {
            return Err(StorageError::NotThere(format!(
                "the storage gave back other bytes than were written for {ALTERED} recordings within an hour: check its \
                 disk, or its share's server; it is tried again after that time, or after a restart"
            )));
        }
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
                    self.0.notices.over(failed());
                }
                Ok(())
            }
            // Full is not broken: what has room is taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
            Err(error) => {
                self.0.notices.stands(failed().text(error.to_string()));
                Err(StorageError::NotThere(format!("the storage failed before, and still does: {error}")))
            }
        }
    }
}

fn failed() -> Notice {
    Notice::of_server(health_type::DISK_WRITE_FAILED)
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

    #[test]
    fn a_disk_that_alters_one_recording_after_the_other_takes_nothing_for_an_hour() {
        let (disk, suspicion, now) = (SimulatedDisk::new(), Suspicion::default(), Instant::now());
        let minutes = |n: u64| now + Duration::from_secs(60 * n);
        // One now and then is borne.
        for hour in 0..10 {
            suspicion.note_altered(minutes(40 * hour));
            assert!(!suspicion.alters(minutes(40 * hour)));
        }
        suspicion.note_altered(minutes(365));
        suspicion.note_altered(minutes(370));
        assert!(suspicion.alters(minutes(370)) && suspicion.alters(minutes(419)));
        assert!(!suspicion.alters(minutes(420)), "the first of them is an hour ago");
        let suspicion = Suspicion::default();
        (0..ALTERED).for_each(|_| suspicion.note_altered(Instant::now()));
        let refused = suspicion.clear(&disk).unwrap_err();
        assert!(matches!(&refused, StorageError::NotThere(_)) && !refused.blames_the_transfer(), "{refused}");
    }
}
