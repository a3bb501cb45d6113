//! What an MP4 or MOV file says of its own time: its `mvhd` box (ISO/IEC 14496-12 §8.2.2), found by a walk over the
//! heads of boxes that reads a few hundred bytes of a file of any size.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Boxes that are looked at in one file. A camera's file has about ten; `moov` stands before the many of a fragmented
/// one. The bound keeps a damaged file from costing a read for each of its bytes.
const MOST_BOXES: u32 = 1_000;
/// Seconds from 1904-01-01, where MP4 counts from, to 1970-01-01.
const FROM_1904_TO_1970: i64 = 2_082_844_800;
/// 1980-01-01 in seconds since 1970. An older time is no time: a clock that was never set, or one that counts from
/// 1970 where the standard says 1904.
const EARLIEST: i64 = 315_532_800;
/// 2100-01-01 in seconds since 1970. A later time comes from a damaged head.
const LATEST: i64 = 4_102_444_800;
/// A recording that claims to last longer than this many milliseconds (7 days) has a damaged head.
const LONGEST_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// The times in the head of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// Creation time. In UTC by the standard; see [`crate::when`] for what cameras make of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<DateTime<Utc>>,
    /// How long it plays, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
}

impl Clip {
    /// How long it plays.
    pub fn length(&self) -> Option<TimeDelta> {
        self.length_ms.and_then(|ms| TimeDelta::try_milliseconds(i64::try_from(ms).ok()?))
    }

    /// Reads the times of the video `name`; a file of another kind, or a damaged one, says nothing.
    ///
    /// # Errors
    /// What the operating system says; the end of the file is no error.
    pub fn read(name: &str, file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if !["mp4", "mov"].iter().any(|video| ending.eq_ignore_ascii_case(video)) {
            return Ok(Self::default());
        }
        match walk(file) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Self::default()),
            result => Ok(result?.unwrap_or_default()),
        }
    }
}

/// Where the content of a box begins and ends in the file.
#[derive(Clone, Copy)]
struct Content {
    begin: u64,
    end: u64,
}

fn walk(file: &mut (impl Read + Seek)) -> io::Result<Option<Clip>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut left = MOST_BOXES;
    let Some(moov) = find(file, *b"moov", Content { begin: 0, end }, &mut left)? else {
        return Ok(None);
    };
    let Some(mvhd) = find(file, *b"mvhd", moov, &mut left)? else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(mvhd.begin))?;
    let version = u32::from_be_bytes(bytes(file)?) >> 24;
    // Created, modified, units a second, length in those units.
    let (created, scale, length) = match version {
        0 => {
            let [created, _, scale, length] = [(); 4].map(|()| bytes(file).map(u32::from_be_bytes));
            let length = length?;
            (u64::from(created?), scale?, (length != u32::MAX).then_some(u64::from(length)))
        }
        1 => {
            let created = u64::from_be_bytes(bytes(file)?);
            let _modified: [u8; 8] = bytes(file)?;
            let scale = u32::from_be_bytes(bytes(file)?);
            let length = u64::from_be_bytes(bytes(file)?);
            (created, scale, (length != u64::MAX).then_some(length))
        }
        _ => return Ok(None),
    };
    Ok(Some(Clip { created: since_1904(created), length_ms: length.and_then(|length| milliseconds(length, scale)) }))
}

/// Finds the first box of this `kind` among those that follow each other in `within`.
fn find(file: &mut (impl Read + Seek), kind: [u8; 4], within: Content, left: &mut u32) -> io::Result<Option<Content>> {
    let mut at = within.begin;
    while at < within.end && *left > 0 {
        *left -= 1;
        file.seek(SeekFrom::Start(at))?;
        let size = u64::from(u32::from_be_bytes(bytes(file)?));
        let found: [u8; 4] = bytes(file)?;
        let (head, size) = match size {
            0 => (8, within.end - at),
            1 => (16, u64::from_be_bytes(bytes(file)?)),
            size => (8, size),
        };
        let Some(end) = at.checked_add(size).filter(|_| size >= head) else {
            return Ok(None);
        };
        if found == kind {
            return Ok(Some(Content { begin: at + head, end: end.min(within.end) }));
        }
        at = end;
    }
    Ok(None)
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn since_1904(seconds: u64) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(seconds).ok()?.checked_sub(FROM_1904_TO_1970)?;
    DateTime::from_timestamp(seconds, 0).filter(|_| (EARLIEST..LATEST).contains(&seconds))
}

fn milliseconds(length: u64, scale: u32) -> Option<u64> {
    let ms = (u128::from(length) * 1_000).checked_div(u128::from(scale))?;
    u64::try_from(ms).ok().filter(|ms| (1..=LONGEST_MS).contains(ms))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// 2026-11-21 13:03:22 UTC, counted from 1904.
    const CREATED: u32 = 3_878_111_002;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    fn mvhd(created: u32, scale: u32, length: u32) -> Vec<u8> {
        let words = [0, created, 0, scale, length].map(u32::to_be_bytes).concat();
        boxed(b"mvhd", &[words, vec![0; 80]].concat())
    }

    fn mvhd_1(created: u64, scale: u32, length: u64) -> Vec<u8> {
        let content =
            [&[1, 0, 0, 0][..], &created.to_be_bytes(), &[0; 8], &scale.to_be_bytes(), &length.to_be_bytes(), &[0; 80]]
                .concat();
        boxed(b"mvhd", &content)
    }

    fn read(file: Vec<u8>) -> Clip {
        Clip::read("a.MP4", &mut Cursor::new(file)).unwrap()
    }

    fn said(created: &str, length_ms: u64) -> Clip {
        Clip { created: Some(created.parse().unwrap()), length_ms: Some(length_ms) }
    }

    #[test]
    fn the_head_is_found_behind_the_pictures_and_in_both_versions() {
        let pictures = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 5_000])].concat();
        let old = boxed(b"moov", &[boxed(b"udta", b"x"), mvhd(CREATED, 600, 226_920)].concat());
        assert_eq!(read([pictures.clone(), old].concat()), said("2026-11-21T13:03:22Z", 378_200));
        let new = boxed(b"moov", &mvhd_1(u64::from(CREATED), 1_000, 500));
        assert_eq!(read([pictures, new].concat()), said("2026-11-21T13:03:22Z", 500));
    }

    #[test]
    fn a_large_box_and_one_that_goes_on_to_the_end_are_stepped_over() {
        let large = [&1_u32.to_be_bytes()[..], b"mdat", &24_u64.to_be_bytes(), &[0; 8]].concat();
        let moov = [&0_u32.to_be_bytes()[..], b"moov", &mvhd(CREATED, 1, 2)].concat();
        assert_eq!(read([large, moov].concat()), said("2026-11-21T13:03:22Z", 2_000));
    }

    #[test]
    fn zero_and_times_before_cameras_are_unset() {
        let moov = |created| boxed(b"moov", &mvhd(created, 0, 5));
        assert_eq!(read(moov(0)), Clip::default());
        // Counted from 1970, against the standard.
        assert_eq!(read(moov(1_795_266_202)), Clip::default());
        assert_eq!(read(boxed(b"moov", &mvhd(0, 600, u32::MAX))), Clip::default(), "a length that is not known");
        assert_eq!(read(boxed(b"moov", &mvhd_1(u64::MAX, 1, u64::MAX - 1))), Clip::default());
    }

    #[test]
    fn other_files_and_cut_ones_say_nothing() {
        let whole = [boxed(b"ftyp", b"isom"), boxed(b"moov", &mvhd(CREATED, 600, 600))].concat();
        for length in 0..whole.len() - 80 {
            assert_eq!(read(whole[..length].to_vec()), Clip::default(), "{length}");
        }
        assert_eq!(Clip::read("a.ts", &mut Cursor::new(&whole)).unwrap(), Clip::default());
        assert_eq!(Clip::read("mp4", &mut Cursor::new(&whole)).unwrap(), Clip::default());
    }

    /// Counts what is read of a file.
    struct Counted {
        file: Cursor<Vec<u8>>,
        read: usize,
    }

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.file.read(buffer)?;
            self.read += read;
            Ok(read)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    proptest! {
        #[test]
        fn no_file_costs_a_panic_or_more_than_a_bounded_reading(
            boxes in prop::collection::vec((prop::sample::select(vec![*b"moov", *b"mvhd", *b"mdat"]), any::<Option<u32>>(),
                prop::collection::vec(any::<u8>(), 0..60)), 0..40),
            tail in prop::collection::vec(any::<u8>(), 0..3_000),
        ) {
            let mut file = Vec::new();
            for (kind, size, content) in boxes {
                let size = size.unwrap_or(u32::try_from(content.len() + 8).unwrap());
                file.extend([&size.to_be_bytes()[..], &kind, &content].concat());
            }
            file.extend(tail);
            let mut file = Counted { file: Cursor::new(file), read: 0 };
            Clip::read("a.mp4", &mut file).unwrap();
            prop_assert!(file.read <= 16 * MOST_BOXES as usize + 32);
        }
    }

    #[test]
    fn a_file_of_nothing_but_tiny_boxes_ends_the_search() {
        let tiny = boxed(b"free", b"").repeat(100_000);
        let mut file = Counted { file: Cursor::new(tiny), read: 0 };
        assert_eq!(Clip::read("a.mov", &mut file).unwrap(), Clip::default());
        assert_eq!(file.read, 8 * MOST_BOXES as usize);
    }
}
