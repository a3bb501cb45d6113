//! Why a message is not sent.

use longshore_actors::MailRefused;
use longshore_protocol::ProblemType;

use super::Failure;

impl From<MailRefused> for Failure {
    fn from(refused: MailRefused) -> Self {
        let kind = match refused {
            MailRefused::NotSetUp | MailRefused::Sent(_) => ProblemType::Conflict,
            MailRefused::TooMany => ProblemType::TooMany,
            MailRefused::Text(_) => ProblemType::StorageFailed,
            MailRefused::Unknown(_) => ProblemType::NotFound,
        };
        Self::new(kind, refused.to_string())
    }
}
