//! What the rules about devices, accounts and places refuse.

use longshore_actors::{
    AccountRefused, ApproveRefused, AssignRefused, ChangeRefused, ClaimRefused, MuteRefused, PlaceRefused,
    TokenUnknown, UploadTokenRefused,
};
use longshore_protocol::ProblemType;

use super::Failure;

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

impl From<MuteRefused> for Failure {
    fn from(refused: MuteRefused) -> Self {
        let kind = match refused {
            MuteRefused::Unknown(_) => ProblemType::NotFound,
            MuteRefused::Ended(_) => ProblemType::Conflict,
            MuteRefused::Past | MuteRefused::TooLong => ProblemType::MalformedRequest,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<TokenUnknown> for Failure {
    fn from(refused: TokenUnknown) -> Self {
        Self::new(ProblemType::NotFound, refused.to_string())
    }
}

impl From<AccountRefused> for Failure {
    fn from(refused: AccountRefused) -> Self {
        let kind = match refused {
            AccountRefused::BadName | AccountRefused::BadMail(_) => ProblemType::MalformedRequest,
            AccountRefused::Unknown(_) | AccountRefused::NoSuchToken { .. } => ProblemType::NotFound,
            AccountRefused::PasswordChanged(_) => ProblemType::Unauthenticated,
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
            PlaceRefused::Profile(_)
            | PlaceRefused::Retired(_)
            | PlaceRefused::NetworkTaken { .. }
            | PlaceRefused::BayTaken { .. }
            | PlaceRefused::InUse { .. }
            | PlaceRefused::TooMany(_) => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}
