use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_model::Clock;

use super::Uploads;
use crate::fail_point::sync;
use crate::files::{BLOCK, Blocks, File, Files};
use crate::slots::{Committed, Identity, Slot};

/// The only handle by which an upload's bytes reach the disk.
pub struct Transfer {
    pub(super) files: Arc<dyn Files>,
    pub(super) data: Arc<dyn File>,
    pub(super) state: Arc<dyn File>,
    /// Held over syncs; whoever only asks what is known must not wait for the disk.
    pub(super) changing: Mutex<()>,
    pub(super) last: Mutex<Last>,
    pub(super) uploads: Arc<Mutex<Uploads>>,
    pub(super) clock: Arc<dyn Clock>,
}

pub(super) struct Last {
    pub(super) slot: Slot,
    /// A failed sync may have dropped what it was to write, and the next would say all is well; so there is no next.
    pub(super) failed: bool,
}

impl Transfer {
    /// What it is.
    pub fn identity(&self) -> Identity {
        self.last().slot.identity.clone()
    }

    /// How far it is, durably.
    pub fn committed(&self) -> Committed {
        self.last().slot.committed
    }

    /// The storage as it was when this upload was opened: what is placed must be on the file system that was written.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Writes `len` bytes that come after what is committed, at `offset`. `blocks` are whole [`Blocks`] from the one that
    /// holds `offset` on, with the bytes where they belong in them; what else is in the first and the last block is
    /// filled in here. So the file may be longer than what was written; its last commit cuts it.
    ///
    /// # Errors
    /// The disk's. [`io::ErrorKind::UnexpectedEof`]: what was written before `offset` is not there any more.
    pub fn write(&self, blocks: &mut [u8], offset: u64, len: usize) -> io::Result<()> {
        let before = before_in_block(offset);
        let end = before + len;
        let whole = end.next_multiple_of(BLOCK);
        let blocks = blocks.get_mut(..whole).ok_or(io::ErrorKind::InvalidInput)?;
        let begin = offset - before as u64;
        if before > 0 {
            let mut head = Blocks::new(BLOCK);
            if self.data.read_at(&mut head, begin)? < before {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            blocks[..before].copy_from_slice(&head[..before]);
        }
        blocks[end..].fill(0);
        self.data.write_at(blocks, begin)
    }

    /// Reads what is committed from the medium, from a multiple of `blocks`' length on; as many bytes as are there.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, blocks: &mut Blocks, offset: u64) -> io::Result<usize> {
        self.data.read_at(blocks, offset)
    }

    /// Makes everything up to `to.offset` durable, then says so in the state, durably. After an error the handle is
    /// of no more use: [`Incoming::resume`](super::Incoming::resume) goes back to the last commit.
    ///
    /// # Errors
    /// The disk's.
    pub fn commit(&self, to: Committed) -> io::Result<()> {
        self.change(|slot| {
            let news = to.offset > slot.committed.offset;
            if news {
                (slot.committed, slot.advanced_at) = (to, self.clock.now());
            }
            news
        })
    }

    /// Says durably how long the recording is; it was not known before. After an error as after one of
    /// [`Self::commit`].
    ///
    /// # Errors
    /// The disk's.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(|slot| slot.identity.length.replace(length) != Some(length))
    }

    /// Puts the upload aside, durably: all of it came, and is not what was declared. From now on it is nobody's but
    /// [`Incoming::take_up`](super::Incoming::take_up)'s. After an error as after one of [`Self::commit`].
    ///
    /// # Errors
    /// The disk's.
    pub fn put_aside(&self) -> io::Result<()> {
        self.change(|slot| slot.aside_since.replace(self.clock.now()).is_none())
    }

    /// The same with what came right, and is given back otherwise by the medium.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_aside_altered(&self) -> io::Result<()> {
        self.change(|slot| {
            slot.altered = true;
            slot.aside_since.replace(self.clock.now()).is_none()
        })
    }

    /// `change` says whether there is anything to write.
    fn change(&self, change: impl FnOnce(&mut Slot) -> bool) -> io::Result<()> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = {
            let mut last = self.last();
            if last.failed {
                return Err(io::Error::other("an earlier sync of this upload failed"));
            }
            let mut slot = last.slot.clone();
            slot.generation += 1;
            if !change(&mut slot) {
                return Ok(());
            }
            last.failed = true;
            slot
        };
        if slot.identity.length == Some(slot.committed.offset) {
            self.data.set_len(slot.committed.offset)?;
        }
        sync!("sync-data", self.data.sync())?;
        self.state.write_at(&slot.to_bytes(), slot.position())?;
        sync!("sync-state", self.state.sync())?;
        *self.last() = Last { slot: slot.clone(), failed: false };
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = uploads.known.get_mut(&slot.identity.upload) {
            known.unfinished = slot.into();
        }
        Ok(())
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the block that holds `offset` which come before it.
pub fn before_in_block(offset: u64) -> usize {
    // Less than a block: it fits.
    usize::try_from(offset % BLOCK as u64).unwrap_or_default()
}
