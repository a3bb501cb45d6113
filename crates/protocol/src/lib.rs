//! The device protocol, version 1: wire types, paths and headers, as `docs/PROTOCOL.md` tells them.
//!
//! Both ends use these types; `golden/` holds one example of each body, which the tests keep true.

mod bodies;
mod desired;
mod enrolment_code;
mod enrolment_text;
pub mod headers;
mod health;
pub mod limits;
mod metadata;
pub mod paths;
mod problem;

pub use bodies::{
    Answer, Approval, Blocks, BlocksAnswer, Clock, Deletion, DeletionRefused, Deletions, DeletionsAnswer,
    EnrolmentAnswer, EnrolmentDevice, EnrolmentRequest, EnrolmentStatus, Hello, ItemAnswer, Later, OfferItem, Offers,
    OffersAnswer, ServerIdentity, Unsent,
};
pub use desired::{
    CommandState, Desired, DesiredCommand, DesiredRequest, Range, Reported, ReportedCommand, ReportedRequest,
};
pub use enrolment_code::{CodeSecret, EnrolmentCode, InvalidCode};
pub use enrolment_text::{EnrolmentText, InvalidEnrolmentText};
pub use health::{HealthEventAnswer, HealthEventOutcome, HealthEvents, HealthEventsAnswer};
pub use metadata::{InvalidMetadata, Metadata};
pub use problem::{Problem, ProblemType};
