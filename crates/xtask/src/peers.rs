//! Servers that the ingest benchmark measures beside ours: nginx from Debian, and from npm what `benches/ingest/peers` names.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// Where they are described, with the script that starts the one from npm.
const SOURCE: &str = "benches/ingest/peers";
/// Where they are installed, in cargo's folder for what is built.
const TARGET: &str = "peers";
/// What decides whether npm has to install anew.
const PINNED: &str = "package-lock.json";
const NGINX: &str = "nginx/usr/sbin/nginx";

/// Installs what is not there yet.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    let (source, target) = (root.join(SOURCE), crate::built().join(TARGET));
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    let (pinned, stamp) = (fs::read_to_string(source.join(PINNED))?, target.join("installed"));
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == pinned) {
        let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        crate::run(Command::new("npm").args(npm).current_dir(&target))?;
        fs::write(stamp, pinned)?;
    }
    if target.join(NGINX).exists() { Ok(()) } else { unpack_nginx(&target) }
}

/// Only unpacks the package: installed, Debian's nginx would begin to serve on this machine.
fn unpack_nginx(target: &Path) -> anyhow::Result<()> {
    let packages = target.join("packages");
    fs::create_dir_all(&packages)?;
    let by_hand = "nginx cannot be fetched; is this Debian, and are its lists of packages new (apt-get update)?";
    crate::run(Command::new("apt-get").args(["download", "nginx"]).current_dir(&packages)).context(by_hand)?;
    for package in fs::read_dir(&packages)? {
        crate::run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(target.join("nginx")))?;
    }
    Ok(())
}
