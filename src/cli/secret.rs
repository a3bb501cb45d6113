//! Secrets come from a prompt that shows nothing, or from the standard input; never from the command line, which
//! other users of the machine can see.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{Context as _, bail};
use console::Term;

/// Asks for a secret.
pub(super) fn ask(what: &str) -> anyhow::Result<String> {
    let secret = match terminal() {
        Some(terminal) => {
            terminal.write_str(&format!("{what}: "))?;
            terminal.read_secure_line()?
        }
        None => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).context("the standard input cannot be read")?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if secret.is_empty() {
        bail!("no {} was given; type it, or send it to the standard input", what.to_lowercase());
    }
    Ok(secret)
}

/// Asks for a secret that is to be set; a person types it twice.
pub(super) fn ask_for_new(what: &str) -> anyhow::Result<String> {
    let secret = ask(what)?;
    if terminal().is_some() && ask(&format!("{what} again"))? != secret {
        bail!("the two are not the same; nothing was changed");
    }
    Ok(secret)
}

/// Asks for a yes; where nobody can be asked, the answer is `None`.
pub(super) fn confirm(question: &str) -> anyhow::Result<Option<bool>> {
    let Some(terminal) = terminal() else { return Ok(None) };
    terminal.write_str(&format!("{question} [y/N] "))?;
    Ok(Some(matches!(terminal.read_line()?.trim(), "y" | "Y" | "yes")))
}

fn terminal() -> Option<Term> {
    let terminal = Term::stderr();
    (io::stdin().is_terminal() && terminal.is_term()).then_some(terminal)
}
