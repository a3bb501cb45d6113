//! Bytes that arrived wrong.

use crate::camera::{Camera, MIB, is_there};
use crate::server::Fault;

#[tokio::test]
async fn only_what_comes_from_the_first_bad_block_on_is_sent_again() {
    let camera = Camera::enrolled().await;
    let content = camera.put("EVENT/a.mp4", 20 * MIB);
    camera.server.world.lock().unwrap().keeps_aside = true;
    // The server checks that each body begins where its bytes end.
    camera.fault([Fault::Damage(9 * MIB), Fault::CutAfter(3 * MIB), Fault::Damage(17 * MIB)]);
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 1, 0), "{}", camera.heard());
    assert!(camera.stored("EVENT/a.mp4") == Some(content) && !is_there(&camera.card("EVENT/a.mp4")));
    let world = camera.server.world.lock().unwrap();
    assert_eq!((world.count("POST /device/v1/recordings"), world.count("POST /device/v1/uploads")), (2, 1));
    assert_eq!((world.count("PATCH"), world.count("POST /device/v1/offers")), (4, 1));
}

#[tokio::test]
async fn a_server_that_kept_nothing_gets_everything_again() {
    let camera = Camera::enrolled().await;
    let content = camera.put("EVENT/a.mp4", 9 * MIB);
    camera.fault([Fault::Damage(0)]);
    let summary = camera.once().await;
    assert_eq!((summary.sent, summary.deleted, summary.failed), (1, 1, 0), "{}", camera.heard());
    assert!(camera.stored("EVENT/a.mp4") == Some(content));
    let world = camera.server.world.lock().unwrap();
    assert_eq!((world.count("POST /device/v1/recordings"), world.count("POST /device/v1/uploads")), (1, 2));
}
