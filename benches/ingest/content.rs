//! What is uploaded: one random block, over and over, so that the client has nothing to compute while it is measured.

use anyhow::anyhow;
use longshore_model::{RunningHash, Sha256};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of the block: more than a core's own cache holds, so that the client reads memory as a real one does.
const BLOCK: usize = 8 * 1024 * 1024;

pub(crate) struct Content(Vec<u8>);

impl Content {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut block = vec![0; BLOCK];
        SystemRandom::new().fill(&mut block).map_err(|_| anyhow!("there is no randomness"))?;
        Ok(Self(block))
    }

    /// The bytes from `offset`: as many as are wanted, or fewer.
    pub(crate) fn at(&self, offset: u64, wanted: u64) -> &[u8] {
        let start = offset as usize % BLOCK;
        let end = BLOCK.min(start + usize::try_from(wanted).unwrap_or(BLOCK));
        &self.0[start..end]
    }

    /// The checksum of the first `length` bytes.
    pub(crate) fn sha256(&self, length: u64) -> Sha256 {
        let (mut hash, mut offset) = (RunningHash::default(), 0);
        while offset < length {
            let bytes = self.at(offset, length - offset);
            hash.update(bytes);
            offset += bytes.len() as u64;
        }
        hash.finish()
    }
}
