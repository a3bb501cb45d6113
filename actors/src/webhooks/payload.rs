//! What webhooks are told. Pure but for looking things up. Each message is one JSON object in the form of Standard Webhooks: `type`,
//! `timestamp`, `data`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use longshore_model::HealthTypes;
use longshore_store::index::{Index, IndexError, News, NewsRow};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::health::HealthViews;
use crate::requests::Views;

/// News in one message: what is hashed, sent and read at once.
pub(crate) const MOST: u64 = 100;
/// Bytes of the records of one message, well below what the outbox keeps of one; what is longer alone is told by its id.
const BYTES: usize = 256 * 1024;

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
    records: Vec<Box<RawValue>>,
}

/// What happened, for this webhook, as far as it fits in one message, and the number of the first that did not; `missed` were
/// before it.
pub(crate) fn write(
    index: &Index,
    types: &HealthTypes,
    server: &str,
    missed: u64,
    news: &[NewsRow],
    now: DateTime<Utc>,
) -> Result<(Vec<u8>, Option<u64>), IndexError> {
    let damaged = |error: serde_json::Error| IndexError::Damaged(error.to_string());
    let mut issues = HealthViews::new(index, types, now);
    let (mut records, mut bytes, mut left) = (Vec::new(), 0, None);
    for row in news {
        let Some(whole) = record(index, &mut issues, row, now)? else { continue };
        let mut text = to_raw_value(&whole).map_err(damaged)?;
        if text.get().len() > BYTES {
            text = to_raw_value(&by_id(whole)).map_err(damaged)?;
        }
        bytes += text.get().len();
        if bytes > BYTES && !records.is_empty() {
            left = Some(row.number);
            break;
        }
        records.push(text);
    }
    let payload = Payload { kind: "longshore.news", timestamp: now, data: Data { server, missed, records } };
    Ok((serde_json::to_vec(&payload).map_err(damaged)?, left))
}

/// What is too long to be told, with its id alone.
fn by_id(mut record: Value) -> Value {
    if let Some(whole) = record.get_mut("request") {
        *whole = json!({"id": whole["id"]});
    }
    record
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longshore_model::SettableClock;
    use longshore_store::catalogue::Catalogue;
    use longshore_store::facts::{Fact, RequestFact};
    use longshore_store::files::{Disk, DiskOptions};
    use longshore_store::index::IndexPlace;

    use super::*;

    #[tokio::test]
    async fn a_message_holds_what_fits_and_what_never_would_is_told_by_its_id() {
        let now: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
        let place = IndexPlace::below(folder.path());
        let (catalogue, _writer, _) = Catalogue::open(journal, &place, Arc::new(SettableClock::at(now))).unwrap();
        for (n, long) in [(1, 1000), (2, BYTES * 2 / 3), (3, BYTES / 2), (4, BYTES + 1)] {
            let id = format!("{n:032x}");
            let asked = json!({
                "id": id, "requester": "uid 0", "devices": [], "from": now, "to": now, "priority": 5, "added_at": now,
                "expires": now, "note": "x".repeat(long),
            });
            let request: longshore_model::VideoRequest = serde_json::from_value(asked).unwrap();
            let over = RequestFact::Expired { request: request.id };
            catalogue.record([RequestFact::Added { request }, over].map(Fact::Request).to_vec()).await.unwrap();
        }
        let index = catalogue.index();
        let (mut from, mut told) = (0, Vec::new());
        while from < index.news_count().unwrap() {
            let news = index.news(from, MOST).unwrap();
            let (body, left) = write(index, &HealthTypes::default(), "s", 0, &news, now).unwrap();
            assert!(body.len() < 2 * BYTES);
            let body: Value = serde_json::from_slice(&body).unwrap();
            let records = body["data"]["records"].as_array().unwrap().clone();
            told.push(records.iter().map(|record| record["number"].as_u64().unwrap()).collect::<Vec<_>>());
            if records.iter().any(|record| record["number"] == 3) {
                assert!(records.iter().all(|record| record["request"]["note"].is_null() == (record["number"] == 3)));
            }
            from = left.unwrap_or(news.last().unwrap().number + 1);
        }
        assert_eq!(told, [vec![0, 1], vec![2, 3]]);
    }
}
