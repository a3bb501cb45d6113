use longshore_actors::DigestRefused;
use longshore_protocol::ProblemType;

use super::Failure;

impl From<DigestRefused> for Failure {
    fn from(refused: DigestRefused) -> Self {
        let kind = match refused {
            DigestRefused::NotSetUp(_) | DigestRefused::Unknown(_) => ProblemType::NotFound,
            DigestRefused::Made(_) | DigestRefused::Waits => ProblemType::Conflict,
        };
        Self::new(kind, refused.to_string())
    }
}
