//! Breaks: of the connection, of the server, of its power. What was acknowledged stays, what arrived is kept.

use longshore_model::Sha256;

use crate::support::{World, bytes, eventually, recording};

const MIB: usize = 1024 * 1024;

#[test]
fn a_cut_patch_keeps_what_arrived() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    for (n, cut) in (1..).zip([0, 1, 4095, 4096, 4097, 65_536, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]) {
        let content = bytes(n.into(), 4 * MIB);
        let upload = camera.upload_of(&recording(n, &content));
        let mut exchange = camera.begin_patch(&upload, 0, content.len());
        eventually("the request has reached its transfer", || world.works_on(&upload));
        exchange.send(&content[..cut]).unwrap();
        exchange.arrived();
        exchange.cut();
        // An offer tells the durable offset and, unlike HEAD, takes nothing over.
        eventually(&format!("all {cut} bytes that were sent are acknowledged"), || {
            let answer = &camera.offer(&[recording(n, &content)])[0];
            let offset = answer["offset"].as_u64().unwrap();
            assert!(offset <= cut as u64, "{offset} acknowledged, {cut} sent");
            offset == cut as u64
        });
        assert_eq!(camera.offset(&upload), cut as u64);
        let done = camera.patch(&upload, cut as u64, &content[cut..]);
        assert_eq!((done.status, done.offset()), (204, content.len() as u64), "cut at {cut}");
    }
    assert_eq!(world.stored().len(), 10);
    assert!(world.incoming().is_empty());
}

#[test]
fn a_newer_request_takes_an_upload_over_from_a_hanging_one() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut hanging = camera.begin_patch(&upload, 0, content.len());
    hanging.send(&content[..2 * MIB + 100]).unwrap();
    eventually("the first request has brought something", || {
        world.incoming().first().is_some_and(|folder| folder.join("data").metadata().unwrap().len() >= MIB as u64)
    });

    let offset = usize::try_from(camera.offset(&upload)).unwrap();
    assert!(offset >= MIB, "what the older request brought is kept: {offset}");
    let reply = hanging.reply("PATCH");
    reply.is_problem(409, "superseded");
    let done = camera.patch(&upload, offset as u64, &content[offset..]);
    assert_eq!(done.status, 204);
    // What the older one sends now goes nowhere.
    let _refused = hanging.send(&content[2 * MIB + 100..]);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn however_requests_race_for_an_upload_the_recording_is_right() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 6 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    std::thread::scope(|scope| {
        for racer in 0..3 {
            let (camera, upload, content) = (&camera, &upload, &content);
            scope.spawn(move || {
                // Each sends a little less or more, so that they cut each other off at ever other places.
                for step in (MIB / 3 * (racer + 1)..).step_by(MIB / 7) {
                    let head = camera.head(upload);
                    let at = if head.status == 200 { usize::try_from(head.offset()).unwrap() } else { continue };
                    if at == content.len() {
                        return;
                    }
                    let reply = camera.patch(upload, at as u64, &content[at..content.len().min(at + step)]);
                    assert!([204, 409, 429, 503].contains(&reply.status), "{reply:?}");
                }
            });
        }
    });
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
    assert!(world.incoming().is_empty());
}

#[test]
fn a_stopping_server_commits_says_so_and_goes_on_where_it_was() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut hanging = camera.begin_patch(&upload, 0, content.len());
    hanging.send(&content[..2 * MIB + 100]).unwrap();
    eventually("the request has brought something", || {
        world.incoming().first().is_some_and(|folder| folder.join("data").metadata().unwrap().len() >= MIB as u64)
    });
    world.terminate();
    let reply = hanging.reply("PATCH");
    let problem = reply.is_problem(503, "shutting-down");
    assert!(reply.headers.contains_key("retry-after"));
    let kept = problem["offset"].as_u64().unwrap();
    assert_eq!(reply.offset(), kept);
    assert!(kept >= MIB as u64);
    assert_eq!(world.stopped(), Some(0));

    world.start();
    assert_eq!(camera.offset(&upload), kept);
    assert_eq!(camera.patch(&upload, kept, &content[usize::try_from(kept).unwrap()..]).status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn a_waiting_poll_does_not_hold_the_stop() {
    let mut world = World::new();
    let camera = crate::support::Camera::new(&world);
    let asked = camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let path = format!("/device/v1/enrolments/{}", asked["id"].as_str().unwrap());
    let mut poll = camera.begin("GET", &path, &["Prefer: wait=50"]);
    // A request that came later is answered, so the poll is waiting.
    assert_eq!(camera.request("GET", "/device/v1/hello", &[], b"").status, 200);
    world.terminate();
    assert_eq!(poll.reply("GET").json(200)["state"], "pending");
    assert_eq!(world.stopped(), Some(0));
}

#[test]
fn an_idle_connection_does_not_hold_the_stop() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let mut idle = camera.begin("GET", "/device/v1/desired", &[]);
    assert_eq!(idle.reply("GET").status, 200);
    let began = std::time::Instant::now();
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn after_kill_9_every_acknowledged_byte_is_there() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 24 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    let mut acknowledged = 0;
    for end in [MIB + 5, 7 * MIB, 20 * MIB + 1] {
        let from = usize::try_from(acknowledged).unwrap();
        acknowledged = camera.patch(&upload, acknowledged, &content[from..end]).offset();
        assert_eq!(acknowledged, end as u64);
        // And then a request that nobody will answer.
        let mut unanswered = camera.begin_patch(&upload, acknowledged, content.len() - end);
        unanswered.send(&content[end..end + MIB]).unwrap();
        world.kill();
        world.start();
        let offset = camera.offset(&upload);
        assert!(offset >= acknowledged, "{offset} < {acknowledged}");
        acknowledged = offset;
    }
    let rest = &content[usize::try_from(acknowledged).unwrap()..];
    assert_eq!(camera.patch(&upload, acknowledged, rest).status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn an_index_that_is_gone_is_made_again() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    for n in 1..5 {
        let content = bytes(n.into(), 1000);
        let upload = camera.upload_of(&recording(n, &content));
        camera.patch(&upload, 0, &content);
    }
    let (recordings, devices) = (world.recordings(), world.cli_json(&["device", "list"]));
    assert_eq!(recordings.len(), 4);
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!((world.recordings(), world.cli_json(&["device", "list"])), (recordings, devices));
    assert_eq!(camera.offer(&[recording(1, &bytes(1, 1000))])[0]["answer"], "have");
}

#[test]
fn a_placing_that_was_interrupted_is_completed_at_the_next_start() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 1000);
    let item = recording(1, &content);
    let upload = camera.upload_of(&item);
    camera.patch(&upload, 0, &content);
    let stored = world.stored();
    let (name, _) = stored.first_key_value().unwrap();
    world.kill();
    // As a crash after the record of the intent, and before either rename, leaves it.
    let id = upload.rsplit('/').next().unwrap();
    let (video, folder) = (world.storage().join(name), world.storage().join(".incoming").join(id));
    let manifest = video.with_file_name(format!("{}.json", video.file_name().unwrap().to_str().unwrap()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(&video, folder.join("data")).unwrap();
    std::fs::rename(&manifest, folder.join("placing")).unwrap();
    world.start();
    assert_eq!(world.stored(), stored);
    assert!(manifest.exists() && world.incoming().is_empty());
    assert_eq!(world.recordings().len(), 1, "and it is counted once");
}
