//! Issues, and how devices are, as people see them: with what their type says, and what explains them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use longshore_model::{
    Device, DeviceId, DeviceModels, HealthSubject, HealthType, HealthTypes, Issue, IssueEnd, Severity,
};
use longshore_store::index::{Index, IndexError};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::tally::hidden_by;

/// Steps for what nobody has written any for.
const STEPS: [&str; 3] = [
    "Look at the device itself: its display, its lights, its own log.",
    "Look in its manual for what it calls this.",
    "If it comes again, write an entry for it into a file of your own, as config/health.toml says, so that the next one knows.",
];

/// An issue, with all that people want to know of it: page, command line and mails say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssueView {
    /// By which it is named.
    pub number: u64,
    /// The device that it is about; of the server's own, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<IssueDevice>,
    /// Name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which part: a camera of the device, an address, a recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: String,
    /// What happened, and what it means.
    pub text: String,
    /// What is known beside: the words of whoever noticed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was measured last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub value: Option<Number>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// When it began.
    pub since: DateTime<Utc>,
    /// When it was there last.
    pub last_seen: DateTime<Utc>,
    /// How often it was reported.
    pub count: u64,
    /// It comes and goes.
    pub flapping: bool,
    /// When it ended; it is open without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<IssueEnd>,
    /// Number of the issue that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_by: Option<u64>,
    /// Nobody wants to hear of it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<DateTime<Utc>>,
    /// Nobody wants to hear of it.
    pub ignored: bool,
}

/// The device that an issue is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssueDevice {
    /// Its serial.
    pub serial: String,
    /// Its model.
    pub model: String,
    /// To whom it belongs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Its home site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

impl IssueView {
    /// Whether a person has to do something: it is open and matters, nothing else explains it, and nobody said that they do
    /// not want to hear of it.
    pub fn needs_somebody(&self, now: DateTime<Utc>) -> bool {
        let muted = self.ignored || self.silenced_until.is_some_and(|until| now < until);
        self.ended_at.is_none() && self.severity > Severity::Notice && self.hidden_by.is_none() && !muted
    }

    /// What was measured, with its unit, for people.
    pub fn measured(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        Some(self.unit.as_ref().map_or_else(|| value.to_string(), |unit| format!("{value} {unit}")))
    }
}

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It does not say, and the server has noticed nothing: nobody knows.
    NotReported,
    /// It says, and nothing needs anybody.
    Healthy,
    /// Something needs somebody.
    Attention,
}

/// How a device is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceHealth {
    /// In a word.
    pub state: HealthState,
    /// Whether it can say how it is: as its model is known to, else whether it ever did.
    pub reports: bool,
    /// When it said so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<DateTime<Utc>>,
    /// Its open issues, those that matter most first.
    pub issues: Vec<IssueView>,
}

/// Makes views; looks every device up once.
pub struct HealthViews<'a> {
    index: &'a Index,
    types: &'a HealthTypes,
    devices: HashMap<DeviceId, Option<IssueDevice>>,
    open: HashMap<HealthSubject, Vec<Issue>>,
    now: DateTime<Utc>,
}

impl<'a> HealthViews<'a> {
    /// Views of what this index has, at this moment.
    pub fn new(index: &'a Index, types: &'a HealthTypes, now: DateTime<Utc>) -> Self {
        Self { index, types, devices: HashMap::new(), open: HashMap::new(), now }
    }

    /// One issue.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn of(&mut self, issue: &Issue) -> Result<IssueView, IndexError> {
        let device = match issue.subject.device() {
            Some(device) => self.device(device)?,
            None => None,
        };
        let (types, now, unknown) = (self.types, self.now, HealthType::default());
        let kind = types.get(&issue.kind).unwrap_or(&unknown);
        let steps = || STEPS.map(str::to_owned).to_vec();
        let text = || "The device reports this; Longshore does not know what it means.".to_owned();
        let hidden_by = match issue.is_open() && kind.parent.is_some() {
            true => hidden_by(issue, self.open(issue.subject)?, types, now).map(|other| other.number),
            false => None,
        };
        Ok(IssueView {
            number: issue.number,
            device,
            kind: issue.kind.clone(),
            part: issue.part.clone(),
            severity: types.severity(&issue.kind, issue.said),
            title: kind.title.clone().unwrap_or_else(|| issue.kind.replace('_', " ")),
            text: kind.text.clone().unwrap_or_else(text),
            cause: issue.text.clone(),
            value: issue.value.clone(),
            unit: kind.unit.clone().filter(|_| issue.value.is_some()),
            steps: kind.steps.clone().unwrap_or_else(steps),
            since: issue.since,
            last_seen: issue.last_seen,
            count: issue.count,
            flapping: issue.calm_at.is_some(),
            ended_at: issue.ended.map(|(_, at)| at),
            end: issue.ended.map(|(how, _)| how),
            hidden_by,
            silenced_until: issue.silenced_until.filter(|until| self.now < *until),
            ignored: issue.ignored,
        })
    }

    /// Several, those that matter most first; of those that matter alike, the newest.
    pub fn of_all(&mut self, issues: &[Issue]) -> Result<Vec<IssueView>, IndexError> {
        let mut views = issues.iter().map(|issue| self.of(issue)).collect::<Result<Vec<_>, _>>()?;
        let now = self.now;
        views.sort_by_key(|view| {
            std::cmp::Reverse((
                view.ended_at.is_none(),
                view.needs_somebody(now),
                view.severity,
                view.since,
                view.number,
            ))
        });
        Ok(views)
    }

    /// How a device is.
    pub fn of_device(&mut self, device: &Device, models: &DeviceModels) -> Result<DeviceHealth, IndexError> {
        let reported_at = self.index.health_report(device.id)?.at;
        let open = self.open(HealthSubject::Device(device.id))?.to_vec();
        let issues = self.of_all(&open)?;
        let model = models.get(&device.model).and_then(|model| model.health);
        let reports = model.unwrap_or(reported_at.is_some());
        let state = match reports && reported_at.is_some() {
            _ if issues.iter().any(|issue| issue.needs_somebody(self.now)) => HealthState::Attention,
            true => HealthState::Healthy,
            false => HealthState::NotReported,
        };
        Ok(DeviceHealth { state, reports, reported_at, issues })
    }

    fn device(&mut self, id: DeviceId) -> Result<Option<IssueDevice>, IndexError> {
        if let Some(known) = self.devices.get(&id) {
            return Ok(known.clone());
        }
        let now = self.now;
        let known = self.index.device(id)?.map(|device| IssueDevice {
            assignee: device.assignee_at(now).map(str::to_owned),
            serial: device.serial,
            model: device.model,
            site: device.site,
        });
        self.devices.insert(id, known.clone());
        Ok(known)
    }

    fn open(&mut self, subject: HealthSubject) -> Result<&[Issue], IndexError> {
        if !self.open.contains_key(&subject) {
            self.open.insert(subject, self.index.open_issues_of(subject)?);
        }
        Ok(self.open.get(&subject).map_or(&[], Vec::as_slice))
    }
}
