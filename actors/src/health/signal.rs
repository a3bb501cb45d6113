//! What devices tell of their Wi-Fi. Pure, but for what is remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_model::{DeviceId, Network, NetworkKind, health_type};

use super::notices::{Notice, Notices};

/// With less signal, in dBm, Wi-Fi falls back to its slowest rates, and video takes hours.
const WEAK: i16 = -75;
/// With so much it is not weak any more.
const STRONG: i16 = -70;
/// A vehicle that drives into the yard has little signal for a moment: it has to be weak so many reports in a row.
const REPORTS: u32 = 3;

/// How often in a row each device had little signal. After a restart that is counted anew.
#[derive(Clone, Default)]
pub(crate) struct Signals(Arc<Mutex<HashMap<DeviceId, u32>>>);

impl Signals {
    /// A device says over what it is connected.
    pub(crate) fn heard(&self, notices: &Notices, device: DeviceId, network: &Network) {
        let Some(signal) = network.signal_dbm.filter(|_| network.kind == NetworkKind::Wifi) else { return };
        let mut weak = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notice = Notice::of_device(device, health_type::LINK_WIFI_WEAK).value(signal);
        if signal >= STRONG {
            weak.remove(&device);
            notices.over(notice);
        } else if signal < WEAK {
            let reports = weak.entry(device).or_default();
            *reports = reports.saturating_add(1);
            if *reports >= REPORTS {
                let of = network.ssid.as_ref().map(|ssid| format!("in the network {ssid}"));
                notices.stands(of.map_or(notice.clone(), |of| notice.text(of)));
            }
        }
    }
}
