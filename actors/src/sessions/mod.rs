//! DeviceSessions finds the session of a device; DeviceSession is one connected device.

mod messages;
mod plan;
mod session;

use std::collections::HashMap;

use actix::prelude::*;
use longshore_model::DeviceId;

pub use messages::{AttachError, CreateError, Created, Limits, OfferError};
pub(crate) use messages::{CreateUpload, DrainSession, Hold, Holding, Offer, OfferAgain, UploadEnded};
pub use plan::Verdict;
pub(crate) use session::{DeviceSession, SessionParts};

/// The router. It holds addresses only: when a session is gone, the next call of its device starts another.
pub(crate) struct DeviceSessions {
    parts: SessionParts,
    sessions: HashMap<DeviceId, Addr<DeviceSession>>,
    draining: bool,
}

/// The session of this device, started if need be.
#[derive(Message)]
#[rtype(result = "Addr<DeviceSession>")]
pub(crate) struct Find(pub(crate) DeviceId);

/// A session ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SessionEnded(pub(crate) DeviceId);

/// The server is stopping.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DrainAll;

impl DeviceSessions {
    pub(crate) fn new(parts: SessionParts) -> Self {
        Self { parts, sessions: HashMap::new(), draining: false }
    }
}

impl Actor for DeviceSessions {
    type Context = Context<Self>;
}

impl Handler<Find> for DeviceSessions {
    type Result = MessageResult<Find>;

    fn handle(&mut self, Find(device): Find, ctx: &mut Self::Context) -> Self::Result {
        if let Some(session) = self.sessions.get(&device).filter(|session| session.connected()) {
            return MessageResult(session.clone());
        }
        let session = DeviceSession::new(device, ctx.address(), self.parts.clone(), self.draining).start();
        self.sessions.insert(device, session.clone());
        MessageResult(session)
    }
}

impl Handler<SessionEnded> for DeviceSessions {
    type Result = ();

    fn handle(&mut self, SessionEnded(device): SessionEnded, _: &mut Self::Context) {
        if self.sessions.get(&device).is_some_and(|session| !session.connected()) {
            self.sessions.remove(&device);
        }
    }
}

impl Handler<DrainAll> for DeviceSessions {
    type Result = ();

    fn handle(&mut self, _: DrainAll, _: &mut Self::Context) {
        self.draining = true;
        for session in self.sessions.values() {
            session.do_send(DrainSession);
        }
    }
}
