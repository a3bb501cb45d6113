//! `cargo xtask test`: installs what the tests need, then runs every check and every test. `cargo xtask campaign` runs
//! those that take long, `cargo xtask bench` measures.

mod clients;
mod guest;
mod packages;
mod peers;
mod postfix;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

/// Programs that the tests call, and the Debian packages that hold them.
const TOOLS: [(&str, &str); 10] = [
    ("ffmpeg", "ffmpeg"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strip", "binutils"),
    ("faketime", "faketime"),
];

/// Fault campaigns, and the test of each.
const CAMPAIGNS: [(&str, &str); 7] = [
    ("kill-server", "campaign::kill::a_server_that_is_killed_over_and_over_loses_nothing"),
    ("kill-agent", "campaign::kill::an_agent_that_is_killed_over_and_over_loses_nothing"),
    ("faults", "campaign::faults::whichever_system_call_fails_nothing_is_lost"),
    ("panics", "campaign::panics::the_other_bays_keep_their_rate_when_an_actor_panics"),
    ("full-disk", "campaign::full_disk::an_agent_comes_back_by_itself_when_the_storage_has_room_again"),
    ("power-cut", "campaign::power_cut::power_cuts_over_and_over_take_nothing_that_was_acknowledged"),
    ("power-cut-mutation", "campaign::power_cut::a_server_that_leaves_out_a_sync_is_caught"),
];

/// What `benches/ingest` measures.
const BENCHES: [&str; 7] = ["ingest", "paced", "isolation", "memory", "recorder", "takeover", "docking"];

const USAGE: &str = "usage: cargo xtask COMMAND

  test   install what the tests need (Debian packages), then check and test everything
  deny   check licences and sources of all dependencies (installs cargo-deny if need be)
  bench [NAME] [OPTIONS]
         build what is shipped and measure it (docs/PERFORMANCE.md): ingest, which is meant without a NAME, paced,
         isolation, memory, recorder, takeover or docking; `cargo xtask bench ingest --help` tells the options
  campaign NAME [--rounds N] [--seed N]
         run a long fault campaign (docs/TESTING.md), of this NAME:";

/// Tells the tests that none may be skipped: a campaign that looks at nothing is of no use.
const NO_SKIP: (&str, &str) = ("LONGSHORE_TEST_NO_SKIP", "1");

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test(),
        ["deny"] => deny(),
        ["bench", ref words @ ..] => match words {
            [name, options @ ..] if BENCHES.contains(name) => bench(name, options),
            [] => bench(BENCHES[0], &[]),
            [option, ..] if option.starts_with("--") => bench(BENCHES[0], words),
            _ => return usage(),
        },
        ["campaign", name, ref options @ ..] => match (campaign_test(name), campaign_options(options)) {
            (Some(test), Some(variables)) => campaign(test, &variables),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE} {}", CAMPAIGNS.map(|(name, _)| name).join(", "));
    ExitCode::from(2)
}

fn test() -> anyhow::Result<()> {
    install_tools()?;
    cargo(["fmt", "--all", "--check"])?;
    cargo(["clippy", "--workspace", "--all-targets", "--features", "failpoints", "--", "-D", "warnings"])?;
    clients::install(&root())?;
    guest::install(&built())?;
    postfix::install(&built())?;
    // The whole workspace at once: so the agent's binary is there, beside the server's, when the black-box tests begin.
    cargo(["test", "--workspace", "--features", "failpoints"])
}

fn deny() -> anyhow::Result<()> {
    if !on_path("cargo-deny") {
        cargo(["install", "--locked", "cargo-deny"])?;
    }
    cargo(["deny", "check", "bans", "licenses", "sources"])
}

fn bench(name: &str, options: &[&str]) -> anyhow::Result<()> {
    if name == BENCHES[0] {
        install_tools()?;
        peers::install(&root())?;
    }
    run(cargo_command().args(["bench", "--profile", "dist", "--bench", "ingest", "--", name]).args(options))
}

fn campaign_test(name: &str) -> Option<&'static str> {
    CAMPAIGNS.iter().find(|(known, _)| *known == name).map(|(_, test)| *test)
}

/// The variables by which the tests are told.
fn campaign_options(words: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let pairs = words.chunks(2).map(|pair| match *pair {
        ["--rounds", rounds] => rounds.parse::<u32>().ok().map(|n| ("LONGSHORE_CAMPAIGN_ROUNDS", n.to_string())),
        ["--seed", seed] => seed.parse::<u64>().ok().map(|n| ("LONGSHORE_CAMPAIGN_SEED", n.to_string())),
        _ => None,
    });
    pairs.collect()
}

fn campaign(test: &str, variables: &[(&str, String)]) -> anyhow::Result<()> {
    install_tools()?;
    guest::install(&built())?;
    // The test finds the agent's binary beside the server's.
    cargo(["build", "--workspace", "--bins", "--features", "failpoints"])?;
    let test_words = ["test", "--workspace", "--features", "failpoints", "--test", "longshore", "--"];
    let which = ["--ignored", "--exact", test];
    // Without a test of that name nothing would run, and nothing fail.
    let mut list = cargo_command();
    let listed = list.args(test_words).args(which).arg("--list").stderr(Stdio::inherit()).output();
    let listed = listed.with_context(|| format!("cannot run {list:?}"))?;
    if !String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == format!("{test}: test")) {
        bail!("there is no test {test}");
    }
    let mut command = cargo_command();
    command.args(test_words).args(which).arg("--nocapture").envs([NO_SKIP]);
    run(command.envs(variables.iter().map(|(name, value)| (name, value))))
}

fn install_tools() -> anyhow::Result<()> {
    let mut missing: Vec<&str> =
        TOOLS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if !clients::python_makes_environments() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("install them by hand: {}", missing.join(" "));
    if !on_path("apt-get") {
        bail!("programs that the tests need are missing, and there is no apt-get; {by_hand}");
    }
    let root = on_path("sudo").then_some("sudo");
    apt_get(root, &["update"]).with_context(|| by_hand.clone())?;
    apt_get(root, &[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat()).context(by_hand)
}

fn apt_get(root: Option<&str>, arguments: &[&str]) -> anyhow::Result<()> {
    let words: Vec<&str> = root.into_iter().chain(["apt-get"]).chain(arguments.iter().copied()).collect();
    run(Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn cargo<const N: usize>(arguments: [&str; N]) -> anyhow::Result<()> {
    run(cargo_command().args(arguments))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo builds.
fn built() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo")));
    command.current_dir(root());
    // What cargo told this program of itself; the build script of ring takes it for a reason to build again.
    for (name, _) in env::vars_os() {
        let told = name.as_encoded_bytes();
        if told.starts_with(b"CARGO_PKG_") || told.starts_with(b"CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("xtask: {command:?}");
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} failed: {status}") }
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
