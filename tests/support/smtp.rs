//! A mail server of its own for a test: aiosmtpd, which `cargo xtask test` installs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::authority::Authority;
use super::eventually;
use super::process::Process;

/// A running mail server, or one that is down.
pub(crate) struct SmtpServer {
    folder: TempDir,
    process: Option<Process>,
    options: Vec<String>,
    /// The lines of `[mail]` but for host, port and sender.
    settings: String,
    port: u16,
}

/// A message that it took.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// Whom it came from by the envelope.
    pub(crate) from: String,
    /// Whom it goes to by the envelope.
    pub(crate) to: String,
    /// Whether it came over TLS.
    pub(crate) tls: bool,
    /// By their names in lower case, unfolded, and not decoded.
    pub(crate) headers: BTreeMap<String, String>,
    /// All of it, as it came.
    pub(crate) whole: String,
}

impl SmtpServer {
    /// Without TLS and login.
    pub(crate) fn start() -> Self {
        Self::with(&[], "tls = 'none'\n")
    }

    /// With STARTTLS, which it insists on, and this login, by the mechanism PLAIN or LOGIN.
    pub(crate) fn with_starttls(login: &str, mechanism: &str) -> Self {
        Self::with(&["--certificate", "--login", login, "--mechanism", mechanism], "tls = 'starttls'\n")
    }

    /// With TLS from the beginning.
    pub(crate) fn with_tls() -> Self {
        Self::with(&["--certificate", "--implicit"], "tls = 'implicit'\n")
    }

    fn with(options: &[&str], settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut arguments, mut settings) = (Vec::new(), settings.to_owned());
        for option in options {
            arguments.push((*option).to_owned());
            if *option == "--certificate" {
                Authority::new().issue(folder.path(), 1);
                arguments.push(folder.path().to_str().unwrap().to_owned());
                settings += &format!("ca = '{}/ca.pem'\n", folder.path().display());
            }
        }
        let mut server = Self { folder, process: None, options: arguments, settings, port: 0 };
        server.come_up();
        server
    }

    /// Starts it again, on the port that it had.
    pub(crate) fn come_up(&mut self) {
        let mut command = Command::new(installed("venv/bin/python"));
        command.arg(installed("smtp_server.py")).arg(self.folder.path()).args(&self.options);
        command.args(["--port", &self.port.to_string()]).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        self.port = line.trim().parse().unwrap_or_else(|_| panic!("the mail server did not start: {line:?}"));
        self.process = Some(process);
    }

    /// It answers no more; what it took stays taken.
    pub(crate) fn go_down(&mut self) {
        self.process = None;
    }

    /// What it refuses: `{"rcpt": {"anna@example.org": ["450 4.2.0 later"]}}` refuses that recipient once, a text instead of a
    /// list always. Likewise `mail` by the sender and `data` by the recipient.
    pub(crate) fn refuse(&self, rules: &Value) {
        let path = self.folder.path().join("rules.json");
        fs::write(path.with_extension("new"), rules.to_string()).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    /// `[mail]` of a server that uses it.
    pub(crate) fn config(&self) -> String {
        let Self { port, settings, .. } = self;
        let from = "Longshore <longshore@example.org>";
        format!("[mail]\nhost = 'localhost'\nport = {port}\nfrom = '{from}'\n{settings}")
    }

    /// What it took, in the order in which it came.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "eml")).collect();
        paths.sort();
        paths.iter().map(|path| Mail::read(path)).collect()
    }

    /// Waits until it has taken so many.
    pub(crate) fn has_taken(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} messages arrived"), || self.mails().len() >= count);
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Mail {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (envelope, whole) = text.split_once('\n').unwrap();
        let envelope: Value = serde_json::from_str(envelope).unwrap();
        let to: Vec<String> = serde_json::from_value(envelope["to"].clone()).unwrap();
        let [to] = &to[..] else { panic!("one message, one recipient: {to:?}") };
        let head = whole.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut headers = BTreeMap::new();
        for line in head.lines() {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no header"));
            let twice = headers.insert(name.to_lowercase(), value.trim().to_owned());
            assert_eq!(twice, None, "{name} is there twice");
        }
        Self {
            from: envelope["from"].as_str().unwrap().to_owned(),
            to: to.clone(),
            tls: envelope["tls"].as_bool().unwrap(),
            headers,
            whole: whole.to_owned(),
        }
    }

    /// The header with this name.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(&name.to_lowercase()).map_or("", String::as_str)
    }

    /// Its parts as they are read, without their encoding.
    pub(crate) fn text(&self) -> String {
        let mut python = Command::new(installed("venv/bin/python"));
        let script = "import email, email.policy, sys\n\
            mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
            print(mail['Subject'])\n\
            [print(part.get_content()) for part in mail.walk() if not part.is_multipart()]\n";
        let mut child =
            python.args(["-X", "utf8", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), self.whole.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", self.whole);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Where `cargo xtask test` installs it.
pub(crate) fn installed(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_longshore")).ancestors().nth(2).unwrap();
    let path = target.join("foreign").join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` installs it", path.display());
    path
}
