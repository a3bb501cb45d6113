//! The JSON API of people and programs, below `/api/v1`.

mod actors;
mod commands;
mod coverage;
mod device;
mod devices;
mod models;
mod profiles;
mod recordings;
mod requests;
mod sessions;
mod upload_tokens;

use actix_web::HttpRequest;
use actix_web::web::{ServiceConfig, get, post, resource};

use super::connection::LocalPeer;
use super::error::only;
pub(crate) use commands::CommandBody;
pub(crate) use coverage::DeviceCoverage;
pub(crate) use device::{Counts, DeviceDetail};
pub(crate) use devices::{ApproveBody, ApproveOf, DeviceRow, IssueBody, Issued, StandingBody, StandingChange};
pub(crate) use profiles::{
    AppliedProfile, ApplyProfileBody, AssignProfileBody, AssignedProfile, ProfileRow, schema_of_settings,
};
pub(crate) use recordings::RecordingRow;
pub(crate) use requests::RequestBody;
pub(crate) use sessions::SessionRow;
pub(crate) use upload_tokens::{IssueUploadTokenBody, IssuedUploadToken, Keyless, RevokeUploadTokenBody};

/// Paths, for the server and for the command line.
pub(crate) mod paths {
    /// Devices, and those that wait to be one.
    pub(crate) const DEVICES: &str = "/api/v1/devices";
    /// One device; `?serial=`.
    pub(crate) const DEVICE: &str = "/api/v1/device";
    /// What happened to a device; `?serial=`.
    pub(crate) const DEVICE_HISTORY: &str = "/api/v1/device-history";
    /// Enrolment tokens.
    pub(crate) const TOKENS: &str = "/api/v1/enrolment-tokens";
    /// Tokens for uploads.
    pub(crate) const UPLOAD_TOKENS: &str = "/api/v1/upload-tokens";
    /// Making one of them worthless.
    pub(crate) const UPLOAD_TOKEN_REVOCATIONS: &str = "/api/v1/upload-token-revocations";
    /// Completing a set-up.
    pub(crate) const APPROVALS: &str = "/api/v1/approvals";
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
    /// Devices that are connected.
    pub(crate) const SESSIONS: &str = "/api/v1/sessions";
    /// When a device was connected; `?serial=`.
    pub(crate) const DEVICE_SESSIONS: &str = "/api/v1/device-sessions";
    /// What a device recorded, and where that is; `?serial=`, `&day=`.
    pub(crate) const COVERAGE: &str = "/api/v1/coverage";
}

/// All of it.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource(paths::ACTORS).route(get().to(actors::list)).default_service(only("GET")))
        .service(resource(paths::DEVICES).route(get().to(devices::list)).default_service(only("GET")))
        .service(resource(paths::DEVICE).route(get().to(device::show)).default_service(only("GET")))
        .service(resource(paths::DEVICE_HISTORY).route(get().to(device::history)).default_service(only("GET")))
        .service(resource(paths::TOKENS).route(post().to(devices::issue)).default_service(only("POST")))
        .service(resource(paths::UPLOAD_TOKENS).route(post().to(upload_tokens::issue)).default_service(only("POST")))
        .service(
            resource(paths::UPLOAD_TOKEN_REVOCATIONS)
                .route(post().to(upload_tokens::revoke))
                .default_service(only("POST")),
        )
        .service(resource(paths::APPROVALS).route(post().to(devices::approve)).default_service(only("POST")))
        .service(resource(paths::STANDINGS).route(post().to(devices::change)).default_service(only("POST")))
        .service(resource(paths::COMMANDS).route(post().to(commands::give)).default_service(only("POST")))
        .service(
            resource(paths::REQUESTS)
                .route(get().to(requests::list))
                .route(post().to(requests::add))
                .default_service(only("GET, POST")),
        )
        .service(
            resource(format!("{}/{{id}}", paths::REQUESTS))
                .route(get().to(requests::show))
                .default_service(only("GET")),
        )
        .service(
            resource(format!("{}/{{id}}/cancel", paths::REQUESTS))
                .route(post().to(requests::cancel))
                .default_service(only("POST")),
        )
        .service(resource(paths::RECORDINGS).route(get().to(recordings::list)).default_service(only("GET")))
        .service(resource(paths::MODELS).route(get().to(models::list)).default_service(only("GET")))
        .service(
            resource(paths::PROFILES)
                .route(get().to(profiles::list))
                .route(post().to(profiles::apply))
                .default_service(only("GET, POST")),
        )
        .service(resource(paths::PROFILE_SCHEMA).route(get().to(profiles::schema)).default_service(only("GET")))
        .service(resource(paths::PROFILE).route(get().to(profiles::show)).default_service(only("GET")))
        .service(resource(paths::PROFILE_VERSIONS).route(get().to(profiles::versions)).default_service(only("GET")))
        .service(resource(paths::PROFILE_ASSIGNMENTS).route(post().to(profiles::assign)).default_service(only("POST")))
        .service(resource(paths::SESSIONS).route(get().to(sessions::list)).default_service(only("GET")))
        .service(resource(paths::DEVICE_SESSIONS).route(get().to(sessions::of_device)).default_service(only("GET")))
        .service(resource(paths::COVERAGE).route(get().to(coverage::show)).default_service(only("GET")));
}

/// Who did it, for the audit log.
fn by(request: &HttpRequest) -> String {
    let uid = request.conn_data::<LocalPeer>().and_then(|peer| peer.uid);
    uid.map_or_else(|| "local".to_owned(), |uid| format!("uid {uid}"))
}
