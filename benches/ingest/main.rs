//! What it costs to take recordings in, beside the limit and beside other servers, and what becomes of the bays when
//! everything goes wrong at once. `cargo xtask bench` installs the other servers and runs this; docs/PERFORMANCE.md tells
//! what is measured.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what is counted here is far from the bounds of its types"
)]

mod attack;
mod bay;
mod client;
mod contenders;
mod content;
mod cores;
mod docking;
mod isolation;
mod machine;
mod memory;
mod pace;
mod plot;
mod probe;
mod process;
mod recorder;
mod report;
mod round;
mod smoke;
mod stall;
mod statistics;
mod takeover;
mod throughput;
mod windows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use self::contenders::{LIMIT, Place, serve_limit};
use self::content::Content;
use self::cores::Cores;
use self::machine::Machine;
use self::report::{Kept, Table};

/// What cargo adds when it runs a benchmark; without it, this is a test.
const BENCH: &str = "--bench";

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measure what it costs to take recordings in")]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Mode {
    /// 8 bays at once, as fast as it goes: processor time per GiB beside the raw loop and other servers
    Ingest {
        #[command(flatten)]
        rounds: Rounds,
        #[command(flatten)]
        common: Common,
    },
    /// 40 bays at 64 Mbit/s each, beside the raw loop
    Paced {
        #[command(flatten)]
        rounds: Rounds,
        #[command(flatten)]
        common: Common,
    },
    /// 20 bays at 64 Mbit/s while floods, slow connections and hanging writes go on: their worst second, and how soon they
    /// are acknowledged
    Isolation(Common),
    /// Resident memory by the number of busy bays, and of one upload of 10 GiB
    Memory(Common),
    /// One recorder as fast as it goes beside 20 bays at 64 Mbit/s
    Recorder(Common),
    /// 500 devices that check in within a minute, each with an offer of 200 recordings; and what 1,000 cost that only wait
    Docking(Common),
    /// HEAD on uploads whose PATCH hangs: how soon it is answered
    Takeover(Common),
}

#[derive(Args, Clone, Copy)]
struct Rounds {
    /// How often each server takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Args)]
struct Common {
    /// Folder on the disk to write to [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Put the figures into docs/PERFORMANCE.md
    #[arg(long)]
    publish: bool,
}

/// What all measurements need.
struct Bench {
    place: Place,
    content: Arc<Content>,
    machine: Machine,
    /// Where everything that was measured is kept.
    results: PathBuf,
    /// The project whose documents are to be changed.
    publish: Option<PathBuf>,
}

impl Bench {
    fn new(common: Common) -> anyhow::Result<Self> {
        let publish = common.publish.then(|| env!("CARGO_MANIFEST_DIR").into());
        let results = target().join("bench");
        Self::at(common.data.unwrap_or_else(|| results.clone()), results, publish, Cores::part()?)
    }

    fn at(folder: PathBuf, results: PathBuf, publish: Option<PathBuf>, cores: Cores) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(&results)?;
        let (place, content) = (Place { folder, cores }, Arc::new(Content::new()?));
        Ok(Self { place, content, machine: Machine::look()?, results, publish })
    }

    /// Prints the table, keeps everything, and publishes it if that is wanted.
    fn report(&self, name: &str, table: &mut Table, measured: impl Serialize) -> anyhow::Result<()> {
        table.foot(&self.machine.sentence());
        println!("\n{}", table.text());
        Kept { machine: &self.machine, measured }.write(&self.results, name)?;
        self.publish.as_deref().map_or(Ok(()), |root| report::publish(root, name, table))
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((first, words)) if first == LIMIT => serve_limit(words),
        _ if !words.iter().any(|word| word == BENCH) => smoke::test(&words),
        _ => run(Arguments::parse().mode),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode) -> anyhow::Result<()> {
    until_told(mode.run())
}

/// Ends early when it is told to: what was started is killed, as values go.
fn until_told(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            done = work => done,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    })
}

impl Mode {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Ingest { rounds, common } => throughput::ingest(&Bench::new(common)?, rounds).await,
            Self::Paced { rounds, common } => throughput::paced(&Bench::new(common)?, rounds).await,
            Self::Isolation(common) => isolation::isolation(&Bench::new(common)?).await,
            Self::Memory(common) => memory::memory(&Bench::new(common)?).await,
            Self::Recorder(common) => recorder::recorder(&Bench::new(common)?).await,
            Self::Docking(common) => docking::docking(&Bench::new(common)?).await,
            Self::Takeover(common) => takeover::takeover(&Bench::new(common)?, takeover::TIMES).await,
        }
    }
}

/// Where cargo builds.
fn target() -> &'static Path {
    let program = Path::new(env!("CARGO_BIN_EXE_longshore"));
    program.ancestors().nth(2).unwrap_or(program)
}
