//! Asking for footage, and what a device is told of it.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::camera::{Camera, Reply, rid};
use super::world::World;

/// Where a device hears what it is to do.
pub(crate) const DESIRED: &str = "/device/v1/desired";

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub(crate) fn minutes_ago(n: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(n)
}

/// Asks a device for what it recorded between these, as the command line is asked for it.
pub(crate) fn ask(world: &World, serial: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Value {
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    world.cli_json(&["request", "add", "--device", serial, "--from", &from, "--to", &to])
}

/// How the request is.
pub(crate) fn show(world: &World, request: &Value) -> Value {
    world.cli_json(&["request", "show", request["id"].as_str().unwrap()])
}

/// How the request stands with its first device.
pub(crate) fn state(world: &World, request: &Value) -> String {
    show(world, request)["targets"][0]["state"].as_str().unwrap().to_owned()
}

pub(crate) fn why(world: &World, request: &Value) -> String {
    show(world, request)["targets"][0]["why"].as_str().unwrap().to_owned()
}

pub(crate) fn desired(camera: &Camera, headers: &[&str]) -> Reply {
    camera.request("GET", DESIRED, headers, b"")
}

pub(crate) fn report(camera: &Camera, body: &Value) -> Reply {
    let kind = "Content-Type: application/json";
    camera.request("PUT", "/device/v1/reported", &[kind], body.to_string().as_bytes())
}

/// A recording that the camera made all the time, by its own clock.
pub(crate) fn continuous(n: u32, content: &[u8], start: DateTime<Utc>, end: DateTime<Utc>) -> Value {
    json!({
        "rid": rid(n),
        "kind": "continuous",
        "start": start.to_rfc3339(),
        "end": end.to_rfc3339(),
        "size": content.len(),
        "sha256": longshore_model::Sha256::of(content).to_string(),
        "filename": format!("NORMAL/{n}.mp4"),
    })
}
