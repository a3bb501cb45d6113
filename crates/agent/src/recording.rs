//! One recording on the card, and what the server is told of it.

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset, Local, SecondsFormat, Utc};
use longshore_model::{Kind, RecordingId, RequestId, Sha256};
use longshore_protocol::{OfferItem, limits};
use sha2::Digest;

use crate::file_name;
use crate::scan::Found;
use crate::source::{Content, FileState, MountId};
use crate::when::When;

/// A file whose checksum is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its id, which follows from everything below.
    pub rid: RecordingId,
    /// Path below the folder, with `/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Why it was recorded.
    pub kind: Kind,
    /// When it starts.
    pub start: DateTime<FixedOffset>,
    /// When it ends, if its length is known.
    pub end: Option<DateTime<FixedOffset>>,
    /// As it was when it was hashed.
    pub state: FileState,
    /// Where it was hashed.
    pub mount: MountId,
    /// Checksum of its bytes.
    pub sha256: Sha256,
}

impl Recording {
    /// The recording that `found` is, on the device `serial`, with the `content` that was read.
    pub fn new(serial: &str, found: &Found, content: &Content) -> Self {
        let Content { state, sha256, .. } = *content;
        let changed = DateTime::from_timestamp_nanos(state.mtime_ns);
        let When { start, end } = When::new(file_name::time(&found.name), content.clip, changed, &Local);
        Self {
            rid: rid(serial, &found.name, changed, state.size, sha256),
            name: found.name.clone(),
            path: found.path.clone(),
            kind: found.kind,
            start,
            end,
            state,
            mount: content.mount.clone(),
            sha256,
        }
    }

    /// Name of the camera: an agent knows of one, which has none.
    pub fn camera(&self) -> &str {
        ""
    }

    /// What the server is offered, for this request if there is one.
    pub fn offer(&self, request: Option<RequestId>) -> OfferItem {
        OfferItem {
            rid: self.rid,
            camera: self.camera().to_owned(),
            kind: self.kind,
            event_type: None,
            start: self.start,
            end: self.end,
            boot: None,
            overwrite_at: None,
            request,
            size: self.state.size,
            sha256: Some(self.sha256),
            filename: Some(name_for_wire(&self.name)),
        }
    }
}

/// First 128 bits of a SHA-256 over all that tells one recording from another, each part led by its length, so that
/// no two sets of parts run together into the same bytes. The time is that of change, in UTC, and not the start, which
/// is read from names and zones: a device that moves to another zone, or learns to read another name, must not send
/// everything again.
fn rid(serial: &str, name: &str, changed: DateTime<Utc>, size: u64, sha256: Sha256) -> RecordingId {
    let changed = changed.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let mut hasher = sha2::Sha256::new();
    for part in [serial, name, &changed, &size.to_string(), &sha256.to_string()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash) {
        *to = from;
    }
    RecordingId::from_bytes(id)
}

/// The name within the protocol's limit, cut at its front: the end says more, and carries the ending. Control
/// characters would have the server refuse the whole offer.
fn name_for_wire(name: &str) -> String {
    let surplus = name.chars().count().saturating_sub(limits::NAME_CHARS);
    name.chars().skip(surplus).map(|c| if c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clip::Clip;

    fn of(serial: &str, name: &str, mtime_ns: i64, size: u64, content: &[u8]) -> Recording {
        let state = FileState { size, mtime_ns, ctime_ns: mtime_ns, inode: 1 };
        let found = Found { name: name.into(), path: name.into(), kind: Kind::Event, state };
        let mount = MountId::at(Path::new("/")).unwrap();
        let content = Content { state, mount, sha256: Sha256::of(content), clip: Clip::default() };
        Recording::new(serial, &found, &content)
    }

    #[test]
    fn the_id_differs_with_each_part_and_with_nothing_else() {
        let base = of("S", "a.mp4", 1, 3, b"abc");
        assert_eq!(base.rid, of("S", "a.mp4", 1, 3, b"abc").rid);
        for other in [
            of("T", "a.mp4", 1, 3, b"abc"),
            of("S", "b.mp4", 1, 3, b"abc"),
            of("S", "a.mp4", 2, 3, b"abc"),
            of("S", "a.mp4", 1, 4, b"abc"),
            of("S", "a.mp4", 1, 3, b"abd"),
            of("Sa", ".mp4", 1, 3, b"abc"),
        ] {
            assert_ne!(base.rid, other.rid, "{other:?}");
        }
        let mut copied = base.clone();
        copied.state.inode = 2;
        assert_eq!(copied.rid, base.rid, "a new inode is no new recording");
    }

    #[test]
    fn the_id_of_a_recording_never_changes_between_versions_of_the_agent() {
        // A changed id would have every device send all its recordings again.
        let id = of("B4-10291", "EVENT/a.mp4", 1_795_266_202_000_000_000, 3, b"abc").rid;
        assert_eq!(id.to_string(), "176f04df1895370729a3365d9af6ca63");
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let long = format!("{}/é.mp4", "folder/".repeat(60));
        let cut = name_for_wire(&long);
        assert_eq!(cut.chars().count(), limits::NAME_CHARS);
        assert!(cut.ends_with("/é.mp4"));
        assert_eq!(name_for_wire("a\nb.mp4"), "a_b.mp4");
    }

    #[test]
    fn an_offer_tells_start_size_and_checksum() {
        let offer = of("S", "EVENT/a.mp4", 1_795_266_202_000_000_000, 3, b"abc").offer(None);
        assert_eq!(offer.start.timestamp(), 1_795_266_202);
        assert_eq!((offer.size, offer.sha256), (3, Some(Sha256::of(b"abc"))));
        assert_eq!(offer.filename.as_deref(), Some("EVENT/a.mp4"));
    }
}
