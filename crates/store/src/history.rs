//! What happened to a device, for people: the facts about it, and of its recordings only what somebody has to look into.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use longshore_model::{Assignment, CommandOp, Device, DeviceId, ProfileName, RecordingId, Sha256, TokenId};
use serde::{Deserialize, Serialize};

use crate::facts::{Fact, PeopleFact, ProfileFact, ReportFact, StorageFact};

/// One thing that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Happened {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// Who did it; nobody, if it was the device itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// An enrolment text was made for it.
    TokenIssued {
        /// No use after this.
        expires: DateTime<Utc>,
    },
    /// It asked to be known.
    Asked {
        /// The code that it showed.
        code: String,
    },
    /// Its set-up was completed.
    Approved {
        /// To whom it belongs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<String>,
    },
    /// It called for the first time with its identity.
    FirstCall,
    /// It was suspended.
    Suspended,
    /// It was put back in service.
    Reinstated,
    /// It was taken out of service for good.
    Retired,
    /// It was made known without a key, for uploads with tokens.
    Added {
        /// To whom it belongs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<String>,
    },
    /// A token for uploads was made.
    UploadTokenIssued {
        /// Which.
        token: TokenId,
    },
    /// A token for uploads was made worthless.
    UploadTokenRevoked {
        /// Which.
        token: TokenId,
    },
    /// It offered another content under the id of a recording that is stored.
    Conflicted {
        /// Which recording.
        rid: RecordingId,
    },
    /// A recording of it came right, and the server's storage altered it.
    Altered {
        /// Which recording.
        rid: RecordingId,
    },
    /// It got another config profile.
    ProfileAssigned {
        /// Which.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        profile: ProfileName,
    },
    /// Its request to be known was turned away.
    Rejected,
    /// It was given to somebody else.
    Assigned {
        /// To whom.
        assignee: String,
        /// From when on.
        from: DateTime<Utc>,
    },
    /// It got another home site, or other labels.
    Set {
        /// Its home site.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        site: Option<String>,
        /// Its labels.
        groups: BTreeSet<String>,
    },
    /// Another device took its place.
    Replaced {
        /// Serial of that one.
        with: String,
    },
    /// Its new key was confirmed.
    Reenrolled {
        /// SHA-256 of that key.
        key: Sha256,
    },
    /// It was told to do something.
    CommandGiven {
        /// What.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        op: CommandOp,
    },
    /// It did, or cannot do, what it was told to.
    CommandEnded {
        /// What it was.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        op: CommandOp,
        /// Whether it did it.
        done: bool,
        /// What it has to say about that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}

/// Whom or what a fact is about.
pub(crate) enum Subject<'a> {
    /// The device with this serial, which need not exist yet.
    Serial(&'a str),
    /// This device.
    Device(DeviceId),
    /// No device, but an account, a place or a token of this name.
    Other(String),
}

/// The line that `fact` is in the history of a device, if it is one.
pub(crate) fn line(fact: &Fact) -> Option<(Subject<'_>, What, Option<&str>)> {
    let line = match fact {
        Fact::TokenIssued { token, by } => {
            // A text for several devices is in the history of none.
            let serial = token.serial.as_deref()?;
            (Subject::Serial(serial), What::TokenIssued { expires: token.expires }, Some(by.as_str()))
        }
        Fact::EnrolmentRequested { enrolment } => {
            (Subject::Serial(&enrolment.serial), What::Asked { code: enrolment.code.clone() }, None)
        }
        Fact::DeviceApproved { device, by, .. } => {
            (Subject::Serial(&device.serial), What::Approved { assignee: assignee(device) }, Some(by.as_str()))
        }
        Fact::DeviceAdded { device, by } => {
            (Subject::Serial(&device.serial), What::Added { assignee: assignee(device) }, Some(by.as_str()))
        }
        Fact::UploadTokenIssued { device, token, by } => {
            (Subject::Device(*device), What::UploadTokenIssued { token: token.id }, Some(by.as_str()))
        }
        Fact::UploadTokenRevoked { device, token, by } => {
            (Subject::Device(*device), What::UploadTokenRevoked { token: *token }, Some(by.as_str()))
        }
        Fact::DeviceActivated { device } => (Subject::Device(*device), What::FirstCall, None),
        Fact::DeviceSuspended { device, by } => (Subject::Device(*device), What::Suspended, Some(by.as_str())),
        Fact::DeviceReinstated { device, by } => (Subject::Device(*device), What::Reinstated, Some(by.as_str())),
        Fact::DeviceRetired { device, by } => (Subject::Device(*device), What::Retired, Some(by.as_str())),
        Fact::DeviceReenrolled { device, key, by, .. } => {
            (Subject::Device(*device), What::Reenrolled { key: *key }, Some(by.as_str()))
        }
        Fact::Conflicted { device, rid, .. } => (Subject::Device(*device), What::Conflicted { rid: *rid }, None),
        Fact::Storage(StorageFact::Altered { device, rid, .. }) => {
            (Subject::Device(*device), What::Altered { rid: *rid }, None)
        }
        Fact::Report(ReportFact::CommandGiven { device, command, by }) => {
            (Subject::Device(*device), What::CommandGiven { op: command.op }, Some(by.as_str()))
        }
        Fact::Report(ReportFact::CommandEnded { device, op, done, text, .. }) => {
            (Subject::Device(*device), What::CommandEnded { op: *op, done: *done, text: text.clone() }, None)
        }
        Fact::Profile(ProfileFact::Assigned { device, profile, by }) => {
            (Subject::Device(*device), What::ProfileAssigned { profile: profile.clone() }, Some(by.as_str()))
        }
        Fact::People(fact) => return of_people(fact),
        Fact::EnrolmentSuperseded { .. }
        | Fact::Declared { .. }
        | Fact::Expired { .. }
        | Fact::Mismatched { .. }
        | Fact::Stored { .. }
        | Fact::Deleted { .. }
        | Fact::Request(_)
        | Fact::Report(ReportFact::ClockSampled { .. } | ReportFact::Reported { .. })
        | Fact::Profile(ProfileFact::Applied { .. } | ProfileFact::GroupAssigned { .. })
        | Fact::Session(_)
        | Fact::Outbox(_)
        | Fact::Health(_)
        | Fact::Digest(_)
        | Fact::Custody(_) => return None,
    };
    Some(line)
}

fn of_people(fact: &PeopleFact) -> Option<(Subject<'_>, What, Option<&str>)> {
    let (subject, what, by) = match fact {
        PeopleFact::EnrolmentRejected { serial, by, .. } => (Subject::Serial(serial), What::Rejected, by),
        PeopleFact::DeviceAssigned { device, assignment, by } => {
            let Assignment { assignee, from } = assignment.clone();
            (Subject::Device(*device), What::Assigned { assignee, from }, by)
        }
        PeopleFact::DeviceSet { device, site, groups, by } => {
            (Subject::Device(*device), What::Set { site: site.clone(), groups: groups.clone() }, by)
        }
        PeopleFact::DeviceReplaced { device, with, by } => {
            (Subject::Device(*device), What::Replaced { with: with.clone() }, by)
        }
        _ => return None,
    };
    Some((subject, what, Some(by.as_str())))
}

fn assignee(device: &Device) -> Option<String> {
    device.assignments.last().map(|last| last.assignee.clone())
}
