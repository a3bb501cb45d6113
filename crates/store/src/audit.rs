//! Who did what: a line for each thing that a person decided, whoever and whatever it was about.

use chrono::{DateTime, Utc};
use longshore_model::HealthSubject;
use serde::{Deserialize, Serialize};

use crate::facts::{
    CustodyFact, DigestFact, Fact, HealthFact, OutboxFact, PeopleFact, ProfileFact, ReportFact, RequestFact,
};
use crate::history::Subject;

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Audited {
    /// Its place in the journal.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: an account, or `uid N` of whoever used the local socket.
    pub by: String,
    /// What, in a word that stays the same.
    pub did: String,
    /// Which device (by its serial), account, site, dock or token it was about.
    pub about: String,
}

/// What somebody did, to what, and who it was; `None` for what devices and the server do by themselves.
pub(crate) fn line(fact: &Fact) -> Option<(&'static str, Subject<'_>, &str)> {
    let (did, about, by) = match fact {
        Fact::TokenIssued { token, by } => {
            let about = token.serial.as_deref().map_or_else(|| Subject::Other(token.id.to_string()), Subject::Serial);
            ("enrolment_token_issued", about, by)
        }
        Fact::DeviceApproved { device, by, .. } => ("device_approved", Subject::Serial(&device.serial), by),
        Fact::DeviceSuspended { device, by } => ("device_suspended", Subject::Device(*device), by),
        Fact::DeviceReinstated { device, by } => ("device_reinstated", Subject::Device(*device), by),
        Fact::DeviceRetired { device, by } => ("device_retired", Subject::Device(*device), by),
        Fact::DeviceReenrolled { device, by, .. } => ("device_reenrolled", Subject::Device(*device), by),
        Fact::DeviceAdded { device, by } => ("device_added", Subject::Serial(&device.serial), by),
        Fact::UploadTokenIssued { device, by, .. } => ("upload_token_issued", Subject::Device(*device), by),
        Fact::UploadTokenRevoked { device, by, .. } => ("upload_token_revoked", Subject::Device(*device), by),
        Fact::People(fact) => return Some(of_people(fact)),
        Fact::Request(RequestFact::Added { request }) => {
            ("footage_requested", Subject::Other(request.id.to_string()), &request.requester)
        }
        Fact::Request(RequestFact::Cancelled { request, by }) => {
            ("request_cancelled", Subject::Other(request.to_string()), by)
        }
        Fact::Report(ReportFact::CommandGiven { device, by, .. }) => ("command_given", Subject::Device(*device), by),
        Fact::Profile(ProfileFact::Assigned { device, by, .. }) => ("profile_assigned", Subject::Device(*device), by),
        Fact::Profile(ProfileFact::GroupAssigned { group, by, .. }) => {
            ("profile_assigned_to_label", Subject::Other(group.clone()), by)
        }
        Fact::Profile(ProfileFact::Applied { name, by, .. }) => {
            ("profile_applied", Subject::Other(name.to_string()), by)
        }
        Fact::Digest(DigestFact::Planned { digest, by: Some(by), .. }) => {
            ("digest_sent", Subject::Other(digest.to_string()), by)
        }
        Fact::Outbox(OutboxFact::Queued { message }) => {
            ("mail_queued", Subject::Other(message.to.clone()), message.by.as_ref()?)
        }
        Fact::Outbox(OutboxFact::RetryAsked { ids, by }) => {
            let about = if let [only] = ids[..] { only.to_string() } else { format!("{} messages", ids.len()) };
            ("mail_retried", Subject::Other(about), by)
        }
        Fact::Health(HealthFact::Silenced { issue, subject, until, by }) => {
            let did = if until.is_some() { "issue_silenced" } else { "issue_heard_again" };
            (did, about_issue(*issue, *subject), by)
        }
        Fact::Health(HealthFact::Ignored { issue, subject, ignored, by }) => {
            let did = if *ignored { "issue_ignored" } else { "issue_heeded" };
            (did, about_issue(*issue, *subject), by)
        }
        Fact::Custody(CustodyFact::Exported { export, by, .. }) => {
            ("recordings_exported", Subject::Other(export.to_string()), by)
        }
        Fact::Custody(CustodyFact::ExportSigned { export, by, .. }) => {
            ("export_signed", Subject::Other(export.to_string()), by)
        }
        Fact::Health(HealthFact::Noted { .. })
        | Fact::Custody(_)
        | Fact::Request(_)
        | Fact::Outbox(_)
        | Fact::Report(_)
        | Fact::Session(_)
        | Fact::Storage(_)
        | Fact::Digest(_)
        | Fact::EnrolmentRequested { .. }
        | Fact::EnrolmentSuperseded { .. }
        | Fact::DeviceActivated { .. }
        | Fact::Declared { .. }
        | Fact::Conflicted { .. }
        | Fact::Mismatched { .. }
        | Fact::Expired { .. }
        | Fact::Stored { .. }
        | Fact::Deleted { .. } => return None,
    };
    Some((did, about, by.as_str()))
}

fn about_issue(issue: u64, subject: HealthSubject) -> Subject<'static> {
    subject.device().map_or_else(|| Subject::Other(format!("issue {issue}")), Subject::Device)
}

fn of_people(fact: &PeopleFact) -> (&'static str, Subject<'_>, &str) {
    let named = |name: &String| Subject::Other(name.clone());
    let (did, about, by) = match fact {
        PeopleFact::AccountAdded { account, by } => ("account_added", named(&account.name), by),
        PeopleFact::AccountChanged { account, by, .. } => ("account_changed", named(account), by),
        PeopleFact::PasswordSet { account, by, .. } => ("password_set", named(account), by),
        PeopleFact::AccountRemoved { account, by } => ("account_removed", named(account), by),
        PeopleFact::ApiTokenIssued { account, by, .. } => ("api_token_issued", named(account), by),
        PeopleFact::ApiTokenRevoked { account, by, .. } => ("api_token_revoked", named(account), by),
        PeopleFact::SiteSet { site, by } => ("site_set", named(&site.name), by),
        PeopleFact::SiteRemoved { site, by } => ("site_removed", named(site), by),
        PeopleFact::DockSet { dock, by } => ("dock_set", named(&dock.name), by),
        PeopleFact::DockRemoved { dock, by } => ("dock_removed", named(dock), by),
        PeopleFact::DeviceSet { device, by, .. } => ("device_set", Subject::Device(*device), by),
        PeopleFact::DeviceAssigned { device, by, .. } => ("device_assigned", Subject::Device(*device), by),
        PeopleFact::DeviceReplaced { device, by, .. } => ("device_replaced", Subject::Device(*device), by),
        PeopleFact::EnrolmentRejected { serial, by, .. } => ("enrolment_rejected", Subject::Serial(serial), by),
        PeopleFact::TokenRevoked { token, by } => ("enrolment_token_revoked", Subject::Other(token.to_string()), by),
    };
    (did, about, by.as_str())
}
