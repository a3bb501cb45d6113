//! What is known of types of health events. A table, not code: ours is a file, and an operator may have another over it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{Complaint, Severity};

/// Names of the types that the server itself, or our agent, reports; those of others are in the table alone.
pub mod health_type {
    /// A device has not called for days.
    pub const LINK_OFFLINE: &str = "link_offline";
    /// A device's clock was never set.
    pub const CLOCK_UNSET: &str = "clock_unset";
    /// A device's clock is wrong.
    pub const CLOCK_DRIFT: &str = "clock_drift";
    /// A device has little signal where it is unloaded.
    pub const LINK_WIFI_WEAK: &str = "link_wifi_weak";
    /// A transfer failed so often that it rests.
    pub const UPLOAD_STALLED: &str = "upload_stalled";
    /// Other bytes arrived than were declared.
    pub const UPLOAD_CHECKSUM_MISMATCH: &str = "upload_checksum_mismatch";
    /// A transfer is begun again and again, and does not come further.
    pub const UPLOAD_STORM: &str = "upload_storm";
    /// What a device holds will be overwritten soon.
    pub const OVERWRITE_NEAR: &str = "overwrite_near";
    /// What a device held was overwritten before it came.
    pub const RECORDING_LOST: &str = "recording_lost";
    /// A device that records all the time has not.
    pub const RECORDING_GAP: &str = "recording_gap";
    /// A device says that it has another firmware.
    pub const FIRMWARE_CHANGED: &str = "firmware_changed";
    /// A device begins one trouble after the other.
    pub const REPORTS_TOO_MUCH: &str = "reports_too_much";
    /// Nothing is known of a device's model.
    pub const MODEL_UNRECOGNISED: &str = "model_unrecognised";
    /// Somebody tries passwords, tokens or keys.
    pub const AUTHENTICATION_FAILURES: &str = "authentication_failures";
    /// A device calls that nobody knows.
    pub const DEVICE_UNKNOWN: &str = "device_unknown";
    /// A device calls that was turned away.
    pub const DEVICE_REJECTED: &str = "device_rejected";
    /// The storage is nearly full.
    pub const DISK_LOW: &str = "disk_low";
    /// The storage is not there.
    pub const DISK_OFFLINE: &str = "disk_offline";
    /// The storage failed to write.
    pub const DISK_WRITE_FAILED: &str = "disk_write_failed";
    /// The storage gave back other bytes than were written.
    pub const DISK_ALTERED: &str = "disk_altered";
    /// The server looked at its store, and something is lost or altered.
    pub const STORE_DAMAGED: &str = "store_damaged";
    /// The server has not come to the end of a look at its store for too long.
    pub const STORE_UNCHECKED: &str = "store_unchecked";
    /// The index was made anew.
    pub const CATALOGUE_REBUILT: &str = "catalogue_rebuilt";
    /// A mail was refused for good.
    pub const MAIL_FAILED: &str = "mail_failed";
    /// A program that is told what happens takes nothing.
    pub const WEBHOOK_FAILED: &str = "webhook_failed";
    /// The agency's certificate ends soon.
    pub const CERTIFICATE_ENDING: &str = "certificate_ending";
    /// There is no card.
    pub const STORAGE_MISSING: &str = "storage_missing";
    /// The card cannot be read.
    pub const STORAGE_FILE_SYSTEM_ERROR: &str = "storage_file_system_error";
    /// The card is full.
    pub const STORAGE_FULL: &str = "storage_full";

    /// All of them.
    pub const ALL: [&str; 29] = [
        LINK_OFFLINE,
        CLOCK_UNSET,
        CLOCK_DRIFT,
        LINK_WIFI_WEAK,
        UPLOAD_STALLED,
        UPLOAD_CHECKSUM_MISMATCH,
        UPLOAD_STORM,
        OVERWRITE_NEAR,
        RECORDING_LOST,
        RECORDING_GAP,
        FIRMWARE_CHANGED,
        REPORTS_TOO_MUCH,
        MODEL_UNRECOGNISED,
        AUTHENTICATION_FAILURES,
        DEVICE_UNKNOWN,
        DEVICE_REJECTED,
        DISK_LOW,
        DISK_OFFLINE,
        DISK_WRITE_FAILED,
        DISK_ALTERED,
        STORE_DAMAGED,
        STORE_UNCHECKED,
        CATALOGUE_REBUILT,
        MAIL_FAILED,
        WEBHOOK_FAILED,
        CERTIFICATE_ENDING,
        STORAGE_MISSING,
        STORAGE_FILE_SYSTEM_ERROR,
        STORAGE_FULL,
    ];
}

/// Steps of one type: more are not read at seven in the morning.
const STEPS: usize = 10;

/// What a file says of one type. In a file over another, what it leaves out stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthType {
    /// How much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What it is, in a few words, for lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What happened, and what it means, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What to do, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<String>>,
    /// Type that explains this one: while an issue of it is open, those of this one at the same device are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Hours after which an issue that nobody reported again ends by itself; without it, only when it is reported to be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_close_hours: Option<u32>,
    /// Unit of what is measured, such as `V`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl HealthType {
    fn with(self, other: Self) -> Self {
        Self {
            severity: other.severity.or(self.severity),
            title: other.title.or(self.title),
            text: other.text.or(self.text),
            steps: other.steps.or(self.steps),
            parent: other.parent.or(self.parent),
            auto_close_hours: other.auto_close_hours.or(self.auto_close_hours),
            unit: other.unit.or(self.unit),
        }
    }

    fn lacking(&self) -> Option<&'static str> {
        let empty = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
        if self.severity.is_none() {
            return Some("severity");
        }
        if empty(&self.title) {
            return Some("title");
        }
        if empty(&self.text) {
            return Some("text");
        }
        let no_step = |steps: &Vec<String>| steps.is_empty() || steps.iter().any(|step| step.trim().is_empty());
        self.steps.as_ref().is_none_or(no_step).then_some("steps")
    }

    /// After how long without news an issue of this type ends by itself.
    pub fn auto_close(&self) -> Option<TimeDelta> {
        self.auto_close_hours.and_then(|hours| TimeDelta::try_hours(hours.into()))
    }
}

/// All types that are known, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HealthTypes(BTreeMap<String, HealthType>);

impl HealthTypes {
    /// What is known of this type.
    pub fn get(&self, name: &str) -> Option<&HealthType> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HealthType)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// How much an issue of this type matters: what the table says; of a type that it does not have, what the device said,
    /// and without that a warning, since somebody has to look what it is.
    pub fn severity(&self, name: &str, said: Option<Severity>) -> Severity {
        self.get(name).and_then(|kind| kind.severity).or(said).unwrap_or(Severity::Warning)
    }

    /// With what `others` say: key by key, theirs counts before ours.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        for (name, other) in others.0 {
            let ours = self.0.remove(&name).unwrap_or_default();
            self.0.insert(name, ours.with(other));
        }
        self
    }

    /// What of them is incomplete or contradicts itself, by the type's name and the key.
    pub fn contradictions(&self) -> Vec<Complaint> {
        let mut wrong = Vec::new();
        for (name, kind) in self.iter() {
            if !is_health_type(name) {
                let what = "a type is named by small letters, digits and _, such as storage_missing";
                wrong.push(Complaint::new(name, what));
                continue;
            }
            let mut complain = |key: &str, what: String| wrong.push(Complaint::new(format!("{name}.{key}"), what));
            if let Some(key) = kind.lacking() {
                complain(key, "a type needs severity, title, text and steps; write it".to_owned());
            }
            if kind.steps.as_ref().is_some_and(|steps| steps.len() > STEPS) {
                complain("steps", format!("there are at most {STEPS}; nobody goes through more"));
            }
            if kind.auto_close_hours == Some(0) {
                complain("auto_close_hours", "an issue is open for at least an hour; leave it out for ever".to_owned());
            }
            match &kind.parent {
                Some(parent) if self.get(parent).is_none() => {
                    complain("parent", format!("there is no type {parent}"));
                }
                Some(_) if self.hides_itself(name) => {
                    complain("parent", "a type hides itself over its parents".to_owned());
                }
                _ => {}
            }
        }
        wrong
    }

    /// The parents of a type, the next one first.
    pub fn parents<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let next = |name: &str| self.get(name).and_then(|kind| kind.parent.as_deref());
        // As many as there are types, should a table hide itself.
        std::iter::successors(next(name), move |parent| next(parent)).take(self.0.len())
    }

    fn hides_itself(&self, name: &str) -> bool {
        self.parents(name).any(|parent| parent == name)
    }
}

/// Whether a type may be called so: it stands in the journal, in mails and in the logs of others.
pub fn is_health_type(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> HealthTypes {
        serde_json::from_str(text).unwrap()
    }

    const WHOLE: &str = r#"{"severity": "critical", "title": "t", "text": "x", "steps": ["one"]}"#;

    #[test]
    fn an_operator_changes_a_key_of_ours_and_adds_types_of_their_own() {
        let ours = read(&format!(r#"{{"a": {WHOLE}}}"#));
        let theirs = format!(r#"{{"a": {{"severity": "notice"}}, "b": {WHOLE}}}"#);
        let both = ours.with(read(&theirs));
        assert!(both.contradictions().is_empty(), "{:?}", both.contradictions());
        let a = both.get("a").unwrap();
        assert_eq!((a.severity, a.title.as_deref()), (Some(Severity::Notice), Some("t")));
        assert_eq!(both.severity("b", Some(Severity::Notice)), Severity::Critical);
    }

    #[test]
    fn a_device_has_a_say_only_about_what_the_table_does_not_know() {
        let types = read(&format!(r#"{{"a": {WHOLE}}}"#));
        assert_eq!(types.severity("a", Some(Severity::Notice)), Severity::Critical);
        assert_eq!(types.severity("new", Some(Severity::Notice)), Severity::Notice);
        assert_eq!(types.severity("new", None), Severity::Warning);
    }

    #[test]
    fn what_is_incomplete_or_hides_itself_is_named_by_its_key() {
        let types = format!(
            r#"{{"a": {{"title": "t"}}, "b": {{"severity": "notice", "title": "t", "text": "x", "steps": []}},
                "c": {{"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "parent": "no"}},
                "d": {{"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "parent": "e"}},
                "e": {{"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "parent": "d"}},
                "f": {{"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "auto_close_hours": 0}},
                "G": {WHOLE}}}"#
        );
        let keys: Vec<_> = read(&types).contradictions().into_iter().map(|complaint| complaint.key).collect();
        assert_eq!(keys, ["G", "a.severity", "b.steps", "c.parent", "d.parent", "e.parent", "f.auto_close_hours"]);
    }

    #[test]
    fn parents_are_told_from_the_next_one_on() {
        let of = |parent: &str| {
            format!(r#"{{"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "parent": "{parent}"}}"#)
        };
        let types = read(&format!(r#"{{"a": {}, "b": {}, "c": {WHOLE}}}"#, of("b"), of("c")));
        assert_eq!(types.parents("a").collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(types.parents("c").count(), 0);
    }
}
