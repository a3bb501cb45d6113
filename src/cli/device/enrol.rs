//! Adding devices: texts, codes, who waits, and what is decided about them.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::time::Duration;

use longshore_model::TokenId;

use super::super::{Target, query, table};
use super::MOMENT;
use crate::http::operator::{
    ApproveBody, AssignBody, DeviceBody, DeviceRow, IssueBody, Issued, RejectBody, TokenRow, paths, terminal,
};

/// Before the stream of devices that wait is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) fn add(body: &IssueBody, qr: bool, target: &Target) -> anyhow::Result<()> {
    let issued: Issued = target.client()?.post(paths::TOKENS, body)?;
    if target.json {
        return table::print_json(&issued);
    }
    let mut out = io::stdout().lock();
    if qr {
        writeln!(out, "{}", terminal(&issued.text)?)?;
    }
    writeln!(out, "{}", issued.text)?;
    let TokenRow { serial, model, expires, uses_left, .. } = issued.token;
    let whom = match (model, serial) {
        (Some(model), Some(serial)) => format!("{model} {serial}"),
        (None, Some(serial)) => serial,
        (Some(model), None) => format!("{uses_left} of {model}"),
        (None, None) => format!("{uses_left} devices"),
    };
    let once = if uses_left == 1 { "once" } else { "once each" };
    eprintln!("Good for {whom} until {}, {once}. On the device:", expires.format(MOMENT));
    eprintln!("  longshore-agent enrol --url TEXT --state FOLDER");
    Ok(())
}

pub(super) fn tokens(target: &Target) -> anyhow::Result<()> {
    let tokens: Vec<TokenRow> = target.client()?.get(paths::TOKENS)?;
    if target.json {
        return table::print_json(&tokens);
    }
    let cells = |token: TokenRow| {
        let kind = if token.typed { "code" } else { "text" }.to_owned();
        let any = |name: Option<String>| name.unwrap_or_else(|| "any".to_owned());
        let (uses, expires) = (token.uses_left.to_string(), token.expires.format(MOMENT).to_string());
        [token.id.to_string(), kind, any(token.serial), any(token.model), uses, expires]
    };
    let rows: Vec<_> = tokens.into_iter().map(cells).collect();
    Ok(table::print(["ID", "KIND", "SERIAL", "MODEL", "USES LEFT", "GOOD UNTIL"], &rows)?)
}

pub(super) fn revoke(token: TokenId, target: &Target) -> anyhow::Result<()> {
    target.client()?.delete(&query(paths::TOKEN, &[("id", &token.to_string())]))?;
    Ok(writeln!(io::stdout(), "Nothing new is enrolled with {token}; who waits already goes on waiting.")?)
}

pub(super) fn approve(body: &ApproveBody, target: &Target) -> anyhow::Result<()> {
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

pub(super) fn reject(body: &RejectBody, target: &Target) -> anyhow::Result<()> {
    let rejected: RejectBody = target.client()?.post(paths::REJECTIONS, body)?;
    if target.json {
        return table::print_json(&rejected);
    }
    let RejectBody { serial, code } = rejected;
    Ok(writeln!(io::stdout(), "{serial} with the code {} was turned away.", code.unwrap_or_default())?)
}

pub(super) fn assign(body: &AssignBody, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.post(paths::ASSIGNMENTS, body)?;
    if target.json {
        return table::print_json(&row);
    }
    let (model, serial, assignee) = (row.model, row.serial, row.assignee.unwrap_or_default());
    Ok(writeln!(io::stdout(), "{model} {serial} belongs to {assignee}; what is stored keeps its name.")?)
}

pub(super) fn set(serial: &str, body: &DeviceBody, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.patch(&query(paths::DEVICE, &[("serial", serial)]), body)?;
    if target.json {
        return table::print_json(&row);
    }
    let groups = row.groups.into_iter().collect::<Vec<_>>().join(", ");
    let groups = if groups.is_empty() { "none".to_owned() } else { groups };
    let site = row.site.unwrap_or_else(|| "none".to_owned());
    Ok(writeln!(io::stdout(), "{} {}: home site {site}, labels {groups}.", row.model, row.serial)?)
}

/// Tells who begins to wait, until it is interrupted.
pub(super) fn watch(target: &Target) -> anyhow::Result<()> {
    let client = target.client()?;
    let mut known: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    // A server that cannot be reached from the beginning is told as an error.
    let _there: Vec<DeviceRow> = client.get(paths::DEVICES)?;
    loop {
        let ended = client.lines(paths::WAITING, |line| {
            let Some(list) = line.strip_prefix("data: ") else { return Ok(()) };
            let mut out = io::stdout().lock();
            if target.json {
                writeln!(out, "{list}")?;
                return Ok(out.flush()?);
            }
            let rows: Vec<DeviceRow> = serde_json::from_str(list)?;
            let waiting = rows.iter().map(|row| (row.serial.clone(), row.code.clone())).collect();
            for row in rows.iter().filter(|row| !known.contains(&(row.serial.clone(), row.code.clone()))) {
                writeln!(out, "{}", appeared(row))?;
            }
            known = waiting;
            Ok(out.flush()?)
        });
        if let Err(error) = ended {
            // Nobody reads any more.
            if error.downcast_ref::<io::Error>().is_some() {
                return Err(error);
            }
            eprintln!("{error:#}; trying again");
        }
        client.pause(AGAIN);
    }
}

fn appeared(row: &DeviceRow) -> String {
    let model = if row.unknown_model { format!("{} (unknown model)", row.model) } else { row.model.clone() };
    let place = row.bay.as_ref().or(row.at.as_ref()).map(|place| format!(" at {place}")).unwrap_or_default();
    let how = if row.re_enrols { "--re-enrol" } else { "--assignee NAME" };
    let code = row.code.as_deref().unwrap_or_default();
    let told = format!("{model} {}{place}, code {code}", row.serial);
    format!("{}: longshore device approve {} {how}", table::plain(&told), table::word(&row.serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_calls_itself_is_no_part_of_the_command_that_approves_it() {
        let row =
            |serial: &str| DeviceRow { serial: serial.to_owned(), model: "BC4".to_owned(), ..DeviceRow::default() };
        for serial in ["B4-1", "x; rm -rf ~", "$(id)", "a 'b' \"c\""] {
            let told = appeared(&row(serial));
            let (_, command) = told.split_once(": ").unwrap();
            let words = shlex::split(command).unwrap();
            assert_eq!(words[..4], ["longshore", "device", "approve", serial], "{command}");
            assert_eq!(words.len(), 6, "{command}");
        }
        assert!(!appeared(&row("B4-1\u{1b}[2J")).contains('\u{1b}'));
    }
}
