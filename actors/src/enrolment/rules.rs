//! Who may be known, under which conditions. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use longshore_model::{
    Assignment, BuiltIn, Description, Device, DeviceId, DeviceState, EnrolToken, Enrolment, EnrolmentId,
    EnrolmentState, Sha256, TokenId, UNKNOWN_MODEL,
};
use longshore_store::facts::{Fact, PeopleFact};

use crate::profiles::ProfileRefused;

/// Letters of a code; none that is read as another.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters in a code: enough to tell the devices on one table apart; it is no secret.
const CODE_LEN: usize = 4;

/// The profile that every server has.
pub(super) const DEFAULT_PROFILE: &str = BuiltIn::NAME;

/// What a device brings to be known.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Public half of its token; a typed code has none, and is found by the serial.
    pub token: Option<TokenId>,
    /// SHA-256 of the secret half.
    pub secret_hash: Sha256,
    /// Its serial, if it says one.
    pub serial: Option<String>,
    /// Its model, if it says one.
    pub model: Option<String>,
    /// What else it says of itself.
    pub description: Description,
    /// Where it calls from.
    pub address: Option<IpAddr>,
    /// SHA-256 of the key that it proved to hold.
    pub key: Sha256,
    /// That key (DER SubjectPublicKeyInfo, base64url).
    pub spki: String,
}

/// Why a device may not ask to be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// No such token, or another secret. Which of the two, nobody is told.
    #[error("the enrolment token is unknown; ask for a new enrolment text")]
    Unknown,
    /// Its time is over.
    #[error("the enrolment token expired at {0}; ask for a new enrolment text")]
    Expired(DateTime<Utc>),
    /// Another key used it.
    #[error("the enrolment token was used by another device or key; ask for a new enrolment text")]
    UsedUp,
    /// The request that was made with it waited too long, or another of its serial was approved.
    #[error("this request was not approved in time, or another one was; ask for a new enrolment text")]
    Lapsed,
    /// An admin made it worthless.
    #[error("the enrolment token was revoked; ask for a new enrolment text")]
    Revoked,
    /// An admin turned the request down.
    #[error("an admin of the server turned this device away; ask why, and for a new enrolment text")]
    Rejected,
    /// The token is for several devices, so each has to say which it is.
    #[error("the enrolment token is for several devices: say the device's serial")]
    NoSerial,
    /// It is for another device.
    #[error("the enrolment token is for {0}")]
    AnotherDevice(String),
}

/// An admin's decision over a device that waits.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Serial of the device that waits.
    pub serial: String,
    /// The code that it shows; needed where several wait under one serial.
    pub code: Option<String>,
    /// Whether it is new, or one that is known.
    pub of: ApprovalOf,
    /// Who decides.
    pub by: String,
}

/// What an approval is for.
#[derive(Debug, Clone)]
pub enum ApprovalOf {
    /// The set-up of a new device.
    NewDevice {
        /// The officer or vehicle that it belongs to.
        assignee: String,
        /// Name of its config profile.
        profile: String,
    },
    /// A device that is enrolled already and has a new key, as after a factory reset. It stays whose it was.
    KnownDevice,
    /// The set-up of a new device that takes the place of another: whose that one is, and how it is set up.
    Replacement {
        /// Serial of the device that it replaces.
        of: String,
    },
}

/// Why a set-up cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApproveRefused {
    /// No device with this serial waits.
    #[error("no device with the serial {0} is waiting; `longshore device list` shows which are")]
    NotWaiting(String),
    /// None of those that wait shows the code.
    #[error("no device with the serial {0} that waits shows the code {1}; `longshore device list` shows which do")]
    AnotherCode(String, String),
    /// Several wait, and only one can be meant.
    #[error("several devices wait under the serial {serial}, with the codes {codes}; say which with --code")]
    SeveralWait {
        /// Their serial.
        serial: String,
        /// Their codes.
        codes: String,
    },
    /// The code is short, so a key can be made that has it.
    #[error(
        "several devices with different keys wait under the serial {serial} and show the code {code}, so one of them is not \
         what it says. Turn them away (`longshore device reject`, with --code {code}), and enrol the device with a new text"
    )]
    SameCode {
        /// Their serial.
        serial: String,
        /// Their code.
        code: String,
    },
    /// Nor need it: it is enrolled.
    #[error("a device with the serial {0} is enrolled already, and none waits to be enrolled anew")]
    EnrolledAndNoneWaits(String),
    /// The config profile is not there, or not for this device.
    #[error(transparent)]
    Profile(ProfileRefused),
    /// The key that waits is already the key of another device.
    #[error("the device that waits is enrolled already, as {0}; if that serial was mistyped, reset the device first")]
    KeyInUse(String),
    /// There is a device with this serial.
    #[error(
        "a device with the serial {serial} is enrolled already; the one that waits shows the code {code}. If it is the \
         same device with a new key, as after a reset, approve it with --re-enrol"
    )]
    AlreadyEnrolled {
        /// Its serial.
        serial: String,
        /// What the one that waits shows.
        code: String,
    },
    /// There is none.
    #[error("no device with the serial {0} is enrolled; approve it as a new one, with --assignee")]
    NotEnrolled(String),
    /// There is no device whose place could be taken.
    #[error("no device with the serial {0} is in service, so nothing can take its place; approve with --assignee")]
    NothingToReplace(String),
}

pub(super) fn claim(
    claim: Claim,
    token: Option<&EnrolToken>,
    earlier: Option<Enrolment>,
    id: EnrolmentId,
    now: DateTime<Utc>,
) -> Result<(Vec<Fact>, Enrolment), ClaimRefused> {
    let token = token.filter(|token| token.secret_hash == claim.secret_hash).ok_or(ClaimRefused::Unknown)?;
    let other = |said: &Option<String>, bound: &Option<String>| said.is_some() && bound.is_some() && said != bound;
    if other(&claim.serial, &token.serial) || other(&claim.model, &token.model) {
        let bound: Vec<&str> = [&token.model, &token.serial].into_iter().flatten().map(String::as_str).collect();
        return Err(ClaimRefused::AnotherDevice(bound.join(" ")));
    }
    // The answer to its first request may have been lost.
    if let Some(earlier) = earlier.filter(|earlier| earlier.key == claim.key) {
        return match earlier.state {
            EnrolmentState::Approved => Ok((Vec::new(), earlier)),
            EnrolmentState::Rejected => Err(ClaimRefused::Rejected),
            _ if earlier.waits(now) => Ok((Vec::new(), earlier)),
            _ => Err(ClaimRefused::Lapsed),
        };
    }
    if token.revoked_at.is_some() {
        return Err(ClaimRefused::Revoked);
    }
    if token.uses_left == 0 {
        return Err(ClaimRefused::UsedUp);
    }
    if now >= token.expires {
        return Err(ClaimRefused::Expired(token.expires));
    }
    let serial = token.serial.clone().or(claim.serial).ok_or(ClaimRefused::NoSerial)?;
    let model = token.model.clone().or(claim.model).unwrap_or_else(|| UNKNOWN_MODEL.to_owned());
    let enrolment = Enrolment {
        id,
        token: token.id,
        serial,
        model,
        key: claim.key,
        spki: claim.spki,
        description: claim.description,
        address: claim.address,
        code: code(claim.key),
        state: EnrolmentState::Pending,
        requested_at: now,
        device: None,
    };
    Ok((vec![Fact::EnrolmentRequested { enrolment: enrolment.clone() }], enrolment))
}

/// The requests of this serial that wait.
pub(super) fn waiting(serial: &str, enrolments: Vec<Enrolment>, now: DateTime<Utc>) -> Vec<Enrolment> {
    enrolments.into_iter().filter(|enrolment| enrolment.serial == serial && enrolment.waits(now)).collect()
}

/// The one of them that an admin means, if that can be told.
pub(super) fn meant<'a>(
    serial: &str,
    code: Option<&str>,
    waiting: &'a [Enrolment],
) -> Result<Option<&'a Enrolment>, ApproveRefused> {
    let shows = with_code(serial, code, waiting)?;
    // A device that lost its enrolment asks again with the same key, and so shows the same code: the newest request counts.
    let Some(newest) = shows.last() else { return Ok(None) };
    if shows.iter().any(|enrolment| enrolment.key != newest.key) {
        return Err(ApproveRefused::SameCode { serial: serial.to_owned(), code: newest.code.clone() });
    }
    Ok(Some(newest))
}

/// Those of them that show this code; without one, the only one that waits.
fn with_code<'a>(
    serial: &str,
    code: Option<&str>,
    waiting: &'a [Enrolment],
) -> Result<Vec<&'a Enrolment>, ApproveRefused> {
    match (code, waiting) {
        (_, []) => Ok(Vec::new()),
        (None, [only]) => Ok(vec![only]),
        (Some(code), several) => {
            let shows = |enrolment: &&Enrolment| enrolment.code.eq_ignore_ascii_case(code);
            let shows: Vec<_> = several.iter().filter(shows).collect();
            if shows.is_empty() {
                return Err(ApproveRefused::AnotherCode(serial.to_owned(), code.to_owned()));
            }
            Ok(shows)
        }
        (None, several) => {
            let codes: Vec<&str> = several.iter().map(|enrolment| enrolment.code.as_str()).collect();
            Err(ApproveRefused::SeveralWait { serial: serial.to_owned(), codes: codes.join(", ") })
        }
    }
}

/// Turns away whoever of these is meant, the newest last: all that show the code, whatever their keys.
pub(super) fn reject(
    serial: &str,
    code: Option<&str>,
    waiting: &[Enrolment],
    by: &str,
) -> Result<(Vec<Fact>, Vec<Enrolment>), ApproveRefused> {
    let meant = with_code(serial, code, waiting)?;
    if meant.is_empty() {
        return Err(ApproveRefused::NotWaiting(serial.to_owned()));
    }
    let fact = |meant: &&Enrolment| {
        let (enrolment, serial, by) = (meant.id, meant.serial.clone(), by.to_owned());
        Fact::People(PeopleFact::EnrolmentRejected { enrolment, serial, by })
    };
    Ok((meant.iter().map(fact).collect(), meant.into_iter().cloned().collect()))
}

/// What the catalogue knows of a device that is to be approved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// The request that is meant.
    pub(super) waiting: Option<&'a Enrolment>,
    /// The device that has this serial already.
    pub(super) of_serial: Option<&'a Device>,
    /// The device that has this key already.
    pub(super) of_key: Option<&'a Device>,
    /// The device whose place it takes.
    pub(super) replaced: Option<&'a Device>,
}

pub(super) fn approve(
    approval: Approval,
    known: Known<'_>,
    id: DeviceId,
    now: DateTime<Utc>,
) -> Result<(Vec<Fact>, (EnrolmentId, Device)), ApproveRefused> {
    let Approval { serial, of, by, .. } = approval;
    let Known { waiting, of_serial, of_key, replaced } = known;
    // A retired device is gone; its serial may begin anew.
    let known = of_serial.filter(|device| device.state != DeviceState::Retired);
    let Some(enrolment) = waiting else {
        let why = if known.is_some() { ApproveRefused::EnrolledAndNoneWaits } else { ApproveRefused::NotWaiting };
        return Err(why(serial));
    };
    // A retired one keeps nobody from its key: a camera has one for life.
    let in_use =
        |other: &&Device| other.state != DeviceState::Retired && known.is_none_or(|known| known.id != other.id);
    if let Some(other) = of_key.filter(in_use) {
        return Err(ApproveRefused::KeyInUse(other.serial.clone()));
    }
    if let (ApprovalOf::KnownDevice, Some(known)) = (&of, known) {
        let device = Device { key: Some(enrolment.key), ..known.clone() };
        let fact = Fact::DeviceReenrolled { enrolment: enrolment.id, device: device.id, key: enrolment.key, by };
        return Ok((vec![fact], (enrolment.id, device)));
    }
    if known.is_some() {
        return Err(ApproveRefused::AlreadyEnrolled { serial, code: enrolment.code.clone() });
    }
    let mut facts = Vec::new();
    let (assignee, profile, site, groups) = match of {
        ApprovalOf::KnownDevice => return Err(ApproveRefused::NotEnrolled(serial)),
        ApprovalOf::NewDevice { assignee, profile } => (assignee, profile, None, BTreeSet::new()),
        ApprovalOf::Replacement { of } => {
            let replaced = replaced.filter(|device| device.state != DeviceState::Retired);
            let last = replaced.and_then(|replaced| Some((replaced, replaced.assignments.last()?)));
            let Some((replaced, last)) = last else { return Err(ApproveRefused::NothingToReplace(of)) };
            let fact = PeopleFact::DeviceReplaced { device: replaced.id, with: serial.clone(), by: by.clone() };
            facts.push(Fact::People(fact));
            (last.assignee.clone(), replaced.profile.clone(), replaced.site.clone(), replaced.groups.clone())
        }
    };
    let device = Device {
        id,
        serial,
        model: enrolment.model.clone(),
        state: DeviceState::Approved,
        key: Some(enrolment.key),
        upload_tokens: Vec::new(),
        assignments: vec![Assignment { assignee, from: now }],
        profile,
        site,
        groups,
        replaced_by: None,
        approved_at: now,
    };
    facts.push(Fact::DeviceApproved { enrolment: enrolment.id, device: device.clone(), by });
    Ok((facts, (enrolment.id, device)))
}

/// The code follows from the key, so that a device can show it without asking.
fn code(key: Sha256) -> String {
    key.as_bytes().iter().take(CODE_LEN).map(|byte| char::from(CODE_LETTERS[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests;
