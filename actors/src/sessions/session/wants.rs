//! What the server wants of the device, kept ready: every answer to the device tells whether it changed.

use std::sync::Arc;

use actix::fut::ready;
use actix::prelude::*;
use chrono::{DateTime, FixedOffset};
use longshore_model::{Command, DeviceClock, DeviceProfile, DeviceState, RequestId, Sha256, VideoRequest};
use longshore_store::index::{IndexError, Target};
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::super::messages::{LookAgain, Park, Want};
use super::DeviceSession;
use crate::kit::blocking;
use crate::profiles;

/// What the server wants of a device.
#[derive(Debug, Clone, Default)]
pub struct Desires {
    /// Counts up when the device should offer again.
    pub offer_again: u64,
    /// Whether it is in service: a poll that waits is to hear of it if it is not any more.
    pub state: Option<DeviceState>,
    /// What it is to be set to.
    pub profile: Option<DeviceProfile>,
    /// Footage that people ask for.
    pub requests: Vec<Asked>,
    /// What it is to do once.
    pub commands: Vec<Command>,
    /// Differs when anything of it does that the device is told.
    pub digest: Option<Sha256>,
}

/// Footage that people ask for, as a device is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What is asked for.
    pub request: VideoRequest,
    /// What the device's clock showed when the range began …
    pub device_from: DateTime<FixedOffset>,
    /// … and when it ended.
    pub device_to: DateTime<FixedOffset>,
    /// Whether it was told of it before.
    #[serde(skip)]
    pub handed_over: bool,
}

impl Desires {
    /// The same, with the digest that follows from it.
    fn digested(mut self) -> Self {
        let Self { offer_again, state, profile, requests, commands, .. } = &self;
        let told = serde_json::to_vec(&(offer_again, state, profile, requests, commands)).unwrap_or_default();
        self.digest = Some(Sha256::of(&told));
        self
    }

    /// Which requests the device is told of for the first time.
    pub fn new_to_it(&self) -> Vec<RequestId> {
        self.requests.iter().filter(|asked| !asked.handed_over).map(|asked| asked.request.id).collect()
    }
}

/// What the index knows of it.
struct Found {
    state: Option<DeviceState>,
    profile: Option<DeviceProfile>,
    open: Vec<(VideoRequest, Target)>,
    clock: DeviceClock,
    commands: Vec<Command>,
}

impl DeviceSession {
    fn look_up_wants(&mut self) -> ResponseActFuture<Self, Result<(), IndexError>> {
        let (index, device) = (self.parts.completer.catalogue.index().clone(), self.device);
        let models = Arc::clone(&self.parts.models.borrow());
        self.looks += 1;
        let look = self.looks;
        let found = blocking(move || {
            let (open, clock) = (index.open_requests_of(device)?, index.clock(device)?);
            let row = index.device(device)?;
            let profile = row.as_ref().map(|row| profiles::settings_of(&index, &models, row)).transpose()?;
            let state = row.map(|row| row.state);
            Ok(Found { state, profile, open, clock, commands: index.commands(device)? })
        });
        Box::pin(found.into_actor(self).map(move |found, session, _| {
            // One that began later has seen more.
            if session.looked < look {
                let Found { state, profile, open, clock, commands } = found?;
                session.looked = look;
                let asked = |(request, target): (VideoRequest, Target)| {
                    let (device_from, device_to) = clock.to_device(request.span);
                    Asked { request, device_from, device_to, handed_over: target.handed_over.is_some() }
                };
                let (offer_again, requests) = (session.offer_again, open.into_iter().map(asked).collect());
                session.publish(Desires { offer_again, state, profile, requests, commands, digest: None });
            }
            Ok(())
        }))
    }

    fn publish(&self, desires: Desires) {
        let new = Arc::new(desires.digested());
        self.wants.send_if_modified(|known| {
            let differs = known.digest != new.digest;
            *known = new;
            differs
        });
    }

    /// The device is to offer again.
    pub(super) fn count_offer_again(&mut self) {
        self.offer_again += 1;
        if self.looked > 0 {
            let known = Desires::clone(&self.wants.borrow());
            self.publish(Desires { offer_again: self.offer_again, ..known });
        }
    }
}

impl Handler<Want> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<watch::Receiver<Arc<Desires>>, IndexError>>;

    fn handle(&mut self, _: Want, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        // While a look is on its way, something changed: whoever changed it may have been answered before this call.
        if self.looked > 0 && self.looked == self.looks {
            return Box::pin(ready(Ok(self.wants.subscribe())));
        }
        Box::pin(self.look_up_wants().map(|looked, session, _| looked.map(|()| session.wants.subscribe())))
    }
}

impl Handler<Park> for DeviceSession {
    type Result = MessageResult<Park>;

    fn handle(&mut self, _: Park, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let (goes_on, ends) = oneshot::channel();
        // Dropped, the one before ends.
        self.parked = Some(goes_on);
        MessageResult(ends)
    }
}

impl Handler<LookAgain> for DeviceSession {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: LookAgain, _: &mut Self::Context) -> Self::Result {
        // Nobody asked yet. A first look that is under way may have read before what changed.
        if self.looks == 0 {
            return Box::pin(ready(()));
        }
        Box::pin(self.look_up_wants().map(|looked, session, _| {
            if let Err(error) = looked {
                tracing::warn!(device = %session.device, %error, "what the device is to do could not be looked up");
            }
        }))
    }
}
