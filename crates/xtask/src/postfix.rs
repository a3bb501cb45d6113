//! A mail server as agencies have one: Debian's postfix with its login. Installed, it would begin to take mail on this machine.

use std::path::Path;

use crate::packages;

/// The mail server, the program that makes its passwords, and what checks them.
const PACKAGES: [&str; 4] = ["postfix", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db"];
/// Where they are unpacked, in cargo's folder for what is built.
const TARGET: &str = "postfix";

/// Unpacks it.
pub(crate) fn install(built: &Path) -> anyhow::Result<()> {
    let names = || Ok(PACKAGES.map(str::to_owned).to_vec());
    packages::unpack(&built.join(TARGET), "postfix that could take mail", names)
}
