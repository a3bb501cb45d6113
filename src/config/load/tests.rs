use std::path::Path;

use super::*;

pub(crate) fn inputs(file: Option<&Path>, variables: &[(&str, &str)]) -> Inputs {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Inputs { file: file.map(Path::to_owned), places: Vec::new(), environment, command_line: Vec::new() }
}

/// What is wrong with a file of this text.
fn mistakes(text: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let Mistakes(mistakes) = inputs(Some(file.path()), &[]).load().unwrap_err();
    let folder = format!("{}:", file.path().display());
    mistakes.iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
}

fn refused(variables: &[(&str, &str)]) -> String {
    inputs(None, variables).load().unwrap_err().to_string()
}

#[test]
fn without_anything_everything_is_as_by_default() {
    let loaded = inputs(None, &[]).load().unwrap();
    assert_eq!((loaded.config, loaded.file), (Config::default(), None));
}

#[test]
fn a_mistake_names_its_place_its_key_and_what_would_be_right() {
    for (text, expected) in [
        ("dat = 'x'", "1:1: dat: there is no such key; did you mean data?"),
        ("[server]\nlisen = 'x'", "2:1: server.lisen: there is no such key; did you mean server.listen?"),
        ("listen = '0.0.0.0:1'", "1:1: listen: there is no such key; did you mean server.listen?"),
        ("[sever]\nlisten = 'x'", "1:2: sever: there is no such key; did you mean [server]?"),
        ("[storage]\nxyzzy = 1", "2:1: storage.xyzzy: there is no such key"),
        ("server = 5", "1:1: server: is a section, not a value"),
        ("data = ['a']", "1:8: data: is one value, not array"),
        ("[data]\nx = 1", "1:1: data: is one value, not table"),
        ("data = ''", "1:8: data: it is empty; write the path of a folder"),
        (
            "[server]\nlisten = 5004",
            "2:10: server.listen: \"5004\" is no address with a port; write one such as \"0.0.0.0:5004\"",
        ),
        ("[log]\nformat = 'jsn'", "2:10: log.format: unknown variant `jsn`, expected `text` or `json`"),
        (
            "[index]\ncache = '64 MB of it'",
            "2:9: index.cache: \"64 MB of it\" is no size; write one such as \"10 GiB\"",
        ),
        ("[index]\ncache = '0'", "2:9: index.cache: 0 is too little; the least is 1 MiB"),
    ] {
        assert_eq!(mistakes(text), [expected], "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let told = mistakes("dat = 1\n[server]\nlisten = 'x'\nurl = 'http://x'\n[storage]\nfile_mode = 640\n");
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let told = mistakes("data = 'x'\n[server\nlisten = 'x'\n");
    assert!(told[0].starts_with("2:") && told[0].contains("not TOML"), "{told:?}");
    let told = mistakes("data = 'a'\ndata = 'b'\n");
    assert!(told[0].starts_with("2:1: ") && told[0].contains("duplicate"), "{told:?}");
    let told = mistakes("[storage]\nfile_mode = 0640\n");
    assert!(told[0].starts_with("2:"), "{told:?}");
}

#[test]
fn every_key_has_a_variable_and_a_variable_for_a_file() {
    let mut values = Config::default().values();
    let examples = [
        ("server.url", "https://a.example:1"),
        ("storage.path", "/srv"),
        ("devices.models", "/etc/models.toml"),
        ("tls.cert", "/etc/cert.pem"),
        ("tls.key", "/etc/key.pem"),
        ("storage.owner", "root"),
        ("storage.group", "12"),
        ("health.types", "/etc/health.toml"),
        ("webhooks.file", "/etc/webhooks.toml"),
        ("mail.host", "mail.example.org"),
        ("mail.port", "587"),
        ("mail.user", "longshore"),
        ("mail.from", "longshore@example.org"),
        ("mail.ca", "/etc/ca.pem"),
        ("digest.transfer.to", "it@example.org"),
        ("digest.transfer.zone", "Europe/Berlin"),
        ("digest.transfer.sites", "North: north@example.org"),
        ("digest.health.to", "it@example.org"),
        ("digest.health.zone", "Europe/Berlin"),
        ("digest.health.sites", "North: north@example.org"),
    ];
    values.extend(examples.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))));
    // Shown by no value.
    values.remove("mail.password");
    for (key, value) in values {
        let (name, value) = (variable_of(&key), value.unwrap_or_else(|| panic!("{key} needs an example")));
        // What else belongs to a mail server.
        let others = [("LONGSHORE__MAIL__HOST", "mail.example.org"), ("LONGSHORE__MAIL__FROM", "a@example.org")];
        let with = |variable: &str, value: &str| {
            let others = others.iter().filter(|(other, _)| key.starts_with("mail.") && *other != name);
            let all: Vec<_> = others.copied().chain([(variable, value)]).collect();
            inputs(None, &all).load().unwrap()
        };
        let loaded = with(&name, &value);
        assert_eq!(loaded.config.values()[&key].as_ref(), Some(&value));
        assert_eq!(loaded.source(&key), &Source::Variable(name.clone()));

        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!(" {value}\n")).unwrap();
        let of_file = format!("{name}_FILE");
        let loaded = with(&of_file, file.path().to_str().unwrap());
        assert_eq!(loaded.config.values()[&key], Some(value));
        assert_eq!(loaded.source(&key), &Source::VariableFile(of_file, file.path().to_owned()));
    }
}

#[test]
fn a_variable_that_is_no_setting_is_refused() {
    let said = refused(&[("LONGSHORE__SERVER__LISEN", "x")]);
    assert_eq!(said, "LONGSHORE__SERVER__LISEN: there is no such key; did you mean LONGSHORE__SERVER__LISTEN?");
    let said = refused(&[("LONGSHORE__SERVR__URL_FILE", "x")]);
    assert!(said.ends_with("did you mean LONGSHORE__SERVER__URL_FILE?"), "{said}");
    assert!(inputs(None, &[("LONGSHORE_OTHER", "x"), ("PATH", "y")]).load().is_ok());
}

#[test]
fn a_variable_that_cannot_be_followed_is_refused() {
    let said = refused(&[("LONGSHORE__SERVER__URL_FILE", "/nowhere/url")]);
    assert!(said.starts_with("LONGSHORE__SERVER__URL_FILE: server.url: /nowhere/url cannot be read"), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "https://a.example").unwrap();
    let path = file.path().to_str().unwrap();
    let both = [("LONGSHORE__SERVER__URL", "https://b.example"), ("LONGSHORE__SERVER__URL_FILE", path)];
    assert!(refused(&both).contains("keep one of them"));
}

#[test]
fn what_stands_nearer_to_the_command_counts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "data = 'file'\nserver = { listen = '1.1.1.1:1', url = 'https://file.example' }").unwrap();
    let variables = [("LONGSHORE__SERVER__LISTEN", "2.2.2.2:2"), ("LONGSHORE__DATA", "variable")];
    let inputs = inputs(Some(file.path()), &variables).with_option("--data", "data", Some("option".to_owned()));
    let loaded = inputs.load().unwrap();
    let of = |key: &str| (loaded.config.values()[key].clone().unwrap(), loaded.source(key).clone());
    assert_eq!(of("data"), ("option".to_owned(), Source::CommandLine("--data")));
    let variable = Source::Variable("LONGSHORE__SERVER__LISTEN".to_owned());
    assert_eq!(of("server.listen"), ("2.2.2.2:2".to_owned(), variable));
    let place = Source::File { path: file.path().to_owned(), line: 2, column: 40 };
    assert_eq!(of("server.url"), ("https://file.example".to_owned(), place));
    assert_eq!(of("log.format"), ("text".to_owned(), Source::Default));
}

#[test]
fn a_wrong_value_is_told_though_another_overrides_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "[server]\nlisten = 'nowhere'").unwrap();
    let loaded = inputs(Some(file.path()), &[("LONGSHORE__SERVER__LISTEN", "2.2.2.2:2")]).load();
    assert!(loaded.unwrap_err().to_string().contains(":2:10: server.listen"));
}

#[test]
fn the_first_file_that_is_there_counts_and_a_named_one_must_be() {
    let folder = tempfile::tempdir().unwrap();
    let (here, system) = (folder.path().join("here.toml"), folder.path().join("system.toml"));
    let looked = || Inputs { places: vec![here.clone(), system.clone()], ..inputs(None, &[]) };
    assert_eq!(looked().load().unwrap().file, None);
    fs::write(&system, "data = 'system'").unwrap();
    assert_eq!(looked().load().unwrap().file.as_ref(), Some(&system));
    fs::write(&here, "data = 'here'").unwrap();
    let loaded = looked().load().unwrap();
    assert_eq!(loaded.file.as_ref(), Some(&here));

    // Once it was read, another does not take its place.
    fs::remove_file(&here).unwrap();
    assert!(loaded.again().unwrap_err().to_string().contains("here.toml"));
    assert!(inputs(Some(&here), &[]).load().unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_relative_data_folder_that_others_would_not_find_is_told() {
    let relative = inputs(None, &[("LONGSHORE__DATA", "data")]).load().unwrap();
    assert!(relative.warnings()[0].starts_with("data: "), "{:?}", relative.warnings());
    assert!(inputs(None, &[("LONGSHORE__DATA", "/data")]).load().unwrap().warnings().is_empty());
    assert!(inputs(None, &[]).load().unwrap().warnings().is_empty());
}
