//! What to do about a problem that the server reports.

use longshore_protocol::{Problem, ProblemType};

/// What a problem document means for the transfer in which it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This device may not do business: stop.
    Stop,
    /// Ask where the upload stands and continue there.
    Reposition,
    /// The upload is of no use any more: offer the recording again.
    OfferAgain,
    /// The server believes other bytes: compute the checksum anew and offer again.
    Rehash,
    /// Other bytes arrived than were meant: the same, and send only what is wrong if the server kept the rest.
    Repair,
    /// Nothing goes now: wait.
    WaitForServer,
    /// This recording does not go now; others may.
    WaitForThis,
    /// It will not go as it is: a person has to look.
    Refused,
}

impl Verdict {
    /// The verdict on `problem`.
    pub(crate) fn on(problem: &Problem) -> Self {
        let is = |kind| problem.is(kind);
        match problem.status {
            460 => Self::Reposition,
            403 if is(ProblemType::DeviceSuspended) => Self::WaitForServer,
            401 | 403 => Self::Stop,
            404 | 410 => Self::OfferAgain,
            409 if is(ProblemType::WrongOffset) || is(ProblemType::Superseded) => Self::Reposition,
            409 if is(ProblemType::SizeDiffers) => Self::Rehash,
            409 => Self::OfferAgain,
            412 if is(ProblemType::UnsupportedVersion) => Self::Refused,
            412 if is(ProblemType::SourceChanged) => Self::OfferAgain,
            422 if is(ProblemType::ChecksumMismatch) => Self::Repair,
            412 | 422 => Self::Rehash,
            413 if is(ProblemType::LongerThanAnnounced) => Self::Rehash,
            429 | 507 => Self::WaitForServer,
            503 if is(ProblemType::ShuttingDown) || is(ProblemType::StorageNotThere) => Self::WaitForServer,
            408 | 500..=599 => Self::WaitForThis,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_the_protocol_has_its_verdict() {
        let expected = |kind| match kind {
            ProblemType::Unauthenticated
            | ProblemType::UnknownDevice
            | ProblemType::TokenRefused
            | ProblemType::TokenForAnotherDevice
            | ProblemType::EnrolmentRejected
            | ProblemType::Forbidden
            | ProblemType::DeviceRetired
            | ProblemType::JoinedUpload => Verdict::Stop,
            ProblemType::NotFound
            | ProblemType::EnrolmentNotFound
            | ProblemType::UploadNotFound
            | ProblemType::UploadExpired
            | ProblemType::NotOffered
            | ProblemType::AlreadyStored
            | ProblemType::UnfinishedParts
            | ProblemType::SourceChanged
            | ProblemType::Conflict => Verdict::OfferAgain,
            ProblemType::WrongOffset | ProblemType::Superseded | ProblemType::BodyChecksumMismatch => {
                Verdict::Reposition
            }
            ProblemType::SizeDiffers | ProblemType::LongerThanAnnounced => Verdict::Rehash,
            ProblemType::ChecksumMismatch => Verdict::Repair,
            ProblemType::TooMany
            | ProblemType::InsufficientStorage
            | ProblemType::ShuttingDown
            | ProblemType::StorageNotThere
            | ProblemType::DeviceSuspended => Verdict::WaitForServer,
            ProblemType::Internal | ProblemType::Unavailable | ProblemType::Stalled | ProblemType::StorageFailed => {
                Verdict::WaitForThis
            }
            ProblemType::MalformedRequest
            | ProblemType::InconsistentLength
            | ProblemType::ContentDigestMismatch
            | ProblemType::MethodNotAllowed
            | ProblemType::UnsupportedVersion
            | ProblemType::TooLarge
            | ProblemType::UnsupportedContentType => Verdict::Refused,
        };
        for kind in ProblemType::ALL {
            assert_eq!(Verdict::on(&Problem::new(*kind, "")), expected(*kind), "{kind:?}");
        }
    }

    #[test]
    fn an_answer_that_only_has_a_status_is_judged_by_it() {
        let bare = |status| Problem {
            kind: "about:blank".into(),
            title: String::new(),
            status,
            detail: None,
            offset: None,
            expected_offset: None,
            provided_offset: None,
            needed: None,
            available: None,
        };
        assert_eq!(Verdict::on(&bare(502)), Verdict::WaitForThis);
        assert_eq!(Verdict::on(&bare(410)), Verdict::OfferAgain);
        assert_eq!(Verdict::on(&bare(412)), Verdict::Rehash);
    }
}
