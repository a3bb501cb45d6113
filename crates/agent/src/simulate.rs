//! `longshore-agent fleet`: a day of many devices at one server.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use longshore_agent::backoff::Pace;
use longshore_agent::fleet::day::{self, Size};
use longshore_agent::fleet::run::{Fleet, Standing};
use longshore_agent::progress;
use longshore_model::{Clock as _, SystemClock};
use longshore_protocol::EnrolmentText;

/// Between two looks at a card of the fleet, and between two calls that came to nothing.
const FLEET_LOOK: Duration = Duration::from_millis(500);
/// Between two lines about the fleet.
const FLEET_LINE: TimeDelta = TimeDelta::hours(1);

pub(crate) async fn simulate(url: &str, folder: PathBuf, size: Size, seed: u64) -> anyhow::Result<ExitCode> {
    let text: EnrolmentText = url.parse()?;
    let used = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    anyhow::ensure!(!used, "{} is not empty; name a new folder", folder.display());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let host = text.server.socket_addrs(|| None).with_context(|| format!("{} has no address", text.server))?;
    let server = *host.first().with_context(|| format!("{} has no address", text.server))?;
    let clock = Arc::new(SystemClock);
    let begin = clock.now();
    let end = begin + day::LENGTH;
    let pace =
        Pace { first: FLEET_LOOK, longest: FLEET_LOOK, rescan: FLEET_LOOK, rest: Duration::ZERO, ..Pace::default() };
    let fleet = Fleet { folder, text, server, clock, pace, end };
    let standing = Arc::new(Standing::default());
    let telling = async {
        let mut at = begin;
        loop {
            at += FLEET_LINE;
            fleet.until(at).await;
            let [made, sent, here] =
                [&standing.made, &standing.sent, &standing.here].map(|number| number.load(Ordering::Relaxed));
            let time = at.format("%H:%M");
            progress::print(&format!("{time}: {made} recorded, {sent} sent; {here} devices reach the server"));
        }
    };
    let lived = tokio::select! {
        lived = fleet.run(day::plan(size, seed, begin), &standing) => lived?,
        never = telling => never,
    };
    let truth = fleet.folder.join("truth.json");
    fs::write(&truth, serde_json::to_vec_pretty(&lived)?).with_context(|| truth.display().to_string())?;
    let recordings = lived.iter().flat_map(|device| &device.recordings);
    let (made, left) = (recordings.clone().count(), recordings.filter(|recording| recording.on_card).count());
    progress::print(&format!("{made} recordings, {left} of them are on the cards still; see {}", truth.display()));
    for device in &lived {
        if let Some(why) = &device.stopped {
            progress::print_error(&format!("{} stopped: {why}", device.serial));
        }
    }
    let all_lived = lived.iter().all(|device| device.stopped.is_none());
    Ok(if all_lived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
