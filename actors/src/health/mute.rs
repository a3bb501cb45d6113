//! People who do not want to hear of an issue. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::Issue;
use longshore_store::facts::{Fact, HealthFact};

/// The longest silence: what nobody wants to hear of for longer is ignored, or taken out of service.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// Why people go on hearing of an issue, or not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MuteRefused {
    /// There is none.
    #[error("there is no issue {0}; `longshore health list` shows which are open")]
    Unknown(u64),
    /// It is over.
    #[error("issue {0} has ended; there is nothing to hear of it")]
    Ended(u64),
    /// Nothing would be silenced.
    #[error("the silence would end before now; give a moment to come")]
    Past,
    /// It is as good as for ever.
    #[error("a silence lasts at most {} days; ignore the issue instead", LONGEST.num_days())]
    TooLong,
}

/// Silences an open issue until a moment; without one, people hear of it again.
pub(crate) fn silence(
    number: u64,
    issue: Option<Issue>,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    by: String,
) -> Result<(Vec<Fact>, Issue), MuteRefused> {
    let issue = issue.ok_or(MuteRefused::Unknown(number))?;
    if !issue.is_open() {
        return Err(MuteRefused::Ended(number));
    }
    match until {
        Some(until) if until <= now => return Err(MuteRefused::Past),
        Some(until) if until - now > LONGEST => return Err(MuteRefused::TooLong),
        _ => {}
    }
    if issue.silenced_until == until {
        return Ok((Vec::new(), issue));
    }
    let fact = HealthFact::Silenced { issue: number, subject: issue.subject, until, by };
    Ok((vec![Fact::Health(fact)], Issue { silenced_until: until, ..issue }))
}

/// Ignores an issue, whenever it comes back too, or heeds it again.
pub(crate) fn ignore(
    number: u64,
    issue: Option<Issue>,
    ignored: bool,
    by: String,
) -> Result<(Vec<Fact>, Issue), MuteRefused> {
    let issue = issue.ok_or(MuteRefused::Unknown(number))?;
    if issue.ignored == ignored {
        return Ok((Vec::new(), issue));
    }
    // One that ended may be heeded again, so that people hear of it when it comes back.
    if ignored && !issue.is_open() {
        return Err(MuteRefused::Ended(number));
    }
    let fact = HealthFact::Ignored { issue: number, subject: issue.subject, ignored, by };
    Ok((vec![Fact::Health(fact)], Issue { ignored, ..issue }))
}

#[cfg(test)]
mod tests {
    use longshore_model::{HealthSubject, IssueEnd};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn issue(ended: bool) -> Option<Issue> {
        let json = serde_json::json!({
            "number": 7, "subject": "server", "type": "disk_low", "since": now(), "last_seen": now(), "heard_at": now(),
            "count": 1,
        });
        let issue: Issue = serde_json::from_value(json).unwrap();
        assert_eq!(issue.subject, HealthSubject::Server);
        Some(Issue { ended: ended.then_some((IssueEnd::Cleared, now())), ..issue })
    }

    #[test]
    fn a_silence_ends_at_a_moment_that_is_to_come_and_not_too_far() {
        let silence = |issue, until| silence(7, issue, until, now(), "uid 0".into());
        let (facts, silenced) = silence(issue(false), Some(now() + TimeDelta::hours(8))).unwrap();
        assert_eq!((facts.len(), silenced.is_muted(now())), (1, true));
        assert_eq!(silence(Some(silenced.clone()), silenced.silenced_until).unwrap().0, [], "it is already");
        let (facts, heard) = silence(Some(silenced), None).unwrap();
        assert_eq!((facts.len(), heard.is_muted(now())), (1, false));
        assert_eq!(silence(issue(false), Some(now())), Err(MuteRefused::Past));
        assert_eq!(silence(issue(false), Some(now() + TimeDelta::days(400))), Err(MuteRefused::TooLong));
        assert_eq!(silence(issue(true), None), Err(MuteRefused::Ended(7)));
        assert_eq!(silence(None, None), Err(MuteRefused::Unknown(7)));
    }

    #[test]
    fn what_is_ignored_can_be_heeded_again_after_its_end() {
        let ignore = |issue, ignored| ignore(7, issue, ignored, "uid 0".into());
        let (facts, ignored) = ignore(issue(false), true).unwrap();
        assert_eq!((facts.len(), ignored.ignored), (1, true));
        assert_eq!(ignore(Some(ignored.clone()), true).unwrap().0, []);
        let over = Issue { ended: issue(true).unwrap().ended, ..ignored };
        assert_eq!(ignore(Some(over), false).unwrap().0.len(), 1);
        assert_eq!(ignore(issue(true), true), Err(MuteRefused::Ended(7)));
    }
}
