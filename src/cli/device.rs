mod enrol;
mod service;
mod sheet;
mod show;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;
use longshore_model::{CommandOp, TokenId};

use super::{Target, coverage, sessions};
use crate::http::operator::{
    ApproveBody, AssignBody, DeviceBody, IssueBody, IssueCodeBody, IssueUploadTokenBody, Keyless, RejectBody,
    RevokeUploadTokenBody, StandingBody, StandingChange,
};

/// How moments are shown.
pub(super) const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";
/// Hours for which an enrolment text is good.
const VALID_HOURS: &str = "24h";

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// Print the enrolment text for a device, or for those on a table
    Add {
        /// Serial of the one device that it is for, as printed on it; without it, each device says its own
        #[arg(long)]
        serial: Option<String>,
        /// Model of that device, or of all, such as BC4; without it, each device says its own
        #[arg(long)]
        model: Option<String>,
        /// How long the text is good: 90s, 15m, 24h or 7d
        #[arg(long, value_name = "TIME", default_value = VALID_HOURS, value_parser = seconds)]
        valid_for: u64,
        /// Devices that it enrols at most [default: 50]
        #[arg(long, value_name = "NUMBER", conflicts_with = "serial")]
        uses: Option<u32>,
        /// Show it as a QR code too
        #[arg(long)]
        qr: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Write a printable sheet for whoever installs a recorder that cannot scan: address, code, Wi-Fi
    Sheet {
        /// Serial of the recorder
        serial: String,
        /// Its model
        #[arg(long)]
        model: Option<String>,
        /// Name of the Wi-Fi network that it joins
        #[arg(long)]
        ssid: Option<String>,
        /// How long the code is good: 90s, 15m, 24h or 7d
        #[arg(long, value_name = "TIME", default_value = VALID_HOURS, value_parser = seconds)]
        valid_for: u64,
        /// File that the page goes into [default: the standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// Show the enrolment texts and codes with which a device may still begin
    Tokens {
        #[command(flatten)]
        target: Target,
    },
    /// Make an enrolment text or a code worthless at once
    RevokeEnrolment {
        /// Its id, as `longshore device tokens` lists it
        id: TokenId,
        #[command(flatten)]
        target: Target,
    },
    /// Tell which devices begin to wait, until it is interrupted
    Watch {
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
        #[arg(long, required_unless_present_any = ["re_enrol", "replaces"])]
        assignee: Option<String>,
        /// Config profile
        #[arg(long, default_value = "default")]
        profile: String,
        /// The code that it shows; needed where several wait under one serial
        #[arg(long)]
        code: Option<String>,
        /// It is a device that is enrolled already and has a new key, as after a reset; it stays whose it was
        #[arg(long, conflicts_with_all = ["assignee", "profile", "replaces"])]
        re_enrol: bool,
        /// Serial of a device whose place it takes: it gets that one's assignee, profile, home site and labels
        #[arg(long, value_name = "SERIAL", conflicts_with_all = ["assignee", "profile"])]
        replaces: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Turn a device that waits away
    Reject {
        /// Serial of the device
        serial: String,
        /// The code that it shows; needed where several wait under one serial
        #[arg(long)]
        code: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Give a device to somebody else; what is stored keeps its name
    Assign {
        /// Serial of the device
        serial: String,
        /// Officer or vehicle that it belongs to from then on
        #[arg(long)]
        assignee: String,
        /// When it was handed over, such as 2026-11-21T08:00:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<DateTime<Utc>>,
        #[command(flatten)]
        target: Target,
    },
    /// Give a device another home site, or other labels
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Set {
        /// Serial of the device
        serial: String,
        /// Its home site
        #[arg(long, group = "what", conflicts_with = "no_site")]
        site: Option<String>,
        /// It has no home site any more
        #[arg(long, group = "what")]
        no_site: bool,
        /// A label; may be given several times, and all others go
        #[arg(long = "label", group = "what", conflicts_with = "no_labels")]
        labels: Vec<String>,
        /// It has no labels any more
        #[arg(long, group = "what")]
        no_labels: bool,
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
            Self::Add { serial, model, valid_for, uses, qr, target } => {
                let body = IssueBody { serial, model, valid_for_seconds: Some(valid_for), uses };
                enrol::add(&body, qr, &target)
            }
            Self::Sheet { serial, model, ssid, valid_for, out, target } => {
                let body = IssueCodeBody { serial, model, valid_for_seconds: Some(valid_for) };
                sheet::write(&body, ssid, out.as_deref(), &target)
            }
            Self::Tokens { target } => enrol::tokens(&target),
            Self::RevokeEnrolment { id, target } => enrol::revoke(id, &target),
            Self::Watch { target } => enrol::watch(&target),
            Self::List { target } => show::list(&target),
            Self::Show { serial, target } => show::show(&serial, &target),
            Self::History { serial, target } => show::history(&serial, &target),
            Self::Connections { serial, target } => sessions::of_device(&serial, &target),
            Self::Coverage { serial, day, target } => coverage::show(&serial, day, &target),
            Self::Approve { serial, assignee, profile, code, re_enrol, replaces, target } => {
                let body = match (assignee.filter(|_| !re_enrol), replaces) {
                    (_, Some(replaces)) => ApproveBody::Replacement { serial, code, replaces },
                    (Some(assignee), None) => ApproveBody::NewDevice { serial, code, assignee, profile },
                    (None, None) => ApproveBody::KnownDevice { serial, code },
                };
                enrol::approve(&body, &target)
            }
            Self::Reject { serial, code, target } => enrol::reject(&RejectBody { serial, code }, &target),
            Self::Assign { serial, assignee, from, target } => {
                enrol::assign(&AssignBody { serial, assignee, from }, &target)
            }
            Self::Set { serial, site, no_site, labels, no_labels, target } => {
                let site = if no_site { Some(None) } else { site.map(Some) };
                let groups: BTreeSet<String> = labels.into_iter().collect();
                let groups = (no_labels || !groups.is_empty()).then_some(groups);
                enrol::set(&serial, &DeviceBody { site, groups }, &target)
            }
            Self::Token { serial, model, assignee, target } => {
                let keyless = model.zip(assignee).map(|(model, assignee)| Keyless { model, assignee });
                service::token(&IssueUploadTokenBody { serial, keyless }, &target)
            }
            Self::RevokeToken { serial, token, target } => {
                let token = token.parse().context("this is no id of a token; `longshore device show` lists them")?;
                service::revoke(&RevokeUploadTokenBody { serial, token }, &target)
            }
            Self::Suspend { serial, target } => {
                let now = "gets no receipts or settings until it is activated";
                service::change(&StandingBody { serial, change: StandingChange::Suspend }, now, &target)
            }
            Self::Activate { serial, target } => {
                service::change(&StandingBody { serial, change: StandingChange::Activate }, "is in service", &target)
            }
            Self::Retire { serial, target } => {
                let now = "is out of service for good";
                service::change(&StandingBody { serial, change: StandingChange::Retire }, now, &target)
            }
            Self::Identify { serial, target } => service::tell(serial, CommandOp::Identify, &target),
            Self::Rescan { serial, target } => service::tell(serial, CommandOp::Rescan, &target),
            Self::Logs { serial, target } => service::tell(serial, CommandOp::Logs, &target),
            Self::Release { serial, target } => service::tell(serial, CommandOp::Release, &target),
        }
    }
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
