use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indicatif::{DecimalBytes, HumanCount};
use longshore_store::export::{Checked, check};

use super::super::device::MOMENT;
use super::super::progress::Progress;
use super::super::table;

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
            tell(&checked)?;
        }
        Ok(if checked.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn tell(checked: &Checked) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for path in &checked.foreign {
        writeln!(out, "Not part of the export: {path}")?;
    }
    for fault in &checked.faults {
        writeln!(out, "WRONG: {}: {}", fault.path, fault.text)?;
    }
    if !checked.faults.is_empty() {
        writeln!(out, "This export is not what was given out. Do not rely on it; ask for it again.")?;
        return out.flush();
    }
    let (recordings, bytes) = (HumanCount(checked.recordings), DecimalBytes(checked.bytes));
    let export = checked.export.map(|export| export.to_string()).unwrap_or_default();
    let server = checked.server.as_deref().unwrap_or_default();
    let at = checked.signed_at.map(|at| at.format(MOMENT).to_string()).unwrap_or_default();
    let by = checked.by.as_deref().unwrap_or_default();
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
    out.flush()
}
