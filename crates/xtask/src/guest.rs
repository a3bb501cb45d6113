//! What the guest of the power-cut campaign is made of, from Debian: unpacked, and not installed on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A package that stands for the newest kernel of Debian for virtual machines; the kernel is what it depends on.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";
/// Where they are unpacked, in cargo's folder for what is built.
const TARGET: &str = "guest";

/// Unpacks them, unless that was done. Where they cannot be had, the tests that need them say so, and are skipped.
pub(crate) fn install(built: &Path) -> anyhow::Result<()> {
    let target = built.join(TARGET);
    let stamp = target.join("unpacked");
    if stamp.exists() {
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    match unpack(&target) {
        Ok(()) => Ok(fs::write(stamp, "")?),
        Err(error) => {
            eprintln!("xtask: there is no guest whose power could be cut: {error:#}");
            Ok(())
        }
    }
}

fn unpack(target: &Path) -> anyhow::Result<()> {
    crate::run(Command::new("apt-get").args(["download", &kernel()?, BUSYBOX]).current_dir(target))?;
    for entry in fs::read_dir(target)? {
        let package = entry?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            crate::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(target))?;
            fs::remove_file(&package)?;
        }
    }
    Ok(())
}

fn kernel() -> anyhow::Result<String> {
    let asked = Command::new("apt-cache").args(["depends", KERNEL]).output().context("there is no apt-cache")?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let Some(kernel) = said.lines().find_map(|line| line.trim().strip_prefix("Depends: ")) else {
        bail!("apt knows no package {KERNEL}");
    };
    Ok(kernel.to_owned())
}
