//! Who fails to get in again and again: a count for each address, so that one typing error is nobody's business.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::network_of;

/// So many failures …
const FAILURES: u32 = 10;
/// … within this time are more than a person mistypes.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Addresses that are counted at once; beyond, the counts begin anew.
const COUNTED: usize = 10_000;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Suspects {
    /// Somebody failed at this address; whether that was too often.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> bool {
        let address = network_of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED && !counts.contains_key(&address) {
            counts.clear();
        }
        let (since, count) = counts.entry(address).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count >= FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_of_one_address_in_a_quarter_of_an_hour_are_too_many() {
        let (suspects, begin) = (Suspects::default(), Instant::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!((0..9).all(|n| !suspects.failed(one, at(n))));
        assert!(!suspects.failed(other, at(9)));
        assert!(suspects.failed(one, at(10)) && suspects.failed(one, at(11)));
        assert!(!suspects.failed(one, at(900)), "it is counted anew");
    }

    #[test]
    fn whoever_has_a_network_of_addresses_has_one_count() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        let address = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        assert!((0..9).all(|n| !suspects.failed(address(n), now)));
        assert!(suspects.failed(address(9), now));
    }

    #[test]
    fn a_crowd_of_addresses_does_not_fill_the_memory() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        for n in 0..20_000_u32 {
            suspects.failed(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(suspects.0.lock().unwrap().len() <= COUNTED);
    }
}
