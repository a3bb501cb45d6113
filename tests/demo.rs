//! `longshore demo`, as a newcomer runs it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{eventually, files_below};

/// A demo that runs, with a folder of its own for temporary files.
struct Demo {
    temporary: TempDir,
    process: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let elsewhere = temporary.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        // The settings of a server that has nothing to do with it.
        fs::write(elsewhere.join("longshore.toml"), "data = \"/nowhere\"\n[server]\nlisten = 1\n").unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .arg("demo")
            .args(arguments)
            .current_dir(&elsewhere)
            .env("TMPDIR", temporary.path())
            .env("LONGSHORE__STORAGE__PATH", "/nowhere")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { temporary, process, output, said: String::new() }
    }

    /// Reads its output up to a line that contains `words`.
    fn until(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "{words:?} was not said in:\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(words) {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end; returns its exit status.
    fn ended(&mut self) -> Option<i32> {
        self.output.read_to_string(&mut self.said).unwrap();
        self.process.wait().unwrap().code()
    }

    /// Processes that it started.
    fn parts(&self) -> Vec<PathBuf> {
        let parent = format!("--parent\0{}\0", self.process.id());
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let is_part = |path: &PathBuf| {
            // It may end meanwhile; one that nobody has waited for has no arguments any more.
            let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&parent)
        };
        processes.filter(is_part).collect()
    }

    /// What it has made among the temporary files.
    fn folder(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(self.temporary.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| !path.ends_with("elsewhere"))
    }

    /// Commands that it says to try.
    fn commands(&self) -> Vec<String> {
        let lines = self.said.lines().map(str::trim).filter(|line| line.starts_with(env!("CARGO_BIN_EXE_longshore")));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_waited = self.process.wait();
    }
}

/// Videos under their final names; `.incoming` changes while it is looked at.
fn videos(folder: &Path) -> Vec<PathBuf> {
    let Ok(persons) = fs::read_dir(folder.join("data/storage")) else { return Vec::new() };
    let persons =
        persons.map(|entry| entry.unwrap()).filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let files = persons.filter(|entry| entry.path().is_dir()).flat_map(|entry| files_below(&entry.path()));
    files.filter(|path| path.extension().is_some_and(|ending| ending == "mp4")).collect()
}

#[test]
fn everything_comes_home_and_nothing_is_left_behind() {
    let mut demo = Demo::start(&["--exit"]);
    demo.until("cameras enrolled");
    // The server and eight cameras, each a process.
    assert_eq!(demo.parts().len(), 9);
    assert_eq!(demo.ended(), Some(0), "{}", demo.said);
    for said in [
        "bay 3  loses its power",
        "bay 3  resumes at",
        "bay 5  is pulled out",
        "bay 5  resumes at",
        "event clock-unset.mp4",
    ] {
        assert!(demo.said.contains(said), "{said:?} was not said in:\n{}", demo.said);
    }
    let last = demo.said.lines().next_back().unwrap();
    assert_eq!(last, "38 recorded: 30 verified, 30 deleted on the cameras, 8 kept there, 0 lost");
    assert!(demo.said.lines().all(|line| line.chars().count() <= 100), "{}", demo.said);
    assert_eq!((demo.parts().len(), demo.folder()), (0, None));
}

#[test]
fn a_recording_that_is_altered_on_the_server_is_told_as_lost_and_what_it_says_to_try_works() {
    let mut demo = Demo::start(&[]);
    let folder = {
        demo.until("cameras enrolled");
        demo.folder().unwrap()
    };
    // The camera has deleted its own by the time of the reconciliation.
    eventually("a video is stored", || !videos(&folder).is_empty());
    let victim = fs::File::options().read(true).write(true).open(&videos(&folder)[0]).unwrap();
    let mut byte = [0];
    victim.read_exact_at(&mut byte, 100_000).unwrap();
    victim.write_all_at(&[!byte[0]], 100_000).unwrap();

    demo.until(", 1 lost");
    assert!(demo.said.contains("WRONG: ") && demo.said.contains("neither on the server nor on the camera"));
    demo.until("Ctrl-C ends");
    let commands = demo.commands();
    assert_eq!(commands.len(), 4, "{}", demo.said);
    for command in commands {
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        // It reads everything, and finds the one that was altered.
        let expected = i32::from(command.contains("verify store"));
        assert_eq!(output.status.code(), Some(expected), "{command}: {output:?}");
        assert!(!output.stdout.is_empty(), "{command}");
    }
    demo.signal(Signal::INT);
    assert_eq!(demo.ended(), Some(1));
    assert_eq!((demo.parts().len(), demo.folder()), (0, None));
}

#[test]
fn whenever_it_is_interrupted_it_takes_everything_with_it() {
    for (words, signal) in
        [("is up", Signal::INT), ("cameras enrolled", Signal::TERM), ("loses its power", Signal::HUP)]
    {
        let mut demo = Demo::start(&["--exit"]);
        demo.until(words);
        demo.signal(signal);
        assert_eq!(demo.ended(), Some(1), "{words}");
        assert_eq!((demo.parts().len(), demo.folder()), (0, None), "{words}");
    }
}

#[test]
fn killed_it_leaves_no_process() {
    let mut demo = Demo::start(&["--exit"]);
    demo.until("cameras enrolled");
    assert_eq!(demo.parts().len(), 9);
    demo.signal(Signal::KILL);
    eventually("all parts have ended", || demo.parts().is_empty());
}
