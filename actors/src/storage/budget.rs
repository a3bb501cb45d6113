//! Whether there is room for one more upload. Pure.

use longshore_model::Kind;
use longshore_store::files::Space;

/// The floor that [`Floor::Auto`] keeps, as a share of the disk …
const AUTO_PERCENT: u64 = 5;
/// … but no more than this, on a large one …
const AUTO_MOST: u64 = 20 << 30;
/// … and no less than this, on a small one.
const AUTO_LEAST: u64 = 1 << 30;

/// Floors that stay free when a recording is no event: what a loop brings must not take the room of the next event.
const FLOORS_BENEATH_THE_REST: u64 = 2;

/// Free space below which nothing new is taken: what has begun must end, and a full disk harms more than us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// By the size of the disk: 5 %, at most 20 GiB, at least 1 GiB.
    Auto,
    /// This many bytes.
    Bytes(u64),
}

/// A disk with less room than so many floors …
const FLOORS_WHERE_IT_IS_LOW: u64 = 2;
/// … or than this, whatever its floor is, will be full in a shift or two.
const LOW_LEAST: u64 = 1 << 30;

impl Floor {
    /// Free bytes below which people are told that the disk is nearly full.
    pub(crate) fn low_below(self, total: u64) -> u64 {
        self.bytes(total).saturating_mul(FLOORS_WHERE_IT_IS_LOW).max(LOW_LEAST)
    }

    fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Auto => (total / 100 * AUTO_PERCENT).clamp(AUTO_LEAST, AUTO_MOST),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Too little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom {
    /// Bytes of the upload.
    pub(super) needed: u64,
    /// Bytes that are neither the floor's nor promised to others.
    pub(super) available: u64,
}

/// Whether an upload of `needed` bytes of this kind may begin, when the unfinished ones still lack `promised` bytes.
pub(super) fn admit(space: Space, floor: Floor, promised: u64, needed: u64, kind: Kind) -> Result<(), NoRoom> {
    let available = available(space, floor, promised, kind);
    if needed <= available { Ok(()) } else { Err(NoRoom { needed, available }) }
}

/// Bytes that there are for uploads of this kind, when the unfinished ones still lack `promised` bytes.
pub(super) fn available(space: Space, floor: Floor, promised: u64, kind: Kind) -> u64 {
    let floors = if kind == Kind::Event { 1 } else { FLOORS_BENEATH_THE_REST };
    let kept_free = floor.bytes(space.total).saturating_mul(floors);
    space.free.saturating_sub(kept_free).saturating_sub(promised)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_floor_follows_the_disk_within_bounds() {
        for (total, floor) in [(4 * GIB, GIB), (200 * GIB, 200 * GIB / 100 * 5), (10_000 * GIB, 20 * GIB)] {
            assert_eq!(Floor::Auto.bytes(total), floor);
        }
    }

    #[test]
    fn what_is_promised_to_others_and_the_floor_are_not_given_away() {
        let space = Space { total: 100 * GIB, free: 10 * GIB };
        let admit = |space, floor, promised, needed| admit(space, floor, promised, needed, Kind::Event);
        assert_eq!(admit(space, Floor::Bytes(GIB), 4 * GIB, 5 * GIB), Ok(()));
        let refused = admit(space, Floor::Bytes(GIB), 4 * GIB, 5 * GIB + 1);
        assert_eq!(refused, Err(NoRoom { needed: 5 * GIB + 1, available: 5 * GIB }));
        let full = Space { total: 100 * GIB, free: GIB / 2 };
        assert_eq!(admit(full, Floor::Auto, 0, 1), Err(NoRoom { needed: 1, available: 0 }));
        assert_eq!(admit(full, Floor::Auto, 0, 0), Ok(()), "an empty recording needs no room");
    }

    #[test]
    fn what_is_no_event_leaves_a_floor_more_for_events() {
        let space = Space { total: 100 * GIB, free: 10 * GIB };
        for kind in [Kind::Continuous, Kind::Snapshot] {
            assert_eq!(admit(space, Floor::Bytes(3 * GIB), GIB, 3 * GIB, kind), Ok(()));
            let refused = admit(space, Floor::Bytes(3 * GIB), GIB, 3 * GIB + 1, kind);
            assert_eq!(refused, Err(NoRoom { needed: 3 * GIB + 1, available: 3 * GIB }));
            assert_eq!(admit(space, Floor::Bytes(0), 0, 10 * GIB, kind), Ok(()), "without a floor there is no more");
            assert!(admit(space, Floor::Bytes(u64::MAX / 2 + 1), 0, 1, kind).is_err());
        }
        assert_eq!(admit(space, Floor::Bytes(3 * GIB), GIB, 6 * GIB, Kind::Event), Ok(()));
    }
}
