//! Becoming known to a server.

use std::time::Duration;

use longshore_model::{ReceiptVerifier, Sha256};
use longshore_protocol::{
    Approval, EnrolmentAnswer, EnrolmentDevice, EnrolmentRequest, EnrolmentStatus, Problem, ProblemType,
};
use rcgen::{KeyPair, PublicKeyData};
use tokio::time::{Instant, sleep};

use crate::backoff::{Backoff, Pace, random};
use crate::client::{CallError, Client};
use crate::device_clock::DeviceClock;
use crate::invitation::Invitation;
use crate::progress::Observer;
use crate::state::{Identity, State, StateError, read_certificates};
use crate::tls::{self, TlsError};
use crate::verdict::Verdict;

/// A server that answers "pending" faster than this does not hold the answer back, so the device waits instead.
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// Why the device is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The device trusts another server already.
    #[error(
        "this device is enrolled at {server}, and the text is for a server with another key. It goes on sending to \
         {server} alone. If it is really meant to change, remove the folder {state} by hand and enrol again"
    )]
    OtherServer {
        /// First address of the server it trusts.
        server: String,
        /// The state folder.
        state: String,
    },
    /// The server says no.
    #[error("the server does not accept this device: {0}")]
    Refused(Box<Problem>),
    /// The server does not know of the enrolment any more.
    #[error("the server has no such enrolment any more: {0}; run the same command again to ask anew")]
    Forgotten(Box<Problem>),
    /// What the server gave does not fit.
    #[error("the approval cannot be used: {0}; nothing was stored, tell the server's administrator")]
    BadApproval(String),
    /// The call failed for good.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The own key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What the device says of itself; what it leaves out, the token says.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// As printed on the device.
    pub serial: Option<String>,
    /// Name of the model.
    pub model: Option<String>,
}

/// Asks the server that invited it to be known, and waits until an admin approves. Safe to run again at any time: a device
/// that is enrolled already asks again only with another invitation of its own server, and stays who it is until that is
/// approved.
///
/// # Errors
/// [`EnrolError`]; lost connections are none, since they are tried again.
pub async fn enrol(
    state: &State,
    invitation: impl Into<Invitation>,
    about: About,
    clock: &DeviceClock,
    pace: &Pace,
    observer: &dyn Observer,
) -> Result<Identity, EnrolError> {
    let invitation = &invitation.into();
    if let Some(identity) = state.identity()? {
        let server = identity.server.urls.first().cloned().unwrap_or_default();
        if !identity.pins().into_iter().any(|pin| invitation.is_for(pin)) {
            let state = state.folder().display().to_string();
            return Err(EnrolError::OtherServer { server, state });
        }
        if identity.token == Some(invitation.mark()) {
            observer.say(&format!("already enrolled as {} at {server}", identity.serial));
            return Ok(identity);
        }
        // Whoever made a new text means it: the server may have retired the device, or lost its data folder.
        let serial = &identity.serial;
        observer.say(&format!("enrolled as {serial} at {server} with an earlier text; asking anew, with the same key"));
    }
    let key = state.key()?;
    let config = tls::client_config(&key, vec![tls::self_signed(&key)?], invitation.clone())?;
    let client = Client::new(config, vec![invitation.server().clone()])?;
    let request = EnrolmentRequest {
        device: EnrolmentDevice { serial: about.serial, model: about.model, ..EnrolmentDevice::default() },
        clock: Some(clock.for_wire()),
        unsent: None,
    };
    let mut waiting = Waiting { backoff: Backoff::new(pace.first, pace.longest), observer };
    let mut answer = loop {
        match client.enrol(invitation, &request).await {
            Ok(answer) => break answer,
            Err(error) => waiting.after(error).await?,
        }
    };
    observer.say(&next_step(invitation, &answer));
    loop {
        if let EnrolmentStatus::Approved(approval) = &answer.status {
            let identity = accept(&answer, approval, invitation, &key)?;
            state.keep_enrolment(&identity, &approval.certificate)?;
            observer.say(&format!("enrolled as {} ({})", identity.serial, identity.model));
            return Ok(identity);
        }
        let asked = Instant::now();
        match client.enrolment(answer.id).await {
            Ok(news) => {
                answer = news;
                waiting.backoff.reset();
                if answer.status == EnrolmentStatus::Pending {
                    sleep(SHORTEST_POLL.saturating_sub(asked.elapsed())).await;
                }
            }
            Err(error) => waiting.after(error).await?,
        }
    }
}

fn next_step(invitation: &Invitation, answer: &EnrolmentAnswer) -> String {
    format!(
        "{} knows of {} ({}); code {code}\n\
         Now an admin runs, on the server, and compares the code {code}:\n    longshore device approve {} …\n\
         Waiting for that. Ctrl-C is safe: the same command continues.",
        invitation.server().origin().ascii_serialization(),
        answer.serial,
        answer.model,
        answer.serial,
        code = answer.code,
    )
}

struct Waiting<'a> {
    backoff: Backoff,
    observer: &'a dyn Observer,
}

impl Waiting<'_> {
    /// Waits before the next try, unless another try would end the same way.
    async fn after(&mut self, error: CallError) -> Result<(), EnrolError> {
        let error = worth_another_try(error)?;
        let wait = self.backoff.wait(error.retry_after(), random());
        self.observer.warn(&format!("{error}; trying again in {:.1} s", wait.as_secs_f32()));
        sleep(wait).await;
        Ok(())
    }
}

/// Passes on an error that may pass; what another try would only bring again becomes the end.
fn worth_another_try(error: CallError) -> Result<CallError, EnrolError> {
    let problem = match &error {
        CallError::Unreachable { .. } => return Ok(error),
        CallError::WrongKey { .. } | CallError::Protocol(_) => return Err(EnrolError::Call(error)),
        CallError::Problem { problem, .. } => problem,
    };
    match Verdict::on(problem) {
        Verdict::WaitForServer | Verdict::WaitForThis => Ok(error),
        _ if problem.is(ProblemType::EnrolmentNotFound) => Err(EnrolError::Forgotten(problem.clone())),
        _ => Err(EnrolError::Refused(problem.clone())),
    }
}

/// Checks that the approval is one that the device can work with; a device that stored another would be lost.
fn accept(
    answer: &EnrolmentAnswer,
    approval: &Approval,
    invitation: &Invitation,
    key: &KeyPair,
) -> Result<Identity, EnrolError> {
    let bad = |reason: &str| EnrolError::BadApproval(reason.to_owned());
    let mut identity = Identity {
        device: approval.device,
        serial: answer.serial.clone(),
        model: answer.model.clone(),
        server: approval.server.clone(),
        token: Some(invitation.mark()),
    };
    let chain = read_certificates(&approval.certificate).map_err(EnrolError::BadApproval)?;
    let certified = chain.first().map(tls::spki_sha256).transpose();
    let certified = certified.map_err(|error| bad(&format!("the certificate cannot be read ({error})")))?;
    if certified != Some(Sha256::of(&key.subject_public_key_info())) {
        return Err(bad("the certificate is for another key than this device's"));
    }
    if !identity.pins().into_iter().any(|pin| invitation.is_for(pin)) {
        return Err(bad("the server does not name the key that it shows among its keys"));
    }
    if identity.server.receipt_keys.keys.is_empty() {
        return Err(bad("the server names no key for receipts"));
    }
    if let Err(error) = ReceiptVerifier::new(&identity.server.receipt_keys) {
        return Err(bad(&format!("the receipt keys cannot be read ({error})")));
    }
    // This address has just worked, which is more than is known of the others.
    let worked = invitation.server().origin().ascii_serialization();
    if !identity.server.urls.contains(&worked) {
        identity.server.urls.push(worked);
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use longshore_model::{DeviceId, EnrolmentId, ReceiptKey};
    use longshore_protocol::{EnrolmentText, ServerIdentity};
    use rcgen::CertificateParams;

    use super::*;

    const TEXT: &str = "https://192.0.2.7:5004/e#1.AAECAwQFBgcICQoLDA0ODw.EBESExQVFhcYGRobHB0eHw.\
                        ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";

    /// Accepts an approval that is right but for what `alter` does to it.
    fn accepted(alter: impl FnOnce(&mut Approval)) -> Result<Identity, EnrolError> {
        let text: EnrolmentText = TEXT.parse().unwrap();
        let key = KeyPair::generate().unwrap();
        let receipt_key = ReceiptKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let mut approval = Approval {
            device: DeviceId::from_bytes([7; 16]),
            certificate: certificate.pem(),
            server: ServerIdentity {
                id: receipt_key.server_id().into(),
                pins: vec![TEXT.rsplit_once('.').unwrap().1.into()],
                urls: vec!["https://dock.example:5004".into()],
                receipt_keys: receipt_key.jwks(),
            },
        };
        alter(&mut approval);
        let answer = EnrolmentAnswer {
            id: EnrolmentId::from_bytes([5; 16]),
            code: "K7PX".into(),
            serial: "B4-10291".into(),
            model: "BC4".into(),
            status: EnrolmentStatus::Pending,
        };
        accept(&answer, &approval, &Invitation::from(&text), &key)
    }

    #[test]
    fn the_address_that_worked_is_kept_beside_those_that_the_server_names() {
        let identity = accepted(|_| {}).unwrap();
        assert_eq!(identity.server.urls, ["https://dock.example:5004", "https://192.0.2.7:5004"]);
    }

    #[test]
    fn an_approval_that_the_device_could_not_work_with_is_refused() {
        let refused = |alter: fn(&mut Approval)| accepted(alter).unwrap_err().to_string();
        let other = |approval: &mut Approval| {
            let key = KeyPair::generate().unwrap();
            approval.certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        };
        assert!(refused(other).contains("another key than this device's"));
        assert!(refused(|approval| approval.certificate.clear()).contains("no certificate"));
        assert!(refused(|approval| approval.server.pins.clear()).contains("the key that it shows"));
        assert!(refused(|approval| approval.server.receipt_keys.keys.clear()).contains("no key for receipts"));
        assert!(refused(|approval| approval.server.receipt_keys.keys[0].y.clear()).contains("cannot be read"));
    }
}
