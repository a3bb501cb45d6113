//! What this device's clock shows.

use std::fs;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, Local, Utc};
use longshore_model::Clock;
use longshore_protocol::Clock as WireClock;

/// The clock of this device, as it is told to the server.
#[derive(Clone)]
pub struct DeviceClock {
    clock: Arc<dyn Clock>,
    boot: String,
}

impl DeviceClock {
    /// Reads the time from `clock`, and the name of this boot from the kernel.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, boot: boot_id().unwrap_or_default() }
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The time now in the local zone.
    pub fn local(&self) -> DateTime<FixedOffset> {
        in_local_zone(self.clock.now())
    }

    /// The clock as the server is told of it. An agent runs on a computer, which keeps its clock set.
    pub fn for_wire(&self) -> WireClock {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        WireClock { wall: self.local(), uptime_ms: uptime_ms(&uptime), boot: self.boot.clone(), synced: true }
    }
}

/// Names this start of the computer (random(4)).
///
/// # Errors
/// What the operating system says.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// `moment` with the offset that the local zone has at that moment.
pub fn in_local_zone(moment: DateTime<Utc>) -> DateTime<FixedOffset> {
    moment.with_timezone(&Local).fixed_offset()
}

/// Milliseconds of the first number in `/proc/uptime`, which has two decimals; 0 if there is none.
fn uptime_ms(text: &str) -> u64 {
    let number = text.split_whitespace().next().unwrap_or_default();
    let (seconds, hundredths) = number.split_once('.').unwrap_or((number, "0"));
    let parse = |digits: &str| digits.parse::<u64>().unwrap_or_default();
    parse(seconds).saturating_mul(1_000).saturating_add(parse(hundredths).saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use longshore_model::SystemClock;

    use super::*;

    #[test]
    fn the_uptime_is_read_to_the_hundredth_of_a_second() {
        assert_eq!(uptime_ms("93041.07 180000.12\n"), 93_041_070);
        assert_eq!(uptime_ms(""), 0);
    }

    #[test]
    fn the_wire_clock_names_the_boot() {
        let clock = DeviceClock::new(Arc::new(SystemClock)).for_wire();
        assert!(!clock.boot.is_empty() && clock.uptime_ms > 0 && clock.synced);
    }
}
