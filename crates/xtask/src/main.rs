//! `cargo xtask test`: installs what the tests need, then runs every check and every test.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

/// Programs that the tests call, and the Debian packages that hold them.
const TOOLS: [(&str, &str); 3] = [("ffmpeg", "ffmpeg"), ("curl", "curl"), ("openssl", "openssl")];

const USAGE: &str = "usage: cargo xtask COMMAND

  test   install what the tests need (Debian packages), then check and test everything
  deny   check licences and sources of all dependencies (installs cargo-deny if need be)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test(),
        ["deny"] => deny(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> anyhow::Result<()> {
    install_tools()?;
    cargo(["fmt", "--all", "--check"])?;
    cargo(["clippy", "--workspace", "--all-targets", "--features", "failpoints", "--", "-D", "warnings"])?;
    // The whole workspace at once: so the agent's binary is there, beside the server's, when the black-box tests begin.
    cargo(["test", "--workspace", "--features", "failpoints"])
}

fn deny() -> anyhow::Result<()> {
    if !on_path("cargo-deny") {
        cargo(["install", "--locked", "cargo-deny"])?;
    }
    cargo(["deny", "check", "bans", "licenses", "sources"])
}

fn install_tools() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run(Command::new(env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo"))).args(arguments).current_dir(root))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("xtask: {command:?}");
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} failed: {status}") }
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
