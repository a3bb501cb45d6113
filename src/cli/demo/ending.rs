//! The end: everything is read again on both sides, compared, and told; then, what to try next.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

use console::Style;
use longshore_agent::fleet::card::Made;
use longshore_agent::source;
use longshore_model::Sha256;

use super::super::{table, verify};
use super::dock::Dock;
use super::plan::{DOCK, Plan, is_event};
use super::reconcile::{Evidence, Stored, Sums};
use crate::config::Config;
use crate::http::operator::{DeviceDetail, RecordingRow, paths};

const HEAD: [&str; 9] = ["BAY", "CAMERA", "BELONGS TO", "RECORDED", "DECLARED", "VERIFIED", "DELETED", "KEPT", "LOST"];

/// Reads every recording again, in the store as `longshore verify store` does and on the cards, and tells what came of
/// what was `recorded`. Returns whether all is as it should be.
pub(super) fn reconcile(dock: &Dock, recorded: &[Vec<Made>]) -> anyhow::Result<bool> {
    let report = verify::verify(&Config { data: dock.data(), ..Config::default() }, false)?;
    let client = dock.client()?;
    let rows: Vec<RecordingRow> = client.get(paths::RECORDINGS)?;
    let (mut all, mut lines) = (Sums::default(), Vec::new());
    for (plan, recorded) in DOCK.iter().zip(recorded) {
        let stored = |row: &RecordingRow| Stored {
            name: row.recording.original_name.clone().unwrap_or_default(),
            sha256: row.recording.sha256,
            verified: report.unverified == 0 && report.problems.iter().all(|one| one.path != row.recording.path),
            deleted: row.deleted_on_device_at.is_some(),
        };
        let device: DeviceDetail = client.get(&format!("{}?serial={}", paths::DEVICE, plan.serial))?;
        let evidence = Evidence {
            recorded: recorded.clone(),
            stored: rows.iter().filter(|row| row.recording.serial == plan.serial).map(stored).collect(),
            declared: device.recordings.declared,
            on_card: on_card(&dock.card(plan), recorded)?,
        };
        let sums = Sums::of(&evidence, is_event);
        lines.push(line(&plan.bay.to_string(), plan.serial, plan.assignee, &sums));
        all.add(plan.serial, sums);
    }
    lines.push(line("", "all", "", &all));
    let mut out = io::stdout();
    writeln!(out)?;
    table::print(HEAD, &lines)?;
    writeln!(out, "\nKept: recordings that are not events. They stay until the camera overwrites them.")?;
    for plan in DOCK.iter().filter(|plan| plan.days_ahead > 0) {
        tell_of_clock(&mut out, plan, &rows)?;
    }
    let problems = report.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.text));
    for wrong in problems.chain(all.wrong.iter().cloned()) {
        writeln!(out, "WRONG: {wrong}")?;
    }
    let well = all.wrong.is_empty() && report.problems.is_empty();
    let Sums { recorded, verified, deleted, not_asked_for, lost, .. } = all;
    let sum = format!(
        "{recorded} recorded: {verified} verified, {deleted} deleted on the cameras, {not_asked_for} kept there, {lost} lost"
    );
    let colour = if well { Style::new().bold().green() } else { Style::new().bold().red() };
    writeln!(out, "\n{}", colour.apply_to(sum))?;
    Ok(well)
}

fn line(bay: &str, camera: &str, assignee: &str, sums: &Sums) -> [String; 9] {
    let Sums { recorded, declared, verified, deleted, not_asked_for, lost, .. } = sums;
    let [_, _, _, heads @ ..] = HEAD;
    let mut counts = [recorded, declared, verified, deleted, not_asked_for, lost].into_iter().zip(heads);
    let [recorded, declared, verified, deleted, kept, lost] = std::array::from_fn(|_| {
        // Below the last letter of its head.
        counts.next().map(|(count, head)| format!("{count:>width$}", width = head.len())).unwrap_or_default()
    });
    [bay.into(), camera.into(), assignee.into(), recorded, declared, verified, deleted, kept, lost]
}

/// What is left of `recorded` on a card, read again.
fn on_card(card: &Path, recorded: &[Made]) -> anyhow::Result<BTreeMap<String, Sha256>> {
    let left = recorded.iter().map(|made| (made, card.join(&made.name))).filter(|(_, path)| path.exists());
    left.map(|(made, path)| Ok((made.name.clone(), source::hash(&path, |_| true)?.sha256))).collect()
}

fn tell_of_clock(out: &mut impl io::Write, plan: &Plan, rows: &[RecordingRow]) -> io::Result<()> {
    let own = rows.iter().map(|row| &row.recording).filter(|one| one.serial == plan.serial && one.clock_unset);
    let Some(first) = own.min_by_key(|one| one.verified_at) else { return Ok(()) };
    let (serial, days, shown) = (plan.serial, plan.days_ahead, first.start.format("%Y-%m-%d %H:%M:%S"));
    writeln!(out, "{serial}'s clock is {days} days ahead: {shown} is filed by arrival:")?;
    writeln!(out, "  {}", first.path)
}

/// What a person may look at while the server is up. All of these commands work as they are printed.
pub(super) fn what_to_try(dock: &Dock) -> io::Result<()> {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = quoted(&program.to_string_lossy());
    let config = quoted(&dock.config().to_string_lossy());
    let storage = quoted(&dock.data().join("storage").to_string_lossy());
    let serial = DOCK.first().map_or("", |plan| plan.serial);
    let mut out = io::stdout();
    writeln!(out, "\nThe server is up still, and the cameras are in their dock. In another terminal, try:\n")?;
    for command in ["recordings list", "verify store", "actors", &format!("device history {serial}")] {
        writeln!(out, "  {program} {command} --config {config}")?;
    }
    writeln!(
        out,
        "\nThe videos are plain files, for any player, below\n  {storage}\nThe server's address is {}",
        dock.url
    )?;
    writeln!(out, "Ctrl-C ends the demo and removes its folder.")
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_a_quoted_word_as_one() {
        for (word, expected) in
            [("/tmp/demo-a.B_1", "/tmp/demo-a.B_1"), ("a b", "'a b'"), ("", "''"), ("it's", r"'it'\''s'"), ("~", "'~'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
