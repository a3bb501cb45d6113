//! The storage on real file systems: who may read what, and what happens when a mount goes away. Tests that mount need root.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, RecordingId, RunningHash, StorageId, SystemClock, UploadId};
use longshore_store::files::{
    BLOCK, Blocks, Checked, Disk, DiskOptions, Files, Refused, Standing, Taken, create_folders, read_all, take,
};
use longshore_store::incoming::{Incoming, IncomingError};
use longshore_store::{Committed, Identity, Purpose};
use tempfile::TempDir;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn identity(n: u8) -> Identity {
    Identity {
        upload: UploadId::from_bytes([n; 16]),
        device: DEVICE,
        purpose: Purpose::Recording(RecordingId::from_bytes([n; 16])),
        length: Some(100_000),
        sha256: None,
        created_at: now(),
    }
}

fn taken(path: &Path) -> Taken {
    take(path, DiskOptions::default(), None, now()).unwrap_or_else(|error| panic!("{error}"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Whether this process may mount; says so if not.
fn may_mount() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root may mount");
    }
    root
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mount point, and a file system of its own that can be mounted there again and again.
struct Share {
    folder: TempDir,
}

impl Share {
    fn new() -> Self {
        let share = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["point", "medium"] {
            fs::create_dir(share.folder.path().join(name)).unwrap();
        }
        run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", share.path("medium").to_str().unwrap()]);
        share.mount();
        share
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn point(&self) -> PathBuf {
        self.path("point")
    }

    fn mount(&self) {
        run("mount", &["--bind", self.path("medium").to_str().unwrap(), self.point().to_str().unwrap()]);
    }

    fn mount_another(&self) {
        run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", self.point().to_str().unwrap()]);
    }

    fn unmount(&self) {
        run("umount", &["-l", self.point().to_str().unwrap()]);
    }

    fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,bind,{how}"), self.point().to_str().unwrap()]);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        for name in ["point", "medium"] {
            let _not_mounted = Command::new("umount").arg("-lq").arg(self.path(name)).output();
        }
    }
}

fn vanished(checked: &Checked) -> &str {
    match &checked.standing {
        Standing::Vanished { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_probe_makes_the_folder_marks_it_and_leaves_nothing_else_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/storage");
    let Taken { disk, probe, id } = taken(&path);
    assert_eq!(names(&path), [".longshore-store"]);
    assert!(probe.space.total >= probe.space.free && probe.space.free > 0, "{probe:?}");
    assert_eq!(disk.space().unwrap().total, probe.space.total);
    assert!(probe.openat2 && probe.abilities.modes, "{probe:?}");
    assert_eq!(disk.check(), Checked { standing: Standing::Ready, swapped: false });
    // A probe that was killed left its folder; the next one clears it away.
    fs::create_dir(path.join(".longshore-probe")).unwrap();
    fs::write(path.join(".longshore-probe/one"), b"").unwrap();
    let again = || take(&path, DiskOptions::default(), Some(id), now());
    assert!(matches!(again(), Err(Refused::InUse(_))), "one server at a time");
    assert!(path.join(".longshore-probe/one").exists(), "and nothing is tried before");
    drop(disk);
    let again = again().unwrap();
    assert_eq!((again.id, names(&path)), (id, vec![".longshore-store".to_owned()]));
}

#[test]
fn what_is_not_the_right_storage_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("storage"), StorageId::from_bytes([9; 16]));
    let refused = |known| take(&path, DiskOptions::default(), known, now()).unwrap_err();

    assert!(matches!(refused(Some(other)), Refused::Missing(_)));
    assert!(!path.exists(), "the mount point is not made on the disk below");
    fs::create_dir(&path).unwrap();
    assert!(matches!(refused(Some(other)), Refused::Empty(_)));
    assert_eq!(names(&path), [""; 0]);
    let id = taken(&path).id;
    assert!(matches!(refused(Some(other)), Refused::Other(_, found, known) if (found, known) == (id, other)));
    fs::write(path.join(".longshore-store"), b"{").unwrap();
    assert!(refused(Some(id)).to_string().contains(".longshore-store is damaged"));
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, b"a file").unwrap();
    assert!(matches!(refused(None), Refused::NoFolder(_)));
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[test]
fn a_read_only_storage_is_refused_and_one_that_becomes_so_is_told() {
    if !may_mount() {
        return;
    }
    let share = Share::new();
    let Taken { disk, id, .. } = taken(&share.point());
    share.remount("ro");
    assert_eq!(disk.check(), Checked { standing: Standing::ReadOnly, swapped: false });
    assert_eq!(disk.create("a").err().unwrap().kind(), ErrorKind::ReadOnlyFilesystem);
    share.remount("rw");
    assert_eq!(disk.check().standing, Standing::Ready);
    disk.create("a").unwrap();
    drop(disk);
    share.remount("ro");
    let refused = take(&share.point(), DiskOptions::default(), Some(id), now()).unwrap_err();
    assert!(matches!(refused, Refused::ReadOnly(_)), "{refused}");
}

#[test]
fn a_full_storage_is_taken_and_its_space_is_told() {
    if !may_mount() {
        return;
    }
    let share = Share::new();
    let Taken { disk, id, .. } = taken(&share.point());
    let file = disk.create("large").unwrap();
    assert_eq!(file.write_at(&vec![1; 5 << 20], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.space().unwrap().free, 0);
    drop((disk, file));
    let again = take(&share.point(), DiskOptions::default(), Some(id), now()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.probe.space.free, 0);
    assert_eq!(names(&share.point()), [".longshore-store", "large"]);
}

#[test]
fn people_get_the_modes_that_are_set_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions { file_mode: 0o644, folder_mode: 0o755, ..DiskOptions::default() };
    let disk = Disk::open(folder.path(), options).unwrap();
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let made = (|| -> io::Result<()> {
        create_folders(&disk, "J. Smith/2026-11-21")?;
        create_folders(&disk, ".incoming/1")?;
        disk.create(".incoming/1/data")?;
        disk.rename_new(".incoming/1/data", "J. Smith/2026-11-21/a.mp4")
    })();
    rustix::process::umask(before);
    made.unwrap();
    let mode = |path: &str| mode(&folder.path().join(path));
    assert_eq!(mode("J. Smith/2026-11-21/a.mp4"), 0o644);
    assert_eq!((mode("J. Smith"), mode("J. Smith/2026-11-21")), (0o755, 0o755));
    assert_eq!((mode(".incoming"), mode(".incoming/1")), (0o700, 0o700), "nobody looks at what is on its way");
}

#[test]
fn a_folder_that_was_left_half_made_is_completed_and_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path(), DiskOptions::default()).unwrap();
    let person = folder.path().join("J. Smith");
    fs::create_dir(&person).unwrap();
    fs::set_permissions(&person, fs::Permissions::from_mode(0o2700)).unwrap();
    create_folders(&disk, "J. Smith").unwrap();
    assert_eq!(mode(&person), 0o2750, "the group is still handed on");
    fs::write(person.join("notes"), b"").unwrap();
    fs::set_permissions(&person, fs::Permissions::from_mode(0o700)).unwrap();
    create_folders(&disk, "J. Smith").unwrap();
    assert_eq!(mode(&person), 0o700, "whoever closed it had a reason");
}

#[test]
fn files_and_folders_are_given_to_owner_and_group() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storage");
    let options = DiskOptions { owner: Some(1234), group: Some(4321), ..DiskOptions::default() };
    let disk = take(&path, options, None, now()).unwrap().disk;
    create_folders(&disk, ".incoming/1").unwrap();
    create_folders(&disk, "J. Smith").unwrap();
    disk.create(".incoming/1/data").unwrap();
    disk.rename_new(".incoming/1/data", "J. Smith/a.mp4").unwrap();
    let owner = |path: &str| fs::metadata(folder.path().join(path)).map(|found| (found.uid(), found.gid())).unwrap();
    for path in ["storage", "storage/J. Smith", "storage/J. Smith/a.mp4"] {
        assert_eq!(owner(path), (1234, 4321), "{path}");
    }
    assert_eq!(owner("storage/.incoming"), (0, 0));
}

#[test]
fn while_the_storage_is_away_nothing_new_is_made_anywhere_and_then_it_goes_on() {
    if !may_mount() {
        return;
    }
    let share = Share::new();
    let Taken { disk, id, .. } = taken(&share.point());
    let open = disk.create("open").unwrap();
    share.unmount();
    let checked = disk.check();
    assert!(vanished(&checked).contains("is the disk mounted?"), "{checked:?}");
    assert_eq!(disk.standing(), checked.standing);
    assert_eq!(disk.create("new").err().unwrap().kind(), ErrorKind::NotConnected);
    assert_eq!(disk.create_folder("new").unwrap_err().kind(), ErrorKind::NotConnected);
    // What was open ends on its own file system.
    open.write_at(b"video", 0).unwrap();
    open.sync().unwrap();
    disk.rename_new("open", "ended").unwrap();
    assert_eq!(names(&share.point()), [""; 0], "the disk below the mount point was written");

    share.mount_another();
    assert!(vanished(&disk.check()).contains("is the disk mounted?"));
    taken(&share.point());
    assert!(vanished(&disk.check()).contains("another storage"));
    assert!(disk.create("new").is_err());
    share.unmount();

    share.mount();
    assert_eq!(disk.check(), Checked { standing: Standing::Ready, swapped: true });
    assert_eq!(read_all(&disk, "ended", 100).unwrap(), b"video");
    disk.create("new").unwrap();
    assert!(share.point().join("new").exists());
    assert_eq!(disk.check(), Checked { standing: Standing::Ready, swapped: false });
    let another = take(&share.point(), DiskOptions::default(), Some(id), now());
    assert!(matches!(another, Err(Refused::InUse(_))), "another server took the storage that was mounted anew");
    // The old mount is free: nothing holds it any more.
    drop(open);
    share.unmount();
    run("umount", &[share.path("medium").to_str().unwrap()]);
}

#[test]
fn a_mount_point_that_went_away_is_no_storage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storage");
    let disk = taken(&path).disk;
    fs::rename(&path, folder.path().join("moved")).unwrap();
    assert!(vanished(&disk.check()).contains("cannot be opened"));
    disk.gone("it does not answer");
    assert_eq!(disk.standing(), Standing::Vanished { why: "it does not answer".to_owned() });
    fs::rename(folder.path().join("moved"), &path).unwrap();
    assert_eq!(disk.check(), Checked { standing: Standing::Ready, swapped: false });
}

/// Sends `bytes` bytes of zeros to an upload.
fn send(incoming: &Incoming, n: u8, bytes: usize) -> Result<(), IncomingError> {
    let (transfer, _) = incoming.resume(UploadId::from_bytes([n; 16]))?;
    let mut hash = RunningHash::default();
    hash.update(&vec![0; bytes]);
    transfer.write(&mut Blocks::new(bytes.next_multiple_of(BLOCK)), 0, bytes)?;
    Ok(transfer.commit(Committed { offset: bytes as u64, hash: hash.state() })?)
}

#[test]
fn after_the_storage_came_back_what_is_on_it_counts() {
    if !may_mount() {
        return;
    }
    let share = Share::new();
    let disk = taken(&share.point()).disk;
    let (incoming, _) = Incoming::open(Arc::new(disk.clone()), Arc::new(SystemClock)).unwrap();
    incoming.create(identity(1)).unwrap();
    incoming.create(identity(2)).unwrap();
    send(&incoming, 2, 1000).unwrap();
    // A share that was restored from an older copy: the same id, another file system, without the second upload.
    let (held, copy) = (incoming.resume(UploadId::from_bytes([1; 16])).unwrap().0, share.path("copy"));
    run("cp", &["-a", share.point().to_str().unwrap(), copy.to_str().unwrap()]);
    fs::remove_dir_all(copy.join(format!(".incoming/{}", UploadId::from_bytes([2; 16])))).unwrap();
    incoming.create(identity(3)).unwrap();
    share.unmount();
    assert!(vanished(&disk.check()).contains("is the disk mounted?"));
    assert!(matches!(incoming.resume(UploadId::from_bytes([2; 16])), Err(IncomingError::Io(_))));
    share.mount_another();
    run("cp", &["-a", &format!("{}/.", copy.display()), share.point().to_str().unwrap()]);
    assert_eq!(disk.check(), Checked { standing: Standing::Ready, swapped: true });
    assert_eq!(incoming.reload().unwrap(), longshore_store::incoming::Found::default());

    let offset = |n: u8| incoming.find(DEVICE, UploadId::from_bytes([n; 16])).map(|upload| upload.offset);
    assert_eq!((offset(1), offset(2), offset(3)), (Some(0), None, None));
    // What began on the old file system makes nothing on the new one, nor anything new where it began.
    assert_eq!(held.files().create("stray").err().unwrap().kind(), ErrorKind::NotConnected);
    drop(held);
    send(&incoming, 1, 500).unwrap();
    assert_eq!(offset(1), Some(500));
    incoming.create(identity(4)).unwrap();
    assert!(share.point().join(format!(".incoming/{}/data", UploadId::from_bytes([4; 16]))).exists());
}
