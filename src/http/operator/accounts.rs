//! Accounts and their tokens.

use actix_web::web::{self, Data, Json, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::{AccountChange, NewAccount};
use longshore_model::{Account, ApiToken, Role, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::devices::name;
use super::sites::Named;
use super::{by, logins};

/// An account that is to be made. Not `Debug`: it may hold a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccountBody {
    /// What it logs in with; given once, and never again to somebody else.
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<String>,
    pub(crate) role: Role,
    /// Without one, it works by its tokens alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeAccountBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// An empty one: no mail goes there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<String>,
}

/// A new password. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    pub(crate) account: String,
    pub(crate) password: String,
}

/// Asks for a token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueApiTokenBody {
    pub(crate) account: String,
    /// What it is for.
    pub(crate) label: String,
}

/// An account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AccountRow {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<String>,
    pub(crate) role: Role,
    /// Whether it can log in with one.
    pub(crate) has_password: bool,
    pub(crate) tokens: Vec<ApiTokenRow>,
    pub(crate) created_at: DateTime<Utc>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ApiTokenRow {
    pub(crate) id: TokenId,
    pub(crate) label: String,
    pub(crate) issued_at: DateTime<Utc>,
}

/// A token; this is the only time that it is told. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct IssuedApiToken {
    pub(crate) account: String,
    pub(crate) id: TokenId,
    pub(crate) label: String,
    pub(crate) token: String,
}

impl IssuedApiToken {
    pub(super) fn new(account: String, issued: longshore_actors::IssuedApiToken) -> Self {
        let longshore_actors::IssuedApiToken { token, text } = issued;
        Self { account, id: token.id, label: token.label, token: text }
    }
}

impl From<Account> for AccountRow {
    fn from(account: Account) -> Self {
        let Account { name, mail, role, password_hash, tokens, created_at, .. } = account;
        let row = |ApiToken { id, label, issued_at, .. }| ApiTokenRow { id, label, issued_at };
        let tokens = tokens.into_iter().map(row).collect();
        Self { name, mail, role, has_password: password_hash.is_some(), tokens, created_at }
    }
}

/// All accounts.
#[utoipa::path(get, path = "/api/v1/accounts", responses((status = 200, body = [AccountRow])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<AccountRow>>, Failure> {
    let index = server.engine.catalogue().index().clone();
    let accounts = web::block(move || index.accounts()).await??;
    Ok(Json(accounts.into_iter().filter(|account| account.removed_at.is_none()).map(AccountRow::from).collect()))
}

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/accounts", request_body = NewAccountBody,
    responses((status = 201, body = AccountRow)))]
pub(super) async fn add(server: Data<Server>, request: HttpRequest, body: Payload) -> Result<HttpResponse, Failure> {
    let NewAccountBody { name, mail, role, password } = json::read(&request, body).await?;
    let password_hash = match password {
        Some(password) => Some(logins::hash(&server, password).await?),
        None => None,
    };
    let account = server.engine.add_account(NewAccount { name, mail, role, password_hash }, by(&request)).await?;
    Ok(HttpResponse::Created().json(AccountRow::from(account)))
}

/// Changes what an account may do, or where its mail goes.
#[utoipa::path(patch, path = "/api/v1/account", params(Named), request_body = ChangeAccountBody,
    responses((status = 200, body = AccountRow)))]
pub(super) async fn change(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Named>,
    body: Payload,
) -> Result<Json<AccountRow>, Failure> {
    let ChangeAccountBody { role, mail } = json::read(&request, body).await?;
    let change = AccountChange { role, mail };
    Ok(Json(server.engine.change_account(which.into_inner().name, change, by(&request)).await?.into()))
}

/// Removes an account with its tokens; its name stays with what it did.
#[utoipa::path(delete, path = "/api/v1/account", params(Named), responses((status = 204)))]
pub(super) async fn remove(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Named>,
) -> Result<HttpResponse, Failure> {
    server.engine.remove_account(which.into_inner().name, by(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Gives an account another password. Tokens that it got by logging in end with the one before; those that an admin made stay good.
#[utoipa::path(post, path = "/api/v1/passwords", request_body = PasswordBody,
    responses((status = 200, body = AccountRow)))]
pub(super) async fn set_password(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<AccountRow>, Failure> {
    let PasswordBody { account, password } = json::read(&request, body).await?;
    let hash = logins::hash(&server, password).await?;
    Ok(Json(server.engine.set_password(account, hash, by(&request)).await?.into()))
}

/// Makes a token for this API.
#[utoipa::path(post, path = "/api/v1/api-tokens", request_body = IssueApiTokenBody,
    responses((status = 201, body = IssuedApiToken)))]
pub(super) async fn issue_token(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Failure> {
    let IssueApiTokenBody { account, label: called } = json::read(&request, body).await?;
    let issued = server.engine.issue_api_token(account.clone(), label(&called)?, None, by(&request)).await?;
    Ok(HttpResponse::Created().json(IssuedApiToken::new(account, issued)))
}

/// Which token.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichToken {
    /// Name of the account.
    account: String,
    /// Id of the token.
    id: TokenId,
}

/// Makes a token for this API worthless.
#[utoipa::path(delete, path = "/api/v1/api-token", params(WhichToken), responses((status = 200, body = AccountRow)))]
pub(super) async fn revoke_token(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<WhichToken>,
) -> Result<Json<AccountRow>, Failure> {
    let WhichToken { account, id } = which.into_inner();
    Ok(Json(server.engine.revoke_api_token(account, id, by(&request)).await?.into()))
}

pub(super) fn label(label: &str) -> Result<String, Failure> {
    name("label", label)
}
