//! What lets a device ask to be known: texts that are scanned, and codes that are typed.

use std::time::Duration;

use actix_web::web::{self, Data, Json, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::NewToken;
use longshore_model::{EnrolToken, Sha256, TokenId};
use longshore_protocol::{CodeSecret, EnrolmentCode, EnrolmentText, ProblemType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::devices::name;
use super::{by, qr};

/// Longest life of an enrolment token: a text on a desk should not stay a key for months.
const MAX_VALID: Duration = Duration::from_secs(30 * 24 * 3600);
/// Life of a token, unless somebody says another.
const VALID: Duration = Duration::from_secs(24 * 3600);
/// Devices that one token enrols at most: those on a table, not a fleet.
const MAX_USES: u32 = 50;

/// Asks for an enrolment token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueBody {
    /// The one device that it is for; without it, each device says its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Model of that device, or of all of them; without it, each device says its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// 24 hours, if it is left out; 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) valid_for_seconds: Option<u64>,
    /// Devices that it enrols at most: 50, if it is left out; with a serial it is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uses: Option<u32>,
}

/// A token; its text is told once, here. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Issued {
    #[serde(flatten)]
    pub(crate) token: TokenRow,
    /// What the device scans, or is handed.
    pub(crate) text: String,
    /// The same as a QR code.
    pub(crate) qr_svg: String,
}

/// Asks for a code that is typed into one device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueCodeBody {
    pub(crate) serial: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// 24 hours, if it is left out; 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) valid_for_seconds: Option<u64>,
}

/// A code; it is told once, here. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct IssuedCode {
    #[serde(flatten)]
    pub(crate) token: TokenRow,
    /// 24 letters and digits, in groups of four.
    pub(crate) code: String,
    /// Where the device calls.
    pub(crate) server: String,
    /// SHA-256 of the server's public key, base64url.
    pub(crate) fingerprint: String,
}

/// An enrolment token, without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenRow {
    pub(crate) id: TokenId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// It is a code, which is typed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) typed: bool,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) uses_left: u32,
}

impl From<EnrolToken> for TokenRow {
    fn from(token: EnrolToken) -> Self {
        let EnrolToken { id, serial, model, typed, expires, uses_left, .. } = token;
        Self { id, serial, model, typed, expires, uses_left }
    }
}

/// The enrolment tokens with which a device may still begin.
#[utoipa::path(get, path = "/api/v1/enrolment-tokens", responses((status = 200, body = [TokenRow])))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<Vec<TokenRow>>, Failure> {
    let (index, now) = (server.engine.catalogue().index().clone(), server.clock.now());
    let tokens = web::block(move || index.tokens()).await??;
    Ok(Json(tokens.into_iter().filter(|token| token.is_good(now)).map(TokenRow::from).collect()))
}

/// Makes an enrolment token.
#[utoipa::path(post, path = "/api/v1/enrolment-tokens", request_body = IssueBody,
    responses((status = 201, body = Issued)))]
pub(super) async fn issue(server: Data<Server>, request: HttpRequest, body: Payload) -> Result<HttpResponse, Failure> {
    let IssueBody { serial, model, valid_for_seconds, uses } = json::read(&request, body).await?;
    let (serial, model) = (optional("serial", serial)?, optional("model", model)?);
    let uses = uses.unwrap_or(if serial.is_some() { 1 } else { MAX_USES });
    if uses == 0 || uses > MAX_USES || (serial.is_some() && uses > 1) {
        let detail = format!("an enrolment token enrols 1 to {MAX_USES} devices, and with a serial one");
        return Err(Failure::malformed(detail));
    }
    let valid_for = valid_for(valid_for_seconds)?;
    let secret = random()?;
    let secret_hash = Sha256::of(&secret);
    let token = NewToken { serial, model, typed: false, secret_hash, valid_for, uses };
    let token = server.engine.issue_token(token, by(&request)).await?;
    let text = EnrolmentText { server: url(&server)?, token: token.id, secret, pin: server.identity.pin }.to_string();
    let qr_svg = qr::svg(&text)?;
    Ok(HttpResponse::Created().json(Issued { token: token.into(), text, qr_svg }))
}

/// Makes a code for a device that cannot scan.
#[utoipa::path(post, path = "/api/v1/enrolment-codes", request_body = IssueCodeBody,
    responses((status = 201, body = IssuedCode)))]
pub(super) async fn issue_code(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Failure> {
    let IssueCodeBody { serial, model, valid_for_seconds } = json::read(&request, body).await?;
    let (serial, model) = (Some(name("serial", &serial)?), optional("model", model)?);
    let valid_for = valid_for(valid_for_seconds)?;
    let [a, b, c, d, e, f, g, h, ..] = random()?;
    let secret = CodeSecret::from_random([a, b, c, d, e, f, g, h]);
    let secret_hash = Sha256::of(secret.to_string().as_bytes());
    let token = NewToken { serial, model, typed: true, secret_hash, valid_for, uses: 1 };
    let token = server.engine.issue_token(token, by(&request)).await?;
    let issued = IssuedCode {
        token: token.into(),
        code: EnrolmentCode::new(server.identity.pin, secret).to_string(),
        server: url(&server)?.origin().ascii_serialization(),
        fingerprint: server.identity.fingerprint(),
    };
    Ok(HttpResponse::Created().json(issued))
}

/// Which token.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Its id.
    id: TokenId,
}

/// Makes an enrolment token worthless; who began with it before goes on waiting.
#[utoipa::path(delete, path = "/api/v1/enrolment-token", params(Which), responses((status = 200, body = TokenRow)))]
pub(super) async fn revoke(
    server: Data<Server>,
    request: HttpRequest,
    which: Query<Which>,
) -> Result<Json<TokenRow>, Failure> {
    Ok(Json(server.engine.revoke_token(which.id, by(&request)).await?.into()))
}

fn optional(what: &str, text: Option<String>) -> Result<Option<String>, Failure> {
    text.map(|text| name(what, &text)).transpose()
}

fn valid_for(seconds: Option<u64>) -> Result<Duration, Failure> {
    let valid_for = seconds.map_or(VALID, Duration::from_secs);
    if valid_for.is_zero() || valid_for > MAX_VALID {
        return Err(Failure::malformed("an enrolment token is valid for 1 second to 30 days"));
    }
    Ok(valid_for)
}

/// Drawn as an id is: 128 random bits.
fn random() -> Result<[u8; 16], Failure> {
    let random = TokenId::random().map_err(|_| Failure::new(ProblemType::Internal, "there are no random numbers"))?;
    Ok(*random.as_bytes())
}

fn url(server: &Server) -> Result<url::Url, Failure> {
    server.url().parse().map_err(|_| Failure::new(ProblemType::Internal, "the server's URL cannot be read"))
}
