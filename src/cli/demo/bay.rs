//! What is known of a bay: pure, from what its camera says and what is still on the card.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use longshore_agent::progress::human_bytes;

use super::part::Said;
use super::plan::{Mishap, MishapKind, Plan};

/// Over which time the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(1);
/// What goes wrong, goes wrong in the middle of a recording: between these parts of it, in per cent.
const MIDDLE: std::ops::Range<u64> = 10..90;

/// A recording that is to come to the server.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) size: u64,
    /// It is not on the card any more.
    pub(super) gone: bool,
}

/// A recording under way.
#[derive(Debug)]
struct Current {
    name: String,
    /// Bytes of it that the server had before.
    before: u64,
    /// Bytes of it that the camera has let go; some megabytes of them may wait in its system still.
    handed_over: u64,
    /// All bytes that had crossed the bay when it began.
    crossed_before: u64,
}

/// What a camera does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doing {
    /// It was put in.
    Starting,
    /// It computes checksums.
    Reading { done: u64, total: u64 },
    /// It sends the recording that [`Bay::current`] tells.
    Sending,
    /// It is between two things.
    Busy,
    /// It has said why it waits.
    Waits,
    /// Nothing is left to be done.
    Idle,
    /// It has no power.
    NoPower { until: Instant },
    /// It is not in its bay.
    PulledOut { until: Instant },
    /// Its process has ended, and nobody ended it.
    Stopped,
}

/// What is to happen to a bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something goes wrong.
    Begin(MishapKind),
    /// It is over.
    End(MishapKind),
}

/// A bay with its camera.
#[derive(Debug)]
pub(super) struct Bay {
    pub(super) plan: Plan,
    pub(super) wanted: Vec<Wanted>,
    pub(super) doing: Doing,
    /// The server knows it.
    pub(super) known: bool,
    /// The recording that is or was sent last.
    current: Option<Current>,
    /// What is to go wrong still.
    mishap: Option<Mishap>,
    crossed: VecDeque<(Instant, u64)>,
    began: Option<Instant>,
    /// When something went wrong, until it goes on.
    broke: Option<Instant>,
    /// How long it could not send.
    lost_time: Duration,
    /// When it was done; a look at the empty card now and then changes nothing of that.
    home: Option<Instant>,
}

impl Bay {
    pub(super) fn new(plan: Plan, wanted: Vec<Wanted>) -> Self {
        let doing = Doing::Starting;
        let (current, crossed, mishap) = (None, VecDeque::new(), plan.mishap);
        Self {
            plan,
            wanted,
            doing,
            known: false,
            current,
            mishap,
            crossed,
            began: None,
            broke: None,
            lost_time: Duration::ZERO,
            home: None,
        }
    }

    /// Takes in what the camera says, and returns what is worth telling of it.
    pub(super) fn hear(&mut self, said: Said, now: Instant) -> Option<String> {
        // What was on its way when it lost its power.
        if matches!(self.doing, Doing::NoPower { .. }) {
            return None;
        }
        let mut news = None;
        let doing = match said {
            Said::Advanced(bytes) => {
                match (&mut self.doing, &mut self.current) {
                    (Doing::Reading { done, .. }, _) => *done += bytes,
                    (_, Some(current)) => current.handed_over += bytes,
                    _ => {}
                }
                return None;
            }
            Said::Sending { name, done } => {
                self.began.get_or_insert(now);
                if let Some(broke) = self.broke.take() {
                    self.lost_time += now.duration_since(broke);
                    news = Some(format!("resumes at {} of {name}: so much arrived", human_bytes(done)));
                }
                let crossed_before = self.crossed.back().map_or(0, |(_, bytes)| *bytes);
                self.current = Some(Current { name, before: done, handed_over: done, crossed_before });
                Doing::Sending
            }
            Said::Reading { bytes } => Doing::Reading { done: 0, total: bytes },
            Said::Did(_) | Said::Ended => Doing::Busy,
            Said::Waits(why) => {
                news = Some(why);
                Doing::Waits
            }
            Said::Idle(_) => Doing::Idle,
        };
        // It runs, and does not know yet that nobody hears it.
        if matches!(self.doing, Doing::PulledOut { .. }) {
            return None;
        }
        self.doing = doing;
        news
    }

    /// Takes in how many bytes crossed by now.
    pub(super) fn crossed(&mut self, bytes: u64, now: Instant) {
        self.crossed.push_back((now, bytes));
        while self.crossed.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER) {
            self.crossed.pop_front();
        }
    }

    /// Bits a second that crossed in the last second.
    pub(super) fn rate(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.crossed.front(), self.crossed.back()) else { return 0 };
        let millis = u64::try_from(to.duration_since(*from).as_millis()).unwrap_or(u64::MAX);
        (after.saturating_sub(*before) * 8 * 1_000).checked_div(millis).unwrap_or(0)
    }

    /// Bytes that are to come.
    pub(super) fn total(&self) -> u64 {
        self.wanted.iter().map(|one| one.size).sum()
    }

    /// Bytes of them that are through, those of the recording under way included.
    pub(super) fn done(&self) -> u64 {
        let gone: u64 = self.wanted.iter().filter(|one| one.gone).map(|one| one.size).sum();
        gone + self.under_way().map_or(0, |(done, _)| done)
    }

    /// How much of the recording under way has crossed the bay, and all bytes of it.
    fn under_way(&self) -> Option<(u64, u64)> {
        let Current { name, before, handed_over, crossed_before } = self.current.as_ref()?;
        let one = self.wanted.iter().find(|one| one.name == *name && !one.gone)?;
        let crossed = self.crossed.back().map_or(0, |(_, bytes)| bytes.saturating_sub(*crossed_before));
        Some(((before + crossed).min(*handed_over).min(one.size), one.size))
    }

    /// Recordings that are stored and deleted on the camera.
    pub(super) fn safe(&self) -> usize {
        self.wanted.iter().filter(|one| one.gone).count()
    }

    /// Whether all that is to come has come, and the camera has rested since.
    pub(super) fn is_home(&self) -> bool {
        self.home.is_some()
    }

    /// Whether this is so only now.
    pub(super) fn comes_home(&mut self, now: Instant) -> bool {
        let news = self.home.is_none() && self.doing == Doing::Idle && self.safe() == self.wanted.len();
        if news {
            self.home = Some(now);
        }
        news
    }

    /// Bits a second from its first byte to its last, without the time in which it could not send; `None` before that.
    pub(super) fn mean_rate(&self) -> Option<u64> {
        let millis = (self.home?.duration_since(self.began?).saturating_sub(self.lost_time)).as_millis();
        (self.total() * 8 * 1_000).checked_div(u64::try_from(millis).ok()?)
    }

    /// What happens to it now.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Turn> {
        match self.doing {
            Doing::NoPower { until } if until <= now => {
                self.doing = Doing::Starting;
                return Some(Turn::End(MishapKind::PowerLoss));
            }
            Doing::PulledOut { until } if until <= now => {
                self.doing = Doing::Waits;
                return Some(Turn::End(MishapKind::PulledOut));
            }
            _ => {}
        }
        let Mishap { kind, at_percent, lasts } = self.mishap?;
        let (done, size) = self.under_way()?;
        let in_the_middle = MIDDLE.contains(&(done * 100 / size.max(1)));
        if self.doing != Doing::Sending || !in_the_middle || self.done() * 100 < self.total() * at_percent {
            return None;
        }
        (self.mishap, self.broke) = (None, Some(now));
        let until = now + lasts;
        self.doing = match kind {
            MishapKind::PowerLoss => Doing::NoPower { until },
            MishapKind::PulledOut => Doing::PulledOut { until },
        };
        Some(Turn::Begin(kind))
    }

    /// What it does, in at most [`STATE_CHARS`] characters.
    pub(super) fn in_words(&self, now: Instant) -> String {
        let left = |until: &Instant| until.saturating_duration_since(now).as_millis().div_ceil(1_000);
        let of = format!("{} of {}", (self.safe() + 1).min(self.wanted.len()), self.wanted.len());
        match &self.doing {
            Doing::Stopped => "stopped".to_owned(),
            _ if self.is_home() => "done, 1 not asked for".to_owned(),
            _ if !self.known => "waits to be approved".to_owned(),
            Doing::Starting => "starts".to_owned(),
            Doing::Reading { done, total } => {
                format!("computes checksums, {} %", (done * 100).checked_div(*total).unwrap_or(100))
            }
            Doing::Sending | Doing::Busy if self.plan.days_ahead > 0 => format!("sends {of}, wrong clock"),
            Doing::Sending | Doing::Busy => format!("sends {of}"),
            Doing::Waits => "waits, tries again".to_owned(),
            Doing::Idle => "waits".to_owned(),
            Doing::NoPower { until } => format!("no power, back in {} s", left(until)),
            Doing::PulledOut { until } => format!("pulled out, back in {} s", left(until)),
        }
    }
}

/// Room for what a bay does, so that a line fits 80 characters.
pub(super) const STATE_CHARS: usize = 27;

#[cfg(test)]
mod tests {
    use super::super::plan::DOCK;
    use super::*;

    const MEGABYTE: u64 = 1_000_000;

    fn bay(mishap: MishapKind) -> Bay {
        let lasts = Duration::from_secs(3);
        let mut plan = DOCK[0];
        plan.mishap = Some(Mishap { kind: mishap, at_percent: 40, lasts });
        let wanted = |name: &str| Wanted { name: name.into(), size: 10 * MEGABYTE, gone: false };
        Bay { known: true, ..Bay::new(plan, vec![wanted("a"), wanted("b")]) }
    }

    fn sends(bay: &mut Bay, name: &str, done: u64, now: Instant) -> Option<String> {
        bay.hear(Said::Sending { name: name.into(), done: done * MEGABYTE }, now)
    }

    /// So many megabytes leave the camera and cross the bay.
    fn moves(bay: &mut Bay, megabytes: u64, now: Instant) {
        let before = bay.crossed.back().map_or(0, |(_, bytes)| *bytes);
        bay.hear(Said::Advanced(megabytes * MEGABYTE), now);
        bay.crossed(before + megabytes * MEGABYTE, now);
    }

    #[test]
    fn what_goes_wrong_begins_in_the_middle_of_a_recording_once_enough_is_through() {
        let (mut bay, now) = (bay(MishapKind::PowerLoss), Instant::now());
        assert_eq!(bay.turn(now), None);
        sends(&mut bay, "a", 7, now);
        assert_eq!(bay.turn(now), None, "7 of 20");
        moves(&mut bay, 3, now);
        assert_eq!(bay.turn(now), None, "10 of 20, and at the end of one");
        bay.wanted[0].gone = true;
        sends(&mut bay, "b", 0, now);
        assert_eq!(bay.turn(now), None, "and at the beginning of the next");
        moves(&mut bay, 2, now);
        assert_eq!(bay.turn(now), Some(Turn::Begin(MishapKind::PowerLoss)));
    }

    #[test]
    fn a_camera_that_lost_its_power_says_nothing_until_it_is_back_and_goes_on_where_the_server_is() {
        let (mut bay, now) = (bay(MishapKind::PowerLoss), Instant::now());
        sends(&mut bay, "a", 8, now);
        bay.turn(now).unwrap();
        assert_eq!(bay.in_words(now), "no power, back in 3 s");
        assert_eq!(bay.hear(Said::Waits("what was on its way".into()), now), None);
        let later = now + Duration::from_secs(3);
        assert_eq!(bay.turn(later - Duration::from_millis(1)), None);
        assert_eq!(bay.turn(later), Some(Turn::End(MishapKind::PowerLoss)));
        assert_eq!(bay.in_words(later), "starts");
        assert_eq!(sends(&mut bay, "a", 7, later).unwrap(), "resumes at 7.0 MB of a: so much arrived");
        assert_eq!(bay.done(), 7 * MEGABYTE);
        assert_eq!(sends(&mut bay, "b", 0, later), None, "told once");
        assert_eq!(bay.turn(later), None, "and it happens once");
    }

    #[test]
    fn a_camera_that_is_pulled_out_is_shown_so_whatever_it_says() {
        let (mut bay, now) = (bay(MishapKind::PulledOut), Instant::now());
        sends(&mut bay, "a", 8, now);
        assert_eq!(bay.turn(now), Some(Turn::Begin(MishapKind::PulledOut)));
        assert_eq!(bay.hear(Said::Waits("nobody is there".into()), now), None);
        assert_eq!(bay.in_words(now), "pulled out, back in 3 s");
        let later = now + Duration::from_secs(3);
        assert_eq!(bay.turn(later), Some(Turn::End(MishapKind::PulledOut)));
        assert_eq!(bay.in_words(later), "waits, tries again");
        assert_eq!(bay.hear(Said::Waits("it is busy".into()), later).as_deref(), Some("it is busy"));
    }

    #[test]
    fn only_what_crossed_the_bay_is_through() {
        let (mut bay, now) = (bay(MishapKind::PowerLoss), Instant::now());
        bay.crossed(5 * MEGABYTE, now);
        sends(&mut bay, "a", 1, now);
        bay.hear(Said::Advanced(4 * MEGABYTE), now);
        assert_eq!(bay.done(), MEGABYTE);
        bay.crossed(7 * MEGABYTE, now);
        assert_eq!(bay.done(), 3 * MEGABYTE);
        // TLS and HTTP cross too.
        bay.crossed(20 * MEGABYTE, now);
        assert_eq!(bay.done(), 5 * MEGABYTE);
    }

    #[test]
    fn it_is_home_when_its_recordings_are_gone_and_it_rests() {
        let (mut bay, now) = (bay(MishapKind::PulledOut), Instant::now());
        bay.hear(Said::Idle("waiting: 2 that failed".into()), now);
        assert!(!bay.comes_home(now), "two are there still");
        bay.wanted.iter_mut().for_each(|one| one.gone = true);
        bay.hear(Said::Did("deleted b".into()), now);
        assert!(!bay.comes_home(now), "it is busy");
        bay.hear(Said::Idle("waiting: 1 not requested".into()), now);
        assert!(bay.comes_home(now));
        bay.hear(Said::Ended, now);
        assert!(bay.is_home() && !bay.comes_home(now), "told once");
    }

    #[test]
    fn the_rate_is_that_of_the_last_second_and_the_mean_leaves_out_what_was_dead() {
        let (mut bay, begin) = (bay(MishapKind::PowerLoss), Instant::now());
        let at = |tenths: u64| begin + Duration::from_millis(100 * tenths);
        for tenth in 0..=20 {
            bay.crossed(tenth * MEGABYTE, at(tenth));
        }
        assert_eq!(bay.rate(), 80 * MEGABYTE);
        for tenth in 21..=31 {
            bay.crossed(20 * MEGABYTE, at(tenth));
        }
        assert_eq!(bay.rate(), 0);
        sends(&mut bay, "a", 8, begin);
        bay.turn(at(10)).unwrap();
        bay.turn(at(40)).unwrap();
        sends(&mut bay, "a", 8, at(50));
        bay.home = Some(at(60));
        assert_eq!(bay.mean_rate(), Some(80 * MEGABYTE), "20 MB in two of six seconds");
    }
}
