use std::collections::HashMap;

use actix_web::web::{self, Data, Json, Query};
use chrono::{DateTime, NaiveDate, Utc};
use longshore_model::{Counted, Covering, DayCoverage, DeviceId, Holding, Sha256, coverage};
use longshore_store::index::{Index, IndexError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::device::find;

/// Days of one answer: what a person looks through at once, and a body that stays below some hundreds of KiB.
const DAYS: usize = 62;

/// Which device, and which day; without one, the newest.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    serial: String,
    #[serde(default)]
    day: Option<NaiveDate>,
}

/// What a device recorded, and where that is, in true time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceCoverage {
    pub(crate) serial: String,
    pub(crate) days: Vec<DayCoverage>,
    /// Recordings of which nobody knows when they were; they belong to no day.
    pub(crate) undated: Counted,
}

/// What a device recorded, and where that is.
#[utoipa::path(get, path = "/api/v1/coverage", params(("serial" = String, Query), ("day" = Option<String>, Query)),
    responses((status = 200, body = DeviceCoverage)))]
pub(crate) async fn show(server: Data<Server>, Query(which): Query<Which>) -> Result<Json<DeviceCoverage>, Failure> {
    let (index, now) = (server.engine.catalogue().index().clone(), server.now());
    let covered = web::block(move || {
        let device = find(&index, &which.serial)?;
        let items = items(&index, device.id, now)?;
        let mut undated = Counted::default();
        items.iter().filter(|item| item.start.is_none()).for_each(|item| undated.count(item));
        let days = coverage(&items, which.day, DAYS);
        Ok::<_, Failure>(DeviceCoverage { serial: which.serial, days, undated })
    });
    Ok(Json(covered.await??))
}

fn items(index: &Index, device: DeviceId, now: DateTime<Utc>) -> Result<Vec<Covering>, IndexError> {
    let clock = index.clock(device)?;
    let oldest = index.report(device)?.and_then(|row| row.report.begins(&clock));
    let holding = Holding { oldest, now };
    let mut stored = HashMap::<_, Vec<Sha256>>::new();
    let mut items = Vec::new();
    for row in index.recordings_of(device)? {
        let recording = row.manifest.recording;
        stored.entry(recording.rid).or_default().push(recording.sha256);
        items.push(Covering::stored(recording, row.deleted_at.is_some()));
    }
    for row in index.declared_of(device)? {
        let contents = stored.get(&row.declared.rid);
        // Of one that was declared without its checksum, whatever is stored is it.
        let is_stored = contents.is_some_and(|contents| row.declared.sha256.is_none_or(|it| contents.contains(&it)));
        if !is_stored {
            items.push(Covering::declared(row.declared, &clock, holding));
        }
    }
    Ok(items)
}
