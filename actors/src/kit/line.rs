use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use super::ask::{Unavailable, ask};

/// A way to an actor that survives the actor: the supervisor connects each new one to it. While nobody is connected,
/// every question is answered [`Unavailable`].
pub(crate) struct Line<A: Actor>(Arc<RwLock<Option<Addr<A>>>>);

impl<A: Actor> Line<A> {
    /// A line to nobody yet.
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn connect(&self, addr: Option<Addr<A>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addr;
    }

    fn addr(&self) -> Option<Addr<A>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks without a deadline: for work on the disk, which takes the time that it takes and whose asker has a timer of
    /// its own.
    pub(crate) fn send<M>(&self, message: M) -> impl Future<Output = Result<M::Result, Unavailable>> + use<A, M>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let asked = self.addr().map(|addr| addr.send(message));
        async move {
            match asked {
                Some(asked) => asked.await.map_err(|_| Unavailable),
                None => Err(Unavailable),
            }
        }
    }

    /// Asks with a deadline.
    pub(crate) async fn ask<M>(&self, message: M, deadline: Duration) -> Result<M::Result, Unavailable>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        match self.addr() {
            Some(addr) => ask(&addr, message, deadline).await,
            None => Err(Unavailable),
        }
    }

    /// Tells; while nobody is connected, nobody hears it.
    pub(crate) fn tell<M>(&self, message: M)
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result = ()> + Send + 'static,
    {
        if let Some(addr) = self.addr() {
            addr.do_send(message);
        }
    }
}

impl<A: Actor> Clone for Line<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
