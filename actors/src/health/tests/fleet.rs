//! What the server notices of many devices.

use longshore_model::CheckpointClaims;
use longshore_store::facts::CustodyFact;

use super::*;

/// More than may wait for the journal at once.
const DEVICES: u16 = 5000;

fn device(n: u16) -> DeviceId {
    let mut id = [2; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(id)
}

async fn with_many() -> World {
    let world = World::new("BC4").await;
    world.record(vec![Fact::DeviceRetired { device: DEVICE, by: "uid 0".into() }]).await;
    let added = |n| {
        let device: Device = serde_json::from_value(json!({
            "id": device(n), "serial": format!("C-{n}"), "model": "BC4", "state": "active", "assignments": [],
            "profile": "default", "approved_at": begin(),
        }))
        .unwrap();
        Fact::DeviceAdded { device, by: "uid 0".into() }
    };
    let facts: Vec<_> = (0..DEVICES).map(added).collect();
    for facts in facts.chunks(1000) {
        world.record(facts.to_vec()).await;
    }
    world
}

#[tokio::test]
async fn of_thousands_of_devices_the_one_that_is_silent_is_found() {
    let world = with_many().await;
    let _calls: Vec<_> = (0..DEVICES - 1).map(|n| world.parts.presence.call(device(n), None)).collect();
    assert_eq!(world.round(TimeDelta::days(8)).await, ["link_offline"]);
    assert_eq!(world.open()[0].subject, HealthSubject::Device(device(DEVICES - 1)));
}

#[tokio::test]
async fn thousands_of_devices_that_are_silent_at_once_are_all_told_of() {
    let world = with_many().await;
    assert_eq!(world.round(TimeDelta::days(8)).await.len(), usize::from(DEVICES));
}

/// As the server does it each day that it runs.
async fn checkpoint(world: &World, day: i64) {
    let at = begin() + TimeDelta::days(day);
    let claims = CheckpointClaims { position: 1, hash: Sha256::of(b""), at, server: String::new() };
    world.record(vec![Fact::Custody(CustodyFact::Checkpointed { claims, signed: String::new() })]).await;
}

#[tokio::test]
async fn the_time_in_which_the_server_was_off_is_no_silence_of_the_devices() {
    let world = World::new("BC4").await;
    for day in 0..3 {
        checkpoint(&world, day).await;
    }
    let world = world.restarted().await;
    assert_eq!(world.round(TimeDelta::days(11)).await, Vec::<String>::new());
    for day in 11..16 {
        checkpoint(&world, day).await;
        assert_eq!(world.round(TimeDelta::days(day)).await, Vec::<String>::new(), "day {day}");
    }
    assert_eq!(world.round(TimeDelta::days(16)).await, ["link_offline"]);
    assert_eq!(world.open()[0].value, Some(7.into()));
}

/// The issues of this type, and how they ended.
fn ends(world: &World, kind: &str) -> Vec<Option<IssueEnd>> {
    let issues = world.parts.catalogue.index().newest_issues(None, 100).unwrap();
    let of_it = issues.into_iter().filter(|issue| issue.kind == kind);
    of_it.map(|issue| issue.ended.map(|(how, _)| how)).collect()
}

async fn with_one_to_be_overwritten_after_20_hours() -> World {
    let world = World::new("BC4").await;
    let items = vec![declared(1, begin() + TimeDelta::hours(20), Kind::Event)];
    world.record(vec![Fact::Declared { device: DEVICE, items }]).await;
    assert_eq!(world.round(TimeDelta::hours(1)).await, ["overwrite_near"]);
    for hours in [16, 31] {
        assert_eq!(world.round(TimeDelta::hours(hours)).await, ["overwrite_near"], "it may still come");
    }
    world
}

#[tokio::test]
async fn what_was_overwritten_before_it_came_is_lost_and_not_resolved() {
    let world = with_one_to_be_overwritten_after_20_hours().await;
    let _call = world.parts.presence.call(DEVICE, None);
    assert_eq!(world.round(TimeDelta::hours(32)).await, ["overwrite_near", "recording_lost"]);
    let lost = world.open().remove(1);
    assert_eq!((lost.value, lost.text.unwrap().contains("2026-11-22 11:00 UTC")), (Some(1.into()), true));
    let mut open = Vec::new();
    for hours in (36..=180).step_by(12) {
        open.push(world.round(TimeDelta::hours(hours)).await);
    }
    assert_eq!(open.last().unwrap(), &["recording_lost"]);
    assert_eq!(ends(&world, "overwrite_near"), [Some(IssueEnd::Quiet)]);
    assert_eq!(world.round(TimeDelta::hours(210)).await, Vec::<String>::new());
    assert_eq!(ends(&world, "recording_lost"), [Some(IssueEnd::Quiet)], "nobody resolved it");
}

#[tokio::test]
async fn what_was_held_for_lost_and_came_after_all_is_resolved() {
    let world = with_one_to_be_overwritten_after_20_hours().await;
    world.round(TimeDelta::hours(32)).await;
    world.record(vec![stored(1)]).await;
    assert_eq!(world.round(TimeDelta::hours(33)).await, Vec::<String>::new());
    assert_eq!(ends(&world, "recording_lost"), [Some(IssueEnd::Cleared)]);
    assert_eq!(ends(&world, "overwrite_near"), [Some(IssueEnd::Cleared)]);
}

#[actix::test]
async fn a_device_that_begins_and_ends_what_it_makes_up_fills_nothing() {
    let world = World::new("BC4").await;
    let probe = Board::new(Arc::new(world.clock.clone())).probe(None, "health".to_owned(), None);
    let health = HealthAggregator::new(world.parts.clone(), Lifeline::new(|_| {}), probe).start();
    let event = |n: u32, cleared: bool| -> HealthEvent {
        let mut id = [u8::from(cleared); 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let json = json!({
            "id": HealthEventId::from_bytes(id), "type": format!("type_{n}"), "at": begin(), "cleared": cleared,
        });
        serde_json::from_value(json).unwrap()
    };
    let report = async |from: u32| {
        let events = (from..from + 50).flat_map(|n| [event(n, false), event(n, true)]).collect();
        let taken = health.send(Report { device: DEVICE, events }).await.unwrap().unwrap();
        taken.iter().filter(|taken| **taken == EventTaken::TooOften).count()
    };
    let mut refused = Vec::new();
    for round in 0..4 {
        refused.push(report(50 * round).await);
    }
    assert_eq!(refused, [0, 0, 22, 50]);
    world.parts.record_noticed().await.unwrap();
    let open: Vec<_> = world.open().into_iter().map(|issue| issue.kind).collect();
    assert_eq!(open, ["reports_too_much"]);
    world.clock.set(begin() + TimeDelta::hours(1));
    assert_eq!(report(1000).await, 0, "after an hour it is heard again");
}

#[tokio::test]
async fn weak_wifi_is_an_issue_when_it_stays_weak_and_until_it_is_not() {
    let world = World::new("BC4").await;
    let says = |kind: &str, signal: i16| {
        let network = serde_json::from_value(json!({"kind": kind, "ssid": "yard", "signal_dbm": signal})).unwrap();
        world.parts.signals.heard(&world.parts.notices, DEVICE, &network);
    };
    // Where it drives in.
    for signal in [-85, -60, -85, -80, -60] {
        says("wifi", signal);
    }
    (0..9).for_each(|_| says("cellular", -110));
    assert_eq!(world.round(TimeDelta::zero()).await, Vec::<String>::new());
    for signal in [-85, -80, -76] {
        says("wifi", signal);
    }
    assert_eq!(world.round(TimeDelta::minutes(1)).await, ["link_wifi_weak"]);
    let weak = world.open().remove(0);
    assert_eq!((weak.value, weak.text.as_deref()), (Some((-76).into()), Some("in the network yard")));
    says("wifi", -72);
    assert_eq!(world.round(TimeDelta::minutes(2)).await, ["link_wifi_weak"], "hardly better");
    says("wifi", -70);
    assert_eq!(world.round(TimeDelta::minutes(3)).await, Vec::<String>::new());
}
