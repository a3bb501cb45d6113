//! Getting a token for a name and a password, and giving it back.

use std::time::Instant;

use actix_web::web::{self, Data, Json, Payload};
use actix_web::{HttpRequest, HttpResponse};
use argon2::password_hash::{self, PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use longshore_model::{Role, TokenId};
use longshore_protocol::ProblemType;
use serde::{Deserialize, Serialize};
use tracing::field::display;
use utoipa::ToSchema;

use super::super::Server;
use super::super::device::address;
use super::super::error::Failure;
use super::super::json;
use super::access::{caller, nobody};
use super::accounts::{IssuedApiToken, label};
use super::devices::name;
use super::guesses::GUESSES;

/// Characters of a password at least (NIST SP 800-63B-4 §3.1.1.2 asks for 15 where it is the only factor; a lock and a slow
/// hash stand behind this one).
const PASSWORD_CHARS: usize = 12;
/// Bytes of a password at most.
const PASSWORD_BYTES: usize = 1024;
/// A hash of no password: checking it takes as long as checking a real one, so that time does not tell which names exist.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3MgYWNjb3VudA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

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
    let LoginBody { account, password, label: called } = json::read(&request, body).await?;
    // Before anything is counted or checked: what is longer is kept nowhere.
    let (account, called) = (name("name of the account", &account)?, label(&called)?);
    if password.len() > PASSWORD_BYTES {
        return Err(Failure::malformed(format!("a password has at most {PASSWORD_BYTES} bytes")));
    }
    let in_queue = server.guesses.queue()?;
    let (index, known_as) = (server.engine.catalogue().index().clone(), account.clone());
    let known = web::block(move || index.account(&known_as)).await??.filter(|account| account.removed_at.is_none());
    let is_known = known.is_some();
    let guess = server.guesses.guess(&account, is_known, Instant::now())?;
    let turn = server.guesses.turn().await?;
    let checked = web::block(move || {
        let _until_it_is_checked = (in_queue, turn);
        let hash = known.and_then(|account| account.password_hash);
        let is_right = verify(&password, hash.as_deref().unwrap_or(NOBODYS));
        hash.filter(|_| is_right)
    });
    let Some(hash) = checked.await? else {
        let peer = address(&request);
        server.turned_away(peer, "wrong names or passwords");
        let address = peer.map(display);
        if is_known {
            tracing::info!(account, address, "a wrong password");
            if guess.is_last {
                tracing::warn!(account, address, "the account rests: there were {GUESSES} wrong passwords");
            }
        } else if let Some(logins) = server.guesses.of_nobody(Instant::now()) {
            // Not which: a person may have typed the password where the name belongs.
            tracing::info!(logins, address, "somebody logs in with a name that no account has");
        }
        return Err(Failure::new(ProblemType::Unauthenticated, "the name or the password is wrong"));
    };
    server.guesses.give_back(guess);
    let issued = server.engine.issue_api_token(account.clone(), called, Some(hash), account.clone()).await?;
    Ok(HttpResponse::Created().json(IssuedApiToken::new(account, issued)))
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

/// The hash of a password that will do, for the journal.
pub(super) async fn hash(server: &Server, password: String) -> Result<String, Failure> {
    if password.chars().count() < PASSWORD_CHARS || password.len() > PASSWORD_BYTES {
        let detail = format!("a password has at least {PASSWORD_CHARS} characters, and at most {PASSWORD_BYTES} bytes");
        return Err(Failure::malformed(detail));
    }
    let turn = server.guesses.turn().await?;
    let random = TokenId::random().map_err(|_| Failure::new(ProblemType::Internal, "there are no random numbers"))?;
    let hashed = web::block(move || {
        let _until_it_is_hashed = turn;
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
    fn a_hash_knows_its_password_and_nobodys_hash_knows_none() {
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let hash = Argon2::default().hash_password(b"correct horse", &salt).unwrap().to_string();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse", &hash) && !verify("correct horsf", &hash));
        assert!(PasswordHash::new(NOBODYS).is_ok() && !verify("", NOBODYS));
    }
}
