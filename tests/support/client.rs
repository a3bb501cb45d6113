use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::camera::{Camera, Reply};
use super::world::World;

const TUS: &str = "Tus-Resumable: 1.0.0";
const OCTETS: &str = "Content-Type: application/offset+octet-stream";

/// A client that uploads with a token and offers nothing.
pub(crate) struct Client {
    pub(crate) camera: Camera,
    pub(crate) authorization: String,
}

impl Client {
    /// With this token.
    pub(crate) fn new(world: &World, token: &str) -> Self {
        // It shows a certificate that nobody knows, which is as good as none.
        Self { camera: Camera::new(world), authorization: format!("Authorization: Bearer {token}") }
    }

    /// With a token of its own, for a device that has no key.
    pub(crate) fn of(world: &World, serial: &str) -> Self {
        Self::new(world, issue(world, serial)["token"].as_str().unwrap())
    }

    pub(crate) fn request(&self, method: &str, url: &str, headers: &[&str], body: &[u8]) -> Reply {
        let path = url.strip_prefix("https://longshore").unwrap_or(url);
        self.camera.request(method, path, &[&[TUS, &self.authorization], headers].concat(), body)
    }

    /// The same without `Tus-Resumable`.
    pub(crate) fn request_without_tus(&self, method: &str, url: &str, headers: &[&str], body: &[u8]) -> Reply {
        let path = url.strip_prefix("https://longshore").unwrap_or(url);
        self.camera.request(method, path, &[&[self.authorization.as_str()], headers].concat(), body)
    }

    pub(crate) fn create(&self, length: usize, metadata: &[(&str, &str)]) -> Reply {
        self.create_with(&[&format!("Upload-Length: {length}")], metadata)
    }

    /// The same with these headers, of which one should tell of the length.
    pub(crate) fn create_with(&self, headers: &[&str], metadata: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> =
            metadata.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        let metadata = format!("Upload-Metadata: {}", pairs.join(","));
        self.request("POST", "/device/v1/uploads", &[headers, &[&metadata]].concat(), b"")
    }

    pub(crate) fn patch(&self, upload: &str, offset: u64, body: &[u8]) -> Reply {
        self.patch_with(upload, offset, &[], body)
    }

    pub(crate) fn patch_with(&self, upload: &str, offset: u64, headers: &[&str], body: &[u8]) -> Reply {
        let offset = format!("Upload-Offset: {offset}");
        self.request("PATCH", upload, &[&[OCTETS, offset.as_str()], headers].concat(), body)
    }

    pub(crate) fn head(&self, upload: &str) -> Reply {
        self.request("HEAD", upload, &[], b"")
    }

    pub(crate) fn upload(&self, content: &[u8], metadata: &[(&str, &str)]) -> Reply {
        let created = self.create(content.len(), metadata);
        assert_eq!(created.status, 201, "{created:?}");
        self.patch(&created.headers["location"], 0, content)
    }
}

/// Makes a token for a device that is known by it, and has no key.
pub(crate) fn issue(world: &World, serial: &str) -> Value {
    world.cli_json(&["device", "token", serial, "--model", "Uppy", "--assignee", "Front desk"])
}
