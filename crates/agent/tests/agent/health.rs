//! What the agent notices of its cards, and tells once.

use std::fs;

use longshore_model::health_type;

use crate::camera::{Camera, MIB, eventually};
use crate::card::{Card, may_mount, until, watching};

/// What the server was told, in order: types, and whether they are over.
fn told(camera: &Camera) -> Vec<(String, bool)> {
    let world = camera.server.world.lock().unwrap();
    world.health.iter().map(|event| (event.kind.clone(), event.cleared)).collect()
}

/// Whether it was told this after the first words, which say of each type that all is well.
fn is_told(camera: &Camera, first: usize, kind: &str, cleared: bool) -> bool {
    told(camera).iter().skip(first).any(|(told, over)| told == kind && *over == cleared)
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_once_and_so_is_its_return() {
    let camera = Camera::enrolled().await;
    let (card, away) = (camera.card(""), camera.folder.path().join("away"));
    let all = async {
        eventually("the server knows that all is well", || told(&camera).len() == 4).await;
        fs::rename(&card, &away).unwrap();
        eventually("it is missing", || is_told(&camera, 4, health_type::STORAGE_MISSING, false)).await;
        fs::rename(&away, &card).unwrap();
        eventually("it is back", || is_told(&camera, 4, health_type::STORAGE_MISSING, true)).await;
    };
    tokio::select! {
        result = camera.without_end().run() => panic!("the run ended: {result:?}"),
        () = all => {}
    }
    let told = told(&camera);
    assert!(told[..4].iter().all(|(_, cleared)| *cleared), "what an earlier run told may be over: {told:?}");
    let missing = health_type::STORAGE_MISSING.to_owned();
    assert_eq!(told[4..], [(missing.clone(), false), (missing, true)], "nothing is told twice");
    let ids: std::collections::BTreeSet<_> =
        camera.server.world.lock().unwrap().health.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), told.len());
}

#[tokio::test]
async fn a_card_without_room_is_told_until_it_was_unloaded() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = Card::new(&camera, "CAM 1");
    card.put("EVENT/a.mp4", 63 * MIB);
    until(
        watching(&camera).run(),
        vec![
            ("the server knows that all is well", Box::new(|| told(&camera).len() == 3), Box::new(|| card.put_in())),
            ("it is full", Box::new(|| is_told(&camera, 3, health_type::STORAGE_FULL, false)), Box::new(|| {})),
            ("the card is empty", Box::new(|| camera.reported().len() == 1), Box::new(|| card.pull_out())),
            ("it is not full", Box::new(|| is_told(&camera, 3, health_type::STORAGE_FULL, true)), Box::new(|| {})),
        ],
    )
    .await;
    let told = told(&camera);
    assert!(told.iter().all(|(kind, _)| kind != health_type::STORAGE_MISSING), "nobody knows that: {told:?}");
}
