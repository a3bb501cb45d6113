//! Clients that others wrote, as `tests/foreign` names them: from npm, PyPI and crates.io, in the versions that are pinned there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where they are described, and the scripts that drive them.
const SOURCE: &str = "tests/foreign";
/// Where they are installed, in cargo's folder for what is built.
const TARGET: &str = "foreign";
/// What decides whether they have to be installed anew.
const PINNED: [&str; 3] = ["package-lock.json", "requirements.txt", CRATES];
/// Programs from crates.io, one to a line, as `cargo install` takes them.
const CRATES: &str = "crates.txt";

/// Whether Python is there with what Debian has in a package of its own.
pub(crate) fn python_makes_environments() -> bool {
    let asked = Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Installs them, unless that was done for these versions.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    let (source, target) = (root.join(SOURCE), crate::built().join(TARGET));
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        // What Python leaves beside a script that somebody tried is a folder.
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), target.join(entry.file_name()))?;
        }
    }
    let pinned = PINNED.map(|name| fs::read_to_string(source.join(name))).into_iter().collect::<Result<String, _>>()?;
    let stamp = target.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pinned) {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]), &target)?;
    run(Command::new("python3").args(["-m", "venv", "--clear", "venv"]), &target)?;
    let pip = target.join("venv/bin/pip");
    run(Command::new(pip).args(["install", "--quiet", "--requirement", "requirements.txt"]), &target)?;
    for program in fs::read_to_string(source.join(CRATES))?.lines() {
        // Unoptimised, since it is built to be run a few times; with the versions that its authors tried it with.
        let mut cargo = crate::cargo_command();
        cargo.args(["install", "--quiet", "--locked", "--debug", program, "--root", "."]);
        run(cargo.env("CARGO_TARGET_DIR", "build").env_remove("RUSTFLAGS"), &target)?;
    }
    // Hundreds of megabytes that only building needed.
    match fs::remove_dir_all(target.join("build")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(fs::write(stamp, pinned)?)
}

fn run(command: &mut Command, folder: &Path) -> anyhow::Result<()> {
    crate::run(command.current_dir(folder))
}
