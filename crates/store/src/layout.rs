//! Folder and file names that a person understands, and that Linux, Windows and SMB all accept.
//!
//! `J. Smith/2026-11-21/2026-11-21 14-03-22 front event.mp4`: whoever had the device, the day, the time on the
//! device's own clock (the one that is burnt into the picture), the camera, the kind.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, NaiveDate};
use longshore_model::{Recording, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of a person's or vehicle's folder. With day, time and camera a path stays below 200 characters, which
/// leaves Windows clients (260) room for the name of the share.
const PERSON_CHARS: usize = 64;
/// Characters of a camera's name.
const CAMERA_CHARS: usize = 24;
/// Bytes of one name: file systems allow 255, and the other parts and ` (n)` need room.
const NAME_BYTES: usize = 160;
/// Endings of stored files; anything else becomes [`UNKNOWN_ENDING`], so that no device plants a program on the share.
const ENDINGS: [&str; 10] = ["mp4", "mov", "avi", "mkv", "ts", "jpg", "jpeg", "m4v", "m2ts", "3gp"];
const UNKNOWN_ENDING: &str = "bin";
/// What is added to the name of a video for the name of its manifest.
pub(crate) const MANIFEST_SUFFIX: &str = ".json";

/// Where a recording belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Folder of the person, vehicle or device.
    pub(crate) person: String,
    /// Folder of the day.
    pub(crate) day: String,
    /// File name without ending.
    pub(crate) stem: String,
    /// Ending, without the dot.
    pub(crate) ending: &'static str,
}

impl Place {
    /// The place of `recording`, as its facts say.
    pub(crate) fn of(recording: &Recording) -> Self {
        let person = recording.assignee.as_deref().map_or_else(
            || safe_name(&format!("{} ({})", recording.model, recording.serial), PERSON_CHARS),
            |assignee| safe_name(assignee, PERSON_CHARS),
        );
        let start: DateTime<FixedOffset> = match recording.clock_unset {
            true => recording.true_start.unwrap_or(recording.verified_at).fixed_offset(),
            false => recording.start,
        };
        let day = start.format("%Y-%m-%d").to_string();
        let mut stem = start.format("%Y-%m-%d %H-%M-%S").to_string();
        if !recording.camera.is_empty() {
            // Lower case: two cameras whose names differ in case only are one name to Windows.
            let _infallible = write!(stem, " {}", safe_name(&recording.camera.to_lowercase(), CAMERA_CHARS));
        }
        let _infallible = write!(stem, " {}", recording.kind);
        if recording.clock_unset {
            stem.push_str(" clock-unset");
        }
        Self { person, day, stem, ending: ending(recording.original_name.as_deref()) }
    }

    /// Path of the video below `person`, which may have been found in another case; `number` 1 is the plain name, then
    /// ` (2)` and so on.
    pub(crate) fn path(&self, person: &str, number: u32) -> String {
        let Self { day, stem, ending, .. } = self;
        if number <= 1 {
            format!("{person}/{day}/{stem}.{ending}")
        } else {
            format!("{person}/{day}/{stem} ({number}).{ending}")
        }
    }
}

/// Whether a recording could have been placed under this path: a folder, a day, and a name that begins with the day.
pub(crate) fn could_be_ours(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let [_, day, name] = parts[..] else { return false };
    let ending = name.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
    NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok()
        && name.starts_with(day)
        && (ENDINGS.contains(&ending) || ending == UNKNOWN_ENDING)
}

/// Whether two names are one to a file system that ignores case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn ending(original: Option<&str>) -> &'static str {
    let Some(name) = original else { return "mp4" };
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let given = last.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    ENDINGS.into_iter().find(|known| *known == given).unwrap_or(UNKNOWN_ENDING)
}

/// `name` with everything taken out that some file system, or a reader's eye, trips over. Where that changes the name,
/// six digits of its checksum follow, so that two different names stay different.
fn safe_name(name: &str, max_chars: usize) -> String {
    let composed: String = name.nfc().collect();
    let words: Vec<&str> = composed.split_whitespace().collect();
    let plain = words.join(" ");
    let plain = plain.trim_matches([' ', '.']);
    let allowed = |c: char| c.is_alphanumeric() || is_combining_mark(c) || " -_.,'()&+@#=[]!".contains(c);
    let mut safe: String = plain.chars().map(|c| if allowed(c) { c } else { '_' }).take(max_chars).collect();
    while safe.len() > NAME_BYTES {
        safe.pop();
    }
    safe.truncate(safe.trim_end_matches([' ', '.']).len());
    if reserved_by_windows(&safe) {
        safe.insert(0, '_');
    }
    if safe.is_empty() {
        safe.push_str("unnamed");
    }
    if safe != plain {
        let _infallible = write!(safe, " ~{}", &Sha256::of(name.as_bytes()).to_string()[..6]);
    }
    safe
}

/// Names that Windows keeps for devices, with any ending (Microsoft, "Naming Files, Paths, and Namespaces").
fn reserved_by_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    numbered.is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(|c| "0123456789¹²³".contains(c)))
}

#[cfg(test)]
mod tests {
    use longshore_model::{DeviceId, Kind, RecordingId, UploadId};
    use proptest::prelude::*;

    use super::*;

    fn recording() -> Recording {
        Recording {
            device: DeviceId::from_bytes([1; 16]),
            rid: RecordingId::from_bytes([2; 16]),
            revision: 1,
            serial: "B-1".into(),
            model: "BC4".into(),
            assignee: Some("J. Smith".into()),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
            end: None,
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: 1,
            sha256: Sha256::of(b"x"),
            attested: true,
            held: false,
            original_name: Some("EVENT/0001.MP4".into()),
            received_at: None,
            verified_at: "2026-11-22T01:02:03Z".parse().unwrap(),
            upload: UploadId::from_bytes([3; 16]),
            path: String::new(),
        }
    }

    fn path(recording: &Recording, number: u32) -> String {
        let place = Place::of(recording);
        place.path(&place.person, number)
    }

    #[test]
    fn a_recording_lies_under_its_person_day_and_time() {
        let mut recording = recording();
        assert_eq!(path(&recording, 1), "J. Smith/2026-11-21/2026-11-21 14-03-22 event.mp4");
        recording.camera = "Front".into();
        assert_eq!(path(&recording, 2), "J. Smith/2026-11-21/2026-11-21 14-03-22 front event (2).mp4");
    }

    #[test]
    fn without_an_assignee_the_device_gives_the_folder() {
        let path = path(&Recording { assignee: None, ..recording() }, 1);
        assert_eq!(path, "BC4 (B-1)/2026-11-21/2026-11-21 14-03-22 event.mp4");
    }

    #[test]
    fn an_unset_clock_gives_way_to_the_time_of_receipt() {
        let path = path(&Recording { clock_unset: true, ..recording() }, 1);
        assert_eq!(path, "J. Smith/2026-11-22/2026-11-22 01-02-03 event clock-unset.mp4");
    }

    #[test]
    fn path_tricks_and_reserved_names_lose_their_power_and_stay_distinct() {
        for (name, starts) in [
            ("../../etc/passwd", "_.._etc_passwd ~"),
            ("..", "unnamed"),
            ("", "unnamed"),
            ("con", "_con ~"),
            ("LPT1.txt", "_LPT1.txt ~"),
            ("a\u{202e}gpj.exe", "a_gpj.exe ~"),
            ("a\0b\n", "a_b ~"),
            ("C:\\x", "C__x ~"),
            (".incoming", "incoming"),
            ("John Smith Jr.", "John Smith Jr"),
            ("Jos\u{65}\u{301}", "José"),
            ("नमस्ते", "नमस्ते"),
        ] {
            let safe = safe_name(name, PERSON_CHARS);
            assert!(safe.starts_with(starts), "{name:?} -> {safe:?}");
        }
        assert_ne!(safe_name("A/B", 64), safe_name("A:B", 64));
        assert_ne!(safe_name(&"x".repeat(300), 64), safe_name(&"x".repeat(301), 64));
    }

    #[test]
    fn a_place_is_known_again() {
        assert!(could_be_ours(&path(&recording(), 2)));
        assert!(could_be_ours(&path(&Recording { original_name: Some("x.exe".into()), ..recording() }, 1)));
        for foreign in
            ["a.mp4", "J. Smith/holiday/2026.mp4", "J. Smith/2026-11-21/notes.txt", "a/2026-11-21/2026-11-21 x.doc"]
        {
            assert!(!could_be_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_known_endings_reach_the_share() {
        assert_eq!(ending(Some("a/b.MKV")), "mkv");
        assert_eq!(ending(Some("virus.exe")), "bin");
        assert_eq!(ending(Some("x.mp4/../../y")), "bin");
        assert_eq!(ending(None), "mp4");
    }

    proptest! {
        #[test]
        fn every_name_is_safe_whatever_the_device_says(assignee in any::<String>(), camera in any::<String>(), name in any::<String>()) {
            let recording = Recording { assignee: Some(assignee), camera, original_name: Some(name), ..recording() };
            let path = path(&recording, 2);
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert!(path.chars().count() < 200);
            for part in parts {
                prop_assert!(!part.is_empty() && part.len() + MANIFEST_SUFFIX.len() <= 255);
                prop_assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']));
                prop_assert!(!part.chars().any(|c| c.is_control() || "<>:\"\\|?*".contains(c)));
                prop_assert!(!reserved_by_windows(part));
            }
        }
    }
}
