//! The JSON API over TLS: who may do what, and the command line on another computer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use longshore_model::BASE64URL;
use serde_json::{Value, json};

use crate::support::{Camera, Program, Reply, World, elsewhere, eventually, files_below, rid, token};

const ROLES: [&str; 5] = ["viewer", "requester", "device-admin", "admin", "auditor"];

/// Every call that the document names.
fn calls(program: &Program) -> Vec<(String, String)> {
    let document = program.get("/api/v1/openapi.json").json(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn a_role_opens_what_it_is_for_and_nothing_else() {
    let world = World::new();
    for role in ROLES {
        let program = Program::with_role(&world, role);
        assert_eq!(program.get("/api/v1/whoami").json(200)["role"], role);
        assert_eq!(program.get("/api/v1/devices").json(200), json!([]));
        let may = |allowed: &[&str], reply: &Reply, status: u16| {
            if allowed.contains(&role) {
                assert_eq!(reply.status, status, "{role}: {}", String::from_utf8_lossy(&reply.body));
            } else {
                let detail = reply.is_problem(403, "forbidden")["detail"].clone();
                assert!(detail.as_str().unwrap().contains(role), "{detail}");
            }
        };
        let site = json!({"name": role, "networks": ["10.0.0.0/32"]});
        may(&["admin"], &program.post("/api/v1/sites", &site), 201);
        may(&["admin", "device-admin"], &program.post("/api/v1/enrolment-tokens", &json!({})), 201);
        may(&["admin", "device-admin"], &program.post("/api/v1/rejections", &json!({"serial": "X"})), 409);
        let request = json!({"devices": ["X"], "from": "2026-11-20T14:00:00Z", "to": "2026-11-20T14:10:00Z"});
        may(&["requester", "admin", "device-admin"], &program.post("/api/v1/requests", &request), 404);
        let cancel = format!("/api/v1/requests/{}/cancel", rid(7));
        may(&["requester", "admin", "device-admin"], &program.post(&cancel, &json!(null)), 404);
        may(&["admin", "auditor"], &program.get("/api/v1/audit"), 200);
        may(&["admin", "auditor"], &program.get("/api/v1/accounts"), 200);
        may(&["admin"], &program.post("/api/v1/api-tokens", &json!({"account": "viewer", "label": "x"})), 201);
    }
    // What was done is in the log under the name of whoever did it.
    let lines = world.cli_json(&["audit"]);
    let by = |did: &str, by: &str| lines.as_array().unwrap().iter().any(|line| line["did"] == did && line["by"] == by);
    assert!(by("site_set", "admin") && by("enrolment_token_issued", "device-admin"), "{lines}");
}

#[test]
fn no_call_answers_without_a_token() {
    let world = World::new();
    let calls = calls(&Program::with_role(&world, "admin"));
    assert!(calls.len() > 30, "{calls:?}");
    // Fewer at a time than strangers may ask in a minute.
    for some in calls.chunks(14) {
        let world = World::new();
        for (method, path) in some {
            let nobody = Camera::new(&world);
            // How to get a token is the one thing that needs none.
            if path == "/api/v1/logins" && method == "POST" {
                nobody.request(method, path, &[], b"{}").is_problem(400, "malformed-request");
                continue;
            }
            nobody.request(method, path, &[], b"{}").is_problem(401, "unauthenticated");
            Program::new(&world, "lsa_00000000000000000000000000000000")
                .request(method, path, b"{}")
                .is_problem(401, "unauthenticated");
        }
    }
}

#[test]
fn every_call_takes_bad_input_with_a_problem_document() {
    let world = World::new();
    let admin = Program::with_role(&world, "admin");
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let huge = vec![b' '; 1024 * 1024 + 1];
    let odd = "\"\u{0}\u{202e}../../etc/passwd\"";
    let wrong = [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        &deep,
        "{\"serial\":7}",
        "{\"name\":\"\",\"networks\":[]}",
        &format!("{{\"serial\":{odd},\"name\":{odd},\"account\":{odd},\"label\":{odd}}}"),
        "{\"serial\":\"B4-9\",\"change\":\"explode\"}",
        "{\"name\":\"x\",\"networks\":[\"10.0.0.0/99\"]}",
        "{\"name\":\"x\",\"bays\":[\"02:00\"]}",
        "{\"name\":\"x\",\"role\":\"root\"}",
    ];
    for (method, path) in calls(&admin) {
        if method == "GET" || path == "/api/v1/logins" {
            continue;
        }
        let is_refused = |reply: &Reply, what: &str| {
            assert!((400..500).contains(&reply.status), "{method} {path} {what}: {reply:?}");
            let problem: Value = serde_json::from_slice(&reply.body).unwrap();
            assert!(problem["type"].as_str().unwrap().starts_with("urn:longshore:problem:"), "{problem}");
        };
        for body in wrong {
            // Without anything in it, a body may still say enough.
            let says_enough = ["/api/v1/enrolment-tokens", "/api/v1/checkpoints", "/api/v1/reconciliation"];
            if !(says_enough.contains(&path.as_str()) && body == "[]") {
                is_refused(&admin.request(&method, &path, body.as_bytes()), body);
            }
        }
        if method == "POST" {
            is_refused(&admin.request(&method, &path, &huge), "too large");
            let xml = [admin.authorization.as_str(), "Content-Type: text/xml"];
            is_refused(&admin.camera.request(&method, &path, &xml, b"{}"), "xml");
        }
        is_refused(&admin.request("PUT", &path, b"{}"), "another method");
    }
    admin.request("PUT", "/api/v1/devices", b"{}").is_problem(405, "method-not-allowed");
    admin.get("/api/v1/device?serial=X").is_problem(404, "not-found");
    admin.get("/api/v1/audit?count=minus").is_problem(400, "malformed-request");
    admin.get("/api/v1/elsewhere").is_problem(404, "not-found");
    assert_eq!(world.cli_json(&["site", "list"]), json!([]));
}

#[test]
fn a_revoked_token_and_a_removed_account_count_for_nothing_at_once() {
    let world = World::new();
    let anna = Program::with_role(&world, "viewer");
    let ben = Program::with_role(&world, "admin");
    let listed = world.cli_json(&["account", "list"]);
    let of_anna = listed.as_array().unwrap().iter().find(|row| row["name"] == "viewer").unwrap();
    assert_eq!(anna.get("/api/v1/devices").status, 200);
    let id = of_anna["tokens"][0]["id"].as_str().unwrap();
    assert!(world.cli(&["account", "revoke-token", "viewer", id]).status.success());
    anna.get("/api/v1/devices").is_problem(401, "unauthenticated");
    assert!(world.cli(&["account", "set", "admin", "--role", "viewer"]).status.success());
    ben.post("/api/v1/sites", &json!({"name": "x", "networks": []})).is_problem(403, "forbidden");
    assert!(world.cli(&["account", "remove", "admin"]).status.success());
    ben.get("/api/v1/devices").is_problem(401, "unauthenticated");
}

#[test]
fn guessed_tokens_are_few_and_a_good_one_still_works_from_there() {
    let world = World::new();
    let good = Program::with_role(&world, "viewer");
    let guess = Program::new(&world, "lsa_11111111111111111111111111111111");
    let statuses: Vec<u16> = (0..35).map(|_| guess.get("/api/v1/devices").status).collect();
    assert_eq!((statuses[0], statuses[34]), (401, 429), "{statuses:?}");
    let refused = guess.get("/api/v1/devices");
    refused.is_problem(429, "too-many");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(good.get("/api/v1/devices").status, 200);
}

#[test]
fn neither_passwords_nor_tokens_are_kept() {
    let world = World::new();
    let admin = Program::with_role(&world, "admin");
    let account = json!({"name": "anna", "role": "viewer", "password": "correct horse battery"});
    admin.post("/api/v1/accounts", &account).json(201);
    let issued = admin.post("/api/v1/api-tokens", &json!({"account": "anna", "label": "x"}));
    assert_eq!(issued.headers["cache-control"], "no-store");
    let token = issued.json(201)["token"].as_str().unwrap().to_owned();
    for file in files_below(&world.data().join("journal")) {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("correct horse") && !text.contains(&token));
        assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
    assert!(!world.log().contains("correct horse") && !world.log().contains(&token));
    let short = json!({"name": "ben", "role": "viewer", "password": "short"});
    admin.post("/api/v1/accounts", &short).is_problem(400, "malformed-request");
}

#[test]
fn a_password_gives_a_token_and_guessing_it_is_ended() {
    let world = World::new();
    let admin = Program::with_role(&world, "admin");
    admin.post("/api/v1/accounts", &json!({"name": "anna", "role": "viewer", "password": "correct horse"})).json(201);
    let nobody = Camera::new(&world);
    let log_in = |name: &str, password: &str| {
        nobody.post_json("/api/v1/logins", &[], &json!({"account": name, "password": password, "label": "test"}))
    };
    let anna = Program::new(&world, log_in("anna", "correct horse").json(201)["token"].as_str().unwrap());
    assert_eq!(anna.get("/api/v1/whoami").json(200)["name"], "anna");
    assert_eq!(anna.request("DELETE", "/api/v1/logins", b"").status, 204);
    anna.get("/api/v1/whoami").is_problem(401, "unauthenticated");
    log_in("nobody", "correct horse").is_problem(401, "unauthenticated");
    // An account that has no password has none that fits.
    log_in("admin", "").is_problem(401, "unauthenticated");
    for _ in 0..10 {
        log_in("anna", "wrong horse").is_problem(401, "unauthenticated");
    }
    log_in("anna", "correct horse").is_problem(429, "too-many");
}

#[test]
fn the_devices_that_wait_are_streamed_over_tls_to_a_bounded_number_of_people() {
    let world = World::new();
    let (admin, viewer) = (Program::with_role(&world, "device-admin"), Program::with_role(&world, "viewer"));
    let watch =
        |program: &Program| program.camera.begin("GET", "/api/v1/enrolments/events", &[program.authorization.as_str()]);
    watch(&viewer).reply("GET").is_problem(403, "forbidden");
    // One account has no more connections than there may be streams.
    let other = Program::with_role(&world, "admin");
    let mut streams: Vec<_> = (0..64).map(|n| watch(if n % 2 == 0 { &admin } else { &other })).collect();
    assert!(streams.iter_mut().all(|stream| stream.answers_within(Duration::from_secs(30))));
    let refused = watch(&admin).reply("GET");
    refused.is_problem(429, "too-many");
    // Whoever goes makes room for another.
    streams.pop().unwrap().cut();
    eventually("there is room", || {
        let mut stream = watch(&admin);
        assert!(stream.answers_within(Duration::from_secs(30)));
        stream.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn the_command_line_works_from_another_computer_until_it_logs_out() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| elsewhere(home.path(), arguments, input);
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    world.cli_json(&["account", "add", "anna", "--role", "admin"]);
    let (url, fingerprint) = (format!("https://{}", world.address), BASE64URL.encode(world.pin.as_bytes()));
    let anna = format!("{}\n", token(&world, "anna"));

    let unsure = run(&["login", &url], &anna);
    assert!(!unsure.status.success() && said(&unsure).contains(&fingerprint), "{unsure:?}");
    let other = BASE64URL.encode([7; 32]);
    assert!(said(&run(&["login", &url, "--fingerprint", &other], &anna)).contains("not the one that you named"));
    assert!(said(&run(&["login", &url, "--fingerprint", &fingerprint], "lsa_0\n")).contains("good API token"));
    let login = home.path().join(".config/longshore/login.json");
    assert!(!login.exists(), "a login that failed is not kept");

    let done = run(&["login", &url, "--fingerprint", &fingerprint], &anna);
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("as anna (admin)"), "{done:?}");
    assert_eq!(fs::metadata(&login).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(run(&["site", "add", "North", "--network", "10.1.0.0/16"], "").status.success());
    assert_eq!(world.cli_json(&["site", "list"])[0]["name"], "North");
    assert_eq!(world.cli_json(&["audit", "--count", "1"])[0]["by"], "anna");
    let listed = run(&["site", "list", "--json"], "");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("North"), "{listed:?}");

    // Somebody else answers there.
    let kept = fs::read_to_string(&login).unwrap();
    fs::write(&login, kept.replace(&fingerprint, &other)).unwrap();
    assert!(said(&run(&["site", "list"], "")).contains("another key than at the login"));
    fs::write(&login, kept).unwrap();

    assert!(run(&["logout"], "").status.success());
    assert!(!login.exists());
    assert!(said(&run(&["site", "list"], "")).contains("no Longshore is running on the data folder"));
    assert_eq!(world.cli_json(&["account", "list"])[0]["tokens"], json!([]));
}

#[test]
fn a_password_is_read_from_the_input_and_never_from_the_command_line() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let data = world.data();
    let data = data.to_str().unwrap();
    let run = |arguments: &[&str], input: &str| elsewhere(home.path(), arguments, input);
    let added = run(&["account", "add", "anna", "--role", "viewer", "--password", "--data", data], "correct horse\n");
    assert!(added.status.success(), "{added:?}");
    let (url, fingerprint) = (format!("https://{}", world.address), BASE64URL.encode(world.pin.as_bytes()));
    let log_in = |password: &str| {
        run(&["login", &url, "--fingerprint", &fingerprint, "--account", "anna"], &format!("{password}\n"))
    };
    assert!(!log_in("wrong horse").status.success());
    assert!(log_in("correct horse").status.success());
    assert!(run(&["account", "passwd", "anna", "--data", data], "another horse\n").status.success());
    assert!(!log_in("correct horse").status.success());
    assert!(log_in("another horse").status.success());
    let empty = run(&["account", "passwd", "anna", "--data", data], "");
    assert!(String::from_utf8_lossy(&empty.stderr).contains("no new password was given"), "{empty:?}");
}
