//! What enrolment is asked.

use std::convert::Infallible;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use longshore_model::{Device, EnrolToken, Enrolment as Record, EnrolmentId, TokenId};
use tokio::sync::watch;

use super::{
    Approval, ApproveRefused, AssignRefused, Change, ChangeRefused, Claim, ClaimRefused, DecisionError,
    IssuedUploadToken, KeylessDevice, NewToken, TokenUnknown, UploadTokenRefused,
};

/// Make a token for uploads in the name of the device with this serial.
#[derive(Message)]
#[rtype(result = "Result<IssuedUploadToken, DecisionError<UploadTokenRefused>>")]
pub(crate) struct IssueUploadToken {
    pub(crate) serial: String,
    /// Where the device has to be made known first.
    pub(crate) keyless: Option<KeylessDevice>,
    pub(crate) by: String,
}

/// Make a token for uploads worthless.
#[derive(Message)]
#[rtype(result = "Result<Device, DecisionError<UploadTokenRefused>>")]
pub(crate) struct RevokeUploadToken {
    pub(crate) serial: String,
    pub(crate) token: TokenId,
    pub(crate) by: String,
}

/// Make an enrolment token.
#[derive(Message)]
#[rtype(result = "Result<EnrolToken, DecisionError<Infallible>>")]
pub(crate) struct Issue {
    pub(crate) token: NewToken,
    pub(crate) by: String,
}

/// Make an enrolment token worthless.
#[derive(Message)]
#[rtype(result = "Result<EnrolToken, DecisionError<TokenUnknown>>")]
pub(crate) struct Revoke {
    pub(crate) token: TokenId,
    pub(crate) by: String,
}

/// Turn a device that waits away, with all that show its code.
#[derive(Message)]
#[rtype(result = "Result<Vec<Record>, DecisionError<ApproveRefused>>")]
pub(crate) struct Reject {
    pub(crate) serial: String,
    pub(crate) code: Option<String>,
    pub(crate) by: String,
}

/// Give the device with this serial to somebody else.
#[derive(Message)]
#[rtype(result = "Result<Device, DecisionError<AssignRefused>>")]
pub(crate) struct Assign {
    pub(crate) serial: String,
    pub(crate) assignee: String,
    /// From when on; now, if nobody says.
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) by: String,
}

/// A device asks to be known. Asking again with the same token and key finds the same enrolment.
#[derive(Message)]
#[rtype(result = "Result<Record, DecisionError<ClaimRefused>>")]
pub(crate) struct Request(pub(crate) Claim);

/// Complete the set-up of a device.
#[derive(Message)]
#[rtype(result = "Result<Device, DecisionError<ApproveRefused>>")]
pub(crate) struct Approve(pub(crate) Approval);

/// Suspend, activate or retire the device with this serial.
#[derive(Message)]
#[rtype(result = "Result<Device, DecisionError<ChangeRefused>>")]
pub(crate) struct ChangeStanding {
    pub(crate) serial: String,
    pub(crate) change: Change,
    pub(crate) by: String,
}

/// Be told when this enrolment changes.
#[derive(Message)]
#[rtype(result = "Option<watch::Receiver<()>>")]
pub(crate) struct Watch(pub(crate) EnrolmentId);
