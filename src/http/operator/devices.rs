use std::time::Duration;

use actix_web::web::{self, Data, Json, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::{Approval, ApprovalOf, Change};
use longshore_model::{Description, Device, DeviceModels, DeviceState, Enrolment};
use longshore_protocol::{EnrolmentText, ProblemType, limits};
use serde::{Deserialize, Serialize};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;

/// Longest life of an enrolment token: a text on a desk should not stay a key for months.
const MAX_VALID: Duration = Duration::from_secs(30 * 24 * 3600);

/// Ask for an enrolment token.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IssueBody {
    pub(crate) serial: String,
    pub(crate) model: String,
    pub(crate) valid_for_seconds: u64,
}

/// A token; the text is told once, here. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) text: String,
    pub(crate) serial: String,
    pub(crate) model: String,
    pub(crate) expires: DateTime<Utc>,
}

/// Complete a set-up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ApproveBody {
    pub(crate) serial: String,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(flatten)]
    pub(crate) of: ApproveOf,
}

/// What is approved.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub(crate) enum ApproveOf {
    NewDevice { assignee: String, profile: String },
    KnownDevice,
}

/// Suspend, activate or retire a device.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StandingBody {
    pub(crate) serial: String,
    pub(crate) change: StandingChange,
}

/// What is wanted of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandingChange {
    Suspend,
    Activate,
    Retire,
}

/// A device, or one that waits to be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    pub(crate) serial: String,
    pub(crate) model: String,
    /// Nothing is known of this model, so it is taken as any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unknown_model: bool,
    /// `pending`, `approved`, `active`, `suspended` or `retired`.
    pub(crate) state: String,
    /// It waits, and a device with its serial is enrolled already: is it the same one, with a new key?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) re_enrols: bool,
    /// What the device shows too, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What the device said of itself when it asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// When it asked, or was approved.
    pub(crate) since: DateTime<Utc>,
}

impl From<Enrolment> for DeviceRow {
    fn from(enrolment: Enrolment) -> Self {
        let Enrolment { serial, model, code, description, requested_at, .. } = enrolment;
        let state = "pending".to_owned();
        let (code, description) = (Some(code), Some(description));
        Self {
            serial,
            model,
            unknown_model: false,
            state,
            re_enrols: false,
            code,
            description,
            assignee: None,
            profile: None,
            since: requested_at,
        }
    }
}

impl From<Device> for DeviceRow {
    fn from(device: Device) -> Self {
        Self {
            assignee: device.assignments.last().map(|last| last.assignee.clone()),
            serial: device.serial,
            model: device.model,
            unknown_model: false,
            state: device.state.as_str().to_owned(),
            re_enrols: false,
            code: None,
            description: None,
            profile: Some(device.profile),
            since: device.approved_at,
        }
    }
}

impl DeviceRow {
    /// The same, marked if nothing is known of the model.
    pub(crate) fn flagged(self, models: &DeviceModels) -> Self {
        Self { unknown_model: models.get(&self.model).is_none(), ..self }
    }
}

/// `GET /devices`: those that wait first.
pub(crate) async fn list(server: Data<Server>) -> Result<Json<Vec<DeviceRow>>, Failure> {
    let (index, now) = (server.engine.catalogue().index().clone(), server.clock.now());
    let read = web::block(move || {
        let waiting = index.enrolments()?.into_iter().filter(|enrolment| enrolment.waits(now));
        let devices = index.devices()?;
        let known =
            |serial: &str| devices.iter().any(|device| device.serial == serial && device.state != DeviceState::Retired);
        let mut rows: Vec<DeviceRow> = waiting
            .map(|waiting| DeviceRow { re_enrols: known(&waiting.serial), ..DeviceRow::from(waiting) })
            .collect();
        rows.extend(devices.into_iter().map(DeviceRow::from));
        Ok::<_, Failure>(rows)
    });
    let rows = read.await??.into_iter().map(|row| row.flagged(server.engine.models()));
    Ok(Json(rows.collect()))
}

/// `POST /enrolment-tokens`.
pub(crate) async fn issue(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let IssueBody { serial, model, valid_for_seconds } = json::read(&request, payload).await?;
    let (serial, model) = (name("serial", &serial)?, name("model", &model)?);
    let valid_for = Duration::from_secs(valid_for_seconds);
    if valid_for.is_zero() || valid_for > MAX_VALID {
        return Err(Failure::malformed("an enrolment token is valid for 1 second to 30 days"));
    }
    let issued = server.engine.issue_token(serial.clone(), model.clone(), valid_for, by(&request)).await?;
    let url = server.url();
    let text = EnrolmentText {
        server: url.parse().map_err(|_| Failure::new(ProblemType::Internal, "the server's URL cannot be read"))?,
        token: issued.token.id,
        secret: issued.secret,
        pin: server.identity.pin,
    };
    let issued = Issued { text: text.to_string(), serial, model, expires: issued.token.expires };
    Ok(HttpResponse::Created().json(issued))
}

/// `POST /approvals`.
pub(crate) async fn approve(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let ApproveBody { serial, code, of } = json::read(&request, payload).await?;
    let of = match of {
        ApproveOf::NewDevice { assignee, profile } => {
            ApprovalOf::NewDevice { assignee: name("assignee", &assignee)?, profile: name("profile", &profile)? }
        }
        ApproveOf::KnownDevice => ApprovalOf::KnownDevice,
    };
    let approval = Approval { serial: name("serial", &serial)?, code, of, by: by(&request) };
    Ok(Json(server.engine.approve(approval).await?.into()))
}

/// `POST /standings`: suspend, activate or retire.
pub(crate) async fn change(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DeviceRow>, Failure> {
    let StandingBody { serial, change } = json::read(&request, payload).await?;
    let change = match change {
        StandingChange::Suspend => Change::Suspend,
        StandingChange::Activate => Change::Activate,
        StandingChange::Retire => Change::Retire,
    };
    Ok(Json(server.engine.change(name("serial", &serial)?, change, by(&request)).await?.into()))
}

pub(super) fn name(what: &str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > limits::NAME_CHARS || name.chars().any(char::is_control) {
        let detail =
            format!("the {what} must have 1 to {} characters, none of them a control character", limits::NAME_CHARS);
        return Err(Failure::malformed(detail));
    }
    Ok(name.to_owned())
}
