//! From the enrolment text to a device that is known.

use longshore_agent::enrol::EnrolError;
use longshore_model::{DeviceId, TokenId};

use crate::camera::{Camera, eventually};
use crate::server::{self, Server};

#[tokio::test]
async fn a_server_with_another_key_gets_nothing() {
    let camera = Camera::new().await;
    let other = Server::start().await;
    let mut text = camera.server.text.clone();
    text.server = other.text.server.clone();
    let error = camera.enrol(&text).await.unwrap_err().to_string();
    assert!(error.contains("shows another key than the enrolment text names"), "{error}");
    assert!(other.world.lock().unwrap().calls.is_empty());
    assert_eq!(camera.state().identity().unwrap(), None);
}

#[tokio::test]
async fn enrolling_waits_for_the_admin_and_shows_what_to_compare() {
    let camera = Camera::new().await;
    camera.server.world.lock().unwrap().polls_before_approval = 1;
    let identity = camera.enrol(&camera.server.text).await.unwrap();
    assert_eq!((identity.device, identity.serial.as_str()), (server::DEVICE, "B4-10291"));
    let heard = camera.heard();
    assert!(heard.contains("K7PX") && heard.contains("longshore device approve B4-10291"), "{heard}");
    assert_eq!(camera.state().identity().unwrap(), Some(identity));
}

#[tokio::test]
async fn an_enrolled_device_obeys_no_text_of_another_server() {
    let camera = Camera::enrolled().await;
    let other = Server::start().await;
    let error = camera.enrol(&other.text).await.unwrap_err();
    assert!(matches!(error, EnrolError::OtherServer { .. }), "{error}");
    assert!(other.world.lock().unwrap().calls.is_empty());
    let calls = camera.server.world.lock().unwrap().calls.len();
    camera.enrol(&camera.server.text).await.unwrap();
    assert_eq!(camera.server.world.lock().unwrap().calls.len(), calls, "it is enrolled already");
}

#[tokio::test]
async fn a_new_text_of_the_same_server_enrols_a_retired_device_again_with_its_key() {
    let camera = Camera::enrolled().await;
    let key = camera.state().key().unwrap().serialize_der();
    let first_key = camera.server.world.lock().unwrap().enrolling.clone();
    let new = DeviceId::from_bytes([0xe; 16]);
    let mut text = camera.server.text.clone();
    text.token = TokenId::from_bytes([3; 16]);
    {
        let mut world = camera.server.world.lock().unwrap();
        world.token = Some("AwMDAwMDAwMDAwMDAwMDAw".into());
        world.approves = Some(new);
        world.polls_before_approval = usize::MAX;
    }
    // Given up before the admin approves: it is still who it was.
    let asked = eventually("it polls", || camera.server.world.lock().unwrap().count("GET") >= 2);
    tokio::select! {
        end = camera.enrol(&text) => panic!("{end:?}"),
        () = asked => {}
    }
    assert_eq!(camera.state().identity().unwrap().unwrap().device, server::DEVICE);
    camera.server.world.lock().unwrap().polls_before_approval = 0;
    let identity = camera.enrol(&text).await.unwrap();
    assert_eq!(identity.device, new);
    assert_eq!(camera.state().identity().unwrap(), Some(identity));
    assert_eq!(camera.state().key().unwrap().serialize_der(), key);
    assert_eq!(camera.server.world.lock().unwrap().enrolling, first_key);
    let calls = camera.server.world.lock().unwrap().calls.len();
    camera.enrol(&text).await.unwrap();
    assert_eq!(camera.server.world.lock().unwrap().calls.len(), calls, "it is enrolled with this text");
}
