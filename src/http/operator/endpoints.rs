//! Every call of the API in one table: method, path, what it needs, and what answers. There is no other way to an
//! operator's handler, so none can be reached by whoever may not.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::error::QueryPayloadError;
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{QueryConfig, ServiceConfig, method, resource};
use actix_web::{HttpRequest, Route};

use super::super::error::{Failure, only};
use super::access::{Needs, check};
use super::{
    accounts, actors, approvals, audit, commands, coverage, custody, device, devices, digests, enrolment_tokens,
    health, logins, mails, models, openapi, paths, profiles, recordings, requests, reversions, sessions, sites,
    upload_tokens, waiting,
};

/// One call.
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    needs: Needs,
    answer: fn(Route) -> Route,
}

fn call(method: &Method, path: &'static str, needs: Needs, answer: fn(Route) -> Route) -> Endpoint {
    Endpoint { method: method.clone(), path, needs, answer }
}

/// All of them; the calls of one path stand together.
pub(super) fn all() -> Vec<Endpoint> {
    use Needs::{Administering, Auditing, Devices, Nothing, Requesting, Seeing};
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        call(&get, paths::OPENAPI, Seeing, |route| route.to(openapi::document)),
        call(&get, paths::WHOAMI, Seeing, |route| route.to(logins::whoami)),
        call(&post, paths::LOGINS, Nothing, |route| route.to(logins::log_in)),
        call(&delete, paths::LOGINS, Seeing, |route| route.to(logins::log_out)),
        call(&get, paths::ACCOUNTS, Auditing, |route| route.to(accounts::list)),
        call(&post, paths::ACCOUNTS, Administering, |route| route.to(accounts::add)),
        call(&patch, paths::ACCOUNT, Administering, |route| route.to(accounts::change)),
        call(&delete, paths::ACCOUNT, Administering, |route| route.to(accounts::remove)),
        call(&post, paths::PASSWORDS, Administering, |route| route.to(accounts::set_password)),
        call(&post, paths::API_TOKENS, Administering, |route| route.to(accounts::issue_token)),
        call(&delete, paths::API_TOKEN, Administering, |route| route.to(accounts::revoke_token)),
        call(&get, paths::SITES, Seeing, |route| route.to(sites::list)),
        call(&post, paths::SITES, Administering, |route| route.to(sites::set)),
        call(&delete, paths::SITE, Administering, |route| route.to(sites::remove)),
        call(&get, paths::DOCKS, Seeing, |route| route.to(sites::list_docks)),
        call(&post, paths::DOCKS, Devices, |route| route.to(sites::set_dock)),
        call(&delete, paths::DOCK, Devices, |route| route.to(sites::remove_dock)),
        call(&get, paths::DEVICES, Seeing, |route| route.to(devices::list)),
        call(&get, paths::DEVICE, Seeing, |route| route.to(device::show)),
        call(&patch, paths::DEVICE, Devices, |route| route.to(approvals::set)),
        call(&get, paths::DEVICE_HISTORY, Seeing, |route| route.to(device::history)),
        call(&get, paths::TOKENS, Devices, |route| route.to(enrolment_tokens::list)),
        call(&post, paths::TOKENS, Devices, |route| route.to(enrolment_tokens::issue)),
        call(&delete, paths::TOKEN, Devices, |route| route.to(enrolment_tokens::revoke)),
        call(&post, paths::CODES, Devices, |route| route.to(enrolment_tokens::issue_code)),
        call(&get, paths::WAITING, Devices, |route| route.to(waiting::stream)),
        call(&post, paths::UPLOAD_TOKENS, Devices, |route| route.to(upload_tokens::issue)),
        call(&post, paths::UPLOAD_TOKEN_REVOCATIONS, Devices, |route| route.to(upload_tokens::revoke)),
        call(&post, paths::APPROVALS, Devices, |route| route.to(approvals::approve)),
        call(&post, paths::REJECTIONS, Devices, |route| route.to(approvals::reject)),
        call(&post, paths::ASSIGNMENTS, Devices, |route| route.to(approvals::assign)),
        call(&post, paths::STANDINGS, Devices, |route| route.to(approvals::change)),
        call(&post, paths::COMMANDS, Devices, |route| route.to(commands::give)),
        call(&get, paths::MODELS, Seeing, |route| route.to(models::list)),
        call(&get, paths::PROFILES, Seeing, |route| route.to(profiles::list)),
        call(&post, paths::PROFILES, Devices, |route| route.to(profiles::apply)),
        call(&get, paths::PROFILE_SCHEMA, Seeing, |route| route.to(profiles::schema)),
        call(&get, paths::PROFILE, Seeing, |route| route.to(profiles::show)),
        call(&get, paths::PROFILE_VERSIONS, Seeing, |route| route.to(profiles::versions)),
        call(&post, paths::PROFILE_ASSIGNMENTS, Devices, |route| route.to(profiles::assign)),
        call(&post, paths::PROFILE_GROUP_ASSIGNMENTS, Devices, |route| route.to(profiles::assign_group)),
        call(&post, paths::PROFILE_REVERSIONS, Devices, |route| route.to(reversions::revert)),
        call(&get, paths::REQUESTS, Seeing, |route| route.to(requests::list)),
        call(&post, paths::REQUESTS, Requesting, |route| route.to(requests::add)),
        call(&get, paths::REQUEST, Seeing, |route| route.to(requests::show)),
        call(&post, paths::REQUEST_CANCEL, Requesting, |route| route.to(requests::cancel)),
        call(&get, paths::SESSIONS, Seeing, |route| route.to(sessions::list)),
        call(&get, paths::DEVICE_SESSIONS, Seeing, |route| route.to(sessions::of_device)),
        call(&get, paths::DIGEST, Seeing, |route| route.to(digests::show)),
        call(&post, paths::DIGEST, Devices, |route| route.to(digests::send)),
        call(&get, paths::COVERAGE, Seeing, |route| route.to(coverage::show)),
        call(&get, paths::HEALTH, Seeing, |route| route.to(health::list)),
        call(&get, paths::HEALTH_ISSUE, Seeing, |route| route.to(health::show)),
        call(&get, paths::HEALTH_HISTORY, Seeing, |route| route.to(health::history)),
        call(&post, paths::HEALTH_SILENCES, Devices, |route| route.to(health::silence)),
        call(&post, paths::HEALTH_IGNORES, Devices, |route| route.to(health::ignore)),
        call(&get, paths::ACTORS, Seeing, |route| route.to(actors::list)),
        call(&get, paths::RECORDINGS, Seeing, |route| route.to(recordings::list)),
        call(&get, paths::MAILS, Auditing, |route| route.to(mails::list)),
        call(&get, paths::MAIL, Auditing, |route| route.to(mails::show)),
        call(&post, paths::MAIL_TESTS, Administering, |route| route.to(mails::test)),
        call(&post, paths::MAIL_RETRIES, Administering, |route| route.to(mails::retry)),
        call(&get, paths::CUSTODY, Auditing, |route| route.to(custody::show)),
        call(&get, paths::CHECKPOINTS, Auditing, |route| route.to(custody::checkpoints)),
        call(&post, paths::CHECKPOINTS, Administering, |route| route.to(custody::checkpoint)),
        call(&get, paths::RECONCILIATION, Seeing, |route| route.to(custody::reconciliation)),
        call(&post, paths::RECONCILIATION, Administering, |route| route.to(custody::reconcile)),
        call(&post, paths::EXPORTS, Administering, |route| route.to(custody::export)),
        call(&post, paths::EXPORT_SIGNATURE, Administering, |route| route.to(custody::sign)),
        call(&get, paths::AUDIT, Auditing, |route| route.to(audit::list)),
    ]
}

/// Makes them answer.
pub(crate) fn routes(config: &mut ServiceConfig) {
    // actix's own refusal is no problem document.
    let refused = |error: QueryPayloadError, _: &HttpRequest| Failure::malformed(error.to_string()).into();
    config.app_data(QueryConfig::default().error_handler(refused));
    for calls in all().chunk_by(|one, other| one.path == other.path) {
        let methods: Vec<&str> = calls.iter().map(|call| call.method.as_str()).collect();
        let path = calls.iter().map(|call| call.path).next().unwrap_or_default();
        let empty = resource(path).default_service(only(methods.join(", ")));
        config.service(calls.iter().fold(empty, |resource, call| {
            let needs = call.needs;
            let route = (call.answer)(method(call.method.clone()));
            resource.route(
                route.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| check(needs, request, next))),
            )
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_calls_of_a_path_stand_together_and_each_once() {
        let all = all();
        let paths = all.chunk_by(|one, other| one.path == other.path).count();
        assert_eq!(paths, all.iter().map(|call| call.path).collect::<BTreeSet<_>>().len());
        let calls: BTreeSet<_> = all.iter().map(|call| (call.method.as_str(), call.path)).collect();
        assert_eq!(calls.len(), all.len());
    }
}
