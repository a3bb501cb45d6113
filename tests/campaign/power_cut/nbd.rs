//! A disk as QEMU reaches it: the network block device protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md), its
//! fixed newstyle handshake and simple replies, over a Unix socket.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::super::Chance;
use super::disk::{Cut, Disk};

const NBDMAGIC: u64 = 0x4e42_444d_4147_4943;
const IHAVEOPT: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;

/// Fixed newstyle, no zeroes after the export.
const HANDSHAKE_FLAGS: u16 = 0b11;
/// Has flags, sends flush, sends FUA.
const TRANSMISSION_FLAGS: u16 = 0b1101;
const FLAG_FUA: u16 = 1;

const OPT_EXPORT_NAME: u32 = 1;
const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = 0x8000_0001;
const INFO_EXPORT: u16 = 0;

const CMD_READ: u16 = 0;
const CMD_WRITE: u16 = 1;
const CMD_DISC: u16 = 2;
const CMD_FLUSH: u16 = 3;
const EINVAL: u32 = 22;

/// A disk at a socket, through power cuts; whoever connects is served.
pub(super) struct Server {
    power: Arc<Mutex<Power>>,
    socket: PathBuf,
}

struct Power {
    disk: Disk,
    /// Times that it went away. A connection from before is dead, whatever it still brings.
    cuts: u32,
}

impl Server {
    /// Serves the disk that is in this file, at a socket beside it.
    pub(super) fn start(medium: &Path) -> Self {
        let power = Arc::new(Mutex::new(Power { disk: Disk::new(medium), cuts: 0 }));
        let socket = medium.with_extension("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let served = Arc::clone(&power);
        // They end with the process: a test that is over has no QEMU any more.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let power = Arc::clone(&served);
                thread::spawn(move || serve(stream, &power));
            }
        });
        Self { power, socket }
    }

    /// As QEMU names it (qemu(1), `-drive file=`).
    pub(super) fn url(&self) -> String {
        format!("nbd:unix:{}", self.socket.display())
    }

    /// From now on nothing comes in or out for a machine that runs: no answer, no error.
    pub(super) fn power_off(&self) {
        self.power().cuts += 1;
    }

    /// What of the cache is left on the medium after the power went; the next connection finds it.
    pub(super) fn settle(&self, chance: &mut Chance) -> Cut {
        self.power().disk.cut(chance)
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap()
    }
}

fn serve(mut stream: UnixStream, power: &Mutex<Power>) {
    let (size, cuts) = {
        let power = power.lock().unwrap();
        (power.disk.bytes(), power.cuts)
    };
    // QEMU is killed in the middle of anything.
    let _killed = handshake(&mut stream, size).and_then(|on| if on { transmit(stream, power, cuts) } else { Ok(()) });
}

/// Whether requests follow.
fn handshake(stream: &mut UnixStream, size: u64) -> io::Result<bool> {
    stream
        .write_all(&[&NBDMAGIC.to_be_bytes()[..], &IHAVEOPT.to_be_bytes(), &HANDSHAKE_FLAGS.to_be_bytes()].concat())?;
    let _client_flags: u32 = u32::from_be_bytes(take(stream)?);
    loop {
        let magic = u64::from_be_bytes(take(stream)?);
        assert_eq!(magic, IHAVEOPT, "no NBD client");
        let option = u32::from_be_bytes(take(stream)?);
        let mut data = vec![0; u32::from_be_bytes(take(stream)?) as usize];
        stream.read_exact(&mut data)?;
        let export = [&size.to_be_bytes()[..], &TRANSMISSION_FLAGS.to_be_bytes()].concat();
        let mut answer = |kind: u32, data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            let head = [&OPTION_REPLY.to_be_bytes()[..], &option.to_be_bytes(), &kind.to_be_bytes(), &length].concat();
            stream.write_all(&[&head[..], data].concat())
        };
        match option {
            OPT_EXPORT_NAME => {
                stream.write_all(&export)?;
                return Ok(true);
            }
            OPT_INFO | OPT_GO => {
                answer(REP_INFO, &[&INFO_EXPORT.to_be_bytes()[..], &export].concat())?;
                answer(REP_ACK, &[])?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            OPT_ABORT => {
                answer(REP_ACK, &[])?;
                return Ok(false);
            }
            _ => answer(REP_ERR_UNSUP, &[])?,
        }
    }
}

fn transmit(mut stream: UnixStream, power: &Mutex<Power>, cuts: u32) -> io::Result<()> {
    loop {
        let magic = u32::from_be_bytes(take(&mut stream)?);
        assert_eq!(magic, REQUEST, "no NBD request");
        let (flags, command) = (u16::from_be_bytes(take(&mut stream)?), u16::from_be_bytes(take(&mut stream)?));
        let (cookie, at) = (take::<8>(&mut stream)?, u64::from_be_bytes(take(&mut stream)?));
        let length = u32::from_be_bytes(take(&mut stream)?) as usize;
        let mut data = vec![0; if matches!(command, CMD_READ | CMD_WRITE) { length } else { 0 }];
        if command == CMD_WRITE {
            stream.read_exact(&mut data)?;
        }
        let mut power = power.lock().unwrap();
        if power.cuts != cuts {
            drop(power);
            return hang(stream);
        }
        let disk = &mut power.disk;
        let mut error = 0;
        match command {
            CMD_READ => disk.read(at, &mut data),
            CMD_WRITE => {
                disk.write(at, &data);
                data.clear();
                if flags & FLAG_FUA != 0 {
                    disk.flush();
                }
            }
            CMD_FLUSH => disk.flush(),
            CMD_DISC => return Ok(()),
            _ => error = EINVAL,
        }
        drop(power);
        stream.write_all(&[&SIMPLE_REPLY.to_be_bytes()[..], &error.to_be_bytes(), &cookie, &data].concat())?;
    }
}

/// A machine waits for an answer as long as it lives.
fn hang(mut stream: UnixStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

fn take<const N: usize>(stream: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
