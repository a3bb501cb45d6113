//! The same API for the command line, on a Unix socket in the data folder. Who may open the folder is an admin; who it
//! was goes to the audit log.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::data::SOCKET;

/// A path to the socket that is short enough for any data folder: socket addresses hold 107 bytes (unix(7)), so the
/// socket is reached through the open folder. Keep the file as long as the path is used.
pub(crate) fn short_path(data_folder: &Path) -> io::Result<(File, PathBuf)> {
    let socket = data_folder.join(SOCKET);
    let folder = File::open(socket.parent().unwrap_or(data_folder))?;
    let name = socket.file_name().unwrap_or_default();
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok((folder, path))
}

/// Listens on the socket; one that an earlier server left is replaced. The data folder's lock keeps a second out.
pub(crate) fn listen(data_folder: &Path) -> io::Result<UnixListener> {
    let (_folder, path) = short_path(data_folder)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
