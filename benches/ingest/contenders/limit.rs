//! The raw loop: TLS, a checksum of each piece while it is hot, aligned writes past the page cache, and syncs. Whoever takes
//! recordings has to do that much, so its cost is the limit that a server is compared with.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{env, io};

use anyhow::{Context as _, ensure};
use longshore_model::RunningHash;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::bay::{Dialect, Target};
use super::super::cores::Cores;
use super::super::process::Process;
use super::certificate::Certificate;
use super::segment::{Pool, SEGMENT, Segment};
use super::{LIMIT, free_port, launch, up};

/// Threads for the disk, as many as Longshore has.
const WRITERS: usize = 32;
/// Segments of one upload on their way to the disk.
const IN_FLIGHT: usize = 2;
/// Bytes after which an upload is synced, as Longshore does it on flash.
const SYNC: u64 = 8 * 1024 * 1024;
/// Beyond it, a head is none.
const HEAD: usize = 16 * 1024;

pub(super) async fn start(folder: &Path, cores: Cores, reads_back: bool) -> anyhow::Result<(Process, Target)> {
    let (address, certificate) = (free_port()?, Certificate::write(folder)?);
    let mut command = Command::new(env::current_exe()?);
    command.arg(LIMIT).arg(address.to_string()).arg(folder).arg(reads_back.to_string());
    command.arg(&certificate.certificate).arg(&certificate.key);
    up(launch(&mut command, folder, cores)?, address, Dialect::Put).await
}

/// Is the raw loop, until it is killed. `words` are what [`start`] gave it.
pub(crate) fn serve(words: &[String]) -> anyhow::Result<()> {
    let [address, folder, reads_back, certificate, key] = words else { anyhow::bail!("five words are needed") };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from_pem_file(certificate)?], PrivateKeyDer::from_pem_file(key)?)?;
    let place = Arc::new(Place { folder: folder.into(), reads_back: reads_back.parse()?, pool: Pool::default() });
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(WRITERS).build()?;
    runtime.block_on(accept(address.parse()?, TlsAcceptor::from(Arc::new(config)), place))
}

struct Place {
    folder: PathBuf,
    reads_back: bool,
    pool: Pool,
}

async fn accept(address: SocketAddr, tls: TlsAcceptor, place: Arc<Place>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let (tls, place) = (tls.clone(), Arc::clone(&place));
        tokio::spawn(async move {
            if let Err(error) = requests(socket, tls, &place).await {
                eprintln!("{error:#}");
            }
        });
    }
}

async fn requests(socket: TcpStream, tls: TlsAcceptor, place: &Place) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut stream = tls.accept(socket).await?;
    while let Some((name, length, rest)) = head(&mut stream).await? {
        let sha256 = body(&mut stream, place, &name, length, &rest).await?.finish();
        let answer = format!("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nContent-Sha256: {sha256}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The name of the file, its length, and what came of the body. `None` at the end of the connection.
async fn head(stream: &mut TlsStream<TcpStream>) -> anyhow::Result<Option<(String, u64, Vec<u8>)>> {
    let mut bytes = Vec::with_capacity(HEAD);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD || stream.read_buf(&mut bytes).await? == 0 {
            ensure!(bytes.is_empty(), "no head of a request");
            return Ok(None);
        }
    };
    let text = str::from_utf8(&bytes[..end])?;
    let name = text.split(' ').nth(1).and_then(|path| path.strip_prefix('/')).context("no path")?;
    let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: ")).context("no length")?.parse()?;
    Ok(Some((name.to_owned(), length, bytes[end..].to_vec())))
}

async fn body(
    stream: &mut TlsStream<TcpStream>,
    place: &Place,
    name: &str,
    length: u64,
    rest: &[u8],
) -> anyhow::Result<RunningHash> {
    let path = place.folder.join(name);
    let file = Arc::new(spawn_blocking(move || create(&path, length)).await??);
    let (mut hash, mut segment) = (RunningHash::default(), place.pool.take());
    let (mut received, mut written, mut synced) = (rest.len() as u64, 0, 0);
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
    segment.room()[..rest.len()].copy_from_slice(rest);
    segment.grow(rest.len());
    hash.update(rest);
    while received < length {
        let left = usize::try_from(length - received).unwrap_or(SEGMENT);
        let room = segment.room();
        let wanted = room.len().min(left);
        let read = stream.read(&mut room[..wanted]).await?;
        ensure!(read > 0, "the connection was cut");
        hash.update(&room[..read]);
        segment.grow(read);
        received += read as u64;
        if segment.is_full() {
            let full = std::mem::replace(&mut segment, place.pool.take());
            in_flight.push_back(write(&file, full, written));
            written += SEGMENT as u64;
            while in_flight.len() >= IN_FLIGHT {
                oldest(&mut in_flight).await?;
            }
        }
        if written - synced >= SYNC {
            while !in_flight.is_empty() {
                oldest(&mut in_flight).await?;
            }
            sync(&file, written).await?;
            synced = written;
        }
    }
    in_flight.push_back(write(&file, segment, written));
    while !in_flight.is_empty() {
        oldest(&mut in_flight).await?;
    }
    // The last write was as long as its alignment wants it.
    sync(&file, length).await?;
    if place.reads_back {
        let (pool, written) = (place.pool.clone(), hash.clone().finish());
        let read = spawn_blocking(move || read_back(&file, &pool, length)).await??;
        ensure!(read.finish() == written, "the disk has other bytes");
    }
    Ok(hash)
}

/// A new file with room for `length` bytes, past the page cache where the file system can.
fn create(path: &Path, length: u64) -> io::Result<File> {
    let open = |flags: OFlags| {
        let flags = flags.bits().cast_signed();
        OpenOptions::new().read(true).write(true).create(true).truncate(true).custom_flags(flags).open(path)
    };
    let file = match open(OFlags::DIRECT) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            eprintln!("this file system knows no O_DIRECT: the page cache is used");
            open(OFlags::empty())?
        }
        opened => opened?,
    };
    match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, length.max(1)) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(file),
        Err(error) => Err(error.into()),
    }
}

fn write(file: &Arc<File>, segment: Segment, offset: u64) -> JoinHandle<io::Result<()>> {
    let file = Arc::clone(file);
    spawn_blocking(move || file.write_all_at(segment.padded(), offset))
}

async fn oldest(in_flight: &mut VecDeque<JoinHandle<io::Result<()>>>) -> anyhow::Result<()> {
    if let Some(write) = in_flight.pop_front() {
        write.await??;
    }
    Ok(())
}

async fn sync(file: &Arc<File>, length: u64) -> anyhow::Result<()> {
    let file = Arc::clone(file);
    let work = move || {
        file.set_len(length)?;
        file.sync_data()
    };
    Ok(spawn_blocking(work).await??)
}

fn read_back(file: &File, pool: &Pool, length: u64) -> io::Result<RunningHash> {
    let (mut hash, mut segment, mut offset) = (RunningHash::default(), pool.take(), 0);
    while offset < length {
        let read = file.read_at(segment.room(), offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hash.update(&segment.room()[..read]);
        offset += read as u64;
    }
    Ok(hash)
}
