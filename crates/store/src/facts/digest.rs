use chrono::{DateTime, NaiveDate, Utc};
use longshore_model::DigestOf;
use serde::{Deserialize, Serialize};

/// What a digest tells of: facts of the journal, which no clock that is set can put into two windows, or into none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The last fact before it.
    pub after: u64,
    /// Its last fact.
    pub until: u64,
    /// When it began by the server's clock, for people.
    pub from: DateTime<Utc>,
    /// When it ended.
    pub to: DateTime<Utc>,
}

/// What became of daily mails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DigestFact {
    /// It was set up: its first window begins here.
    Begun {
        /// Which digest.
        digest: DigestOf,
        /// The newest date whose time had come already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        date: Option<NaiveDate>,
    },
    /// It is to be made. What follows from that is done, whatever comes in between.
    Planned {
        /// Which digest.
        digest: DigestOf,
        /// Of which local date.
        date: NaiveDate,
        /// Dates before it of which none was made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missed: Vec<NaiveDate>,
        /// The time zone of that date (IANA).
        zone: String,
        /// Mail addresses.
        to: Vec<String>,
        /// Of what it tells.
        window: Window,
        /// Who wanted it now; nobody, if it was its time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// It is with the mails that are to be sent.
    Sent {
        /// Which digest.
        digest: DigestOf,
        /// Of which local date.
        date: NaiveDate,
    },
    /// There was nothing to tell, so there is no mail.
    Nothing {
        /// Which digest.
        digest: DigestOf,
        /// Of which local date.
        date: NaiveDate,
    },
    /// It is wanted no more; set up again, it begins anew.
    Ended {
        /// Which digest.
        digest: DigestOf,
    },
}
