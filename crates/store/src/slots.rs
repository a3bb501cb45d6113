//! The `state` file of an upload: two slots, written in turn, so that one of them is always whole.

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, HashState, RecordingId, RunningHash, Sha256, UploadId};

/// Bytes of one slot.
const SLOT: usize = 512;
/// From one slot to the next: a sector of any disk, so that a write that a power cut tears takes one slot only.
const STRIDE: usize = 4096;
/// Bytes of the whole file, at most.
pub(crate) const STATE_BYTES: u64 = (STRIDE + SLOT) as u64;
const MAGIC: &[u8; 8] = b"LSUPLD01";
const CRC_AT: usize = SLOT - 4;
/// Stands in a slot for a length that nobody knows yet; no file has this many bytes.
const UNKNOWN: u64 = u64::MAX;

/// What an upload is. All of it is fixed at its creation, but for a length that was not known then, which is set once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The upload.
    pub upload: UploadId,
    /// The device that sends it; nobody else may touch it.
    pub device: DeviceId,
    /// What its bytes are to become.
    pub purpose: Purpose,
    /// Bytes of the whole recording; `None` until the client has said so.
    pub length: Option<u64>,
    /// Checksum that the device declared.
    pub sha256: Option<Sha256>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Identity {
    /// The recording that it brings; `None`: it is a part.
    pub fn rid(&self) -> Option<RecordingId> {
        match self.purpose {
            Purpose::Recording(rid) | Purpose::Joined(rid) => Some(rid),
            Purpose::Part => None,
        }
    }
}

/// What an upload's bytes are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// This recording, which a client sends.
    Recording(RecordingId),
    /// A part of a recording that a later request has joined.
    Part,
    /// This recording, which the server joins of its parts.
    Joined(RecordingId),
}

impl Purpose {
    /// As a slot says it: a recording's id, if there is one, and which of the three it is.
    fn to_bytes(self) -> ([u8; 16], u8) {
        match self {
            Self::Recording(rid) => (*rid.as_bytes(), 0),
            Self::Part => ([0; 16], 1),
            Self::Joined(rid) => (*rid.as_bytes(), 2),
        }
    }

    fn from_bytes(rid: [u8; 16], which: u8) -> Option<Self> {
        let rid = RecordingId::from_bytes(rid);
        match which {
            0 => Some(Self::Recording(rid)),
            1 => Some(Self::Part),
            2 => Some(Self::Joined(rid)),
            _ => None,
        }
    }
}

/// How far an upload is, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Bytes that are on the medium.
    pub offset: u64,
    /// State of the checksum after them.
    pub hash: HashState,
}

impl Committed {
    /// Nothing yet.
    pub fn nothing() -> Self {
        Self { offset: 0, hash: RunningHash::default().state() }
    }
}

/// One slot's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) identity: Identity,
    pub(crate) committed: Committed,
    /// When its last bytes were committed; before there are any, when it was created.
    pub(crate) advanced_at: DateTime<Utc>,
    /// When it was put aside, complete.
    pub(crate) aside_since: Option<DateTime<Utc>>,
    /// Then: the medium gave back other bytes than came. Otherwise those that came were not those that were declared.
    pub(crate) altered: bool,
}

impl Slot {
    /// Where this generation is written: the slot that does not hold the one before it.
    pub(crate) const fn position(&self) -> u64 {
        (self.generation % 2) * STRIDE as u64
    }

    pub(crate) fn to_bytes(&self) -> [u8; SLOT] {
        let Self { generation, identity, committed, advanced_at, aside_since, altered } = self;
        let (rid, which) = identity.purpose.to_bytes();
        let mut slot = [0; SLOT];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            slot[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(MAGIC);
        put(&generation.to_le_bytes());
        put(&committed.offset.to_le_bytes());
        put(&committed.hash);
        put(identity.upload.as_bytes());
        put(identity.device.as_bytes());
        put(&rid);
        put(&identity.length.unwrap_or(UNKNOWN).to_le_bytes());
        put(&[u8::from(identity.sha256.is_some())]);
        put(identity.sha256.as_ref().map_or(&[0; 32], |sha256| sha256.as_bytes()));
        put(&identity.created_at.timestamp_millis().to_le_bytes());
        put(&advanced_at.timestamp_millis().to_le_bytes());
        put(&[which]);
        put(&aside_since.map_or(0, |since| since.timestamp_millis()).to_le_bytes());
        put(&[u8::from(*altered)]);
        let crc = crc32fast::hash(&slot[..CRC_AT]);
        slot[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    fn from_bytes(slot: &[u8]) -> Option<Self> {
        let (body, crc) = slot.get(..SLOT)?.split_at(CRC_AT);
        if crc != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let generation = u64::from_le_bytes(take(&mut rest)?);
        let committed = Committed { offset: u64::from_le_bytes(take(&mut rest)?), hash: take(&mut rest)? };
        let upload = UploadId::from_bytes(take(&mut rest)?);
        let device = DeviceId::from_bytes(take(&mut rest)?);
        let rid = take(&mut rest)?;
        let length = Some(u64::from_le_bytes(take(&mut rest)?)).filter(|length| *length != UNKNOWN);
        let [declared] = take(&mut rest)?;
        let sha256 = Sha256::from_bytes(take(&mut rest)?);
        let created_at = DateTime::from_timestamp_millis(i64::from_le_bytes(take(&mut rest)?))?;
        let advanced_at = match i64::from_le_bytes(take(&mut rest)?) {
            // A slot of a version that did not write it.
            0 => created_at,
            millis => DateTime::from_timestamp_millis(millis)?,
        };
        let [which] = take(&mut rest)?;
        // 0 also in a slot of a version that put nothing aside.
        let aside_since = match i64::from_le_bytes(take(&mut rest)?) {
            0 => None,
            millis => Some(DateTime::from_timestamp_millis(millis)?),
        };
        // 0 also in a slot of a version that discarded such uploads.
        let altered = take(&mut rest)? == [1];
        let (purpose, sha256) = (Purpose::from_bytes(rid, which)?, (declared == 1).then_some(sha256));
        let identity = Identity { upload, device, purpose, length, sha256, created_at };
        Some(Self { generation, identity, committed, advanced_at, aside_since, altered })
    }

    /// The newest whole slot of a `state` file.
    pub(crate) fn newest(file: &[u8]) -> Option<Self> {
        file.chunks(STRIDE).filter_map(Self::from_bytes).max_by_key(|slot| slot.generation)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(generation: u64) -> Slot {
        Slot {
            generation,
            identity: Identity {
                upload: UploadId::from_bytes([1; 16]),
                device: DeviceId::from_bytes([2; 16]),
                purpose: Purpose::Recording(RecordingId::from_bytes([3; 16])),
                length: Some(1 << 33),
                sha256: Some(Sha256::of(b"x")),
                created_at: "2026-11-21T14:03:22.123Z".parse().unwrap(),
            },
            committed: Committed { offset: 77, ..Committed::nothing() },
            advanced_at: "2026-11-22T09:00:00.5Z".parse().unwrap(),
            aside_since: None,
            altered: false,
        }
    }

    #[test]
    fn a_slot_reads_back_as_it_was_written() {
        let joined = Purpose::Joined(RecordingId::from_bytes([4; 16]));
        let aside_since = "2026-11-22T10:03:22.004Z".parse().ok();
        for (purpose, sha256, length, aside_since) in
            [(Purpose::Part, None, Some(0), None), (joined, Some(Sha256::of(b"y")), None, aside_since)]
        {
            let mut slot = Slot { aside_since, altered: aside_since.is_some(), ..slot(4) };
            slot.identity = Identity { purpose, sha256, length, ..slot.identity };
            assert_eq!(Slot::from_bytes(&slot.to_bytes()), Some(slot));
        }
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let (old, new) = (slot(6), slot(7));
        let mut file = vec![0; STRIDE + SLOT];
        for slot in [&old, &new] {
            let at = usize::try_from(slot.position()).unwrap();
            file[at..at + SLOT].copy_from_slice(&slot.to_bytes());
        }
        assert_eq!(Slot::newest(&file), Some(new));
        for at in 0..SLOT {
            file[STRIDE + at] ^= 0x40;
            assert_eq!(Slot::newest(&file).as_ref(), Some(&old), "byte {at} of the newer slot is torn");
            file[STRIDE + at] ^= 0x40;
        }
        assert_eq!(Slot::newest(&file[..SLOT - 1]), None);
    }
}
