//! Buffers in which a transfer's bytes travel from the connection to the disk.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_store::files::Blocks;
use longshore_store::incoming::before_in_block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a segment: large enough that a disk write and a hop between threads cost little per byte.
pub(crate) const SEGMENT: usize = 1024 * 1024;
/// Idle segments that are kept: what 32 busy transfers need. More are given back to the system.
const KEPT: usize = 64;

/// A pool of segments, for a bounded number of requests at a time: each has at most [`IN_FLIGHT`] of them.
///
/// [`IN_FLIGHT`]: super::ledger::IN_FLIGHT
#[derive(Clone)]
pub(crate) struct SegmentPool {
    kept: Arc<Mutex<Vec<Blocks>>>,
    places: Arc<Semaphore>,
}

/// A buffer of [`SEGMENT`] bytes, part-filled; goes back to its pool when it is dropped. Bytes stand in it where they
/// stand in the blocks of the file, so that they are written from here, whole blocks past the page cache.
pub(crate) struct Segment {
    /// `None` only while it is being dropped.
    memory: Option<Blocks>,
    /// Where it begins: bytes of its first block that were there before.
    before: usize,
    len: usize,
    pool: SegmentPool,
}

impl SegmentPool {
    /// For this many requests at a time.
    pub(crate) fn new(requests: usize) -> Self {
        Self { kept: Arc::default(), places: Arc::new(Semaphore::new(requests)) }
    }

    /// A request's leave to take segments, if there is room for one more.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// An empty segment for bytes at `offset`.
    pub(crate) fn take(&self, offset: u64) -> Segment {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = Some(kept.unwrap_or_else(|| Blocks::new(SEGMENT)));
        Segment { memory, before: before_in_block(offset), len: 0, pool: self.clone() }
    }
}

impl Segment {
    /// Takes in as much of `bytes` as has room, and says how much that was.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> usize {
        let at = self.before + self.len;
        let taken = bytes.len().min(SEGMENT - at);
        if let Some(memory) = &mut self.memory {
            memory[at..at + taken].copy_from_slice(&bytes[..taken]);
            self.len += taken;
        }
        taken
    }

    /// Bytes that were filled in.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All of it, from the block on that holds the first byte.
    pub(crate) fn blocks(&mut self) -> &mut [u8] {
        self.memory.as_deref_mut().unwrap_or_default()
    }

    /// Whether no more bytes fit.
    pub(crate) fn is_full(&self) -> bool {
        self.before + self.len == SEGMENT
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} bytes)", self.len)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let mut kept = self.pool.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.extend(self.memory.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_at_a_block_wherever_it_begins_and_is_used_again() {
        let pool = SegmentPool::new(1);
        for (offset, before) in [(0, 0), (3 << 20, 0), ((3 << 20) + 5, 5), (4095, 4095)] {
            let mut segment = pool.take(offset);
            assert_eq!(segment.fill(&[7; SEGMENT - 5000]), SEGMENT - 5000);
            assert_eq!(segment.fill(&[8; 6000]), 5000 - before);
            assert!(segment.is_full());
            assert_eq!(segment.len(), SEGMENT - before);
            assert_eq!((segment.blocks()[before], segment.blocks()[SEGMENT - 1]), (7, 8));
        }
        let memory = pool.take(0).blocks().as_ptr();
        let mut again = pool.take(0);
        assert_eq!((again.blocks().as_ptr(), again.len()), (memory, 0));
    }
}
