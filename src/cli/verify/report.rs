use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use indicatif::{DecimalBytes, HumanCount};
use longshore_model::{Clock as _, SystemClock};
use longshore_store::verify::{OVERDUE, Reconciled, Reconciliation};

use super::super::Target;
use super::super::device::MOMENT;
use super::super::progress::Progress;
use super::super::table::{self, plain};
use crate::http::operator::{ReconciliationState, paths};

const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the server found when it looked at its store.
pub(super) fn run(now: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let client = target.client()?;
    let mut state: ReconciliationState = client.get(paths::RECONCILIATION)?;
    if now {
        let before = state.last.map(|last| last.seq);
        state = client.post(paths::RECONCILIATION, &serde_json::json!({}))?;
        let mut progress = Progress::new();
        progress.count("The server looks at its store");
        while state.is_running {
            client.pause(ASK_AGAIN);
            state = client.get(paths::RECONCILIATION)?;
        }
        progress.end();
        if state.last.as_ref().map(|last| last.seq) == before {
            bail!("the look came to no end: the server stopped, or its storage went away; its log tells why");
        }
    }
    if target.json {
        table::print_json(&state)?;
    } else {
        tell(&state)?;
    }
    let well = state.last.is_some_and(|last| last.reconciliation.is_well() && !is_overdue(&last));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// It stopped looking, and what it found then says nothing of now.
fn is_overdue(last: &Reconciled) -> bool {
    SystemClock.now() - last.reconciliation.ended > OVERDUE
}

fn tell(state: &ReconciliationState) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if state.is_running {
        writeln!(out, "The server is looking at its store now.")?;
    }
    let Some(last @ Reconciled { seq, reconciliation }) = &state.last else {
        writeln!(
            out,
            "It has not looked at its store yet: it does each night, or now with `longshore verify store --report --now`."
        )?;
        return out.flush();
    };
    let Reconciliation { began, ended, facts, declared_not_stored, looked, foreign, foreign_named, .. } =
        reconciliation;
    let count = |count: u64| HumanCount(count);
    let (expected, present) = (count(looked.expected), count(looked.present));
    writeln!(out, "{expected} expected, {present} present, {} unverified", count(looked.unverified))?;
    if is_overdue(last) {
        writeln!(
            out,
            "WRONG: it has not come to the end of a look since then; its log and `longshore health list` tell why"
        )?;
    }
    writeln!(out, "Looked at from {} to {} (line {seq} of the journal).", began.format(MOMENT), ended.format(MOMENT))?;
    writeln!(out, "Read to the last byte: {}, {}.", count(looked.read), DecimalBytes(looked.read_bytes))?;
    writeln!(out, "Declared by devices and not stored: {}.", count(*declared_not_stored))?;
    writeln!(out, "Journal: {} facts, each following from the one before.", count(*facts))?;
    for path in foreign_named {
        writeln!(out, "Not Longshore's: {}", plain(path))?;
    }
    more(&mut out, *foreign, foreign_named.len())?;
    for problem in &looked.problems_named {
        writeln!(out, "WRONG: {}: {}", plain(&problem.path), plain(&problem.text))?;
    }
    more(&mut out, looked.problems, looked.problems_named.len())?;
    out.flush()
}

fn more(out: &mut impl io::Write, all: u64, named: usize) -> io::Result<()> {
    match all.saturating_sub(named as u64) {
        0 => Ok(()),
        more => writeln!(out, "… and {} more; `longshore verify store` names all.", HumanCount(more)),
    }
}
