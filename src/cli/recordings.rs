use std::io::{self, Write as _};

use clap::Subcommand;
use indicatif::HumanCount;
use longshore_model::Recording;
use longshore_store::custody::{CustodyEvent, CustodyOf};

use super::device::MOMENT;
use super::{Target, query, table};
use crate::http::operator::{CustodyRecord, RecordingRow, paths};

/// Digits of a checksum that tell two apart for a reader.
const SHORT: usize = 12;

#[derive(Debug, Subcommand)]
pub(super) enum Recordings {
    /// List the stored recordings, oldest first
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show what became of a recording: each step with its time, who did it, and the line of the journal that says so
    Show {
        /// Id of the recording; `recordings list --json` tells it
        rid: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Recordings {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { target } => list(&target),
            Self::Show { rid, target } => show(&rid, &target),
        }
    }
}

fn list(target: &Target) -> anyhow::Result<()> {
    let rows: Vec<RecordingRow> = target.client()?.get(paths::RECORDINGS)?;
    if target.json {
        return table::print_json(&rows);
    }
    if rows.is_empty() {
        writeln!(io::stdout(), "Nothing is stored yet.")?;
        return Ok(());
    }
    let cells = |row: &RecordingRow| {
        let recording = &row.recording;
        let on_device = if row.deleted_on_device_at.is_some() { "deleted" } else { "still there" };
        [recording.path.clone(), megabytes(recording.size), recording.serial.clone(), on_device.to_owned()]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    Ok(table::print(["RECORDING", "SIZE", "DEVICE", "ON THE DEVICE"], &rows)?)
}

fn show(rid: &str, target: &Target) -> anyhow::Result<()> {
    let records: Vec<CustodyRecord> = target.client()?.get(&query(paths::CUSTODY, &[("rid", rid)]))?;
    if target.json {
        return table::print_json(&records);
    }
    for record in &records {
        tell(rid, record)?;
    }
    Ok(())
}

fn tell(rid: &str, CustodyRecord { serial, stored, events, covered_by }: &CustodyRecord) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Recording {rid} of device {serial}")?;
    if stored.is_empty() {
        writeln!(out, "It is not in the store.")?;
    }
    for Recording { revision, path, size, sha256, assignee, attested, .. } in stored {
        writeln!(out, "{path}")?;
        let whose = assignee.as_deref().map_or_else(|| "nobody".to_owned(), |assignee| format!("of {assignee}"));
        writeln!(out, "  {} bytes, {whose}, content {revision}", HumanCount(*size))?;
        let word =
            if *attested { "as the device declared it" } else { "by the server alone: the device declared none" };
        writeln!(out, "  sha256 {sha256}, {word}")?;
    }
    writeln!(out)?;
    drop(out);
    let cells = |event: &CustodyEvent| {
        let when = event.at.format(MOMENT).to_string();
        [event.seq.to_string(), when, in_words(&event.what, stored.len() > 1), event.by.clone()]
    };
    let rows: Vec<_> = events.iter().map(cells).collect();
    table::print(["LINE", "WHEN", "WHAT", "WHO"], &rows)?;
    let mut out = io::stdout().lock();
    match covered_by {
        Some(checkpoint) => writeln!(
            out,
            "\nAll of this is covered by the checkpoint of {} (line {}).",
            checkpoint.at.format(MOMENT),
            checkpoint.seq
        )?,
        None => writeln!(
            out,
            "\nThe last of this is not covered by a checkpoint yet: one is signed each day, or by `longshore checkpoint \
             make`."
        )?,
    }
    Ok(out.flush()?)
}

fn in_words(what: &CustodyOf, several: bool) -> String {
    let short = |sha256: &longshore_model::Sha256| sha256.to_string().chars().take(SHORT).collect::<String>();
    let of = |revision: &u32| if several { format!(" (content {revision})") } else { String::new() };
    match what {
        CustodyOf::Declared { size, sha256 } => {
            let size = size.map(|size| format!(", {} bytes", HumanCount(size))).unwrap_or_default();
            let sha256 = sha256.as_ref().map(|sha256| format!(", sha256 {}…", short(sha256))).unwrap_or_default();
            format!("declared{size}{sha256}")
        }
        CustodyOf::Conflicted { .. } => "declared again, with another content".to_owned(),
        CustodyOf::Mismatched { declared, found, .. } => {
            format!("refused: {}… arrived, {}… was declared", short(found), short(declared))
        }
        CustodyOf::Altered { came, medium, .. } => {
            format!("refused: the storage gave back {}… instead of {}…", short(medium), short(came))
        }
        CustodyOf::Expired { .. } => "transfer given up: it came no further".to_owned(),
        CustodyOf::Received { revision, .. } => format!("received{}", of(revision)),
        CustodyOf::Verified { revision, sha256 } => format!("verified, sha256 {}…{}", short(sha256), of(revision)),
        CustodyOf::Receipted { revision } => format!("receipted{}", of(revision)),
        CustodyOf::DeletedOnDevice { revision, deleted_at } => {
            format!("deleted on the device, by its clock {}{}", deleted_at.format("%Y-%m-%d %H:%M:%S"), of(revision))
        }
        CustodyOf::Exported { revision, export } => format!("given out in the export {export}{}", of(revision)),
    }
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
