use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use indicatif::HumanCount;
use longshore_model::{Clock as _, SystemClock};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::IndexPlace;
use longshore_store::rebuild::{Manifests, Rebuilt, Step, rebuild};

use super::progress::Progress;
use super::{Whose, check_storage};
use crate::data::DataFolder;
use crate::identity::receipt_verifier;

#[derive(Debug, Subcommand)]
pub(super) enum Catalogue {
    /// Make the index anew from the whole journal, and check the journal; Longshore has to be stopped
    Rebuild {
        /// Then put recordings that the journal has lost into it, from the manifests beside the videos
        #[arg(long)]
        from_manifests: bool,
        #[command(flatten)]
        whose: Whose,
    },
}

impl Catalogue {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self::Rebuild { from_manifests, whose } = self;
        let config = whose.config()?;
        let (path, folder) = DataFolder::of_server(&config.data)?;
        let Some(_held) = folder else {
            bail!("Longshore is running on the data folder {}; stop it first", path.display());
        };
        let storage = config.storage_folder();
        if from_manifests {
            check_storage(&path, &storage)?;
        }
        let verifier = receipt_verifier(&path)?;
        let manifests = Manifests { storage: &storage, verifier: &verifier, now: SystemClock.now() };
        let mut progress = Progress::new();
        progress.count("Reading the journal");
        let rebuilt = rebuild(
            Arc::new(Disk::open(&path, DiskOptions::default())?),
            &IndexPlace::below(&path),
            from_manifests.then_some(&manifests),
            &mut |step| match step {
                Step::Fact | Step::File => progress.advance(1),
                Step::Files(files) => progress.items("Looking for manifests", files),
            },
        );
        progress.end();
        tell(&rebuilt.context("the catalogue was not rebuilt, and its index is as it was")?, from_manifests)?;
        Ok(())
    }
}

fn tell(rebuilt: &Rebuilt, from_manifests: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Rebuilt { facts, torn, recovered, known, left } = rebuilt;
    writeln!(out, "The index is made anew from {} facts; the journal's chain is whole.", HumanCount(*facts))?;
    if let Some(torn) = torn {
        writeln!(
            out,
            "The journal's end, {} bytes that nobody was told of, was put aside as {}.",
            torn.bytes, torn.aside
        )?;
    }
    if !from_manifests {
        return out.flush();
    }
    writeln!(
        out,
        "{} recordings were put into the journal from their manifests; {} were there.",
        HumanCount(*recovered),
        HumanCount(*known)
    )?;
    for (path, why) in left {
        writeln!(out, "Not taken: {path}: {why}")?;
    }
    writeln!(
        out,
        "Devices and what they declared cannot come back from manifests: enrol again those that are missing."
    )?;
    if *recovered > 0 {
        writeln!(out, "Only the sizes of their videos were compared: `longshore verify store` reads them.")?;
    }
    out.flush()
}
