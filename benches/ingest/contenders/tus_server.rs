//! `@tus/server` with its file store, the reference server of tus in JavaScript: it neither hashes nor calls fsync.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::super::bay::{Dialect, Target};
use super::super::cores::Cores;
use super::super::process::Process;
use super::certificate::Certificate;
use super::{free_port, installed, launch, up};

pub(super) async fn start(folder: &Path, cores: Cores) -> anyhow::Result<(Process, Target)> {
    let (script, address) = (installed("tus-server.mjs")?, free_port()?);
    let certificate = Certificate::write(folder)?;
    let mut command = Command::new("node");
    command.arg(script).arg(address.port().to_string()).arg(folder.join("received"));
    command.arg(&certificate.certificate).arg(&certificate.key).env("NODE_ENV", "production");
    let dialect = Dialect::Tus { create: "/files", tokens: Arc::default() };
    up(launch(&mut command, folder, cores)?, address, dialect).await
}
