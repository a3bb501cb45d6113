//! The reconciliation: what was recorded, against what the server holds and what is left on the cards. Pure; what it is
//! given was really read.

use std::collections::BTreeMap;

use longshore_agent::fleet::card::Made;
use longshore_model::Sha256;

/// A recording as the server has it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Name on the card.
    pub(super) name: String,
    /// What the server says it is.
    pub(super) sha256: Sha256,
    /// Its bytes were read again, and are that.
    pub(super) verified: bool,
    /// The camera said that it deleted its own.
    pub(super) deleted: bool,
}

/// All that is known of one camera at the end.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// What was on its card, noted when it was written.
    pub(super) recorded: Vec<Made>,
    /// What the server has of it.
    pub(super) stored: Vec<Stored>,
    /// How many recordings it declared to the server.
    pub(super) declared: u64,
    /// What is on its card now, read again.
    pub(super) on_card: BTreeMap<String, Sha256>,
}

/// What came of the recordings of one camera, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Were on the card.
    pub(super) recorded: u64,
    /// The camera told the server of them.
    pub(super) declared: u64,
    /// Are on the server, whole.
    pub(super) verified: u64,
    /// Are on the server, and deleted on the camera, which the server knows.
    pub(super) deleted: u64,
    /// Are on the card, whole, since nobody asked for them.
    pub(super) not_asked_for: u64,
    /// Are whole nowhere.
    pub(super) lost: u64,
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
}

impl Sums {
    /// Judges one camera; `wanted` tells by its name whether a recording is to come without being asked for.
    pub(super) fn of(evidence: &Evidence, wanted: impl Fn(&str) -> bool) -> Self {
        let Evidence { recorded, stored, declared, on_card } = evidence;
        let mut sums = Self { recorded: recorded.len() as u64, declared: *declared, ..Self::default() };
        if *declared != sums.recorded {
            sums.wrong.push(format!("{declared} of {} recordings were declared", sums.recorded));
        }
        for Made { name, sha256, .. } in recorded {
            let stored: Vec<&Stored> = stored.iter().filter(|stored| stored.name == *name).collect();
            let whole = stored.iter().find(|stored| stored.verified && stored.sha256 == *sha256);
            let kept = on_card.get(name);
            let kept_whole = kept == Some(sha256);
            sums.verified += u64::from(whole.is_some());
            sums.deleted += u64::from(kept.is_none() && whole.is_some_and(|stored| stored.deleted));
            sums.not_asked_for += u64::from(kept_whole && whole.is_none() && !wanted(name));
            sums.lost += u64::from(whole.is_none() && !kept_whole);
            let wrong = match (whole, kept) {
                (None, _) if !kept_whole => "it is whole neither on the server nor on the camera",
                _ if kept.is_some() && !kept_whole => "it is not on the camera what it was",
                (None, _) if wanted(name) => "it is still on the camera alone",
                (Some(_), Some(_)) => "it is on the server, and was not deleted on the camera",
                (Some(stored), None) if !stored.deleted => "the server does not know that the camera deleted it",
                _ if stored.len() > 1 => "the server has it more than once",
                _ => continue,
            };
            sums.wrong.push(format!("{name}: {wrong}"));
        }
        sums
    }

    /// Puts the sums of one camera to those of others.
    pub(super) fn add(&mut self, serial: &str, other: Self) {
        self.recorded += other.recorded;
        self.declared += other.declared;
        self.verified += other.verified;
        self.deleted += other.deleted;
        self.not_asked_for += other.not_asked_for;
        self.lost += other.lost;
        self.wrong.extend(other.wrong.into_iter().map(|wrong| format!("{serial}: {wrong}")));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const EVENT: &str = "EVENT/a.mp4";
    const OTHER: &str = "NORMAL/b.mp4";

    fn made(name: &str) -> Made {
        Made { name: name.into(), start: DateTime::UNIX_EPOCH, size: 3, sha256: Sha256::of(name.as_bytes()) }
    }

    /// As it should be.
    fn evidence() -> Evidence {
        let sha256 = Sha256::of(EVENT.as_bytes());
        Evidence {
            recorded: vec![made(EVENT), made(OTHER)],
            stored: vec![Stored { name: EVENT.into(), sha256, verified: true, deleted: true }],
            declared: 2,
            on_card: BTreeMap::from([(OTHER.into(), Sha256::of(OTHER.as_bytes()))]),
        }
    }

    fn sums(evidence: &Evidence) -> Sums {
        Sums::of(evidence, |name| name == EVENT)
    }

    /// With one thing changed: how many are lost, and what is said.
    fn with(change: impl FnOnce(&mut Evidence)) -> (u64, String) {
        let mut evidence = evidence();
        change(&mut evidence);
        let Sums { lost, wrong, .. } = sums(&evidence);
        assert!(!wrong.is_empty());
        (lost, wrong.join("; "))
    }

    #[test]
    fn what_is_verified_and_deleted_and_what_nobody_asked_for_is_as_it_should_be() {
        let expected =
            Sums { recorded: 2, declared: 2, verified: 1, deleted: 1, not_asked_for: 1, lost: 0, wrong: vec![] };
        assert_eq!(sums(&evidence()), expected);
    }

    #[test]
    fn what_is_whole_nowhere_is_lost() {
        for change in [
            (|evidence| evidence.stored.clear()) as fn(&mut Evidence),
            |evidence| evidence.stored[0].verified = false,
            |evidence| evidence.stored[0].sha256 = Sha256::of(b"other"),
            |evidence| evidence.stored[0].name = OTHER.into(),
            |evidence| evidence.on_card.clear(),
            |evidence| *evidence.on_card.get_mut(OTHER).unwrap() = Sha256::of(b"other"),
        ] {
            let (lost, wrong) = with(change);
            assert!(lost == 1 && wrong.contains("neither on the server nor on the camera"), "{lost}: {wrong}");
        }
    }

    #[test]
    fn what_is_not_done_yet_is_wrong_and_not_lost() {
        let on_card = |evidence: &mut Evidence| {
            evidence.on_card.insert(EVENT.into(), Sha256::of(EVENT.as_bytes()));
        };
        let (lost, wrong) = with(on_card);
        assert!(lost == 0 && wrong.contains("was not deleted on the camera"), "{wrong}");
        let (lost, wrong) = with(|evidence| {
            on_card(evidence);
            evidence.stored.clear();
        });
        assert!(lost == 0 && wrong.contains("on the camera alone"), "{wrong}");
        let (lost, wrong) = with(|evidence| evidence.stored[0].deleted = false);
        assert!(lost == 0 && wrong.contains("does not know"), "{wrong}");
        let (lost, wrong) = with(|evidence| evidence.declared = 1);
        assert!(lost == 0 && wrong.contains("1 of 2 recordings were declared"), "{wrong}");
        let (lost, wrong) = with(|evidence| evidence.stored.extend(evidence.stored.clone()));
        assert!(lost == 0 && wrong.contains("more than once"), "{wrong}");
    }

    #[test]
    fn sums_of_cameras_add_up_and_what_is_wrong_names_its_camera() {
        let mut all = Sums::default();
        all.add("B4-1", sums(&evidence()));
        all.add("B4-2", sums(&Evidence { stored: vec![], ..evidence() }));
        assert_eq!((all.recorded, all.verified, all.lost), (4, 1, 1));
        assert!(all.wrong[0].starts_with("B4-2: EVENT/a.mp4: "), "{:?}", all.wrong);
    }
}
