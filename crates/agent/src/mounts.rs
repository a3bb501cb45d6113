//! What is mounted where: `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// The mount points of this computer, each once, in order.
///
/// # Errors
/// What the operating system says.
pub(crate) fn mount_points() -> io::Result<Vec<PathBuf>> {
    let mut points = read(&fs::read(MOUNTINFO)?);
    points.sort_unstable();
    points.dedup();
    Ok(points)
}

/// The mount points in the text of `mountinfo`. Those of an automounter, where nothing may be mounted yet, are left
/// out: what it mounts has a line of its own.
fn read(text: &[u8]) -> Vec<PathBuf> {
    let point = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        let point = words.nth(4)?;
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        (kind != b"autofs").then(|| PathBuf::from(OsString::from_vec(unescape(point))))
    };
    text.split(|byte| *byte == b'\n').filter_map(point).collect()
}

/// Blank, tab, newline and backslash are written as `\` and three octal digits.
fn unescape(mut word: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(word.len());
    while let [first, rest @ ..] = word {
        word = rest;
        text.push(match (first, rest) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]) => {
                word = rest;
                (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
            }
            _ => *first,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mount_points_are_read_with_all_their_characters() {
        let text = b"22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
            90 22 8:17 / /media/J.\\040Smith\\134X/CAM\\0111 rw,nosuid shared:70 master:2 - vfat /dev/sdb1 rw\n\
            91 22 0:60 / /srv/dock/1 rw - autofs systemd-1 rw\n\
            92 91 8:33 / /srv/dock/1 ro - exfat /dev/sdc1 ro\n\
            93 22 8:34 / /media/\xff rw - exfat /dev/sdc2 rw\n";
        let expected = [&b"/"[..], b"/media/J. Smith\\X/CAM\t1", b"/srv/dock/1", b"/media/\xff"];
        assert_eq!(read(text), expected.map(|point| Path::new(OsStr::from_bytes(point))));
    }

    #[test]
    fn this_computer_has_a_root() {
        assert_eq!(mount_points().unwrap().first().map(PathBuf::as_path), Some(Path::new("/")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(prop::sample::select(b"\\0479 -\nautofs/".to_vec()), 0..200)) {
            for point in read(&text) {
                prop_assert!(point.as_os_str().len() <= text.len());
            }
        }
    }
}
