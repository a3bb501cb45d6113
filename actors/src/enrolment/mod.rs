//! Enrolment: from a token in an admin's hand to a device that the server knows.

mod rules;
mod standing;
mod upload_tokens;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{
    Clock, Device, DeviceId, DeviceModels, EnrolToken, Enrolment as Record, EnrolmentId, Sha256, TokenId, UploadToken,
};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::Fact;
use longshore_store::index::IndexError;
use tokio::sync::watch;

use crate::kit::blocking;
use crate::kit::{Lifeline, Probe, fail_point};
use crate::profiles;
pub use rules::{Approval, ApprovalOf, ApproveRefused, Claim, ClaimRefused};
pub use standing::{Change, ChangeRefused};
pub use upload_tokens::{KeylessDevice, UploadTokenRefused};

/// Enrolments that may be waited for at once: each parked poll holds a place. A dock room enrols a few dozen at once.
const MAX_WATCHED: usize = 1024;

/// Why an enrolment call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError<R> {
    /// The rules say no.
    #[error("{0}")]
    Refused(R),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The operating system has no randomness to give.
    #[error("no random numbers can be had from the operating system")]
    NoRandomness,
    /// The actor does not answer.
    #[error("enrolment does not answer")]
    Unavailable,
}

impl<R> From<DecideError<R>> for EnrolError<R> {
    fn from(error: DecideError<R>) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

/// The actor; it holds who waits, and nothing that the catalogue lacks.
pub(crate) struct Enrolment {
    catalogue: Catalogue,
    models: Arc<DeviceModels>,
    clock: Arc<dyn Clock>,
    watched: HashMap<EnrolmentId, watch::Sender<()>>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// A token that an admin asked for; its secret is told once, here.
#[derive(Clone)]
pub struct IssuedToken {
    /// What the server keeps.
    pub token: EnrolToken,
    /// The secret half.
    pub secret: [u8; 16],
}

/// A token for uploads that an admin asked for; its text is told once, here.
#[derive(Clone)]
pub struct IssuedUploadToken {
    /// What the server keeps.
    pub token: UploadToken,
    /// What the client sends.
    pub text: String,
}

/// Make a token for uploads in the name of the device with this serial.
#[derive(Message)]
#[rtype(result = "Result<IssuedUploadToken, EnrolError<UploadTokenRefused>>")]
pub(crate) struct IssueUploadToken {
    pub(crate) serial: String,
    /// Where the device has to be made known first.
    pub(crate) keyless: Option<KeylessDevice>,
    pub(crate) by: String,
}

/// Make a token for uploads worthless.
#[derive(Message)]
#[rtype(result = "Result<Device, EnrolError<UploadTokenRefused>>")]
pub(crate) struct RevokeUploadToken {
    pub(crate) serial: String,
    pub(crate) token: TokenId,
    pub(crate) by: String,
}

/// Make a token for one device.
#[derive(Message)]
#[rtype(result = "Result<IssuedToken, EnrolError<Infallible>>")]
pub(crate) struct Issue {
    pub(crate) serial: String,
    pub(crate) model: String,
    pub(crate) valid_for: Duration,
    pub(crate) by: String,
}

/// A device asks to be known. Asking again with the same token and key finds the same enrolment.
#[derive(Message)]
#[rtype(result = "Result<Record, EnrolError<ClaimRefused>>")]
pub(crate) struct Request(pub(crate) Claim);

/// Complete the set-up of a device.
#[derive(Message)]
#[rtype(result = "Result<Device, EnrolError<ApproveRefused>>")]
pub(crate) struct Approve(pub(crate) Approval);

/// Suspend, activate or retire the device with this serial.
#[derive(Message)]
#[rtype(result = "Result<Device, EnrolError<ChangeRefused>>")]
pub(crate) struct ChangeStanding {
    pub(crate) serial: String,
    pub(crate) change: Change,
    pub(crate) by: String,
}

/// Be told when this enrolment changes.
#[derive(Message)]
#[rtype(result = "Option<watch::Receiver<()>>")]
pub(crate) struct Watch(pub(crate) EnrolmentId);

impl Enrolment {
    pub(crate) fn new(
        catalogue: Catalogue,
        models: Arc<DeviceModels>,
        clock: Arc<dyn Clock>,
        lifeline: Lifeline,
        probe: Probe,
    ) -> Self {
        Self { catalogue, models, clock, watched: HashMap::new(), probe, _lifeline: lifeline }
    }
}

impl Actor for Enrolment {
    type Context = Context<Self>;
}

impl Handler<Issue> for Enrolment {
    type Result = ResponseFuture<Result<IssuedToken, EnrolError<Infallible>>>;

    fn handle(&mut self, Issue { serial, model, valid_for, by }: Issue, _: &mut Self::Context) -> Self::Result {
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            // Drawn as an id is: 128 random bits.
            let random = || TokenId::random().map_err(|_| EnrolError::NoRandomness);
            let (id, secret) = (random()?, *random()?.as_bytes());
            let token = EnrolToken {
                id,
                secret_hash: Sha256::of(&secret),
                serial,
                model,
                expires: now + valid_for,
                uses_left: 1,
            };
            catalogue.record(vec![Fact::TokenIssued { token: token.clone(), by }]).await?;
            Ok(IssuedToken { token, secret })
        })
    }
}

impl Handler<Request> for Enrolment {
    type Result = ResponseFuture<Result<Record, EnrolError<ClaimRefused>>>;

    fn handle(&mut self, Request(claim): Request, _: &mut Self::Context) -> Self::Result {
        fail_point!("enrolment-request");
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let id = EnrolmentId::random().map_err(|_| EnrolError::NoRandomness)?;
            let decided = catalogue.decide(move |index| {
                let token = index.token(claim.token)?;
                let earlier = index.enrolments()?.into_iter().find(|known| known.token == claim.token);
                Ok(rules::claim(claim, token.as_ref(), earlier, id, now))
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<Approve> for Enrolment {
    type Result = ResponseActFuture<Self, Result<Device, EnrolError<ApproveRefused>>>;

    fn handle(&mut self, Approve(approval): Approve, _: &mut Self::Context) -> Self::Result {
        let models = Arc::clone(&self.models);
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        let deciding = async move {
            let _in_flight = in_flight;
            let id = DeviceId::random().map_err(|_| EnrolError::<ApproveRefused>::NoRandomness)?;
            let decided = catalogue.decide(move |index| {
                let waiting = rules::waiting(&approval.serial, index.enrolments()?, now);
                let meant = match rules::meant(&approval.serial, approval.code.as_deref(), &waiting) {
                    Ok(meant) => meant,
                    Err(refused) => return Ok(Err(refused)),
                };
                if let (ApprovalOf::NewDevice { profile, .. }, Some(meant)) = (&approval.of, meant)
                    && let Err(refused) = profiles::may_be_given(index, &models, profile, &meant.serial, &meant.model)?
                {
                    return Ok(Err(ApproveRefused::Profile(refused)));
                }
                let of_serial = index.device_by_serial(&approval.serial)?;
                let of_key = meant.map_or(Ok(None), |meant| index.device_by_key(meant.key))?;
                let decided = rules::approve(approval, meant, of_serial.as_ref(), of_key.as_ref(), id, now);
                Ok(decided.map(|(mut facts, approved)| {
                    // The others of this serial must not be approved later in its place.
                    let (chosen, device) = approved;
                    let others = waiting.iter().map(|other| other.id).filter(|other| *other != chosen);
                    facts.extend(others.map(|enrolment| Fact::EnrolmentSuperseded { enrolment }));
                    let decided: Vec<_> = waiting.iter().map(|waiting| waiting.id).collect();
                    (facts, (decided, device))
                }))
            });
            decided.await.map_err(EnrolError::from)
        };
        let deciding = deciding.into_actor(self).map(|result: Result<(Vec<EnrolmentId>, Device), _>, actor, _| {
            let (decided, device) = result?;
            for watched in decided.iter().filter_map(|enrolment| actor.watched.remove(enrolment)) {
                watched.send_replace(());
            }
            Ok(device)
        });
        Box::pin(deciding)
    }
}

impl Handler<ChangeStanding> for Enrolment {
    type Result = ResponseFuture<Result<Device, EnrolError<ChangeRefused>>>;

    fn handle(&mut self, ChangeStanding { serial, change, by }: ChangeStanding, _: &mut Self::Context) -> Self::Result {
        let (catalogue, in_flight) = (self.catalogue.clone(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let device = index.device_by_serial(&serial)?;
                Ok(standing::change(&serial, device, change, by))
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<IssueUploadToken> for Enrolment {
    type Result = ResponseFuture<Result<IssuedUploadToken, EnrolError<UploadTokenRefused>>>;

    fn handle(&mut self, issue: IssueUploadToken, _: &mut Self::Context) -> Self::Result {
        let IssueUploadToken { serial, keyless, by } = issue;
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let random = || TokenId::random().map_err(|_| EnrolError::NoRandomness);
            let (id, secret) = (random()?, random()?);
            let device = DeviceId::random().map_err(|_| EnrolError::NoRandomness)?;
            // The beginning lets programs that look for leaked secrets know it.
            let text = format!("lsu_{secret}");
            let token = UploadToken { id, hash: Sha256::of(text.as_bytes()), issued_at: now };
            let given = token.clone();
            let decided = catalogue.decide(move |index| {
                let known = index.device_by_serial(&serial)?;
                Ok(upload_tokens::issue(serial, known, keyless, device, given, by))
            });
            decided.await?;
            Ok(IssuedUploadToken { token, text })
        })
    }
}

impl Handler<RevokeUploadToken> for Enrolment {
    type Result = ResponseFuture<Result<Device, EnrolError<UploadTokenRefused>>>;

    fn handle(&mut self, revoke: RevokeUploadToken, _: &mut Self::Context) -> Self::Result {
        let RevokeUploadToken { serial, token, by } = revoke;
        let (catalogue, in_flight) = (self.catalogue.clone(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let device = index.device_by_serial(&serial)?;
                Ok(upload_tokens::revoke(serial, device, token, by))
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<Watch> for Enrolment {
    type Result = MessageResult<Watch>;

    fn handle(&mut self, Watch(enrolment): Watch, _: &mut Self::Context) -> Self::Result {
        self.watched.retain(|_, sender| sender.receiver_count() > 0);
        if self.watched.len() >= MAX_WATCHED && !self.watched.contains_key(&enrolment) {
            return MessageResult(None);
        }
        MessageResult(Some(self.watched.entry(enrolment).or_insert_with(|| watch::Sender::new(())).subscribe()))
    }
}

/// The enrolment with this id, if this key made it.
pub(crate) async fn find(
    catalogue: &Catalogue,
    enrolment: EnrolmentId,
    key: Sha256,
) -> Result<Option<Record>, IndexError> {
    let index = catalogue.index().clone();
    let found = blocking(move || index.enrolment(enrolment)).await?;
    Ok(found.filter(|enrolment| enrolment.key == key))
}
