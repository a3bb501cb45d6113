use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::HumanCount;
use longshore_model::CheckpointClaims;
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::verify::{Compared, Given, checkpoints_in, compare_checkpoints};
use serde::Serialize;

use super::super::Whose;
use super::super::device::MOMENT;
use super::super::progress::Progress;
use super::super::table::{self, plain};
use crate::data::DataFolder;
use crate::identity::receipt_verifier;

/// Largest text in which checkpoints are looked for, in bytes: a mailbox of years.
const LARGEST: u64 = 256 << 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct Checkpoint {
    /// A checkpoint as it stands in a mail; or a file with mails in which some stand; or `-` for the standard input
    text: String,
    #[command(flatten)]
    whose: Whose,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What became of one of them, for programs.
#[derive(Serialize)]
struct Row {
    holds: bool,
    #[serde(flatten)]
    claims: Option<CheckpointClaims>,
    text: String,
}

impl Checkpoint {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let texts = checkpoints_in(&self.read()?);
        if texts.is_empty() {
            bail!("there is no checkpoint in it: a checkpoint is one long word that begins with eyJ and has two dots");
        }
        let (data, _) = DataFolder::of_server(&self.whose.config()?.data)?;
        let (verifier, journal) = (receipt_verifier(&data)?, Disk::open(&data, DiskOptions::default())?);
        let mut progress = Progress::new();
        progress.count("Reading the journal");
        let compared = compare_checkpoints(&journal, &verifier, &texts, &mut || progress.advance(1));
        progress.end();
        self.tell(&compared?)
    }

    fn read(&self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        if self.text == "-" {
            io::stdin().lock().take(LARGEST).read_to_end(&mut bytes)?;
        } else if Path::new(&self.text).is_file() {
            let file = std::fs::File::open(PathBuf::from(&self.text));
            let read = file.and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
            read.with_context(|| format!("{} cannot be read", self.text))?;
        } else {
            return Ok(self.text.clone());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn tell(&self, Compared { end, problems, given }: &Compared) -> anyhow::Result<ExitCode> {
        let rows: Vec<Row> = given.iter().map(|given| row(given, *end)).collect();
        let good = problems.is_empty() && rows.iter().all(|row| row.holds);
        if self.json {
            table::print_json(&serde_json::json!({ "journal_ends": end, "checkpoints": rows, "problems": problems }))?;
        } else {
            let mut out = io::stdout().lock();
            for Row { holds, claims, text } in &rows {
                let word = if *holds { "HOLDS" } else { "WRONG" };
                let which = claims.as_ref().map_or_else(
                    || "a checkpoint".to_owned(),
                    |claims| format!("up to line {}, signed {}", HumanCount(claims.position), claims.at.format(MOMENT)),
                );
                writeln!(out, "{word}: {which}: {text}")?;
            }
            for problem in problems {
                writeln!(out, "WRONG: {}: {}", plain(&problem.path), plain(&problem.text))?;
            }
            out.flush()?;
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn row(given: &Given, end: u64) -> Row {
    let wrong = |claims: &CheckpointClaims, text: String| Row { holds: false, claims: Some(claims.clone()), text };
    match given {
        Given::Holds(claims) => {
            let text = "the journal is, up to there, the one that was signed".to_owned();
            Row { holds: true, claims: Some(claims.clone()), text }
        }
        Given::NotOurs(error) => {
            let text =
                format!("it is none of this server: {error}; was it copied whole, and from a mail of this server?");
            Row { holds: false, claims: None, text }
        }
        Given::Shorter(claims) => wrong(
            claims,
            format!(
                "the journal ends with line {}: {} lines that were there when it was signed are gone",
                HumanCount(end),
                HumanCount(claims.position.saturating_sub(end))
            ),
        ),
        Given::Rewritten { claims, found, after } => wrong(
            claims,
            format!(
                "history was rewritten: a line from {} to {} is not what it was. Line {} has the chain hash {found} and was \
                 signed with {}",
                HumanCount(after + 1),
                HumanCount(claims.position),
                HumanCount(claims.position),
                claims.hash
            ),
        ),
        Given::NotReached(claims) => wrong(
            claims,
            format!("the journal is damaged behind line {}, and what follows cannot be compared", HumanCount(end)),
        ),
    }
}
