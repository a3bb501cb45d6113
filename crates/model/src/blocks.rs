//! A recording block by block: what a repair compares, so that only what is wrong comes again.

use crate::{RunningHash, Sha256};

/// Bytes of one block: small enough that little good comes again with a bad one, large enough that the checksums of a
/// recording stay a short list.
pub const BLOCK_BYTES: u64 = 8 << 20;

/// The checksums of a recording: of the whole, and of each block, the last of which may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSums {
    size: u64,
    sha256: Sha256,
    blocks: Vec<Sha256>,
}

/// Not as many blocks as the size has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes are {} blocks of {BLOCK_BYTES} bytes, and not {given}", BlockSums::count(*.size))]
pub struct WrongCount {
    /// Bytes of the whole.
    pub size: u64,
    /// Blocks that were given.
    pub given: usize,
}

impl BlockSums {
    /// The checksums of a recording of `size` bytes.
    ///
    /// # Errors
    /// [`WrongCount`].
    pub fn new(size: u64, sha256: Sha256, blocks: Vec<Sha256>) -> Result<Self, WrongCount> {
        match Self::count(size) == blocks.len() as u64 {
            true => Ok(Self { size, sha256, blocks }),
            false => Err(WrongCount { size, given: blocks.len() }),
        }
    }

    /// How many blocks a recording of `size` bytes has.
    pub const fn count(size: u64) -> u64 {
        size.div_ceil(BLOCK_BYTES)
    }

    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Checksum of the whole.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Checksum of each block.
    pub fn blocks(&self) -> &[Sha256] {
        &self.blocks
    }
}

/// The checksums of blocks in the making.
#[derive(Clone, Default)]
pub struct RunningBlocks {
    blocks: Vec<Sha256>,
    current: RunningHash,
    filled: u64,
}

impl RunningBlocks {
    /// Takes in the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(BLOCK_BYTES - self.filled).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.current.update(now);
            self.filled += now.len() as u64;
            bytes = rest;
            if self.filled == BLOCK_BYTES {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.blocks.push(std::mem::take(&mut self.current).finish());
        self.filled = 0;
    }

    /// The checksums of all blocks, the last as long as it came.
    pub fn finish(mut self) -> Vec<Sha256> {
        if self.filled > 0 {
            self.end_block();
        }
        self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 8 << 20;

    #[test]
    fn blocks_are_cut_at_their_size_however_the_bytes_come() {
        let content: Vec<u8> = (0..=250_u8).cycle().take(2 * BLOCK + 5).collect();
        let expected: Vec<_> = content.chunks(BLOCK).map(Sha256::of).collect();
        for piece in [content.len(), BLOCK, BLOCK - 1, 1_000_003] {
            let mut running = RunningBlocks::default();
            content.chunks(piece).for_each(|bytes| running.update(bytes));
            assert_eq!(running.finish(), expected);
        }
        assert!(RunningBlocks::default().finish().is_empty());
    }

    #[test]
    fn a_list_has_one_checksum_for_each_block_and_no_other() {
        let sums = |size, given| BlockSums::new(size, Sha256::of(b""), vec![Sha256::of(b"x"); given]);
        for (size, count) in [(0, 0), (1, 1), (BLOCK_BYTES, 1), (BLOCK_BYTES + 1, 2), (5 * BLOCK_BYTES, 5)] {
            assert!(sums(size, count).is_ok());
            assert_eq!(sums(size, count + 1), Err(WrongCount { size, given: count + 1 }));
        }
        let told = sums(BLOCK_BYTES + 1, 1).unwrap_err().to_string();
        assert_eq!(told, "8388609 bytes are 2 blocks of 8388608 bytes, and not 1");
    }
}
