//! What is in a file: as the running system sees it, and as a power cut would leave it.

use std::collections::BTreeSet;

/// Unit in which unsynced bytes survive a power cut or don't.
const BLOCK: usize = 4096;

/// A file's bytes.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks that a failed sync left in the page cache, marked clean: no later sync writes them, until they are
    /// written anew (as Linux does it).
    lost: BTreeSet<usize>,
}

impl Content {
    pub(super) fn after_power_cut(&self, coin: &mut Coin) -> Self {
        let len = if coin.toss() { self.live.len() } else { self.durable.len() };
        let mut found = self.durable.clone();
        found.resize(len, 0);
        for (index, block) in found.chunks_mut(BLOCK).enumerate() {
            let start = index * BLOCK;
            if let Some(live) = self.live.get(start..self.live.len().min(start + block.len()))
                && !self.lost.contains(&index)
                && coin.toss()
            {
                block[..live.len()].copy_from_slice(live);
            }
        }
        Self { live: found.clone(), durable: found, lost: BTreeSet::new() }
    }

    pub(super) fn write(&mut self, bytes: &[u8], start: usize) {
        let end = start + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[start..end].copy_from_slice(bytes);
        let written = start / BLOCK..end.div_ceil(BLOCK);
        self.lost.retain(|block| !written.contains(block));
    }

    pub(super) fn sync(&mut self) {
        let Self { live, durable, lost } = self;
        durable.resize(live.len(), 0);
        for (index, (to, from)) in durable.chunks_mut(BLOCK).zip(live.chunks(BLOCK)).enumerate() {
            if !lost.contains(&index) {
                to.copy_from_slice(from);
            }
        }
    }

    pub(super) fn fail_sync(&mut self) {
        let changed = |index: &usize| {
            let block = |bytes: &[u8]| bytes.chunks(BLOCK).nth(*index).map(<[u8]>::to_vec);
            block(&self.live) != block(&self.durable)
        };
        let changed: Vec<usize> = (0..self.live.len().div_ceil(BLOCK)).filter(changed).collect();
        self.lost.extend(changed);
    }
}

/// SplitMix64: the same seed, the same tosses.
pub(super) struct Coin(pub(super) u64);

impl Coin {
    pub(super) fn toss(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
