//! `longshore device coverage`.

use std::io::{self, Write as _};

use chrono::{FixedOffset, NaiveDate, TimeDelta};
use indicatif::DecimalBytes;
use longshore_model::{CameraCoverage, Counted, DayCoverage, Span};

use super::{Target, query, table};
use crate::http::operator::{DeviceCoverage, paths};

pub(super) fn show(serial: &str, day: Option<NaiveDate>, target: &Target) -> anyhow::Result<()> {
    let day_of = day.map(|day| format!("&day={day}")).unwrap_or_default();
    let path = format!("{}{day_of}", query(paths::COVERAGE, &[("serial", serial)]));
    let covered: DeviceCoverage = target.client()?.get(&path)?;
    if target.json {
        return table::print_json(&covered);
    }
    match (&covered.days[..], day) {
        ([of_day], Some(_)) => of_one(of_day)?,
        (days, _) => of_all(serial, days)?,
    }
    let Counted { recordings, .. } = covered.undated;
    if recordings > 0 {
        writeln!(
            io::stdout(),
            "{recordings} recordings belong to no day: the device's clock was not set, and nobody knows how it went."
        )?;
    }
    Ok(())
}

fn of_all(serial: &str, days: &[DayCoverage]) -> anyhow::Result<()> {
    if days.is_empty() {
        writeln!(io::stdout(), "{serial} has declared no recordings.")?;
        return Ok(());
    }
    let cells = |of_day: &DayCoverage| {
        let day = of_day.day.to_string();
        of_day.cameras.iter().map(move |camera| row(&day, camera)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = days.iter().flat_map(cells).collect();
    Ok(table::print(["DAY", "CAMERA", "RECORDED", "UPLOADED", "ONLY ON THE DEVICE", "OVERWRITTEN", "GAPS"], &rows)?)
}

fn row(day: &str, camera: &CameraCoverage) -> [String; 7] {
    let Counted { recordings, uploaded, uploaded_bytes, only_on_device, only_on_device_bytes, overwritten, .. } =
        camera.count;
    let part = |count, spans: &[Span], bytes: Option<u64>| {
        let bytes = bytes.map(|bytes| format!(", {}", DecimalBytes(bytes))).unwrap_or_default();
        format!("{count} ({}{bytes})", in_all(spans))
    };
    [
        day.to_owned(),
        named(camera),
        part(recordings, &camera.recorded, None),
        part(uploaded, &camera.uploaded, Some(uploaded_bytes)),
        part(only_on_device, &camera.only_on_device, Some(only_on_device_bytes)),
        part(overwritten, &camera.overwritten, None),
        part(camera.gaps.len() as u64, &camera.gaps, None),
    ]
}

fn of_one(of_day: &DayCoverage) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if of_day.cameras.is_empty() {
        writeln!(out, "Nothing was recorded on {}, as far as the device said.", of_day.day)?;
    }
    for camera in &of_day.cameras {
        let Counted { recordings, uploaded, only_on_device, on_both, overwritten, without_end, .. } = camera.count;
        writeln!(
            out,
            "{} on {}: {recordings} recordings, {uploaded} uploaded, {only_on_device} only on the device, {on_both} on both, {overwritten} overwritten",
            named(camera),
            of_day.day
        )?;
        let spans = [
            ("uploaded", &camera.uploaded),
            ("only on the device", &camera.only_on_device),
            ("overwritten on the device", &camera.overwritten),
            ("gap", &camera.gaps),
        ];
        let mut lines: Vec<_> =
            spans.into_iter().flat_map(|(what, spans)| spans.iter().map(move |span| (*span, what))).collect();
        lines.sort_by_key(|(span, _)| (span.from, span.to));
        for (span, what) in lines {
            writeln!(out, "  {} {what} ({})", times(of_day, span), length(span.length()))?;
        }
        if without_end > 0 {
            writeln!(out, "  {without_end} without a known end, which cover no time here")?;
        }
    }
    Ok(out.flush()?)
}

fn named(camera: &CameraCoverage) -> String {
    if camera.camera.is_empty() { "its camera".to_owned() } else { table::plain(&camera.camera).into_owned() }
}

/// True time, in the device's zone.
fn times(of_day: &DayCoverage, span: Span) -> String {
    let zone = FixedOffset::east_opt(of_day.utc_offset_s);
    let time = |at: chrono::DateTime<chrono::Utc>| match zone {
        Some(zone) => at.with_timezone(&zone).format("%H:%M:%S").to_string(),
        None => at.format("%H:%M:%S").to_string(),
    };
    format!("{}-{}", time(span.from), time(span.to))
}

fn in_all(spans: &[Span]) -> String {
    length(spans.iter().map(Span::length).sum())
}

fn length(time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
