use clap::Args;
use longshore_actors::{ActorState, ActorStatus};

use super::{Target, table};
use crate::http::operator::paths;

#[derive(Debug, Args)]
pub(super) struct Actors {
    #[command(flatten)]
    target: Target,
}

impl Actors {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let actors: Vec<ActorStatus> = self.target.client()?.get(paths::ACTORS)?;
        if self.target.json {
            return table::print_json(&actors);
        }
        let mut rows = Vec::with_capacity(actors.len());
        tree(&actors, None, 0, &mut rows);
        Ok(table::print(["ACTOR", "STATE", "SINCE", "FAILURES", "IN FLIGHT", "LAST ERROR"], &rows)?)
    }
}

fn tree(actors: &[ActorStatus], parent: Option<u64>, depth: usize, rows: &mut Vec<[String; 6]>) {
    // One whose parent is gone stands at the left.
    let parent_of = |actor: &ActorStatus| actor.parent.filter(|id| actors.iter().any(|other| other.id == *id));
    for actor in actors.iter().filter(|actor| parent_of(actor) == parent) {
        let error = actor.last_error.as_ref();
        rows.push([
            format!("{}{}", "  ".repeat(depth), actor.name),
            state(actor),
            actor.since.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            actor.failures.to_string(),
            actor.in_flight.to_string(),
            error.map(|error| format!("{} {}", error.at.format("%H:%M:%S"), error.text)).unwrap_or_default(),
        ]);
        tree(actors, Some(actor.id), depth + 1, rows);
    }
}

fn state(actor: &ActorStatus) -> String {
    let until = actor.until.map(|until| until.format(" until %H:%M:%S").to_string()).unwrap_or_default();
    match actor.state {
        ActorState::Running => "running".to_owned(),
        ActorState::Ended => "ended; the next call starts it".to_owned(),
        ActorState::Restarting => format!("restarting, waits{until}"),
        ActorState::Parked => format!("failed too often, rests{until}"),
        ActorState::Broken => "broken; see to it and restart the server".to_owned(),
    }
}
