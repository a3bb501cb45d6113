//! What an export is to hold, as the server decided.

use chrono::{DateTime, Utc};
use longshore_model::{ExportId, Jwks, Recording};
use serde::{Deserialize, Serialize};

/// What an export is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportPlan {
    /// Its id, under which the journal has it.
    pub export: ExportId,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// The server's id.
    pub server: String,
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// The lines of the journal that are shown whole, ascending.
    pub lines: Vec<u64>,
    /// The stretches of the journal that lead from each of them to a checkpoint, ascending.
    pub spans: Vec<LineSpan>,
    /// The server's public keys (JSON Web Key Set).
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub keys: Jwks,
}

/// Lines of the journal that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LineSpan {
    /// The first.
    pub from: u64,
    /// The last, which holds a checkpoint.
    pub to: u64,
}

/// A line behind the last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of the journal is behind the last checkpoint")]
pub struct NotCovered(pub u64);

/// From each of `lines` to the first of `checkpoints`, which are lines too, behind it; both ascending. What overlaps is one.
///
/// # Errors
/// [`NotCovered`].
pub fn spans(lines: &[u64], checkpoints: &[u64]) -> Result<Vec<LineSpan>, NotCovered> {
    let mut spans: Vec<LineSpan> = Vec::new();
    for line in lines {
        if spans.last().is_some_and(|last| *line <= last.to) {
            continue;
        }
        let to = checkpoints.get(checkpoints.partition_point(|checkpoint| checkpoint <= line));
        spans.push(LineSpan { from: *line, to: *to.ok_or(NotCovered(*line))? });
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_leads_to_the_first_checkpoint_behind_it() {
        let span = |from, to| LineSpan { from, to };
        assert_eq!(spans(&[3, 5, 20], &[4, 9, 21]), Ok(vec![span(3, 4), span(5, 9), span(20, 21)]));
        assert_eq!(spans(&[3, 5, 7], &[10, 20]), Ok(vec![span(3, 10)]));
        assert_eq!(spans(&[], &[]), Ok(vec![]));
        assert_eq!(spans(&[3, 11], &[10]), Err(NotCovered(11)));
        assert_eq!(spans(&[10], &[10]), Err(NotCovered(10)), "a checkpoint does not cover its own line");
    }
}
