//! The API as programs read it: OpenAPI 3.1.

use actix_web::web::Json;
use longshore_model::Settings;
use longshore_protocol::headers::PROBLEM_JSON;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{
    accounts, actors, approvals, audit, commands, coverage, custody, device, devices, digests, enrolment_tokens,
    health, logins, mails, models, profiles, recordings, requests, reversions, sessions, sites, upload_tokens, waiting,
};

/// Name of the scheme, and of the schema of every refusal.
const TOKEN: &str = "api_token";
const PROBLEM: &str = "Problem";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Longshore",
        description = "The API of people and programs. Every call needs an API token, but for the one that gets one; \
                       every refusal is a problem document (RFC 9457). Cameras speak another protocol, docs/PROTOCOL.md.",
    ),
    paths(
        document,
        logins::whoami, logins::log_in, logins::log_out,
        accounts::list, accounts::add, accounts::change, accounts::remove, accounts::set_password,
        accounts::issue_token, accounts::revoke_token,
        sites::list, sites::set, sites::remove, sites::list_docks, sites::set_dock, sites::remove_dock,
        devices::list, device::show, device::history,
        enrolment_tokens::list, enrolment_tokens::issue, enrolment_tokens::revoke, enrolment_tokens::issue_code,
        waiting::stream,
        upload_tokens::issue, upload_tokens::revoke,
        approvals::approve, approvals::reject, approvals::assign, approvals::set, approvals::change,
        commands::give, models::list,
        profiles::list, profiles::apply, profiles::schema, profiles::show, profiles::versions, profiles::assign,
        profiles::assign_group,
        reversions::revert,
        requests::list, requests::add, requests::show, requests::cancel,
        digests::show, digests::send,
        sessions::list, sessions::of_device, coverage::show,
        health::list, health::show, health::history, health::silence, health::ignore,
        actors::list, recordings::list, audit::list,
        mails::list, mails::show, mails::test, mails::retry,
        custody::show, custody::checkpoints, custody::checkpoint, custody::reconciliation, custody::reconcile,
        custody::export, custody::sign,
    ),
    security(("api_token" = [])),
    modifiers(&Common),
)]
struct Api;

/// What holds for every call.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut Document) {
        let components = api.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.security_schemes.insert(TOKEN.to_owned(), SecurityScheme::Http(bearer));
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let problem = ObjectBuilder::new()
            .property("type", text().description(Some("what kind of problem it is; stays the same")))
            .property("title", text().description(Some("the kind, in plain words")))
            .property("status", ObjectBuilder::new().schema_type(Type::Integer))
            .property("detail", text().description(Some("what is wrong, and what to do next")))
            .required("type")
            .required("title")
            .required("status");
        components.schemas.insert(PROBLEM.to_owned(), problem.into());
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        let refused = ResponseBuilder::new().description("a refusal").content(PROBLEM_JSON, content).build();
        for item in api.paths.paths.values_mut() {
            let calls = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for call in calls.into_iter().flatten() {
                call.responses.responses.insert("default".to_owned(), refused.clone().into());
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document() -> Json<Value> {
    Json(written())
}

/// With what a profile sets in the words that `/api/v1/profiles/schema` has for it.
fn written() -> Value {
    // It cannot fail: there are only strings and maps with string keys in it.
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    let whole = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    if let Some(schema) = document.pointer_mut("/components/schemas/Settings") {
        *schema = whole.into_generator().into_root_schema_for::<Settings>().to_value();
    }
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::endpoints;
    use super::*;

    #[test]
    fn every_call_is_told_and_no_other() {
        let document = written();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let paths = document["paths"].as_object().unwrap().iter();
        let told: BTreeSet<(String, String)> = paths
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served = endpoints::all().into_iter().map(|call| (call.method.to_string(), call.path.to_owned()));
        assert_eq!(told, served.collect());
    }

    #[test]
    fn every_schema_that_is_named_is_there_and_every_call_says_what_it_does() {
        let document = written();
        let text = document.to_string();
        let mut named = 0;
        for (at, begin) in text.match_indices("#/components/schemas/") {
            let name = text[at + begin.len()..].split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
            named += 1;
        }
        assert!(named > 30, "{named}");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                assert!(call["summary"].is_string(), "{method} {path}");
                assert!(call["responses"]["default"]["content"].get(PROBLEM_JSON).is_some(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_call_has_the_schema_of_what_it_takes_and_of_what_it_answers() {
        let document = written();
        let schema = |of: &Value| {
            let kinds = of["content"].as_object().into_iter().flat_map(|kinds| kinds.values());
            kinds.map(|kind| &kind["schema"]).any(|schema| schema.as_object().is_some_and(|it| !it.is_empty()))
        };
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                // What is given up is named by the path alone.
                let takes = ["post", "patch"].contains(&method.as_str()) && !path.ends_with("/cancel");
                assert_eq!(schema(&call["requestBody"]), takes, "what {method} {path} takes");
                let answers = call["responses"].as_object().unwrap().iter();
                let good: Vec<_> = answers.filter(|(status, _)| status.starts_with('2')).collect();
                assert!(!good.is_empty(), "{method} {path}");
                for (status, answer) in good {
                    assert_eq!(schema(answer), status != "204", "what {method} {path} answers with {status}");
                }
            }
        }
        assert_eq!(
            document["components"]["schemas"]["Settings"]["properties"]["led"]["description"],
            "What its light does while it records."
        );
        assert!(!document.to_string().contains("$defs"));
    }
}
