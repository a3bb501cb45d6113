//! The storage under a running server: taken at the start, looked after until the stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use longshore_actors::CommitEvery;
use longshore_model::{Clock, UploadId};
use longshore_store::catalogue::Catalogue;
use longshore_store::files::{self, Checked, Disk, DiskOptions, Files as _, Standing, Taken};
use longshore_store::incoming::{Found, Incoming, IncomingError};
use longshore_store::place;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Config;
use crate::config::value::Account;
use crate::data::{self, DataFolder};

/// Between two looks at the storage: a device that was refused comes back no sooner.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A look that takes longer means that nobody gets an answer: a share whose server is gone, a disk that hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Makes sure that the storage is the right one and can be used, and says how often transfers should be committed on it.
pub(crate) fn take(data: &DataFolder, config: &Config, clock: &dyn Clock) -> anyhow::Result<(Disk, CommitEvery)> {
    let path = std::path::absolute(config.storage_folder())?;
    let config = &config.storage;
    let options = DiskOptions {
        file_mode: config.file_mode.0,
        folder_mode: config.folder_mode.0,
        owner: config.owner.as_ref().map(Account::user_id).transpose()?,
        group: config.group.as_ref().map(Account::group_id).transpose()?,
    };
    let known = data::storage_id(data.path())?;
    let Taken { disk, probe, id } = files::take(&path, options, known, clock.now())?;
    if known.is_none() {
        data.keep_storage_id(id)?;
    }
    tracing::info!(storage.path = %path.display(), storage.id = %id, "storage: {probe}");
    if !probe.abilities.modes {
        tracing::warn!("the storage keeps no modes of files; who may read them is decided where it is mounted");
    }
    Ok((disk, CommitEvery::for_sync_time(probe.sync_time)))
}

/// Lists the uploads that are on their way and completes what a crash interrupted.
pub(crate) async fn open_incoming(
    disk: &Disk,
    catalogue: &Catalogue,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Incoming> {
    let files = Arc::new(disk.clone());
    let opened = spawn_blocking(move || {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("start-incoming");
        Incoming::open(files, clock)
    });
    let (incoming, found) = opened.await?.context("the folder .incoming of the storage cannot be read")?;
    complete(disk, &incoming, catalogue, found).await?;
    Ok(incoming)
}

async fn complete(disk: &Disk, incoming: &Incoming, catalogue: &Catalogue, found: Found) -> anyhow::Result<()> {
    let Found { interrupted, damaged, refused } = found;
    for upload in interrupted {
        // One that cannot be completed must not keep the others from being served; the next request on it tries again.
        if let Err(error) = complete_one(disk, incoming, catalogue, upload).await {
            tracing::error!(%upload, %error, "an interrupted recording could not be completed");
        }
    }
    for upload in damaged {
        // One that became a recording lost its incoming folder piece by piece in a power cut; nothing is missing.
        let index = catalogue.index().clone();
        if spawn_blocking(move || index.stored_by_upload(upload)).await??.is_none() {
            tracing::error!(%upload, "an upload is shorter than acknowledged: check the disk. It comes again");
        }
    }
    for (upload, error) in refused {
        tracing::error!(%upload, %error, "an upload cannot be read: check the disk. It is left alone until the next start");
    }
    Ok(())
}

async fn complete_one(disk: &Disk, incoming: &Incoming, catalogue: &Catalogue, upload: UploadId) -> anyhow::Result<()> {
    let hold = match incoming.hold(upload) {
        // A request on it came first and does the same.
        Err(IncomingError::Busy) => return Ok(()),
        // One whose state cannot be read is not listed.
        Err(_) => None,
        Ok(hold) => Some(hold),
    };
    let (rolled, tidied) = (disk.clone(), incoming.clone());
    let manifest = spawn_blocking(move || place::roll_forward(&rolled, upload)).await??;
    catalogue.record_stored(&manifest).await?;
    tracing::info!(recording.path = manifest.recording.path, "an interrupted recording was completed");
    drop(hold);
    if let Err(error) = spawn_blocking(move || tidied.finish(upload)).await? {
        tracing::warn!(%upload, %error, "an upload's incoming folder could not be removed");
    }
    Ok(())
}

/// What is needed to look after the storage.
pub(crate) struct Watch {
    pub(crate) disk: Disk,
    pub(crate) incoming: Incoming,
    pub(crate) catalogue: Catalogue,
}

impl Watch {
    /// Looks at the storage as long as the server runs.
    pub(crate) async fn run(self) {
        let mut looks = interval(LOOK_EVERY);
        // A share that comes back after it hung is not looked at once for each look that was missed.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Standing::Ready;
        let mut walked = true;
        loop {
            looks.tick().await;
            let disk = self.disk.clone();
            let mut look = spawn_blocking(move || disk.check());
            let checked = if let Ok(checked) = timeout(ANSWERS_WITHIN, &mut look).await {
                checked
            } else {
                self.disk.gone("it does not answer; see to its disk, its share's server, or the network between");
                self.tell(&mut told);
                look.await
            };
            self.tell(&mut told);
            if checked.is_ok_and(|Checked { swapped, .. }| swapped) {
                tracing::info!("the storage was mounted anew; what is on it counts");
                walked = false;
            }
            if !walked && told == Standing::Ready {
                match self.walk().await {
                    Ok(()) => walked = true,
                    Err(error) => tracing::error!("the storage cannot be walked, which is tried again: {error:#}"),
                }
            }
        }
    }

    fn tell(&self, told: &mut Standing) {
        let standing = self.disk.standing();
        if standing == *told {
            return;
        }
        match standing {
            Standing::Ready => tracing::info!("{standing} again"),
            Standing::ReadOnly | Standing::Vanished { .. } => tracing::error!("{standing}"),
        }
        *told = standing;
    }

    async fn walk(&self) -> anyhow::Result<()> {
        let incoming = self.incoming.clone();
        let found = spawn_blocking(move || incoming.reload()).await??;
        complete(&self.disk, &self.incoming, &self.catalogue, found).await
    }
}
