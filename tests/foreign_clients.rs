//! Clients that others wrote, unmodified: what they upload arrives bit for bit, and is a recording with a receipt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_model::Sha256;

use crate::support::{Authority, World, bytes};

const MIB: usize = 1024 * 1024;

/// Where `cargo xtask test` installs them.
fn installed(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_longshore")).ancestors().nth(2).unwrap();
    let path = target.join("foreign").join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` installs it", path.display());
    path
}

/// A server whose certificate these clients can check, and a token for them.
struct Dock {
    world: World,
    certificates: tempfile::TempDir,
    token: String,
}

impl Dock {
    fn new() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        Authority::new().issue(certificates.path(), 1);
        let world = World::configured(&Authority::config(certificates.path()));
        let issued = world.cli_json(&["device", "token", "W-1", "--model", "Uploader", "--assignee", "Front desk"]);
        let token = issued["token"].as_str().unwrap().to_owned();
        Self { world, certificates, token }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/device/v1/uploads", self.world.address.port())
    }

    fn file(&self, way: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let content = bytes(Sha256::of(way.as_bytes()).as_bytes()[0].into(), size);
        let file = self.world.path().join(format!("{way}.mp4"));
        fs::write(&file, &content).unwrap();
        (file, content)
    }

    /// A client that can check the server's certificate.
    fn client(&self, program: &Path) -> Command {
        let ca = self.certificates.path().join("ca.pem");
        let mut client = Command::new(program);
        for variable in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
            client.env(variable, &ca);
        }
        client
    }

    /// Lets a client upload a file in the way that it knows by this name.
    fn run(&self, program: &Path, script: &str, way: &str) -> Vec<u8> {
        // What is to be cut must not be through before.
        let size = if way.ends_with("resumed") || way == "terminated" { 48 * MIB } else { 7 * MIB + 123 };
        let (file, content) = self.file(way, size);
        let mut client = self.client(program);
        output(client.arg(installed(script)).args([&self.url(), &self.token]).arg(&file).arg(way));
        content
    }

    /// The same, and what came of it.
    fn takes(&self, program: &Path, script: &str, way: &str) {
        let sha256 = Sha256::of(&self.run(program, script, way));
        self.has(script, way, sha256);
    }

    fn has(&self, script: &str, way: &str, sha256: Sha256) {
        let recordings = self.world.recordings();
        let row = recordings.iter().find(|row| row["sha256"] == sha256.to_string());
        let row = row.unwrap_or_else(|| panic!("{script} {way} is not in {recordings:?}"));
        assert_eq!(row["original_name"], format!("{way}.mp4"));
        let path = row["path"].as_str().unwrap();
        assert!(path.starts_with("Front desk/2026-11-20/2026-11-20 14-03-22 event"), "{path}");
        assert_eq!(self.world.stored()[path], sha256, "{script} {way}");
        assert!(self.world.incoming().is_empty(), "{script} {way} left an upload behind");
    }
}

/// What it printed, if it is content.
fn output(client: &mut Command) -> String {
    let output = client.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{client:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn tus_js_client_uploads() {
    let dock = Dock::new();
    let ways = ["whole", "chunked", "with-creation", "with-creation-chunked", "overridden", "resumed", "deferred"];
    for way in ways.into_iter().chain(["parallel", "parallel-chunked"]) {
        dock.takes(Path::new("node"), "tus-js-client.mjs", way);
    }
}

#[test]
fn tus_js_client_uploads_in_the_dialect_of_the_ietf() {
    let dock = Dock::new();
    for way in ["ietf", "ietf-chunked", "ietf-with-creation", "ietf-resumed"] {
        dock.takes(Path::new("node"), "tus-js-client.mjs", way);
    }
}

#[test]
fn the_coming_tus_js_client_uploads() {
    let dock = Dock::new();
    for way in ["whole", "chunked", "with-creation-chunked", "resumed", "deferred", "parallel", "ietf", "ietf-resumed"]
    {
        dock.takes(Path::new("node"), "tus-js-client-5.mjs", way);
    }
}

#[test]
fn uppy_uploads() {
    let dock = Dock::new();
    for way in ["whole", "chunked", "parallel"] {
        dock.takes(Path::new("node"), "uppy.mjs", way);
    }
}

#[test]
fn tus_js_client_gives_an_upload_up() {
    let dock = Dock::new();
    dock.run(Path::new("node"), "tus-js-client.mjs", "terminated");
    assert!(dock.world.incoming().is_empty() && dock.world.recordings().is_empty());
}

#[test]
fn tuspy_uploads() {
    let dock = Dock::new();
    for way in ["whole", "chunked", "checksums", "resumed"] {
        dock.takes(&installed("venv/bin/python"), "tuspy_upload.py", way);
    }
}

#[test]
fn aiotus_uploads() {
    let dock = Dock::new();
    for way in ["whole", "chunked"] {
        dock.takes(&installed("venv/bin/python"), "aiotus_upload.py", way);
    }
}

#[test]
fn tus_cli_uploads() {
    let dock = Dock::new();
    let tus = |arguments: &[&str]| {
        let mut client = dock.client(&installed("bin/tus"));
        client.env("TUS_ENDPOINT", dock.url()).env("TUS_BEARER_TOKEN", &dock.token);
        output(client.args(arguments)).trim().to_owned()
    };
    let start = ["--metadata", "start=2026-11-20T14:03:22+01:00"];
    for (way, options) in [("whole", &[][..]), ("chunked", &["--chunk-size", "1000003"])] {
        let (file, content) = dock.file(way, 7 * MIB + 123);
        let name = format!("filename={way}.mp4");
        let upload = ["upload", file.to_str().unwrap(), "--metadata", &name];
        tus(&[&upload[..], &start, options].concat());
        dock.has("tus-cli", way, Sha256::of(&content));
    }
    // Made first, asked for, filled by another run of the program.
    let (file, content) = dock.file("created", 3 * MIB);
    let file = file.to_str().unwrap();
    let create = ["create", file, "--metadata", "filename=created.mp4"];
    let url = tus(&[&create[..], &start].concat());
    let asked: serde_json::Value = serde_json::from_str(&tus(&["info", "--output", "json", &url])).unwrap();
    assert_eq!((&asked["offset"], &asked["length"]), (&0.into(), &content.len().into()));
    assert_eq!(asked["metadata"]["filename"], "created.mp4");
    tus(&["upload", file, &url]);
    dock.has("tus-cli", "created", Sha256::of(&content));
    let given_up = tus(&["create", "--length", "5MiB"]);
    tus(&["terminate", &given_up]);
    assert!(dock.world.incoming().is_empty());
    assert_eq!(dock.world.recordings().len(), 3);
}

#[test]
fn curl_uploads() {
    let dock = Dock::new();
    let content = bytes(1, 3 * MIB);
    let file = dock.world.path().join("curl.mp4");
    fs::write(&file, &content).unwrap();
    let curl = |arguments: &[&str]| {
        let ca = dock.certificates.path().join("ca.pem");
        let authorization = format!("Authorization: Bearer {}", dock.token);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-D", "-", "-o", "/dev/null", "--cacert"]).arg(ca);
        curl.args(["-H", &authorization]).args(arguments);
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().to_ascii_lowercase()
    };
    let (length, at) = (format!("Upload-Length: {}", content.len()), "Upload-Offset: 0");
    let tus = "Tus-Resumable: 1.0.0";
    let created = curl(&["-X", "POST", "-H", tus, "-H", &length, &dock.url()]);
    let location = created.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let kind = "Content-Type: application/offset+octet-stream";
    let answer = curl(&[
        "-X",
        "PATCH",
        "-H",
        tus,
        "-H",
        kind,
        "-H",
        at,
        "--data-binary",
        &format!("@{}", file.display()),
        &location,
    ]);
    assert!(answer.contains("longshore-receipt: "), "{answer}");
    assert_eq!(dock.world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
    // In the dialect of the IETF one request does, and a file's name goes with it.
    let other = bytes(2, 2 * MIB);
    fs::write(&file, &other).unwrap();
    let name = "Content-Disposition: inline; filename=\"curl.mp4\"";
    let body = format!("@{}", file.display());
    let answer = curl(&["-H", "Upload-Complete: ?1", "-H", name, "--data-binary", &body, &dock.url()]);
    assert!(answer.contains("upload-complete: ?1") && answer.contains("longshore-receipt: "), "{answer}");
    assert!(dock.world.stored().into_values().any(|sha256| sha256 == Sha256::of(&other)));
}
