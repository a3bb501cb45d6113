//! Enrols device after device. Each step that was acknowledged is what the next one stands on, so a step that a power cut
//! took back shows by the next being refused.

use std::io;

use longshore_protocol::EnrolmentText;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::guest::{Guest, Shell};
use super::load::{Load, Trouble, expect};
use crate::support::Camera;

const JSON: &str = "Content-Type: application/json";

pub(super) struct Clerk {
    /// Serials given out.
    serials: u32,
    reached: Reached,
}

/// How far the enrolment of the latest serial is.
enum Reached {
    Nothing,
    /// There is a text with a token, and a device that is to ask with it: with the same key each time, since the token is
    /// the key's as soon as it was used, and that answer may be lost.
    Text(Camera, String),
    /// A device has asked with it: its enrolment's id.
    Asked(Camera, String),
    Approved(Camera, String),
}

impl Clerk {
    pub(super) fn new() -> Self {
        Self { serials: 0, reached: Reached::Nothing }
    }

    /// Enrols one device, from wherever the power cut left it.
    pub(super) fn enrol(&mut self, load: &Load, at: Site) -> Result<(), Trouble> {
        if matches!(self.reached, Reached::Nothing) {
            // Whether the serial before was taken, nobody was told.
            self.serials += 1;
        }
        let serial = format!("B4-{}", self.serials);
        loop {
            self.reached = match std::mem::replace(&mut self.reached, Reached::Nothing) {
                Reached::Nothing => Reached::Text(Camera::at(at.address, at.pin), add(load, at, &serial)?),
                Reached::Text(camera, text) => match ask(&camera, &text) {
                    Ok(id) => {
                        load.ledger().line("asked", &json!(serial));
                        Reached::Asked(camera, id)
                    }
                    Err(trouble) => return self.stays(Reached::Text(camera, text), trouble),
                },
                Reached::Asked(camera, id) => match approve(at.shell, &serial) {
                    Ok(()) => {
                        load.ledger().line("approved", &json!(serial));
                        Reached::Approved(camera, id)
                    }
                    Err(trouble) => return self.stays(Reached::Asked(camera, id), trouble),
                },
                Reached::Approved(mut camera, id) => match certificate(&camera, &id) {
                    Ok(certificate) => {
                        camera.show(certificate);
                        load.ledger().enrolled(&serial, camera);
                        return Ok(());
                    }
                    Err(trouble) => return self.stays(Reached::Approved(camera, id), trouble),
                },
            };
        }
    }

    fn stays(&mut self, reached: Reached, trouble: Trouble) -> Result<(), Trouble> {
        self.reached = reached;
        Err(trouble)
    }
}

/// Where the server is.
#[derive(Clone, Copy)]
pub(super) struct Site {
    address: std::net::SocketAddr,
    pin: longshore_model::Sha256,
    pub(super) shell: Shell,
}

impl Site {
    pub(super) fn of(guest: &Guest) -> Self {
        Self { address: guest.address(), pin: guest.pin(), shell: guest.shell }
    }
}

fn add(load: &Load, at: Site, serial: &str) -> Result<String, Trouble> {
    let (status, answer) = at.shell.cli(&["device", "add", "--serial", serial, "--model", "BC4"])?;
    let text = answer["text"].as_str().filter(|_| status == 0);
    let text = text.ok_or_else(|| Trouble::Wrong(format!("device add {serial} ended with {status}: {answer}")))?;
    load.ledger().line("added", &json!(serial));
    Ok(text.to_owned())
}

fn ask(camera: &Camera, text: &str) -> Result<String, Trouble> {
    let parsed: EnrolmentText = text.parse().map_err(|_| Trouble::Wrong(format!("{text} enrols nobody")))?;
    let authorization = format!("Authorization: Longshore-Enrol {}", parsed.credentials());
    let body = json!({"device": {}}).to_string();
    let reply = camera.try_request("POST", "/device/v1/enrolments", &[JSON, &authorization], body.as_bytes())?;
    let answer = expect(&reply, 202, "an enrolment")?;
    Ok(answer["id"].as_str().unwrap_or_default().to_owned())
}

fn approve(shell: Shell, serial: &str) -> Result<(), Trouble> {
    let (status, _) = shell.cli(&["device", "approve", serial, "--assignee", "J. Smith"])?;
    // Or it was done, and the power failed before that was said.
    if status == 0 || is_known(&devices(shell)?, serial) {
        return Ok(());
    }
    Err(Trouble::Wrong(format!("device approve {serial} ended with {status}")))
}

fn certificate(camera: &Camera, id: &str) -> Result<CertificateDer<'static>, Trouble> {
    let reply = camera.try_request("GET", &format!("/device/v1/enrolments/{id}"), &[], b"")?;
    let approved = expect(&reply, 200, "an approved enrolment")?;
    let pem = approved["certificate"].as_str();
    let pem = pem.ok_or_else(|| Trouble::Wrong(format!("an enrolment was approved, now {approved}")))?;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| Trouble::Wrong(error.to_string()))
}

/// What `device list` shows.
pub(super) fn devices(shell: Shell) -> io::Result<Value> {
    Ok(shell.cli(&["device", "list"])?.1)
}

/// Whether a device is enrolled.
pub(super) fn is_known(devices: &Value, serial: &str) -> bool {
    let rows = devices.as_array().into_iter().flatten();
    rows.filter(|row| row["serial"] == serial).any(|row| row["state"] == "approved" || row["state"] == "active")
}
