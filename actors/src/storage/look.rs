//! How much room there is, for whoever only wants to know.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::StorageParts;
use crate::kit::ASK_DEADLINE;

impl StorageParts {
    /// Free bytes, and how many there should be at least. A storage that failed shows first whether it works, so that this is
    /// known also when no device comes. `None`: it is not there, or does not answer. A share that hangs holds one thread, and not
    /// one more with each question.
    pub(crate) async fn look(&self) -> Option<(u64, u64)> {
        self.is_there().ok()?;
        let alone = Arc::clone(&self.looking).try_acquire_owned().ok()?;
        let parts = self.clone();
        let look = move || {
            let _alone = alone;
            // What comes of it is told, and room is room.
            let _told = parts.suspicion.clear(&*parts.files);
            parts.files.space().ok()
        };
        let space = timeout(ASK_DEADLINE, spawn_blocking(look)).await.ok()?.ok()??;
        Some((space.free, self.floor.low_below(space.total)))
    }
}
