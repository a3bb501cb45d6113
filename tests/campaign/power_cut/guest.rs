//! A machine that loses its power: QEMU with Debian's kernel, and in it the real server on two disks that forget.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longshore_model::Sha256;
use serde_json::Value;

use super::super::{Chance, nap};
use super::disk::Cut;
use super::nbd;
use super::parts::Parts;
use crate::support::{Process, decode32};

/// A start on a busy machine whose instructions are emulated.
const BOOT: Duration = Duration::from_secs(120);
/// A command in it; `verify store` reads everything.
const ANSWER: Duration = Duration::from_secs(120);
/// What it has of memory, in MiB.
const MEMORY: &str = "512";
/// Ports of the guest, as `init.sh` serves them.
const SERVER: u16 = 5004;
const SHELL: u16 = 7000;
/// Below what Linux gives to clients by itself, so that no other test gets them meanwhile.
const PORTS: u64 = 20_000;
const PORTS_END: u64 = 32_000;

/// The two disks: that of the journal, and that of the recordings. They are two, since a sync of one file system makes
/// durable what lies on it by the way.
pub(super) const DISKS: [&str; 2] = ["data", "storage"];

/// Why the guest does not serve: told, it is a finding.
pub(super) type Refusal = String;

/// The shell of a guest, which answers while it runs.
#[derive(Clone, Copy)]
pub(super) struct Shell {
    port: u16,
}

pub(super) struct Guest {
    folder: PathBuf,
    parts: Parts,
    disks: [nbd::Server; 2],
    port: u16,
    pub(super) shell: Shell,
    qemu: Option<Process>,
    /// What the server leaves out from the next start on, as the crate `fail` reads it.
    pub(super) fail_points: String,
    boots: u32,
    /// Bytes of the console that were looked at.
    looked: usize,
    /// What the server showed at its first start.
    pin: Option<Sha256>,
}

impl Guest {
    /// A machine with two new disks of so many bytes, switched off.
    pub(super) fn new(folder: &Path, parts: Parts, disk_bytes: u64, chance: &mut Chance) -> Self {
        let disks = DISKS.map(|name| {
            let medium = folder.join(name);
            File::create_new(&medium).unwrap().set_len(disk_bytes).unwrap();
            // Nothing is left to be written later by the kernel alone. No checksums of metadata: with them,
            // older kernels refuse to mount a disk on which the last block of ext4's own journal is torn.
            let words = ["-q", "-O", "^metadata_csum", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
            let made = Command::new("mkfs.ext4").args(words).arg(&medium).status();
            assert!(made.unwrap().success());
            nbd::Server::start(&medium)
        });
        let (port, shell) = (free_port(chance), Shell { port: free_port(chance) });
        let folder = folder.to_owned();
        Self {
            folder,
            parts,
            disks,
            port,
            shell,
            qemu: None,
            fail_points: String::new(),
            boots: 0,
            looked: 0,
            pin: None,
        }
    }

    pub(super) fn power_on(&mut self, chance: &mut Chance) {
        self.boots += 1;
        self.looked = 0;
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "q35", "-cpu", "max", "-smp", "2", "-m", MEMORY, "-nodefaults", "-display", "none"]);
        command.args(["-accel", self.parts.accelerator, "-no-reboot"]);
        // Half of the time what is not synced lies in the cache of the disk, half of the time in the kernel's.
        let at_once = if chance.one_in(2) { "WRITES_BACK=yes" } else { "" };
        // On a busy machine an emulated timer is too late for the kernel's own test of it.
        let words = format!("console=ttyS0 quiet panic=-1 mitigations=off no_timer_check {at_once}");
        // What the kernel does not know, it hands to init's environment (bootparam(7)).
        command.args(["-append", &format!("{words} FAILPOINTS={}", self.fail_points)]);
        command.arg("-kernel").arg(&self.parts.kernel).arg("-initrd").arg(&self.parts.initramfs);
        command.args(["-serial", &format!("file:{}", self.console_path().display())]);
        for (name, disk) in DISKS.iter().zip(&self.disks) {
            // The cache of the disk is the guest's to flush: `writeback`.
            let drive = format!("if=none,id={name},format=raw,cache=writeback,file={}", disk.url());
            command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive={name}")]);
        }
        let forward = |port: u16, to: u16| format!("hostfwd=tcp:127.0.0.1:{port}-:{to}");
        let [server, shell] = [forward(self.port, SERVER), forward(self.shell.port, SHELL)];
        command.args(["-netdev", &format!("user,id=net,restrict=on,{server},{shell}")]);
        command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
        let log = File::options().create(true).append(true).open(self.folder.join("qemu.log")).unwrap();
        self.qemu = Some(Process::start(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log)));
    }

    /// Waits until the server of a machine that was switched on serves, as the one that it has been.
    pub(super) fn serves(&mut self) -> Result<(), Refusal> {
        let mut shown = None;
        self.says(|line| match line.split_once("Fingerprint ") {
            Some((_, pin)) => {
                shown = Some(decode32(pin.trim()));
                true
            }
            None => false,
        })?;
        if *self.pin.get_or_insert(shown.unwrap()) != shown.unwrap() {
            return Err("the server has another key than before".to_owned());
        }
        Ok(())
    }

    /// Waits for a line on the console.
    fn says(&mut self, mut is_it: impl FnMut(&str) -> bool) -> Result<(), Refusal> {
        let end = Instant::now() + BOOT;
        loop {
            let ended = self.qemu.as_mut().unwrap().ended();
            let console = self.console();
            for line in console[self.looked..].split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                self.looked += line.len();
                if is_it(line) {
                    return Ok(());
                }
                if line.contains("guest: longshore ended") {
                    return Err(format!("{}: {}", line.trim(), last_lines(&console)));
                }
            }
            if ended.is_some() || Instant::now() > end {
                let qemu = fs::read_to_string(self.folder.join("qemu.log")).unwrap();
                return Err(format!("the guest does not serve: {}\n{}", last_lines(&console), last_lines(&qemu)));
            }
            nap(Duration::from_millis(10));
        }
    }

    /// The power goes: the disks', and after this time the machine's (`kill -9`).
    pub(super) fn die(&mut self, after: Duration) {
        if !after.is_zero() {
            self.disks.iter().for_each(nbd::Server::power_off);
            nap(after);
        }
        self.qemu.take().unwrap().kill();
        self.disks.iter().for_each(nbd::Server::power_off);
    }

    /// What the disks have lost.
    pub(super) fn settle(&self, chance: &mut Chance) -> Cut {
        let [data, storage] = self.disks.each_ref().map(|disk| disk.settle(chance));
        Cut { kept: data.kept + storage.kept, dropped: data.dropped + storage.dropped }
    }

    /// Ends the server as an init system does, and starts it again after `between`, a shell command.
    pub(super) fn restart_server(&mut self, between: &str) -> Result<String, Refusal> {
        self.shell.run("kill -TERM $(pidof longshore)").map_err(|error| error.to_string())?;
        self.says_it_ended()?;
        let said = self.shell.run_well(between)?;
        self.shell.run("setsid sh /bin/serve </dev/null >/dev/console 2>&1 &").map_err(|error| error.to_string())?;
        self.serves()?;
        Ok(said)
    }

    /// Stops everything in good order; the disks are whole then.
    pub(super) fn shut_down(&mut self) -> Result<(), Refusal> {
        self.shell.run("kill -TERM $(pidof longshore)").map_err(|error| error.to_string())?;
        self.says_it_ended()?;
        self.shell.run_well("umount /storage && umount /data")?;
        // The shell ends with the machine.
        let _no_answer = self.shell.run("poweroff -f");
        let ended = self.qemu.take().unwrap().ends();
        assert!(ended.success(), "{ended}");
        Ok(())
    }

    fn says_it_ended(&mut self) -> Result<(), Refusal> {
        let mut status = None;
        self.says(|line| {
            status = line.split_once("guest: longshore ended with ").map(|(_, status)| status.trim().to_owned());
            status.is_some()
        })?;
        if status.as_deref() == Some("0") { Ok(()) } else { Err(format!("the server ended with {status:?}")) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What its devices pin.
    pub(super) fn pin(&self) -> Sha256 {
        self.pin.unwrap()
    }

    fn console_path(&self) -> PathBuf {
        self.folder.join(format!("console-{}.log", self.boots))
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.console_path()).unwrap_or_default()).into_owned()
    }
}

impl Shell {
    /// Runs a command: its exit status and what it said; errors go to the console.
    pub(super) fn run(self, command: &str) -> io::Result<(i32, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        writeln!(stream, "exec 2>/dev/console\n{command}\necho \"ended with $?\"\nexit")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, format!("{command}: no end of {said:?}"));
        let (words, status) = said.trim_end().rsplit_once("ended with ").ok_or_else(cut)?;
        Ok((status.parse().map_err(|_| cut())?, words.to_owned()))
    }

    /// The same of a command that must not fail.
    pub(super) fn run_well(self, command: &str) -> Result<String, Refusal> {
        match self.run(command) {
            Ok((0, said)) => Ok(said),
            Ok((status, said)) => Err(format!("{command} ended with {status}: {said}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Runs `longshore`, which answers with JSON.
    pub(super) fn cli(self, arguments: &[&str]) -> io::Result<(i32, Value)> {
        let words = shlex::try_join(arguments.iter().copied()).unwrap();
        let (status, said) = self.run(&format!("longshore {words} --data /data/longshore --json"))?;
        Ok((status, serde_json::from_str(&said).unwrap_or(Value::Null)))
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn free_port(chance: &mut Chance) -> u16 {
    loop {
        let port = u16::try_from(PORTS + chance.below(PORTS_END - PORTS)).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
