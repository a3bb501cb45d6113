//! A mail server as agencies have one: Debian's postfix with its login, unpacked and not installed, since then it would begin to
//! take mail on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The mail server, the program that makes its passwords, and what checks them.
const PACKAGES: [&str; 4] = ["postfix", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db"];
/// Where they are unpacked, in cargo's folder for what is built.
const TARGET: &str = "postfix";

/// Unpacks it, unless that was done. Where it cannot be had, the test that needs it says so, and is skipped.
pub(crate) fn install(built: &Path) -> anyhow::Result<()> {
    let target = built.join(TARGET);
    let stamp = target.join("unpacked");
    if stamp.exists() {
        return Ok(());
    }
    fs::create_dir_all(&target)?;
    match unpack(&target) {
        Ok(()) => Ok(fs::write(stamp, "")?),
        Err(error) => {
            eprintln!("xtask: there is no postfix that could take mail: {error:#}");
            Ok(())
        }
    }
}

fn unpack(target: &Path) -> anyhow::Result<()> {
    crate::run(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(target))?;
    for entry in fs::read_dir(target)? {
        let package = entry?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            crate::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(target))?;
            fs::remove_file(&package)?;
        }
    }
    Ok(())
}
