//! Few numbers for many.

use anyhow::Context as _;
use serde::Serialize;

/// The middle of some rounds, and their spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = Sorted::of(values);
        let middle = |from: usize| sorted.0.get(from / 2);
        let count = sorted.len();
        let median = (middle(count.checked_sub(1)?)? + middle(count)?) / 2.0;
        Some(Self { median, least: sorted.at(0.0)?, most: sorted.at(1.0)? })
    }
}

/// Values in their order.
pub(crate) struct Sorted(Vec<f64>);

impl Sorted {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The least value that this share of the values does not exceed.
    pub(crate) fn at(&self, share: f64) -> Option<f64> {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Times {
    count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) worst: f64,
}

impl Times {
    pub(crate) fn of(milliseconds: Vec<f64>) -> anyhow::Result<Self> {
        let sorted = Sorted::of(milliseconds);
        let at = |share| sorted.at(share).context("nothing was measured");
        Ok(Self { count: sorted.len(), p50: at(0.5)?, p99: at(0.99)?, worst: at(1.0)? })
    }
}
