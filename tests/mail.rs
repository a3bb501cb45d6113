//! Messages to people, over real SMTP: what arrives, what is refused, what a kill leaves.

use std::collections::BTreeSet;
use std::net::TcpListener;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock as _, Sha256, SystemClock};
use serde_json::{Value, json};

use crate::support::{Camera, Mail, Postfix, SmtpServer, World, bytes, eventually, files_below, longshore, rid};

const ANNA: &str = "anna@example.org";

/// What `longshore mail test` says when it does not succeed.
fn refusal(world: &World, address: &str) -> String {
    let output = world.cli(&["mail", "test", address]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn arrives(world: &World, address: &str) {
    let output = world.cli(&["mail", "test", address]);
    assert!(output.status.success(), "{output:?}");
}

fn outbox(world: &World) -> Vec<Value> {
    world.cli_json(&["mail", "outbox"])["messages"].as_array().unwrap().clone()
}

/// Puts a test message into the outbox and waits for nothing.
fn queue(world: &World, address: &str) -> Value {
    let (status, row) = world.api("POST", "/api/v1/mail-tests", &json!({ "to": address }).to_string());
    assert_eq!(status, 201, "{row}");
    row
}

fn distinct(mails: &[Mail]) -> BTreeSet<String> {
    mails.iter().map(|mail| mail.header("Message-ID").to_owned()).collect()
}

#[test]
fn a_test_message_arrives_and_the_command_tells_what_the_mail_server_said() {
    let smtp = SmtpServer::start();
    let world = World::configured(&smtp.config());
    let output = world.cli(&["mail", "test", ANNA]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "The mail server has taken the message to anna@example.org: 250 2.0.0 taken as 1\n");
    let mails = smtp.has_taken(1);
    let mail = &mails[0];
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("longshore@example.org", ANNA));
    assert_eq!((mail.header("From"), mail.header("To")), ("Longshore <longshore@example.org>", ANNA));
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    let rows = outbox(&world);
    assert_eq!(mail.header("Message-ID"), format!("<{}>", rows[0]["message_id"].as_str().unwrap()));
    assert_eq!((&rows[0]["state"], &rows[0]["attempts"]), (&json!("sent"), &json!(1)));
    assert!(mail.text().contains("asked for this message"), "{}", mail.text());
    let audit = world.cli_json(&["audit"]);
    assert_eq!((&audit[0]["did"], &audit[0]["about"]), (&json!("mail_queued"), &json!(ANNA)));
}

#[test]
fn mail_goes_over_tls_with_a_login_and_the_password_stays_secret() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let smtp = SmtpServer::with_starttls("longshore:Corr3ct horse", mechanism);
        let login = "user = 'longshore'\npassword = 'Corr3ct horse'\n";
        let world = World::configured(&(smtp.config() + login + "[log]\nfilter = 'trace'\n"));
        arrives(&world, ANNA);
        assert!(smtp.has_taken(1)[0].tls);
        let shown =
            longshore().args(["config", "show", "--config"]).arg(world.path().join("longshore.toml")).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("***") && !shown.contains("horse"), "{shown}");
        let files = files_below(world.path()).into_iter();
        for path in files.filter(|path| path.is_file() && !path.ends_with("longshore.toml")) {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for secret in ["Corr3ct horse", "Q29ycjNjdCBob3JzZQ", "AGxvbmdzaG9yZQBDb3JyM2N0IGhvcnNl"] {
                assert!(!text.contains(secret), "{} tells the password", path.display());
            }
        }
    }
    let smtp = SmtpServer::with_tls();
    let world = World::configured(&smtp.config());
    arrives(&world, ANNA);
    // It understands nothing but TLS.
    assert_eq!(smtp.has_taken(1)[0].to, ANNA);
}

#[test]
fn postfix_takes_what_comes_over_starttls_with_a_login_and_nothing_else() {
    let smtp = SmtpServer::start();
    let Some(postfix) = Postfix::start("longshore", "Corr3ct horse", smtp.port()) else { return };
    let login = |password: &str| format!("{}user = 'longshore'\npassword = '{password}'\n", postfix.config());
    let world = World::configured(&login("Corr3ct horse"));
    let output = world.cli(&["mail", "test", ANNA]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(": 250 2.0.0 Ok: queued as "), "{said}");
    let mail = smtp.has_taken(1).remove(0);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("longshore@example.org", ANNA));
    assert!(mail.header("Received").contains("with ESMTPSA"), "over TLS, with a login: {mail:#?}");
    for (config, told) in [
        (login("wrong"), "refuses the login: 535 5.7.8 "),
        (postfix.config(), "refuses the recipient anna@example.org: 554 5.7.1 "),
        (login("Corr3ct horse").replace("'longshore@example.org'", "'longshore@no-such-host'"), "refuses the sender"),
    ] {
        world.reconfigure(&config);
        let mut said = String::new();
        eventually(told, || {
            let output = world.cli(&["mail", "test", ANNA]);
            said = String::from_utf8(output.stderr).unwrap();
            said.contains(told)
        });
        assert!(said.contains("not sent yet: "), "nothing is lost before somebody mends it: {said}");
    }
}

#[test]
fn each_way_to_fail_is_told_with_what_to_do() {
    let smtp = SmtpServer::with_starttls("longshore:right", "PLAIN");
    let (plain, implicit) = (SmtpServer::start(), SmtpServer::with_tls());
    let port = smtp.port();
    let login = "user = 'longshore'\npassword = 'wrong'\n";
    let (closed, sender) =
        (TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(), "from = 'a@example.org'\n");
    let bare = |host: &str, port: u16, rest: &str| format!("[mail]\nhost = '{host}'\nport = {port}\n{sender}{rest}");
    let world = World::configured("");
    assert!(refusal(&world, ANNA).contains("no mail server is set up: set mail.host and mail.from"));
    for (config, told) in [
        (smtp.config() + login, "refuses the login: 535 5.7.8"),
        (smtp.config(), "wants a login first: 530"),
        (bare("localhost", port, login), "is not trusted: "),
        (smtp.config().replace("'localhost'", "'127.0.0.1'") + login, "is not for the name 127.0.0.1: set mail.host"),
        (bare("localhost", closed, ""), "the connection is refused; check mail.port"),
        (bare("no-such-host.invalid", 25, ""), "cannot be found: "),
        (bare("localhost", plain.port(), "tls = 'starttls'\n"), "offers no STARTTLS; if it speaks TLS"),
        (bare("localhost", plain.port(), "tls = 'implicit'\n"), "does not begin with TLS: set mail.tls to starttls"),
        (bare("localhost", implicit.port(), "tls = 'none'\n"), "the mail server localhost:"),
        (bare("localhost", port, "ca = '/nowhere/ca.pem'\n"), "mail.ca: /nowhere/ca.pem cannot be used"),
        (plain.config() + "user = 'a'\npassword = 'b'\n", "offers no way to log in that Longshore knows"),
    ] {
        world.reconfigure(&config);
        let mut said = String::new();
        eventually(told, || {
            said = refusal(&world, ANNA);
            said.contains(told) || said.contains("was not there yet")
        });
        assert!(said.contains("not sent yet") && said.contains("It is tried again at"), "{said}");
    }
}

#[test]
fn a_recipient_who_is_refused_holds_nobody_else() {
    let smtp = SmtpServer::start();
    smtp.refuse(&json!({
        "rcpt": {
            "gone@example.org": "550 5.1.1 no such user", "grey@example.org": ["450 4.2.0 come back later"],
            "barred@example.org": ["554 5.7.1 relay access denied"],
        },
        "data": {"full@example.org": "552 5.2.2 too much", "odd@example.org": "554 5.6.0 spam"},
    }));
    let world = World::configured(&smtp.config());
    let said = refusal(&world, "gone@example.org");
    assert!(
        said.contains("not sent: ") && said.contains("refuses the recipient gone@example.org: 550 5.1.1 no such user")
    );
    assert!(refusal(&world, "full@example.org").contains("is too large for the mail server"), "552");
    assert!(refusal(&world, "odd@example.org").contains("refuses the message: 554 5.6.0 spam"), "554");
    let said = refusal(&world, "grey@example.org");
    assert!(said.contains("takes nothing for grey@example.org now: 450 4.2.0 come back later"), "{said}");
    let said = refusal(&world, "barred@example.org");
    assert!(said.contains("not sent yet: ") && said.contains("It is tried again at"), "{said}");
    assert!(said.contains("refuses the recipient barred@example.org: 554 5.7.1 relay access denied"), "{said}");
    arrives(&world, ANNA);
    assert_eq!(smtp.has_taken(1)[0].to, ANNA);
    eventually("people hear of those whom somebody has to see to", || {
        let issues = world.cli_json(&["health", "list"])["issues"].as_array().unwrap().clone();
        let refused: BTreeSet<_> =
            issues.iter().filter_map(|issue| issue["part"].as_str().map(str::to_owned)).collect();
        refused == BTreeSet::from(["barred", "full", "gone", "odd"].map(|name| format!("{name}@example.org")))
    });
    // The ones that may be taken later are tried again, and the permanent refusals are not.
    let output = world.cli(&["mail", "retry"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "2 messages are tried now; `longshore mail outbox` tells what comes of them.\n"
    );
    let later: BTreeSet<_> = smtp.has_taken(3)[1..].iter().map(|mail| mail.to.clone()).collect();
    assert_eq!(later, ["barred@example.org", "grey@example.org"].map(str::to_owned).into());
    eventually("they are marked", || outbox(&world).iter().filter(|row| row["state"] == "sent").count() == 3);
    let rows = outbox(&world);
    let failed: Vec<_> = rows.iter().filter(|row| row["state"] == "failed").collect();
    assert_eq!(failed.len(), 3, "{rows:#?}");
    let grey = rows.iter().find(|row| row["to"] == "grey@example.org").unwrap();
    assert_eq!(grey["attempts"], 2);
    // A person who mended the cause has one that was given up tried again.
    smtp.refuse(&json!({}));
    let gone = failed.iter().find(|row| row["to"] == "gone@example.org").unwrap();
    world.cli_json(&["mail", "retry", gone["id"].as_str().unwrap()]);
    assert_eq!(smtp.has_taken(4)[3].to, "gone@example.org");
    let refused = world.cli(&["mail", "retry", grey["id"].as_str().unwrap()]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("was delivered already"));
}

#[test]
fn a_mail_server_that_was_down_gets_everything_once() {
    let mut smtp = SmtpServer::start();
    let mut world = World::configured(&smtp.config());
    smtp.go_down();
    assert!(refusal(&world, ANNA).contains("the connection is refused"));
    for n in 0..5 {
        queue(&world, &format!("a{n}@example.org"));
    }
    let shown = world.cli_json(&["mail", "outbox"]);
    assert_eq!(shown["messages"].as_array().unwrap().len(), 6);
    let text = String::from_utf8(world.cli(&["mail", "outbox"]).stdout).unwrap();
    assert!(text.starts_with("No mail is sent now: nothing answers at the mail server localhost:"), "{text}");
    world.kill();
    smtp.come_up();
    world.start();
    world.cli_json(&["mail", "retry"]);
    let mails = smtp.has_taken(6);
    assert_eq!(distinct(&mails).len(), 6);
    eventually("all are marked", || outbox(&world).iter().all(|row| row["state"] == "sent"));
}

#[cfg(feature = "failpoints")]
#[test]
fn a_kill_right_after_the_mail_server_took_a_message_sends_it_once_more_under_the_same_id() {
    let smtp = SmtpServer::start();
    let mut world = World::at_rest();
    std::fs::write(world.path().join("longshore.toml"), smtp.config()).unwrap();
    world.fail_points = "mail-taken=pause".to_owned();
    world.start();
    queue(&world, ANNA);
    smtp.has_taken(1);
    world.kill();
    world.fail_points = String::new();
    world.start();
    let mails = smtp.has_taken(2);
    assert_eq!(distinct(&mails).len(), 1, "{mails:#?}");
    assert_eq!(mails[0].header("Date"), mails[1].header("Date"));
    eventually("it is marked", || outbox(&world).iter().all(|row| row["state"] == "sent"));
}

#[cfg(feature = "failpoints")]
#[test]
fn a_mailer_that_panics_is_restarted_and_leaves_nothing_out() {
    let smtp = SmtpServer::start();
    let mut world = World::at_rest();
    std::fs::write(world.path().join("longshore.toml"), smtp.config()).unwrap();
    world.fail_points = "mail-taken=1*off->1*panic->off;confirmations-look=1*panic->off".to_owned();
    world.start();
    for n in 0..3 {
        queue(&world, &format!("a{n}@example.org"));
    }
    eventually("all are marked", || outbox(&world).iter().all(|row| row["state"] == "sent"));
    let mails = smtp.mails();
    assert_eq!((distinct(&mails).len(), mails.len()), (3, 4), "{mails:#?}");
    let actors = world.cli_json(&["actors"]);
    for name in ["mailer", "confirmations"] {
        let row = actors.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["failures"], 1, "{row}");
    }
}

#[test]
fn a_server_that_is_killed_over_and_over_sends_every_message_and_none_under_two_ids() {
    const KILLS: usize = 8;
    let smtp = SmtpServer::start();
    let mut world = World::configured(&smtp.config());
    let mut queued = BTreeSet::new();
    for round in 0..KILLS {
        for n in 0..6 {
            let row = queue(&world, &format!("r{round}n{n}@example.org"));
            queued.insert(format!("<{}>", row["message_id"].as_str().unwrap()));
        }
        // Each time at another place in the work.
        let so_many = smtp.mails().len() + round % 4;
        eventually("some are sent", || smtp.mails().len() >= so_many);
        world.kill();
        world.start();
    }
    eventually("all are sent", || outbox(&world).iter().all(|row| row["state"] == "sent"));
    let mails = smtp.mails();
    assert_eq!(distinct(&mails), queued);
    assert!(mails.len() <= queued.len() + KILLS, "a kill repeats at most one: {}", mails.len());
}

#[test]
fn nothing_that_people_give_begins_a_line_of_its_own() {
    let smtp = SmtpServer::start();
    let world = World::configured(&smtp.config());
    for address in [
        "anna@example.org\r\nBcc: spy@example.org",
        "anna@example.org>\r\nRCPT TO:<spy@example.org",
        "anna@example.org\nDATA",
        "<anna@example.org>",
        "anna@example.org,spy@example.org",
        "\"a\r\nb\"@example.org",
        "anna@example.org\u{85}",
    ] {
        let (status, problem) = world.api("POST", "/api/v1/mail-tests", &json!({ "to": address }).to_string());
        assert_eq!(status, 400, "{address:?}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("is no mail address"), "{problem}");
    }
    assert!(outbox(&world).is_empty() && smtp.mails().is_empty());
}

/// Asks for ten minutes of this device, of which `people` are to be told.
fn ask(world: &World, serial: &str, from: DateTime<Utc>, people: &[&str]) -> Value {
    let (from, to) = (from.to_rfc3339(), (from + TimeDelta::minutes(10)).to_rfc3339());
    let people: Vec<&str> = people.iter().flat_map(|who| ["--notify", *who]).collect();
    world.cli_json(&[&["request", "add", "--device", serial, "--from", &from, "--to", &to][..], &people].concat())
}

fn an_hour_ago() -> DateTime<Utc> {
    SystemClock.now() - TimeDelta::minutes(60)
}

/// The device hands over what it recorded from `from` on, of so many minutes, and says that this is all.
fn hand_over(camera: &Camera, request: &Value, from: DateTime<Utc>, minutes: i64) {
    if minutes > 0 {
        let content = bytes(1, 5000);
        let item = json!({
            "rid": rid(1), "kind": "continuous", "start": from.to_rfc3339(), "size": content.len(),
            "end": (from + TimeDelta::minutes(minutes)).to_rfc3339(), "sha256": Sha256::of(&content).to_string(),
        });
        assert_eq!(camera.patch(&camera.upload_of(&item), 0, &content).status, 204);
    }
    let said = json!({"requests": [{"id": request["id"], "state": if minutes > 0 { "done" } else { "nothing" }}]});
    let kind = "Content-Type: application/json";
    assert_eq!(camera.request("PUT", "/device/v1/reported", &[kind], said.to_string().as_bytes()).status, 204);
}

#[test]
fn whoever_asked_for_footage_and_others_hear_that_it_was_taken_and_what_became_of_it() {
    for (minutes, answer, sentence) in [
        (10, "All footage is there: B4-1, ", "All that was asked for is in the store."),
        (7, "All recorded footage is there: B4-1, ", "For some of the time there is no recording."),
        (0, "No footage came: B4-1, ", "Nothing of what was asked for is in the store."),
    ] {
        let smtp = SmtpServer::start();
        let world = World::configured(&smtp.config());
        let camera = world.camera("B4-1", "J. Smith");
        let from = an_hour_ago();
        let request = ask(&world, "B4-1", from, &[ANNA, "ben@example.org"]);
        let taken = smtp.has_taken(2);
        assert_eq!(
            taken.iter().map(|mail| mail.to.as_str()).collect::<BTreeSet<_>>(),
            [ANNA, "ben@example.org"].into()
        );
        assert!(taken.iter().all(|mail| mail.header("Subject").starts_with("Asked for: B4-1, ")), "{taken:#?}");
        assert!(taken.iter().all(|mail| mail.header("In-Reply-To").is_empty()));
        hand_over(&camera, &request, from, minutes);
        let mails = smtp.has_taken(4);
        assert_eq!(distinct(&mails).len(), 4);
        for over in &mails[2..] {
            assert!(over.header("Subject").starts_with(answer), "{over:#?}");
            let first = taken.iter().find(|mail| mail.to == over.to).unwrap();
            assert_eq!(over.header("In-Reply-To"), first.header("Message-ID"), "it is the same thread");
            assert_eq!(over.header("References"), first.header("Message-ID"));
            let text = over.text();
            assert!(text.contains(sentence) && text.contains(request["id"].as_str().unwrap()), "{text}");
            assert_eq!(text.contains(".mp4"), minutes > 0, "{text}");
            let (_, page) = text.split_once("<!doctype html>").unwrap();
            assert!(page.contains(sentence) && page.contains("prefers-color-scheme: dark"), "{page}");
        }
    }
}

#[test]
fn a_request_that_ends_otherwise_is_told_too_also_by_a_server_that_was_killed() {
    let smtp = SmtpServer::start();
    let mut world = World::configured(&smtp.config());
    let camera = world.camera("B4-1", "J. Smith");
    let other = world.camera("B4-2", "A. Jones");
    let from = an_hour_ago();
    let (from_text, to) = (from.to_rfc3339(), (from + TimeDelta::minutes(10)).to_rfc3339());
    let two =
        ["request", "add", "--device", "B4-1", "--device", "B4-2", "--notify", ANNA, "--from", &from_text, "--to", &to];
    let request = world.cli_json(&two);
    smtp.has_taken(1);
    hand_over(&camera, &request, from, 10);
    world.kill();
    world.start();
    drop(other);
    world.cli_json(&["request", "cancel", request["id"].as_str().unwrap()]);
    world.kill();
    world.start();
    let mails = smtp.has_taken(2);
    assert!(mails[1].header("Subject").starts_with("A part of the footage is there: B4-"), "{mails:#?}");
    let text = mails[1].text();
    assert!(text.contains("Only a part of what was asked for") && text.contains("B4-2: cancelled: by uid "), "{text}");
    let cancelled = ask(&world, "B4-2", from, &[ANNA]);
    smtp.has_taken(3);
    world.cli_json(&["request", "cancel", cancelled["id"].as_str().unwrap()]);
    assert!(smtp.has_taken(4)[3].header("Subject").starts_with("Cancelled: B4-2, "));
}

#[test]
fn who_asks_with_an_account_that_has_an_address_is_told() {
    let smtp = SmtpServer::start();
    let world = World::configured(&smtp.config());
    let _camera = world.camera("B4-1", "J. Smith");
    world.cli_json(&["account", "add", "anna", "--role", "requester", "--mail", ANNA]);
    let issued = world.cli_json(&["account", "token", "anna", "--label", "test"]);
    let authorization = format!("Authorization: Bearer {}", issued["token"].as_str().unwrap());
    let from = an_hour_ago();
    let body = json!({
        "devices": ["B4-1"], "from": from.to_rfc3339(), "to": (from + TimeDelta::minutes(10)).to_rfc3339(),
    });
    let headers = [authorization.as_str(), "Content-Type: application/json"];
    let reply = Camera::new(&world).request("POST", "/api/v1/requests", &headers, body.to_string().as_bytes());
    assert_eq!(reply.json(201)["notify"], json!([ANNA]));
    assert_eq!(smtp.has_taken(1)[0].to, ANNA);
}

#[test]
fn a_note_begins_no_header() {
    let smtp = SmtpServer::start();
    let world = World::configured(&smtp.config());
    let _camera = world.camera("B4-1", "J. Smith");
    let from = an_hour_ago();
    let ask = |world: &World, to: &str| {
        let body = json!({
            "devices": ["B4-1"], "from": from.to_rfc3339(), "to": (from + TimeDelta::minutes(10)).to_rfc3339(),
            "note": "case 7\r\nBcc: spy@example.org\r\n.\r\nQUIT", "notify": [to],
        });
        world.api("POST", "/api/v1/requests", &body.to_string())
    };
    let (status, answer) = ask(&world, ANNA);
    assert_eq!(status, 201, "{answer}");
    let mail = smtp.has_taken(1).remove(0);
    assert!(mail.headers.keys().all(|name| name != "bcc"), "{mail:#?}");
    assert!(mail.text().contains("Bcc: spy@example.org"), "it is text and nothing else: {}", mail.text());
    let (status, problem) = ask(&world, "a\r\nb@example.org");
    assert_eq!(status, 400, "{problem}");
    let without = World::new();
    let _camera = without.camera("B4-1", "J. Smith");
    let (status, problem) = ask(&without, ANNA);
    assert_eq!(status, 409, "nobody could be told: {problem}");
}
