use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::nap;

/// Bytes that the relay takes at once; small against what a kill may cost.
const PIECE: usize = 16 * 1024;
/// Bytes that wait in the relay's socket: they have left the device's program and did not cross yet. Little, so that
/// what crosses is what the device sent.
const WINDOW: usize = 64 * 1024;

/// The network between device and server, outside both: a pace for what the device sends, and the count of it.
pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    bytes_per_second: u64,
    crossed: AtomicU64,
    live: AtomicUsize,
    held: AtomicBool,
    ended: AtomicBool,
    free_at: Mutex<Instant>,
}

impl Relay {
    pub(super) fn to(server: SocketAddr, bytes_per_second: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, WINDOW).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            bytes_per_second,
            crossed: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            free_at: Mutex::new(Instant::now()),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for device in listener.incoming() {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                let (device, shared) = (device.unwrap(), Arc::clone(&accepting));
                thread::spawn(move || shared.connect(&device));
            }
        });
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Bytes that went from the device to the server: TLS, HTTP and files, all of them.
    pub(super) fn crossed(&self) -> u64 {
        self.shared.crossed.load(Ordering::SeqCst)
    }

    /// Connections that still carry something.
    pub(super) fn live(&self) -> usize {
        self.shared.live.load(Ordering::SeqCst)
    }

    /// Lets new connections wait, or lets them through again.
    pub(super) fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _wakes_the_listener = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connect(&self, device: &TcpStream) {
        while self.held.load(Ordering::SeqCst) {
            nap(Duration::from_millis(5));
        }
        // A server that is not there: the device hears of it as of any broken connection.
        let Ok(server) = TcpStream::connect(self.server) else { return };
        self.live.fetch_add(1, Ordering::SeqCst);
        let _no_delay = server.set_nodelay(true).and(device.set_nodelay(true));
        thread::scope(|scope| {
            scope.spawn(|| self.down(&server, device));
            self.up(device, &server);
        });
        self.live.fetch_sub(1, Ordering::SeqCst);
    }

    fn up(&self, mut device: &TcpStream, mut server: &TcpStream) {
        let mut buffer = vec![0; PIECE];
        loop {
            match device.read(&mut buffer) {
                Ok(0) => return drop(server.shutdown(Shutdown::Write)),
                Ok(read) => {
                    self.crossed.fetch_add(read as u64, Ordering::SeqCst);
                    self.pace(read);
                    if server.write_all(&buffer[..read]).is_err() {
                        return drop(device.shutdown(Shutdown::Both));
                    }
                }
                Err(_) => return drop(server.shutdown(Shutdown::Both)),
            }
        }
    }

    fn down(&self, mut server: &TcpStream, mut device: &TcpStream) {
        let mut buffer = vec![0; PIECE];
        while let Ok(read) = server.read(&mut buffer) {
            if read == 0 || device.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _gone = device.shutdown(Shutdown::Both);
        let _gone = server.shutdown(Shutdown::Both);
    }

    /// One rate for all connections together.
    fn pace(&self, bytes: usize) {
        let until = {
            let mut free_at = self.free_at.lock().unwrap();
            let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_second);
            *free_at = (*free_at).max(Instant::now()) + takes;
            *free_at
        };
        nap(until.saturating_duration_since(Instant::now()));
    }
}
