use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Process, World, eventually, skip};

/// What happens to a system call of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies in it.
    Kill,
    /// It fails, and does nothing.
    Eio,
    /// It fails for want of room.
    Enospc,
    /// It writes nothing and says so. (That it says more than it wrote, no disk does that tells the truth; writes that
    /// really are short, `full_disk` makes.)
    WritesNothing,
    /// It takes five seconds.
    Delay,
    /// It takes longer than anybody waits; so do those after it.
    Hang,
}

/// One fault at one position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injection {
    pub(super) fault: Fault,
    /// The system call.
    pub(super) call: &'static str,
    /// At which of its calls; strace counts them in each thread for itself.
    pub(super) when: u32,
    /// Only on this file below the data folder.
    pub(super) only: Option<&'static str>,
}

/// strace, at work on a server.
pub(super) struct Strace {
    tracer: Option<Process>,
    log: PathBuf,
    data: PathBuf,
    injection: Injection,
}

impl Injection {
    fn expression(self) -> String {
        let what = match self.fault {
            Fault::Kill => "signal=SIGKILL",
            Fault::Eio => "error=EIO",
            Fault::Enospc => "error=ENOSPC",
            Fault::WritesNothing => "retval=0",
            Fault::Delay => "delay_enter=5000000",
            Fault::Hang => "delay_enter=120000000",
        };
        let and_after = if self.fault == Fault::Hang { "+" } else { "" };
        format!("inject={}:{what}:when={}{and_after}", self.call, self.when)
    }

    fn arguments(self, world: &World, log: &Path) -> Vec<String> {
        // -I 2: a signal ends strace also where it started the server itself.
        let mut words = vec![
            "-I".to_owned(),
            "2".to_owned(),
            "-f".to_owned(),
            "-y".to_owned(),
            "-o".to_owned(),
            log.to_str().unwrap().to_owned(),
        ];
        words.extend(["-e".to_owned(), format!("trace={}", self.call), "-e".to_owned(), self.expression()]);
        if let Some(only) = self.only {
            words.extend([
                "-P".to_owned(),
                world.data().canonicalize().unwrap().join(only).to_str().unwrap().to_owned(),
            ]);
        }
        words
    }
}

/// Whether this process may trace a server that it has started; says why not.
pub(super) fn may_trace() -> bool {
    // Yama (kernel documentation, admin-guide/LSM/Yama): with a scope of 1 and more only an ancestor may, or root.
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let may = rustix::process::geteuid().is_root() || matches!(scope.trim(), "" | "0");
    if !may {
        skip("strace may not attach: run as root, or set kernel.yama.ptrace_scope to 0");
    }
    may
}

impl Strace {
    /// Takes hold of all threads of a running server, and of those to come.
    pub(super) fn attach(world: &World, injection: Injection) -> Self {
        let log = world.path().join("strace.log");
        let said = File::create(world.path().join("strace.err")).unwrap();
        let mut command = Command::new("strace");
        command.args(injection.arguments(world, &log)).args(["-p", &world.pid().to_string()]);
        let tracer = Process::start(command.stdout(Stdio::null()).stderr(said));
        let mut strace = Self { tracer: Some(tracer), log, data: world.data(), injection };
        eventually("strace holds every thread of the server", || {
            let ended = strace.tracer.as_mut().unwrap().ended();
            let said = || fs::read_to_string(world.path().join("strace.err")).unwrap();
            assert!(ended.is_none(), "strace ended: {}", said());
            let threads = fs::read_dir(format!("/proc/{}/task", world.pid())).unwrap();
            threads.filter_map(|thread| tracer_of(&thread.ok()?.path())).all(|tracer| tracer != 0)
        });
        strace
    }

    /// Starts a server under strace; whether it came up.
    pub(super) fn start(world: &mut World, injection: Injection) -> (Self, bool) {
        let log = world.path().join("strace.log");
        // -D: the server is our child, and strace beside it.
        let words = [vec!["strace".to_owned(), "-D".to_owned()], injection.arguments(world, &log)].concat();
        let came_up = world.try_start(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (Self { tracer: None, log, data: world.data(), injection }, came_up)
    }

    /// Lets go of a server that lives; no more faults.
    pub(super) fn detach(&mut self, world: &World) {
        let tracer = tracer_of(Path::new(&format!("/proc/{}", world.pid()))).unwrap_or(0);
        if let Some(tracer) = Pid::from_raw(tracer) {
            let _gone = kill_process(tracer, Signal::TERM);
            eventually("strace has let go", || {
                tracer_of(Path::new(&format!("/proc/{}", world.pid()))).is_none_or(|tracer| tracer == 0)
            });
        }
        self.end();
    }

    /// strace ends with the server that it traces.
    pub(super) fn end(&mut self) {
        if let Some(mut tracer) = self.tracer.take() {
            // Of a call that it delays, strace does not let go by itself.
            let signal = if self.injection.fault == Fault::Hang { Signal::KILL } else { Signal::TERM };
            let pid = Pid::from_raw(i32::try_from(tracer.id()).unwrap()).unwrap();
            let _gone = kill_process(pid, signal);
            tracer.ends();
        }
    }

    /// What was hit: the call and its path below the data folder.
    pub(super) fn hits(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut hits = Vec::new();
        let mut begun = std::collections::HashMap::new();
        let mut last = None;
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if rest.starts_with(self.injection.call) {
                begun.insert(thread, rest);
                last = Some(rest);
            }
            if rest.ends_with("(INJECTED)") || rest.ends_with("(DELAYED)") {
                hits.extend(begun.get(thread).map(|call| self.object(call)));
            } else if rest.contains("killed by SIGKILL") && self.injection.fault == Fault::Kill {
                hits.extend(last.map(|call| self.object(call)));
                break;
            }
        }
        hits
    }

    /// Of `call(7</…/data/storage/.incoming/0123…/data>, …`: `.incoming/ID/data`.
    fn object(&self, call: &str) -> String {
        let data = self.data.canonicalize().unwrap();
        let path = call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("?", |(path, _)| path);
        let path = path.strip_prefix(data.to_str().unwrap()).unwrap_or(path).trim_start_matches('/');
        let at = call.split_once(">, \"").filter(|_| self.injection.call.contains("at"));
        let name =
            at.and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| format!("/{name}")).unwrap_or_default();
        let parts = format!("{}{name}", if path.is_empty() { "." } else { path });
        let is_id = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.split('/').map(|part| if is_id(part) { "ID" } else { part }).collect::<Vec<_>>().join("/")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

fn tracer_of(process: &Path) -> Option<i32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}
