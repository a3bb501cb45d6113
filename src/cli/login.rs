//! The command line on another computer than the server's: address, key and token are kept in a file of the user's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use clap::Args;
use longshore_model::{BASE64URL, Sha256};
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Client;
use super::secret;
use crate::http::operator::{IssuedApiToken, LoginBody, WhoAmI, paths};

/// Use a server from another computer: from now on, commands without --data and --config ask it
#[derive(Debug, Args)]
pub(super) struct LogIn {
    /// Address of the server: https://HOST:PORT
    url: String,
    /// Log in with the password of this account, instead of a token
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Fingerprint of the server's key, as it prints it at its start; without it, you are asked whether it is right
    #[arg(long)]
    fingerprint: Option<String>,
}

/// Forget the login, and make its token worthless
#[derive(Debug, Args)]
pub(super) struct LogOut {}

/// A login, as it is kept. Not `Debug`: it holds a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    /// `https://HOST:PORT`.
    pub(super) server: String,
    /// SHA-256 of its public key, base64url.
    fingerprint: String,
    pub(super) token: String,
}

impl LogIn {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let server = address(&self.url)?;
        let shown = Client::key_of(&server)?;
        let fingerprint = BASE64URL.encode(shown.as_bytes());
        self.confirm(&server, &fingerprint)?;
        // A damaged one is replaced, and nobody knows its token.
        let earlier = Login::kept().ok().flatten();
        let is_issued = self.account.is_some();
        let token = match self.account {
            Some(account) => {
                let password = secret::ask("Password")?;
                let label = rustix::system::uname().nodename().to_string_lossy().into_owned();
                let body = LoginBody { account, password, label };
                let issued: IssuedApiToken = Client::of_key(&server, shown)?.post(paths::LOGINS, &body)?;
                issued.token
            }
            None => secret::ask("API token")?,
        };
        let login = Login { server, fingerprint, token };
        let who = match login.begin() {
            Ok(who) => who,
            Err(error) => {
                // Nobody will ever use it; a token that was brought stays whoever's it is.
                if is_issued && let Err(why) = login.revoke() {
                    eprintln!("The token that was made for this login could not be revoked: {why:#}");
                }
                return Err(error);
            }
        };
        writeln!(io::stdout(), "Logged in to {} as {} ({}).", login.server, who.name, who.role.as_str())?;
        if who.version != env!("CARGO_PKG_VERSION") {
            eprintln!("The server's version is {}, and this is {}.", who.version, env!("CARGO_PKG_VERSION"));
        }
        // After the new one is kept: a login that fails leaves the earlier one as it was.
        if let Some(earlier) = earlier.filter(|earlier| earlier.token != login.token)
            && let Err(error) = earlier.revoke()
        {
            eprintln!("The token of the earlier login to {} could not be revoked: {error:#}", earlier.server);
        }
        Ok(())
    }

    fn confirm(&self, server: &str, shown: &str) -> anyhow::Result<()> {
        if let Some(expected) = &self.fingerprint {
            if expected.trim() != shown {
                bail!("{server} shows the key {shown}, which is not the one that you named; nothing was sent");
            }
            return Ok(());
        }
        let question = format!(
            "{server} shows a key with the fingerprint\n  {shown}\nIs this what the server prints at its start?"
        );
        match secret::confirm(&question)? {
            Some(true) => Ok(()),
            Some(false) => bail!("nothing was sent"),
            None => bail!("nobody can be asked whether {shown} is the key of {server}; name it with --fingerprint"),
        }
    }
}

impl LogOut {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let Some(login) = Login::kept()? else { bail!("nobody is logged in") };
        let revoked = login.revoke();
        fs::remove_file(file()?)?;
        writeln!(io::stdout(), "Logged out of {}.", login.server)?;
        revoked.context("this computer has forgotten the token, but it may still be good; revoke it on the server")
    }
}

impl Login {
    /// The login that is kept, if there is one.
    pub(super) fn kept() -> anyhow::Result<Option<Self>> {
        let Ok(path) = file() else { return Ok(None) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let login = serde_json::from_str(&text);
        Ok(Some(login.with_context(|| format!("{} is damaged; log in again", path.display()))?))
    }

    /// The key that the server has to show.
    pub(super) fn pin(&self) -> anyhow::Result<Sha256> {
        let bytes = BASE64URL.decode(&self.fingerprint).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Sha256::from_bytes(bytes.context("the fingerprint in the login is damaged; log in again")?))
    }

    /// Tries it, and keeps it if it is good: whose it is.
    fn begin(&self) -> anyhow::Result<WhoAmI> {
        let who = Client::of_login(self)?.get(paths::WHOAMI)?;
        self.keep()?;
        Ok(who)
    }

    /// Makes its token worthless.
    fn revoke(&self) -> anyhow::Result<()> {
        Client::of_login(self)?.delete(paths::LOGINS)
    }

    fn keep(&self) -> anyhow::Result<()> {
        let path = file()?;
        let write = || {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let beside = path.with_extension("new");
            let _left_by_an_earlier_try = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            fs::rename(&beside, &path)
        };
        write().with_context(|| format!("the login cannot be kept in {}", path.display()))
    }
}

/// Where a login is kept (XDG Base Directory Specification).
fn file() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    Ok(folder.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("longshore/login.json"))
}

/// `https://HOST:PORT` and nothing else.
fn address(text: &str) -> anyhow::Result<String> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| url.scheme() == "https" && url.has_host() && url.path() == "/" && url.query().is_none());
    Ok(url.context("the address of a server is https://HOST:PORT")?.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_https_and_nothing_else() {
        assert_eq!(address("https://192.0.2.7:5004/").unwrap(), "https://192.0.2.7:5004");
        for wrong in ["", "192.0.2.7:5004", "http://192.0.2.7:5004", "https://x/api", "https://x/?token=y"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
