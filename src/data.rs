//! The data folder: who may use it, in which form it is, and the keys that make this server itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use longshore_model::StorageId;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::{Deserialize, Serialize};

/// Form of the folder; a later version of Longshore may read it, an earlier one must not touch it.
const FORMAT: u32 = 2;
const FORMAT_FILE: &str = "format.json";
/// Below the data folder: the socket for the command line.
pub(crate) const SOCKET: &str = "run/admin.sock";

/// Below the data folder: which storage it belongs to.
const STORAGE: &str = "storage.json";

#[derive(Serialize, Deserialize)]
struct Format {
    longshore_data: u32,
}

#[derive(Serialize, Deserialize)]
struct Belongs {
    storage: StorageId,
}

/// The data folder, held by this process alone.
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, and takes it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        make_folder(path, 0o750)?;
        let path = path.canonicalize().with_context(|| format!("the data folder {} cannot be used", path.display()))?;
        let Some(lock) = lock(&path)? else {
            bail!(
                "another Longshore is running on the data folder {}; stop it, or choose another folder with --data",
                path.display()
            );
        };
        let folder = Self { path, _lock: lock };
        folder.check_format()?;
        for (name, mode) in [("run", 0o700), ("keys", 0o700)] {
            make_folder(&folder.path.join(name), mode)?;
        }
        // Also what an earlier start made and was killed over.
        let keys = folder.path.join("keys");
        for made in [Some(keys.as_path()), Some(folder.path.as_path()), folder.path.parent()].into_iter().flatten() {
            sync_folder(made).with_context(|| format!("the folder {} cannot be synced", made.display()))?;
        }
        Ok(folder)
    }

    /// The folder of a server that has been here before, for commands that work on it themselves: its path, and the
    /// folder itself unless a server has it.
    pub(crate) fn of_server(path: &Path) -> anyhow::Result<(PathBuf, Option<Self>)> {
        if !path.join(FORMAT_FILE).exists() {
            bail!("{} is no data folder of Longshore; name it with --data", path.display());
        }
        let path = path.canonicalize().with_context(|| format!("the data folder {} cannot be used", path.display()))?;
        // What another user makes here, the server could not change later.
        let (owner, own) = (fs::metadata(&path)?.uid(), rustix::process::geteuid().as_raw());
        if owner != own {
            bail!("the data folder {} belongs to the user with id {owner}; run this as that user", path.display());
        }
        let folder = lock(&path)?.map(|lock| Self { path: path.clone(), _lock: lock });
        folder.as_ref().map_or(Ok(()), Self::check_format)?;
        Ok((path, folder))
    }

    fn check_format(&self) -> anyhow::Result<()> {
        let path = self.path.join(FORMAT_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let format = serde_json::to_string(&Format { longshore_data: FORMAT })?;
                return write_new(&path, format.as_bytes(), 0o640);
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        match serde_json::from_str::<Format>(&text) {
            Ok(format) if format.longshore_data == FORMAT => Ok(()),
            Ok(format) => bail!(
                "the data folder {} is in form {}; this version of Longshore knows form {FORMAT} only",
                self.path.display(),
                format.longshore_data
            ),
            Err(_) => bail!("{} is damaged; restore the data folder from a backup", path.display()),
        }
    }

    /// The folder, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on no other storage will do.
    pub(crate) fn keep_storage_id(&self, storage: StorageId) -> anyhow::Result<()> {
        write_new(&self.path.join(STORAGE), serde_json::to_string(&Belongs { storage })?.as_bytes(), 0o640)
    }

    /// The P-256 key of this name, made at the first start.
    pub(crate) fn key(&self, name: &str) -> anyhow::Result<KeyPair> {
        if let Some(key) = read_key(&self.path, name)? {
            return Ok(key);
        }
        let path = self.path.join("keys").join(format!("{name}.key"));
        // A new key would be another server: devices would not know it, old receipts would not be its own.
        if self.path.join("journal").exists() {
            bail!("{} is missing, though this server has been used; restore it from a backup", path.display());
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        write_new(&path, key.serialize_pem().as_bytes(), 0o600)?;
        Ok(key)
    }
}

/// The storage that the server with this data folder has used; `None` before its first start.
pub(crate) fn storage_id(data: &Path) -> anyhow::Result<Option<StorageId>> {
    let path = data.join(STORAGE);
    match fs::read(&path) {
        Ok(text) => {
            let Belongs { storage } = serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged; restore it from a backup", path.display()))?;
            Ok(Some(storage))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// The private key in this file; `None`: there is no file.
pub(crate) fn read_key(data: &Path, name: &str) -> anyhow::Result<Option<KeyPair>> {
    let path = data.join("keys").join(format!("{name}.key"));
    match fs::read_to_string(&path) {
        Ok(pem) => KeyPair::from_pem(&pem)
            .map(Some)
            .with_context(|| format!("{} is no private key; restore it from a backup", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// `None`: another process has it.
fn lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let path = folder.join("lock");
    let lock = OpenOptions::new().create(true).append(true).open(&path);
    let lock = lock.with_context(|| format!("{} cannot be opened for writing", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("the data folder cannot be locked"),
    }
}

fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("the folder {} cannot be made", path.display()))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Written beside and renamed: a key that is half there after a power cut would be another server.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
