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
