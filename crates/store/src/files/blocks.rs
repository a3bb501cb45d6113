//! Memory for whole blocks of a disk, and files that are read and written past the page cache.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use super::File;

/// What direct reads and writes begin and end at, on the disk and in memory, in bytes: no disk has larger sectors, and no
/// file system that we know asks for more (open(2), `O_DIRECT`).
pub const BLOCK: usize = 4096;

/// Memory that begins at a multiple of [`BLOCK`].
pub struct Blocks {
    memory: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Blocks {
    /// So many bytes, all zero.
    pub fn new(len: usize) -> Self {
        let memory = vec![0; len + BLOCK].into_boxed_slice();
        // Never more than this for bytes; the bound is for `align_offset`'s right to answer anything.
        let start = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        Self { memory, start, len }
    }
}

impl Deref for Blocks {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Blocks {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// A file that is read and written past the page cache.
pub(super) struct Unbuffered {
    pub(super) file: fs::File,
    /// Opened with `O_DIRECT`. Where a file system has no such thing, what is read leaves the page cache first, if it will:
    /// tmpfs has no other place, and a share keeps what it likes.
    pub(super) direct: bool,
}

impl File for Unbuffered {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.direct {
            let _taken = fadvise(&self.file, offset, NonZeroU64::new(buffer.len() as u64), Advice::DontNeed);
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(&self.file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // The end of the file; a direct read that goes on from there would not begin at a block.
            if !filled.is_multiple_of(BLOCK) {
                break;
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_of_the_length_asked_for() {
        for len in [BLOCK, 3 * BLOCK, 1 << 20] {
            let mut blocks = Blocks::new(len);
            assert_eq!((blocks.as_ptr().align_offset(BLOCK), blocks.len()), (0, len));
            blocks[len - 1] = 7;
            assert_eq!(blocks.last(), Some(&7));
        }
    }
}
