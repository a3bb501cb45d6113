//! When which message is tried. Pure: the same rows and the same time, the same answer.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{MailId, MailKind};
use longshore_store::facts::OutboxFact;
use longshore_store::index::{Delivery, OutboxRow};

use super::failure::{Failure, Whose};

/// Wait after the first failure; it doubles with each further one.
const FIRST_WAIT: TimeDelta = TimeDelta::minutes(1);
/// The longest wait: a server that is back is found within half a working day.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(4);
/// The jitter adds at most this share of a wait, so that several servers behind one relay do not come back together.
const JITTER: f64 = 0.25;
/// After so long a message that could not be delivered is given up (RFC 5321 §4.5.4.1: at least four or five days).
pub(super) const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(5);
/// Tries without which no message is given up, however old it is: a server that was off for a week, or whose clock is put right, begins
/// with messages that look old. In five days of trying there are some forty, in two and a half some twenty.
const TRIES: u32 = 20;
/// So long what ended is shown.
const REMEMBERED: TimeDelta = TimeDelta::days(30);
/// So many of those that ended are shown at most, the newest.
const REMEMBERED_MOST: usize = 10_000;
/// The same of messages for webhooks, of which a busy server sends one every few seconds: they take no room from mails.
const REMEMBERED_WEBHOOKS: usize = 1_000;

/// What is to be done now, and when to look again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// To be tried now, in this order.
    pub(super) due: Vec<&'a OutboxRow>,
    /// When something else is due, if nothing happens before.
    pub(super) next: Option<DateTime<Utc>>,
}

/// That the other server could not be reached, or wants nothing of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// How often in a row.
    pub(super) failures: u32,
    /// Until when it is left alone.
    pub(super) until: DateTime<Utc>,
    /// Why.
    pub(super) why: String,
}

/// Time between a failure and the next try; `jitter` is a random number from 0 to 1.
fn wait(failures: u32, jitter: f64) -> TimeDelta {
    let doubled = (1..failures.min(16)).fold(FIRST_WAIT, |wait, _| (wait * 2).min(LONGEST_WAIT));
    #[expect(clippy::cast_possible_truncation, reason = "a quarter of four hours has seven digits")]
    let more = (doubled.num_milliseconds() as f64 * JITTER * jitter) as i64;
    (doubled + TimeDelta::milliseconds(more)).min(LONGEST_WAIT)
}

/// `open` is in the order in which it was queued. A message waits for those before it to the same recipient, but for one by
/// which somebody tests the way. What was tried least comes first: a message at which the other server ends the conversation each time
/// would hold all others for days.
pub(super) fn plan<'a>(open: &'a [OutboxRow], rest: Option<&Rest>, now: DateTime<Utc>) -> Plan<'a> {
    let mut recipients = HashSet::new();
    let (mut due, mut next) = (Vec::new(), None);
    let resting = rest.map(|rest| soon(rest.until, now)).filter(|until| *until > now);
    for row in open {
        let is_first = row.message.kind == MailKind::Test || recipients.insert(row.message.to.to_ascii_lowercase());
        let Delivery::Waiting { next: at } = row.delivery else { continue };
        let at = soon(at, now).max(resting.unwrap_or(now));
        match (is_first, at <= now) {
            (false, _) => {}
            (true, true) => due.push(row),
            (true, false) => next = Some(next.map_or(at, |next: DateTime<Utc>| next.min(at))),
        }
    }
    due.sort_by_key(|row| (row.attempts, row.seq));
    Plan { due, next }
}

/// The clock may have been put back since a time was decided on: nothing waits for longer than the longest wait.
fn soon(at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if at - now > LONGEST_WAIT { now } else { at }
}

/// What follows from a try that failed; `rest` is what followed for the mail server, if it was that one's fault.
pub(super) fn failed(
    row: &OutboxRow,
    failure: &Failure,
    rest: Option<&Rest>,
    now: DateTime<Utc>,
    jitter: f64,
) -> OutboxFact {
    let (id, error) = (row.message.id, failure.text.clone());
    if failure.whose == Whose::Message {
        return OutboxFact::Failed { id, error };
    }
    let until = rest.map_or_else(|| now + wait(row.attempts.saturating_add(1), jitter), |rest| rest.until);
    given_up(row, rest, &error, now).unwrap_or(OutboxFact::Deferred { id, error, until })
}

/// The other server cannot be used now.
pub(super) fn rested(before: Option<&Rest>, why: &str, now: DateTime<Utc>, jitter: f64) -> Rest {
    let failures = before.map_or(1, |rest| rest.failures.saturating_add(1));
    Rest { failures, until: now + wait(failures, jitter), why: why.to_owned() }
}

/// A message that waited so long, and was tried so often, that it is given up. While the other server rests, a try of one is a try
/// of all.
pub(super) fn given_up(row: &OutboxRow, rest: Option<&Rest>, error: &str, now: DateTime<Utc>) -> Option<OutboxFact> {
    let tries = rest.map_or(0, |rest| rest.failures).max(row.attempts);
    let days = GIVEN_UP_AFTER.num_days();
    let error = format!("given up after {days} days; the last time: {error}");
    let is_over = tries >= TRIES && now - row.queued_at >= GIVEN_UP_AFTER;
    is_over.then_some(OutboxFact::Failed { id: row.message.id, error })
}

/// Which of those that ended are forgotten; `ended` is in the order in which it was queued.
pub(super) fn forgotten(ended: &[OutboxRow], now: DateTime<Utc>) -> HashSet<MailId> {
    let is_webhook = |row: &&OutboxRow| row.message.kind == MailKind::Webhook;
    let hooks = ended.iter().filter(is_webhook).count();
    let (mut old_hooks, mut old_mails) =
        (hooks.saturating_sub(REMEMBERED_WEBHOOKS), (ended.len() - hooks).saturating_sub(REMEMBERED_MOST));
    let mut is_too_many = |row: &OutboxRow| {
        let old = if is_webhook(&row) { &mut old_hooks } else { &mut old_mails };
        let is_too_many = *old > 0;
        *old = old.saturating_sub(1);
        is_too_many
    };
    let is_old = |row: &OutboxRow| match row.delivery {
        Delivery::Sent { at } | Delivery::Failed { at } => now - at >= REMEMBERED,
        Delivery::Waiting { .. } => false,
    };
    ended.iter().filter(|row| is_too_many(row) || is_old(row)).map(|row| row.message.id).collect()
}

#[cfg(test)]
mod tests {
    use longshore_model::{Message, Sha256};

    use super::*;

    fn start() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn row(n: u8, to: &str) -> OutboxRow {
        let message = Message {
            id: MailId::from_bytes([n; 16]),
            kind: MailKind::TransferDigest,
            to: to.into(),
            subject: "x".into(),
            message_id: "x@example.org".into(),
            references: Vec::new(),
            content: Sha256::of(b"x"),
            by: None,
        };
        let delivery = Delivery::Waiting { next: start() };
        OutboxRow { message, seq: n.into(), queued_at: start(), attempts: 0, tried: None, delivery }
    }

    fn due(plan: &Plan<'_>) -> Vec<u64> {
        plan.due.iter().map(|row| row.seq).collect()
    }

    #[test]
    fn waits_double_from_a_minute_to_four_hours() {
        let minutes: Vec<_> = (1..=11).map(|failures| wait(failures, 0.0).num_minutes()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240]);
        assert_eq!(wait(u32::MAX, 1.0), LONGEST_WAIT);
        assert_eq!((wait(1, 1.0).num_seconds(), wait(4, 0.5).num_seconds()), (75, 540));
    }

    #[test]
    fn messages_to_one_recipient_keep_their_order_and_hold_nobody_else() {
        let mut open = [row(1, "a@example.org"), row(2, "b@example.org"), row(3, "A@example.org")];
        assert_eq!(due(&plan(&open, None, start())), [1, 2]);
        let later = start() + TimeDelta::minutes(9);
        open[0].delivery = Delivery::Waiting { next: later };
        let planned = plan(&open, None, start());
        assert_eq!((due(&planned), planned.next), (vec![2], Some(later)));
        open[2].message.kind = MailKind::Test;
        assert_eq!(due(&plan(&open, None, start())), [2, 3], "a test waits for nobody");
    }

    #[test]
    fn one_at_which_the_other_server_breaks_off_is_tried_after_the_others() {
        let mut open = [row(1, "a@example.org"), row(2, "b@example.org"), row(3, "c@example.org")];
        open[0].attempts = 1;
        assert_eq!(due(&plan(&open, None, start())), [2, 3, 1]);
    }

    #[test]
    fn a_server_that_cannot_be_used_holds_all() {
        let open = [row(1, "a@example.org"), row(2, "b@example.org")];
        let first = rested(None, "refused", start(), 0.0);
        assert_eq!((first.failures, first.until), (1, start() + TimeDelta::minutes(1)));
        let planned = plan(&open, Some(&first), start());
        assert_eq!((due(&planned), planned.next), (vec![], Some(first.until)));
        assert_eq!(due(&plan(&open, Some(&first), first.until)), [1, 2]);
        assert_eq!(rested(Some(&first), "refused", start(), 0.0).until, start() + TimeDelta::minutes(2));
    }

    #[test]
    fn a_clock_that_was_put_back_delays_nothing() {
        let mut open = [row(1, "a@example.org")];
        open[0].delivery = Delivery::Waiting { next: start() + TimeDelta::days(365) };
        let rest = Rest { failures: 3, until: start() + TimeDelta::days(365), why: String::new() };
        assert_eq!(due(&plan(&open, Some(&rest), start())), [1]);
    }

    #[test]
    fn what_follows_from_a_failure_depends_on_whose_it_is() {
        let failure = |whose| Failure { whose, text: "no".into() };
        let (id, first) = (row(1, "a@example.org").message.id, row(1, "a@example.org"));
        for whose in [Whose::Server, Whose::MessageNow, Whose::Policy] {
            let until = start() + TimeDelta::minutes(1);
            let expected = OutboxFact::Deferred { id, error: "no".into(), until };
            assert_eq!(failed(&first, &failure(whose), None, start(), 0.0), expected);
            let tried = OutboxRow { attempts: TRIES, ..first.clone() };
            let old = start() + GIVEN_UP_AFTER;
            let OutboxFact::Failed { error, .. } = failed(&tried, &failure(whose), None, old, 0.0) else { panic!() };
            assert_eq!(error, "given up after 5 days; the last time: no");
        }
        let expected = OutboxFact::Failed { id, error: "no".into() };
        assert_eq!(failed(&first, &failure(Whose::Message), None, start(), 0.0), expected);
    }

    #[test]
    fn a_message_that_only_looks_old_is_not_given_up() {
        let (old, waiting) = (start() + TimeDelta::days(365), row(1, "a@example.org"));
        let failure = Failure { whose: Whose::Server, text: "refused".into() };
        let mut rest = rested(None, &failure.text, old, 0.0);
        let first = failed(&waiting, &failure, Some(&rest), old, 0.0);
        assert!(matches!(first, OutboxFact::Deferred { .. }), "the server is back before its relay is: {first:?}");
        assert_eq!(given_up(&row(2, "b@example.org"), Some(&rest), "refused", old), None, "it was not even tried");
        while rest.failures < TRIES {
            rest = rested(Some(&rest), "refused", rest.until, 0.0);
        }
        assert!(rest.until - old > TimeDelta::days(2));
        let other = given_up(&row(2, "b@example.org"), Some(&rest), "refused", rest.until);
        assert!(matches!(other, Some(OutboxFact::Failed { .. })), "it does not wait for ever: {other:?}");
        assert_eq!(given_up(&row(2, "b@example.org"), Some(&rest), "refused", start()), None, "it is new");
    }

    #[test]
    fn a_message_is_tried_some_forty_times_before_it_is_given_up() {
        let mut waiting = row(1, "a@example.org");
        let (mut now, mut tries) = (start(), 0);
        let failure = Failure { whose: Whose::MessageNow, text: "come back later".into() };
        loop {
            tries += 1;
            match failed(&waiting, &failure, None, now, 0.5) {
                OutboxFact::Deferred { until, .. } => {
                    assert!(until - now <= LONGEST_WAIT);
                    (now, waiting.attempts) = (until, waiting.attempts + 1);
                }
                _ => break,
            }
        }
        assert_eq!(tries, 38);
        assert!(now - start() < GIVEN_UP_AFTER + LONGEST_WAIT);
    }

    #[test]
    fn what_ended_is_shown_for_a_month() {
        let ended = |n, days| OutboxRow {
            delivery: Delivery::Sent { at: start() - TimeDelta::days(days) },
            ..row(n, "a@example.org")
        };
        let first = HashSet::from([MailId::from_bytes([1; 16])]);
        assert_eq!(forgotten(&[ended(1, 29)], start()), HashSet::new());
        assert_eq!(forgotten(&[ended(1, 30), ended(2, 29)], start()), first);
        let many: Vec<_> = (0..=REMEMBERED_MOST).map(|_| ended(1, 0)).collect();
        assert_eq!(forgotten(&many, start()), first);
        let hook = |n| {
            let mut row = ended(n, 0);
            row.message.kind = MailKind::Webhook;
            row
        };
        let mut with_hooks = vec![ended(1, 0), hook(2)];
        with_hooks.extend((0..REMEMBERED_WEBHOOKS).map(|_| hook(3)));
        assert_eq!(
            forgotten(&with_hooks, start()),
            HashSet::from([MailId::from_bytes([2; 16])]),
            "no mail goes for them"
        );
    }
}
