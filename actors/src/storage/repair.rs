//! Uploads whose bytes were not those that were declared: put aside, compared block by block, and taken up again after the
//! bytes that are good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use longshore_model::{BLOCK_BYTES, BlockSums, RunningHash, Sha256, UploadId};
use longshore_store::Committed;
use longshore_store::files::Blocks;
use longshore_store::incoming::{Aside, Transfer};

use super::{StorageError, StorageParts, StorageWriter};

/// Bytes of one read.
const READ: usize = 1024 * 1024;
/// How many uploads of one device are kept aside: a device that damages everything is not to fill the disk with it, and one
/// that repairs does so at once.
const KEPT_OF_A_DEVICE: usize = 4;

/// Put a complete upload aside.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct PutAside {
    pub(crate) transfer: Arc<Transfer>,
    /// It came right, and the medium gives back other bytes.
    pub(crate) altered: bool,
}

/// Compare an upload that was put aside, and let it go on after what is good of it.
#[derive(Message)]
#[rtype(result = "Result<Repaired, StorageError>")]
pub(crate) struct Repair(pub(crate) UploadId, pub(crate) BlockSums);

/// What came of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repaired {
    /// It goes on from this offset.
    GoesOn(u64),
    /// Every block is what the device says, and all of them together have another checksum than it says. It stays aside.
    Contradicts(Sha256),
}

/// Compares what is read with what the device says of it. Pure.
struct Comparison<'a> {
    sums: &'a BlockSums,
    read: u64,
    whole: RunningHash,
    block: RunningHash,
    /// Up to the last block that is good, as are all before it.
    good: Committed,
}

impl<'a> Comparison<'a> {
    fn new(sums: &'a BlockSums) -> Self {
        let (whole, block, good) = (RunningHash::default(), RunningHash::default(), Committed::nothing());
        Self { sums, read: 0, whole, block, good }
    }

    /// Takes the next bytes. `false`: the good ones have ended.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let end = self.sums.size().min((self.read / BLOCK_BYTES + 1) * BLOCK_BYTES);
            let room = usize::try_from(end - self.read).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.whole.update(now);
            self.block.update(now);
            self.read += now.len() as u64;
            bytes = rest;
            if self.read == end && !self.end_block() {
                return false;
            }
        }
        true
    }

    fn end_block(&mut self) -> bool {
        let found = std::mem::take(&mut self.block).finish();
        let index = usize::try_from(self.good.offset / BLOCK_BYTES).unwrap_or(usize::MAX);
        let is_good = self.good.offset < self.read && self.sums.blocks().get(index) == Some(&found);
        if is_good {
            self.good = Committed { offset: self.read, hash: self.whole.state() };
        }
        is_good
    }

    /// After `Ok`, the upload may go on; otherwise the device contradicts itself, and this is the checksum of the whole.
    fn verdict(self) -> Result<Committed, Sha256> {
        let found = self.whole.finish();
        if self.good.offset == self.sums.size() && found != self.sums.sha256() { Err(found) } else { Ok(self.good) }
    }
}

fn repair(parts: &StorageParts, upload: UploadId, sums: &BlockSums) -> Result<Repaired, StorageError> {
    parts.is_there()?;
    parts.suspicion.clear(&*parts.files)?;
    let aside = parts.incoming.take_up(upload)?;
    let came = aside.came();
    let found = RunningHash::resume(&came.hash).map_err(|error| StorageError::Damaged(error.to_string()))?.finish();
    let good = if found == sums.sha256() && !aside.is_altered() {
        // The bytes were right, and what was declared of them was wrong. They are read back before their receipt.
        came
    } else {
        match compare(&aside, sums, &parts.stopping)? {
            Ok(good) => good,
            Err(found) => return Ok(Repaired::Contradicts(found)),
        }
    };
    aside.go_on(sums.sha256(), good)?;
    Ok(Repaired::GoesOn(good.offset))
}

fn compare(aside: &Aside, sums: &BlockSums, stopping: &AtomicBool) -> Result<Result<Committed, Sha256>, StorageError> {
    let (mut blocks, mut comparison) = (Blocks::new(READ), Comparison::new(sums));
    while comparison.read < sums.size() {
        // A large one takes minutes; the device asks again after the restart.
        if stopping.load(Ordering::Relaxed) {
            return Err(StorageError::Unavailable);
        }
        let read = aside.read(&mut blocks, comparison.read)?;
        let left = usize::try_from(sums.size() - comparison.read).unwrap_or(usize::MAX);
        let read = read.min(left);
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        if !comparison.take(&blocks[..read]) {
            break;
        }
    }
    Ok(comparison.verdict())
}

impl StorageParts {
    fn put_aside(&self, PutAside { transfer, altered }: PutAside) -> Result<(), StorageError> {
        if altered {
            // How many they can be, the suspicion bounds.
            return Ok(transfer.put_aside_altered()?);
        }
        transfer.put_aside()?;
        let all = self.incoming.of_device(transfer.identity().device).into_iter().filter(|upload| !upload.altered);
        drop(transfer);
        let mut aside: Vec<_> = all.filter_map(|upload| Some((upload.aside_since?, upload.identity.upload))).collect();
        aside.sort_unstable();
        let why = "its bytes differ, and others of its device lie aside that are newer";
        for (_, upload) in aside.into_iter().rev().skip(KEPT_OF_A_DEVICE) {
            match self.incoming.discard_aside(upload) {
                Ok(()) => tracing::info!(%upload, why, "an upload was given up"),
                Err(error) => tracing::warn!(%upload, %error, "an upload's incoming folder could not be removed"),
            }
        }
        Ok(())
    }
}

impl Handler<PutAside> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, put_aside: PutAside, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        self.run(move || parts.put_aside(put_aside))
    }
}

impl Handler<Repair> for StorageWriter {
    type Result = ResponseFuture<Result<Repaired, StorageError>>;

    fn handle(&mut self, Repair(upload, sums): Repair, _: &mut Self::Context) -> Self::Result {
        let (parts, comparing) = (self.parts.clone(), Arc::clone(&self.parts.comparing));
        let repairing = self.run(move || repair(&parts, upload, &sums));
        Box::pin(async move {
            let _turn = comparing.acquire().await.map_err(|_| StorageError::Unavailable)?;
            repairing.await
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use longshore_model::{DeviceId, Kind, RecordingId, SettableClock};
    use longshore_store::files::{Files, SimulatedDisk};
    use longshore_store::incoming::Incoming;
    use longshore_store::{Identity, Purpose};
    use proptest::prelude::*;

    use super::super::Floor;
    use super::*;
    use crate::health::Notices;

    const BLOCK: usize = 8 << 20;

    fn sums_of(content: &[u8]) -> BlockSums {
        let blocks = content.chunks(BLOCK).map(Sha256::of).collect();
        BlockSums::new(content.len() as u64, Sha256::of(content), blocks).unwrap()
    }

    fn compared(sums: &BlockSums, stored: &[u8], piece: usize) -> Result<Committed, Sha256> {
        let mut comparison = Comparison::new(sums);
        let _all_good = stored.chunks(piece).all(|bytes| comparison.take(bytes));
        comparison.verdict()
    }

    fn content(len: usize) -> Vec<u8> {
        (0..=250_u8).cycle().take(len).collect()
    }

    fn prefix(content: &[u8], len: usize) -> Committed {
        let mut hash = RunningHash::default();
        hash.update(&content[..len]);
        Committed { offset: len as u64, hash: hash.state() }
    }

    #[test]
    fn what_comes_before_the_first_bad_block_is_good() {
        let content = content(2 * BLOCK + 9);
        let sums = sums_of(&content);
        for (flipped, good) in [(0, 0), (BLOCK - 1, 0), (BLOCK, BLOCK), (2 * BLOCK + 8, 2 * BLOCK)] {
            let mut stored = content.clone();
            stored[flipped] ^= 1;
            assert_eq!(compared(&sums, &stored, 1 << 20), Ok(prefix(&content, good)), "byte {flipped}");
        }
    }

    #[test]
    fn all_blocks_are_good_and_the_whole_is_or_is_not_what_the_device_says() {
        for len in [0, 1, BLOCK, BLOCK + 1] {
            let content = content(len);
            let sums = sums_of(&content);
            assert_eq!(compared(&sums, &content, 1 << 20), Ok(prefix(&content, len)));
            let wrong = BlockSums::new(len as u64, Sha256::of(b"wrong"), sums.blocks().to_vec()).unwrap();
            assert_eq!(compared(&wrong, &content, 1 << 20), Err(Sha256::of(&content)));
        }
    }

    #[test]
    fn of_one_device_only_the_newest_few_are_kept_aside() {
        let files: Arc<dyn Files> = Arc::new(SimulatedDisk::new());
        let now: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let clock = SettableClock::at(now);
        let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(clock.clone())).unwrap();
        let parts = StorageParts::new(files, incoming.clone(), Floor::Bytes(0), None, Notices::default());
        let device = DeviceId::from_bytes([1; 16]);
        for n in 10..16 {
            let (upload, purpose) =
                (UploadId::from_bytes([n; 16]), Purpose::Recording(RecordingId::from_bytes([n; 16])));
            let identity = Identity { upload, device, purpose, length: Some(0), sha256: None, created_at: now };
            parts.reserve(identity, Kind::Event).unwrap();
            clock.set(now + TimeDelta::seconds(n.into()));
            let (transfer, _) = incoming.resume(upload).unwrap();
            parts.put_aside(PutAside { transfer, altered: n == 10 }).unwrap();
        }
        let mut aside: Vec<_> =
            incoming.of_device(device).into_iter().filter_map(|upload| upload.aside_since).collect();
        aside.sort_unstable();
        // What the medium altered is not for repair, and not counted.
        assert_eq!(aside, [10, 12, 13, 14, 15].map(|n| now + TimeDelta::seconds(n)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]

        /// Whatever is wrong, and however it is read: what is kept are whole blocks, equal to the device's, as many as there
        /// are before the first wrong one, with the state of the checksum there.
        #[test]
        fn the_good_prefix_is_the_longest_of_whole_equal_blocks(
            len in 0..3 * BLOCK + 2,
            wrong in prop::collection::vec(0..3 * BLOCK + 2, 0..3),
            piece in prop::sample::select(vec![BLOCK, 1 << 20, 999_983, 7_777_777]),
        ) {
            let content = content(len);
            let mut stored = content.clone();
            for at in wrong.iter().filter(|at| **at < len) {
                stored[*at] = !content[*at];
            }
            let same = content.chunks(BLOCK).zip(stored.chunks(BLOCK)).take_while(|(ours, theirs)| ours == theirs);
            let good = same.map(|(block, _)| block.len()).sum();
            prop_assert_eq!(compared(&sums_of(&content), &stored, piece), Ok(prefix(&content, good)));
        }
    }
}
