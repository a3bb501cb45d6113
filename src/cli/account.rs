//! Logins of people and programs.

use std::io::{self, Write as _};

use clap::Subcommand;
use longshore_model::{Role, TokenId};

use super::device::MOMENT;
use super::{Target, query, secret, table};
use crate::http::operator::{
    AccountRow, ChangeAccountBody, IssueApiTokenBody, IssuedApiToken, NewAccountBody, PasswordBody, paths,
};

#[derive(Debug, Subcommand)]
pub(super) enum Account {
    /// Make an account
    Add {
        /// Its name, which stays in the audit log and is never given twice
        name: String,
        /// What it may do: viewer, requester, device-admin, admin or auditor
        #[arg(long)]
        role: Role,
        /// Where mail to it goes
        #[arg(long, value_name = "ADDRESS")]
        mail: Option<String>,
        /// Ask for a password; without one, it works by its tokens alone
        #[arg(long)]
        password: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show the accounts and their tokens
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Change what an account may do, or its mail address
    Set {
        /// Name of the account
        name: String,
        /// What it may do: viewer, requester, device-admin, admin or auditor
        #[arg(long, required_unless_present = "mail")]
        role: Option<Role>,
        /// Where mail to it goes; an empty one: nowhere
        #[arg(long, value_name = "ADDRESS")]
        mail: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Ask for a new password of an account and set it
    Passwd {
        /// Name of the account
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove an account; its tokens count for nothing at once
    Remove {
        /// Name of the account
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Print a token for the JSON API and for `longshore login`
    Token {
        /// Name of the account
        name: String,
        /// What it is for, such as the name of a computer
        #[arg(long)]
        label: String,
        #[command(flatten)]
        target: Target,
    },
    /// Make a token for the JSON API worthless at once
    RevokeToken {
        /// Name of the account
        name: String,
        /// Id of the token, as `longshore account list` shows it
        token: TokenId,
        #[command(flatten)]
        target: Target,
    },
}

impl Account {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { name, role, mail, password, target } => {
                let client = target.client()?;
                let password = password.then(|| secret::ask_for_new("Password")).transpose()?;
                let row: AccountRow = client.post(paths::ACCOUNTS, &NewAccountBody { name, mail, role, password })?;
                tell(&target, &row, "may log in now")
            }
            Self::List { target } => list(&target),
            Self::Set { name, role, mail, target } => {
                let path = query(paths::ACCOUNT, &[("name", &name)]);
                let row: AccountRow = target.client()?.patch(&path, &ChangeAccountBody { role, mail })?;
                tell(&target, &row, "was changed")
            }
            Self::Passwd { name: account, target } => {
                let client = target.client()?;
                let password = secret::ask_for_new("New password")?;
                let row: AccountRow = client.post(paths::PASSWORDS, &PasswordBody { account, password })?;
                tell(&target, &row, "has the new password")
            }
            Self::Remove { name, target } => {
                target.client()?.delete(&query(paths::ACCOUNT, &[("name", &name)]))?;
                Ok(writeln!(io::stdout(), "The account {name} is removed; its tokens count for nothing.")?)
            }
            Self::Token { name: account, label, target } => token(&IssueApiTokenBody { account, label }, &target),
            Self::RevokeToken { name, token: id, target } => {
                let path = query(paths::API_TOKEN, &[("account", &name), ("id", &id.to_string())]);
                target.client()?.delete(&path)?;
                Ok(writeln!(io::stdout(), "The token {id} of {name} counts for nothing any more.")?)
            }
        }
    }
}

fn tell(target: &Target, row: &AccountRow, what: &str) -> anyhow::Result<()> {
    if target.json {
        return table::print_json(row);
    }
    Ok(writeln!(io::stdout(), "{} ({}) {what}.", row.name, row.role.as_str())?)
}

fn list(target: &Target) -> anyhow::Result<()> {
    let accounts: Vec<AccountRow> = target.client()?.get(paths::ACCOUNTS)?;
    if target.json {
        return table::print_json(&accounts);
    }
    if accounts.is_empty() {
        return Ok(writeln!(io::stdout(), "No accounts yet. `longshore account add NAME --role ROLE` makes one.")?);
    }
    let mut rows = Vec::new();
    for account in accounts {
        let password = if account.has_password { "password" } else { "" }.to_owned();
        let (role, mail) = (account.role.as_str().to_owned(), account.mail.unwrap_or_default());
        rows.push([account.name, role, mail, password, account.created_at.format(MOMENT).to_string()]);
        for token in account.tokens {
            let since = token.issued_at.format(MOMENT).to_string();
            rows.push([format!("  {}", token.label), "token".to_owned(), String::new(), token.id.to_string(), since]);
        }
    }
    Ok(table::print(["NAME", "ROLE", "MAIL", "LOGS IN WITH", "SINCE"], &rows)?)
}

fn token(body: &IssueApiTokenBody, target: &Target) -> anyhow::Result<()> {
    let issued: IssuedApiToken = target.client()?.post(paths::API_TOKENS, body)?;
    if target.json {
        return table::print_json(&issued);
    }
    writeln!(io::stdout(), "{}", issued.token)?;
    let IssuedApiToken { account, id, .. } = issued;
    eprintln!("It works as {account}, for `longshore login` and with the header `Authorization: Bearer TOKEN`.");
    eprintln!("It is not shown again. `longshore account revoke-token {account} {id}` makes it worthless.");
    Ok(())
}
