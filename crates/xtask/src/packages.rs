//! Debian packages that tests need, unpacked in cargo's folder for what is built and not installed on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Unpacks the packages of these names into `target`, unless that was done. Where they cannot be had, it says what there is not; the
/// tests that need them say so too, and are skipped.
pub(crate) fn unpack(
    target: &Path,
    what: &str,
    names: impl FnOnce() -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<()> {
    let stamp = target.join("unpacked");
    if stamp.exists() {
        return Ok(());
    }
    // What was left half-way is no beginning.
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::create_dir_all(target)?;
    match names().and_then(|names| fetch(target, &names)) {
        Ok(()) => Ok(fs::write(stamp, "")?),
        Err(error) => {
            eprintln!("xtask: there is no {what}: {error:#}");
            Ok(())
        }
    }
}

fn fetch(target: &Path, names: &[String]) -> anyhow::Result<()> {
    crate::run(Command::new("apt-get").arg("download").args(names).current_dir(target))?;
    for entry in fs::read_dir(target)? {
        let package = entry?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            crate::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(target))?;
            fs::remove_file(&package)?;
        }
    }
    Ok(())
}
