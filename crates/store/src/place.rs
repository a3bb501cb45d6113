//! The commit order: from `.incoming/<upload>/data` to a video with its manifest under a readable name.
//!
//! First a *record* of the intent (the finished manifest, durable, in the incoming folder), then the video's rename, then
//! the manifest's. **The commit point: the manifest stands beside the video.** Whatever is interrupted in between,
//! [`roll_forward`] completes from the record, any number of times.
//!
//! Where a file cannot be given a new name in one step ([`crate::files::RenameMode`]), an interruption leaves more to see:
//! - by link: video or manifest under both names, one file. It is known by its inode, and the old name goes. An upload
//!   whose record is there is never written, so the video that has two names does not change.
//! - over a placeholder: an empty file under a final name, and the video still incoming. The record, durable before,
//!   names it, so it is renamed over. An empty file is no manifest; whoever reads manifests must pass it over, and a video
//!   without one is no recording yet.
//!
//! Inside the incoming folder nobody else makes names; there files are renamed over what is left of an earlier try, in one
//! step, so that no placeholder can ever be taken for a video.

use std::io;

use longshore_model::{Recording, UploadId};

use crate::fail_point::sync;
use crate::files::{self, Files, create_folders, parent, read_all, remove_if_there};
use crate::incoming::{data_path, manifest_path, record_path};
use crate::layout::{self, MANIFEST_SUFFIX, Place};
use crate::manifest::{self, Manifest};

/// How many recordings of the same second and camera get a number before something must be wrong.
const MAX_NUMBER: u32 = 10_000;

/// Why a recording did not reach its final name. It is safe in the incoming folder, and the next try goes on.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The disk refused.
    #[error("the storage refused: {0}")]
    Io(#[from] io::Error),
    /// The record is unreadable, or could not be written.
    #[error("the record of upload {0} cannot be read: {1}")]
    Record(UploadId, String),
    /// Neither in the incoming folder nor under its final name.
    #[error("the video of upload {0} is neither incoming nor at {1}")]
    Vanished(UploadId, String),
    /// Ten thousand recordings of one second.
    #[error("no free name is left beside {0}")]
    NoName(String),
}

/// Puts the video of `manifest`'s upload under its final name, the manifest beside it; durable when this returns.
/// `recording.path` is chosen here.
///
/// # Errors
/// [`PlaceError`]; try again, or [`roll_forward`] at the next start.
pub fn place(files: &dyn Files, mut manifest: Manifest) -> Result<Manifest, PlaceError> {
    let files = &*files.pin();
    choose_name(files, &mut manifest.recording)?;
    write_record(files, &manifest)?;
    settle(files, manifest)
}

/// Completes an interrupted placing from its record.
///
/// # Errors
/// [`PlaceError`]; the record stays for the next try.
pub fn roll_forward(files: &dyn Files, upload: UploadId) -> Result<Manifest, PlaceError> {
    let files = &*files.pin();
    let manifest = read_record(files, upload)?;
    // Whoever wrote the record may have been killed before its name was durable. Without it, a video that was moved on its
    // word would stand alone after a power cut.
    files.sync_folder(parent(&record_path(upload)))?;
    settle(files, manifest)
}

/// The finished manifest that the record of a placing holds.
pub(crate) fn read_record(files: &dyn Files, upload: UploadId) -> Result<Manifest, PlaceError> {
    let text = read_all(files, &record_path(upload), manifest::MAX_BYTES)?;
    Manifest::parse(&text).map_err(|error| PlaceError::Record(upload, error.to_string()))
}

fn settle(files: &dyn Files, mut manifest: Manifest) -> Result<Manifest, PlaceError> {
    loop {
        let path = manifest.recording.path.clone();
        create_folders(files, parent(&path))?;
        let placed = move_video(files, &manifest.recording)? && publish_manifest(files, &manifest, &path)?;
        if placed {
            sync!("sync-placing", files.sync_folder(parent(&path)))?;
            return Ok(manifest);
        }
        // Somebody else took one of the two names since it was chosen.
        choose_name(files, &mut manifest.recording)?;
        write_record(files, &manifest)?;
    }
}

/// `false`: the name is taken.
fn move_video(files: &dyn Files, recording: &Recording) -> Result<bool, PlaceError> {
    let Recording { upload, path, size, .. } = recording;
    match files.rename_new(&data_path(*upload), path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // An earlier try moved it.
            if files.exists(path)? && files.open(path)?.size()? == *size {
                Ok(true)
            } else {
                Err(PlaceError::Vanished(*upload, path.clone()))
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// `false`: something else stands under the manifest's name; the video is back in the incoming folder.
fn publish_manifest(files: &dyn Files, manifest: &Manifest, path: &str) -> Result<bool, PlaceError> {
    let upload = manifest.recording.upload;
    let text = text_of(manifest)?;
    let (own, target) = (manifest_path(upload), format!("{path}{MANIFEST_SUFFIX}"));
    remove_if_there(files, &own)?;
    let file = files.create(&own)?;
    file.write_at(text.as_bytes(), 0)?;
    sync!("sync-placing", file.sync())?;
    match files.rename_new(&own, &target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Only what could be read can be somebody else's: an error says nothing, and the video stays where it is.
            match read_all(files, &target, manifest::MAX_BYTES) {
                Ok(there) if there == text.as_bytes() => return Ok(true),
                Err(error) if error.kind() != io::ErrorKind::FileTooLarge => return Err(error.into()),
                _ => {}
            }
            files.rename_over(path, &data_path(upload))?;
            files.sync_folder(parent(&own))?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn write_record(files: &dyn Files, manifest: &Manifest) -> Result<(), PlaceError> {
    Ok(files::replace(files, &record_path(manifest.recording.upload), text_of(manifest)?.as_bytes())?)
}

fn text_of(manifest: &Manifest) -> Result<String, PlaceError> {
    manifest.to_text().map_err(|error| PlaceError::Record(manifest.recording.upload, error.to_string()))
}

fn choose_name(files: &dyn Files, recording: &mut Recording) -> Result<(), PlaceError> {
    let place = Place::of(recording);
    // "j. smith" and "J. Smith" are one folder to Windows, so they are one here.
    let person = files
        .list("")?
        .into_iter()
        .find(|entry| entry.folder && layout::same_name(&entry.name, &place.person))
        .map_or_else(|| place.person.clone(), |entry| entry.name);
    for number in 1..=MAX_NUMBER {
        let path = place.path(&person, number);
        if !files.exists(&path)? && !files.exists(&format!("{path}{MANIFEST_SUFFIX}"))? {
            recording.path = path;
            return Ok(());
        }
    }
    Err(PlaceError::NoName(place.path(&person, 1)))
}
