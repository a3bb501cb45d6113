//! What an admin decides about a device: who may be one, whose it is, where it belongs, whether it is in service.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload, Query};
use chrono::{DateTime, Utc};
use longshore_actors::{Approval, ApprovalOf, Change, DeviceChange};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::device::Which;
use super::devices::{name, row};
use super::{DeviceRow, by};

/// Complete a set-up. `code` is the one that the device shows; needed where several wait under one serial.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "of", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ApproveBody {
    /// A new device.
    NewDevice {
        serial: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        assignee: String,
        profile: String,
    },
    /// One that is enrolled and has a new key.
    KnownDevice {
        serial: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// A new device that takes another's place.
    Replacement {
        serial: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        replaces: String,
    },
}

/// Turn a device that waits away.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectBody {
    pub(crate) serial: String,
    /// The code that the device shows; needed where several wait under one serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
}

/// Give a device to somebody else.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignBody {
    pub(crate) serial: String,
    /// The officer or vehicle that it belongs to from then on.
    pub(crate) assignee: String,
    /// From when on; now, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<DateTime<Utc>>,
}

/// Where a device belongs; what is left out stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceBody {
    /// Its home site; `null`: it has none any more.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) site: Option<Option<String>>,
    /// Its labels, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) groups: Option<BTreeSet<String>>,
}

/// Tells `null` from nothing at all.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Suspend, activate or retire a device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StandingBody {
    pub(crate) serial: String,
    pub(crate) change: StandingChange,
}

/// What is wanted of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandingChange {
    /// No receipts and no settings: it may be lost or stolen.
    Suspend,
    /// It is back.
    Activate,
    /// It will not come back.
    Retire,
}

/// Completes the set-up of a device that waits.
#[utoipa::path(post, path = "/api/v1/approvals", request_body = ApproveBody,
    responses((status = 200, body = DeviceRow)))]
pub(super) async fn approve(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let (serial, code, of) = match json::read(&request, body).await? {
        ApproveBody::NewDevice { serial, code, assignee, profile } => {
            let (assignee, profile) = (name("assignee", &assignee)?, name("profile", &profile)?);
            (serial, code, ApprovalOf::NewDevice { assignee, profile })
        }
        ApproveBody::KnownDevice { serial, code } => (serial, code, ApprovalOf::KnownDevice),
        ApproveBody::Replacement { serial, code, replaces } => {
            (serial, code, ApprovalOf::Replacement { of: name("serial", &replaces)? })
        }
    };
    let approval = Approval { serial: name("serial", &serial)?, code, of, by: by(&request) };
    Ok(Json(row(&server, server.engine.approve(approval).await?).await?))
}

/// Turns a device that waits away, with all that show its code.
#[utoipa::path(post, path = "/api/v1/rejections", request_body = RejectBody,
    responses((status = 200, description = "who was turned away", body = RejectBody)))]
pub(super) async fn reject(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<RejectBody>, Failure> {
    let RejectBody { serial, code } = json::read(&request, body).await?;
    let serial = name("serial", &serial)?;
    let rejected = server.engine.reject(serial.clone(), code, by(&request)).await?;
    // All of them have the same.
    let code = rejected.into_iter().map(|rejected| rejected.code).next();
    Ok(Json(RejectBody { serial, code }))
}

/// Gives a device to somebody else; what is stored keeps its name.
#[utoipa::path(post, path = "/api/v1/assignments", request_body = AssignBody,
    responses((status = 200, body = DeviceRow)))]
pub(super) async fn assign(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let AssignBody { serial, assignee, from } = json::read(&request, body).await?;
    let (serial, assignee) = (name("serial", &serial)?, name("assignee", &assignee)?);
    Ok(Json(row(&server, server.engine.assign(serial, assignee, from, by(&request)).await?).await?))
}

/// Gives a device another home site, or other labels.
#[utoipa::path(patch, path = "/api/v1/device", params(Which), request_body = DeviceBody,
    responses((status = 200, body = DeviceRow)))]
pub(super) async fn set(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Which>,
    body: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let DeviceBody { site, groups } = json::read(&request, body).await?;
    let groups = groups.map(|groups| groups.iter().map(|group| name("label", group)).collect::<Result<_, _>>());
    let change = DeviceChange { site, groups: groups.transpose()? };
    let device = server.engine.set_device(which.into_inner().serial, change, by(&request)).await?;
    Ok(Json(row(&server, device).await?))
}

/// Suspends, activates or retires a device.
#[utoipa::path(post, path = "/api/v1/standings", request_body = StandingBody,
    responses((status = 200, body = DeviceRow)))]
pub(super) async fn change(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let StandingBody { serial, change } = json::read(&request, body).await?;
    let change = match change {
        StandingChange::Suspend => Change::Suspend,
        StandingChange::Activate => Change::Activate,
        StandingChange::Retire => Change::Retire,
    };
    Ok(Json(row(&server, server.engine.change(name("serial", &serial)?, change, by(&request)).await?).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_refused_and_not_left_out() {
        let reads = |body: &str| serde_json::from_str::<ApproveBody>(body).map(drop);
        for good in [
            r#"{"serial":"B-1","of":"known_device","code":"K7PX"}"#,
            r#"{"of":"new_device","serial":"B-1","assignee":"J. Smith","profile":"default"}"#,
            r#"{"of":"replacement","serial":"B-1","replaces":"B-0"}"#,
        ] {
            assert!(reads(good).is_ok(), "{good}");
        }
        for (wrong, why) in [
            (r#"{"serial":"B-1","of":"known_device","cod":"K7PX"}"#, "cod"),
            (r#"{"serial":"B-1","of":"known_device","assignee":"J. Smith"}"#, "assignee"),
            (r#"{"serial":"B-1","of":"new_device","assignee":"J. Smith"}"#, "profile"),
            (r#"{"serial":"B-1","of":"no_device"}"#, "no_device"),
        ] {
            assert!(reads(wrong).unwrap_err().to_string().contains(why), "{wrong}");
        }
        assert!(serde_json::from_str::<StandingBody>(r#"{"serial":"B-1","change":"suspend","code":"K7PX"}"#).is_err());
    }
}
