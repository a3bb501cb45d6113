//! Messages to people.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use longshore_actors::MailAddress;
use longshore_model::MailId;
use longshore_store::index::{Delivery, Tried};

use super::device::MOMENT;
use super::progress::Progress;
use super::{Target, table};
use crate::http::operator::{MailRow, OutboxBody, RetriedMails, RetryMailBody, TestMailBody, paths};

/// Between two looks whether the test message arrived.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, Subcommand)]
pub(super) enum Mail {
    /// Send a message to find out whether mail arrives, and tell what the mail server said
    Test {
        /// Mail address that it goes to
        address: MailAddress,
        #[command(flatten)]
        target: Target,
    },
    /// Show what waits to be sent and why, and what became of the rest
    Outbox {
        #[command(flatten)]
        target: Target,
    },
    /// Try now what waits, without waiting for the next time
    Retry {
        /// Only this message, even if it was given up
        id: Option<MailId>,
        #[command(flatten)]
        target: Target,
    },
}

impl Mail {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Test { address, target } => test(address, &target),
            Self::Outbox { target } => outbox(&target),
            Self::Retry { id, target } => {
                let retried: RetriedMails = target.client()?.post(paths::MAIL_RETRIES, &RetryMailBody { id })?;
                if target.json {
                    return table::print_json(&retried);
                }
                let said = match retried.count {
                    0 => "Nothing waits in the outbox.".to_owned(),
                    1 => "1 message is tried now; `longshore mail outbox` tells what comes of it.".to_owned(),
                    count => {
                        format!("{count} messages are tried now; `longshore mail outbox` tells what comes of them.")
                    }
                };
                Ok(writeln!(io::stdout(), "{said}")?)
            }
        }
    }
}

fn test(to: MailAddress, target: &Target) -> anyhow::Result<()> {
    let client = target.client()?;
    let mut row: MailRow = client.post(paths::MAIL_TESTS, &TestMailBody { to })?;
    let path = format!("{}/{}", paths::MAILS, row.id);
    let mut progress = Progress::new();
    progress.count("waiting for the mail server");
    while row.attempts == 0 && matches!(row.delivery, Delivery::Waiting { .. }) {
        client.pause(LOOK_EVERY);
        row = client.get(&path)?;
    }
    progress.end();
    if target.json {
        table::print_json(&row)?;
    }
    let said = said(&row);
    match row.delivery {
        Delivery::Sent { .. } if target.json => Ok(()),
        Delivery::Sent { .. } => {
            Ok(writeln!(io::stdout(), "The mail server has taken the message to {}: {said}", row.to)?)
        }
        Delivery::Waiting { next } => {
            bail!("not sent yet: {said}. It is tried again at {}; see `longshore mail outbox`", next.format(MOMENT))
        }
        Delivery::Failed { .. } => bail!("not sent: {said}"),
    }
}

fn outbox(target: &Target) -> anyhow::Result<()> {
    let outbox: OutboxBody = target.client()?.get(paths::MAILS)?;
    if target.json {
        return table::print_json(&outbox);
    }
    let mut out = io::stdout().lock();
    if let Some(rests) = &outbox.rests {
        writeln!(out, "No mail is sent now: {}", rests.why)?;
    }
    if outbox.messages.is_empty() {
        return Ok(writeln!(out, "The outbox is empty.")?);
    }
    drop(out);
    let cells = |row: &MailRow| {
        let (state, at) = match row.delivery {
            Delivery::Waiting { next } if row.attempts == 0 => ("waiting", next),
            Delivery::Waiting { next } => ("waiting, tried again", next),
            Delivery::Sent { at } => ("sent", at),
            Delivery::Failed { at } => ("failed", at),
        };
        [
            row.id.to_string(),
            row.kind.as_str().to_owned(),
            row.to.clone(),
            state.to_owned(),
            at.format(MOMENT).to_string(),
            row.attempts.to_string(),
            row.subject.clone(),
            said(row),
        ]
    };
    let rows: Vec<_> = outbox.messages.iter().map(cells).collect();
    Ok(table::print(["ID", "KIND", "TO", "STATE", "AT", "TRIES", "SUBJECT", "LAST ANSWER"], &rows)?)
}

fn said(row: &MailRow) -> String {
    row.tried.as_ref().map(|Tried { said, .. }| said.clone()).unwrap_or_default()
}
