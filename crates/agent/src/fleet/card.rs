//! A camera's card, filled as a camera fills it, with a note of what is true.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use longshore_model::Sha256;

use super::clip;

/// A recording that is to be on the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Path below the card's folder, with `/`; it ends in `.mp4`.
    pub name: String,
    /// When it begins, by the camera's clock.
    pub start: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
}

/// A recording that is on the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Path below the card's folder.
    pub name: String,
    /// When it begins, by the camera's clock.
    pub start: DateTime<Utc>,
    /// Bytes.
    pub size: u64,
    /// Checksum of what was written, taken while it was.
    pub sha256: Sha256,
}

/// Fills the card of the camera `serial`; `on_bytes` is told how many bytes were written just now, and may end it.
///
/// # Errors
/// What the operating system or `on_bytes` says.
pub fn fill(
    card: &Path,
    serial: &str,
    shots: &[Shot],
    mut on_bytes: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<Vec<Made>> {
    let mut made = Vec::with_capacity(shots.len());
    for Shot { name, start, size } in shots {
        let path = card.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = BufWriter::new(File::create_new(&path)?);
        let sha256 = clip::write(&mut file, &format!("{serial}/{name}"), *start, *size, &mut on_bytes)?;
        file.flush()?;
        // A camera closes the file when the recording ends, and its clock dates it.
        let end = SystemTime::from(*start) + Duration::from_secs(clip::SECONDS.into());
        file.get_ref().set_modified(end)?;
        made.push(Made { name: name.clone(), start: *start, size: *size, sha256 });
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_holds_what_was_noted_with_the_dates_of_the_camera() {
        let folder = tempfile::tempdir().unwrap();
        let start: DateTime<Utc> = "2026-11-21T13:03:22Z".parse().unwrap();
        let shot = Shot { name: "EVENT/20261121_140322.mp4".into(), start, size: 300_000 };
        let made = fill(folder.path(), "B4-1", std::slice::from_ref(&shot), |_| Ok(())).unwrap();
        let path = folder.path().join(&shot.name);
        assert_eq!(
            made,
            [Made { name: shot.name, start, size: 300_000, sha256: Sha256::of(&fs::read(&path).unwrap()) }]
        );
        let modified: DateTime<Utc> = path.metadata().unwrap().modified().unwrap().into();
        assert_eq!((modified - start).num_seconds(), i64::from(clip::SECONDS));
    }
}
