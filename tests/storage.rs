//! Storage that is not a local disk: a share that refuses half of it, and one that goes away and comes back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use longshore_model::Sha256;
use rustix::process::Signal;

use crate::support::{
    Process, Share, World, bytes, checksum, eventually, files_below, longshore, offload, send_signal, skip,
};

const MIB: usize = 1024 * 1024;
/// Large enough that a kill, or an unmount, finds it in the middle.
const LARGE: usize = 96 * MIB;

/// A card with a large recording between small ones; their checksums.
fn make_card(card: &Path) -> BTreeSet<Sha256> {
    fs::create_dir_all(card.join("EVENT")).unwrap();
    let sizes = [100_000, 4096, LARGE, 1, 3 * MIB + 17];
    for (n, size) in sizes.into_iter().enumerate() {
        fs::write(card.join(format!("EVENT/{n}.ts")), bytes(n as u64, size)).unwrap();
    }
    files_below(card).iter().map(|path| checksum(path)).collect()
}

fn large_incoming(world: &World) -> u64 {
    let sizes = world.incoming().into_iter().filter_map(|folder| folder.join("data").metadata().ok());
    sizes.map(|data| data.len()).max().unwrap_or(0)
}

/// Unloads a card onto the share, killing the server in the middle of it.
fn a_card_comes_home(share: &Share, rename: &str) {
    let mut world = World::on(&share.point());
    let log = world.log();
    assert!(log.contains("storage: fuse,") && log.contains("O_DIRECT: no") && log.contains(rename), "{log}");
    let (card, state, log) = (world.path().join("card"), world.path().join("state"), world.path().join("agent.log"));
    let sent = make_card(&card);
    world.enrol_agent(&state, "USB-1", "Unit 12");
    let mut agent = offload(&card, &state, &log);
    eventually("the large recording is in the middle", || large_incoming(&world) > LARGE as u64 / 4);
    world.kill();
    world.start();
    assert!(agent.ends().success(), "{}", fs::read_to_string(&log).unwrap());
    assert_eq!(files_below(&card), Vec::<std::path::PathBuf>::new());
    assert_eq!(world.stored().into_values().collect::<BTreeSet<_>>(), sent);
    // Nothing else is left, seen from the other side of the share either.
    let below = files_below(&share.below());
    assert_eq!(below.len(), 2 * sent.len() + 1, "{below:?}");
    assert!(below.iter().all(|path| path.metadata().unwrap().len() > 0), "a placeholder is left: {below:?}");
}

#[test]
fn a_share_without_direct_writes_and_exclusive_renames_takes_a_card() {
    if let Some(share) = Share::with_links() {
        a_card_comes_home(&share, "rename: by link");
    }
}

#[test]
fn a_share_without_links_either_takes_a_card() {
    if let Some(share) = Share::without_links() {
        a_card_comes_home(&share, "rename: over a placeholder");
    }
}

/// Takes the mount away also when the test fails.
struct Unmounted(String);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let _not_mounted = Command::new("umount").args(["-lq", &self.0]).output();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_storage_that_is_unmounted_in_the_middle_goes_on_when_it_is_back() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root may mount");
    }
    let folder = tempfile::tempdir().unwrap();
    let (medium, point) = (folder.path().join("medium"), folder.path().join("point"));
    fs::create_dir(&medium).unwrap();
    fs::create_dir(&point).unwrap();
    let (medium, shown) = (medium.to_str().unwrap(), point.to_str().unwrap());
    let _unmounted = Unmounted(shown.to_owned());
    run("mount", &["--bind", medium, shown]);
    {
        let world = World::on(&point);
        let (card, state, log) =
            (world.path().join("card"), world.path().join("state"), world.path().join("agent.log"));
        let sent = make_card(&card);
        world.enrol_agent(&state, "USB-1", "Unit 12");
        let mut agent = offload(&card, &state, &log);
        eventually("the large recording is in the middle", || large_incoming(&world) > LARGE as u64 / 4);
        send_signal(agent.id(), Signal::STOP);
        run("umount", &["-l", shown]);
        eventually("the server has seen it", || world.log().contains("the storage is not there"));
        send_signal(agent.id(), Signal::CONT);
        // What was open ends on the file system where it began, and gets no name there.
        let away = || files_below(Path::new(medium)).into_iter().find(|path| path.ends_with("data"));
        eventually("the rest has arrived", || away().unwrap().metadata().unwrap().len() == LARGE as u64);
        eventually("the agent was told to come back", || fs::read_to_string(&log).unwrap().contains("not there"));
        assert_eq!(fs::read_dir(&point).unwrap().count(), 0, "the disk below the mount point was written");
        run("mount", &["--bind", medium, shown]);
        assert!(agent.ends().success(), "{}", fs::read_to_string(&log).unwrap());
        assert_eq!(world.stored().into_values().collect::<BTreeSet<_>>(), sent);
        assert!(world.incoming().is_empty() && world.log().contains("the storage was mounted anew"));
    }
    run("umount", &["-l", shown]);
    assert_eq!(fs::read_dir(&point).unwrap().count(), 0, "the disk below the mount point was written");
}

#[test]
fn a_second_server_is_kept_off_a_storage_that_is_in_use_and_takes_it_when_the_first_is_gone() {
    let share = tempfile::tempdir().unwrap();
    let mut first = World::on(share.path());
    let second = World::at_rest();
    let serve = || {
        let mut server = longshore();
        server.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(second.data());
        server.env("LONGSHORE__STORAGE__PATH", share.path()).env("LONGSHORE__STORAGE__FLOOR", "0");
        server.stdout(Stdio::piped()).stderr(Stdio::piped());
        server
    };
    let refused = serve().output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("another Longshore"), "{said}");
    first.kill();
    let mut server = Process::start(&mut serve());
    let mut lines = BufReader::new(server.stdout()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")), "a kill frees it");
}
