use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DeviceProfile;
use crate::ReportedProfile;

/// How far what a device reports is from what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Drift {
    /// It has not said what it is set to.
    NotReported,
    /// It is set as it should be.
    None,
    /// It is set to something else.
    Behind {
        /// Name of that profile.
        id: String,
        /// Its version.
        version: u64,
    },
    /// It knows what is wanted, and could not do all of it.
    Refused {
        /// Settings with the reasons.
        errors: BTreeMap<String, String>,
    },
}

impl Drift {
    /// Compares.
    pub fn between(wanted: &DeviceProfile, reported: Option<&ReportedProfile>) -> Self {
        match reported {
            None => Self::NotReported,
            Some(ReportedProfile { id, version, .. }) if *id != wanted.id || *version != u64::from(wanted.version) => {
                Self::Behind { id: id.clone(), version: *version }
            }
            Some(ReportedProfile { errors, .. }) if errors.is_empty() => Self::None,
            Some(ReportedProfile { errors, .. }) => Self::Refused { errors: errors.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn drift_is_told_by_name_version_and_errors() {
        let wanted = DeviceProfile { id: "patrol".into(), version: 3, settings: Settings::default() };
        let reported = |id: &str, version, errors: &[(&str, &str)]| ReportedProfile {
            id: id.into(),
            version,
            errors: errors.iter().map(|(key, why)| ((*key).to_owned(), (*why).to_owned())).collect(),
        };
        let drift = |reported: &ReportedProfile| Drift::between(&wanted, Some(reported));
        assert_eq!(Drift::between(&wanted, None), Drift::NotReported);
        assert_eq!(drift(&reported("patrol", 3, &[])), Drift::None);
        assert_eq!(drift(&reported("patrol", 2, &[])), Drift::Behind { id: "patrol".into(), version: 2 });
        // A later version than ours: the server was restored from a backup.
        assert_eq!(drift(&reported("patrol", 4, &[])), Drift::Behind { id: "patrol".into(), version: 4 });
        assert_eq!(drift(&reported("default", 3, &[])), Drift::Behind { id: "default".into(), version: 3 });
        // What an old version could not do says nothing of this one.
        let old = reported("patrol", 2, &[("video.frame_rate", "too fast")]);
        assert_eq!(drift(&old), Drift::Behind { id: "patrol".into(), version: 2 });
        let refused = reported("patrol", 3, &[("video.frame_rate", "too fast")]);
        assert!(matches!(drift(&refused), Drift::Refused { errors } if errors["video.frame_rate"] == "too fast"));
    }
}
