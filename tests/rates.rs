//! Rates hold, what one leaves is for the others, and a transfer that waits for its turn is no stranger to anything else.

use std::time::{Duration, Instant};

use longshore_model::Sha256;

use crate::support::{World, bytes, eventually, recording};

const MB: usize = 1_000_000;

#[test]
fn a_body_camera_is_read_at_64_megabits_whatever_it_sends() {
    let world = World::configured("[rates]\n");
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 16 * MB);
    let upload = camera.upload_of(&recording(1, &content));
    let began = Instant::now();
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1900), "16 MB at 8 MB/s in {took:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn what_all_may_send_is_shared_by_devices_however_many_transfers_each_has() {
    let world = World::configured("[rates]\nserver = '64 Mbit/s'\nstream = 'unlimited'\n");
    let cameras = [world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones")];
    let content: Vec<_> = (0..4).map(|n| bytes(n, 8 * MB)).collect();
    // Three transfers of the first, one of the second.
    let transfers: Vec<_> = [0, 0, 0, 1].into_iter().zip(&content).enumerate().collect();
    let transfers: Vec<_> = transfers
        .iter()
        .map(|(n, (camera, content))| {
            let camera = &cameras[*camera];
            (camera, camera.upload_of(&recording(u32::try_from(*n).unwrap(), content)), *content)
        })
        .collect();
    let began = Instant::now();
    let ended: Vec<Duration> = std::thread::scope(|scope| {
        let sent = transfers.iter().map(|(camera, upload, content)| {
            scope.spawn(move || {
                assert_eq!(camera.patch(upload, 0, content).status, 204);
                began.elapsed()
            })
        });
        sent.collect::<Vec<_>>().into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    // 32 MB at 8 MB/s; half of it is the second camera's for as long as it wants it.
    assert!(ended.iter().max().unwrap() > &Duration::from_millis(3700), "{ended:?}");
    assert!(ended[..3].iter().all(|first| *first > ended[3]), "{ended:?}");
}

#[test]
fn a_transfer_that_waits_for_its_turn_lets_go_at_once_and_follows_the_configuration() {
    let world = World::configured("[rates]\nstream = '80 kbit/s'\n");
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 8 * MB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut slow = camera.begin_patch(&upload, 0, content.len());
    slow.send(&content[..MB]).unwrap();
    eventually("it is being read", || world.works_on(&upload));
    let began = Instant::now();
    let at = usize::try_from(camera.offset(&upload)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(at < MB, "{at} bytes came at once");
    slow.reply("PATCH").is_problem(409, "superseded");

    // It would take a quarter of an hour.
    let patching = std::thread::scope(|scope| {
        let patching = scope.spawn(|| camera.patch(&upload, at as u64, &content[at..]));
        eventually("it is being read again", || world.works_on(&upload));
        world.reconfigure("[rates]\nstream = 'unlimited'\n");
        patching.join().unwrap()
    });
    assert_eq!(patching.status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}
