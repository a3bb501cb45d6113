//! Who may do business with the server: enrolment, standing, tokens, and who calls.

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use longshore_model::{Device, DeviceState, EnrolToken, Enrolment as EnrolmentRecord, EnrolmentId, Sha256, TokenId};
use longshore_store::facts::Fact;
use longshore_store::index::{Index, IndexError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::enrolment::{
    self, Approval, ApprovalOf, Approve, ApproveRefused, Assign, AssignRefused, Change, ChangeRefused, ChangeStanding,
    Claim, ClaimRefused, Issue, IssueUploadToken, IssuedUploadToken, KeylessDevice, NewToken, Reject, Request, Revoke,
    RevokeUploadToken, TokenUnknown, UploadTokenRefused, Watch,
};
use crate::kit::ASK_DEADLINE;
use crate::kit::blocking;
use crate::sessions::{EndSession, LookAgain};

/// By what a device is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// SHA-256 of a public key that it has proved to hold.
    Key(Sha256),
    /// SHA-256 of a token for uploads.
    UploadToken(Sha256),
}

impl Credential {
    fn device(self, index: &Index) -> Result<Option<Device>, IndexError> {
        match self {
            Self::Key(key) => index.device_by_key(key),
            Self::UploadToken(hash) => index.device_by_upload_token(hash),
        }
    }
}

impl Engine {
    /// Makes an enrolment token.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn issue_token(&self, token: NewToken, by: String) -> Result<EnrolToken, DecisionError<Infallible>> {
        self.enrolment.ask(Issue { token, by }, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Makes an enrolment token worthless; who began with it before goes on waiting.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn revoke_token(&self, token: TokenId, by: String) -> Result<EnrolToken, DecisionError<TokenUnknown>> {
        self.enrolment.ask(Revoke { token, by }, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Turns a device that waits away.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn reject(
        &self,
        serial: String,
        code: Option<String>,
        by: String,
    ) -> Result<Vec<EnrolmentRecord>, DecisionError<ApproveRefused>> {
        self.enrolment.ask(Reject { serial, code, by }, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Gives the device with this serial to somebody else, from a moment on (now, if nobody says).
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn assign(
        &self,
        serial: String,
        assignee: String,
        from: Option<DateTime<Utc>>,
        by: String,
    ) -> Result<Device, DecisionError<AssignRefused>> {
        let assign = Assign { serial, assignee, from, by };
        self.enrolment.ask(assign, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// A receiver that changes when a device begins to wait for its approval, or waits no more.
    pub fn watch_arrivals(&self) -> watch::Receiver<()> {
        self.arrivals.subscribe()
    }

    /// Takes a device's request to be known.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn request_enrolment(&self, claim: Claim) -> Result<EnrolmentRecord, DecisionError<ClaimRefused>> {
        self.enrolment.ask(Request(claim), ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Completes the set-up of a device that waits.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn approve(&self, approval: Approval) -> Result<Device, DecisionError<ApproveRefused>> {
        let of_known = matches!(approval.of, ApprovalOf::KnownDevice);
        let replaced = match &approval.of {
            ApprovalOf::Replacement { of } => Some(of.clone()),
            ApprovalOf::NewDevice { .. } | ApprovalOf::KnownDevice => None,
        };
        let device =
            self.enrolment.ask(Approve(approval), ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))?;
        if of_known {
            // What the old key has open ends; the new one goes on from the last commit.
            self.sessions.tell(EndSession(device.id));
        }
        if let Some(replaced) = replaced {
            let index = self.catalogue.index().clone();
            // It is to hear of it, and that its address is not its own any more.
            if let Ok(Some(replaced)) = blocking(move || index.device_by_serial(&replaced)).await {
                self.sessions.tell(LookAgain(replaced.id));
            }
        }
        Ok(device)
    }

    /// Suspends, activates or retires the device with this serial; it counts at its next request, and what a retired
    /// device has open is ended.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn change(
        &self,
        serial: String,
        change: Change,
        by: String,
    ) -> Result<Device, DecisionError<ChangeRefused>> {
        let changing = ChangeStanding { serial, change, by };
        let device = self.enrolment.ask(changing, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))?;
        if device.state == DeviceState::Retired {
            self.sessions.tell(EndSession(device.id));
        } else {
            // A poll that waits is to hear of it.
            self.sessions.tell(LookAgain(device.id));
        }
        Ok(device)
    }

    /// Makes a token for uploads in the name of the device with this serial, which is made known first if it is `keyless`.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn issue_upload_token(
        &self,
        serial: String,
        keyless: Option<KeylessDevice>,
        by: String,
    ) -> Result<IssuedUploadToken, DecisionError<UploadTokenRefused>> {
        let issue = IssueUploadToken { serial, keyless, by };
        self.enrolment.ask(issue, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))
    }

    /// Makes a token for uploads worthless; what is open in the device's name ends, and its other clients go on.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn revoke_upload_token(
        &self,
        serial: String,
        token: TokenId,
        by: String,
    ) -> Result<Device, DecisionError<UploadTokenRefused>> {
        let revoke = RevokeUploadToken { serial, token, by };
        let device = self.enrolment.ask(revoke, ASK_DEADLINE).await.unwrap_or(Err(DecisionError::Unavailable))?;
        self.sessions.tell(EndSession(device.id));
        Ok(device)
    }

    /// The enrolment with this id, if this key made it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn enrolment(&self, enrolment: EnrolmentId, key: Sha256) -> Result<Option<EnrolmentRecord>, EngineError> {
        Ok(enrolment::find(&self.catalogue, enrolment, key).await?)
    }

    /// A receiver that changes when this enrolment is decided; `None` when too many wait. Take it before looking.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn watch_enrolment(&self, enrolment: EnrolmentId) -> Result<Option<watch::Receiver<()>>, EngineError> {
        self.enrolment.ask(Watch(enrolment), ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)
    }

    /// The device that holds this key. Its first call puts it in service.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn identify(&self, credential: Credential) -> Result<Option<Device>, EngineError> {
        let index = self.catalogue.index().clone();
        let device = blocking(move || credential.device(&index)).await?;
        if device.as_ref().is_none_or(|device| device.state != DeviceState::Approved) {
            return Ok(device);
        }
        // Decided, not just recorded: its first calls may come at once, and an admin may suspend it between them.
        let activating = self.catalogue.decide(move |index| {
            let mut device = credential.device(index)?;
            let waits = device.as_mut().filter(|device| device.state == DeviceState::Approved);
            let facts = waits.map_or_else(Vec::new, |device| {
                device.state = DeviceState::Active;
                vec![Fact::DeviceActivated { device: device.id }]
            });
            Ok(Ok::<_, Infallible>((facts, device)))
        });
        Ok(timeout(ASK_DEADLINE, activating).await.map_err(|_| EngineError::Unavailable)??)
    }
}
