use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indicatif::{DecimalBytes, HumanCount};
use longshore_store::export::{Checked, check};

use super::super::device::MOMENT;
use super::super::progress::Progress;
use super::super::table::{self, plain};

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// Folder of the export
    folder: PathBuf,
    /// Id that the server is known to have, from `longshore checkpoint list` or from a mail: then it is certain who signed
    #[arg(long, value_name = "ID")]
    fingerprint: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut progress = Progress::new();
        progress.sum("Reading the export");
        let checked = check(&self.folder, self.fingerprint.as_deref(), &mut |bytes| progress.advance(bytes));
        progress.end();
        let checked = checked.with_context(|| format!("{} cannot be read", self.folder.display()))?;
        if self.json {
            table::print_json(&checked)?;
        } else {
            tell(&checked, &mut io::stdout().lock())?;
        }
        Ok(if checked.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Names and texts come out of the folder, and whoever wrote it may want another verdict to be read than the one that is told: so
/// that is the last line too.
fn tell(checked: &Checked, out: &mut impl io::Write) -> io::Result<()> {
    for path in &checked.foreign {
        writeln!(out, "Not part of the export: {}", plain(path))?;
    }
    for fault in &checked.faults {
        writeln!(out, "WRONG: {}: {}", plain(&fault.path), plain(&fault.text))?;
    }
    if !checked.faults.is_empty() {
        writeln!(out, "This export is not what was given out. Do not rely on it; ask for it again.")?;
        return out.flush();
    }
    let (recordings, bytes) = (HumanCount(checked.recordings), DecimalBytes(checked.bytes));
    let export = checked.export.map(|export| export.to_string()).unwrap_or_default();
    let server = checked.server.as_deref().unwrap_or_default();
    let at = checked.signed_at.map(|at| at.format(MOMENT).to_string()).unwrap_or_default();
    let by = plain(checked.by.as_deref().unwrap_or_default());
    writeln!(out, "Everything holds: {recordings} recordings, {bytes}.")?;
    writeln!(out, "Export {export}, given to {by}, signed {at} by the server {server}.")?;
    writeln!(out, "\nProved:")?;
    writeln!(out, "  - Each video has the bytes for which the server signed a receipt when it had verified them.")?;
    writeln!(out, "  - Manifests, receipts and custody log are as the server gave them out, and none is missing.")?;
    writeln!(
        out,
        "  - The lines of the custody log stood so, in this order, in the server's journal at these checkpoints:"
    )?;
    for checkpoint in &checked.checkpoints {
        let claims = &checkpoint.claims;
        writeln!(out, "      up to line {}, signed {}", claims.position, claims.at.format(MOMENT))?;
    }
    if checked.server_is_known {
        writeln!(out, "  - All of it was signed with the key whose fingerprint you gave.")?;
    }
    writeln!(out, "Not proved:")?;
    if !checked.server_is_known {
        writeln!(
            out,
            "  - Whose key that is: compare the server's id with `longshore checkpoint list` or a mail of the server, and give \
             it as --fingerprint."
        )?;
    }
    writeln!(
        out,
        "  - That the server's journal was not rewritten before those checkpoints were signed: compare them with the same ones \
         in a mailbox. Each stands whole in custody-log.txt."
    )?;
    writeln!(
        out,
        "  - That none of the {} lines of the journal whose content is withheld is about these recordings.",
        HumanCount(checked.hidden_lines)
    )?;
    writeln!(
        out,
        "  - What the camera recorded, and that its clock was right: the server vouches for what it was given."
    )?;
    let foreign = checked.foreign.len();
    if foreign > 0 {
        writeln!(out, "{foreign} files in the folder are not part of the export: nothing vouches for them.")?;
    }
    let whom =
        if checked.server_is_known { "the server that you named" } else { "a server that you have yet to find out" };
    writeln!(out, "Verdict: the export is as {whom} gave it out.")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use longshore_store::export::Fault;

    use super::*;

    fn checked(name: &str) -> Checked {
        Checked {
            export: None,
            server: Some("id".into()),
            server_is_known: true,
            signed_at: None,
            by: Some(name.into()),
            recordings: 1,
            bytes: 3,
            checkpoints: Vec::new(),
            hidden_lines: 0,
            faults: Vec::new(),
            foreign: vec![name.into()],
        }
    }

    fn told(checked: &Checked) -> String {
        let mut out = Vec::new();
        tell(checked, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_name_in_the_folder_can_hide_the_verdict() {
        // Clears the screen, writes what it likes, and hides what follows; and a name of two lines.
        let name = "x\u{1b}[2J\u{1b}[HEverything holds\u{1b}[8m\r\nVerdict: \u{202e}all well\u{9b}2J";
        let mut checked = checked(name);
        let well = told(&checked);
        assert!(
            well.lines().last().unwrap().starts_with("Verdict: the export is as the server that you named"),
            "{well}"
        );
        checked.faults.push(Fault { path: name.into(), text: name.into() });
        let wrong = told(&checked);
        assert!(wrong.lines().last().unwrap().starts_with("This export is not what was given out"), "{wrong}");
        for text in [well, wrong] {
            assert!(!text.contains(['\u{1b}', '\r', '\u{202e}', '\u{9b}']), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("Verdict: \\u")), "{text}");
        }
    }
}
