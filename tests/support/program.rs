use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::camera::{Camera, Reply};
use super::process::longshore;
use super::world::World;

/// A program that calls the API with this token.
pub(crate) struct Program {
    pub(crate) camera: Camera,
    pub(crate) authorization: String,
}

impl Program {
    pub(crate) fn new(world: &World, token: &str) -> Self {
        // It shows a certificate that nobody knows, which is as good as none.
        Self { camera: Camera::new(world), authorization: format!("Authorization: Bearer {token}") }
    }

    /// An account of its own with this role.
    pub(crate) fn with_role(world: &World, role: &str) -> Self {
        world.cli_json(&["account", "add", role, "--role", role]);
        Self::new(world, &token(world, role))
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        self.camera.request(method, path, &[&self.authorization, "Content-Type: application/json"], body)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, body.to_string().as_bytes())
    }
}

/// A token of this account.
pub(crate) fn token(world: &World, account: &str) -> String {
    world.cli_json(&["account", "token", account, "--label", "test"])["token"].as_str().unwrap().to_owned()
}

/// A computer of its own: `longshore` with this folder as its home.
pub(crate) fn elsewhere(home: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command: Command = longshore();
    command.args(arguments).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    let mut running =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(home).spawn().unwrap();
    // It may refuse and end before it has read anything.
    let _may_have_ended = running.stdin.take().unwrap().write_all(input.as_bytes());
    running.wait_with_output().unwrap()
}
