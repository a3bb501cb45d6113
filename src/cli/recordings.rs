use clap::Subcommand;
use std::io::{self, Write as _};

use super::{Target, table};
use crate::http::operator::{RecordingRow, paths};

#[derive(Debug, Subcommand)]
pub(super) enum Recordings {
    /// List the stored recordings, oldest first
    List {
        #[command(flatten)]
        target: Target,
    },
}

impl Recordings {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self::List { target } = self;
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
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
