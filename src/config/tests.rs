use std::collections::BTreeSet;
use std::path::Path;

use super::file;
use super::value::ServerUrl;
use super::{COMMENTED, Config, Log, Server, Source, value::Size};

/// The lines of `config/longshore.toml` that set something, as if their `#` were taken away.
fn uncommented() -> String {
    let lines = COMMENTED.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn known() -> BTreeSet<String> {
    Config::default().values().into_keys().collect()
}

#[test]
fn the_commented_file_is_the_default() {
    let (settings, mistakes) = file::read(Path::new("longshore.toml"), COMMENTED, &known());
    assert!(settings.is_empty() && mistakes.is_empty(), "{mistakes:?}");
    assert_eq!(toml_to_config(COMMENTED), Config::default());
}

#[test]
fn the_commented_file_shows_every_key_with_its_default() {
    let text = uncommented();
    let (settings, mistakes) = file::read(Path::new("longshore.toml"), &text, &known());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let shown: BTreeSet<_> = settings.iter().map(|setting| setting.key.clone()).collect();
    assert_eq!(shown, known());
    for (key, default) in Config::default().values() {
        let text = &settings.iter().find(|setting| setting.key == key).unwrap().text;
        assert!(default.is_none_or(|default| default == *text), "{key} is shown as {text}");
    }
    toml_to_config(&text);
}

fn toml_to_config(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longshore.toml");
    std::fs::write(&path, text).unwrap();
    super::load::tests::inputs(Some(&path), &[]).load().unwrap().config
}

#[test]
fn no_key_is_mistaken_for_the_file_of_another() {
    assert!(known().iter().all(|key| !key.ends_with("_file") && !key.contains("__")), "{:?}", known());
}

#[test]
fn a_reload_changes_what_can_change_and_names_the_rest() {
    let running = Config::default();
    let new = Config {
        server: Server {
            listen: "127.0.0.1:1".parse().unwrap(),
            url: Some(ServerUrl::try_from("https://a.example:5004".to_owned()).unwrap()),
        },
        log: Log { filter: "debug".to_owned().try_into().unwrap(), format: super::LogFormat::Json },
        index: super::Index { cache: Size(1 << 30) },
        ..Config::default()
    };
    let reloaded = running.reloaded(&new);
    assert_eq!(running.differing(&reloaded), ["log.filter", "server.url"]);
    assert_eq!(reloaded.differing(&new), ["index.cache", "log.format", "server.listen"]);
}

#[test]
fn what_is_probably_not_meant_is_told() {
    assert!(Config::default().warnings().is_empty());
    let config = toml_to_config(
        "[server]\nurl = 'https://localhost'\n[storage]\nfloor = 0\nfile_mode = '0666'\nfolder_mode = '0775'\n",
    );
    let warnings = config.warnings();
    let about: Vec<_> = warnings.iter().map(|warning| warning.split(": ").next().unwrap()).collect();
    let expected = ["server.url", "server.url", "storage.file_mode", "storage.folder_mode", "storage.floor"];
    assert_eq!(about, expected, "{warnings:?}");
}

#[test]
fn places_are_counted_as_editors_do() {
    let (settings, _) = file::read(Path::new("f"), "# ü\n[server]\nurl = 'x' # ü\nlisten='y'", &known());
    let places: Vec<_> = settings.into_iter().map(|setting| setting.source).collect();
    let at = |line, column| Source::File { path: "f".into(), line, column };
    assert_eq!(places, [at(4, 8), at(3, 7)]);
}
