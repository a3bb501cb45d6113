//! The daily mails.

use std::io::{self, Write as _};

use chrono::NaiveDate;
use clap::Subcommand;
use longshore_model::DigestKind;

use super::{Target, query, table};
use crate::http::operator::{DigestText, SendDigestBody, SentDigest, paths};

#[derive(Debug, Subcommand)]
pub(super) enum Digest {
    /// Show what a daily mail would say now, or what it said on a date
    Preview {
        /// transfer or health
        kind: DigestKind,
        /// Print the HTML part instead of the text part
        #[arg(long)]
        html: bool,
        /// Only of the devices of this site
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// As it was on this date, such as 2026-11-19
        #[arg(long, value_name = "DATE")]
        at: Option<NaiveDate>,
        #[command(flatten)]
        target: Target,
    },
    /// Send the daily mail of today before its time, if there is anything new
    Send {
        /// transfer or health
        kind: DigestKind,
        /// Only of the devices of this site
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

impl Digest {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Preview { kind, html, site, at, target } => {
                let at = at.map(|at| at.to_string());
                let mut pairs = vec![("kind", kind.as_str())];
                pairs.extend(site.as_deref().map(|site| ("site", site)));
                pairs.extend(at.as_deref().map(|at| ("date", at)));
                let shown: DigestText = target.client()?.get(&query(paths::DIGEST, &pairs))?;
                preview(&shown, html, &target)
            }
            Self::Send { kind, site, target } => {
                let sent: SentDigest = target.client()?.post(paths::DIGEST, &SendDigestBody { kind, site })?;
                if target.json {
                    return table::print_json(&sent);
                }
                let line = match &sent.to[..] {
                    [] => "There is nothing new, so nothing is sent.".to_owned(),
                    to => format!("The {kind} digest of {} is on its way to {}.", sent.date, to.join(", ")),
                };
                Ok(writeln!(io::stdout(), "{line}")?)
            }
        }
    }
}

fn preview(shown: &DigestText, html: bool, target: &Target) -> anyhow::Result<()> {
    if target.json {
        return table::print_json(shown);
    }
    let mut out = io::stdout().lock();
    if html {
        return Ok(out.write_all(shown.html.as_bytes())?);
    }
    writeln!(out, "Subject: {}", shown.subject)?;
    if !shown.news {
        writeln!(out, "There is nothing new in it, so it would not be sent.")?;
    }
    Ok(write!(out, "\n{}", shown.text)?)
}
