//! A certificate of the agency's own: for people and other programs, by name; devices go on seeing the key that they pin.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Authority, World, bytes, eventually, longshore, recording};

fn curl(world: &World, folder: &Path, host: &str) -> Output {
    let url = format!("https://{host}:{}/healthz", world.address.port());
    Command::new("curl").args(["-sS", "--fail", "--cacert"]).arg(folder.join("ca.pem")).arg(url).output().unwrap()
}

/// Serial number of what is shown to whom asks for this name, in hexadecimal digits.
fn serial(world: &World, name: &str) -> String {
    let script = format!(
        "openssl s_client -connect {} -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -serial",
        world.address
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().trim_start_matches("serial=").to_owned()
}

#[test]
fn it_is_shown_to_whom_asks_for_its_name_and_devices_see_the_key_that_they_pin() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(folder.path(), 0x4711);
    let world = World::configured(&Authority::config(folder.path()));
    let answer = curl(&world, folder.path(), "localhost");
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "ok\n", "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(!curl(&world, folder.path(), "127.0.0.1").status.success(), "by address it is the device key");
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 1000);
    let upload = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);

    authority.issue(folder.path(), 0x4712);
    assert_eq!(serial(&world, "localhost"), "4711");
    world.hang_up();
    eventually("the renewed one is shown", || serial(&world, "localhost") == "4712");
    // One that is broken does not take the port away.
    fs::write(folder.path().join("key.pem"), "broken").unwrap();
    world.hang_up();
    eventually("it is told", || world.log().contains("the certificate was not reloaded"));
    assert_eq!(serial(&world, "localhost"), "4712");
}

#[test]
fn an_agent_that_calls_by_that_name_sees_the_key_that_it_pins() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().issue(folder.path(), 1);
    let mut world = World::at_rest();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.address = address;
    let url = format!("{}[server]\nurl = 'https://localhost:{}'\n", Authority::config(folder.path()), address.port());
    fs::write(world.path().join("longshore.toml"), url).unwrap();
    world.start();
    assert!(world.log().contains("devices that send the name localhost see tls.cert"), "{}", world.log());
    assert!(world.enrolment_text("USB-1").starts_with("https://localhost:"));
    world.enrol_agent(&world.path().join("state"), "USB-1", "Unit 12");
}

#[test]
fn what_is_wrong_with_it_is_told_before_the_server_listens() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = Authority::new();
    authority.issue(folder.path(), 1);
    authority.issue(other.path(), 2);
    let refusal = |config: &str| {
        let world = World::at_rest();
        fs::write(world.path().join("longshore.toml"), config).unwrap();
        let checked = longshore().args(["config", "check"]).arg(world.path().join("longshore.toml")).output().unwrap();
        let (checked, status) = (String::from_utf8(checked.stderr).unwrap(), world.launch(&[]).ends());
        assert_eq!(status.code(), Some(1));
        assert!(world.log().contains(checked.trim()), "{checked} is not in {}", world.log());
        checked
    };
    let whole = Authority::config(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), other.path().join("key.pem"));
    assert!(refusal(&whole.replace("cert.pem", "typo.pem")).contains("typo.pem holds no certificates"));
    assert!(refusal(&whole.replace("/key.pem", "/cert.pem")).contains("holds no private key"));
    let mixed = format!("[tls]\ncert = '{}'\nkey = '{}'\n", cert.display(), key.display());
    assert!(refusal(&mixed).contains("is not the key of"));
    assert!(refusal(&format!("[tls]\ncert = '{}'\n", cert.display())).contains("tls.key is not; name the file"));
    fs::write(&cert, "").unwrap();
    assert!(refusal(&whole).contains("holds no certificates"));
}
