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
    /// The recording that is or was sent last, and how much of it is through.
    current: Option<(String, u64)>,
    /// What is to go wrong still.
    mishap: Option<Mishap>,
    crossed: VecDeque<(Instant, u64)>,
    began: Option<Instant>,
    /// When something went wrong, until it goes on.
    broke: Option<Instant>,
    /// How long it could not send.
    lost_time: Duration,
    /// When it was done.
    pub(super) home: Option<Instant>,
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
                    (_, Some((_, done))) => *done += bytes,
                    _ => {}
                }
                return None;
            }
            Said::Sending { name, done } => {
                self.began.get_or_insert(now);
                if let Some(broke) = self.broke.take() {
                    self.lost_time += now.duration_since(broke);
                    news = Some(format!("goes on at {} of {name}: so much is safe", human_bytes(done)));
                }
                self.current = Some((name, done));
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
        ((after - before) * 8 * 1_000).checked_div(millis).unwrap_or(0)
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

    /// Done and all bytes of the recording under way.
    fn under_way(&self) -> Option<(u64, u64)> {
        let (name, done) = self.current.as_ref()?;
        let one = self.wanted.iter().find(|one| one.name == *name && !one.gone)?;
        Some(((*done).min(one.size), one.size))
    }

    /// Recordings that are stored and deleted on the camera.
    pub(super) fn safe(&self) -> usize {
        self.wanted.iter().filter(|one| one.gone).count()
    }

    /// Whether all that is to come has come and the camera rests.
    pub(super) fn is_home(&self) -> bool {
        self.doing == Doing::Idle && self.safe() == self.wanted.len()
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
        let left = |until: &Instant| until.saturating_duration_since(now).as_secs() + 1;
        let of = format!("{} of {}", (self.safe() + 1).min(self.wanted.len()), self.wanted.len());
        let words = match &self.doing {
            Doing::Stopped => "stopped".to_owned(),
            _ if !self.known => "waits to be approved".to_owned(),
            Doing::Starting => "starts".to_owned(),
            Doing::Reading { done, total } => {
                format!("computes checksums, {} %", (done * 100).checked_div(*total).unwrap_or(100))
            }
            Doing::Sending | Doing::Busy if self.plan.days_ahead > 0 => format!("sends {of}, wrong clock"),
            Doing::Sending | Doing::Busy => format!("sends {of}"),
            Doing::Waits => "waits, tries again".to_owned(),
            Doing::Idle if self.is_home() => "done, 1 not asked for".to_owned(),
            Doing::Idle => "waits".to_owned(),
            Doing::NoPower { until } => format!("no power, back in {} s", left(until)),
            Doing::PulledOut { until } => format!("pulled out, back in {} s", left(until)),
        };
        words.chars().take(STATE_CHARS).collect()
    }
}

/// Room for what a bay does, so that a line fits 80 characters.
pub(super) const STATE_CHARS: usize = 27;
