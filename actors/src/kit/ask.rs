use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

/// How long a question to an actor may take when its answer needs no disk, or one sync of it.
pub(crate) const ASK_DEADLINE: Duration = Duration::from_secs(20);

/// The actor did not answer: it is gone, or it took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of the server is not available now")]
pub(crate) struct Unavailable;

/// Asks with a deadline.
pub(crate) async fn ask<A, M>(actor: &Addr<A>, message: M, deadline: Duration) -> Result<M::Result, Unavailable>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    match tokio::time::timeout(deadline, actor.send(message)).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Unavailable),
    }
}
