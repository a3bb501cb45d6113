//! A recording as a camera writes it: a real clip of our own, in front of as many bytes as are wanted.

use std::io::{self, Write};

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use chrono::{DateTime, Utc};
use longshore_model::{RunningHash, Sha256};

/// H.264 and AAC with its head in front; `make-clip.sh` makes it.
static CLIP: &[u8] = include_bytes!("clip.mp4");
/// How long the clip plays, in seconds.
pub const SECONDS: u32 = 20;
/// Size and kind of a box (ISO/IEC 14496-12 §4.2).
const BOX_HEAD: u64 = 8;
/// The smallest recording, in bytes: the clip and an empty box.
pub const SMALLEST: u64 = CLIP.len() as u64 + BOX_HEAD;
/// Bytes of one box at most; its size has 32 bits.
const BOX: u64 = 1 << 30;
/// Bytes that are made and written at a time.
const PIECE: usize = 256 * 1024;
/// Seconds from 1904-01-01, where MP4 counts from, to 1970-01-01.
const FROM_1904_TO_1970: i64 = 2_082_844_800;
/// From the name of the `mvhd` box to its creation time: version and flags lie between (§8.2.2, version 0).
const MVHD_TO_CREATED: usize = 8;

/// Writes a recording of exactly `size` bytes that begins at `start` and plays like the clip. Behind the clip come `free`
/// boxes, which players pass over, of bytes that follow from `id`: so no two recordings have a block of them in common,
/// and nothing can be saved by compressing or by storing twice what is equal.
///
/// `on_bytes` is told how many bytes were written just now, and may end the writing. Returns the checksum of all.
///
/// # Errors
/// What `to` or `on_bytes` says; `InvalidInput` for a size below [`SMALLEST`].
pub fn write(
    to: &mut impl Write,
    id: &str,
    start: DateTime<Utc>,
    size: u64,
    on_bytes: &mut impl FnMut(u64) -> io::Result<()>,
) -> io::Result<Sha256> {
    let padding = size.checked_sub(CLIP.len() as u64).filter(|padding| *padding >= BOX_HEAD);
    let Some(mut left) = padding else {
        let what = format!("a recording has at least {SMALLEST} bytes, not {size}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    let mut hash = RunningHash::default();
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        to.write_all(bytes)?;
        on_bytes(bytes.len() as u64)
    };
    put(&dated(start))?;
    let mut random = ChaCha8Rng::from_seed(*Sha256::of(id.as_bytes()).as_bytes());
    let mut piece = vec![0; PIECE];
    while left > 0 {
        // What is left behind a full box has room for the head of another.
        let size = if left <= BOX { left } else { BOX.min(left - BOX_HEAD) };
        let head = u32::try_from(size).map_err(io::Error::other)?.to_be_bytes();
        put(&[&head[..], b"free"].concat())?;
        let mut content = size - BOX_HEAD;
        while content > 0 {
            let length = usize::try_from(content).unwrap_or(PIECE).min(PIECE);
            let piece = piece.get_mut(..length).unwrap_or_default();
            random.fill_bytes(piece);
            put(piece)?;
            content -= piece.len() as u64;
        }
        left -= size;
    }
    Ok(hash.finish())
}

/// The clip, created at `start`: cameras tell the time of a recording there too, in UTC.
fn dated(start: DateTime<Utc>) -> Vec<u8> {
    let mut clip = CLIP.to_vec();
    let created = u32::try_from(start.timestamp().saturating_add(FROM_1904_TO_1970)).unwrap_or_default();
    let mvhd = clip.windows(4).position(|name| name == b"mvhd");
    let field = mvhd.and_then(|at| clip.get_mut(at + MVHD_TO_CREATED..at + MVHD_TO_CREATED + 4));
    if let Some(field) = field {
        field.copy_from_slice(&created.to_be_bytes());
    }
    clip
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Cursor;
    use std::process::Command;

    use super::*;
    use crate::clip::Clip;

    const MIB: u64 = 1024 * 1024;

    fn start() -> DateTime<Utc> {
        "2026-11-21T13:03:22Z".parse().unwrap()
    }

    fn made(id: &str, size: u64) -> Vec<u8> {
        let mut file = Vec::new();
        let mut told = 0;
        let sha256 = write(&mut file, id, start(), size, &mut |bytes| {
            told += bytes;
            Ok(())
        });
        assert_eq!(sha256.unwrap(), Sha256::of(&file));
        assert_eq!((file.len() as u64, told), (size, size));
        file
    }

    #[test]
    fn a_recording_has_exactly_the_size_that_was_asked_for() {
        for size in [SMALLEST, SMALLEST + 1, MIB, 3 * MIB + 7] {
            made("a", size);
        }
        let error = write(&mut Vec::new(), "a", start(), SMALLEST - 1, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_same_id_makes_the_same_bytes_and_no_other_id_shares_a_block_behind_the_clip() {
        let blocks = |id: &str| -> HashSet<Vec<u8>> {
            let file = made(id, 4 * MIB);
            file[usize::try_from(SMALLEST).unwrap()..].chunks_exact(512).map(<[u8]>::to_vec).collect()
        };
        let (one, other) = (blocks("B4-1/a.mp4"), blocks("B4-2/a.mp4"));
        assert_eq!(one, blocks("B4-1/a.mp4"));
        assert!(one.is_disjoint(&other));
        assert_eq!(one.len(), made("B4-1/a.mp4", 4 * MIB)[usize::try_from(SMALLEST).unwrap()..].len() / 512);
    }

    #[test]
    fn its_head_tells_when_it_begins_and_how_long_it_is() {
        let clip = Clip::read("a.mp4", &mut Cursor::new(made("a", MIB))).unwrap();
        assert_eq!(clip, Clip { created: Some(start()), length_ms: Some(u64::from(SECONDS) * 1_000) });
    }

    #[test]
    fn a_player_finds_pictures_and_sound_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        std::fs::write(&path, made("a", 3 * MIB)).unwrap();
        let played = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
            .args(["-show_entries", "stream=codec_name,nb_read_frames:format=duration"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8(played.stdout).unwrap();
        assert!(said.contains("h264,300") && said.contains("aac,") && said.contains("20.0"), "{said}");
        assert!(played.stderr.is_empty(), "{}", String::from_utf8_lossy(&played.stderr));
    }

    #[test]
    fn whoever_is_told_of_the_bytes_may_end_the_writing() {
        let stop = |_| Err(io::Error::from(io::ErrorKind::Interrupted));
        let error = write(&mut Vec::new(), "a", start(), MIB, &mut { stop }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
