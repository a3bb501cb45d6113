//! What is known of devices.

use std::io::{self, Write as _};

use base64::Engine as _;
use indicatif::DecimalBytes;
use longshore_model::{BASE64URL, Drift};
use longshore_store::history::{Happened, What};

use super::super::{Target, health, query, table};
use super::MOMENT;
use crate::http::operator::{Counts, DeviceDetail, DeviceRow, paths};

pub(super) fn list(target: &Target) -> anyhow::Result<()> {
    let rows: Vec<DeviceRow> = target.client()?.get(paths::DEVICES)?;
    if target.json {
        return table::print_json(&rows);
    }
    if rows.is_empty() {
        writeln!(io::stdout(), "No devices yet. `longshore device add` begins.")?;
        return Ok(());
    }
    let cells = |row: &DeviceRow| {
        let since = row.since.format("%Y-%m-%d %H:%M UTC").to_string();
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let state = if row.re_enrols { format!("{}, known serial", row.state) } else { row.state.clone() };
        let model = if row.unknown_model { format!("{} (unknown model)", row.model) } else { row.model.clone() };
        let site = optional(&row.bay.clone().or_else(|| row.at.clone()).or_else(|| row.site.clone()));
        let groups = row.groups.iter().cloned().collect::<Vec<_>>().join(", ");
        [row.serial.clone(), model, state, optional(&row.code), optional(&row.assignee), site, groups, since]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    Ok(table::print(["SERIAL", "MODEL", "STATE", "CODE", "ASSIGNEE", "SITE", "LABELS", "SINCE"], &rows)?)
}

pub(super) fn show(serial: &str, target: &Target) -> anyhow::Result<()> {
    let device: DeviceDetail = target.client()?.get(&query(paths::DEVICE, &[("serial", serial)]))?;
    if target.json {
        return table::print_json(&device);
    }
    let mut out = io::stdout().lock();
    let DeviceDetail { row, id, key, overruled_groups, profile_version, drift, .. } = device;
    let DeviceDetail { upload_tokens, assignments, recordings, unfinished, health, .. } = device;
    writeln!(out, "{} {}: {}, approved {}", row.model, row.serial, row.state, row.since.format(MOMENT))?;
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {key}"));
    writeln!(out, "Id {id}, {key}")?;
    if row.unknown_model {
        writeln!(out, "Nothing is known of the model {}; `longshore model list` shows which are known.", row.model)?;
    }
    let (profile, drift) = (row.profile.unwrap_or_default(), drifted(&drift));
    let by = row.profile_group.map(|group| format!(", by the label {group}")).unwrap_or_default();
    writeln!(out, "Profile {profile} version {profile_version}{by}: {drift}")?;
    if !overruled_groups.is_empty() {
        let labels = overruled_groups.join(", ");
        writeln!(out, "Labels that would give it another profile, and come later by name: {labels}")?;
    }
    if let Some(site) = row.site {
        writeln!(out, "Home site {site}")?;
    }
    if !row.groups.is_empty() {
        writeln!(out, "Labels {}", row.groups.into_iter().collect::<Vec<_>>().join(", "))?;
    }
    for token in upload_tokens {
        writeln!(out, "Upload token {} from {}", token.id, token.issued_at.format(MOMENT))?;
    }
    for assignment in assignments {
        writeln!(out, "Belongs to {} from {}", assignment.assignee, assignment.from.format(MOMENT))?;
    }
    let Counts { declared, stored, stored_bytes, deleted_on_device, held } = recordings;
    writeln!(
        out,
        "Recordings: {declared} declared, {stored} stored ({}), {deleted_on_device} deleted on the device",
        DecimalBytes(stored_bytes)
    )?;
    if held > 0 {
        writeln!(out, "{held} of them were handed over while it was suspended.")?;
    }
    health::write_device(&mut out, &health)?;
    for upload in unfinished {
        let of_all = upload.length.map_or_else(String::new, |length| {
            let percent = (upload.offset * 100).checked_div(length).unwrap_or(100);
            format!(" of {} ({percent} %)", DecimalBytes(length))
        });
        let (offset, since) = (DecimalBytes(upload.offset), upload.since.format(MOMENT));
        let what = upload.rid.map_or_else(|| "a part,".to_owned(), |rid| rid.to_string());
        writeln!(out, "On its way: {what} {offset}{of_all}, since {since}")?;
    }
    Ok(out.flush()?)
}

fn drifted(drift: &Drift) -> String {
    match drift {
        Drift::NotReported => "the device has not said what it is set to".to_owned(),
        Drift::None => "the device is set to it".to_owned(),
        Drift::Behind { id, version } => format!("the device is still set to {id} version {version}"),
        Drift::Refused { errors } => {
            let errors: Vec<_> = errors.iter().map(|(key, why)| format!("{key}: {why}")).collect();
            format!("THE DEVICE COULD NOT DO ALL OF IT: {}", table::plain(&errors.join("; ")))
        }
    }
}

pub(super) fn history(serial: &str, target: &Target) -> anyhow::Result<()> {
    let lines: Vec<Happened> = target.client()?.get(&query(paths::DEVICE_HISTORY, &[("serial", serial)]))?;
    if target.json {
        return table::print_json(&lines);
    }
    let rows: Vec<_> = lines
        .into_iter()
        .map(|line| [line.at.format(MOMENT).to_string(), in_words(&line.what), line.by.unwrap_or_default()])
        .collect();
    Ok(table::print(["WHEN", "WHAT", "BY"], &rows)?)
}

fn in_words(what: &What) -> String {
    match what {
        What::TokenIssued { expires } => format!("enrolment text made, good until {}", expires.format(MOMENT)),
        What::Asked { code } => format!("asked to be known, with the code {code}"),
        What::Approved { assignee } => format!("approved for {}", assignee.as_deref().unwrap_or("nobody")),
        What::Added { assignee } => {
            format!("made known without a key, for {}", assignee.as_deref().unwrap_or("nobody"))
        }
        What::UploadTokenIssued { token } => format!("upload token {token} made"),
        What::UploadTokenRevoked { token } => format!("upload token {token} revoked"),
        What::Rejected => "turned away".to_owned(),
        What::Assigned { assignee, from } => format!("given to {assignee} from {}", from.format(MOMENT)),
        What::Set { site, groups } => {
            let groups = groups.iter().cloned().collect::<Vec<_>>().join(", ");
            let (site, groups) = (site.as_deref().unwrap_or("none"), if groups.is_empty() { "none" } else { &groups });
            format!("home site {site}, labels {groups}")
        }
        What::Replaced { with } => format!("replaced by {with}"),
        What::FirstCall => "called for the first time".to_owned(),
        What::Suspended => "suspended".to_owned(),
        What::Reinstated => "put back in service".to_owned(),
        What::Retired => "retired".to_owned(),
        What::Altered { rid } => format!("the recording {rid} came right, and THE STORAGE ALTERED IT"),
        What::Conflicted { rid } => format!("OFFERED ANOTHER CONTENT under the id of the stored recording {rid}"),
        What::CommandGiven { op } => format!("given the command {}", op.as_str()),
        What::CommandEnded { op, done, text } => {
            let text = text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            format!("{} {}{text}", op.as_str(), if *done { "done" } else { "FAILED" })
        }
        What::ProfileAssigned { profile } => format!("got the profile {profile}"),
        What::Reenrolled { key } => format!("new key confirmed: {}", BASE64URL.encode(key.as_bytes())),
    }
}
