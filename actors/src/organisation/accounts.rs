//! Who may log in. Pure.

use chrono::{DateTime, Utc};
use longshore_model::{Account, ApiToken, Role, TokenId};
use longshore_store::facts::{Fact, PeopleFact};

/// Tokens of one account at the same time: a person's computers, a program's servers.
const TOKENS: usize = 16;
/// Characters of an account's name.
const NAME_CHARS: usize = 64;

/// An account that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// What it logs in with.
    pub name: String,
    /// Where mail to it goes.
    pub mail: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Of its password, if it gets one.
    pub password_hash: Option<String>,
}

/// What is to be changed; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// What it may do.
    pub role: Option<Role>,
    /// Where mail to it goes; nowhere, if empty.
    pub mail: Option<String>,
}

/// Why an account is not made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefused {
    /// The name would not do.
    #[error(
        "an account's name has 1 to {NAME_CHARS} letters, digits, and . _ - @ inside, and begins with a letter or digit"
    )]
    BadName,
    /// No mail could go there.
    #[error("{0:?} is no mail address")]
    BadMail(String),
    /// Another has the name, or had it.
    #[error("the name {0} is taken, or was: it stays with what was done under it; choose another")]
    Taken(String),
    /// Nobody has the name.
    #[error("there is no account {0}; `longshore account list` shows which there are")]
    Unknown(String),
    /// It got another one since it was looked at.
    #[error("the password of {0} was changed just now; log in with the new one")]
    PasswordChanged(String),
    /// It has as many as it may.
    #[error("the account {0} has {TOKENS} tokens; revoke one first: `longshore account list` shows them")]
    TooMany(String),
    /// It has no such token.
    #[error("the account {account} has no token {token}; `longshore account list` shows them")]
    NoSuchToken {
        /// The account.
        account: String,
        /// The token's id.
        token: TokenId,
    },
}

type Decided = Result<(Vec<Fact>, Account), AccountRefused>;

/// `known` is the account that has, or had, the name.
pub(crate) fn add(new: NewAccount, known: Option<&Account>, now: DateTime<Utc>, by: String) -> Decided {
    let NewAccount { name, mail, role, password_hash } = new;
    // No space, no end that a sentence could have: in the audit log no account looks like `uid 0`.
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let begins = name.chars().next().is_some_and(char::is_alphanumeric);
    if !begins || name.chars().count() > NAME_CHARS || !name.chars().all(inside) {
        return Err(AccountRefused::BadName);
    }
    if known.is_some() {
        return Err(AccountRefused::Taken(name));
    }
    let mail = mail.map(address).transpose()?.flatten();
    let account = Account { name, mail, role, password_hash, tokens: Vec::new(), created_at: now, removed_at: None };
    Ok((vec![Fact::People(PeopleFact::AccountAdded { account: account.clone(), by })], account))
}

pub(crate) fn change(name: &str, change: AccountChange, known: Option<Account>, by: String) -> Decided {
    let mut account = in_use(name, known)?;
    account.role = change.role.unwrap_or(account.role);
    if let Some(mail) = change.mail {
        account.mail = address(mail)?;
    }
    let (role, mail) = (account.role, account.mail.clone());
    Ok((vec![Fact::People(PeopleFact::AccountChanged { account: name.to_owned(), role, mail, by })], account))
}

pub(crate) fn set_password(name: &str, password_hash: String, known: Option<Account>, by: String) -> Decided {
    let mut account = in_use(name, known)?;
    account.tokens.retain(|token| !token.for_password);
    account.password_hash = Some(password_hash.clone());
    let fact = PeopleFact::PasswordSet { account: name.to_owned(), password_hash, by };
    Ok((vec![Fact::People(fact)], account))
}

pub(crate) fn remove(name: &str, known: Option<Account>, by: String) -> Decided {
    let account = in_use(name, known)?;
    Ok((vec![Fact::People(PeopleFact::AccountRemoved { account: name.to_owned(), by })], account))
}

/// `password_hash` is of the password that it is given for, if it is.
pub(crate) fn issue_token(
    name: &str,
    token: ApiToken,
    password_hash: Option<&str>,
    known: Option<Account>,
    by: String,
) -> Decided {
    let mut account = in_use(name, known)?;
    if password_hash.is_some_and(|hash| account.password_hash.as_deref() != Some(hash)) {
        return Err(AccountRefused::PasswordChanged(account.name));
    }
    if account.tokens.len() >= TOKENS {
        return Err(AccountRefused::TooMany(account.name));
    }
    account.tokens.push(token.clone());
    Ok((vec![Fact::People(PeopleFact::ApiTokenIssued { account: name.to_owned(), token, by })], account))
}

pub(crate) fn revoke_token(name: &str, token: TokenId, known: Option<Account>, by: String) -> Decided {
    let mut account = in_use(name, known)?;
    let before = account.tokens.len();
    account.tokens.retain(|known| known.id != token);
    if account.tokens.len() == before {
        return Err(AccountRefused::NoSuchToken { account: account.name, token });
    }
    Ok((vec![Fact::People(PeopleFact::ApiTokenRevoked { account: name.to_owned(), token, by })], account))
}

fn in_use(name: &str, known: Option<Account>) -> Result<Account, AccountRefused> {
    known.filter(|account| account.removed_at.is_none()).ok_or_else(|| AccountRefused::Unknown(name.to_owned()))
}

/// What looks like an address may still not exist; only a mail that arrives shows that. An empty one is none.
fn address(mail: String) -> Result<Option<String>, AccountRefused> {
    if mail.is_empty() {
        return Ok(None);
    }
    let parts = mail.rsplit_once('@').filter(|(who, host)| !who.is_empty() && !host.is_empty());
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"');
    if parts.is_none() || mail.len() > 254 || mail.contains(odd) {
        return Err(AccountRefused::BadMail(mail));
    }
    Ok(Some(mail))
}

#[cfg(test)]
mod tests {
    use longshore_model::Sha256;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn new(name: &str) -> NewAccount {
        NewAccount { name: name.into(), mail: None, role: Role::Viewer, password_hash: None }
    }

    fn added(name: &str) -> Decided {
        add(new(name), None, now(), "uid 0".into())
    }

    fn token(n: u8) -> ApiToken {
        let hash = Sha256::of(&[n]);
        ApiToken {
            id: TokenId::from_bytes([n; 16]),
            label: "laptop".into(),
            hash,
            issued_at: now(),
            for_password: false,
        }
    }

    #[test]
    fn a_name_never_looks_like_a_user_of_the_socket() {
        for name in ["anna", "a.jones@example.org", "7-up", "Ägidius"] {
            assert!(added(name).is_ok(), "{name}");
        }
        for name in ["", "uid 0", " anna", "-x", ".", "a/b", "a\nb", "<b>", &"a".repeat(65)] {
            assert_eq!(added(name), Err(AccountRefused::BadName), "{name}");
        }
    }

    #[test]
    fn a_password_that_was_changed_gets_no_token_any_more() {
        let account = Account { password_hash: Some("new".into()), ..added("anna").unwrap().1 };
        let issue = |hash| issue_token("anna", token(1), Some(hash), Some(account.clone()), "anna".into());
        assert!(issue("new").is_ok());
        assert_eq!(issue("old"), Err(AccountRefused::PasswordChanged("anna".into())));
    }

    #[test]
    fn a_name_is_given_once_even_if_its_account_is_removed() {
        let (_, account) = added("anna").unwrap();
        let removed = Account { removed_at: Some(now()), ..account.clone() };
        for known in [&account, &removed] {
            let again = add(new("anna"), Some(known), now(), "uid 0".into());
            assert_eq!(again, Err(AccountRefused::Taken("anna".into())));
        }
        assert!(remove("anna", Some(account), "uid 0".into()).is_ok());
        assert_eq!(remove("anna", Some(removed), "uid 0".into()), Err(AccountRefused::Unknown("anna".into())));
    }

    #[test]
    fn only_what_could_be_a_mail_address_is_one() {
        for (mail, good) in [
            ("a@example.org", true),
            ("a b@example.org", false),
            ("example.org", false),
            ("@example.org", false),
            ("a@", false),
            ("a@x\r\nBcc: b@y", false),
            ("<a@example.org>", false),
        ] {
            let changing = AccountChange { role: None, mail: Some(mail.into()) };
            let changed = change("anna", changing, added("anna").ok().map(|(_, account)| account), "uid 0".into());
            assert_eq!(changed.is_ok(), good, "{mail}");
        }
        let account = Account { mail: Some("a@example.org".into()), ..added("anna").unwrap().1 };
        let none = AccountChange { role: Some(Role::Auditor), mail: Some(String::new()) };
        let (_, changed) = change("anna", none, Some(account), "uid 0".into()).unwrap();
        assert_eq!((changed.mail, changed.role), (None, Role::Auditor));
    }

    #[test]
    fn tokens_are_few_and_each_is_revoked_once() {
        let mut account = added("anna").unwrap().1;
        for n in 0..16 {
            account = issue_token("anna", token(n), None, Some(account), "uid 0".into()).unwrap().1;
        }
        let more = issue_token("anna", token(16), None, Some(account.clone()), "uid 0".into());
        assert_eq!(more, Err(AccountRefused::TooMany("anna".into())));
        let (_, account) = revoke_token("anna", token(3).id, Some(account), "uid 0".into()).unwrap();
        let again = revoke_token("anna", token(3).id, Some(account), "uid 0".into());
        assert!(matches!(again, Err(AccountRefused::NoSuchToken { .. })));
    }
}
