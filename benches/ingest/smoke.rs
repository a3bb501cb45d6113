//! `cargo test` runs this program too: small rounds, whose figures mean nothing, so that the benchmark keeps working.

use std::fs;

use anyhow::ensure;

use super::contenders::Contender;
use super::cores::Cores;
use super::report::DOCUMENT;
use super::round::Load;
use super::{Bench, takeover, throughput, until_told};

const NAME: &str = "ingest::smoke";
const MIB: u64 = 1024 * 1024;

/// Does what the test harness would: `words` are what it was given.
pub(crate) fn test(words: &[String]) -> anyhow::Result<()> {
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_meant = filters.is_empty() || filters.iter().any(|filter| NAME.contains(filter.as_str()));
    if words.iter().any(|word| word == "--list") {
        println!("{NAME}: test");
    } else if is_meant {
        until_told(smoke())?;
        println!("test {NAME} ... ok");
    }
    Ok(())
}

async fn smoke() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, results, root) = (folder.path().join("data"), folder.path().join("bench"), folder.path().join("root"));
    fs::create_dir_all(root.join("docs"))?;
    let (ingest, takeover) = ("<!-- bench: ingest -->\n<!-- end -->\n", "<!-- bench: takeover -->\n<!-- end -->\n");
    fs::write(root.join(DOCUMENT), [ingest, takeover].concat())?;
    let bench = Bench::at(data, results, Some(root.clone()), Cores::shared())?;

    let contenders = [Contender::Limit { reads_back: true }, Contender::Longshore { reads_back: true }];
    // Not whole segments, and not a whole number of blocks.
    let load = Load { bays: 2, length: 8 * MIB + 4321, rate: None };
    throughput::compare(&bench, &contenders, load, 1).await?;
    takeover::takeover(&bench, 2).await?;

    let document = fs::read_to_string(root.join(DOCUMENT))?;
    for told in ["| raw loop, read-back |", "| Longshore, read-back |", "| on a connection that stands |"] {
        ensure!(document.contains(told), "{told} is not in:\n{document}");
    }
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(bench.results.join("ingest.json"))?)?;
    let speeds = kept["measured"]["rounds"][0].as_array().into_iter().flatten().filter_map(|one| one["speed"].as_f64());
    ensure!(speeds.filter(|speed| *speed > 0.0).count() == contenders.len(), "{kept}");
    Ok(())
}
