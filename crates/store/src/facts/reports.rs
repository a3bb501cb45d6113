use longshore_model::{ClockSample, Command, CommandId, CommandOp, DeviceId, DeviceReport};
use serde::{Deserialize, Serialize};

/// What a device said of itself, and what it was told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ReportFact {
    /// Its clock was compared with the server's, and showed something new.
    ClockSampled {
        /// Whose.
        device: DeviceId,
        /// What both showed.
        sample: ClockSample,
    },
    /// It said how it is; only what is new, or now and then.
    Reported {
        /// Who.
        device: DeviceId,
        /// How it is.
        report: DeviceReport,
    },
    /// Somebody wants it to do something.
    CommandGiven {
        /// Who is to do it.
        device: DeviceId,
        /// What.
        command: Command,
        /// Who wants it.
        by: String,
    },
    /// It did, or cannot do, what it was told to.
    CommandEnded {
        /// Who.
        device: DeviceId,
        /// Which command.
        command: CommandId,
        /// What it was.
        op: CommandOp,
        /// Whether it did it.
        done: bool,
        /// What it has to say about that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}
