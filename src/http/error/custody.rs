use longshore_actors::{ExportRefused, ReconcileRefused, SignRefused};
use longshore_model::ReceiptError;
use longshore_protocol::ProblemType;

use super::Failure;

impl From<ExportRefused> for Failure {
    fn from(refused: ExportRefused) -> Self {
        let kind = match refused {
            ExportRefused::NoSelection | ExportRefused::Inverted | ExportRefused::TooMany => {
                ProblemType::MalformedRequest
            }
            ExportRefused::Nothing
            | ExportRefused::UnknownRecording(_)
            | ExportRefused::UnknownRequest(_)
            | ExportRefused::UnknownDevice(_) => ProblemType::NotFound,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<SignRefused> for Failure {
    fn from(refused: SignRefused) -> Self {
        match refused {
            SignRefused::Unknown(_) => Self::new(ProblemType::NotFound, refused.to_string()),
            SignRefused::Signed(_) => Self::new(ProblemType::Conflict, refused.to_string()),
            SignRefused::Receipt(error) => error.into(),
        }
    }
}

impl From<ReconcileRefused> for Failure {
    fn from(refused: ReconcileRefused) -> Self {
        match refused {
            ReconcileRefused::Busy => Self::new(ProblemType::Conflict, refused.to_string()),
            ReconcileRefused::Gone => Self::new(ProblemType::StorageNotThere, refused.to_string()),
        }
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        Self::internal(error)
    }
}
