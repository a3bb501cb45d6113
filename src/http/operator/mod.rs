//! The JSON API of people and programs, below `/api/v1`: on the port with an API token, and on the local socket.

mod access;
mod accounts;
mod actors;
mod approvals;
mod audit;
mod commands;
mod coverage;
mod custody;
mod device;
mod devices;
mod digests;
mod endpoints;
mod enrolment_tokens;
mod guesses;
mod health;
mod logins;
mod mails;
mod models;
mod openapi;
mod places;
mod profiles;
mod qr;
mod recordings;
mod requests;
mod reversions;
mod sessions;
mod sites;
mod upload_tokens;
mod waiting;

use access::by;
pub(crate) use accounts::{
    AccountRow, ChangeAccountBody, IssueApiTokenBody, IssuedApiToken, NewAccountBody, PasswordBody,
};
pub(crate) use approvals::{ApproveBody, AssignBody, DeviceBody, RejectBody, StandingBody, StandingChange};
pub(crate) use commands::CommandBody;
pub(crate) use coverage::DeviceCoverage;
pub(crate) use custody::{CustodyRecord, ExportBody, ReconciliationState, SignExportBody, SignedExport};
pub(crate) use device::{Counts, DeviceDetail};
pub(crate) use devices::DeviceRow;
pub(in crate::http) use devices::name;
pub(crate) use digests::{DigestText, SendDigestBody, SentDigest};
pub(crate) use endpoints::routes;
pub(crate) use enrolment_tokens::{IssueBody, IssueCodeBody, Issued, IssuedCode, TokenRow};
pub(crate) use guesses::Guesses;
pub(crate) use health::{ChangeRow, DeviceHealthRow, HealthOverview, HistoryRow, IgnoreBody, IssueDetail, SilenceBody};
pub(crate) use logins::{LoginBody, WhoAmI};
pub(crate) use mails::{MailRow, OutboxBody, RetriedMails, RetryMailBody, TestMailBody};
pub(crate) use profiles::{
    AppliedProfile, ApplyProfileBody, AssignGroupProfileBody, AssignProfileBody, AssignedGroupProfile, AssignedProfile,
    ProfileRow, schema_of_settings,
};
pub(crate) use qr::terminal;
pub(crate) use recordings::RecordingRow;
pub(crate) use requests::RequestBody;
pub(crate) use reversions::RevertProfileBody;
pub(crate) use sessions::{PlacedSession, SessionRow};
pub(crate) use sites::SiteBody;
pub(crate) use upload_tokens::{IssueUploadTokenBody, IssuedUploadToken, Keyless, RevokeUploadTokenBody};
pub(crate) use waiting::places as streams;

/// Paths, for the server and for the command line.
pub(crate) mod paths {
    /// Who the token belongs to, and which version answers.
    pub(crate) const WHOAMI: &str = "/api/v1/whoami";
    /// A token for a name and a password; giving the token back.
    pub(crate) const LOGINS: &str = "/api/v1/logins";
    /// Accounts.
    pub(crate) const ACCOUNTS: &str = "/api/v1/accounts";
    /// One account; `?name=`.
    pub(crate) const ACCOUNT: &str = "/api/v1/account";
    /// Setting a password.
    pub(crate) const PASSWORDS: &str = "/api/v1/passwords";
    /// Tokens for this API.
    pub(crate) const API_TOKENS: &str = "/api/v1/api-tokens";
    /// One of them; `?account=&id=`.
    pub(crate) const API_TOKEN: &str = "/api/v1/api-token";
    /// Sites.
    pub(crate) const SITES: &str = "/api/v1/sites";
    /// One site; `?name=`.
    pub(crate) const SITE: &str = "/api/v1/site";
    /// Docks.
    pub(crate) const DOCKS: &str = "/api/v1/docks";
    /// One dock; `?name=`.
    pub(crate) const DOCK: &str = "/api/v1/dock";
    /// Devices, and those that wait to be one.
    pub(crate) const DEVICES: &str = "/api/v1/devices";
    /// One device; `?serial=`.
    pub(crate) const DEVICE: &str = "/api/v1/device";
    /// What happened to a device; `?serial=`.
    pub(crate) const DEVICE_HISTORY: &str = "/api/v1/device-history";
    /// Enrolment tokens.
    pub(crate) const TOKENS: &str = "/api/v1/enrolment-tokens";
    /// One of them; `?id=`.
    pub(crate) const TOKEN: &str = "/api/v1/enrolment-token";
    /// Codes that are typed instead of scanned.
    pub(crate) const CODES: &str = "/api/v1/enrolment-codes";
    /// The devices that wait, as a stream.
    pub(crate) const WAITING: &str = "/api/v1/enrolments/events";
    /// Tokens for uploads.
    pub(crate) const UPLOAD_TOKENS: &str = "/api/v1/upload-tokens";
    /// Making one of them worthless.
    pub(crate) const UPLOAD_TOKEN_REVOCATIONS: &str = "/api/v1/upload-token-revocations";
    /// Completing a set-up.
    pub(crate) const APPROVALS: &str = "/api/v1/approvals";
    /// Turning a device away.
    pub(crate) const REJECTIONS: &str = "/api/v1/rejections";
    /// Giving a device to somebody else.
    pub(crate) const ASSIGNMENTS: &str = "/api/v1/assignments";
    /// Suspending, activating and retiring a device.
    pub(crate) const STANDINGS: &str = "/api/v1/standings";
    /// How the server's parts are.
    pub(crate) const ACTORS: &str = "/api/v1/actors";
    /// What a device is to do once.
    pub(crate) const COMMANDS: &str = "/api/v1/commands";
    /// Footage that people ask for; below it, one request by its id.
    pub(crate) const REQUESTS: &str = "/api/v1/requests";
    /// What is stored.
    pub(crate) const RECORDINGS: &str = "/api/v1/recordings";
    /// One of them.
    pub(crate) const REQUEST: &str = "/api/v1/requests/{id}";
    /// Giving one up.
    pub(crate) const REQUEST_CANCEL: &str = "/api/v1/requests/{id}/cancel";
    /// What is known of models of devices.
    pub(crate) const MODELS: &str = "/api/v1/models";
    /// Config profiles.
    pub(crate) const PROFILES: &str = "/api/v1/profiles";
    /// The JSON Schema of what they set.
    pub(crate) const PROFILE_SCHEMA: &str = "/api/v1/profiles/schema";
    /// One of them; `?name=`, `&version=`.
    pub(crate) const PROFILE: &str = "/api/v1/profile";
    /// All its versions; `?name=`.
    pub(crate) const PROFILE_VERSIONS: &str = "/api/v1/profile-versions";
    /// Giving a device another one.
    pub(crate) const PROFILE_ASSIGNMENTS: &str = "/api/v1/profile-assignments";
    /// Letting a label give one.
    pub(crate) const PROFILE_GROUP_ASSIGNMENTS: &str = "/api/v1/profile-group-assignments";
    /// Going back to an earlier version of one.
    pub(crate) const PROFILE_REVERSIONS: &str = "/api/v1/profile-reversions";
    /// Devices that are connected.
    pub(crate) const SESSIONS: &str = "/api/v1/sessions";
    /// A daily mail: what it says; `?kind=&site=&date=`; sending it.
    pub(crate) const DIGEST: &str = "/api/v1/digest";
    /// When a device was connected; `?serial=`.
    pub(crate) const DEVICE_SESSIONS: &str = "/api/v1/device-sessions";
    /// What a device recorded, and where that is; `?serial=`, `&day=`.
    pub(crate) const COVERAGE: &str = "/api/v1/coverage";
    /// The outbox; below it, one message by its id.
    pub(crate) const MAILS: &str = "/api/v1/mails";
    /// One message.
    pub(crate) const MAIL: &str = "/api/v1/mails/{id}";
    /// Sending one to find out whether mail arrives.
    pub(crate) const MAIL_TESTS: &str = "/api/v1/mail-tests";
    /// Trying now what waits.
    pub(crate) const MAIL_RETRIES: &str = "/api/v1/mail-retries";
    /// What is wrong, and how each device is; `?device=&all=`.
    pub(crate) const HEALTH: &str = "/api/v1/health";
    /// One issue; `?number=`.
    pub(crate) const HEALTH_ISSUE: &str = "/api/v1/health-issue";
    /// What happened to issues; `?device=&count=`.
    pub(crate) const HEALTH_HISTORY: &str = "/api/v1/health-history";
    /// Letting nobody hear of an issue for a while.
    pub(crate) const HEALTH_SILENCES: &str = "/api/v1/health-silences";
    /// Letting nobody hear of an issue any more.
    pub(crate) const HEALTH_IGNORES: &str = "/api/v1/health-ignores";
    /// What became of a recording; `?rid=`.
    pub(crate) const CUSTODY: &str = "/api/v1/custody";
    /// Signed places of the journal; `?since=`.
    pub(crate) const CHECKPOINTS: &str = "/api/v1/checkpoints";
    /// What the server found when it looked at its store.
    pub(crate) const RECONCILIATION: &str = "/api/v1/reconciliation";
    /// Giving recordings out.
    pub(crate) const EXPORTS: &str = "/api/v1/exports";
    /// Signing what was given out.
    pub(crate) const EXPORT_SIGNATURE: &str = "/api/v1/exports/{id}/signature";
    /// What people did; `?before=&count=`.
    pub(crate) const AUDIT: &str = "/api/v1/audit";
    /// This API, for programs (OpenAPI 3.1).
    pub(crate) const OPENAPI: &str = "/api/v1/openapi.json";
}
