use anyhow::Context as _;
use base64::Engine as _;
use chrono::NaiveDate;
use clap::Subcommand;
use indicatif::DecimalBytes;
use longshore_model::{BASE64URL, Command, CommandOp, Drift};
use longshore_store::history::{Happened, What};
use std::io::{self, Write as _};

use super::{Target, coverage, sessions, table};
use crate::http::operator::{
    ApproveBody, ApproveOf, CommandBody, Counts, DeviceDetail, DeviceRow, IssueBody, IssueUploadTokenBody, Issued,
    IssuedUploadToken, Keyless, RevokeUploadTokenBody, StandingBody, StandingChange, paths,
};

/// How moments are shown.
pub(super) const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";
/// Hours for which an enrolment text is good.
const VALID_HOURS: &str = "24h";

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// Print the enrolment text for a device
    Add {
        /// Serial, as printed on the device
        #[arg(long)]
        serial: String,
        /// Model, such as BC4
        #[arg(long)]
        model: String,
        /// How long the text is good: 90s, 15m, 24h or 7d
        #[arg(long, value_name = "TIME", default_value = VALID_HOURS, value_parser = seconds)]
        valid_for: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Show the devices, and those that wait to be approved with their codes
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show all that is known of a device: whose it is, what it handed over, what is on its way
    Show {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show what happened to a device, and who did it
    History {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show when a device was connected, from where, and what it brought
    Connections {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show what a device recorded, what of it is stored, what only the device has, and the gaps; by the device's clock
    Coverage {
        /// Serial of the device
        serial: String,
        /// One day, such as 2026-11-21, with all its times
        #[arg(long)]
        day: Option<NaiveDate>,
        #[command(flatten)]
        target: Target,
    },
    /// Complete the set-up of a device that waits
    Approve {
        /// Serial of the device
        serial: String,
        /// Officer or vehicle that it belongs to
        #[arg(long, required_unless_present = "re_enrol")]
        assignee: Option<String>,
        /// Config profile
        #[arg(long, default_value = "default")]
        profile: String,
        /// The code that it shows; needed where several wait under one serial
        #[arg(long)]
        code: Option<String>,
        /// It is a device that is enrolled already and has a new key, as after a reset; it stays whose it was
        #[arg(long, conflicts_with_all = ["assignee", "profile"])]
        re_enrol: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Print a token with which a standard tus or resumable-upload client uploads in a device's name
    Token {
        /// Serial of the device
        serial: String,
        /// Model of a device that is not known yet and uploads with tokens only
        #[arg(long, requires = "assignee")]
        model: Option<String>,
        /// Officer or vehicle that such a device belongs to
        #[arg(long, requires = "model")]
        assignee: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Make a token for uploads worthless at once
    RevokeToken {
        /// Serial of the device
        serial: String,
        /// Id of the token, as `longshore device show` lists it
        token: String,
        #[command(flatten)]
        target: Target,
    },
    /// Give a device no more receipts or settings: it may be lost or stolen. It can still hand over what it holds
    Suspend {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Put a suspended device back in service; it gets the receipts that were withheld
    Activate {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take a device out of service for good
    Retire {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Have a device blink or beep, so that it is found among others
    Identify {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Have a device look through its card again
    Rescan {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Ask a device for its own log
    Logs {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
    /// Let a device obey the enrolment text of another server
    Release {
        /// Serial of the device
        serial: String,
        #[command(flatten)]
        target: Target,
    },
}

impl Device {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { serial, model, valid_for, target } => add(serial, model, valid_for, &target),
            Self::List { target } => list(&target),
            Self::Show { serial, target } => show(&serial, &target),
            Self::History { serial, target } => history(&serial, &target),
            Self::Connections { serial, target } => sessions::of_device(&serial, &target),
            Self::Coverage { serial, day, target } => coverage::show(&serial, day, &target),
            Self::Approve { serial, assignee, profile, code, re_enrol, target } => {
                let assignee = assignee.filter(|_| !re_enrol);
                let of = assignee.map_or(ApproveOf::KnownDevice, |assignee| ApproveOf::NewDevice { assignee, profile });
                approve(&ApproveBody { serial, code, of }, &target)
            }
            Self::Token { serial, model, assignee, target } => {
                let keyless = model.zip(assignee).map(|(model, assignee)| Keyless { model, assignee });
                token(&IssueUploadTokenBody { serial, keyless }, &target)
            }
            Self::RevokeToken { serial, token, target } => {
                let token = token.parse().context("this is no id of a token; `longshore device show` lists them")?;
                revoke(&RevokeUploadTokenBody { serial, token }, &target)
            }
            Self::Suspend { serial, target } => {
                change(serial, StandingChange::Suspend, "gets no receipts or settings until it is activated", &target)
            }
            Self::Activate { serial, target } => change(serial, StandingChange::Activate, "is in service", &target),
            Self::Retire { serial, target } => {
                change(serial, StandingChange::Retire, "is out of service for good", &target)
            }
            Self::Identify { serial, target } => tell(serial, CommandOp::Identify, &target),
            Self::Rescan { serial, target } => tell(serial, CommandOp::Rescan, &target),
            Self::Logs { serial, target } => tell(serial, CommandOp::Logs, &target),
            Self::Release { serial, target } => tell(serial, CommandOp::Release, &target),
        }
    }
}

fn add(serial: String, model: String, valid_for_seconds: u64, target: &Target) -> anyhow::Result<()> {
    let body = IssueBody { serial, model, valid_for_seconds };
    let issued: Issued = target.client()?.post(paths::TOKENS, &body)?;
    if target.json {
        return table::print_json(&issued);
    }
    writeln!(io::stdout(), "{}", issued.text)?;
    eprintln!(
        "Good for {} {} until {}, once. On the device:",
        issued.model,
        issued.serial,
        issued.expires.format(MOMENT)
    );
    eprintln!("  longshore-agent enrol --url TEXT --state FOLDER");
    Ok(())
}

fn list(target: &Target) -> anyhow::Result<()> {
    let rows: Vec<DeviceRow> = target.client()?.get(paths::DEVICES)?;
    if target.json {
        return table::print_json(&rows);
    }
    if rows.is_empty() {
        writeln!(io::stdout(), "No devices yet. `longshore device add --serial SERIAL --model MODEL` begins.")?;
        return Ok(());
    }
    let cells = |row: &DeviceRow| {
        let since = row.since.format("%Y-%m-%d %H:%M UTC").to_string();
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let state = if row.re_enrols { format!("{}, known serial", row.state) } else { row.state.clone() };
        let model = if row.unknown_model { format!("{} (unknown model)", row.model) } else { row.model.clone() };
        [row.serial.clone(), model, state, optional(&row.code), optional(&row.assignee), since]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    Ok(table::print(["SERIAL", "MODEL", "STATE", "CODE", "ASSIGNEE", "SINCE"], &rows)?)
}

pub(super) fn of(path: &str, serial: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("serial", serial).finish();
    format!("{path}?{query}")
}

fn show(serial: &str, target: &Target) -> anyhow::Result<()> {
    let device: DeviceDetail = target.client()?.get(&of(paths::DEVICE, serial))?;
    if target.json {
        return table::print_json(&device);
    }
    let mut out = io::stdout().lock();
    let DeviceDetail { row, id, key, profile_version, drift, upload_tokens, assignments, recordings, unfinished } =
        device;
    writeln!(out, "{} {}: {}, approved {}", row.model, row.serial, row.state, row.since.format(MOMENT))?;
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {key}"));
    writeln!(out, "Id {id}, {key}")?;
    if row.unknown_model {
        writeln!(out, "Nothing is known of the model {}; `longshore model list` shows which are known.", row.model)?;
    }
    writeln!(out, "Profile {} version {profile_version}: {}", row.profile.unwrap_or_default(), drifted(&drift))?;
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
            format!("THE DEVICE COULD NOT DO ALL OF IT: {}", errors.join("; "))
        }
    }
}

fn history(serial: &str, target: &Target) -> anyhow::Result<()> {
    let lines: Vec<Happened> = target.client()?.get(&of(paths::DEVICE_HISTORY, serial))?;
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
        What::FirstCall => "called for the first time".to_owned(),
        What::Suspended => "suspended".to_owned(),
        What::Reinstated => "put back in service".to_owned(),
        What::Retired => "retired".to_owned(),
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

fn change(serial: String, change: StandingChange, now: &str, target: &Target) -> anyhow::Result<()> {
    let body = StandingBody { serial, change };
    let row: DeviceRow = target.client()?.post(paths::STANDINGS, &body)?;
    if target.json {
        return table::print_json(&row);
    }
    writeln!(io::stdout(), "{} {} {now}.", row.model, row.serial)?;
    Ok(())
}

fn tell(serial: String, op: CommandOp, target: &Target) -> anyhow::Result<()> {
    let body = CommandBody { serial, op };
    let command: Command = target.client()?.post(paths::COMMANDS, &body)?;
    if target.json {
        return table::print_json(&command);
    }
    let (serial, op) = (&body.serial, op.as_str());
    writeln!(
        io::stdout(),
        "{serial} gets the command {op} with its next call; `longshore device history` tells what came of it."
    )?;
    Ok(())
}

fn approve(body: &ApproveBody, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.post(paths::APPROVALS, body)?;
    if target.json {
        return table::print_json(&row);
    }
    let DeviceRow { model, serial, state, assignee, .. } = row;
    writeln!(
        io::stdout(),
        "{model} {serial} is enrolled for {}; it is {state}.",
        assignee.as_deref().unwrap_or("nobody")
    )?;
    Ok(())
}

fn token(body: &IssueUploadTokenBody, target: &Target) -> anyhow::Result<()> {
    let issued: IssuedUploadToken = target.client()?.post(paths::UPLOAD_TOKENS, body)?;
    if target.json {
        return table::print_json(&issued);
    }
    let IssuedUploadToken { id, token, serial, url, .. } = issued;
    writeln!(io::stdout(), "{token}")?;
    eprintln!("Uploads for {serial} go to {url} with the header `Authorization: Bearer TOKEN`.");
    eprintln!("It is not shown again. `longshore device revoke-token {serial} {id}` makes it worthless.");
    Ok(())
}

fn revoke(body: &RevokeUploadTokenBody, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.post(paths::UPLOAD_TOKEN_REVOCATIONS, body)?;
    if target.json {
        return table::print_json(&row);
    }
    writeln!(io::stdout(), "The token {} of {} {} counts for nothing any more.", body.token, row.model, row.serial)?;
    Ok(())
}

/// Reads a time such as `15m`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time; write a number and s, m, h or d, such as {VALID_HOURS}");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("24h"), Ok(86_400));
        for wrong in ["", "24", "h", "1w", "-1h", "99999999999999999999d", "184467440737095516d", "1ü"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
