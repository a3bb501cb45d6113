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
fn devices_of_a_site_share_what_it_may_send_and_what_it_leaves_is_for_the_other() {
    let world = World::configured("[rates]\nserver = '64 Mbit/s'\nstream = 'unlimited'\n");
    world.cli_json(&["site", "add", "North", "--network", "127.0.0.2/32", "--rate", "16 Mbit/s"]);
    world.cli_json(&["site", "add", "South", "--network", "127.0.0.3/32"]);
    let sent: Vec<_> = [("127.0.0.2", 6), ("127.0.0.2", 6), ("127.0.0.3", 18)]
        .into_iter()
        .zip(1..)
        .map(|((from, megabytes), n)| {
            let mut camera = world.camera(&format!("B4-{n}"), "J. Smith");
            camera.call_from(from);
            (camera, bytes(n, megabytes * MB))
        })
        .collect();
    let began = Instant::now();
    let ended: Vec<Duration> = std::thread::scope(|scope| {
        let sending = sent.iter().zip(1..).map(|((camera, content), n)| {
            scope.spawn(move || {
                let upload = camera.upload_of(&recording(n, content));
                assert_eq!(camera.patch(&upload, 0, content).status, 204);
                began.elapsed()
            })
        });
        sending.collect::<Vec<_>>().into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    // 12 MB at 2 MB/s. A third of what all may send would be 18 MB in nearly seven seconds.
    assert!(ended[..2].iter().max().unwrap() > &Duration::from_millis(5700), "{ended:?}");
    assert!(ended[..2].iter().all(|north| *north > ended[2]), "{ended:?}");
    assert!(ended[2] > Duration::from_millis(2200), "18 MB at no more than 8 MB/s: {ended:?}");
    assert_eq!(world.stored().len(), 3);
}

#[test]
fn a_device_that_comes_back_from_another_network_has_the_rate_of_that_site() {
    let world = World::configured("[rates]\nstream = 'unlimited'\n");
    world.cli_json(&["site", "add", "North", "--network", "127.0.0.2/32", "--rate", "80 kbit/s"]);
    world.cli_json(&["site", "add", "South", "--network", "127.0.0.3/32"]);
    let content = bytes(1, 8 * MB);
    let mut camera = world.camera("B4-1", "J. Smith");
    camera.call_from("127.0.0.2");
    let upload = camera.upload_of(&recording(1, &content));
    let mut slow = camera.begin_patch(&upload, 0, content.len());
    slow.send(&content[..MB]).unwrap();
    eventually("it is being read", || world.works_on(&upload));
    camera.call_from("127.0.0.3");
    let at = usize::try_from(camera.offset(&upload)).unwrap();
    assert!(at < MB, "{at} bytes came at once");
    slow.cut();
    // At North it would take a quarter of an hour.
    assert_eq!(camera.patch(&upload, at as u64, &content[at..]).status, 204);

    // The rate of a site that somebody changes counts for what is under way.
    camera.call_from("127.0.0.2");
    let content = bytes(2, 8 * MB);
    let upload = camera.upload_of(&recording(2, &content));
    let patching = std::thread::scope(|scope| {
        let patching = scope.spawn(|| camera.patch(&upload, 0, &content));
        eventually("it is being read", || world.works_on(&upload));
        world.cli_json(&["site", "add", "North", "--rate", "unlimited"]);
        patching.join().unwrap()
    });
    assert_eq!(patching.status, 204);
    assert_eq!(world.stored().len(), 2);
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
