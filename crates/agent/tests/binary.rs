//! The program itself: exit codes, refusals and signals.
#![expect(clippy::unwrap_used, reason = "these are tests; clippy sees only functions marked #[test] as such")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::Engine;
use longshore_agent::state::{Identity, State};
use longshore_agent::tls;
use longshore_model::{BASE64URL, DeviceId, ReceiptKey};
use longshore_protocol::ServerIdentity;
use rcgen::KeyPair;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;

/// Where nobody listens: bound, so that no other program gets the port.
static NOBODY: LazyLock<TcpSocket> = LazyLock::new(|| {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
});

/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// An agent that runs; killed when this value goes, so that it does not outlive a test that fails.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for its end: the exit status.
    fn ends(&mut self) -> Option<i32> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn agent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_longshore-agent"))
}

/// Makes the state folder of a device that is enrolled at a server where nobody listens.
fn enrol(folder: &Path) {
    let state = State::open(folder).unwrap();
    let key = state.key().unwrap();
    let receipt_key = ReceiptKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap();
    let nobody = NOBODY.local_addr().unwrap();
    let identity = Identity {
        device: DeviceId::from_bytes([7; 16]),
        serial: "B4-10291".into(),
        model: "BC4".into(),
        server: ServerIdentity {
            id: receipt_key.server_id().into(),
            pins: vec![BASE64URL.encode([1; 32])],
            urls: vec![format!("https://{nobody}")],
            receipt_keys: receipt_key.jwks(),
        },
        token: None,
    };
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    assert!(tls::spki_sha256(certificate.der()).is_ok());
    state.keep_enrolment(&identity, &certificate.pem()).unwrap();
}

/// A file that nobody can take for one that is still being written.
fn recording_of_long_ago(path: &Path) {
    std::fs::write(path, b"abc").unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
}

fn offload(card: &Path, state: &Path) -> Command {
    let mut command = agent();
    command.arg("offload").arg(card).arg("--state").arg(state);
    command
}

fn assert_refused(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn a_device_that_is_not_enrolled_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(&mut offload(folder.path(), &folder.path().join("state")));
    assert_refused(&output, "longshore-agent enrol --url TEXT --state");
}

#[test]
fn a_folder_that_is_missing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    enrol(&folder.path().join("state"));
    let output = output(&mut offload(&folder.path().join("card"), &folder.path().join("state")));
    assert_refused(&output, "is the card in");
}

#[test]
fn a_second_agent_on_the_same_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    enrol(&folder.path().join("state"));
    let state = State::open(&folder.path().join("state")).unwrap();
    let output = output(&mut offload(folder.path(), state.folder()));
    assert_refused(&output, "another agent works with the state folder");
}

#[test]
fn what_is_no_enrolment_text_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut command = agent();
    command.args(["enrol", "--url", "https://192.0.2.7/", "--state"]).arg(&state);
    assert_refused(&output(&mut command), "an enrolment text begins with https://HOST:PORT/e#");
    assert!(!state.exists());
}

#[test]
fn an_empty_card_is_done_at_once() {
    let folder = tempfile::tempdir().unwrap();
    enrol(&folder.path().join("state"));
    let output = output(offload(folder.path(), &folder.path().join("state")).arg("--once"));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "found 0 (0 events): sent 0, already there 0, deleted 0, waiting not requested 0, failed 0\n");
}

#[test]
fn nobody_who_listens_is_no_reason_to_end() {
    let folder = tempfile::tempdir().unwrap();
    enrol(&folder.path().join("state"));
    let mut command = offload(folder.path(), &folder.path().join("state"));
    let mut agent = Running::start(command.arg("--once"));
    // As when `head` has read enough.
    drop((agent.0.stdout.take(), agent.0.stderr.take()));
    assert_eq!(agent.ends(), Some(0));
    // What it ends with has no listener either.
    let mut agent = Running::start(&mut offload(&folder.path().join("missing"), &folder.path().join("state")));
    drop((agent.0.stdout.take(), agent.0.stderr.take()));
    assert_eq!(agent.ends(), Some(1));
}

#[test]
fn both_signals_end_an_endless_run_cleanly_and_one_that_was_to_end_as_a_failure() {
    for (signal, once, code) in [(Signal::INT, false, 0), (Signal::TERM, false, 0), (Signal::TERM, true, 1)] {
        let folder = tempfile::tempdir().unwrap();
        enrol(&folder.path().join("state"));
        recording_of_long_ago(&folder.path().join("Event1.mp4"));
        let mut command = offload(folder.path(), &folder.path().join("state"));
        command.args(once.then_some("--once"));
        let mut agent = Running::start(&mut command);
        let mut line = String::new();
        let mut errors = BufReader::new(agent.0.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        assert!(line.contains("does not answer"), "{line}");
        kill_process(Pid::from_child(&agent.0), signal).unwrap();
        assert_eq!(agent.ends(), Some(code));
    }
}

/// Starts `run` with these settings beside those of the state folder.
fn run(folder: &Path, settings: &str) -> Command {
    let config = folder.join("agent.toml");
    std::fs::write(&config, format!("state = {:?}\n{settings}", folder.join("state"))).unwrap();
    let mut command = agent();
    command.arg("run").arg("--config").arg(config);
    command
}

#[test]
fn a_service_that_a_person_must_set_right_ends_with_the_status_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |settings: &str, why: &str| {
        let output = output(&mut run(folder.path(), settings));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(why), "{text}");
    };
    refused("folder = [\"/card\"]", "line 2: there is no key \"folder\"; did you mean \"folders\"?");
    refused("folders = [\"/card\"]", "longshore-agent enrol --url TEXT --state");
    std::fs::remove_file(folder.path().join("agent.toml")).unwrap();
    let mut missing = agent();
    missing.arg("run").arg("--config").arg(folder.path().join("agent.toml"));
    assert_eq!(output(&mut missing).status.code(), Some(78));
}

#[test]
fn a_service_waits_for_its_card_and_server_ends_at_once_when_told_and_stays_the_same_device() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    enrol(&state);
    let card = folder.path().join("card");
    let identity =
        || ["device.key", "identity.json", "device.crt"].map(|name| std::fs::read(state.join(name)).unwrap());
    let before = identity();
    let settings = format!("folders = [{card:?}]\nlook_every_s = 3600\nrest_s = 4");
    // First the card is missing, then the server.
    for expected in ["card: No such file", "does not answer"] {
        let mut agent = Running::start(&mut run(folder.path(), &settings));
        let mut errors = BufReader::new(agent.0.stderr.take().unwrap()).lines();
        assert!(errors.any(|line| line.unwrap().contains(expected)), "{expected}");
        let told = Instant::now();
        kill_process(Pid::from_child(&agent.0), Signal::TERM).unwrap();
        assert_eq!(agent.ends(), Some(0));
        // Far less than what it waits for, and more than a busy machine takes.
        assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
        std::fs::create_dir_all(card.join("EVENT")).unwrap();
        recording_of_long_ago(&card.join("EVENT/a.mp4"));
    }
    assert_eq!(identity(), before);
    assert!(card.join("EVENT/a.mp4").exists());
}
