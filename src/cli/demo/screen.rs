//! What the person sees: on a terminal the bays live, below what happened; elsewhere a line for each thing that happens.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use console::{Style, style as styled};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::bay::{Bay, Doing, STATE_CHARS};

/// Where nobody watches, how often the totals are told.
const TOTALS_EVERY: Duration = Duration::from_secs(5);
/// Longest text of a piece of news; with time and bay before it, a line has at most 100 characters.
const NEWS_CHARS: usize = 83;
const BAR: &str = "━╸─";
const FILLING: &str = "\nFilling eight cards {wide_bar:.cyan/black.bright} {decimal_bytes}/{decimal_total_bytes}";

/// How a piece of news is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// Something goes wrong.
    Trouble,
    /// Something came to its good end.
    Good,
}

/// The display.
pub(super) struct Screen {
    began: Instant,
    told: Instant,
    live: Option<Live>,
}

struct Live {
    all: MultiProgress,
    title: ProgressBar,
    bays: Vec<ProgressBar>,
}

impl Screen {
    pub(super) fn new(now: Instant) -> Self {
        let live = io::stdout().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
            Live { title: ProgressBar::hidden(), bays: Vec::new(), all }
        });
        Self { began: now, told: now, live }
    }

    /// A bar for the filling of the cards.
    pub(super) fn filling(&self, total: u64) -> ProgressBar {
        match &self.live {
            Some(live) => live.all.add(ProgressBar::new(total).with_style(style(FILLING))),
            None => ProgressBar::hidden(),
        }
    }

    /// Something happened, in one bay or in all.
    pub(super) fn news(&self, tone: Tone, bay: Option<&Bay>, text: &str) {
        let time = styled(format!("{:>5.1} s", self.began.elapsed().as_secs_f32())).dim();
        let place = bay.map(|bay| format!("bay {}", bay.plan.bay)).unwrap_or_default();
        let colour = match tone {
            Tone::Plain => Style::new(),
            Tone::Trouble => Style::new().yellow(),
            Tone::Good => Style::new().green(),
        };
        self.line(&format!("{time}  {place:<5}  {}", colour.apply_to(cut(text))));
    }

    fn line(&self, text: &str) {
        match &self.live {
            Some(live) => drop(live.all.println(text)),
            None => drop(writeln!(io::stdout(), "{text}")),
        }
    }

    /// Shows how the bays are.
    pub(super) fn draw(&mut self, bays: &[Bay], now: Instant) {
        let Some(live) = &mut self.live else {
            if now.duration_since(self.told) >= TOTALS_EVERY {
                self.told = now;
                self.news(Tone::Plain, None, &totals(bays));
            }
            return;
        };
        if live.bays.is_empty() {
            live.title = live.all.add(ProgressBar::new_spinner().with_style(style("\n{msg:.bold}")));
            live.bays = bays.iter().map(|bay| live.all.add(ProgressBar::new(bay.total()))).collect();
        }
        live.title.set_message(format!(
            "Longshore demo   {:>2} s   {}",
            now.duration_since(self.began).as_secs(),
            totals(bays)
        ));
        for (bar, bay) in live.bays.iter().zip(bays) {
            bar.set_style(style(&template(bay)));
            bar.set_prefix(prefix(bay));
            bar.set_message(message(bay, now));
            bar.set_position(bay.done());
        }
    }
}

/// Takes the bays away, however the demo ends; what happened stays.
impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            let _no_terminal = live.all.clear();
        }
    }
}

/// What a camera says of an error may be long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(NEWS_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would show the usual bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars(BAR)
}

fn template(bay: &Bay) -> String {
    let colour = match bay.doing {
        Doing::NoPower { .. } | Doing::PulledOut { .. } | Doing::Waits => "yellow",
        Doing::Stopped => "red",
        _ if bay.is_home() => "green",
        _ => "cyan",
    };
    format!("{{prefix}}  {{wide_bar:.{colour}/black.bright}}  {{msg:.{colour}}}")
}

fn prefix(bay: &Bay) -> String {
    format!("{}  {} {:<12}", bay.plan.bay, bay.plan.serial, bay.plan.assignee)
}

/// As wide for every bay, so that the bars are.
fn message(bay: &Bay, now: Instant) -> String {
    let rate = match bay.rate() {
        0 => "-".to_owned(),
        rate => mbits(rate),
    };
    format!("{rate:>4}/64 Mbit/s  {:<STATE_CHARS$}", bay.in_words(now))
}

/// All bays together.
fn totals(bays: &[Bay]) -> String {
    let sum = |of: fn(&Bay) -> u64| bays.iter().map(of).sum::<u64>();
    let (safe, all): (usize, usize) = (bays.iter().map(Bay::safe).sum(), bays.iter().map(|bay| bay.wanted.len()).sum());
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let (done, total, rate) = (megabytes(sum(Bay::done)), megabytes(sum(Bay::total)), sum(Bay::rate) / 1_000_000);
    format!("{safe} of {all} recordings home   {done} of {total} MB   {rate} Mbit/s")
}

/// Bits a second as Mbit/s, with one decimal.
pub(super) fn mbits(rate: u64) -> String {
    let tenths = (rate + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::super::bay::Wanted;
    use super::super::part::Said;
    use super::super::plan::DOCK;
    use super::*;

    /// Columns of the smallest terminal that is thought of, and what a bar needs at least.
    const COLUMNS: usize = 80;
    const BAR_COLUMNS: usize = 8;

    fn bays() -> Vec<Bay> {
        let wanted = || vec![Wanted { name: "EVENT/a.mp4".into(), size: 99_000_000, gone: false }; 5];
        DOCK.iter().map(|plan| Bay::new(*plan, wanted())).collect()
    }

    #[test]
    fn every_line_fits_a_small_terminal_whatever_a_camera_does() {
        let now = Instant::now();
        let until = now + Duration::from_secs(9);
        for doing in [
            Doing::Starting,
            Doing::Reading { done: 1, total: 1 },
            Doing::Sending,
            Doing::Busy,
            Doing::Waits,
            Doing::Idle,
            Doing::NoPower { until },
            Doing::PulledOut { until },
            Doing::Stopped,
        ] {
            for mut bay in bays() {
                bay.known = true;
                bay.doing = doing.clone();
                bay.crossed(0, now);
                bay.crossed(8_100_000, now + Duration::from_secs(1));
                let (prefix, message) = (prefix(&bay), message(&bay, now));
                assert!(message.starts_with("64.8/64 Mbit/s  "), "{message}");
                let columns = prefix.chars().count() + message.chars().count() + 4 + BAR_COLUMNS;
                assert!(columns <= COLUMNS, "{prefix} {message}");
                assert!(bay.in_words(now).chars().count() <= STATE_CHARS, "{message}");
            }
        }
    }

    #[test]
    fn long_news_are_cut() {
        assert_eq!(cut("é"), "é");
        assert_eq!(cut(&"é".repeat(NEWS_CHARS)), "é".repeat(NEWS_CHARS));
        assert_eq!(cut(&"é".repeat(NEWS_CHARS + 1)), format!("{}…", "é".repeat(NEWS_CHARS)));
    }

    #[test]
    fn the_title_adds_the_bays_up() {
        let mut bays = bays();
        let now = Instant::now();
        bays[0].wanted[0].gone = true;
        bays[1].hear(Said::Sending { name: "EVENT/a.mp4".into(), done: 1_000_000 }, now);
        bays[1].hear(Said::Advanced(2_000_000), now);
        bays[1].crossed(2_000_000, now);
        assert_eq!(totals(&bays), "1 of 40 recordings home   102 of 3960 MB   0 Mbit/s");
    }

    #[test]
    fn a_rate_has_one_decimal() {
        assert_eq!([0, 49_999, 50_000, 63_960_000].map(mbits), ["0.0", "0.0", "0.1", "64.0"]);
    }
}
