mod checkpoint;
mod export;
mod report;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{DecimalBytes, HumanCount};
use longshore_model::ReceiptVerifier;
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::IndexPlace;
use longshore_store::verify::{Catalogued, IndexIs, Report, Step, Storage};

use super::client::Client;
use super::progress::Progress;
use super::table::{self, plain};
use super::{Target, check_storage};
use crate::config::Config;
use crate::data::DataFolder;
use crate::http::operator::{ReconciliationState, RecordingRow, paths};
use crate::identity::receipt_verifier;

/// A fact is in the journal before it is in the server's answers: at most as long as a busy disk takes.
const ANSWERS_CATCH_UP: Duration = Duration::from_secs(10);
/// Exit status of a store in which nothing is wrong, and whose journal may have lost its end all the same.
const NO_INDEX: u8 = 3;
const ASK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum Verify {
    /// Read every stored recording again and compare it with its manifest and the journal
    ///
    /// Works whether Longshore runs or not. Exit status 1 if anything is wrong; 3 if nothing is, but there is no index that would
    /// know of lines that the journal lost.
    Store {
        /// Look at names and sizes only
        #[arg(long)]
        quick: bool,
        /// Show instead what the running server found when it looked by itself, which it does each night
        #[arg(long, conflicts_with = "quick")]
        report: bool,
        /// Have it look now, and wait for it
        #[arg(long, requires = "report")]
        now: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Compare the journal with a checkpoint that somebody kept, such as one in a mail
    ///
    /// Says what exactly differs: a history that was rewritten, or a journal that lost its end. Works on the server's machine,
    /// whether Longshore runs or not. Exit status 1 if anything is wrong.
    Checkpoint(checkpoint::Checkpoint),
    /// Check an export, on any computer: no server and no network is needed
    ///
    /// Exit status 0 if everything holds, 1 if anything is wrong or cannot be read.
    Export(export::Export),
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (quick, target) = match self {
            Self::Checkpoint(checkpoint) => return checkpoint.run(),
            Self::Export(export) => return export.run(),
            Self::Store { report: true, now, target, .. } => return report::run(now, &target),
            Self::Store { quick, target, .. } => (quick, target),
        };
        let Target { whose, json } = target;
        let report = verify(&whose.config()?, quick)?;
        if json {
            table::print_json(&report)?;
        } else {
            tell(&report)?;
        }
        Ok(match report {
            Report { problems, .. } if !problems.is_empty() => ExitCode::FAILURE,
            Report { index: IndexIs::Missing, .. } => ExitCode::from(NO_INDEX),
            _ => ExitCode::SUCCESS,
        })
    }
}

/// Reads every stored recording again; `quick` looks at names and sizes only.
pub(super) fn verify(config: &Config, quick: bool) -> anyhow::Result<Report> {
    let (data, folder) = DataFolder::of_server(&config.data)?;
    check_storage(&data, &config.storage_folder())?;
    let verifier = receipt_verifier(&data)?;
    let journal = Disk::open(&data, DiskOptions::default())?;
    let mut progress = Progress::new();
    progress.count("Reading the journal");
    let catalogued = read_journal(&data, folder.as_ref(), &journal, &verifier, &progress);
    // The server may be started while the recordings are read.
    drop(folder);
    progress.end();
    let storage = config.storage_folder();
    let storage = Storage { folder: &storage, journal: &journal, verifier: &verifier, quick };
    let report = catalogued?.compare(&storage, &mut |step| match step {
        Step::Expect { recordings, .. } if quick => progress.items("Looking at recordings", recordings),
        Step::Expect { bytes, .. } => progress.bytes("Reading recordings", bytes),
        Step::Recording if quick => progress.advance(1),
        Step::Read(bytes) if !quick => progress.advance(bytes),
        _ => {}
    });
    progress.end();
    Ok(report?)
}

/// With the folder in our hands, no server has it.
fn read_journal(
    data: &Path,
    folder: Option<&DataFolder>,
    journal: &Disk,
    verifier: &ReceiptVerifier,
    progress: &Progress,
) -> anyhow::Result<Catalogued> {
    let scratch = tempfile::Builder::new().prefix("verify-").tempdir_in(data);
    let scratch = scratch.with_context(|| format!("nothing can be written to {}", data.display()))?;
    let place = IndexPlace::below(data);
    let live = folder.map(|_| &place);
    let rows = scratch.path().join("index");
    // Before the journal is read: it grows meanwhile. A server that just starts or stops does not answer; the report says that
    // nothing was compared.
    let state = || Client::new(data).and_then(|client| client.get::<ReconciliationState>(paths::RECONCILIATION)).ok();
    let known = if folder.is_none() { state().and_then(|state| state.known) } else { None };
    let mut catalogued = Catalogued::read(journal, rows, live, known, verifier, &mut |_| progress.advance(1))?;
    let asked_until = Instant::now() + ANSWERS_CATCH_UP;
    while folder.is_none() {
        let asked = Client::new(data).and_then(|client| client.get::<Vec<RecordingRow>>(paths::RECORDINGS));
        let Ok(rows) = asked else { break };
        let answer: Vec<_> = rows.into_iter().map(|row| row.recording).collect();
        let lacking = catalogued.lacking_in(&answer);
        if lacking == 0 || Instant::now() >= asked_until {
            catalogued.answered(&answer, lacking);
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "the command's only thread")]
        thread::sleep(ASK_AGAIN);
    }
    Ok(catalogued)
}

fn tell(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Report { expected, present, unverified, facts, declared_not_stored, on_their_way, index, problems, foreign } =
        report;
    let count = |count: &u64| HumanCount(*count);
    writeln!(out, "{} expected, {} present, {} unverified", count(expected), count(present), count(unverified))?;
    writeln!(
        out,
        "Declared by devices and not stored: {}. On their way: {} uploads, {} received.",
        count(declared_not_stored),
        count(&on_their_way.uploads),
        DecimalBytes(on_their_way.bytes)
    )?;
    writeln!(out, "Journal: {} facts read. Index: {}.", count(facts), in_words(index))?;
    for path in foreign {
        writeln!(out, "Not Longshore's: {}", plain(path))?;
    }
    for problem in problems {
        writeln!(out, "WRONG: {}: {}", plain(&problem.path), plain(&problem.text))?;
    }
    out.flush()
}

fn in_words(index: &IndexIs) -> String {
    match index {
        IndexIs::Same => "every row is as the journal says".to_owned(),
        IndexIs::AnswersAll => {
            "the running server knows every recording; its rows are compared when it is stopped".to_owned()
        }
        IndexIs::NotCompared => "not compared".to_owned(),
        IndexIs::Missing => {
            "none that can be trusted, which would know of lines that the journal lost at its end; compare it with a \
                             checkpoint (`longshore verify checkpoint`). The next start makes it"
                .to_owned()
        }
        IndexIs::OfAnotherJournal => "not of this journal".to_owned(),
        IndexIs::Different { rows } => format!("{} rows differ", HumanCount(*rows)),
    }
}
