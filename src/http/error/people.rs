//! What the rules about devices, accounts and places refuse.

use longshore_actors::{
    AccountRefused, ApproveRefused, AssignRefused, ChangeRefused, ClaimRefused, EnrolError, OrganiseError,
    PlaceRefused, TokenUnknown, UploadTokenRefused,
};
use longshore_protocol::ProblemType;

use super::Failure;

impl<R: Into<Self>> From<EnrolError<R>> for Failure {
    fn from(error: EnrolError<R>) -> Self {
        match error {
            EnrolError::Refused(refused) => refused.into(),
            EnrolError::Index(error) => error.into(),
            EnrolError::Record(error) => error.into(),
            EnrolError::NoRandomness => Self::internal("the operating system gives no random numbers"),
            EnrolError::Unavailable => Self::unavailable("enrolment does not answer"),
        }
    }
}

impl From<ClaimRefused> for Failure {
    fn from(refused: ClaimRefused) -> Self {
        let kind = match refused {
            ClaimRefused::AnotherDevice(_) => ProblemType::TokenForAnotherDevice,
            ClaimRefused::Rejected => ProblemType::EnrolmentRejected,
            ClaimRefused::NoSerial => ProblemType::MalformedRequest,
            _ => ProblemType::TokenRefused,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<ApproveRefused> for Failure {
    fn from(refused: ApproveRefused) -> Self {
        Self::new(ProblemType::Conflict, refused.to_string())
    }
}

impl From<ChangeRefused> for Failure {
    fn from(refused: ChangeRefused) -> Self {
        let kind = match refused {
            ChangeRefused::Unknown(_) => ProblemType::NotFound,
            _ => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<UploadTokenRefused> for Failure {
    fn from(refused: UploadTokenRefused) -> Self {
        let kind = match refused {
            UploadTokenRefused::Unknown(_) | UploadTokenRefused::NoSuchToken { .. } => ProblemType::NotFound,
            _ => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<AssignRefused> for Failure {
    fn from(refused: AssignRefused) -> Self {
        let kind = match refused {
            AssignRefused::Unknown(_) => ProblemType::NotFound,
            _ => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<TokenUnknown> for Failure {
    fn from(refused: TokenUnknown) -> Self {
        Self::new(ProblemType::NotFound, refused.to_string())
    }
}

impl<R: Into<Self>> From<OrganiseError<R>> for Failure {
    fn from(error: OrganiseError<R>) -> Self {
        match error {
            OrganiseError::Refused(refused) => refused.into(),
            OrganiseError::Index(error) => error.into(),
            OrganiseError::Record(error) => error.into(),
            OrganiseError::NoRandomness => Self::internal("the operating system gives no random numbers"),
            OrganiseError::Unavailable => Self::unavailable("the catalogue does not answer"),
        }
    }
}

impl From<AccountRefused> for Failure {
    fn from(refused: AccountRefused) -> Self {
        let kind = match refused {
            AccountRefused::BadName | AccountRefused::BadMail(_) => ProblemType::MalformedRequest,
            AccountRefused::Unknown(_) | AccountRefused::NoSuchToken { .. } => ProblemType::NotFound,
            AccountRefused::Taken(_) | AccountRefused::TooMany(_) => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<PlaceRefused> for Failure {
    fn from(refused: PlaceRefused) -> Self {
        let kind = match refused {
            PlaceRefused::NoSite(_) | PlaceRefused::NoDock(_) | PlaceRefused::NoDevice(_) => ProblemType::NotFound,
            PlaceRefused::BayTwice(_) => ProblemType::MalformedRequest,
            PlaceRefused::Retired(_)
            | PlaceRefused::NetworkTaken { .. }
            | PlaceRefused::BayTaken { .. }
            | PlaceRefused::InUse { .. }
            | PlaceRefused::TooMany(_) => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}
