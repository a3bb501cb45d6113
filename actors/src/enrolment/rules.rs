//! Who may be known, under which conditions. Pure.

use chrono::{DateTime, Utc};
use longshore_model::{
    Assignment, BuiltIn, Description, Device, DeviceId, DeviceState, EnrolToken, Enrolment, EnrolmentId,
    EnrolmentState, Sha256, TokenId,
};
use longshore_store::facts::Fact;

use crate::profiles::ProfileRefused;

/// Letters of a code; none that is read as another.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters in a code: enough to tell the devices on one table apart; it is no secret.
const CODE_LEN: usize = 4;

/// The profile that every server has.
pub(super) const DEFAULT_PROFILE: &str = BuiltIn::NAME;

/// What a device brings to be known. Not `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Claim {
    /// Public half of its token.
    pub token: TokenId,
    /// Secret half.
    pub secret: [u8; 16],
    /// Its serial, if it says one.
    pub serial: Option<String>,
    /// Its model, if it says one.
    pub model: Option<String>,
    /// What else it says of itself.
    pub description: Description,
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
    /// It is for another device.
    #[error("the enrolment token is for {model} {serial}")]
    AnotherDevice {
        /// Its serial.
        serial: String,
        /// Its model.
        model: String,
    },
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
         same device with a new key, as after a reset, confirm with `longshore device approve {serial} --re-enrol`"
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
}

pub(super) fn claim(
    claim: Claim,
    token: Option<&EnrolToken>,
    earlier: Option<Enrolment>,
    id: EnrolmentId,
    now: DateTime<Utc>,
) -> Result<(Vec<Fact>, Enrolment), ClaimRefused> {
    let token = token.filter(|token| token.secret_hash == Sha256::of(&claim.secret)).ok_or(ClaimRefused::Unknown)?;
    let other = |said: &Option<String>, bound: &str| said.as_deref().is_some_and(|said| said != bound);
    if other(&claim.serial, &token.serial) || other(&claim.model, &token.model) {
        return Err(ClaimRefused::AnotherDevice { serial: token.serial.clone(), model: token.model.clone() });
    }
    // The answer to its first request may have been lost.
    if let Some(earlier) = earlier.filter(|earlier| earlier.key == claim.key) {
        let counts = earlier.state == EnrolmentState::Approved || earlier.waits(now);
        return if counts { Ok((Vec::new(), earlier)) } else { Err(ClaimRefused::Lapsed) };
    }
    if token.uses_left == 0 {
        return Err(ClaimRefused::UsedUp);
    }
    if now >= token.expires {
        return Err(ClaimRefused::Expired(token.expires));
    }
    let enrolment = Enrolment {
        id,
        token: token.id,
        serial: token.serial.clone(),
        model: token.model.clone(),
        key: claim.key,
        spki: claim.spki,
        description: claim.description,
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
    match (code, waiting) {
        (_, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (Some(code), several) => {
            // The newest: a device that lost its enrolment shows the same code again, as it follows from the key.
            let shows = several.iter().rev().find(|enrolment| enrolment.code.eq_ignore_ascii_case(code));
            shows.map(Some).ok_or_else(|| ApproveRefused::AnotherCode(serial.to_owned(), code.to_owned()))
        }
        (None, several) => {
            let codes: Vec<&str> = several.iter().map(|enrolment| enrolment.code.as_str()).collect();
            Err(ApproveRefused::SeveralWait { serial: serial.to_owned(), codes: codes.join(", ") })
        }
    }
}

/// `of_serial` and `of_key` are the devices that have this serial, or this key, already.
pub(super) fn approve(
    approval: Approval,
    waiting: Option<&Enrolment>,
    of_serial: Option<&Device>,
    of_key: Option<&Device>,
    id: DeviceId,
    now: DateTime<Utc>,
) -> Result<(Vec<Fact>, (EnrolmentId, Device)), ApproveRefused> {
    let Approval { serial, of, by, .. } = approval;
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
    let (assignee, profile) = match (of, known) {
        (ApprovalOf::NewDevice { .. }, Some(_)) => {
            return Err(ApproveRefused::AlreadyEnrolled { serial, code: enrolment.code.clone() });
        }
        (ApprovalOf::KnownDevice, None) => return Err(ApproveRefused::NotEnrolled(serial)),
        (ApprovalOf::KnownDevice, Some(known)) => {
            let device = Device { key: Some(enrolment.key), ..known.clone() };
            let fact = Fact::DeviceReenrolled { enrolment: enrolment.id, device: device.id, key: enrolment.key, by };
            return Ok((vec![fact], (enrolment.id, device)));
        }
        (ApprovalOf::NewDevice { assignee, profile }, None) => (assignee, profile),
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
        approved_at: now,
    };
    let fact = Fact::DeviceApproved { enrolment: enrolment.id, device: device.clone(), by };
    Ok((vec![fact], (enrolment.id, device)))
}

/// The code follows from the key, so that a device can show it without asking.
fn code(key: Sha256) -> String {
    key.as_bytes().iter().take(CODE_LEN).map(|byte| char::from(CODE_LETTERS[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 16] = [5; 16];

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn token() -> EnrolToken {
        EnrolToken {
            id: TokenId::from_bytes([1; 16]),
            secret_hash: Sha256::of(&SECRET),
            serial: "B-1".into(),
            model: "BC4".into(),
            expires: now() + chrono::TimeDelta::hours(24),
            uses_left: 1,
        }
    }

    fn asks() -> Claim {
        Claim {
            token: TokenId::from_bytes([1; 16]),
            secret: SECRET,
            serial: None,
            model: None,
            description: Description::default(),
            key: Sha256::of(b"key"),
            spki: String::new(),
        }
    }

    fn claimed(
        asks: Claim,
        token: Option<&EnrolToken>,
        earlier: Option<Enrolment>,
    ) -> Result<(Vec<Fact>, Enrolment), ClaimRefused> {
        claim(asks, token, earlier, EnrolmentId::from_bytes([2; 16]), now())
    }

    fn approval() -> Approval {
        let of = ApprovalOf::NewDevice { assignee: "J. Smith".into(), profile: "default".into() };
        Approval { serial: "B-1".into(), code: None, of, by: "uid 0".into() }
    }

    #[test]
    fn a_device_with_a_good_token_waits_under_the_tokens_serial() {
        let (facts, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
        assert_eq!(facts.len(), 1);
        assert_eq!((enrolment.serial.as_str(), enrolment.state), ("B-1", EnrolmentState::Pending));
        assert_eq!(enrolment.code.len(), CODE_LEN);
    }

    #[test]
    fn a_repeated_request_finds_the_same_enrolment_even_when_the_token_is_used_up() {
        let (_, first) = claimed(asks(), Some(&token()), None).unwrap();
        let used = EnrolToken { uses_left: 0, expires: now(), ..token() };
        assert_eq!(claimed(asks(), Some(&used), Some(first.clone())), Ok((Vec::new(), first.clone())));
        let another_key = Claim { key: Sha256::of(b"other"), ..asks() };
        assert_eq!(claimed(another_key, Some(&used), Some(first)), Err(ClaimRefused::UsedUp));
    }

    #[test]
    fn a_request_that_can_no_longer_be_approved_is_not_found_again() {
        let (_, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
        let asked = |requested_at, state| {
            claimed(asks(), Some(&token()), Some(Enrolment { requested_at, state, ..enrolment.clone() }))
        };
        let week_ago = now() - chrono::TimeDelta::days(7);
        assert!(asked(week_ago + chrono::TimeDelta::seconds(1), EnrolmentState::Pending).is_ok());
        assert_eq!(asked(week_ago, EnrolmentState::Pending), Err(ClaimRefused::Lapsed));
        assert_eq!(asked(now(), EnrolmentState::Superseded), Err(ClaimRefused::Lapsed));
        assert!(asked(week_ago, EnrolmentState::Approved).is_ok());
    }

    #[test]
    fn a_token_that_is_unknown_expired_or_of_another_device_is_refused() {
        assert_eq!(claimed(asks(), None, None), Err(ClaimRefused::Unknown));
        let guess = Claim { secret: [6; 16], ..asks() };
        assert_eq!(claimed(guess, Some(&token()), None), Err(ClaimRefused::Unknown));
        let late = EnrolToken { expires: now(), ..token() };
        assert_eq!(claimed(asks(), Some(&late), None), Err(ClaimRefused::Expired(now())));
        let other = Claim { serial: Some("B-2".into()), ..asks() };
        assert!(matches!(claimed(other, Some(&token()), None), Err(ClaimRefused::AnotherDevice { .. })));
    }

    #[test]
    fn only_a_waiting_device_can_be_approved_and_only_once() {
        let decide = |waiting, of_serial, of_key| {
            approve(approval(), waiting, of_serial, of_key, DeviceId::from_bytes([3; 16]), now())
        };
        assert_eq!(decide(None, None, None), Err(ApproveRefused::NotWaiting("B-1".into())));
        let (_, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
        let (_, (_, device)) = decide(Some(&enrolment), None, None).unwrap();
        assert_eq!(device.assignee_at(now()), Some("J. Smith"));
        let other = Device { serial: "B-2".into(), ..device.clone() };
        assert_eq!(decide(Some(&enrolment), None, Some(&other)), Err(ApproveRefused::KeyInUse("B-2".into())));
        let retired = Device { state: DeviceState::Retired, key: Some(Sha256::of(b"old")), ..device.clone() };
        let refused = decide(Some(&enrolment), Some(&device), None);
        assert!(matches!(refused, Err(ApproveRefused::AlreadyEnrolled { .. })), "{refused:?}");
        assert!(decide(Some(&enrolment), Some(&retired), None).is_ok(), "its serial may begin anew");
    }

    #[test]
    fn a_known_device_with_a_new_key_stays_what_and_whose_it_was() {
        let (_, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
        let known = Device {
            id: DeviceId::from_bytes([7; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state: DeviceState::Suspended,
            key: Some(Sha256::of(b"old")),
            upload_tokens: Vec::new(),
            assignments: vec![Assignment { assignee: "A. Jones".into(), from: now() }],
            profile: "default".into(),
            approved_at: now(),
        };
        let again = || Approval { of: ApprovalOf::KnownDevice, ..approval() };
        let decide = |of_serial, of_key| {
            approve(again(), Some(&enrolment), of_serial, of_key, DeviceId::from_bytes([3; 16]), now())
        };
        let (facts, (_, device)) = decide(Some(&known), None).unwrap();
        assert_eq!(device, Device { key: Some(enrolment.key), ..known.clone() });
        assert!(matches!(facts[..], [Fact::DeviceReenrolled { .. }]), "{facts:?}");
        let other = Device { id: DeviceId::from_bytes([8; 16]), serial: "B-2".into(), ..device.clone() };
        assert!(decide(Some(&known), Some(&device)).is_ok(), "it may have kept its key and lost the rest");
        assert_eq!(decide(None, None), Err(ApproveRefused::NotEnrolled("B-1".into())));
        assert_eq!(decide(Some(&known), Some(&other)), Err(ApproveRefused::KeyInUse("B-2".into())));
    }
}
