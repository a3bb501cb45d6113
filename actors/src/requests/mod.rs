//! RequestQueue: footage that people ask for. What becomes of a request, the pure `queue` decides, what people are told of it,
//! the pure `standing`; here it is recorded, and the sessions of its devices are told. The actor holds nothing: the requests
//! are in the catalogue.

mod queue;
mod standing;
mod view;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use longshore_model::{Clock, DeviceClock, DeviceId, Holds, RequestId, Span, VideoRequest};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::{Fact, RequestFact};
use longshore_store::index::{DeclaredRow, Index, IndexError, RequestRow};

use crate::decision::DecisionError;
use crate::kit::{Lifeline, Line, Probe, blocking, fail_point};
use crate::sessions::{DeviceSessions, LookAgain, stored_as};
pub(crate) use queue::wanted;
pub use queue::{AddRefused, Added, CancelRefused, Coverage, Draft};
pub use standing::{RequestState, Standing};
pub(crate) use view::Views;
pub use view::{RequestView, TargetView};

/// Between two looks at what is over: a person who waits for a range to end does not notice.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The actor.
pub(crate) struct RequestQueue {
    catalogue: Catalogue,
    clock: Arc<dyn Clock>,
    sessions: Line<DeviceSessions>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Ask for footage.
#[derive(Message)]
#[rtype(result = "Result<Added, DecisionError<AddRefused>>")]
pub(crate) struct RequestVideo(pub(crate) Draft);

/// Give a request up.
#[derive(Message)]
#[rtype(result = "Result<(), DecisionError<CancelRefused>>")]
pub(crate) struct CancelRequest {
    pub(crate) request: RequestId,
    pub(crate) by: String,
    /// Whether they may cancel what others asked for too.
    pub(crate) anybodys: bool,
}

/// Take what a device says of the requests that it was given; the ranges are in true time.
#[derive(Message)]
#[rtype(result = "Result<(), RecordError>")]
pub(crate) struct Tell {
    pub(crate) device: DeviceId,
    pub(crate) said: Vec<(RequestId, Holds, Vec<Span>)>,
}

/// A device was given these.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandedOver {
    pub(crate) device: DeviceId,
    pub(crate) requests: Vec<RequestId>,
}

/// A recording of this device came into the store.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RecordingStored(pub(crate) DeviceId);

/// Look what is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl RequestQueue {
    pub(crate) fn new(
        catalogue: Catalogue,
        clock: Arc<dyn Clock>,
        sessions: Line<DeviceSessions>,
        lifeline: Lifeline,
        probe: Probe,
    ) -> Self {
        Self { catalogue, clock, sessions, probe, _lifeline: lifeline }
    }

    /// Records what follows from a look at the index, if anything does: nearly always nothing, so the writer is only asked when
    /// there is. The sessions of the devices are told.
    fn record_what<F>(&self, follows: F) -> ResponseFuture<Result<(), RecordError>>
    where
        F: Fn(&Index) -> Result<(Vec<Fact>, Vec<DeviceId>), IndexError> + Clone + Send + 'static,
    {
        let (catalogue, sessions, in_flight) = (self.catalogue.clone(), self.sessions.clone(), self.probe.in_flight());
        let probe = self.probe.clone();
        Box::pin(async move {
            let _in_flight = in_flight;
            let (index, look) = (catalogue.index().clone(), follows.clone());
            let recording = async {
                if blocking(move || Ok(look(&index)?.0.is_empty())).await.map_err(DecideError::Index)? {
                    return Ok(Vec::new());
                }
                catalogue.decide::<_, Infallible>(move |index| Ok(Ok(follows(index)?))).await
            };
            let failed = |error: DecideError<Infallible>| {
                tracing::warn!(%error, "what became of requests could not be recorded; it is tried again");
                probe.error(&error);
                match error {
                    DecideError::Record(error) => error,
                    other => RecordError::NotWritten(other.to_string()),
                }
            };
            let devices = recording.await.map_err(failed)?;
            devices.into_iter().for_each(|device| sessions.tell(LookAgain(device)));
            Ok(())
        })
    }
}

impl Actor for RequestQueue {
    type Context = Context<Self>;

    /// What happened while there was no queue told nobody.
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
    }
}

impl Handler<RequestVideo> for RequestQueue {
    type Result = ResponseActFuture<Self, Result<Added, DecisionError<AddRefused>>>;

    fn handle(&mut self, RequestVideo(draft): RequestVideo, _: &mut Self::Context) -> Self::Result {
        fail_point!("request-video");
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        let adding = async move {
            let _in_flight = in_flight;
            queue::check(&draft, now).map_err(DecisionError::Refused)?;
            let id = RequestId::new(now).map_err(|_| DecisionError::NoRandomness)?;
            let decided = catalogue.decide(move |index| {
                let mut devices = Vec::with_capacity(draft.serials.len());
                for serial in &draft.serials {
                    match index.device_by_serial(serial)? {
                        Some(device) => devices.push(device),
                        None => return Ok(Err(AddRefused::Unknown(serial.clone()))),
                    }
                }
                let by_key = draft.key.as_deref().map_or(Ok(None), |key| index.request_by_key(key))?;
                Ok(queue::add(draft, id, &devices, by_key, &index.open_requests()?, now))
            });
            Ok(decided.await?)
        };
        let adding = adding.into_actor(self).map(|added: Result<Added, DecisionError<AddRefused>>, queue, ctx| {
            let added = added?;
            if added.is_new {
                tracing::info!(request = %added.request.id, devices = added.request.devices.len(), "footage is asked for");
                for device in &added.request.devices {
                    queue.sessions.tell(LookAgain(*device));
                    // It may be there already.
                    ctx.notify(RecordingStored(*device));
                }
            }
            Ok(added)
        });
        Box::pin(adding)
    }
}

impl Handler<CancelRequest> for RequestQueue {
    type Result = ResponseActFuture<Self, Result<(), DecisionError<CancelRefused>>>;

    fn handle(
        &mut self,
        CancelRequest { request, by, anybodys }: CancelRequest,
        _: &mut Self::Context,
    ) -> Self::Result {
        let (catalogue, in_flight) = (self.catalogue.clone(), self.probe.in_flight());
        let cancelling = async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let row = index.request(request)?;
                let devices = row.as_ref().map(|row| row.request.devices.clone()).unwrap_or_default();
                Ok(queue::cancel(request, row.as_ref(), by, anybodys).map(|facts| (facts, devices)))
            });
            Ok(decided.await?)
        };
        let cancelling = cancelling.into_actor(self).map(
            |cancelled: Result<Vec<DeviceId>, DecisionError<CancelRefused>>, queue, _| {
                cancelled?.into_iter().for_each(|device| queue.sessions.tell(LookAgain(device)));
                Ok(())
            },
        );
        Box::pin(cancelling)
    }
}

impl Handler<Tell> for RequestQueue {
    type Result = ResponseFuture<Result<(), RecordError>>;

    fn handle(&mut self, Tell { device, said }: Tell, _: &mut Self::Context) -> Self::Result {
        let now = self.clock.now();
        self.record_what(move |index| {
            let clock = index.clock(device)?;
            let mut facts = queue::told(&index.open_requests_of(device)?, said.clone(), &clock, now);
            // What it says now counts at once.
            let told = facts.clone();
            let settled = settled(index, device, now, |id| {
                told.iter().find_map(|fact| match fact {
                    Fact::Request(RequestFact::Told { request, holds, .. }) if *request == id => Some(*holds),
                    _ => None,
                })
            })?;
            let devices = if settled.is_empty() { Vec::new() } else { vec![device] };
            facts.extend(settled);
            Ok((facts, devices))
        })
    }
}

impl Handler<HandedOver> for RequestQueue {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, HandedOver { device, requests }: HandedOver, _: &mut Self::Context) -> Self::Result {
        let recording = self.record_what(move |index| {
            let open = index.open_requests_of(device)?;
            let first = |id: &&RequestId| {
                open.iter().any(|(request, target)| request.id == **id && target.handed_over.is_none())
            };
            let fact = |id: &RequestId| Fact::Request(RequestFact::HandedOver { request: *id, device });
            Ok((requests.iter().filter(first).map(fact).collect(), vec![device]))
        });
        Box::pin(async move { drop(recording.await) })
    }
}

impl Handler<RecordingStored> for RequestQueue {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, RecordingStored(device): RecordingStored, _: &mut Self::Context) -> Self::Result {
        let now = self.clock.now();
        let recording = self.record_what(move |index| Ok((settled(index, device, now, |_| None)?, vec![device])));
        Box::pin(async move { drop(recording.await) })
    }
}

impl Handler<Look> for RequestQueue {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let now = self.clock.now();
        let looking = self.record_what(move |index| {
            let open = index.open_requests()?;
            let mut facts = queue::expired(&open, now);
            let (over, goes_on): (Vec<RequestRow>, Vec<_>) =
                open.into_iter().partition(|row| row.request.expires <= now);
            let of = |rows: Vec<RequestRow>| {
                let mut devices: Vec<_> = rows.into_iter().flat_map(|row| row.request.devices).collect();
                devices.sort_unstable();
                devices.dedup();
                devices
            };
            let mut devices = of(over);
            for device in of(goes_on) {
                let before = facts.len();
                facts.extend(settled(index, device, now, |_| None)?);
                devices.extend((facts.len() > before).then_some(device));
            }
            Ok((facts, devices))
        });
        let again = |_, _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Look, LOOK_EVERY);
        };
        Box::pin(looking.into_actor(self).map(again))
    }
}

/// Which of a device's requests are done; `says` is what it just said of one.
fn settled(
    index: &Index,
    device: DeviceId,
    now: DateTime<Utc>,
    says: impl Fn(RequestId) -> Option<Holds>,
) -> Result<Vec<Fact>, IndexError> {
    let (open, clock) = (index.open_requests_of(device)?, index.clock(device)?);
    let mut offered = None;
    let mut facts = Vec::new();
    for (request, target) in open {
        // One that is over is not done any more.
        if request.expires <= now {
            continue;
        }
        let says = says(request.id).or_else(|| target.says_of(clock.to_device(request.span)));
        let mut stored = index.stored_within(device, request.span)?;
        stored.retain(|lies| request.is_of_camera(&lies.camera));
        // Few say so of a request that goes on; for all of them what the device ever offered is read once.
        let to_come = says.is_some_and(Holds::is_last) && {
            let offered = match &mut offered {
                Some(offered) => offered,
                none => none.insert(Offered::read(index, device, clock.clone())?),
            };
            offered.is_to_come(index, &request, now)?
        };
        if let Some(outcome) = queue::settle(&request, says, &stored, to_come, now) {
            facts.push(Fact::Request(RequestFact::Finished { request: request.id, device, outcome }));
        }
    }
    Ok(facts)
}

/// What a device offered, and where what it holds begins.
struct Offered {
    device: DeviceId,
    rows: Vec<DeclaredRow>,
    clock: DeviceClock,
    oldest: Option<DateTime<Utc>>,
}

impl Offered {
    fn read(index: &Index, device: DeviceId, clock: DeviceClock) -> Result<Self, IndexError> {
        let oldest = index.report(device)?.and_then(|row| row.report.begins(&clock));
        Ok(Self { device, rows: index.declared_of(device)?, clock, oldest })
    }

    /// Whether something of this request is not in the store.
    fn is_to_come(&self, index: &Index, request: &VideoRequest, now: DateTime<Utc>) -> Result<bool, IndexError> {
        for DeclaredRow { declared, .. } in &self.rows {
            let (span, overwrites) = (declared.span(&self.clock), declared.overwrites(&self.clock));
            if queue::is_to_come(declared, span, overwrites, self.oldest, request, now)
                && stored_as(declared, &index.stored(self.device, declared.rid)?).is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
