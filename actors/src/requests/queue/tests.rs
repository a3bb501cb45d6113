use longshore_model::{DeviceId, Kind, RecordingId, Sha256};
use longshore_store::index::Told;
use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

fn device(n: u8) -> Device {
    Device {
        id: DeviceId::from_bytes([n; 16]),
        serial: format!("B-{n}"),
        model: "BC4".into(),
        state: DeviceState::Active,
        key: Some(Sha256::of(&[n])),
        upload_tokens: Vec::new(),
        assignments: Vec::new(),
        profile: "default".into(),
        site: None,
        groups: std::collections::BTreeSet::new(),
        replaced_by: None,
        approved_at: now(),
    }
}

fn draft() -> Draft {
    Draft {
        key: None,
        requester: "uid 0".into(),
        serials: vec!["B-1".into()],
        cameras: Vec::new(),
        from: now() - minutes(60),
        to: now() - minutes(50),
        priority: VideoRequest::PRIORITY,
        note: None,
        notify: Vec::new(),
        expires: None,
    }
}

fn id(n: u8) -> RequestId {
    RequestId::from_bytes([n; 16])
}

fn row(request: VideoRequest) -> RequestRow {
    let target = |device: &DeviceId| Target { device: *device, handed_over: None, told: None, ended: None };
    let targets = request.devices.iter().map(target).collect();
    RequestRow { request, closed: None, targets }
}

fn add_one(draft: Draft, open: &[RequestRow]) -> Result<(Vec<Fact>, Added), AddRefused> {
    add(draft, id(9), &[device(1)], None, open, now())
}

fn request() -> VideoRequest {
    add_one(draft(), &[]).unwrap().1.request
}

#[test]
fn a_range_is_neither_empty_nor_inverted_nor_longer_than_a_week() {
    let with = |from: TimeDelta, to: TimeDelta| Draft { from: now() + from, to: now() + to, ..draft() };
    for (draft, refused) in [
        (with(minutes(0), minutes(0)), Err(AddRefused::Empty)),
        (with(minutes(1), minutes(0)), Err(AddRefused::Inverted)),
        (with(TimeDelta::days(-365), minutes(0)), Err(AddRefused::TooLong)),
        (with(TimeDelta::days(-7), TimeDelta::milliseconds(1)), Err(AddRefused::TooLong)),
        (with(TimeDelta::days(-7), minutes(0)), Ok(())),
        (with(minutes(0), minutes(10)), Ok(())),
        (Draft { priority: 0, ..draft() }, Err(AddRefused::Priority)),
        (Draft { priority: 10, ..draft() }, Err(AddRefused::Priority)),
        (Draft { expires: Some(now()), ..draft() }, Err(AddRefused::Expiry)),
        (Draft { expires: Some(now() + TimeDelta::days(366)), ..draft() }, Err(AddRefused::Expiry)),
        (with(TimeDelta::days(40), TimeDelta::days(41)), Err(AddRefused::TooEarly)),
        (Draft { expires: Some(now() + minutes(5)), ..with(minutes(0), minutes(10)) }, Err(AddRefused::TooEarly)),
        (Draft { serials: Vec::new(), ..draft() }, Err(AddRefused::Devices)),
        (Draft { notify: vec!["a@example.org".parse().unwrap(); 21], ..draft() }, Err(AddRefused::Notified)),
        (Draft { serials: vec!["B-1".into(); 101], ..draft() }, Err(AddRefused::Devices)),
    ] {
        assert_eq!(check(&draft, now()), refused, "{draft:?}");
    }
    assert!(AddRefused::TooLong.to_string().contains("7 days"));
}

#[test]
fn the_same_again_is_the_same_request() {
    let (facts, first) = add_one(draft(), &[]).unwrap();
    assert!(first.is_new && facts.len() == 1);
    assert_eq!(first.request.expires, now() + TimeDelta::days(30));
    let open = [row(first.request.clone())];
    let (facts, again) = add_one(draft(), &open).unwrap();
    assert_eq!((facts, again), (Vec::new(), Added { request: first.request, is_new: false }));
    for other in [
        Draft { requester: "uid 1".into(), ..draft() },
        Draft { cameras: vec!["rear".into()], ..draft() },
        Draft { priority: 1, ..draft() },
        Draft { notify: vec!["a@example.org".parse().unwrap()], ..draft() },
        Draft { to: now(), ..draft() },
    ] {
        assert!(add_one(other, &open).unwrap().1.is_new);
    }
}

#[test]
fn a_key_is_good_for_one_request_also_when_that_is_over() {
    let with_key = Draft { key: Some("k".into()), ..draft() };
    let (_, first) = add_one(with_key.clone(), &[]).unwrap();
    let over = RequestRow { closed: Some(Closed::Expired { at: now() }), ..row(first.request.clone()) };
    let again = |draft| add(draft, id(8), &[device(1)], Some(over.clone()), &[], now());
    assert_eq!(again(with_key.clone()).unwrap().1, Added { request: first.request.clone(), is_new: false });
    let other = Draft { to: now(), ..with_key };
    assert_eq!(again(other).unwrap_err(), AddRefused::KeyTaken(first.request.id));
}

#[test]
fn what_cannot_be_asked_and_what_is_too_much_is_refused() {
    let with = |device: Device| add(draft(), id(9), &[device], None, &[], now()).unwrap_err();
    assert_eq!(with(Device { state: DeviceState::Retired, ..device(1) }), AddRefused::Retired("B-1".into()));
    assert_eq!(with(Device { key: None, ..device(1) }), AddRefused::CannotBeAsked("B-1".into()));
    let open = |devices: u8, count: usize| -> Vec<RequestRow> {
        let of = |n: usize| {
            let device = DeviceId::from_bytes([u8::try_from(n).unwrap_or(0) % devices + 1; 16]);
            row(VideoRequest { devices: vec![device], requester: n.to_string(), ..request() })
        };
        (0..count).map(of).collect()
    };
    assert_eq!(add_one(draft(), &open(1, 64)).unwrap_err(), AddRefused::TooManyOfDevice("B-1".into()));
    assert!(add_one(draft(), &open(2, 64)).is_ok());
    let mut many = open(1, 1);
    many[0].targets.clear();
    assert_eq!(add_one(draft(), &vec![many[0].clone(); 1000]).unwrap_err(), AddRefused::TooManyOpen);
}

#[test]
fn only_what_is_open_is_cancelled_and_once_is_enough() {
    let open = row(request());
    let by = || "uid 0".to_owned();
    assert_eq!(cancel(id(1), None, by(), true).unwrap_err(), CancelRefused::Unknown(id(1)));
    assert_eq!(cancel(id(1), Some(&open), by(), true).unwrap().len(), 1);
    let cancelled = RequestRow { closed: Some(Closed::Cancelled { at: now(), by: by() }), ..open.clone() };
    assert_eq!(cancel(id(1), Some(&cancelled), by(), true), Ok(Vec::new()));
    let mut done = open;
    done.targets[0].ended = Some((Outcome::Done, now()));
    assert_eq!(cancel(id(1), Some(&done), by(), true).unwrap_err(), CancelRefused::Over(id(1)));
}

#[test]
fn what_another_asked_for_is_cancelled_by_those_alone_who_may_cancel_anybodys() {
    let open = row(request());
    assert_eq!(open.request.requester, "uid 0");
    assert_eq!(cancel(id(1), Some(&open), "uid 0".into(), false).unwrap().len(), 1);
    assert_eq!(cancel(id(1), Some(&open), "anna".into(), false), Err(CancelRefused::OfAnother(id(1))));
    assert_eq!(cancel(id(1), Some(&open), "anna".into(), true).unwrap().len(), 1);
}

fn lies(camera: &str, from: i64, to: i64) -> Lies {
    Lies { camera: camera.into(), from: now() + minutes(from), to: Some(now() + minutes(to)) }
}

fn target(told: Option<Holds>) -> Target {
    let asked = DeviceClock::default().to_device(request().span);
    let told = told.map(|holds| Told { holds, ranges: Vec::new(), asked });
    Target { device: device(1).id, handed_over: None, told, ended: None }
}

#[test]
fn a_request_is_done_when_all_of_it_is_there_or_the_device_has_no_more() {
    let request = request();
    let two = VideoRequest { cameras: vec!["front".into(), "rear".into()], ..request.clone() };
    let whole = |camera| lies(camera, -61, -49);
    let (done, nothing) = (Some(Outcome::Done), Some(Outcome::Nothing));
    for (what, request, told, stored, outcome) in [
        ("nothing is there yet", &request, None, vec![], None),
        ("the device has nothing", &request, Some(Holds::Nothing), vec![], nothing),
        ("all of the only camera", &request, None, vec![whole("")], done),
        ("in two files", &request, Some(Holds::Partial), vec![lies("", -61, -55), lies("", -55, -49)], done),
        ("a gap", &request, Some(Holds::Partial), vec![lies("", -61, -56), lies("", -55, -49)], None),
        ("a gap that the device knows of", &request, Some(Holds::Done), vec![lies("", -61, -56)], done),
        ("what it sent lies elsewhere", &request, Some(Holds::Done), vec![], done),
        ("it was there before, and is deleted", &request, Some(Holds::Nothing), vec![lies("", -61, -56)], done),
        ("there may be another camera", &request, None, vec![whole("front")], None),
        ("both that were asked for", &two, None, vec![whole("front"), whole("rear")], done),
        ("one of two", &two, None, vec![whole("front")], None),
        ("no end is known", &request, None, vec![Lies { to: None, ..whole("") }], None),
        ("no end is known, and no more", &request, Some(Holds::Done), vec![Lies { to: None, ..whole("") }], done),
    ] {
        assert_eq!(settle(request, told, &stored, false, now()), outcome, "{what}");
    }
}

fn declared() -> Declared {
    Declared {
        rid: RecordingId::from_bytes([1; 16]),
        camera: String::new(),
        kind: Kind::Continuous,
        event_type: None,
        start: now().fixed_offset(),
        end: None,
        boot: None,
        overwrite_at: None,
        request: None,
        size: None,
        sha256: None,
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    }
}

#[test]
fn what_a_device_offered_is_to_come_until_it_is_overwritten() {
    let request = request();
    let span = Span { from: now() - minutes(61), to: now() - minutes(59) };
    let front = Declared { camera: "front".into(), start: span.from.fixed_offset(), ..declared() };
    let to_come =
        |declared: &Declared, span, overwrites, oldest| is_to_come(declared, span, overwrites, oldest, &request, now());
    assert!(to_come(&front, Some(span), None, None));
    assert!(to_come(&front, Some(span), Some(now() + minutes(1)), Some(span.from)));
    assert!(!to_come(&front, Some(span), Some(now()), None), "it said that it would overwrite it by now");
    assert!(!to_come(&front, Some(span), None, Some(span.from + minutes(1))), "what it holds begins later");
    let unset = Declared { start: span.from.fixed_offset() - TimeDelta::days(9000), ..front.clone() };
    assert!(to_come(&unset, Some(span), None, Some(span.from)), "where it lies counts, not what its clock showed");
    assert!(!to_come(&front, None, None, None), "nobody knows where it lies");
    let elsewhere = Span { from: now() - minutes(50), to: now() };
    assert!(!to_come(&front, Some(elsewhere), None, None));
    let rear = VideoRequest { cameras: vec!["rear".into()], ..request.clone() };
    assert!(!is_to_come(&front, Some(span), None, None, &rear, now()));
}

#[test]
fn nothing_is_over_before_the_range_is() {
    let request = request();
    let early = request.span.to - TimeDelta::seconds(1);
    assert_eq!(settle(&request, Some(Holds::Nothing), &[], false, early), None);
    let at_its_end = |to_come| settle(&request, Some(Holds::Nothing), &[], to_come, request.span.to);
    assert_eq!(at_its_end(false), Some(Outcome::Nothing));
    assert_eq!(at_its_end(true), None, "it offered some");
}

#[test]
fn what_is_there_is_told_by_camera_and_never_more_than_there_is() {
    let two = VideoRequest { cameras: vec!["front".into(), "rear".into()], ..request() };
    let told: Vec<_> = coverage(&two, &[lies("front", -60, -55), lies("front", -52, -40)])
        .into_iter()
        .map(|camera| (camera.camera, camera.percent, camera.covered.len()))
        .collect();
    assert_eq!(told, [("front".to_owned(), 70, 2), ("rear".to_owned(), 0, 0)]);
    let nearly = Lies { from: now() - minutes(60) + TimeDelta::seconds(3), ..lies("", -60, -50) };
    assert_eq!(coverage(&request(), &[nearly])[0].percent, 99);
    assert!(coverage(&request(), &[]).is_empty());
}

#[test]
fn only_news_of_open_requests_are_kept() {
    let request = request();
    let said = |holds| vec![(request.id, holds, vec![request.span])];
    let open = |told| [(request.clone(), target(told))];
    let news = |open: &[_], said| told(open, said, &DeviceClock::default(), now());
    assert_eq!(news(&open(None), said(Holds::Queued)).len(), 1);
    let mut known = open(Some(Holds::Queued));
    known[0].1.told.as_mut().unwrap().ranges = vec![request.span];
    assert!(news(&known, said(Holds::Queued)).is_empty());
    assert_eq!(news(&known, said(Holds::Partial)).len(), 1);
    assert!(news(&[], said(Holds::Done)).is_empty());
}

#[test]
fn that_there_is_no_more_is_said_after_the_range_and_of_the_range_as_it_is_asked_for_now() {
    let (request, clock) = (request(), DeviceClock::default());
    let open = [(request.clone(), target(None))];
    let said_at = |time| told(&open, vec![(request.id, Holds::Nothing, Vec::new())], &clock, time);
    assert!(said_at(request.span.to - TimeDelta::seconds(1)).is_empty());
    let [Fact::Request(RequestFact::Told { holds, asked, .. })] = said_at(request.span.to)[..] else { unreachable!() };
    let known = target(Some(holds));
    assert_eq!(known.says_of(asked), Some(Holds::Nothing));
    let other = (asked.0 + minutes(60), asked.1 + minutes(60));
    assert_eq!(known.says_of(other), None, "its clock turned out to be wrong");
    assert_eq!(target(Some(Holds::Partial)).says_of(other), Some(Holds::Partial));
}

#[test]
fn the_most_urgent_of_those_that_ask_counts() {
    let declared = |camera: &str, request| Declared {
        rid: RecordingId::from_bytes([1; 16]),
        camera: camera.into(),
        kind: Kind::Continuous,
        event_type: None,
        start: now().fixed_offset(),
        end: None,
        boot: None,
        overwrite_at: None,
        request,
        size: Some(1),
        sha256: None,
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    };
    let urgent = VideoRequest { priority: 2, id: id(2), cameras: vec!["rear".into()], ..request() };
    let open = [(request(), target(None)), (urgent.clone(), target(None))];
    let inside = Some(Span { from: now() - minutes(55), to: now() - minutes(54) });
    let outside = Some(Span { from: now() - minutes(30), to: now() - minutes(20) });
    for (camera, request, span, priority) in [
        ("front", None, inside, Some(5)),
        ("rear", None, inside, Some(2)),
        ("rear", None, outside, None),
        ("rear", Some(urgent.id), outside, Some(2)),
        ("front", Some(urgent.id), outside, None),
        ("rear", Some(urgent.id), None, Some(2)),
        ("rear", Some(id(77)), None, None),
    ] {
        assert_eq!(wanted(&declared(camera, request), span, &open), priority, "{camera} {request:?} {span:?}");
    }
}

#[test]
fn what_expires_is_told_of() {
    let open = row(VideoRequest { expires: now() + minutes(1), ..request() });
    assert!(expired(std::slice::from_ref(&open), now()).is_empty());
    assert_eq!(expired(&[open], now() + minutes(1)).len(), 1);
}

proptest! {
    #[test]
    fn whatever_is_stored_no_request_is_done_with_a_gap_unless_the_device_says_so(
        parts in prop::collection::vec((-80..-30_i64, 1..20_i64), 0..12),
    ) {
        let request = request();
        let stored: Vec<_> = parts.iter().map(|(from, length)| lies("", *from, from + length)).collect();
        let stored: Vec<_> = stored
            .into_iter()
            .filter(|lies| Span::of(lies.from, lies.to).overlaps(&request.span))
            .collect();
        // Minute by minute, as a person would look.
        let whole = (-60..-50).all(|minute| {
            let moment = now() + minutes(minute) + TimeDelta::seconds(30);
            stored.iter().any(|lies| lies.from <= moment && lies.to.unwrap() > moment)
        });
        prop_assert_eq!(settle(&request, None, &stored, false, now()).is_some(), whole);
        prop_assert!(settle(&request, Some(Holds::Done), &stored, false, now()).is_some());
    }
}
