//! Giving recordings out: the server says what and signs, this command copies, on the server's machine.

mod page;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::{DateTime, FixedOffset};
use clap::Args;
use indicatif::{DecimalBytes, HumanCount};
use longshore_model::{RecordingId, RequestId};
use longshore_store::custody::Checkpoint;
use longshore_store::export::{self, ExportPlan, Written};
use longshore_store::files::{Disk, DiskOptions};

use super::progress::Progress;
use super::request::moment;
use super::{Target, check_storage, query, table};
use crate::data::DataFolder;
use crate::http::operator::{ExportBody, SignExportBody, SignedExport, paths};

#[derive(Debug, Args)]
#[command(
    after_help = "All that is said has to be so of each recording. Run it on the server's machine, as the user that Longshore \
                        runs as; the server has to run, since it records who was given what. `longshore verify export` checks \
                        the result on any computer."
)]
pub(super) struct Export {
    /// Folder to write to: an empty one, or one that does not exist
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Ids of recordings; `recordings list --json` tells them
    #[arg(value_name = "RECORDING")]
    recordings: Vec<RecordingId>,
    /// What came for this request for footage
    #[arg(long, value_name = "ID")]
    request: Option<RequestId>,
    /// Of the device with this serial; may be given several times
    #[arg(long = "device", value_name = "SERIAL")]
    devices: Vec<String>,
    /// Of whom the device belonged to then
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// What was recorded at this time or later: 2026-11-21T14:00:00+01:00, or in this computer's time 2026-11-21 14:00
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<DateTime<FixedOffset>>,
    /// What was recorded before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<FixedOffset>>,
    #[command(flatten)]
    target: Target,
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { to, recordings, request, devices, assignee, from, until, target } = self;
        let config = target.whose.config()?;
        let (data, not_running) = DataFolder::of_server(&config.data)?;
        if not_running.is_some() {
            bail!("Longshore does not run on {}: start it, since it records who is given what", data.display());
        }
        let storage = config.storage_folder();
        check_storage(&data, &storage)?;
        // Before anything is recorded: a folder that will not do is the most usual mistake.
        let kept = [data.as_path(), storage.as_path()];
        export::prepare(&to, 0, &kept)?;
        let client = super::Client::new(&data)?;
        let (from, until) = (from.map(|from| from.to_utc()), until.map(|until| until.to_utc()));
        let body = ExportBody { recordings, request, devices, assignee, from, until };
        let plan: ExportPlan = client.post(paths::EXPORTS, &body)?;
        let bytes = plan.recordings.iter().map(|recording| recording.size).sum();
        export::prepare(&to, bytes, &kept)?;
        let since = plan.lines.first().copied().unwrap_or_default().to_string();
        let checkpoints: Vec<Checkpoint> = client.get(&query(paths::CHECKPOINTS, &[("since", &since)]))?;
        let reached = |checkpoint: &Checkpoint| plan.spans.iter().any(|span| span.to == checkpoint.seq);
        let checkpoints: Vec<Checkpoint> = checkpoints.into_iter().filter(reached).collect();

        let mut progress = Progress::new();
        progress.bytes("Copying recordings", bytes);
        let journal = Disk::open(&data, DiskOptions::default())?;
        let written = Written {
            storage: &storage,
            data: &journal,
            to: &to,
            plan: &plan,
            page: &page::render,
            copied: &|bytes| progress.advance(bytes),
        };
        let files = export::write(&written, &checkpoints);
        progress.end();
        let path = paths::EXPORT_SIGNATURE.replace("{id}", &plan.export.to_string());
        let signed: SignedExport = client.post(&path, &SignExportBody { files: files? })?;
        export::sign(&to, &signed.signed)?;
        let folder = to.canonicalize().with_context(|| format!("{} is gone", to.display()))?;
        if target.json {
            let plan = serde_json::json!({
                "export": plan.export, "server": plan.server, "folder": folder, "recordings": plan.recordings.len(),
                "bytes": bytes,
            });
            return table::print_json(&plan);
        }
        let mut out = io::stdout().lock();
        let count = HumanCount(plan.recordings.len() as u64);
        writeln!(out, "{count} recordings, {}, are in {}", DecimalBytes(bytes), folder.display())?;
        writeln!(out, "Export {}, signed by the server {}.", plan.export, plan.server)?;
        writeln!(out, "Whoever gets it checks it with:")?;
        writeln!(out, "  longshore verify export FOLDER --fingerprint {}", plan.server)?;
        Ok(out.flush()?)
    }
}
