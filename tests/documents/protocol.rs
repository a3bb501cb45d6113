//! `docs/PROTOCOL.md` and the types that both ends use say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use longshore_protocol::{Later, OffersAnswer, ProblemType, limits};

use super::markdown::codes;
use super::{Document, document, none_of, read, root};

fn protocol() -> Document {
    document("docs/PROTOCOL.md")
}

/// The string constants of a source of the protocol, by name.
fn constants(path: &str) -> BTreeMap<String, String> {
    let source = read(path);
    let lines = source.lines().filter_map(|line| line.strip_prefix("pub const "));
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.map(|(name, rest)| (name.to_owned(), rest.split('"').nth(1).unwrap_or_default().to_owned())).collect()
}

#[test]
fn every_example_is_the_golden_one() {
    let document = protocol();
    let mut shown = BTreeSet::new();
    for block in &document.blocks {
        let name = block.comment.as_deref().and_then(|comment| comment.strip_prefix("golden: "));
        let Some(name) = name else {
            assert_ne!(block.info, "json", "{}: an example without its name", document.at(block.line));
            continue;
        };
        // A receipt is no JSON.
        let file = format!("{name}.{}", if block.info == "json" { "json" } else { "txt" });
        assert_eq!(block.text, read(&format!("crates/protocol/golden/{file}")), "{file}");
        shown.insert(file);
    }
    let golden = fs::read_dir(root().join("crates/protocol/golden")).unwrap();
    let golden: BTreeSet<_> = golden.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(shown, golden);
}

/// The golden examples are read as their types in `crates/protocol/tests/golden.rs`; here: each body has one.
#[test]
fn every_body_has_an_example() {
    let bodies = read("crates/protocol/src/bodies.rs")
        + &read("crates/protocol/src/desired.rs")
        + &read("crates/protocol/src/health.rs");
    let golden = read("crates/protocol/tests/golden.rs");
    let mut whole = 0;
    let lines: Vec<_> = bodies.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("/// ")) {
        // A whole body is told by the call that it belongs to.
        if !["`POST /", "`GET /", "`PUT /"].iter().any(|call| line.contains(call)) {
            continue;
        }
        let name = lines[at..].iter().find_map(|line| line.strip_prefix("pub struct ")).unwrap();
        let name = name.split(' ').next().unwrap();
        assert!(golden.contains(&format!("round_trip::<{name}>")), "{name} has no golden example");
        whole += 1;
    }
    assert!(whole >= 8, "{whole} bodies");
}

#[test]
fn every_answer_to_an_offer_is_told_and_shown() {
    let document = protocol();
    let rows = document.rows_of("Offers");
    let told = |title: usize| -> BTreeSet<String> {
        let table = rows.iter().filter(|row| row.cells.len() == 2).map(|row| codes(&row.cells[0])[0]);
        let is_answer = |name: &&str| ["upload", "resume", "have", "later", "rehash", "conflict"].contains(name);
        table.filter(|name| is_answer(name) == (title == 0)).map(str::to_owned).collect()
    };
    let golden: OffersAnswer = serde_json::from_str(&read("crates/protocol/golden/offers_answer.json")).unwrap();
    let shown = golden.items.iter().map(|item| serde_json::to_value(item).unwrap());
    let shown: BTreeSet<String> = shown.map(|item| item["answer"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told(0), shown);
    // Without a wildcard: a new reason does not compile before it is here.
    let reasons = [
        Later::Queued,
        Later::NotRequested,
        Later::ChecksumMismatch,
        Later::TooManyUnfinished,
        Later::NoRoom,
        Later::Held,
    ];
    for reason in reasons {
        match reason {
            Later::Queued
            | Later::NotRequested
            | Later::ChecksumMismatch
            | Later::TooManyUnfinished
            | Later::NoRoom
            | Later::Held => {}
        }
    }
    let reasons = reasons.map(|reason| serde_json::to_value(reason).unwrap().as_str().unwrap().to_owned());
    assert_eq!(told(1), reasons.into());
}

#[test]
fn the_problem_types_are_those_that_there_are_with_their_statuses() {
    let document = protocol();
    let told: BTreeSet<(String, String)> = document
        .rows_of("Errors")
        .iter()
        .map(|row| (row.cells[0].clone(), codes(&row.cells[1])[0].to_owned()))
        .collect();
    let known = ProblemType::ALL.iter().map(|kind| (kind.status().to_string(), kind.slug().to_owned()));
    assert_eq!(told, known.collect());
}

#[test]
fn problem_types_in_the_text_exist() {
    let document = protocol();
    let text = read(&document.path);
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        for (status, slug) in statuses(line) {
            checked += 1;
            if !ProblemType::ALL.iter().any(|kind| kind.slug() == slug && kind.status().to_string() == status) {
                wrong.push(format!("{}: there is no {status} {slug}", document.at(number)));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 20, "{checked} problem types");
}

/// Every status that is followed by a problem type in code.
fn statuses(line: &str) -> Vec<(&str, &str)> {
    let pairs = line.match_indices(" `").filter_map(|(at, _)| {
        let (status, slug) = (line[..at].rsplit([' ', '(']).next()?, line[at + 2..].split('`').next()?);
        let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        let is_slug = slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        (is_status && is_slug).then_some((status, slug))
    });
    pairs.collect()
}

#[test]
fn every_limit_is_told_with_its_number() {
    let document = protocol();
    let rows = document.rows_of("Limits");
    let told = |start: &str| {
        let row = rows.iter().find(|row| row.cells[0].starts_with(start));
        row.unwrap_or_else(|| panic!("no limit is told for {start:?}")).cells[1].as_str()
    };
    let limits: Vec<(&str, u64, &str)> = vec![
        ("METADATA_BYTES", limits::METADATA_BYTES as u64 / 1024, "`Upload-Metadata`"),
        ("JSON_BYTES", limits::JSON_BYTES as u64 / (1024 * 1024), "A JSON body"),
        ("JSON_DEPTH", limits::JSON_DEPTH as u64, "Nesting"),
        ("OFFER_ITEMS", limits::OFFER_ITEMS as u64, "Items of one `POST"),
        ("REPORTED_ITEMS", limits::REPORTED_ITEMS as u64, "Requests, ranges"),
        ("HEALTH_EVENTS", limits::HEALTH_EVENTS as u64, "Events of one `POST"),
        ("HEALTH_TEXT_CHARS", limits::HEALTH_TEXT_CHARS as u64, "The text of a health event"),
        ("BLOCKS", limits::BLOCKS as u64, "Blocks of one"),
        ("UPLOADS_PER_ANSWER", limits::UPLOADS_PER_ANSWER.into(), "Items of one answer"),
        ("OPEN_PATCHES", limits::OPEN_PATCHES as u64, "Open `PATCH`"),
        ("UNFINISHED_UPLOADS", limits::UNFINISHED_UPLOADS as u64, "Unfinished uploads"),
        ("CONNECTIONS", limits::CONNECTIONS as u64, "Connections of a device"),
        ("UNAUTHENTICATED_PER_MINUTE", limits::UNAUTHENTICATED_PER_MINUTE.into(), "Requests without"),
        ("UNAUTHENTICATED_CONNECTIONS", limits::UNAUTHENTICATED_CONNECTIONS as u64, "Connections on which"),
        ("NAME_CHARS", limits::NAME_CHARS as u64, "A name"),
        ("MACS", limits::MACS as u64, "Network addresses"),
        ("UPLOAD_BYTES", limits::UPLOAD_BYTES >> 40, "A recording"),
    ];
    for (name, value, row) in &limits {
        let number = told(row).split(' ').next().unwrap().replace(',', "");
        assert_eq!(number, value.to_string(), "{name}: {row}");
    }
    let named: BTreeSet<&str> = limits.iter().map(|(name, ..)| *name).collect();
    let constants = constants("crates/protocol/src/limits.rs");
    assert_eq!(constants.keys().map(String::as_str).collect::<BTreeSet<_>>(), named, "each limit is checked");
}

#[test]
fn times_and_bounds_of_the_server_are_told_as_they_are() {
    let text = read("docs/PROTOCOL.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let (port, pace) = ("src/http/port.rs", "src/http/pace.rs");
    for (file, constant, told) in [
        (port, "HANDSHAKE", "{} s for the TLS handshake"),
        (port, "REQUEST_HEAD", "{} s for the head of the first request"),
        (port, "KEEP_ALIVE", "{} s for an idle connection"),
        (port, "CONNECTIONS", "| Connections in all | {} |"),
        ("src/http/lobby.rs", "VISITORS", "| The same, of all addresses | {} |"),
        ("src/http/json.rs", "DEADLINE", "{} s for a JSON body"),
        (pace, "IDLE", "when nothing comes for {} s"),
        (pace, "WINDOW", "less than 1 KiB a second over {} s"),
        ("src/http/device/prefer.rs", "MAX_WAIT", "{} seconds at most"),
        ("actors/src/upload/stream/completing.rs", "RECEIPT_WAIT", "if it is ready within {} s"),
    ] {
        let source = read(file);
        let value = source.split_once(&format!("const {constant}: ")).unwrap_or_else(|| panic!("{constant}")).1;
        let value = value.split_once(" = ").unwrap().1.split(';').next().unwrap();
        let number: u32 = value.trim_start_matches("Duration::from_secs(").trim_end_matches(')').parse().unwrap();
        let digits = if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) };
        let told = told.replace("{}", &digits);
        assert!(text.contains(&told), "{constant} is {number}; {told:?} is not in the document");
    }
}

#[test]
fn every_header_is_told_of_and_no_other_of_that_kind_is_named() {
    let document = protocol();
    let told: String = document.codes.iter().map(|(_, code)| format!("{}\n", code.to_lowercase())).collect();
    let constants = constants("crates/protocol/src/headers.rs");
    let names: BTreeSet<&str> = constants.values().map(String::as_str).filter(|name| is_header(name)).collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in constants.values() {
        assert!(told.contains(&name.to_lowercase()), "{name} is told nowhere");
    }
    let scripts = document.blocks.iter().filter(|block| block.info == "sh").map(|block| block.text.to_lowercase());
    let texts = scripts.chain([told]).collect::<String>();
    let named = texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_header(word));
    let scheme = constants["ENROL_SCHEME"].to_lowercase();
    let unknown: Vec<&str> = named.filter(|word| !names.contains(word) && *word != scheme).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn is_header(word: &str) -> bool {
    let starts = ["tus-", "upload-", "longshore-"].iter().any(|start| word.starts_with(start));
    starts && !["longshore-agent", "upload-not-found", "upload-expired"].contains(&word)
}

#[test]
fn every_path_is_told_of_and_no_other_is_named() {
    let document = protocol();
    let paths: BTreeSet<String> = constants("crates/protocol/src/paths.rs").into_values().collect();
    assert!(paths.len() >= 6, "{paths:?}");
    let base = "/device/v1";
    let calls = document.rows_of("Endpoints").into_iter().flat_map(|row| codes(&row.cells[0]));
    let of_table: BTreeSet<String> = calls
        .filter_map(|call| call.split(' ').nth(1))
        .map(|path| format!("{base}{}", path.split("/{").next().unwrap()))
        .collect();
    assert_eq!(of_table, paths);
    let text = read(&document.path);
    for (at, _) in text.match_indices(&format!("{base}/")) {
        let rest = &text[at..];
        let path = rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/')).next().unwrap();
        let resource = path.split('/').take(4).collect::<Vec<_>>().join("/");
        assert!(paths.contains(&resource), "{path}");
    }
    // A method and a path, as `POST /offers`, wherever they stand.
    for (line, code) in &document.codes {
        let call = code
            .split_once(' ')
            .filter(|(method, _)| method.len() > 2 && method.bytes().all(|b| b.is_ascii_uppercase()));
        let Some((_, path)) = call.filter(|(_, path)| path.starts_with('/')) else { continue };
        let resource = format!("{base}/{}", path[1..].split(['/', ' ']).next().unwrap());
        assert!(paths.contains(&resource), "{}: {code}", document.at(*line));
    }
}

#[test]
fn every_kind_of_bad_input_has_its_test() {
    let document = protocol();
    for row in document.rows_of("Bad input") {
        let (file, name) = codes(&row.cells[2])[0].split_once("::").unwrap_or_else(|| panic!("{:?}", row.cells));
        let source = read(&format!("tests/{file}.rs"));
        let before = source.split_once(&format!("\nfn {name}() {{")).unwrap_or_else(|| panic!("{name}")).0;
        assert!(before.lines().rev().take(2).any(|line| line == "#[test]"), "{name}");
    }
}
