//! Cards that are put in and pulled out, for tests: real mounts, which only root may make.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_agent::backoff::Pace;
use longshore_agent::offload::{Offload, OffloadError, Options, Summary};
use longshore_agent::watch::Watch;

use crate::camera::{Camera, clock, eventually, pace};

/// A card: a file system of its own, in a drawer while it is not in.
pub(crate) struct Card {
    pub(crate) drawer: PathBuf,
    pub(crate) place: PathBuf,
}

/// Whether this user may mount; if not, says that a test is skipped.
pub(crate) fn may_mount(camera: &Camera) -> bool {
    let probe = camera.folder.path().join("probe");
    fs::create_dir(&probe).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "probe"]).arg(&probe).output();
    let may = mounted.is_ok_and(|output| output.status.success());
    match may {
        true => run("umount", &[probe.to_str().unwrap()]),
        false => skip("mounting needs root"),
    }
    may
}

/// Set where nothing that a test needs may be missing: `cargo xtask test` does so as root.
const NO_SKIP: &str = "LONGSHORE_TEST_NO_SKIP";

/// Says why a test is skipped; where none may be, it fails.
pub(crate) fn skip(why: &str) {
    assert!(env::var_os(NO_SKIP).is_none(), "{NO_SKIP} is set, and the test cannot run: {why}");
    eprintln!("skipped: {why}");
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Card {
    pub(crate) fn new(camera: &Camera, name: &str) -> Self {
        let card = Self {
            drawer: camera.folder.path().join("drawer").join(name),
            place: camera.folder.path().join("media").join(name),
        };
        fs::create_dir_all(&card.drawer).unwrap();
        fs::create_dir_all(&card.place).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=64m", name, text(&card.drawer)]);
        run("mount", &["--make-private", text(&card.drawer)]);
        fs::create_dir(card.drawer.join("EVENT")).unwrap();
        card
    }

    pub(crate) fn put(&self, name: &str, bytes: usize) -> Vec<u8> {
        let content: Vec<u8> = (0..=250_u8).cycle().skip(name.len()).take(bytes).collect();
        fs::write(self.drawer.join(name), &content).unwrap();
        content
    }

    pub(crate) fn put_in(&self) {
        run("mount", &["--bind", text(&self.drawer), text(&self.place)]);
    }

    /// Puts in a folder of it alone. Two of them look like two cards that are put into one reader after each other: same
    /// place, same number of the device.
    pub(crate) fn put_in_part(&self, part: &str) {
        run("mount", &["--bind", text(&self.drawer.join(part)), text(&self.place)]);
    }

    /// As when the cable is pulled: nobody is asked.
    pub(crate) fn pull_out(&self) {
        run("umount", &["-l", text(&self.place)]);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // One may have been put over another.
        while Command::new("umount")
            .args(["-l", text(&self.place)])
            .output()
            .is_ok_and(|output| output.status.success())
        {}
        let _ = Command::new("umount").args(["-l", text(&self.drawer)]).output();
    }
}

/// An agent that watches for mounts below `media`, and never looks again without being told that something was mounted.
pub(crate) fn watching(camera: &Camera) -> Offload {
    looking_every(camera, Duration::from_secs(3_600))
}

/// An agent that watches for mounts below `media`, and looks at what is mounted every `rescan`.
pub(crate) fn looking_every(camera: &Camera, rescan: Duration) -> Offload {
    let pace = Pace { rescan, ..pace() };
    let pattern = camera.folder.path().join("media/*");
    let watch = Watch::new(vec![], &[text(&pattern).to_owned()]).unwrap();
    let options = Options { watch, once: false, keep: false, events: vec![] };
    Offload::new(options, camera.state(), clock(), pace, camera.heard.clone()).unwrap()
}

/// Lets the agent work until all steps are done.
pub(crate) async fn until(run: impl Future<Output = Result<Summary, OffloadError>>, mut steps: Vec<Step<'_>>) {
    let all = async {
        for (what, done, act) in &mut steps {
            eventually(what, &*done).await;
            act();
        }
    };
    tokio::select! {
        result = run => panic!("the run ended: {result:?}"),
        () = all => {}
    }
}

/// What is waited for, how it is told, and what is done then.
pub(crate) type Step<'a> = (&'a str, Box<dyn Fn() -> bool + 'a>, Box<dyn FnMut() + 'a>);
