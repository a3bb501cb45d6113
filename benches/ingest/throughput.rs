//! Processor time for each byte: the servers take turns, so that what else the machine does hits all of them.

use std::fs;

use serde::Serialize;

use super::contenders::Contender;
use super::pace::BAY;
use super::plot::{self, Bar};
use super::report::Table;
use super::round::{self, Load, Measured};
use super::statistics::Spread;
use super::{Bench, Rounds};

const MIB: u64 = 1024 * 1024;
/// Where the picture goes when it is published.
const PICTURE: &str = "docs/bench-ingest.svg";

/// Longshore and its limits.
const OURS: [Contender; 4] = [
    Contender::Limit { reads_back: false },
    Contender::Longshore { reads_back: false },
    Contender::Limit { reads_back: true },
    Contender::Longshore { reads_back: true },
];

/// All that was measured.
#[derive(Serialize)]
struct Series {
    load: Load,
    rounds: Vec<Vec<Measured>>,
}

/// As fast as it goes, beside everybody.
pub(crate) async fn ingest(bench: &Bench, rounds: Rounds) -> anyhow::Result<()> {
    let load = Load { bays: 8, length: 256 * MIB, rate: None };
    let contenders = OURS.into_iter().chain([Contender::Nginx, Contender::TusServer]);
    compare(bench, &contenders.collect::<Vec<_>>(), load, rounds.rounds).await
}

/// The same, of whichever servers.
pub(crate) async fn compare(bench: &Bench, contenders: &[Contender], load: Load, rounds: usize) -> anyhow::Result<()> {
    let series = series(bench, contenders, load, rounds).await?;
    let path = bench.publish.as_ref().map_or_else(|| bench.results.join("ingest.svg"), |root| root.join(PICTURE));
    fs::write(
        &path,
        series.picture(&format!("Processor seconds per GiB, {} uploads at once over TLS 1.3", load.bays)),
    )?;
    println!("drawn in {}", path.display());
    bench.report("ingest", &mut series.table(), &series)
}

/// At the pace of body cameras, beside the limit.
pub(crate) async fn paced(bench: &Bench, rounds: Rounds) -> anyhow::Result<()> {
    let load = Load { bays: 40, length: 128 * MIB, rate: Some(BAY) };
    let series = series(bench, &OURS, load, rounds.rounds).await?;
    bench.report("paced", &mut series.table(), &series)
}

async fn series(bench: &Bench, contenders: &[Contender], load: Load, rounds: usize) -> anyhow::Result<Series> {
    let mut series = Series { load, rounds: Vec::new() };
    for round in 1..=rounds {
        let mut measured = Vec::new();
        for contender in contenders {
            let shown = format!("{round}/{rounds}");
            let one = round::run(*contender, &bench.place, load, &bench.content, &shown).await?;
            println!(
                "round {round}: {:24} {:5.2} s/GiB ({:.2} in the kernel), {:4.0} MiB/s, others {:.2} cores",
                one.server,
                one.cpu(),
                one.system,
                one.speed,
                one.others
            );
            measured.push(one);
        }
        series.rounds.push(measured);
    }
    Ok(series)
}

impl Series {
    /// The servers in the order of their turns.
    fn servers(&self) -> Vec<&'static str> {
        self.rounds.first().into_iter().flatten().map(|one| one.server).collect()
    }

    fn of<'a>(&'a self, server: usize, value: impl Fn(&Measured) -> f64 + 'a) -> impl Iterator<Item = f64> + 'a {
        self.rounds.iter().map(move |round| value(&round[server]))
    }

    fn spread(&self, server: usize, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.of(server, value)).unwrap_or_default()
    }

    /// One server's processor time as a multiple of another's, in the same rounds.
    fn ratio(&self, server: usize, to: usize) -> Spread {
        Spread::of(self.of(server, Measured::cpu).zip(self.of(to, Measured::cpu)).map(|(a, b)| a / b))
            .unwrap_or_default()
    }

    fn table(&self) -> Table {
        let servers = self.servers();
        // What Longshore is compared with.
        let others: Vec<usize> = (0..servers.len()).filter(|n| !servers[*n].starts_with("Longshore")).collect();
        let multiples: Vec<String> = others.iter().map(|n| format!("× {}", servers[*n])).collect();
        let fixed = ["server", "CPU s/GiB", "least to most", "in the kernel", "MiB/s", "memory MiB", "others, cores"];
        let head: Vec<&str> = fixed.into_iter().chain(multiples.iter().map(String::as_str)).collect();
        let mut table = Table::new(&head);
        for (n, server) in servers.iter().enumerate() {
            let cpu = self.spread(n, Measured::cpu);
            let mut cells = vec![
                (*server).to_owned(),
                format!("{:.2}", cpu.median),
                format!("{:.2} to {:.2}", cpu.least, cpu.most),
                format!("{:.2}", self.spread(n, |one| one.system).median),
                format!("{:.0}", self.spread(n, |one| one.speed).median),
                format!("{:.0}", self.spread(n, |one| one.peak_memory as f64).most / MIB as f64),
                format!("{:.2}", self.spread(n, |one| one.others).median),
            ];
            let multiples = others.iter().map(|to| format!("{:.2}", self.ratio(n, *to).median));
            cells.extend(multiples);
            table.row(cells);
        }
        table
    }

    fn picture(&self, title: &str) -> String {
        let bars = self.servers().into_iter().enumerate().map(|(n, name)| Bar {
            name,
            user: self.spread(n, |one| one.user).median,
            cpu: self.spread(n, Measured::cpu),
        });
        plot::svg(title, &bars.collect::<Vec<_>>())
    }
}
