//! Enrolment: from a token in an admin's hand to a device that the server knows.

mod assigning;
mod messages;
mod rules;
mod standing;
mod upload_tokens;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use longshore_model::{
    Clock, Device, DeviceId, EnrolToken, Enrolment as Record, EnrolmentId, Sha256, TokenId, UploadToken,
};
use longshore_store::catalogue::Catalogue;
use longshore_store::facts::{Fact, PeopleFact};
use longshore_store::index::IndexError;
use tokio::sync::watch;

use crate::decision::DecisionError;
use crate::kit::blocking;
use crate::kit::{Lifeline, Probe, fail_point};
use crate::profiles::{self, Models};
pub use assigning::AssignRefused;
pub(crate) use messages::{
    Approve, Assign, ChangeStanding, Issue, IssueUploadToken, Reject, Request, Revoke, RevokeUploadToken, Watch,
};
use rules::Known;
pub use rules::{Approval, ApprovalOf, ApproveRefused, Claim, ClaimRefused};
pub use standing::{Change, ChangeRefused};
pub use upload_tokens::{KeylessDevice, UploadTokenRefused};

/// Enrolments that may be waited for at once: each parked poll holds a place. A dock room enrols a few dozen at once.
const MAX_WATCHED: usize = 1024;

/// Tells who looks at the list of those that wait that it is another one; it outlives the actor.
pub(crate) type Arrivals = Arc<watch::Sender<()>>;

/// The actor; it holds who waits, and nothing that the catalogue lacks.
pub(crate) struct Enrolment {
    catalogue: Catalogue,
    models: Models,
    clock: Arc<dyn Clock>,
    watched: HashMap<EnrolmentId, watch::Sender<()>>,
    /// Changes when somebody begins to wait, or ends to.
    arrivals: Arrivals,
    probe: Probe,
    _lifeline: Lifeline,
}

/// A token that is to be made. Its secret is drawn and told by whoever asks; it never comes here.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The one device that it is for, if it is for one.
    pub serial: Option<String>,
    /// Model of all devices that it is for, if they have one.
    pub model: Option<String>,
    /// It is typed and not scanned.
    pub typed: bool,
    /// SHA-256 of its secret.
    pub secret_hash: Sha256,
    /// How long it is good.
    pub valid_for: Duration,
    /// Devices that may be enrolled with it.
    pub uses: u32,
}

/// Why an enrolment token stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenUnknown {
    /// None has this id, or it counts for nothing already.
    #[error("there is no good enrolment token {0}; `longshore device tokens` shows which there are")]
    Unknown(TokenId),
}

/// A token for uploads that an admin asked for; its text is told once, here.
#[derive(Clone)]
pub struct IssuedUploadToken {
    /// What the server keeps.
    pub token: UploadToken,
    /// What the client sends.
    pub text: String,
}

impl Enrolment {
    pub(crate) fn new(
        catalogue: Catalogue,
        models: Models,
        clock: Arc<dyn Clock>,
        arrivals: Arrivals,
        lifeline: Lifeline,
        probe: Probe,
    ) -> Self {
        // What happened while it was being restarted.
        arrivals.send_replace(());
        Self { catalogue, models, clock, watched: HashMap::new(), arrivals, probe, _lifeline: lifeline }
    }

    fn decided(&mut self, enrolments: &[EnrolmentId]) {
        for watched in enrolments.iter().filter_map(|enrolment| self.watched.remove(enrolment)) {
            watched.send_replace(());
        }
        self.arrivals.send_replace(());
    }
}

impl Actor for Enrolment {
    type Context = Context<Self>;
}

impl Handler<Issue> for Enrolment {
    type Result = ResponseFuture<Result<EnrolToken, DecisionError<Infallible>>>;

    fn handle(&mut self, Issue { token, by }: Issue, _: &mut Self::Context) -> Self::Result {
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let id = TokenId::random().map_err(|_| DecisionError::NoRandomness)?;
            let NewToken { serial, model, typed, secret_hash, valid_for, uses } = token;
            let expires = now + valid_for;
            let token =
                EnrolToken { id, secret_hash, serial, model, typed, expires, uses_left: uses, revoked_at: None };
            catalogue.record(vec![Fact::TokenIssued { token: token.clone(), by }]).await?;
            Ok(token)
        })
    }
}

impl Handler<Revoke> for Enrolment {
    type Result = ResponseFuture<Result<EnrolToken, DecisionError<TokenUnknown>>>;

    fn handle(&mut self, Revoke { token, by }: Revoke, _: &mut Self::Context) -> Self::Result {
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let known = index.token(token)?.filter(|known| known.is_good(now));
                let revoked = known.map(|known| {
                    let known = EnrolToken { revoked_at: Some(now), ..known };
                    (vec![Fact::People(PeopleFact::TokenRevoked { token, by })], known)
                });
                Ok(revoked.ok_or(TokenUnknown::Unknown(token)))
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<Request> for Enrolment {
    type Result = ResponseActFuture<Self, Result<Record, DecisionError<ClaimRefused>>>;

    fn handle(&mut self, Request(claim): Request, _: &mut Self::Context) -> Self::Result {
        fail_point!("enrolment-request");
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        let deciding = async move {
            let _in_flight = in_flight;
            let id = EnrolmentId::random().map_err(|_| DecisionError::<ClaimRefused>::NoRandomness)?;
            let decided = catalogue.decide(move |index| {
                let token = match claim.token {
                    Some(id) => index.token(id)?,
                    None => {
                        let is_meant = |token: &EnrolToken| {
                            token.typed && token.serial == claim.serial && token.secret_hash == claim.secret_hash
                        };
                        index.tokens()?.into_iter().rev().find(is_meant)
                    }
                };
                let is_same = |known: &Record| {
                    known.key == claim.key && token.as_ref().is_some_and(|token| token.id == known.token)
                };
                let earlier = index.enrolments()?.into_iter().rev().find(is_same);
                Ok(rules::claim(claim, token.as_ref(), earlier, id, now))
            });
            decided.await.map_err(DecisionError::from)
        };
        Box::pin(deciding.into_actor(self).map(|result: Result<Record, _>, actor, _| {
            if result.is_ok() {
                actor.arrivals.send_replace(());
            }
            result
        }))
    }
}

impl Handler<Reject> for Enrolment {
    type Result = ResponseActFuture<Self, Result<Vec<Record>, DecisionError<ApproveRefused>>>;

    fn handle(&mut self, Reject { serial, code, by }: Reject, _: &mut Self::Context) -> Self::Result {
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        let deciding = async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let waiting = rules::waiting(&serial, index.enrolments()?, now);
                Ok(rules::reject(&serial, code.as_deref(), &waiting, &by))
            });
            decided.await.map_err(DecisionError::from)
        };
        Box::pin(deciding.into_actor(self).map(|result: Result<Vec<Record>, _>, actor, _| {
            let rejected = result?;
            let decided: Vec<_> = rejected.iter().map(|rejected| rejected.id).collect();
            actor.decided(&decided);
            Ok(rejected)
        }))
    }
}

impl Handler<Assign> for Enrolment {
    type Result = ResponseFuture<Result<Device, DecisionError<AssignRefused>>>;

    fn handle(&mut self, assign: Assign, _: &mut Self::Context) -> Self::Result {
        let Assign { serial, assignee, from, by } = assign;
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let device = index.device_by_serial(&serial)?;
                Ok(assigning::assign(&serial, device, assignee, from, now, by))
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<Approve> for Enrolment {
    type Result = ResponseActFuture<Self, Result<Device, DecisionError<ApproveRefused>>>;

    fn handle(&mut self, Approve(approval): Approve, _: &mut Self::Context) -> Self::Result {
        let models = Arc::clone(&self.models.borrow());
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        let deciding = async move {
            let _in_flight = in_flight;
            let id = DeviceId::random().map_err(|_| DecisionError::<ApproveRefused>::NoRandomness)?;
            let decided = catalogue.decide(move |index| {
                let waiting = rules::waiting(&approval.serial, index.enrolments()?, now);
                let meant = match rules::meant(&approval.serial, approval.code.as_deref(), &waiting) {
                    Ok(meant) => meant,
                    Err(refused) => return Ok(Err(refused)),
                };
                let replaced = match &approval.of {
                    ApprovalOf::Replacement { of } => index.device_by_serial(of)?,
                    ApprovalOf::NewDevice { .. } | ApprovalOf::KnownDevice => None,
                };
                let groups = index.group_profiles()?;
                let profile = match &approval.of {
                    ApprovalOf::NewDevice { profile, .. } => Some(profile.as_str()),
                    ApprovalOf::Replacement { .. } => replaced.as_ref().map(|replaced| groups.of(replaced).name),
                    ApprovalOf::KnownDevice => None,
                };
                if let (Some(profile), Some(Record { serial, model, .. })) = (profile, meant)
                    && let Err(refused) =
                        profiles::may_be_given(index, &models, profile, serial, model, replaced.as_ref())?
                {
                    return Ok(Err(ApproveRefused::Profile(refused)));
                }
                let of_serial = index.device_by_serial(&approval.serial)?;
                let of_key = meant.map_or(Ok(None), |meant| index.device_by_key(meant.key))?;
                let (of_serial, of_key) = (of_serial.as_ref(), of_key.as_ref());
                let known = Known { waiting: meant, of_serial, of_key, replaced: replaced.as_ref() };
                let decided = rules::approve(approval, known, id, now);
                Ok(decided.map(|(mut facts, approved)| {
                    // The others of this serial must not be approved later in its place.
                    let (chosen, device) = approved;
                    let others = waiting.iter().map(|other| other.id).filter(|other| *other != chosen);
                    facts.extend(others.map(|enrolment| Fact::EnrolmentSuperseded { enrolment }));
                    let decided: Vec<_> = waiting.iter().map(|waiting| waiting.id).collect();
                    (facts, (decided, device))
                }))
            });
            decided.await.map_err(DecisionError::from)
        };
        let deciding = deciding.into_actor(self).map(|result: Result<(Vec<EnrolmentId>, Device), _>, actor, _| {
            let (decided, device) = result?;
            actor.decided(&decided);
            Ok(device)
        });
        Box::pin(deciding)
    }
}

impl Handler<ChangeStanding> for Enrolment {
    type Result = ResponseFuture<Result<Device, DecisionError<ChangeRefused>>>;

    fn handle(&mut self, ChangeStanding { serial, change, by }: ChangeStanding, _: &mut Self::Context) -> Self::Result {
        let (catalogue, in_flight) = (self.catalogue.clone(), self.probe.in_flight());
        let models = Arc::clone(&self.models.borrow());
        Box::pin(async move {
            let _in_flight = in_flight;
            let decided = catalogue.decide(move |index| {
                let device = index.device_by_serial(&serial)?;
                let decided = standing::change(&serial, device, change, by);
                // While it was out of service its profile may have become one that it can't have, or its address another's.
                if let (Change::Activate, Ok((_, device))) = (change, &decided) {
                    let groups = index.group_profiles()?;
                    let profile = groups.of(device).name;
                    if let Err(refused) = profiles::may_be_given(index, &models, profile, &serial, &device.model, None)?
                    {
                        return Ok(Err(ChangeRefused::Profile(refused, serial)));
                    }
                }
                Ok(decided)
            });
            Ok(decided.await?)
        })
    }
}

impl Handler<IssueUploadToken> for Enrolment {
    type Result = ResponseFuture<Result<IssuedUploadToken, DecisionError<UploadTokenRefused>>>;

    fn handle(&mut self, issue: IssueUploadToken, _: &mut Self::Context) -> Self::Result {
        let IssueUploadToken { serial, keyless, by } = issue;
        let (catalogue, now, in_flight) = (self.catalogue.clone(), self.clock.now(), self.probe.in_flight());
        Box::pin(async move {
            let _in_flight = in_flight;
            let random = || TokenId::random().map_err(|_| DecisionError::NoRandomness);
            let (id, secret) = (random()?, random()?);
            let device = DeviceId::random().map_err(|_| DecisionError::NoRandomness)?;
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
    type Result = ResponseFuture<Result<Device, DecisionError<UploadTokenRefused>>>;

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
