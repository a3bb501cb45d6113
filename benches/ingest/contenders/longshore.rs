//! The server that this is all about: the real program, with a token for each bay.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::super::bay::{Dialect, Target};
use super::super::client::Client;
use super::super::cores::Cores;
use super::super::process::{Process, program};
use super::launch;

fn longshore() -> Command {
    program(env!("CARGO_BIN_EXE_longshore"))
}

pub(super) fn start(folder: &Path, cores: Cores, bays: usize, reads_back: bool) -> anyhow::Result<(Process, Target)> {
    let (config, data) = (folder.join("longshore.toml"), folder.join("data"));
    std::fs::write(&config, "")?;
    let mut command = longshore();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config).arg("--data").arg(&data);
    // The machine's disk may be nearly full.
    command.env("LONGSHORE__STORAGE__FLOOR", "0").env("LONGSHORE__STORAGE__READ_BACK", reads_back.to_string());
    let mut process = launch(&mut command, folder, cores)?;
    let lines = BufReader::new(process.stdout()?).lines();
    let address = lines.map_while(Result::ok).find(|line| line.contains("Address")).context("it says no address")?;
    let address = address.rsplit("https://").next().context("no address")?.trim().parse()?;
    let tokens = (0..bays).map(|bay| token(&data, bay)).collect::<anyhow::Result<_>>()?;
    let dialect = Dialect::Tus { create: "/device/v1/uploads", tokens };
    Ok((process, Target { client: Client::new(address)?, dialect }))
}

/// Makes a device, since the connections and uploads of each are bounded; its token for uploads.
fn token(data: &Path, bay: usize) -> anyhow::Result<String> {
    let (serial, assignee) = (format!("BAY-{bay}"), format!("Officer {bay}"));
    let mut command = longshore();
    command.args(["device", "token", &serial, "--model", "Bench", "--assignee", &assignee, "--json", "--data"]);
    let output = command.arg(data).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let issued: Value = serde_json::from_slice(&output.stdout)?;
    Ok(issued["token"].as_str().context("no token")?.to_owned())
}
