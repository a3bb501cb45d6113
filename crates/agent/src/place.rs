//! Which file system a folder is in, and whether it is the same one later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};
use serde::{Deserialize, Serialize};

use crate::source::MountId;

/// What udev knows of the devices. /dev/disk/by-uuid tells the same, but a service has a /dev of its own.
const UDEV: &str = "/run/udev/data";

/// The file system that a file was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of its device, which the next card in the same reader has too.
    pub file_system: u64,
    /// Its stay. Places of before it was written down have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<MountId>,
    /// What it was named when it was formatted, if it is a volume of which udev knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

impl Place {
    /// Where `file`, a file or a folder, is open.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: &File) -> io::Result<Self> {
        let file_system = file.metadata()?.dev();
        let volume = volume(Path::new(UDEV), file_system);
        Ok(Self { file_system, mount: Some(MountId::of(file)?), volume })
    }

    /// Whether what is at `now` is the file system that was at `self`, so that a file which is missing there was deleted.
    ///
    /// Without a volume, it is known again only as long as it stays mounted, or by the number of its device after the
    /// computer was started again. There a card that stands in for another in the same reader is still taken for it; the
    /// computer has to be without udev for that, or the cards must have been given the same name.
    pub fn is(&self, now: &Self) -> bool {
        if self.mount.is_some() && self.mount == now.mount {
            return true;
        }
        match (&self.volume, &now.volume) {
            (Some(then), Some(now)) => then == now,
            _ => {
                let same_boot =
                    self.mount.as_ref().zip(now.mount.as_ref()).is_some_and(|(then, now)| then.boot() == now.boot());
                !same_boot && self.file_system == now.file_system
            }
        }
    }
}

/// The UUID of the file system on `device`, or of a FAT its serial number.
fn volume(udev: &Path, device: u64) -> Option<String> {
    let known = fs::read_to_string(udev.join(format!("b{}:{}", major(device), minor(device)))).ok()?;
    known.lines().find_map(|line| line.strip_prefix("E:ID_FS_UUID=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rustix::fs::makedev;

    use super::*;

    fn place(boot: &str, mount: u32, file_system: u64, volume: Option<&str>) -> Place {
        let mount = serde_json::from_value(format!("{boot}/8:17/{mount}").into()).unwrap();
        Place { file_system, mount: Some(mount), volume: volume.map(str::to_owned) }
    }

    #[test]
    fn a_card_is_known_again_by_its_stay_or_its_volume() {
        let card = place("x", 1, 5, Some("66E0-8C1B"));
        assert!(card.is(&card));
        for again in [place("x", 2, 5, Some("66E0-8C1B")), place("y", 1, 6, Some("66E0-8C1B"))] {
            assert!(card.is(&again), "{again:?}");
        }
        for other in [place("x", 2, 5, Some("0F3D-77AA")), place("y", 1, 5, Some("0F3D-77AA"))] {
            assert!(!card.is(&other), "{other:?}");
        }
    }

    #[test]
    fn without_a_volume_the_device_counts_only_after_another_start() {
        let card = place("x", 1, 5, None);
        assert!(card.is(&card) && card.is(&place("y", 1, 5, None)));
        for other in [place("x", 2, 5, None), place("y", 1, 6, None), place("x", 2, 5, Some("66E0-8C1B"))] {
            assert!(!card.is(&other), "{other:?}");
        }
        let of_before = Place { mount: None, ..card };
        assert!(of_before.is(&place("x", 1, 5, None)) && !of_before.is(&place("x", 1, 6, None)));
    }

    #[test]
    fn the_volume_is_what_udev_says_of_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let known = "S:disk/by-uuid/66E0-8C1B\nE:ID_FS_LABEL=BC4\nE:ID_FS_UUID=66E0-8C1B\nE:ID_FS_UUID_ENC=66E0-8C1B\n";
        fs::write(folder.path().join("b8:17"), known).unwrap();
        assert_eq!(volume(folder.path(), makedev(8, 17)).as_deref(), Some("66E0-8C1B"));
        assert_eq!(volume(folder.path(), makedev(8, 33)), None);
    }
}
