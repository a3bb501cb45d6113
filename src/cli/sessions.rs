use std::io::{self, Write as _};

use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::DecimalBytes;
use longshore_model::{Network, NetworkKind, Session, SessionEnd};

use super::{Target, query, table};
use crate::http::operator::{PlacedSession, SessionRow, paths};

/// How moments are shown.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";

#[derive(Debug, Args)]
pub(super) struct Sessions {
    #[command(flatten)]
    target: Target,
}

impl Sessions {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let rows: Vec<SessionRow> = self.target.client()?.get(paths::SESSIONS)?;
        if self.target.json {
            return table::print_json(&rows);
        }
        if rows.is_empty() {
            writeln!(io::stdout(), "No device is connected.")?;
            return Ok(());
        }
        let cells = |SessionRow { serial, model, assignee, placed }: SessionRow| {
            let from = from(&placed);
            let PlacedSession { session, .. } = placed;
            let (since, received) = (moment(session.began), received(&session));
            [serial, model, assignee.unwrap_or_default(), since, from, received, session.recordings.to_string()]
        };
        let rows: Vec<_> = rows.into_iter().map(cells).collect();
        Ok(table::print(["SERIAL", "MODEL", "ASSIGNEE", "SINCE", "FROM", "RECEIVED", "RECORDINGS"], &rows)?)
    }
}

/// `longshore device connections`.
pub(super) fn of_device(serial: &str, target: &Target) -> anyhow::Result<()> {
    let sessions: Vec<PlacedSession> = target.client()?.get(&query(paths::DEVICE_SESSIONS, &[("serial", serial)]))?;
    if target.json {
        return table::print_json(&sessions);
    }
    if sessions.is_empty() {
        writeln!(io::stdout(), "{serial} has not been connected yet.")?;
        return Ok(());
    }
    let cells = |placed: PlacedSession| {
        let from = from(&placed);
        let PlacedSession { session, .. } = placed;
        let received = received(&session);
        [moment(session.began), until(&session), from, received, session.recordings.to_string()]
    };
    let rows: Vec<_> = sessions.into_iter().map(cells).collect();
    Ok(table::print(["SINCE", "UNTIL", "FROM", "RECEIVED", "RECORDINGS"], &rows)?)
}

fn moment(at: DateTime<Utc>) -> String {
    at.format(MOMENT).to_string()
}

fn until(session: &Session) -> String {
    let Some(ended) = session.ended.map(moment) else { return "connected".to_owned() };
    match session.end {
        Some(SessionEnd::Unwitnessed) => format!("{ended} or later; the server was killed"),
        Some(SessionEnd::Stopped) => format!("{ended}, when the server was stopped"),
        Some(SessionEnd::Silent) | None => ended,
    }
}

fn received(session: &Session) -> String {
    session.received.map_or_else(|| "not counted".to_owned(), |bytes| DecimalBytes(bytes).to_string())
}

fn from(PlacedSession { session, site, bay }: &PlacedSession) -> String {
    let address = session.address.map(|address| address.to_string());
    let network = session.network.as_ref().map(|network| in_words(network, bay.as_deref()));
    [site.clone(), address, network].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn in_words(network: &Network, bay: Option<&str>) -> String {
    let Network { kind, bay_mac, ssid, signal_dbm, .. } = network;
    let kind = match kind {
        NetworkKind::Dock => "dock",
        NetworkKind::Wifi => "Wi-Fi",
        NetworkKind::Cellular => "4G",
    };
    let registered = bay.map(str::to_owned);
    let where_to = registered.or_else(|| bay_mac.as_ref().map(|mac| format!("bay {mac}"))).or_else(|| ssid.clone());
    let signal = signal_dbm.map(|dbm| format!("{dbm} dBm"));
    [Some(kind.to_owned()), where_to, signal].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
