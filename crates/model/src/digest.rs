use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a daily mail tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DigestKind {
    /// What arrived, and what did not.
    Transfer,
    /// Which devices need attention.
    Health,
}

/// A text that names no kind of digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is transfer or health")]
pub struct UnknownDigest;

impl DigestKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Transfer, Self::Health];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Health => "health",
        }
    }
}

impl fmt::Display for DigestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DigestKind {
    type Err = UnknownDigest;

    fn from_str(text: &str) -> Result<Self, UnknownDigest> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownDigest)
    }
}

/// Which digest: of which kind, and of the devices of which site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DigestOf {
    /// Of what it tells.
    pub kind: DigestKind,
    /// Of the devices of this home site; without it of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

impl fmt::Display for DigestOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.site {
            Some(site) => write!(f, "{} of {site}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}
