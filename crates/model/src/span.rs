use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A recorder that goes on in a new file leaves less than this between the two; nobody misses it.
const SEAM: TimeDelta = TimeDelta::seconds(2);

/// A stretch of true time, from its first moment to the one behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The moment behind its last.
    pub to: DateTime<Utc>,
}

impl Span {
    /// How long recordings are taken to be at most whose end nobody knows: recorders begin a new file sooner.
    pub const LONGEST_UNKNOWN: TimeDelta = TimeDelta::hours(1);

    /// Where a recording can lie that begins at `from`.
    pub fn of(from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> Self {
        let longest = from.checked_add_signed(Self::LONGEST_UNKNOWN).unwrap_or(from);
        Self { from, to: to.unwrap_or(longest).max(from) }
    }

    /// Whether the two have a moment in common. One that has no length lies where it begins.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && (other.from < self.to || self.from == self.to && other.from <= self.from)
    }

    /// How long it is; never negative.
    pub fn length(&self) -> TimeDelta {
        (self.to - self.from).max(TimeDelta::zero())
    }

    /// What of it the `parts` cover, in order and without overlaps.
    pub fn covered(&self, parts: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let cut = |part: Self| Self { from: part.from.max(self.from), to: part.to.min(self.to) };
        let mut parts: Vec<_> = parts.into_iter().map(cut).filter(|part| part.from < part.to).collect();
        parts.sort_unstable_by_key(|part| part.from);
        let mut covered: Vec<Self> = Vec::new();
        for part in parts {
            match covered.last_mut() {
                Some(last) if part.from - last.to <= SEAM => last.to = last.to.max(part.to),
                _ => covered.push(part),
            }
        }
        covered
    }

    /// Whether what is [covered](Self::covered) is all of it.
    pub fn is_whole(&self, covered: &[Self]) -> bool {
        matches!(covered, [one] if one.from - self.from <= SEAM && self.to - one.to <= SEAM)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: i64, to: i64) -> Span {
        let at = |seconds| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        Span { from: at(from), to: at(to) }
    }

    #[test]
    fn neighbours_have_no_moment_in_common() {
        assert!(span(0, 10).overlaps(&span(9, 20)) && span(9, 20).overlaps(&span(0, 10)));
        assert!(!span(0, 10).overlaps(&span(10, 20)) && !span(10, 20).overlaps(&span(0, 10)));
        assert!(span(0, 10).overlaps(&span(3, 4)) && span(3, 4).overlaps(&span(0, 10)));
        assert!(span(5, 5).overlaps(&span(0, 10)) && !span(15, 15).overlaps(&span(0, 10)));
    }

    #[test]
    fn files_that_follow_each_other_cover_as_one_and_a_gap_shows() {
        let wanted = span(0, 600);
        let covered = wanted.covered([span(300, 601), span(-60, 299), span(700, 800)]);
        assert_eq!(covered, [span(0, 600)]);
        assert!(wanted.is_whole(&covered));
        let covered = wanted.covered([span(310, 600), span(0, 300), span(10, 20)]);
        assert_eq!(covered, [span(0, 300), span(310, 600)]);
        assert!(!wanted.is_whole(&covered) && !wanted.is_whole(&[]));
    }

    proptest! {
        #[test]
        fn what_is_covered_is_in_order_and_inside_whatever_the_parts(
            parts in prop::collection::vec((-100..700_i64, 0..200_i64), 0..30),
        ) {
            let wanted = span(0, 600);
            let parts: Vec<_> = parts.into_iter().map(|(from, length)| span(from, from + length)).collect();
            let covered = wanted.covered(parts.clone());
            prop_assert!(covered.windows(2).all(|pair| pair[0].to < pair[1].from));
            prop_assert!(covered.iter().all(|part| part.from < part.to && wanted.from <= part.from && part.to <= wanted.to));
            for part in parts.iter().filter(|part| part.from < part.to && part.overlaps(&wanted)) {
                let inside = Span { from: part.from.max(wanted.from), to: part.to.min(wanted.to) };
                prop_assert!(covered.iter().any(|one| one.from <= inside.from && inside.to <= one.to));
            }
        }
    }
}
