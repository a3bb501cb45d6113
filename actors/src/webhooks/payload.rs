//! What webhooks are told. Pure but for looking things up. Each message is one JSON object in the form of Standard Webhooks: `type`,
//! `timestamp`, `data`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use longshore_model::HealthTypes;
use longshore_store::index::{Index, IndexError, News, NewsRow};
use serde::Serialize;
use serde_json::{Value, json};

use crate::health::HealthViews;
use crate::requests::Views;

/// News in one message: what is hashed, sent and read at once.
pub(crate) const MOST: u64 = 100;

/// One message.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: DateTime<Utc>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    /// Which server says it.
    server: &'a str,
    /// News that came before these and were too many to be kept.
    missed: u64,
    records: Vec<Value>,
}

/// What happened, for this webhook; `missed` were before it.
pub(crate) fn write(
    index: &Index,
    types: &HealthTypes,
    server: &str,
    missed: u64,
    news: &[NewsRow],
    now: DateTime<Utc>,
) -> Result<Vec<u8>, IndexError> {
    let mut issues = HealthViews::new(index, types, now);
    let records = news.iter().map(|row| record(index, &mut issues, row, now)).collect::<Result<Vec<_>, _>>()?;
    let records = records.into_iter().flatten().collect();
    let payload = Payload { kind: "longshore.news", timestamp: now, data: Data { server, missed, records } };
    serde_json::to_vec(&payload).map_err(|error| IndexError::Damaged(error.to_string()))
}

/// As it is now; `None`: what it was about is forgotten.
fn record(
    index: &Index,
    issues: &mut HealthViews<'_>,
    row: &NewsRow,
    now: DateTime<Utc>,
) -> Result<Option<Value>, IndexError> {
    let NewsRow { number, at, news } = row;
    Ok(match *news {
        News::Stored { device, rid, revision } => {
            let manifest = index.stored(device, rid)?.into_iter().find(|stored| stored.recording.revision == revision);
            manifest.map(|manifest| {
                json!({"number": number, "at": at, "type": "recording.stored", "recording": manifest.recording})
            })
        }
        News::RequestOver { request } => {
            let Some(row) = index.request(request)? else { return Ok(None) };
            let view = Views::new(index, &HashSet::new(), now).of(&row)?;
            Some(json!({"number": number, "at": at, "type": "request.over", "request": view}))
        }
        News::IssueOpened { issue } | News::IssueEnded { issue } => {
            let Some(issue) = index.issue(issue)? else { return Ok(None) };
            let what = if matches!(news, News::IssueOpened { .. }) { "issue.opened" } else { "issue.ended" };
            Some(json!({"number": number, "at": at, "type": what, "issue": issues.of(&issue)?}))
        }
        News::Checkpointed { seq } => index.checkpoint(seq)?.map(
            |checkpoint| json!({"number": number, "at": at, "type": "checkpoint.signed", "checkpoint": checkpoint}),
        ),
    })
}
