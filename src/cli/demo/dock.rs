//! The processes of the demo, and the bays between them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::SyncSender;

use anyhow::{Context as _, bail};
use longshore_agent::fleet::link::{BAY_BYTES_PER_SECOND, Link};
use longshore_protocol::EnrolmentText;
use tokio::runtime::Runtime;

use super::super::client::Client;
use super::part::{Docked, Said};
use super::plan::{MODEL, Plan};
use crate::http::operator::{ApproveBody, DeviceRow, IssueBody, Issued, RecordingRow, paths};

/// Below the folder of the demo: the server's configuration.
const CONFIG: &str = "longshore.toml";
const DATA: &str = "data";
const SERVER_LOG: &str = "server.log";
const CAMERAS_LOG: &str = "cameras.log";
/// How long an enrolment text is good, in seconds.
const VALID_SECONDS: u64 = 3600;
/// Lines of a log that are shown when something did not start.
const LOG_LINES: usize = 5;

/// What comes from other threads.
#[derive(Debug)]
pub(super) enum Event {
    /// A camera says something; `run` counts its starts.
    Said { bay: usize, run: u32, said: Said },
    /// A camera's process ended.
    Ended { bay: usize, run: u32 },
    /// The person wants it to end.
    Stop,
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

struct Camera {
    docked: String,
    link: Link,
    process: Option<Process>,
    run: u32,
}

/// The server, eight cameras and the bays between them; dropping it ends them all.
pub(super) struct Dock {
    folder: PathBuf,
    cameras: Vec<Camera>,
    pub(super) url: String,
    events: SyncSender<Event>,
    server: Process,
}

impl Dock {
    /// Starts the server; the bays are empty.
    pub(super) fn open(folder: &Path, events: SyncSender<Event>) -> anyhow::Result<Self> {
        let config = folder.join(CONFIG);
        let data = folder.join(DATA);
        let data_text =
            data.to_str().context("the path of the temporary folder is not UTF-8; set TMPDIR to another")?;
        // TOML reads strings as JSON writes them. The room was looked at, and is the demo's own.
        let data_text = serde_json::to_string(data_text)?;
        fs::write(
            &config,
            format!("data = {data_text}\n\n[server]\nlisten = \"127.0.0.1:0\"\n\n[storage]\nfloor = \"0\"\n"),
        )?;
        let mut command = part("server")?;
        command.arg("--config").arg(&config).stdin(Stdio::null());
        let (server, mut said) = spawn(command, &folder.join(SERVER_LOG))?;
        // It says that it is ready; or it ends.
        let mut ready = String::new();
        said.read_line(&mut ready)?;
        if ready.is_empty() {
            bail!("the server did not start:\n{}", tail(&folder.join(SERVER_LOG)));
        }
        Ok(Self { folder: folder.to_owned(), cameras: Vec::new(), url: String::new(), events, server })
    }

    /// Fails if the server has ended, with the end of its log.
    pub(super) fn server_is_up(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.server.0.try_wait()? {
            bail!("the server has ended ({status}):\n{}", tail(&self.folder.join(SERVER_LOG)));
        }
        Ok(())
    }

    /// The server's configuration, by which every command finds it.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    pub(super) fn card(&self, plan: &Plan) -> PathBuf {
        card(&self.folder, plan)
    }

    /// A new connection, since the server closes one that was not used for a while.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.data())
    }

    /// Puts a camera in the next bay, and starts it.
    pub(super) fn put_in(&mut self, plan: &Plan, runtime: &Runtime) -> anyhow::Result<()> {
        let (serial, model) = (plan.serial.to_owned(), MODEL.to_owned());
        let (serial, model) = (Some(serial), Some(model));
        let body = IssueBody { serial, model, valid_for_seconds: Some(VALID_SECONDS), uses: None };
        let Issued { text, .. } = self.client()?.post(paths::TOKENS, &body)?;
        let server = text.parse::<EnrolmentText>()?.server;
        self.url = server.to_string();
        let address = server.socket_addrs(|| None)?.into_iter().next().context("the server's URL has no address")?;
        let link = {
            let _in_runtime = runtime.enter();
            Link::to(address, BAY_BYTES_PER_SECOND)?
        };
        let docked = Docked {
            card: self.card(plan),
            state: self.folder.join(plan.serial).join("state"),
            text,
            bay: link.address(),
            days_ahead: plan.days_ahead,
        };
        self.cameras.push(Camera { docked: serde_json::to_string(&docked)?, link, process: None, run: 0 });
        self.power_on(self.cameras.len() - 1)
    }

    /// Starts the camera in the bay with this index.
    pub(super) fn power_on(&mut self, bay: usize) -> anyhow::Result<()> {
        let Some(camera) = self.cameras.get_mut(bay) else { return Ok(()) };
        camera.link.plug(true);
        camera.run += 1;
        let mut command = part("camera")?;
        command.stdin(Stdio::piped());
        let (mut process, said) = spawn(command, &self.folder.join(CAMERAS_LOG))?;
        if let Some(mut input) = process.0.stdin.take() {
            // One that ended already is told of by its end.
            let _ended = input.write_all(camera.docked.as_bytes());
        }
        camera.process = Some(process);
        let (events, run) = (self.events.clone(), camera.run);
        std::thread::Builder::new().name(format!("bay-{}", bay + 1)).spawn(move || listen(said, bay, run, &events))?;
        Ok(())
    }

    /// Kills the camera in the middle of whatever it does; its bay goes dead with it.
    pub(super) fn cut_power(&mut self, bay: usize) {
        let Some(camera) = self.cameras.get_mut(bay) else { return };
        camera.link.plug(false);
        camera.process = None;
    }

    /// Pulls the camera out of its bay, or puts it in again.
    pub(super) fn plug(&self, bay: usize, plugged: bool) {
        if let Some(camera) = self.cameras.get(bay) {
            camera.link.plug(plugged);
        }
    }

    /// Bytes that crossed the bay with this index.
    pub(super) fn crossed(&self, bay: usize) -> u64 {
        self.cameras.get(bay).map_or(0, |camera| camera.link.crossed())
    }

    /// Whether this is the latest start of the camera, and nobody ended it.
    pub(super) fn is_running(&self, bay: usize, run: u32) -> bool {
        self.cameras.get(bay).is_some_and(|camera| camera.run == run && camera.process.is_some())
    }

    /// Approves who waits, each for its officer; returns which bays those are.
    pub(super) fn approve(&self, plans: &[Plan]) -> anyhow::Result<Vec<usize>> {
        let client = self.client()?;
        let devices: Vec<DeviceRow> = client.get(paths::DEVICES)?;
        let mut approved = Vec::new();
        for device in devices.into_iter().filter(|device| device.code.is_some()) {
            let Some(bay) = plans.iter().position(|plan| plan.serial == device.serial) else { continue };
            let assignee = plans.get(bay).map(|plan| plan.assignee.to_owned()).unwrap_or_default();
            let (serial, code, profile) = (device.serial, device.code, "default".to_owned());
            let body = ApproveBody::NewDevice { serial, code, assignee, profile };
            let _row: DeviceRow = client.post(paths::APPROVALS, &body)?;
            approved.push(bay);
        }
        Ok(approved)
    }

    /// Whether the server was told of the deletion of everything that it has.
    pub(super) fn knows_of_deletions(&self) -> anyhow::Result<bool> {
        let rows: Vec<RecordingRow> = self.client()?.get(paths::RECORDINGS)?;
        Ok(rows.iter().all(|row| row.deleted_on_device_at.is_some()))
    }

    /// The end of the cameras' log, for who asks why one stopped.
    pub(super) fn cameras_wrote(&self) -> String {
        tail(&self.folder.join(CAMERAS_LOG))
    }
}

/// The folder that stands for the card of a camera.
pub(super) fn card(folder: &Path, plan: &Plan) -> PathBuf {
    folder.join(plan.serial).join("card")
}

/// This program as a part of the demo. Settings of the user's own server are not the demo's.
fn part(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["demo-part", name, "--parent", &std::process::id().to_string()]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGSHORE")) {
        command.env_remove(name);
    }
    // A Ctrl-C is for the demo alone, which then ends its parts.
    command.process_group(0);
    Ok(command)
}

/// The kernel ends the part when the thread ends that starts it: this is called on the main thread only.
fn spawn(mut command: Command, log: &Path) -> anyhow::Result<(Process, BufReader<ChildStdout>)> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().context("a process cannot be started")?;
    let said = child.stdout.take().context("a process has no output")?;
    Ok((Process(child), BufReader::new(said)))
}

fn listen(said: BufReader<ChildStdout>, bay: usize, run: u32, events: &SyncSender<Event>) {
    for line in said.lines().map_while(Result::ok) {
        let Ok(said) = serde_json::from_str(&line) else { continue };
        if events.send(Event::Said { bay, run, said }).is_err() {
            return;
        }
    }
    let _nobody_listens = events.send(Event::Ended { bay, run });
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}
