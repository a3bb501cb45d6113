use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use longshore_model::{RunningHash, Sha256};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::camera::{Camera, decode32};
use super::process::{Process, agent, longshore, program};

/// Nothing on a busy two-core machine takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Below the folder of a world.
const CONFIG: &str = "longshore.toml";

/// A running server in a folder of its own.
pub(crate) struct World {
    folder: TempDir,
    server: Option<Process>,
    /// Where the server is to panic, as the crate `fail` reads it.
    pub(crate) fail_points: String,
    /// Free space of the storage below which the server takes nothing; 0, since the machine's disk may be nearly full.
    pub(crate) floor: String,
    pub(crate) address: SocketAddr,
    pub(crate) pin: Sha256,
}

impl World {
    /// Starts a server on a free port.
    pub(crate) fn new() -> Self {
        Self::with("", "")
    }

    /// The same with its storage elsewhere.
    pub(crate) fn on(storage: &Path) -> Self {
        let mut world = Self::at_rest();
        fs::create_dir(world.data()).unwrap();
        std::os::unix::fs::symlink(storage, world.storage()).unwrap();
        world.start();
        world
    }

    /// The same, in which something panics.
    pub(crate) fn with_fail_points(fail_points: &str) -> Self {
        Self::with("", fail_points)
    }

    /// The same, with a configuration file.
    pub(crate) fn configured(config: &str) -> Self {
        Self::with(config, "")
    }

    fn with(config: &str, fail_points: &str) -> Self {
        let mut world = Self::at_rest();
        fail_points.clone_into(&mut world.fail_points);
        fs::write(world.path().join(CONFIG), config).unwrap();
        world.start();
        world
    }

    /// An empty folder, and no server yet.
    pub(crate) fn at_rest() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), "").unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let (fail_points, floor) = (String::new(), "0".to_owned());
        Self { folder, server: None, fail_points, floor, address, pin: Sha256::of(b"") }
    }

    /// The server's process, before it is heard of; `tracer` is a program that runs it, and its arguments.
    pub(crate) fn launch(&self, tracer: &[&str]) -> Process {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let words = [tracer, &[env!("CARGO_BIN_EXE_longshore")]].concat();
        let mut command = program(words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--listen", &self.address.to_string(), "--data"])
            .arg(self.data())
            .env("FAILPOINTS", &self.fail_points)
            .env("LONGSHORE__STORAGE__FLOOR", &self.floor)
            // Most tests are about what arrives, not how fast; those about rates have them in their configuration.
            .envs((!self.has_rates()).then_some(("LONGSHORE__RATES__STREAM", "unlimited")))
            .arg("--config")
            .arg(self.path().join(CONFIG))
            .stdout(Stdio::piped())
            .stderr(log);
        Process::start(&mut command)
    }

    fn has_rates(&self) -> bool {
        fs::read_to_string(self.path().join(CONFIG)).unwrap().contains("[rates]")
    }

    /// Starts the server again, on the port that it had.
    pub(crate) fn start(&mut self) {
        assert!(self.try_start(&[]), "the server did not start: {}", self.log());
    }

    /// Whether it comes up; otherwise it has ended.
    pub(crate) fn try_start(&mut self, tracer: &[&str]) -> bool {
        let mut server = self.launch(tracer);
        let mut lines = BufReader::new(server.stdout()).lines();
        self.server = Some(server);
        let mut word = |label: &str| {
            let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains(label))?;
            Some(line.split_whitespace().next_back().unwrap().to_owned())
        };
        let Some((address, pin)) = word("Address").zip(word("Fingerprint")) else {
            self.stopped();
            return false;
        };
        self.address = address.strip_prefix("https://").unwrap().parse().unwrap();
        self.pin = decode32(&pin);
        true
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// SIGTERM; the exit status is to be waited for with [`Self::stopped`].
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Writes the configuration file anew and sends SIGHUP.
    pub(crate) fn reconfigure(&self, config: &str) {
        fs::write(self.path().join(CONFIG), config).unwrap();
        self.hang_up();
    }

    /// SIGHUP: the configuration is to be read again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Whether the server has ended, though it may be held by a tracer and not be waited for (proc(5), stat).
    pub(crate) fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    }

    /// Whether the server runs; a fault may have ended it.
    pub(crate) fn lives(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| server.ended().is_none())
    }

    /// Whether the server has the file of this upload open: then a request on it has reached the transfer.
    pub(crate) fn works_on(&self, upload: &str) -> bool {
        let data = self.storage().join(".incoming").join(upload.rsplit('/').next().unwrap()).join("data");
        let data = data.canonicalize().unwrap();
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        // A descriptor may be closed between the listing and the look.
        files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).any(|path| path == data)
    }

    /// Waits for the server's end: its exit status.
    pub(crate) fn stopped(&mut self) -> Option<i32> {
        self.server.take().unwrap().ends().code()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.data().join("storage")
    }

    /// What strace saw of the server, where one is attached.
    pub(crate) fn log_of_strace(&self) -> String {
        fs::read_to_string(self.path().join("strace.log")).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    /// Runs `longshore` against this server.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        longshore().args(arguments).arg("--data").arg(self.data()).output().unwrap()
    }

    /// The same with `--json`.
    pub(crate) fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A call of the API as programs make it, over the local socket: status and JSON.
    pub(crate) fn api(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut socket = UnixStream::connect(self.data().join("run/admin.sock")).unwrap();
        let length = body.len();
        let kind = "Content-Type: application/json\r\nConnection: close";
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// The text that enrols a device.
    pub(crate) fn enrolment_text(&self, serial: &str) -> String {
        let issued = self.cli_json(&["device", "add", "--serial", serial, "--model", "BC4"]);
        issued["text"].as_str().unwrap().to_owned()
    }

    /// Enrols an agent with this state folder; it is known under this serial and belongs to somebody.
    pub(crate) fn enrol_agent(&self, state: &Path, serial: &str, assignee: &str) {
        let mut command = agent();
        command.args(["enrol", "--url", &self.enrolment_text(serial), "--state"]).arg(state).stdout(Stdio::null());
        let mut enrolling = Process::start(&mut command);
        eventually("the device waits", || {
            let devices = self.cli_json(&["device", "list"]);
            devices.as_array().unwrap().iter().any(|row| row["serial"] == serial && row["state"] == "pending")
        });
        self.approve(serial, assignee);
        assert!(enrolling.ends().success());
    }

    pub(crate) fn approve(&self, serial: &str, assignee: &str) {
        self.cli_json(&["device", "approve", serial, "--assignee", assignee]);
    }

    /// A camera that is enrolled and belongs to somebody.
    pub(crate) fn camera(&self, serial: &str, assignee: &str) -> Camera {
        self.enrolled(Camera::new(self), serial, assignee)
    }

    /// The same, of one that calls from this address: one address alone may not enrol many in a minute.
    pub(crate) fn camera_from(&self, address: &str, serial: &str, assignee: &str) -> Camera {
        let mut camera = Camera::new(self);
        camera.call_from(address);
        self.enrolled(camera, serial, assignee)
    }

    fn enrolled(&self, mut camera: Camera, serial: &str, assignee: &str) -> Camera {
        let enrolment = camera.ask_to_be_known(&self.enrolment_text(serial)).json(202);
        self.approve(serial, assignee);
        camera.fetch_certificate(enrolment["id"].as_str().unwrap());
        camera
    }

    pub(crate) fn recordings(&self) -> Vec<Value> {
        self.cli_json(&["recordings", "list"]).as_array().unwrap().clone()
    }

    /// All files under final names, with their bytes' checksums; manifests left out.
    pub(crate) fn stored(&self) -> BTreeMap<String, Sha256> {
        files_below(&self.storage())
            .into_iter()
            .map(|path| (path.strip_prefix(self.storage()).unwrap().to_str().unwrap().to_owned(), path))
            .filter(|(name, _)| !name.starts_with('.') && !name.ends_with(".json"))
            .map(|(name, path)| (name, checksum(&path)))
            .collect()
    }

    /// Folders of uploads that are on their way.
    pub(crate) fn incoming(&self) -> Vec<PathBuf> {
        fs::read_dir(self.storage().join(".incoming")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Before its folder goes.
        self.server = None;
        if std::thread::panicking() {
            eprintln!("--- the server's log:\n{}", self.log());
        }
    }
}

pub(crate) fn send_signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Asks again and again until the answer is yes.
pub(crate) fn eventually(what: &str, mut yes: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !yes() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

pub(crate) fn checksum(path: &Path) -> Sha256 {
    let mut hash = RunningHash::default();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).unwrap();
        if read == 0 {
            return hash.finish();
        }
        hash.update(&buffer[..read]);
    }
}
