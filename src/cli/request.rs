use std::io::{self, Write as _};

use chrono::{DateTime, FixedOffset, Local, NaiveDateTime, TimeDelta, TimeZone as _};
use clap::Subcommand;
use longshore_actors::{MailAddress, RequestView, TargetView};
use longshore_model::{Clock as _, SystemClock, VideoRequest};

use super::device::{MOMENT, seconds};
use super::{Target, table};
use crate::http::operator::{RequestBody, paths};

/// How moments are shown where room is short.
const SHORT: &str = "%Y-%m-%d %H:%M";

#[derive(Debug, Subcommand)]
pub(super) enum Request {
    /// Ask for what devices recorded in a stretch of time; the same again finds the same request
    Add {
        /// Serial of a device; may be given several times
        #[arg(long = "device", value_name = "SERIAL", required = true)]
        devices: Vec<String>,
        /// Only this camera of theirs; may be given several times
        #[arg(long = "camera", value_name = "NAME")]
        cameras: Vec<String>,
        /// When it begins: 2026-11-21T14:00:00+01:00, or in this computer's time 2026-11-21 14:00
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: DateTime<FixedOffset>,
        /// When it ends; at most 7 days later
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: DateTime<FixedOffset>,
        /// 1 (most urgent) to 9
        #[arg(long, default_value_t = VideoRequest::PRIORITY)]
        priority: u8,
        /// What for
        #[arg(long)]
        note: Option<String>,
        /// Tell this mail address too that it was taken and what became of it; may be given several times
        #[arg(long, value_name = "ADDRESS")]
        notify: Vec<MailAddress>,
        /// How long it waits: 15m, 24h or 30d
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = seconds)]
        expires: u64,
        /// Any text of your own: a repeated call with it finds the same request
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List the requests, the newest first: how they stand, what they wait for and until when
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show one request, and what of it is there
    Show {
        /// Id of the request
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Give a request up; what came of it stays
    Cancel {
        /// Id of the request
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Request {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { devices, cameras, from, to, priority, note, notify, expires, key, target } => {
                let life =
                    i64::try_from(expires).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::days(100_000));
                let expires = SystemClock.now().checked_add_signed(life).unwrap_or_default();
                let (from, to) = (from.to_utc(), to.to_utc());
                let (priority, expires) = (Some(priority), Some(expires));
                let body = RequestBody { devices, cameras, from, to, priority, note, notify, expires, key };
                let view: RequestView = target.client()?.post(paths::REQUESTS, &body)?;
                show(&view, &target)
            }
            Self::List { target } => list(&target),
            Self::Show { id, target } => show(&target.client()?.get(&of(&id))?, &target),
            Self::Cancel { id, target } => {
                let view = target.client()?.post(&format!("{}/cancel", of(&id)), &())?;
                show(&view, &target)
            }
        }
    }
}

fn of(id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("{}/{id}", paths::REQUESTS)
}

fn list(target: &Target) -> anyhow::Result<()> {
    let views: Vec<RequestView> = target.client()?.get(paths::REQUESTS)?;
    if target.json {
        return table::print_json(&views);
    }
    if views.is_empty() {
        writeln!(io::stdout(), "Nobody asked for anything yet. `longshore request add` begins.")?;
        return Ok(());
    }
    let cells = |request: &VideoRequest, at: &TargetView| {
        let span = request.span;
        let until = at.standing.until.map(|until| until.format(SHORT).to_string()).unwrap_or_default();
        [
            request.id.to_string(),
            at.serial.clone(),
            format!("{} to {}", span.from.format(SHORT), span.to.format(SHORT)),
            request.priority.to_string(),
            at.standing.state.as_str().to_owned(),
            there(at),
            at.standing.why.clone(),
            until,
        ]
    };
    let rows: Vec<_> = views.iter().flat_map(|view| view.targets.iter().map(|at| cells(&view.request, at))).collect();
    let head = ["ID", "DEVICE", "RANGE (UTC)", "PRIORITY", "STATE", "THERE", "WHY", "UNTIL (UTC)"];
    Ok(table::print(head, &rows)?)
}

/// What of the range is there: the least of all cameras.
fn there(at: &TargetView) -> String {
    let least = at.coverage.iter().map(|camera| camera.percent).min();
    format!("{} %", least.unwrap_or(0))
}

fn show(view: &RequestView, target: &Target) -> anyhow::Result<()> {
    if target.json {
        return table::print_json(view);
    }
    let mut out = io::stdout().lock();
    let VideoRequest { id, requester, cameras, span, priority, note, added_at, expires, .. } = &view.request;
    writeln!(out, "Request {id} of {requester}, made {}", added_at.format(MOMENT))?;
    let cameras = if cameras.is_empty() { "all cameras".to_owned() } else { cameras.join(", ") };
    let cameras = table::plain(&cameras);
    writeln!(out, "{} to {}, {cameras}", span.from.format(MOMENT), span.to.format(MOMENT))?;
    writeln!(out, "Priority {priority}, expires {}", expires.format(MOMENT))?;
    if let Some(note) = note {
        writeln!(out, "Note: {}", table::plain(note))?;
    }
    if !view.request.notify.is_empty() {
        writeln!(out, "Told by mail: {}", view.request.notify.join(", "))?;
    }
    for at in &view.targets {
        writeln!(out, "{}: {}: {}", at.serial, at.standing.state.as_str(), at.standing.why)?;
        for camera in &at.coverage {
            let name = if camera.camera.is_empty() { "its camera".into() } else { table::plain(&camera.camera) };
            writeln!(out, "  {name}: {} % is there", camera.percent)?;
            for part in &camera.covered {
                writeln!(out, "    {} to {}", part.from.format(MOMENT), part.to.format(MOMENT))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Reads a time such as `2026-11-21T14:00:00+01:00`, or `2026-11-21 14:00` in this computer's zone.
pub(super) fn moment(text: &str) -> Result<DateTime<FixedOffset>, String> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment);
    }
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let naive = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let wrong = || format!("{text:?} is no time; write 2026-11-21T14:00:00+01:00, or 2026-11-21 14:00 in local time");
    let local = Local.from_local_datetime(&naive.ok_or_else(wrong)?).earliest();
    local
        .map(|local| local.fixed_offset())
        .ok_or_else(|| format!("{text:?} did not exist: clocks were put forward then"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_zone_or_is_local() {
        assert_eq!(moment("2026-11-21T14:00:00+01:00").unwrap().to_utc().to_rfc3339(), "2026-11-21T13:00:00+00:00");
        let local = Local.with_ymd_and_hms(2026, 11, 21, 14, 0, 0).unwrap().fixed_offset();
        for text in ["2026-11-21 14:00", "2026-11-21T14:00", "2026-11-21 14:00:00"] {
            assert_eq!(moment(text), Ok(local), "{text}");
        }
        for wrong in ["", "14:00", "2026-11-21", "yesterday", "2026-13-21 14:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
