//! What devices say of themselves, and what they are told to do: what of it is worth a line in the journal. Pure, but for
//! reading the index.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{
    ClockSample, Command, CommandId, CommandOp, Device, DeviceId, DeviceReport, DeviceState, Holds, RequestId, Span,
};
use longshore_store::facts::{Fact, ReportFact};
use longshore_store::index::{Index, IndexError, ReportRow};

/// Between two reports that are kept, unless something changed that matters.
const KEPT_EVERY: TimeDelta = TimeDelta::hours(1);
/// Commands of one device that wait; a person gives up sooner.
const WAITING: usize = 16;

/// What a device says with `PUT /reported`.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// How it is.
    pub report: DeviceReport,
    /// What it holds of what people ask for; the ranges are by its own clock, as moments.
    pub requests: Vec<(RequestId, Holds, Vec<Span>)>,
    /// Commands that it did (or cannot do), and what it has to say about them.
    pub commands: Vec<(CommandId, bool, Option<String>)>,
}

/// Why a device is not told to do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// Nobody knows it.
    #[error("no device with the serial {0} is known; `longshore device list` shows which are")]
    Unknown(String),
    /// It does not come for it.
    #[error("{0} is {1}: it is told nothing")]
    NotInService(String, &'static str),
    /// It only uploads.
    #[error("{0} uploads by itself with a token, and cannot be told anything")]
    CannotBeTold(String),
    /// It does not come.
    #[error("{most} commands wait for {0} already: it has to call first", most = WAITING)]
    TooMany(String),
}

/// What of a sample of its clock is new.
pub(crate) fn sampled(index: &Index, device: DeviceId, sample: &ClockSample) -> Result<Vec<Fact>, IndexError> {
    let is_news = index.clock(device)?.is_news(sample);
    let fact = || Fact::Report(ReportFact::ClockSampled { device, sample: sample.clone() });
    Ok(Vec::from_iter(is_news.then(fact)))
}

/// What of a report is new; its requests are the queue's.
pub(crate) fn reported(
    index: &Index,
    device: DeviceId,
    said: &Said,
    now: DateTime<Utc>,
) -> Result<Vec<Fact>, IndexError> {
    let mut facts = Vec::new();
    let known = index.report(device)?;
    let oldest = |report: &DeviceReport| report.storage.as_ref().and_then(|storage| storage.oldest);
    // What a device holds at least tells whether what it offered may still come, which matters once it says that it has no more.
    let says_all = said.requests.iter().any(|(_, holds, _)| matches!(holds, Holds::Done | Holds::Nothing));
    let is_news = |known: ReportRow| {
        let loses = says_all && oldest(&known.report) != oldest(&said.report);
        known.report.differs(&said.report) || now - known.at >= KEPT_EVERY || loses
    };
    if known.is_none_or(is_news) {
        facts.push(Fact::Report(ReportFact::Reported { device, report: said.report.clone() }));
    }
    let waiting = index.commands(device)?;
    for command in waiting {
        // Twice in one report counts once.
        let ended = said.commands.iter().find(|(id, ..)| *id == command.id);
        facts.extend(ended.map(|(_, done, text)| {
            let (done, text) = (*done, text.clone());
            Fact::Report(ReportFact::CommandEnded { device, command: command.id, op: command.op, done, text })
        }));
    }
    Ok(facts)
}

/// Tells a device to do something; what waits already is not told twice.
pub(crate) fn command(
    serial: &str,
    device: Option<Device>,
    waiting: &[Command],
    command: Command,
    by: String,
) -> Result<(Vec<Fact>, (DeviceId, Command)), CommandRefused> {
    let device = device.ok_or_else(|| CommandRefused::Unknown(serial.to_owned()))?;
    if matches!(device.state, DeviceState::Suspended | DeviceState::Retired) {
        return Err(CommandRefused::NotInService(device.serial, device.state.as_str()));
    }
    if device.key.is_none() {
        return Err(CommandRefused::CannotBeTold(device.serial));
    }
    if let Some(known) = waiting.iter().find(|known| known.op == command.op) {
        return Ok((Vec::new(), (device.id, known.clone())));
    }
    if waiting.len() >= WAITING {
        return Err(CommandRefused::TooMany(device.serial));
    }
    let fact = ReportFact::CommandGiven { device: device.id, command: command.clone(), by };
    Ok((vec![Fact::Report(fact)], (device.id, command)))
}

/// A command that is given now.
pub(crate) fn new_command(op: CommandOp, now: DateTime<Utc>) -> Result<Command, getrandom::Error> {
    Ok(Command { id: CommandId::random()?, op, since: now })
}

#[cfg(test)]
mod tests {
    use longshore_model::Sha256;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn device(state: DeviceState) -> Device {
        Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state,
            key: Some(Sha256::of(b"key")),
            upload_tokens: Vec::new(),
            assignments: Vec::new(),
            profile: "default".into(),
            site: None,
            groups: std::collections::BTreeSet::new(),
            replaced_by: None,
            approved_at: now(),
        }
    }

    #[test]
    fn a_command_that_waits_is_not_given_twice() {
        let give = |op, waiting: &[Command]| {
            let new = new_command(op, now()).unwrap();
            command("B-1", Some(device(DeviceState::Active)), waiting, new, "uid 0".into())
        };
        let (facts, (_, first)) = give(CommandOp::Identify, &[]).unwrap();
        assert_eq!(facts.len(), 1);
        let waiting = [first.clone()];
        let (facts, (_, again)) = give(CommandOp::Identify, &waiting).unwrap();
        assert_eq!((facts.len(), again), (0, first));
        assert_eq!(give(CommandOp::Rescan, &waiting).unwrap().0.len(), 1);
        let many = vec![waiting[0].clone(); WAITING];
        assert_eq!(give(CommandOp::Rescan, &many).unwrap_err(), CommandRefused::TooMany("B-1".into()));
    }

    #[test]
    fn who_does_not_come_for_it_is_told_nothing() {
        let give = |device: Option<Device>| {
            let new = new_command(CommandOp::Logs, now()).unwrap();
            command("B-1", device, &[], new, "uid 0".into()).unwrap_err()
        };
        assert_eq!(give(None), CommandRefused::Unknown("B-1".into()));
        let suspended = CommandRefused::NotInService("B-1".into(), "suspended");
        assert_eq!(give(Some(device(DeviceState::Suspended))), suspended);
        let keyless = Device { key: None, ..device(DeviceState::Active) };
        assert_eq!(give(Some(keyless)), CommandRefused::CannotBeTold("B-1".into()));
    }
}
