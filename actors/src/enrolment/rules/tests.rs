use super::*;

const SECRET: [u8; 16] = [5; 16];

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn token() -> EnrolToken {
    EnrolToken {
        id: TokenId::from_bytes([1; 16]),
        secret_hash: Sha256::of(&SECRET),
        serial: Some("B-1".into()),
        model: Some("BC4".into()),
        typed: false,
        expires: now() + chrono::TimeDelta::hours(24),
        uses_left: 1,
        revoked_at: None,
    }
}

fn asks() -> Claim {
    Claim {
        token: Some(TokenId::from_bytes([1; 16])),
        secret_hash: Sha256::of(&SECRET),
        serial: None,
        model: None,
        description: Description::default(),
        address: None,
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
    let guess = Claim { secret_hash: Sha256::of(&[6; 16]), ..asks() };
    assert_eq!(claimed(guess, Some(&token()), None), Err(ClaimRefused::Unknown));
    let late = EnrolToken { expires: now(), ..token() };
    assert_eq!(claimed(asks(), Some(&late), None), Err(ClaimRefused::Expired(now())));
    let other = Claim { serial: Some("B-2".into()), ..asks() };
    assert!(matches!(claimed(other, Some(&token()), None), Err(ClaimRefused::AnotherDevice(_))));
}

#[test]
fn only_a_waiting_device_can_be_approved_and_only_once() {
    let decide = |waiting, of_serial, of_key| {
        approve(approval(), Known { waiting, of_serial, of_key, replaced: None }, DeviceId::from_bytes([3; 16]), now())
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
        site: None,
        groups: BTreeSet::new(),
        replaced_by: None,
        approved_at: now(),
    };
    let again = || Approval { of: ApprovalOf::KnownDevice, ..approval() };
    let decide = |of_serial, of_key| {
        let known = Known { waiting: Some(&enrolment), of_serial, of_key, replaced: None };
        approve(again(), known, DeviceId::from_bytes([3; 16]), now())
    };
    let (facts, (_, device)) = decide(Some(&known), None).unwrap();
    assert_eq!(device, Device { key: Some(enrolment.key), ..known.clone() });
    assert!(matches!(facts[..], [Fact::DeviceReenrolled { .. }]), "{facts:?}");
    let other = Device { id: DeviceId::from_bytes([8; 16]), serial: "B-2".into(), ..device.clone() };
    assert!(decide(Some(&known), Some(&device)).is_ok(), "it may have kept its key and lost the rest");
    assert_eq!(decide(None, None), Err(ApproveRefused::NotEnrolled("B-1".into())));
    assert_eq!(decide(Some(&known), Some(&other)), Err(ApproveRefused::KeyInUse("B-2".into())));
}

#[test]
fn a_token_for_several_takes_each_device_at_its_word_and_asks_for_a_serial() {
    let several = EnrolToken { serial: None, model: None, uses_left: 2, ..token() };
    let says = |serial: Option<&str>, model: Option<&str>| Claim {
        serial: serial.map(str::to_owned),
        model: model.map(str::to_owned),
        ..asks()
    };
    assert_eq!(claimed(says(None, None), Some(&several), None), Err(ClaimRefused::NoSerial));
    let (_, enrolment) = claimed(says(Some("B-7"), Some("BC4")), Some(&several), None).unwrap();
    assert_eq!((enrolment.serial.as_str(), enrolment.model.as_str()), ("B-7", "BC4"));
    let (_, enrolment) = claimed(says(Some("B-8"), None), Some(&several), None).unwrap();
    assert_eq!(enrolment.model, UNKNOWN_MODEL);
    let of_one_model = EnrolToken { model: Some("BC4".into()), ..several };
    let other = claimed(says(Some("B-9"), Some("DVR-906")), Some(&of_one_model), None);
    assert_eq!(other, Err(ClaimRefused::AnotherDevice("BC4".into())));
}

#[test]
fn a_revoked_token_serves_nobody_new_and_whoever_waits_goes_on_waiting() {
    let (_, first) = claimed(asks(), Some(&token()), None).unwrap();
    let revoked = EnrolToken { revoked_at: Some(now()), ..token() };
    assert_eq!(claimed(asks(), Some(&revoked), None), Err(ClaimRefused::Revoked));
    assert!(claimed(asks(), Some(&revoked), Some(first)).is_ok());
}

#[test]
fn who_was_turned_away_is_told_so_and_is_not_approved_later() {
    let (_, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
    let (facts, _) = reject("B-1", None, std::slice::from_ref(&enrolment), "uid 0").unwrap();
    assert!(matches!(facts[..], [Fact::People(PeopleFact::EnrolmentRejected { .. })]), "{facts:?}");
    assert_eq!(reject("B-1", None, &[], "uid 0"), Err(ApproveRefused::NotWaiting("B-1".into())));
    let rejected = Enrolment { state: EnrolmentState::Rejected, ..enrolment };
    assert!(waiting("B-1", vec![rejected.clone()], now()).is_empty());
    assert_eq!(claimed(asks(), Some(&token()), Some(rejected)), Err(ClaimRefused::Rejected));
}

#[test]
fn a_replacement_takes_over_whose_and_where_the_other_was() {
    let (_, enrolment) = claimed(asks(), Some(&token()), None).unwrap();
    let old = Device {
        id: DeviceId::from_bytes([7; 16]),
        serial: "B-0".into(),
        model: "BC4".into(),
        state: DeviceState::Active,
        key: Some(Sha256::of(b"old")),
        upload_tokens: Vec::new(),
        assignments: vec![Assignment { assignee: "A. Jones".into(), from: now() }],
        profile: "default".into(),
        site: Some("North".into()),
        groups: BTreeSet::from(["night".to_owned()]),
        replaced_by: None,
        approved_at: now(),
    };
    let decide = |replaced: Option<&Device>| {
        let of = ApprovalOf::Replacement { of: "B-0".into() };
        let known = Known { waiting: Some(&enrolment), replaced, ..Known::default() };
        approve(Approval { of, ..approval() }, known, DeviceId::from_bytes([3; 16]), now())
    };
    let (facts, (_, device)) = decide(Some(&old)).unwrap();
    assert_eq!((device.assignee_at(now()), &device.site, &device.groups), (Some("A. Jones"), &old.site, &old.groups));
    assert!(matches!(facts[0], Fact::People(PeopleFact::DeviceReplaced { device, .. }) if device == old.id));
    let lost = Device { state: DeviceState::Suspended, ..old.clone() };
    assert!(matches!(decide(Some(&lost)).unwrap().0[0], Fact::People(PeopleFact::DeviceReplaced { .. })));
    let retired = Device { state: DeviceState::Retired, ..old };
    for gone in [None, Some(&retired)] {
        assert_eq!(decide(gone).unwrap_err(), ApproveRefused::NothingToReplace("B-0".into()));
    }
}

#[test]
fn a_code_that_two_keys_show_approves_neither_and_turns_both_away() {
    let (_, one) = claimed(asks(), Some(&token()), None).unwrap();
    let request = |n: u8, key: &[u8]| Enrolment {
        id: EnrolmentId::from_bytes([n; 16]),
        key: Sha256::of(key),
        code: "K7PX".into(),
        ..one.clone()
    };
    let (first, again, rogue) = (request(1, b"key"), request(2, b"key"), request(3, b"made for the code"));
    let same_key = [first.clone(), again.clone()];
    assert_eq!(meant("B-1", Some("k7px"), &same_key), Ok(Some(&again)), "the newest of one device");
    let of_two_keys = [first, again, rogue, Enrolment { code: "AAAA".into(), ..request(4, b"other") }];
    let refused = meant("B-1", Some("k7px"), &of_two_keys).unwrap_err();
    assert_eq!(refused, ApproveRefused::SameCode { serial: "B-1".into(), code: "K7PX".into() });
    assert!(matches!(meant("B-1", None, &of_two_keys), Err(ApproveRefused::SeveralWait { .. })));
    let (facts, rejected) = reject("B-1", Some("K7PX"), &of_two_keys, "uid 0").unwrap();
    let ids: Vec<_> = rejected.iter().map(|enrolment| enrolment.id).collect();
    assert_eq!((facts.len(), ids), (3, [1, 2, 3].map(|n| EnrolmentId::from_bytes([n; 16])).to_vec()));
    assert!(matches!(reject("B-1", None, &of_two_keys, "uid 0"), Err(ApproveRefused::SeveralWait { .. })));
}
