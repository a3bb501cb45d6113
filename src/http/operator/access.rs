//! Who may do what: on the socket everything, on the port what the role of the account behind the token allows.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _};
use longshore_model::{Role, Sha256};
use longshore_protocol::ProblemType;

use super::super::Server;
use super::super::connection::{Connection, LocalPeer};
use super::super::device::{address, admit_stranger, bearer, server_of};
use super::super::error::Failure;

/// Connections of one account at the same time: a person's pages and commands, or a program's pool. Without a bound, one
/// token could take the whole port.
const CONNECTIONS: usize = 64;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// No login: it is how to get one.
    Nothing,
    /// Any account.
    Seeing,
    /// Asking for footage.
    Requesting,
    /// Enrolling devices and looking after them.
    Devices,
    /// Everything else that changes something.
    Administering,
    /// Reading what people did, and who they are.
    Auditing,
}

/// Whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// The account, or `uid N`.
    pub(super) name: String,
    pub(super) role: Role,
    /// The token that was shown, by its checksum; on the socket there is none.
    pub(super) token: Option<Sha256>,
    /// What the call needed.
    needs: Needs,
}

impl Person {
    /// Whether the role opens this too.
    pub(super) fn may(&self, needs: Needs) -> bool {
        needs.are_met_by(self.role)
    }

    /// Whether the call could still be made: its answer may last longer than the token, or the role.
    pub(super) async fn still_may(&self, server: &Server) -> bool {
        let Some(token) = self.token else { return true };
        let account = server.engine.account_by_token(token).await.ok().flatten();
        account.is_some_and(|account| self.needs.are_met_by(account.role))
    }
}

impl Needs {
    /// The roles that will do.
    fn in_words(self) -> &'static str {
        match self {
            Self::Nothing | Self::Seeing => "of any account",
            Self::Requesting => "requester, device-admin or admin",
            Self::Devices => "device-admin or admin",
            Self::Administering => "admin",
            Self::Auditing => "auditor or admin",
        }
    }

    fn are_met_by(self, role: Role) -> bool {
        match self {
            Self::Nothing | Self::Seeing => true,
            Self::Requesting => matches!(role, Role::Requester | Role::DeviceAdmin | Role::Admin),
            Self::Devices => matches!(role, Role::DeviceAdmin | Role::Admin),
            Self::Administering => role == Role::Admin,
            Self::Auditing => matches!(role, Role::Auditor | Role::Admin),
        }
    }
}

/// Middleware of every call: lets it through if it may be made, and notes who made it.
pub(super) async fn check(
    needs: Needs,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    match admit(needs, request.request()).await {
        Ok(person) => drop(person.map(|person| request.extensions_mut().insert(person))),
        Err(failure) => return Ok(request.into_response(failure.error_response())),
    }
    let mut response = next.call(request).await?;
    // Some answers hold a secret, and all hold what changes.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whoever may make this call.
async fn admit(needs: Needs, request: &HttpRequest) -> Result<Option<Person>, Failure> {
    let known = person(needs, request).await?;
    // Whoever guesses passwords is a stranger, whatever else they show.
    if known.is_none() || (needs == Needs::Nothing && request.conn_data::<LocalPeer>().is_none()) {
        admit_stranger(request)?;
    }
    let Some(person) = known else {
        if needs == Needs::Nothing {
            return Ok(None);
        }
        let detail = "send a good API token: Authorization: Bearer TOKEN; `longshore account token` makes one";
        return Err(Failure::new(ProblemType::Unauthenticated, detail));
    };
    if !person.may(needs) {
        let (name, role) = (&person.name, person.role.as_str());
        let detail = format!("this needs the role {}; the account {name} has the role {role}", needs.in_words());
        return Err(Failure::new(ProblemType::Forbidden, detail));
    }
    Ok(Some(person))
}

async fn person(needs: Needs, request: &HttpRequest) -> Result<Option<Person>, Failure> {
    // Whoever may open the folder of the socket owns the server.
    if let Some(peer) = request.conn_data::<LocalPeer>() {
        let name = peer.uid.map_or_else(|| "local".to_owned(), |uid| format!("uid {uid}"));
        return Ok(Some(Person { name, role: Role::Admin, token: None, needs }));
    }
    let Some(token) = bearer(request) else { return Ok(None) };
    let server = server_of(request)?;
    let Some(account) = server.engine.account_by_token(token).await? else {
        server.turned_away(address(request), "tokens for the API that no account has");
        return Ok(None);
    };
    if let Some(connection) = request.conn_data::<Connection>() {
        if connection.enter_as(&account.name, &server.connections) > CONNECTIONS {
            let detail = format!("an account has at most {CONNECTIONS} connections; close some");
            return Err(Failure::new(ProblemType::TooMany, detail).retry_after(1).closing());
        }
        if let Some(ends) = connection.ends {
            server.lobby.recognised(ends);
        }
    }
    Ok(Some(Person { name: account.name, role: account.role, token: Some(token), needs }))
}

/// Who makes this call.
pub(super) fn caller(request: &HttpRequest) -> Option<Person> {
    request.extensions().get::<Person>().cloned()
}

/// What is answered where the middleware noted no caller, which cannot be.
pub(super) fn nobody() -> Failure {
    Failure::new(ProblemType::Internal, "it is not known who asks")
}

/// Who did it, for the audit log.
pub(super) fn by(request: &HttpRequest) -> String {
    caller(request).map_or_else(|| "nobody".to_owned(), |person| person.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_opens_what_it_is_for_and_nothing_else() {
        let allowed = |role| {
            [Needs::Seeing, Needs::Requesting, Needs::Devices, Needs::Administering, Needs::Auditing]
                .map(|needs| needs.are_met_by(role))
        };
        assert_eq!(allowed(Role::Viewer), [true, false, false, false, false]);
        assert_eq!(allowed(Role::Requester), [true, true, false, false, false]);
        assert_eq!(allowed(Role::DeviceAdmin), [true, true, true, false, false]);
        assert_eq!(allowed(Role::Admin), [true, true, true, true, true]);
        assert_eq!(allowed(Role::Auditor), [true, false, false, false, true]);
    }
}
