//! What devices said of themselves, how their clocks go, and what they are still to do.

use chrono::{DateTime, Utc};
use longshore_model::{Command, DeviceClock, DeviceId, DeviceReport};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, get, put};
use super::tables::Table;
use super::{Index, IndexError};
use crate::facts::{Entry, ReportFact};

/// What a device said of itself last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub report: DeviceReport,
}

impl Index {
    /// How the clock of a device went.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn clock(&self, device: DeviceId) -> Result<DeviceClock, IndexError> {
        Ok(super::get(&self.tables[Table::Clocks], device.as_bytes())?.unwrap_or_default())
    }

    /// What a device said of itself last.
    pub fn report(&self, device: DeviceId) -> Result<Option<ReportRow>, IndexError> {
        super::get(&self.tables[Table::Reports], device.as_bytes())
    }

    /// What a device is still to do, in the order in which it was told to.
    pub fn commands(&self, device: DeviceId) -> Result<Vec<Command>, IndexError> {
        Ok(super::get(&self.tables[Table::Commands], device.as_bytes())?.unwrap_or_default())
    }
}

impl Rows {
    pub(super) fn apply_report(&self, entry: &Entry, fact: &ReportFact) -> Applied<()> {
        match fact {
            ReportFact::ClockSampled { device, sample } => {
                let mut clock: DeviceClock = get(&self.tables[Table::Clocks], device.as_bytes())?.unwrap_or_default();
                clock.take(sample.clone());
                put(&self.tables[Table::Clocks], device.as_bytes(), &clock)
            }
            ReportFact::Reported { device, report } => {
                let row = ReportRow { at: entry.at, report: report.clone() };
                put(&self.tables[Table::Reports], device.as_bytes(), &row)
            }
            ReportFact::CommandGiven { device, command, .. } => self.change_commands(*device, |commands| {
                commands.push(command.clone());
            }),
            ReportFact::CommandEnded { device, command, .. } => self.change_commands(*device, |commands| {
                commands.retain(|waiting| waiting.id != *command);
            }),
        }
    }

    fn change_commands(&self, device: DeviceId, f: impl FnOnce(&mut Vec<Command>)) -> Applied<()> {
        let mut commands = get(&self.tables[Table::Commands], device.as_bytes())?.unwrap_or_default();
        f(&mut commands);
        put(&self.tables[Table::Commands], device.as_bytes(), &commands)
    }
}
