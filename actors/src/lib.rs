//! The ingestion engine: typed messages and actors. It knows the store and nothing of HTTP.
//!
//! Everything outside talks to [`Engine`]; the actors behind it stay inside.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("fail-points are for tests and have no place in a release build");

mod confirmations;
mod custody;
mod decision;
mod deletions;
mod digest;
mod engine;
mod enrolment;
mod expiry;
mod health;
mod kit;
mod mailer;
mod organisation;
mod presence;
mod profiles;
mod reports;
mod requests;
mod sessions;
mod storage;
mod tree;
mod upload;
mod webhooks;

pub use custody::{CustodyParts, ExportRefused, ReconcileRefused, Selection};
pub use decision::DecisionError;
pub use digest::{Composed, Daily, DigestRefused, DigestSetting, DigestSettings, NotDaily, Preview, SentNow};
pub use engine::{Credential, Engine, EngineError, Held, IssuedApiToken, JoinError, Parts, SignRefused};
pub use enrolment::{
    Approval, ApprovalOf, ApproveRefused, AssignRefused, Change, ChangeRefused, Claim, ClaimRefused, IssuedUploadToken,
    KeylessDevice, NewToken, TokenUnknown, UploadTokenRefused,
};
pub use health::{
    DeviceHealth, EventTaken, HealthState, HealthViews, IssueDevice, IssueView, MuteRefused, Notice, Notices,
};
pub use kit::{ActorState, ActorStatus, LastError};
pub use mailer::{
    BadAddress, MailAddress, MailRefused, MailSettings, MailTls, Outbox, OutgoingMail, QueuedMail, Sender,
};
pub use organisation::{AccountChange, AccountRefused, DeviceChange, NewAccount, PlaceRefused, SiteChange};
pub use presence::{Call, Presence, Received};
pub use profiles::{Applied, GroupAssigned, Models, NewProfile, ProfileAssigned, ProfileRefused};
pub use reports::{CommandRefused, Said};
pub use requests::{
    AddRefused, Added, CancelRefused, Coverage, Draft, RequestState, RequestView, Standing, TargetView,
};
pub use sessions::{
    Asked, AttachError, Brings, CreateError, Created, Desires, Limits, OfferError, RepairError, TerminateError, Verdict,
};
pub use storage::{CommitEvery, Floor, StorageError};
pub use upload::{Attachment, CompleteError, EndError, Ended, Evicted, Wants, WriteError};
pub use webhooks::{Called, Courier, WebhookCall, WebhookSettings};
