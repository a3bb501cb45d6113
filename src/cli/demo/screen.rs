//! What the person sees: on a terminal the bays live, below what happened; elsewhere a line for each thing that happens.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::bay::{Bay, Doing, STATE_CHARS};

/// Where nobody watches, how often the totals are told.
const TOTALS_EVERY: Duration = Duration::from_secs(5);
const BAR: &str = "━╸─";
const FILLING: &str = "Filling eight cards {wide_bar:.cyan/black.bright} {decimal_bytes}/{decimal_total_bytes}";

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
    pub(super) fn news(&self, bay: Option<&Bay>, text: &str) {
        let time = self.began.elapsed().as_secs_f32();
        let place = bay.map(|bay| format!("bay {}", bay.plan.bay)).unwrap_or_default();
        self.line(&format!("{time:>5.1} s  {place:<5}  {text}"));
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
                self.news(None, &totals(bays));
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

    /// Takes the bays away; what happened stays.
    pub(super) fn end(&mut self) {
        if let Some(live) = self.live.take() {
            let _no_terminal = live.all.clear();
        }
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
    format!("{safe} of {all} home   {done} of {total} MB   {rate} Mbit/s")
}

/// Bits a second as Mbit/s, with one decimal.
pub(super) fn mbits(rate: u64) -> String {
    let tenths = (rate + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
