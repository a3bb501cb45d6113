//! What the guest of the power-cut campaign is made of, from Debian.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::packages;

/// A package that stands for the newest kernel of Debian for virtual machines; the kernel is what it depends on.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";
/// Where they are unpacked, in cargo's folder for what is built.
const TARGET: &str = "guest";

/// Unpacks them.
pub(crate) fn install(built: &Path) -> anyhow::Result<()> {
    let names = || Ok(vec![kernel()?, BUSYBOX.to_owned()]);
    packages::unpack(&built.join(TARGET), "guest whose power could be cut", names)
}

fn kernel() -> anyhow::Result<String> {
    let asked = Command::new("apt-cache").args(["depends", KERNEL]).output().context("there is no apt-cache")?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let Some(kernel) = said.lines().find_map(|line| line.trim().strip_prefix("Depends: ")) else {
        bail!("apt knows no package {KERNEL}");
    };
    Ok(kernel.to_owned())
}
