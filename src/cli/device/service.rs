//! Standing in service, and tokens for uploads.

use std::io::{self, Write as _};

use longshore_model::{Command, CommandOp};

use super::super::{Target, table};
use crate::http::operator::{
    CommandBody, DeviceRow, IssueUploadTokenBody, IssuedUploadToken, RevokeUploadTokenBody, StandingBody, paths,
};

pub(super) fn change(body: &StandingBody, now: &str, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.post(paths::STANDINGS, body)?;
    if target.json {
        return table::print_json(&row);
    }
    writeln!(io::stdout(), "{} {} {now}.", row.model, row.serial)?;
    Ok(())
}

pub(super) fn token(body: &IssueUploadTokenBody, target: &Target) -> anyhow::Result<()> {
    let issued: IssuedUploadToken = target.client()?.post(paths::UPLOAD_TOKENS, body)?;
    if target.json {
        return table::print_json(&issued);
    }
    let IssuedUploadToken { id, token, serial, url, .. } = issued;
    writeln!(io::stdout(), "{token}")?;
    eprintln!("Uploads for {serial} go to {url} with the header `Authorization: Bearer TOKEN`.");
    let serial = table::word(&serial);
    eprintln!("It is not shown again. `longshore device revoke-token {serial} {id}` makes it worthless.");
    Ok(())
}

pub(super) fn revoke(body: &RevokeUploadTokenBody, target: &Target) -> anyhow::Result<()> {
    let row: DeviceRow = target.client()?.post(paths::UPLOAD_TOKEN_REVOCATIONS, body)?;
    if target.json {
        return table::print_json(&row);
    }
    writeln!(io::stdout(), "The token {} of {} {} counts for nothing any more.", body.token, row.model, row.serial)?;
    Ok(())
}

pub(super) fn tell(serial: String, op: CommandOp, target: &Target) -> anyhow::Result<()> {
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
