//! The bay of a dock: a network between one camera and the server, with the pace of a real one, that a person may pull
//! the camera out of.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What a docked body camera gets: 64 Mbit/s, in bytes a second.
pub const BAY_BYTES_PER_SECOND: u64 = 8_000_000;
/// Bytes that are taken at once.
const PIECE: usize = 32 * 1024;
/// Bytes that wait in the bay's socket. Little, so that what is counted is what the camera sent by then.
const WINDOW: u32 = 64 * 1024;
/// A timer that wakes late is made up for, up to this long; a switch, too, lets such bursts through.
const BURST: Duration = Duration::from_millis(50);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 16;

/// A bay; dropping it ends it.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    /// From which address the server is called.
    source: Option<Ipv4Addr>,
    server: SocketAddr,
    bytes_per_second: u64,
    crossed: AtomicU64,
    plugged: watch::Sender<bool>,
    free_at: Mutex<Instant>,
}

impl Link {
    /// A bay on a free port, in front of the server at `server`; a camera is in it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn to(server: SocketAddr, bytes_per_second: u64) -> io::Result<Self> {
        Self::from(None, server, bytes_per_second)
    }

    /// The same for the device number `n` of a fleet. A server on this computer sees each call from an address of its own, as
    /// in a real network: it bounds what strangers may do from one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of_fleet(n: usize, server: SocketAddr, bytes_per_second: u64) -> io::Result<Self> {
        let n = u16::try_from(n).map_err(io::Error::other)?.to_be_bytes();
        let own = Ipv4Addr::new(127, 77, n[0], n[1]);
        Self::from(server.ip().is_loopback().then_some(own), server, bytes_per_second)
    }

    fn from(source: Option<Ipv4Addr>, server: SocketAddr, bytes_per_second: u64) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Accepted connections inherit it.
        socket.set_recv_buffer_size(WINDOW)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            source,
            server,
            bytes_per_second,
            crossed: AtomicU64::new(0),
            plugged: watch::Sender::new(true),
            free_at: Mutex::new(Instant::now()),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, accepting })
    }

    /// Where the camera reaches the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that went from the camera to the server: TLS, HTTP and recordings, all of them.
    pub fn crossed(&self) -> u64 {
        self.shared.crossed.load(Ordering::Relaxed)
    }

    /// Puts the camera in, or pulls it out. Its connections then break at once on its own side, as they do when an
    /// interface goes down; the server hears nothing.
    pub fn plug(&self, plugged: bool) {
        self.shared.plugged.send_if_modified(|before| std::mem::replace(before, plugged) != plugged);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.plug(false);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((camera, _)) => drop(tokio::spawn(connect(camera, shared.clone()))),
            // No descriptor is left, or the like; others may be closed in a moment.
            Err(_) => tokio::time::sleep(BURST).await,
        }
    }
}

async fn connect(mut camera: TcpStream, shared: Arc<Shared>) {
    let mut plugged = shared.plugged.subscribe();
    // Closed with a reset: nothing of what waits here is said to have arrived.
    let _no_option = camera.set_zero_linger();
    if !*plugged.borrow_and_update() {
        return;
    }
    // A server that is not there: the camera hears of it as of any broken connection.
    let Ok(mut server) = shared.call().await else { return };
    let _no_delay = camera.set_nodelay(true).and(server.set_nodelay(true));
    let pulled_out = {
        let ((mut from_camera, mut to_camera), (mut from_server, mut to_server)) = (camera.split(), server.split());
        let both = async {
            tokio::try_join!(shared.up(&mut from_camera, &mut to_server), down(&mut from_server, &mut to_camera),)
        };
        tokio::select! {
            _ = plugged.changed() => true,
            _ = both => false,
        }
    };
    drop(camera);
    if pulled_out {
        // The server notices by itself that nothing comes any more, or that the camera is back on another connection.
        let mut lost = [0; 1024];
        while matches!(server.read(&mut lost).await, Ok(1..)) {}
    }
}

impl Shared {
    async fn call(&self) -> io::Result<TcpStream> {
        let Some(source) = self.source else { return TcpStream::connect(self.server).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.connect(self.server).await
    }

    async fn up(&self, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let read = from.read(&mut buffer).await?;
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
                return to.shutdown().await;
            };
            sleep_until(self.way_is_free(read)).await;
            to.write_all(piece).await?;
            self.crossed.fetch_add(read as u64, Ordering::Relaxed);
        }
    }

    /// When the bytes have crossed; one pace for all connections together.
    fn way_is_free(&self, bytes: usize) -> Instant {
        let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second.max(1);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *free_at = (*free_at).max(now.checked_sub(BURST).unwrap_or(now)) + Duration::from_nanos(nanoseconds);
        *free_at
    }
}

async fn down(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> io::Result<()> {
    tokio::io::copy(from, to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: u64 = 4_000_000;

    async fn bay() -> (Link, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::to(listener.local_addr().unwrap(), PER_SECOND).unwrap();
        let camera = TcpStream::connect(link.address()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (link, camera, server)
    }

    #[tokio::test]
    async fn a_camera_gets_the_pace_of_its_bay_and_no_more() {
        let (link, mut camera, mut server) = bay().await;
        let began = Instant::now();
        let sent = usize::try_from(PER_SECOND / 2).unwrap();
        let sending = tokio::spawn(async move {
            camera.write_all(&vec![7; sent]).await.unwrap();
            camera.shutdown().await.unwrap();
            camera
        });
        let mut came = Vec::new();
        server.read_to_end(&mut came).await.unwrap();
        assert!(came.len() == sent && came.iter().all(|byte| *byte == 7));
        assert_eq!(link.crossed(), sent as u64);
        assert!(began.elapsed() >= Duration::from_millis(440), "{:?}", began.elapsed());
        // The other way is open still.
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        sending.await.unwrap().read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn a_camera_that_is_pulled_out_hears_it_and_the_server_does_not() {
        let (link, mut camera, mut server) = bay().await;
        camera.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        link.plug(false);
        assert!(camera.read_u8().await.is_err());
        let silence = tokio::time::timeout(Duration::from_millis(100), server.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        // Nobody gets through while it is out.
        let mut again = TcpStream::connect(link.address()).await.unwrap();
        assert!(again.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_camera_that_is_back_gets_through() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::to(listener.local_addr().unwrap(), PER_SECOND).unwrap();
        link.plug(false);
        link.plug(true);
        let mut camera = TcpStream::connect(link.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        camera.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
    }
}
