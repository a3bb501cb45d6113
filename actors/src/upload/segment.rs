//! Buffers in which a transfer's bytes travel from the connection to the disk.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a segment: large enough that a disk write and a hop between threads cost little per byte.
pub(crate) const SEGMENT: usize = 1024 * 1024;
/// Alignment that every disk accepts for direct writes.
const ALIGN: usize = 4096;
/// Idle segments that are kept: what 32 busy transfers need. More are given back to the system.
const KEPT: usize = 64;

/// A pool of segments.
#[derive(Clone, Default)]
pub(crate) struct SegmentPool(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A buffer of [`SEGMENT`] bytes, aligned, part-filled; goes back to its pool when it is dropped.
pub(crate) struct Segment {
    /// `None` only while it is being dropped.
    memory: Option<Box<[u8]>>,
    start: usize,
    len: usize,
    pool: SegmentPool,
}

impl SegmentPool {
    /// An empty segment.
    pub(crate) fn take(&self) -> Segment {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = kept.unwrap_or_else(|| vec![0; SEGMENT + ALIGN].into_boxed_slice());
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        Segment { memory: Some(memory), start, len: 0, pool: self.clone() }
    }
}

impl Segment {
    /// Takes in as much of `bytes` as has room, and says how much that was.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(SEGMENT - self.len);
        let at = self.start + self.len;
        if let Some(memory) = &mut self.memory {
            memory[at..at + taken].copy_from_slice(&bytes[..taken]);
            self.len += taken;
        }
        taken
    }

    /// Whether no more bytes fit.
    pub(crate) fn is_full(&self) -> bool {
        self.len == SEGMENT
    }
}

impl Deref for Segment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_deref().and_then(|memory| memory.get(self.start..self.start + self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} bytes)", self.len)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let mut kept = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.extend(self.memory.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_aligned_takes_a_mebibyte_and_is_used_again() {
        let pool = SegmentPool::default();
        let mut segment = pool.take();
        assert_eq!(segment.as_ptr().align_offset(ALIGN), 0);
        assert_eq!(segment.fill(&[7; SEGMENT - 1]), SEGMENT - 1);
        assert_eq!(segment.fill(&[8; 10]), 1);
        assert!(segment.is_full());
        assert_eq!(segment[SEGMENT - 2..], [7, 8]);
        let memory = segment.as_ptr();
        drop(segment);
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len()), (memory, 0));
    }
}
