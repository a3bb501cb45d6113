//! What is wrong with what people ask of devices.

use longshore_actors::{AddRefused, CancelRefused, CommandRefused};
use longshore_protocol::ProblemType;

use super::Failure;

impl From<AddRefused> for Failure {
    fn from(refused: AddRefused) -> Self {
        let kind = match refused {
            AddRefused::Unknown(_) => ProblemType::NotFound,
            AddRefused::Retired(_) | AddRefused::CannotBeAsked(_) | AddRefused::KeyTaken(_) => ProblemType::Conflict,
            AddRefused::TooManyOpen | AddRefused::TooManyOfDevice(_) => ProblemType::TooMany,
            AddRefused::Empty
            | AddRefused::Inverted
            | AddRefused::TooLong
            | AddRefused::Priority
            | AddRefused::Expiry
            | AddRefused::TooEarly
            | AddRefused::Notified
            | AddRefused::Devices => ProblemType::MalformedRequest,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<CancelRefused> for Failure {
    fn from(refused: CancelRefused) -> Self {
        let kind = match refused {
            CancelRefused::Unknown(_) => ProblemType::NotFound,
            CancelRefused::Over(_) => ProblemType::Conflict,
            CancelRefused::OfAnother(_) => ProblemType::Forbidden,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<CommandRefused> for Failure {
    fn from(refused: CommandRefused) -> Self {
        let kind = match refused {
            CommandRefused::Unknown(_) => ProblemType::NotFound,
            CommandRefused::NotInService(..) | CommandRefused::CannotBeTold(_) => ProblemType::Conflict,
            CommandRefused::TooMany(_) => ProblemType::TooMany,
        };
        Self::new(kind, refused.to_string())
    }
}
