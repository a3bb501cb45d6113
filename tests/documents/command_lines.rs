//! Every command line that a document shows is one that the program takes, and every setting is one that there is.

use std::collections::BTreeSet;
use std::fs;

use clap::error::ErrorKind;
use longshore::config::{Config, Inputs};

use super::markdown::Document;
use super::{documents, none_of, read};
use crate::support::{agent, longshore};

/// The programs whose command lines are checked.
const PROGRAMS: [&str; 3] = ["longshore", "longshore-agent", "cargo"];

/// The commands in a shell script, each as its words: also those in `$(…)`, behind `sudo`, and in quotes.
fn commands(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    joined.lines().flat_map(simple_commands).flat_map(|command| of_command(&command)).collect()
}

/// A line as its simple commands: parted at `;`, `|`, `&` and at the ends of `$(…)`, outside of quotes.
fn simple_commands(line: &str) -> Vec<String> {
    let (mut parts, mut quote, mut before) = (vec![String::new()], None, ' ');
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
        if quote.is_none() && (matches!(c, ';' | '|' | '&' | ')') || (c == '(' && before == '$')) {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        before = c;
    }
    parts
}

fn of_command(command: &str) -> Vec<Vec<String>> {
    let Some(mut words) = shlex::split(command) else { return Vec::new() };
    // A command that another one is given as a word.
    let mut found: Vec<_> = words.iter().filter(|word| word.contains(' ')).flat_map(|word| commands(word)).collect();
    words.truncate(words.iter().position(|word| word.starts_with(['>', '<'])).unwrap_or(words.len()));
    let is_variable = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    let mut skipped = words.iter().take_while(|word| is_variable(word)).count();
    if words.get(skipped).is_some_and(|word| word == "sudo") {
        skipped += if words.get(skipped + 1).is_some_and(|word| word == "-u") { 3 } else { 1 };
    }
    let words: Vec<_> = words.into_iter().skip(skipped).collect();
    if words.first().is_some_and(|program| PROGRAMS.contains(&program.as_str())) {
        found.push(words);
    }
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Why the program would not take these words; `whole` if nothing may be left out.
fn refusal(words: &[String], whole: bool) -> Option<String> {
    match words[0].as_str() {
        "longshore" => match longshore::cli::command().try_get_matches_from(words) {
            Ok(_) => None,
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
                ErrorKind::MissingRequiredArgument if !whole => None,
                _ => Some(error.to_string()),
            },
        },
        // With `--help` behind everything it reads the words and does nothing.
        "longshore-agent" => {
            let output = agent().args(&words[1..]).arg("--help").output().unwrap();
            (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
        }
        _ => xtask_refusal(&words[1..]),
    }
}

/// `cargo xtask` matches its words literally; so they stand in its source.
fn xtask_refusal(words: &[String]) -> Option<String> {
    let source = read("crates/xtask/src/main.rs");
    let Some(command) = words.first().filter(|word| *word == "xtask").and_then(|_| words.get(1)) else {
        return (words.first()? == "xtask").then(|| "cargo xtask wants a command".to_owned());
    };
    if !source.contains(&format!("\n        [\"{command}\"")) {
        return Some(format!("cargo xtask has no command {command}"));
    }
    let known = |word: &str| source.contains(&format!("\"{word}\"")) || word.parse::<u64>().is_ok();
    let unknown = words[2..].iter().find(|word| !known(word))?;
    Some(format!("cargo xtask {command} does not know {unknown}"))
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    let mut check = |document: &Document, line: usize, words: &[String], whole| {
        checked += 1;
        let refused = refusal(words, whole);
        wrong.extend(refused.map(|refused| format!("{}: {}\n{refused}", document.at(line), words.join(" "))));
    };
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.info == "sh") {
            for words in commands(&block.text) {
                check(&document, block.line, &words, true);
            }
        }
        for (line, code) in &document.codes {
            for words in commands(code).iter().filter(|words| words.len() > 1) {
                check(&document, *line, words, false);
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 40, "{checked} command lines");
}

#[test]
fn every_shell_block_is_named_one() {
    let mut wrong = Vec::new();
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.info != "sh" && !commands(&block.text).is_empty()) {
            wrong.push(format!("{}: a command line in a block that is not `sh`", document.at(block.line)));
        }
    }
    none_of(&wrong);
}

#[test]
fn every_toml_block_is_a_configuration_of_the_server_or_of_the_agent_or_tells_of_health() {
    let folder = tempfile::tempdir().unwrap();
    let (path, own_types) = (folder.path().join("example.toml"), folder.path().join("longshore.toml"));
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.info == "toml") {
            checked += 1;
            fs::write(&path, &block.text).unwrap();
            let server =
                Inputs::of_process(Some(path.clone())).load().map(drop).map_err(|mistakes| mistakes.to_string());
            let agent = longshore_agent::config::Config::read(&path).map(drop).map_err(|error| error.to_string());
            let (Err(server), Err(agent)) = (server, agent) else { continue };
            fs::write(&own_types, format!("[health]\ntypes = '{}'\n", path.display())).unwrap();
            if !longshore().args(["config", "check"]).arg(&own_types).output().unwrap().status.success() {
                wrong.push(format!("{}: {server}; {agent}", document.at(block.line)));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 0);
}

#[test]
fn every_setting_and_variable_that_is_named_exists() {
    let keys: BTreeSet<String> = Config::default().values().into_keys().collect();
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split_once('.')).map(|(name, _)| name).collect();
    let variables: BTreeSet<String> = keys
        .iter()
        .map(|key| format!("LONGSHORE__{}", key.to_uppercase().replace('.', "__")))
        .flat_map(|name| [format!("{name}_FILE"), name])
        .collect();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents().into_iter().filter(|document| document.path != "docs/PROTOCOL.md") {
        for (line, code) in &document.codes {
            let is_key = code.split_once('.').is_some_and(|(section, key)| {
                sections.contains(section) && key != "json" && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            let variable = code.split(['=', ' ']).next().filter(|word| word.starts_with("LONGSHORE__"));
            let unknown = (is_key && !keys.contains(code)) || variable.is_some_and(|name| !variables.contains(name));
            checked += usize::from(is_key || variable.is_some());
            if unknown {
                wrong.push(format!("{}: there is no setting {code}", document.at(*line)));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 5, "{checked} settings");
}

#[test]
fn commands_are_found_wherever_a_shell_would_run_them() {
    let script = "A=1 longshore serve # longshore not\nTEXT=$(longshore device add --serial 'a b' \\\n  --model M)\n\
        sudo -u x longshore-agent run && useradd longshore-agent; cp longshore /usr\n\
        run.sh 'longshore device approve B --assignee \"J. Smith\"' | tee x\ncargo xtask test > log\n";
    let found: Vec<String> = commands(script).iter().map(|words| words.join(" ")).collect();
    let expected = [
        "longshore serve",
        "longshore device add --serial a b --model M",
        "longshore-agent run",
        "longshore device approve B --assignee J. Smith",
        "cargo xtask test",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_a_program_does_not_take_is_refused() {
    for (line, whole, right) in [
        ("longshore device approve B4-1 --assignee X", true, true),
        ("longshore device approve B4-1", true, false),
        ("longshore device approve", false, true),
        ("longshore device aprove B4-1", false, false),
        ("longshore-agent offload card --state s --once", true, true),
        ("longshore-agent offload card --state s --twice", true, false),
        ("cargo xtask campaign faults --rounds 3", true, true),
        ("cargo xtask campaign fault", true, false),
        ("cargo xtask", true, false),
    ] {
        assert_eq!(refusal(&commands(line)[0], whole).is_none(), right, "{line}");
    }
}
