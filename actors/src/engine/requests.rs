//! What people ask of devices: footage, commands; and what devices say of it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::{ClockSample, Command, CommandOp, DeviceClock, DeviceId, RequestId, Span, health_type};
use longshore_store::facts::Fact;
use longshore_store::index::{Index, IndexError};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::health::{Notice, clock as clock_health};
use crate::kit::{ASK_DEADLINE, ask, blocking};
use crate::reports::{self, CommandRefused, Said};
use crate::requests::{
    AddRefused, Added, CancelRefused, CancelRequest, Draft, HandedOver, RequestVideo, RequestView, Tell, Views,
};
use crate::sessions::{Desires, LookAgain, Park, Want};

impl Engine {
    /// Asks for footage. The same again finds the same request. Whoever asks is told of it by mail, if the account has an address.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn request_video(&self, mut draft: Draft) -> Result<Added, DecisionError<AddRefused>> {
        if self.has_mail() {
            let (index, requester) = (self.catalogue.index().clone(), draft.requester.clone());
            let account = blocking(move || index.account(&requester)).await?;
            draft.notify.extend(account.and_then(|account| account.mail).and_then(|mail| mail.parse().ok()));
        }
        let asked = self.requests.ask(RequestVideo(draft), ASK_DEADLINE).await;
        asked.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Gives a request up; `anybodys`: also one that somebody else made.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn cancel_request(
        &self,
        request: RequestId,
        by: String,
        anybodys: bool,
    ) -> Result<(), DecisionError<CancelRefused>> {
        let asked = self.requests.ask(CancelRequest { request, by, anybodys }, ASK_DEADLINE).await;
        asked.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// The `most` requests that were made last, the newest first, with how they stand.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn newest_requests(&self, most: usize) -> Result<Vec<RequestView>, EngineError> {
        let (index, connected, now) = (self.catalogue.index().clone(), self.connected(), self.clock.now());
        let read = blocking(move || {
            let mut views = Views::new(&index, &connected, now);
            index.newest_requests(most)?.iter().map(|row| views.of(row)).collect()
        });
        Ok(read.await?)
    }

    /// One request, with how it stands.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn request(&self, request: RequestId) -> Result<Option<RequestView>, EngineError> {
        let (index, connected, now) = (self.catalogue.index().clone(), self.connected(), self.clock.now());
        let read = blocking(move || {
            index.request(request)?.map(|row| Views::new(&index, &connected, now).of(&row)).transpose()
        });
        Ok(read.await?)
    }

    fn connected(&self) -> HashSet<DeviceId> {
        self.presence.sessions().into_iter().map(|(device, _)| device).collect()
    }

    /// What the server wants of this device; the receiver changes when that does.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn wants(&self, device: DeviceId) -> Result<watch::Receiver<Arc<Desires>>, EngineError> {
        let session = self.session(device).await.ok_or(EngineError::Unavailable)?;
        Ok(ask(&session, Want, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)??)
    }

    /// A poll of this device waits from now on; one that waited before ends. The receiver resolves when this one has to.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn park(&self, device: DeviceId) -> Result<oneshot::Receiver<()>, EngineError> {
        let session = self.session(device).await.ok_or(EngineError::Unavailable)?;
        ask(&session, Park, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)
    }

    /// The device is told of these requests for the first time.
    pub fn handed_over(&self, device: DeviceId, requests: Vec<RequestId>) {
        if !requests.is_empty() {
            self.requests.tell(HandedOver { device, requests });
        }
    }

    /// Takes what a device's clock showed, if it says something new.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn sample_clock(&self, device: DeviceId, sample: ClockSample) -> Result<(), EngineError> {
        clock_health::notice(self.notices(), device, &sample);
        self.record_news(device, move |index| reports::sampled(index, device, &sample)).await
    }

    /// Takes what a device says of itself, of the requests that it was given and of its commands. It is recorded when this
    /// returns.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn report(&self, device: DeviceId, said: Said) -> Result<(), EngineError> {
        let requests = said.requests.clone();
        if let Some(network) = &said.report.network {
            self.health_parts.signals.heard(self.notices(), device, network);
        }
        let now = self.clock.now();
        let (index, said_firmware) = (self.catalogue.index().clone(), said.report.firmware.clone());
        let before = blocking(move || index.report(device)).await?.and_then(|row| row.report.firmware);
        self.record_news(device, move |index| reports::reported(index, device, &said, now)).await?;
        if let (Some(before), Some(now)) = (before, said_firmware)
            && before != now
        {
            let notice = Notice::of_device(device, health_type::FIRMWARE_CHANGED);
            self.notices().happened(notice.text(format!("{before} before, {now} now")));
        }
        if requests.is_empty() {
            return Ok(());
        }
        let index = self.catalogue.index().clone();
        let clock = blocking(move || index.clock(device)).await?;
        let truly = |span: Span| in_true_time(&clock, span);
        let said = requests.into_iter().map(|(id, holds, ranges)| (id, holds, ranges.into_iter().map(truly).collect()));
        let tell = Tell { device, said: said.collect() };
        Ok(self.requests.ask(tell, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)??)
    }

    /// Tells the device with this serial to do something.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn command(
        &self,
        serial: String,
        op: CommandOp,
        by: String,
    ) -> Result<Command, DecisionError<CommandRefused>> {
        let new = reports::new_command(op, self.clock.now()).map_err(|_| DecisionError::NoRandomness)?;
        let deciding = self.catalogue.decide(move |index| {
            let device = index.device_by_serial(&serial)?;
            let waiting = device.as_ref().map_or(Ok(Vec::new()), |device| index.commands(device.id))?;
            Ok(reports::command(&serial, device, &waiting, new, by))
        });
        let decided = timeout(ASK_DEADLINE, deciding).await.map_err(|_| DecisionError::Unavailable)?;
        let (device, command) = decided?;
        self.sessions.tell(LookAgain(device));
        Ok(command)
    }

    /// Records what is new, if anything is; nearly always nothing, so the writer is only asked when there is.
    async fn record_news<F>(&self, device: DeviceId, news: F) -> Result<(), EngineError>
    where
        F: Fn(&Index) -> Result<Vec<Fact>, IndexError> + Clone + Send + 'static,
    {
        let (index, look) = (self.catalogue.index().clone(), news.clone());
        if blocking(move || Ok(look(&index)?.is_empty())).await? {
            return Ok(());
        }
        let deciding = self.catalogue.decide(move |index| Ok(Ok::<_, Infallible>((news(index)?, ()))));
        timeout(ASK_DEADLINE, deciding).await.map_err(|_| EngineError::Unavailable)??;
        self.sessions.tell(LookAgain(device));
        Ok(())
    }
}

/// A stretch that the device told by its own clock.
fn in_true_time(clock: &DeviceClock, span: Span) -> Span {
    let truly = |moment: DateTime<Utc>| clock.to_true(moment.fixed_offset(), None).unwrap_or(moment);
    let (from, to) = (truly(span.from), truly(span.to));
    Span { from, to: to.max(from) }
}
