//! How often what a request brings is made durable while it goes on. Pure.

use std::time::Duration;

/// A disk that syncs faster than this is flash or has a cache that outlives a power cut; heads that seek need longer.
const QUICK: Duration = Duration::from_millis(4);

/// The most that a power cut takes from a request in its middle. The end of a request is always a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitEvery {
    /// Bytes after which it is time …
    pub(crate) bytes: u64,
    /// … and the time after which fewer are enough.
    pub(crate) time: Option<Duration>,
}

impl CommitEvery {
    /// For a storage that takes this long to make a small write durable; what is unknown is slow.
    pub fn for_sync_time(sync_time: Option<Duration>) -> Self {
        if sync_time.is_some_and(|time| time <= QUICK) {
            Self { bytes: 8 << 20, time: None }
        } else {
            // Each commit is two syncs, and so many seeks for each bay.
            Self { bytes: 32 << 20, time: Some(Duration::from_secs(5)) }
        }
    }

    /// Whether it is time, with so many bytes written since the last commit, and that so long ago.
    pub(crate) fn is_due(self, bytes: u64, since: Duration) -> bool {
        bytes >= self.bytes || (bytes > 0 && self.time.is_some_and(|time| since >= time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_syncs_quickly_commits_often_and_a_slow_one_by_size_or_time() {
        let (flash, seconds) = (CommitEvery::for_sync_time(Some(Duration::from_micros(300))), Duration::from_secs);
        assert!(flash.is_due(8 << 20, seconds(0)) && !flash.is_due((8 << 20) - 1, seconds(60)));
        for slow in [Some(Duration::from_millis(9)), None].map(CommitEvery::for_sync_time) {
            assert!(slow.is_due(32 << 20, seconds(0)) && !slow.is_due(31 << 20, seconds(4)));
            assert!(slow.is_due(1, seconds(5)) && !slow.is_due(0, seconds(5)));
        }
    }
}
