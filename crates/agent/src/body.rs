//! A file on its way into a request: read off the async threads, a few pieces ahead, and only as long as it stays
//! the file that was hashed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::sync::{mpsc, oneshot};

use crate::lock::lock;
use crate::source::{self, FileState};

/// Bytes of one piece: large enough for fast disks, small enough that a body camera's memory does not notice.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that are read ahead of the network, so that the disk and the network work at the same time.
const PIECES_AHEAD: usize = 4;

/// Why a file cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// It is not the file that was hashed.
    #[error("it changed after its checksum was computed")]
    Changed,
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The sending of one body. Dropping it ends the body, and with it the request, if that is not through yet.
#[derive(Debug)]
pub(crate) struct Sending {
    shared: Arc<Shared>,
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Shared {
    handed_over: AtomicU64,
    source_error: Mutex<Option<SourceError>>,
}

impl Sending {
    /// Bytes that the connection has taken so far.
    pub(crate) fn handed_over(&self) -> u64 {
        self.shared.handed_over.load(Ordering::Relaxed)
    }

    /// Why the body ended before the file did; told once.
    pub(crate) fn source_error(&self) -> Option<SourceError> {
        lock(&self.shared.source_error).take()
    }
}

/// The bytes of the file from `offset` to its end. Blocks for the opening.
///
/// `on_bytes` is told how many bytes were handed over just now.
///
/// # Errors
/// [`SourceError`] if size and date of the file are not those of `expected`, or it cannot be opened.
pub(crate) fn open(
    path: &Path,
    expected: FileState,
    offset: u64,
    on_bytes: impl Fn(u64) + Send + Sync + 'static,
) -> Result<(Body, Sending), SourceError> {
    let (mut file, state) = source::open(path)?;
    if !state.looks_like(&expected) {
        return Err(SourceError::Changed);
    }
    file.seek(SeekFrom::Start(offset))?;
    let shared = Arc::new(Shared::default());
    let (pieces_in, pieces) = mpsc::channel(PIECES_AHEAD);
    let (end_in, end) = oneshot::channel();
    let reader = shared.clone();
    // Ends with the file, or at the next piece after the body is dropped.
    tokio::task::spawn_blocking(move || read(file, expected, offset, &pieces_in, &reader));
    let way = Way { pieces, end, shared: shared.clone(), on_bytes };
    let body = stream::unfold(way, |mut way| async move {
        let piece = way.next().await?;
        Some((piece, way))
    });
    Ok((Body::wrap_stream(body), Sending { shared, _end: end_in }))
}

struct Way<F> {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    end: oneshot::Receiver<()>,
    shared: Arc<Shared>,
    on_bytes: F,
}

impl<F: Fn(u64)> Way<F> {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let piece = tokio::select! {
            biased;
            _ = &mut self.end => Some(Err(io::Error::other("the request was given up"))),
            piece = self.pieces.recv() => piece,
        }?;
        if let Ok(piece) = &piece {
            let bytes = piece.len() as u64;
            self.shared.handed_over.fetch_add(bytes, Ordering::Relaxed);
            (self.on_bytes)(bytes);
        }
        Some(piece)
    }
}

fn read(mut file: File, expected: FileState, offset: u64, pieces: &mpsc::Sender<io::Result<Bytes>>, shared: &Shared) {
    let mut left = expected.size.saturating_sub(offset);
    while left > 0 {
        match read_piece(&mut file, expected, left) {
            Ok(piece) => {
                left = left.saturating_sub(piece.len() as u64);
                if pieces.blocking_send(Ok(piece)).is_err() {
                    return;
                }
            }
            Err(error) => {
                let told = io::Error::other(error.to_string());
                *lock(&shared.source_error) = Some(error);
                // Nobody waits for it if the request has ended in the meantime.
                let _ = pieces.blocking_send(Err(told));
                return;
            }
        }
    }
}

fn read_piece(file: &mut File, expected: FileState, left: u64) -> Result<Bytes, SourceError> {
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
    let mut piece = vec![0; wanted];
    match file.read_exact(&mut piece) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(SourceError::Changed),
        result => result?,
    }
    // Asked after the reading: whoever wrote before or during it has moved the time of change.
    if !FileState::of(&file.metadata()?).looks_like(&expected) {
        return Err(SourceError::Changed);
    }
    Ok(Bytes::from(piece))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use http_body_util::BodyExt;

    use super::*;

    fn file(bytes: usize) -> (tempfile::TempDir, std::path::PathBuf, FileState, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let content: Vec<u8> = (0..=250_u8).cycle().take(bytes).collect();
        fs::write(&path, &content).unwrap();
        let state = FileState::at(&path).unwrap();
        (folder, path, state, content)
    }

    #[tokio::test]
    async fn the_body_is_the_rest_of_the_file() {
        let (_folder, path, state, content) = file(3 * PIECE_BYTES + 5);
        let (body, sending) = open(&path, state, 7, |_| {}).unwrap();
        let sent = body.collect().await.unwrap().to_bytes();
        assert!(sent == content[7..]);
        assert_eq!(sending.handed_over(), sent.len() as u64);
        assert!(sending.source_error().is_none());
    }

    #[tokio::test]
    async fn a_file_that_changed_since_it_was_hashed_is_not_opened() {
        let (_folder, path, state, _) = file(10);
        fs::write(&path, b"other").unwrap();
        assert!(matches!(open(&path, state, 0, |_| {}), Err(SourceError::Changed)));
    }

    #[tokio::test]
    async fn a_file_whose_inode_was_made_up_again_is_sent() {
        let (_folder, path, state, content) = file(10);
        let (body, _sending) = open(&path, FileState { inode: state.inode + 1, ..state }, 0, |_| {}).unwrap();
        assert!(body.collect().await.unwrap().to_bytes() == content);
    }

    #[tokio::test]
    async fn a_file_that_changes_under_way_ends_the_body_with_an_error() {
        // More than what is read ahead, so that the change comes before the last piece is read.
        let (_folder, path, state, content) = file((PIECES_AHEAD + 4) * PIECE_BYTES);
        let (mut body, sending) = open(&path, state, 0, |_| {}).unwrap();
        body.frame().await.unwrap().unwrap();
        fs::write(&path, &content[..content.len() - 1]).unwrap();
        assert!(body.collect().await.is_err());
        assert!(matches!(sending.source_error(), Some(SourceError::Changed)));
    }

    #[tokio::test]
    async fn a_body_that_is_given_up_ends_with_an_error() {
        let (_folder, path, state, _) = file(3 * PIECE_BYTES);
        let (body, sending) = open(&path, state, 0, |_| {}).unwrap();
        drop(sending);
        assert!(body.collect().await.is_err());
    }
}
