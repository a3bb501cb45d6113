//! Getting a token for a name and a password, and giving it back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::{self, Data, Json, Payload};
use actix_web::{HttpRequest, HttpResponse};
use argon2::password_hash::{self, PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use longshore_model::{Role, TokenId};
use longshore_protocol::ProblemType;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::access::caller;
use super::accounts::{IssuedApiToken, label};

/// Wrong passwords of one account within [`WINDOW`]: more than a person mistypes, and no more than 1,000 guesses a day.
const GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Accounts whose wrong passwords are counted at once; beyond, the counts begin anew.
const COUNTED: usize = 10_000;
/// Passwords that are checked at once: each takes 19 MiB of memory and some tens of milliseconds of a core.
const CHECKS: usize = 2;
/// Characters of a password at least (NIST SP 800-63B-4 §3.1.1.2 asks for 15 where it is the only factor; a lock and a slow
/// hash stand behind this one).
const PASSWORD_CHARS: usize = 12;
/// Bytes of a password at most.
const PASSWORD_BYTES: usize = 1024;
/// A hash of no password: checking it takes as long as checking a real one, so that time does not tell which names exist.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3MgYWNjb3VudA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Counts wrong passwords by account, and bounds how many are checked at once.
pub(crate) struct Guesses {
    counts: Mutex<HashMap<String, (Instant, u32)>>,
    checks: Arc<Semaphore>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { counts: Mutex::default(), checks: Arc::new(Semaphore::new(CHECKS)) }
    }
}

impl Guesses {
    /// Whether one more may be tried; otherwise when.
    fn may_try(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, count)) = counts.get(name) else { return Ok(()) };
        let left = WINDOW.saturating_sub(now.duration_since(*since));
        if *count >= GUESSES && !left.is_zero() { Err(left) } else { Ok(()) }
    }

    fn note(&self, name: &str, was_right: bool, now: Instant) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if was_right {
            counts.remove(name);
            return;
        }
        if counts.len() >= COUNTED {
            counts.clear();
        }
        let (since, count) = counts.entry(name.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}

/// A name and its password. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// Name of the account.
    pub(crate) account: String,
    pub(crate) password: String,
    /// What the token is for, such as the name of the computer.
    pub(crate) label: String,
}

/// Whoever asks, and which server answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// The account; on the local socket the user.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Version of the server.
    pub(crate) version: String,
}

/// Who the token belongs to, and which version of Longshore answers.
#[utoipa::path(get, path = "/api/v1/whoami", responses((status = 200, body = WhoAmI)))]
pub(super) async fn whoami(request: HttpRequest) -> Result<Json<WhoAmI>, Failure> {
    let person = caller(&request).ok_or_else(nobody)?;
    Ok(Json(WhoAmI { name: person.name, role: person.role, version: env!("CARGO_PKG_VERSION").to_owned() }))
}

/// A token for a name and a password.
#[utoipa::path(post, path = "/api/v1/logins", request_body = LoginBody, security(()),
    responses((status = 201, body = IssuedApiToken)))]
pub(super) async fn log_in(server: Data<Server>, request: HttpRequest, body: Payload) -> Result<HttpResponse, Failure> {
    let LoginBody { account: name, password, label: called } = json::read(&request, body).await?;
    let called = label(&called)?;
    server.guesses.may_try(&name, Instant::now()).map_err(|wait| {
        let detail = format!("there were {GUESSES} wrong passwords for this account; try again later");
        Failure::new(ProblemType::TooMany, detail).retry_after(wait.as_secs() + 1)
    })?;
    let checks = Arc::clone(&server.guesses.checks);
    let place = checks.acquire_owned().await.map_err(|_| Failure::shutting_down())?;
    let (index, known_as) = (server.engine.catalogue().index().clone(), name.clone());
    let is_right = web::block(move || {
        let _place = place;
        let account = index.account(&known_as)?.filter(|account| account.removed_at.is_none());
        let hash = account.and_then(|account| account.password_hash);
        let is_right = verify(&password, hash.as_deref().unwrap_or(NOBODYS)) && hash.is_some();
        Ok::<_, Failure>(is_right)
    });
    let is_right = is_right.await??;
    server.guesses.note(&name, is_right, Instant::now());
    if !is_right {
        return Err(Failure::new(ProblemType::Unauthenticated, "the name or the password is wrong"));
    }
    let issued = server.engine.issue_api_token(name.clone(), called, name.clone()).await?;
    Ok(HttpResponse::Created().json(IssuedApiToken::new(name, issued)))
}

/// Makes the token worthless with which this is called.
#[utoipa::path(delete, path = "/api/v1/logins", responses((status = 204)))]
pub(super) async fn log_out(server: Data<Server>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let person = caller(&request).ok_or_else(nobody)?;
    let (index, name) = (server.engine.catalogue().index().clone(), person.name.clone());
    let account = web::block(move || index.account(&name)).await??;
    let used: Option<TokenId> = person
        .token
        .zip(account)
        .and_then(|(hash, account)| account.tokens.iter().find(|token| token.hash == hash).map(|token| token.id));
    let used = used.ok_or_else(|| Failure::new(ProblemType::Conflict, "the local socket needs no login"))?;
    server.engine.revoke_api_token(person.name.clone(), used, person.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn nobody() -> Failure {
    Failure::new(ProblemType::Internal, "it is not known who asks")
}

/// The hash of a password that will do, for the journal.
pub(super) async fn hash(server: &Server, password: String) -> Result<String, Failure> {
    if password.chars().count() < PASSWORD_CHARS || password.len() > PASSWORD_BYTES {
        let detail = format!("a password has at least {PASSWORD_CHARS} characters, and at most {PASSWORD_BYTES} bytes");
        return Err(Failure::malformed(detail));
    }
    let checks = Arc::clone(&server.guesses.checks);
    let place = checks.acquire_owned().await.map_err(|_| Failure::shutting_down())?;
    let random = TokenId::random().map_err(|_| Failure::new(ProblemType::Internal, "there are no random numbers"))?;
    let hashed = web::block(move || {
        let _place = place;
        let salt = SaltString::encode_b64(random.as_bytes())?;
        Ok::<_, password_hash::Error>(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
    });
    hashed.await?.map_err(|error| {
        tracing::error!(%error, "a password cannot be hashed");
        Failure::new(ProblemType::Internal, "the password cannot be hashed; the server's log tells more")
    })
}

fn verify(password: &str, hash: &str) -> bool {
    let hash = PasswordHash::new(hash);
    hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_too_many_wrong_passwords_an_account_rests_and_another_does_not() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for _ in 0..GUESSES {
            assert_eq!(guesses.may_try("anna", start), Ok(()));
            guesses.note("anna", false, start);
        }
        assert_eq!(guesses.may_try("anna", start + Duration::from_secs(60)), Err(WINDOW - Duration::from_secs(60)));
        assert_eq!(guesses.may_try("ben", start), Ok(()));
        assert_eq!(guesses.may_try("anna", start + WINDOW), Ok(()));
        guesses.note("anna", true, start + WINDOW);
        assert!(guesses.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_hash_knows_its_password_and_nobodys_hash_knows_none() {
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let hash = Argon2::default().hash_password(b"correct horse", &salt).unwrap().to_string();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse", &hash) && !verify("correct horsf", &hash));
        assert!(PasswordHash::new(NOBODYS).is_ok() && !verify("", NOBODYS));
    }
}
