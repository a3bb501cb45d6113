//! What people did.

use clap::Args;
use longshore_store::audit::Audited;

use super::device::MOMENT;
use super::{Target, query, table};
use crate::http::operator::paths;

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Show at most so many lines, the newest; 1,000 at most
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Only what is older than the line with this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    #[command(flatten)]
    target: Target,
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { count, before, target } = self;
        let before = before.map(|before| before.to_string());
        let mut which = vec![("count", count.to_string())];
        which.extend(before.map(|before| ("before", before)));
        let which: Vec<(&str, &str)> = which.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let lines: Vec<Audited> = target.client()?.get(&query(paths::AUDIT, &which))?;
        if target.json {
            return table::print_json(&lines);
        }
        let rows: Vec<_> = lines
            .into_iter()
            .map(|line| {
                let (number, when) = (line.seq.to_string(), line.at.format(MOMENT).to_string());
                [number, when, line.by, line.did.replace('_', " "), line.about]
            })
            .collect();
        Ok(table::print(["NUMBER", "WHEN", "WHO", "DID", "ABOUT"], &rows)?)
    }
}
