//! Uploads that were put aside: all of their bytes came, and were not those that were declared, or the medium gave back other
//! ones. They stay for a while, since most of their bytes are good.

use std::io;
use std::sync::Arc;

use longshore_model::{Clock, Sha256, UploadId};

use super::{Hold, Incoming, IncomingError, data_path, state_path};
use crate::files::{Blocks, File};
use crate::slots::{Committed, Identity, Slot};

/// An upload that was put aside, held to be compared and taken up again. Dropping it leaves it aside.
pub struct Aside {
    hold: Hold,
    slot: Slot,
    data: Arc<dyn File>,
    state: Arc<dyn File>,
    clock: Arc<dyn Clock>,
}

impl Incoming {
    /// Takes up an upload that was put aside.
    ///
    /// # Errors
    /// [`IncomingError::NotFound`] if it does not lie aside, [`IncomingError::Busy`] while another has it,
    /// [`IncomingError::Damaged`] if what is on the disk is less than what came. The disk's.
    pub fn take_up(&self, upload: UploadId) -> Result<Aside, IncomingError> {
        self.files.standing().may_make()?;
        let hold = self.hold(upload)?;
        let mount = self.pinned();
        let damaged = |what: &str| IncomingError::Damaged(what.to_owned());
        let (slot, data_len) = mount.read_state(upload)?.ok_or_else(|| damaged("its state cannot be read"))?;
        if slot.aside_since.is_none() {
            return Err(IncomingError::NotFound);
        }
        if data_len < slot.committed.offset {
            return Err(damaged("it is shorter than what came"));
        }
        let data = mount.files.open_direct(&data_path(upload))?;
        let state = mount.files.open(&state_path(upload))?;
        mount.make_durable(&slot, &*state)?;
        Ok(Aside { hold, slot, data, state, clock: Arc::clone(&self.clock) })
    }
}

impl Aside {
    /// All that came, and the state of its checksum.
    pub fn came(&self) -> Committed {
        self.slot.committed
    }

    /// Whether the medium gave back other bytes than came; then the checksum's state tells nothing of what is on it.
    pub fn is_altered(&self) -> bool {
        self.slot.altered
    }

    /// Reads what came from the medium, from a multiple of `blocks`' length on; as many bytes as are there.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, blocks: &mut Blocks, offset: u64) -> io::Result<usize> {
        self.data.read_at(blocks, offset)
    }

    /// Lets it go on after what is `good` of it, as the upload of what has this checksum; durable when this returns. Whoever
    /// opens it next ([`Incoming::resume`]) cuts the rest off: a power cut before leaves it aside, as it was.
    ///
    /// # Errors
    /// The disk's.
    pub fn go_on(self, sha256: Sha256, good: Committed) -> io::Result<()> {
        let Self { hold, slot: Slot { generation, identity, .. }, data, state, clock } = self;
        let (generation, identity) = (generation + 1, Identity { sha256: Some(sha256), ..identity });
        let advanced_at = clock.now();
        let slot = Slot { generation, identity, committed: good, advanced_at, aside_since: None, altered: false };
        data.sync()?;
        state.write_at(&slot.to_bytes(), slot.position())?;
        state.sync()?;
        hold.change(|known| known.unfinished = slot.into());
        Ok(())
    }
}
