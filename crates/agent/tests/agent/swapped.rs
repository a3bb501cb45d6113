//! Cards that take each other's places.

use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

use crate::camera::{Camera, MIB, is_there};
use crate::card::{Card, looking_every, may_mount, run, text, until, watching};
use crate::server::Fault;

/// A card whose folders `a` and `b` stand for two, which go into one reader.
fn two_in_one(camera: &Camera) -> Card {
    let card = Card::new(camera, "CAM");
    for part in ["a", "b"] {
        fs::create_dir_all(card.drawer.join(part).join("EVENT")).unwrap();
    }
    card
}

#[tokio::test]
async fn a_file_is_not_taken_for_deleted_when_another_card_is_in_the_reader() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = two_in_one(&camera);
    card.put("a/EVENT/a.mp4", MIB);
    card.put("b/EVENT/b.mp4", 10);
    card.put_in_part("a");
    run("mount", &["-o", "remount,bind,ro", text(&card.place)]);
    let gone = || camera.heard().matches("CAM is gone").count();
    until(
        watching(&camera).run(),
        vec![
            (
                "the card refuses the deletion",
                Box::new(|| camera.heard().contains("could not be deleted: Read-only")),
                Box::new(|| card.pull_out()),
            ),
            ("the card is missed", Box::new(|| gone() == 1), Box::new(|| card.put_in_part("b"))),
            (
                "the other card is empty",
                Box::new(|| camera.reported().contains(&"EVENT/b.mp4".to_owned())),
                Box::new(|| {
                    assert_eq!(camera.reported(), ["EVENT/b.mp4"]);
                    assert!(is_there(&card.drawer.join("a/EVENT/a.mp4")));
                    card.pull_out();
                }),
            ),
            ("the other card is missed", Box::new(|| gone() == 2), Box::new(|| card.put_in_part("a"))),
            ("the first card is empty too", Box::new(|| camera.reported().len() == 2), Box::new(|| {})),
        ],
    )
    .await;
    assert!(!is_there(&card.drawer.join("a/EVENT/a.mp4")));
}

#[tokio::test]
async fn a_card_that_takes_the_place_of_another_is_told_as_such() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = two_in_one(&camera);
    card.put("a/plain.mp4", 10);
    card.put_in_part("a");
    until(
        looking_every(&camera, Duration::from_millis(20)).run(),
        vec![
            (
                "the first card is known",
                Box::new(|| camera.heard().contains("1 not requested")),
                // Over the first one, so that nobody sees an empty reader.
                Box::new(|| card.put_in_part("b")),
            ),
            ("the change is told", Box::new(|| camera.heard().contains("another card is in")), Box::new(|| {})),
        ],
    )
    .await;
    assert!(!camera.heard().contains("is gone"), "{}", camera.heard());
}

#[tokio::test]
async fn a_card_that_is_put_in_while_another_is_sent_does_not_wait_for_all_of_it() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let (first, second) = (Card::new(&camera, "CAM 1"), Card::new(&camera, "CAM 2"));
    first.put("EVENT/a.mp4", MIB);
    first.put("EVENT/b.mp4", MIB);
    second.put("EVENT/old.mp4", MIB);
    // The oldest is sent first.
    let old = File::options().write(true).open(second.drawer.join("EVENT/old.mp4")).unwrap();
    old.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    first.put_in();
    let (from, to) = (second.drawer.clone(), second.place.clone());
    let put_in = move || run("mount", &["--bind", text(&from), text(&to)]);
    camera.fault([Fault::Meanwhile(Box::new(put_in))]);
    until(
        watching(&camera).run(),
        vec![("both cards are empty", Box::new(|| camera.reported().len() == 3), Box::new(|| {}))],
    )
    .await;
    let heard = camera.heard();
    let at = |name: &str| heard.find(&format!("sent EVENT/{name}.mp4")).unwrap();
    assert!(at("a") < at("old") && at("old") < at("b"), "{heard}");
}
