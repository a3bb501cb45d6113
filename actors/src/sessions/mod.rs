//! DeviceSessions finds the session of a device; DeviceSession is one connected device.

mod gaps;
mod messages;
mod plan;
mod session;
mod storm;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix::prelude::*;
use longshore_model::DeviceId;
use tokio::time::Instant;

use crate::kit::{Ended, Lifeline, Line, Policy, Probe, Restarts, fail_point, jitter};

pub use messages::{AttachError, Brings, CreateError, Created, Limits, OfferError, RepairError, TerminateError};
pub(crate) use messages::{
    CompleteWhole, CreateUpload, End, Expire, Hold, Holding, LookAgain, Offer, Park, REPAIR_WAIT, Repair, Terminate,
    UploadEnded, Want,
};
pub use plan::Verdict;
pub(crate) use plan::stored_as;
pub use session::{Asked, Desires};
pub(crate) use session::{DeviceSession, SessionParts, is_unset};

/// The sessions that there are. A router that panics leaves them to the next one, so that no bay notices.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Rc<RefCell<HashMap<DeviceId, Session>>>);

struct Session {
    addr: Addr<DeviceSession>,
    failures: Restarts,
    probe: Probe,
}

/// The router: when a session is gone, the next call of its device starts another.
pub(crate) struct DeviceSessions {
    parts: SessionParts,
    known: Sessions,
    /// To whatever router there is when a session ends.
    line: Line<Self>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// The session of this device, started if need be; `None` while it rests.
#[derive(Message)]
#[rtype(result = "Option<Addr<DeviceSession>>")]
pub(crate) struct Find(pub(crate) DeviceId);

/// This device has no business here any more: what it has open is ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EndSession(pub(crate) DeviceId);

/// A session ended.
#[derive(Message)]
#[rtype(result = "()")]
struct SessionEnded(DeviceId, Ended);

impl DeviceSessions {
    pub(crate) fn new(
        parts: SessionParts,
        known: Sessions,
        line: Line<Self>,
        lifeline: Lifeline,
        probe: Probe,
    ) -> Self {
        Self { parts, known, line, probe, _lifeline: lifeline }
    }

    fn begin(&self, device: DeviceId, probe: &Probe) -> Addr<DeviceSession> {
        let line = self.line.clone();
        let lifeline = Lifeline::new(move |ended| line.tell(SessionEnded(device, ended)));
        DeviceSession::new(device, self.parts.clone(), lifeline, probe.clone()).start()
    }
}

impl Actor for DeviceSessions {
    type Context = Context<Self>;

    /// Sessions that ended while there was no router told nobody.
    fn started(&mut self, _: &mut Self::Context) {
        let now = Instant::now();
        let matters = |session: &Session| session.addr.connected() || session.failures.waits(now).is_some();
        self.known.0.borrow_mut().retain(|_, session| matters(session));
    }
}

impl Handler<Find> for DeviceSessions {
    type Result = MessageResult<Find>;

    fn handle(&mut self, Find(device): Find, _: &mut Self::Context) -> Self::Result {
        fail_point!("sessions-find");
        let sessions = &mut *self.known.0.borrow_mut();
        if let Some(session) = sessions.get_mut(&device) {
            if session.failures.waits(Instant::now()).is_some() {
                return MessageResult(None);
            }
            if !session.addr.connected() {
                session.addr = self.begin(device, &session.probe);
                session.probe.runs();
            }
            return MessageResult(Some(session.addr.clone()));
        }
        let probe = self.probe.child("session".to_owned(), device);
        let addr = self.begin(device, &probe);
        let failures = Restarts::new(Policy::ON_CALL);
        sessions.insert(device, Session { addr: addr.clone(), failures, probe });
        MessageResult(Some(addr))
    }
}

impl Handler<SessionEnded> for DeviceSessions {
    type Result = ();

    fn handle(&mut self, SessionEnded(device, ended): SessionEnded, _: &mut Self::Context) {
        let mut sessions = self.known.0.borrow_mut();
        let Some(session) = sessions.get_mut(&device) else { return };
        if ended == Ended::Done {
            // The device may have called again meanwhile.
            if !session.addr.connected() {
                sessions.remove(&device);
            }
            return;
        }
        let rest = session.failures.failed(Instant::now(), jitter());
        tracing::error!(%device, rest.parked, "the session of a device panicked; its next call begins another");
        if !session.addr.connected() || rest.parked {
            session.probe.ended(ended, Some(rest));
        }
    }
}

impl Handler<EndSession> for DeviceSessions {
    type Result = ();

    fn handle(&mut self, EndSession(device): EndSession, _: &mut Self::Context) {
        if let Some(session) = self.known.0.borrow().get(&device) {
            session.addr.do_send(End);
        }
    }
}

impl Handler<LookAgain> for DeviceSessions {
    type Result = ();

    /// Without a session there is nothing to change: it looks when it is asked first.
    fn handle(&mut self, LookAgain(device): LookAgain, _: &mut Self::Context) {
        if let Some(session) = self.known.0.borrow().get(&device) {
            session.addr.do_send(LookAgain(device));
        }
    }
}
