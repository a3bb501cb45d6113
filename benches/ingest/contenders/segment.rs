//! Aligned buffers that are used again.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a segment.
pub(super) const SEGMENT: usize = 1024 * 1024;
/// What every disk accepts for direct writes.
const ALIGN: usize = 4096;

#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer, filled so far; goes back to its pool when it is dropped.
pub(super) struct Segment {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
    pool: Pool,
}

impl Pool {
    pub(super) fn take(&self) -> Segment {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = kept.unwrap_or_else(|| vec![0; SEGMENT + ALIGN]);
        let start = memory.as_ptr().align_offset(ALIGN);
        Segment { memory, start, filled: 0, pool: self.clone() }
    }
}

impl Segment {
    /// What is not filled yet.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.start + self.filled..self.start + SEGMENT]
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == SEGMENT
    }

    /// What is filled, and beyond it as much as the alignment wants.
    pub(super) fn padded(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled.next_multiple_of(ALIGN)]
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}
