//! What an account, its password and its tokens open, at most and for how long.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use longshore_model::BASE64URL;
use serde_json::{Value, json};

use crate::support::{Camera, Exchange, Program, Reply, World, elsewhere, eventually, token};

const LOGINS: &str = "/api/v1/logins";
const PASSWORD: &str = "correct horse";

/// An account that logs in with [`PASSWORD`].
fn with_password(world: &World, name: &str, role: &str) {
    let body = json!({"name": name, "role": role, "password": PASSWORD}).to_string();
    assert_eq!(world.api("POST", "/api/v1/accounts", &body).0, 201);
}

fn log_in(camera: &Camera, account: &str, password: &str) -> Reply {
    camera.post_json(LOGINS, &[], &json!({"account": account, "password": password, "label": "test"}))
}

/// Tokens of the only account.
fn tokens(world: &World) -> Vec<Value> {
    world.cli_json(&["account", "list"])[0]["tokens"].as_array().unwrap().clone()
}

#[test]
fn passwords_that_are_guessed_side_by_side_are_no_more_than_one_after_another() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let nobody = Camera::new(&world);
    let body = json!({"account": "anna", "password": "wrong horse", "label": "test"}).to_string();
    let length = format!("Content-Length: {}", body.len());
    let headers = ["Content-Type: application/json", &length];
    // Fewer than strangers may ask in a minute.
    let mut guesses: Vec<Exchange> = (0..25).map(|_| nobody.begin("POST", LOGINS, &headers)).collect();
    for guess in &mut guesses {
        guess.send(body.as_bytes()).unwrap();
    }
    let statuses: Vec<u16> = guesses.iter_mut().map(|guess| guess.reply("POST").status).collect();
    let answered = |status: u16| statuses.iter().filter(|answer| **answer == status).count();
    assert_eq!((answered(401), answered(429)), (10, 15), "{statuses:?}");
    let refused = log_in(&nobody, "anna", PASSWORD);
    refused.is_problem(429, "too-many");
    assert!(refused.headers["retry-after"].parse::<u64>().unwrap() > 800, "{refused:?}");
    assert!(tokens(&world).is_empty());
}

#[test]
fn a_good_token_makes_nobody_guess_faster() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let camera = Camera::new(&world);
    let issued = log_in(&camera, "anna", PASSWORD).json(201);
    let bearer = format!("Authorization: Bearer {}", issued["token"].as_str().unwrap());
    let names = (0..40).map(|n| json!({"account": format!("n{n}"), "password": "wrong horse", "label": "test"}));
    let statuses: Vec<u16> = names.map(|body| camera.post_json(LOGINS, &[&bearer], &body).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 29, "{statuses:?}");
    assert!(statuses[29..].iter().all(|status| *status == 429), "{statuses:?}");
}

#[test]
fn another_password_ends_what_the_one_before_opened_and_no_other_token() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let camera = Camera::new(&world);
    log_in(&camera, "anna", PASSWORD).json(201);
    let made = world.api("POST", "/api/v1/api-tokens", &json!({"account": "anna", "label": "program"}).to_string());
    assert_eq!((made.0, tokens(&world).len()), (201, 2));
    let password = "correcter horse";
    let body = json!({"account": "anna", "password": password}).to_string();
    assert_eq!(world.api("POST", "/api/v1/passwords", &body).0, 200);
    let left = tokens(&world);
    assert!(left.len() == 1 && left[0]["label"] == "program", "{left:?}");
    log_in(&camera, "anna", PASSWORD).is_problem(401, "unauthenticated");
    log_in(&camera, "anna", password).json(201);
}

#[test]
fn wrong_passwords_leave_a_trace_and_what_was_typed_as_a_name_leaves_none() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let nobody = Camera::new(&world);
    for _ in 0..3 {
        log_in(&nobody, "a password, typed too early", "anna").is_problem(401, "unauthenticated");
    }
    for n in 0..10 {
        assert!(!world.log().contains("the account rests"), "{n}");
        log_in(&nobody, "anna", "wrong horse").is_problem(401, "unauthenticated");
    }
    log_in(&nobody, "anna", "wrong horse").is_problem(429, "too-many");
    let log = world.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();
    let wrong = lines("a wrong password");
    assert_eq!(wrong.len(), 10, "{log}");
    assert!(wrong[0].contains("anna") && wrong[0].contains("127.0.0.1"), "{wrong:?}");
    let rests = lines("the account rests");
    assert!(rests.len() == 1 && rests[0].contains("WARN") && rests[0].contains("anna"), "{log}");
    // Once a minute.
    assert_eq!(lines("a name that no account has").len(), 1, "{log}");
    assert!(!log.contains("typed too early") && !log.contains("horse"), "{log}");
}

#[test]
fn what_is_too_long_to_be_a_name_or_a_password_is_refused_before_it_counts() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let nobody = Camera::new(&world);
    log_in(&nobody, &"a".repeat(256), PASSWORD).is_problem(400, "malformed-request");
    for _ in 0..11 {
        log_in(&nobody, "anna", &"x".repeat(1025)).is_problem(400, "malformed-request");
    }
    log_in(&nobody, "anna", PASSWORD).json(201);
}

#[test]
fn an_account_has_a_bounded_number_of_connections_and_another_still_gets_in() {
    let world = World::new();
    let (anna, ben) = (Program::with_role(&world, "viewer"), Program::with_role(&world, "requester"));
    let ask = |program: &Program| {
        let mut connection = program.camera.begin("GET", "/api/v1/whoami", &[&program.authorization]);
        let reply = connection.reply("GET");
        (connection, reply)
    };
    let mut open: Vec<Exchange> = Vec::new();
    for _ in 0..64 {
        let (connection, reply) = ask(&anna);
        reply.json(200);
        open.push(connection);
    }
    let (mut one_more, refused) = ask(&anna);
    refused.is_problem(429, "too-many");
    assert!(one_more.ends_within(Duration::from_secs(30)), "it is closed");
    assert_eq!(ask(&ben).1.status, 200);
    open.pop().unwrap().cut();
    eventually("there is room", || ask(&anna).1.status == 200);
}

#[test]
fn a_stream_ends_with_the_right_to_it() {
    let world = World::new();
    let (anna, ben) = (Program::with_role(&world, "device-admin"), Program::with_role(&world, "admin"));
    let watch = |program: &Program| {
        let headers = [program.authorization.as_str(), "Connection: close"];
        let mut stream = program.camera.begin("GET", "/api/v1/enrolments/events", &headers);
        assert!(stream.answers_within(Duration::from_secs(30)));
        stream
    };
    let (mut of_anna, mut of_ben, mut of_another) = (watch(&anna), watch(&ben), watch(&ben));
    let listed = world.cli_json(&["account", "list"]);
    let row = listed.as_array().unwrap().iter().find(|row| row["name"] == "device-admin").unwrap();
    let id = row["tokens"][0]["id"].as_str().unwrap();
    assert!(world.cli(&["account", "revoke-token", "device-admin", id]).status.success());
    // Where nothing happens, with the next sign of life, and without one.
    let told = of_anna.rest();
    assert!(told.starts_with("HTTP/1.1 200") && !told.contains(":\n\n"), "{told}");
    assert!(world.cli(&["account", "set", "admin", "--role", "viewer"]).status.success());
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-77")).json(202);
    for stream in [&mut of_ben, &mut of_another] {
        let told = stream.rest();
        assert!(told.starts_with("HTTP/1.1 200") && !told.contains("B4-77"), "{told}");
    }
}

#[test]
fn a_decision_with_a_misspelt_word_is_refused_and_decides_nothing() {
    let world = World::new();
    let admin = Program::with_role(&world, "device-admin");
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let new = json!({"serial": "B4-1", "of": "new_device", "assignee": "J. Smith", "profile": "default"});
    let with = |word: &str| {
        let mut body = new.clone();
        body[word] = json!("AAAA");
        body
    };
    let refused = admin.post("/api/v1/approvals", &with("cod")).is_problem(400, "malformed-request");
    assert!(refused["detail"].as_str().unwrap().contains("`cod`"), "{refused}");
    admin.post("/api/v1/approvals", &with("code")).is_problem(409, "conflict");
    assert_eq!(world.cli_json(&["device", "list"])[0]["state"], "pending");
    admin.post("/api/v1/approvals", &new).json(200);
    let standing = json!({"serial": "B4-1", "change": "retire", "from": "2027-01-01T00:00:00Z"});
    admin.post("/api/v1/standings", &standing).is_problem(400, "malformed-request");
    assert_eq!(world.cli_json(&["device", "list"])[0]["state"], "approved");
}

#[test]
fn a_requester_cancels_what_they_asked_for_and_a_device_admin_what_anybody_did() {
    let world = World::new();
    let _camera = world.camera("B4-1", "J. Smith");
    world.cli_json(&["account", "add", "ben", "--role", "requester"]);
    let (anna, ben) = (Program::with_role(&world, "requester"), Program::new(&world, &token(&world, "ben")));
    let device_admin = Program::with_role(&world, "device-admin");
    let ask = |program: &Program, minute: u32| {
        let (from, to) = (format!("2026-11-20T14:{minute:02}:00Z"), "2026-11-20T15:00:00Z");
        let body = json!({"devices": ["B4-1"], "from": from, "to": to});
        program.post("/api/v1/requests", &body).json(201)["id"].as_str().unwrap().to_owned()
    };
    let cancel = |program: &Program, id: &str| program.post(&format!("/api/v1/requests/{id}/cancel"), &json!(null));
    let (first, second, third) = (ask(&anna, 1), ask(&anna, 2), ask(&anna, 3));
    cancel(&ben, &first).is_problem(403, "forbidden");
    assert_eq!(anna.get(&format!("/api/v1/requests/{first}")).json(200)["targets"][0]["state"], "waiting");
    for (who, id) in [(&anna, &first), (&device_admin, &second)] {
        assert_eq!(cancel(who, id).json(200)["targets"][0]["state"], "cancelled");
    }
    // Whoever may open the socket is the owner.
    assert!(world.cli(&["request", "cancel", &third]).status.success());
}

#[test]
fn a_login_replaces_the_one_before_and_one_that_cannot_be_kept_leaves_no_token() {
    let world = World::new();
    with_password(&world, "anna", "viewer");
    let (url, fingerprint) = (format!("https://{}", world.address), BASE64URL.encode(world.pin.as_bytes()));
    let home = tempfile::tempdir().unwrap();
    let log_in = |password: &str| {
        let arguments = ["login", &url, "--fingerprint", &fingerprint, "--account", "anna"];
        elsewhere(home.path(), &arguments, &format!("{password}\n"))
    };
    assert!(log_in(PASSWORD).status.success());
    let first = tokens(&world);
    assert!(!log_in("wrong horse").status.success());
    assert_eq!(tokens(&world), first, "a login that fails leaves the earlier one");
    let again = log_in(PASSWORD);
    assert!(again.status.success() && again.stderr.is_empty(), "{again:?}");
    let second = tokens(&world);
    assert!(second.len() == 1 && second != first, "{second:?}");
    assert!(elsewhere(home.path(), &["device", "list"], "").status.success());
    fs::remove_dir_all(home.path().join(".config")).unwrap();
    fs::write(home.path().join(".config"), "in the way").unwrap();
    let unkept = log_in(PASSWORD);
    assert!(!unkept.status.success(), "{unkept:?}");
    assert!(String::from_utf8_lossy(&unkept.stderr).contains("cannot be kept"), "{unkept:?}");
    assert_eq!(tokens(&world), second);
}
