//! How devices and the server are.

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Json, Payload, Query};
use chrono::{DateTime, Utc};
use longshore_actors::{DeviceHealth, HealthState, HealthViews, IssueView};
use longshore_model::{DeviceState, HealthSubject, IssueChange, IssueWhat, Severity};
use longshore_protocol::ProblemType;
use longshore_store::index::Index;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::device::find;

/// Issues and lines of one answer, the newest: more than anybody reads.
const LISTED: usize = 1000;

/// What is wrong, and how each device is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HealthOverview {
    /// Issues, those that need somebody first.
    pub(crate) issues: Vec<IssueView>,
    /// The devices that are asked for, but for those that are retired.
    pub(crate) devices: Vec<DeviceHealthRow>,
}

/// How a device is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeviceHealthRow {
    pub(crate) serial: String,
    pub(crate) model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
    /// Its home site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
    pub(crate) state: HealthState,
    /// Whether it can say how it is.
    pub(crate) reports: bool,
    /// When it said so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reported_at: Option<DateTime<Utc>>,
    /// How many issues of it are open.
    pub(crate) open: usize,
    /// The worst of those that need somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) worst: Option<Severity>,
}

/// An issue, with what happened to it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IssueDetail {
    #[serde(flatten)]
    pub(crate) issue: IssueView,
    /// The newest first.
    pub(crate) changes: Vec<ChangeRow>,
}

/// Something that happened to an issue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ChangeRow {
    /// When the server heard of it.
    pub(crate) at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub(crate) what: IssueWhat,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub(crate) value: Option<serde_json::Number>,
    /// What whoever noticed it has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A line of the history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct HistoryRow {
    /// Number of the issue.
    pub(crate) issue: u64,
    /// The device; of the server's own, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// What it is, in a few words.
    pub(crate) title: String,
    /// Which part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<String>,
    #[serde(flatten)]
    pub(crate) change: ChangeRow,
}

/// Which issues.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichIssues {
    /// Only those of the device with this serial.
    device: Option<String>,
    /// Also those that have ended, of the newest 1,000.
    #[serde(default)]
    all: bool,
}

/// Which issue.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichIssue {
    /// Its number.
    number: u64,
}

/// Which lines of the history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichLines {
    /// Only those of the device with this serial.
    device: Option<String>,
    /// No more than so many, the newest; 1,000 at most.
    count: Option<usize>,
}

/// Silences an issue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceBody {
    /// Number of the issue.
    pub(crate) issue: u64,
    /// Until when nobody wants to hear of it; without it, they want to again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<DateTime<Utc>>,
}

/// Ignores an issue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IgnoreBody {
    /// Number of the issue.
    pub(crate) issue: u64,
    /// Whether it is ignored from now on, also when it comes back.
    pub(crate) ignored: bool,
}

/// What is wrong: issues of devices and of the server, those that need somebody first; and how each device is.
#[utoipa::path(get, path = "/api/v1/health", params(WhichIssues), responses((status = 200, body = HealthOverview)))]
pub(super) async fn list(
    server: Data<Server>,
    Query(WhichIssues { device, all }): Query<WhichIssues>,
) -> Result<Json<HealthOverview>, Failure> {
    let overview = looking(&server, move |index, views, server| {
        let devices = match &device {
            Some(serial) => vec![find(index, serial)?],
            None => index.devices()?,
        };
        let of = device.and_then(|_| devices.first().map(|device| HealthSubject::Device(device.id)));
        let issues = match (of, all) {
            (of, true) => index.newest_issues(of, LISTED)?,
            (Some(of), false) => index.open_issues_of(of)?,
            (None, false) => index.open_issues()?,
        };
        let issues = views.of_all(&issues)?;
        let mut rows = Vec::with_capacity(devices.len());
        for device in devices.into_iter().filter(|device| device.state != DeviceState::Retired) {
            let DeviceHealth { state, reports, reported_at, issues } =
                views.of_device(&device, &server.engine.models())?;
            let needs = issues.iter().filter(|issue| issue.needs_somebody(server.now()));
            rows.push(DeviceHealthRow {
                assignee: device.assignments.last().map(|last| last.assignee.clone()),
                serial: device.serial,
                model: device.model,
                site: device.site,
                state,
                reports,
                reported_at,
                open: issues.len(),
                worst: needs.map(|issue| issue.severity).max(),
            });
        }
        Ok(HealthOverview { issues, devices: rows })
    });
    Ok(Json(overview.await?))
}

/// One issue, with its steps and what happened to it.
#[utoipa::path(get, path = "/api/v1/health-issue", params(WhichIssue), responses((status = 200, body = IssueDetail)))]
pub(super) async fn show(
    server: Data<Server>,
    Query(WhichIssue { number }): Query<WhichIssue>,
) -> Result<Json<IssueDetail>, Failure> {
    Ok(Json(detail(&server, number).await?))
}

/// What happened to issues, the newest first.
#[utoipa::path(get, path = "/api/v1/health-history", params(WhichLines),
    responses((status = 200, body = [HistoryRow])))]
pub(super) async fn history(
    server: Data<Server>,
    Query(WhichLines { device, count }): Query<WhichLines>,
) -> Result<Json<Vec<HistoryRow>>, Failure> {
    let count = count.unwrap_or(LISTED).min(LISTED);
    let lines = looking(&server, move |index, views, _| {
        let device = device.map(|serial| find(index, &serial)).transpose()?;
        let changes = index.newest_changes(device.map(|device| HealthSubject::Device(device.id)), count)?;
        let mut rows = Vec::with_capacity(changes.len());
        for (issue, change) in changes {
            let IssueView { number, device, title, part, .. } = views.of(&issue)?;
            let serial = device.map(|device| device.serial);
            rows.push(HistoryRow { issue: number, serial, title, part, change: change.into() });
        }
        Ok(rows)
    });
    Ok(Json(lines.await?))
}

/// Lets nobody hear of an open issue for a while, or lets them hear of it again.
#[utoipa::path(post, path = "/api/v1/health-silences", request_body = SilenceBody,
    responses((status = 200, body = IssueDetail)))]
pub(super) async fn silence(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<IssueDetail>, Failure> {
    let SilenceBody { issue, until } = json::read(&request, payload).await?;
    server.engine.silence_issue(issue, until, by(&request)).await?;
    Ok(Json(detail(&server, issue).await?))
}

/// Lets nobody hear of an issue, also when it comes back, or lets them hear of it again.
#[utoipa::path(post, path = "/api/v1/health-ignores", request_body = IgnoreBody,
    responses((status = 200, body = IssueDetail)))]
pub(super) async fn ignore(
    server: Data<Server>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<IssueDetail>, Failure> {
    let IgnoreBody { issue, ignored } = json::read(&request, payload).await?;
    server.engine.ignore_issue(issue, ignored, by(&request)).await?;
    Ok(Json(detail(&server, issue).await?))
}

async fn detail(server: &Data<Server>, number: u64) -> Result<IssueDetail, Failure> {
    looking(server, move |index, views, _| {
        let nobody = || {
            let detail = format!("there is no issue {number}; `longshore health list` shows which are open");
            Failure::new(ProblemType::NotFound, detail)
        };
        let issue = index.issue(number)?.ok_or_else(nobody)?;
        let changes = index.changes_of(number, LISTED)?;
        Ok(IssueDetail { issue: views.of(&issue)?, changes: changes.into_iter().map(ChangeRow::from).collect() })
    })
    .await
}

/// Reads from the index off the network's threads.
async fn looking<T: Send + 'static>(
    server: &Data<Server>,
    look: impl FnOnce(&Index, &mut HealthViews<'_>, &Server) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let server = server.clone();
    web::block(move || {
        let (index, types) = (server.engine.catalogue().index(), server.engine.health_types());
        look(index, &mut HealthViews::new(index, types, server.now()), &server)
    })
    .await?
}

impl From<IssueChange> for ChangeRow {
    fn from(IssueChange { at, what, value, text, .. }: IssueChange) -> Self {
        Self { at, what, value, text }
    }
}
