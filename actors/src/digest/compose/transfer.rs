use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::Kind;

use super::super::words::{self, clean, count, duration, size};
use super::{About, Checkpoints, Composed, DeviceName, Heading, Lines, Night, attention, lines};

/// Files of a device that are listed.
const FILES_OF_DEVICE: usize = 50;
/// Devices of a mail that are listed.
const DEVICES: usize = 1000;
/// Files of a mail that are listed: with more than about a tenth of a megabyte, mail programs cut it off.
const FILES: usize = 500;
/// Where the last column of a file's line begins.
const CONTINUED: &str = "                                         ";

/// What there is to tell about transfers.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransferNews {
    pub(crate) devices: Vec<DeviceNews>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) requests: Vec<RequestNews>,
    pub(crate) storage: Option<Storage>,
    /// What was found in the store, night by night.
    pub(crate) nights: Vec<Night>,
    pub(crate) checkpoints: Checkpoints,
    /// Devices that need attention.
    pub(crate) attention: usize,
}

/// A device that sent something.
#[derive(Debug, Clone)]
pub(crate) struct DeviceNews {
    pub(crate) name: DeviceName,
    pub(crate) files: Vec<File>,
}

/// A recording that came into the store.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// In true time as far as that is known; `None`: nobody knows.
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) duration: Option<TimeDelta>,
    pub(crate) camera: String,
    pub(crate) kind: Kind,
    pub(crate) event_type: Option<String>,
    pub(crate) bytes: u64,
}

/// Something that did not come as it should.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) at: DateTime<Utc>,
    pub(crate) device: DeviceName,
    pub(crate) why: FailedBy,
}

/// Why it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailedBy {
    Mismatch,
    Conflict,
    Expiry,
}

/// A request of which no more is to come from a device.
#[derive(Debug, Clone)]
pub(crate) struct RequestNews {
    pub(crate) at: DateTime<Utc>,
    pub(crate) device: DeviceName,
    pub(crate) requester: String,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) ended: RequestEnd,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    There,
    Nothing,
    Late,
}

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Bytes that can be taken.
    pub(crate) free: u64,
    /// What came on an average day lately; `None`: it is not known yet.
    pub(crate) daily: Option<u64>,
}

impl TransferNews {
    /// Whether there is anything to send a mail about.
    pub(crate) fn is_news(&self) -> bool {
        let happened = !(self.devices.is_empty() && self.failures.is_empty() && self.requests.is_empty());
        happened || self.nights.iter().any(Night::is_wrong)
    }
}

/// A line about a file, column by column.
#[derive(Debug)]
struct FileLine {
    start: String,
    duration: String,
    size: String,
    what: String,
}

#[derive(Debug)]
struct DeviceLines {
    name: String,
    total: String,
    files: Vec<FileLine>,
    more: Option<String>,
}

#[derive(Debug)]
struct Transfers {
    heading: Heading,
    answer: Vec<String>,
    devices: Vec<DeviceLines>,
    more_devices: Option<String>,
    failures: Vec<String>,
    requests: Vec<String>,
    storage: Option<String>,
    nights: Vec<String>,
    checkpoints: Checkpoints,
}

#[derive(Template)]
#[template(path = "digest/transfer.txt", escape = "none")]
struct Text<'a> {
    digest: &'a Transfers,
}

#[derive(Template)]
#[template(path = "digest/transfer.html")]
struct Html<'a> {
    digest: &'a Transfers,
}

/// The mail about transfers.
///
/// # Errors
/// Those of the templates, which have none of their own.
pub(crate) fn compose(about: &About, news: TransferNews) -> askama::Result<Composed> {
    let answer = answer(&news);
    let subject = about.subject(&answer);
    let TransferNews { mut devices, mut failures, mut requests, storage, nights, checkpoints, .. } = news;
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    failures.sort_by_key(|failure| failure.at);
    requests.sort_by_key(|request| request.at);
    let left = devices.len().checked_sub(DEVICES).filter(|left| *left > 0);
    devices.truncate(DEVICES);
    let counts: Vec<usize> = devices.iter().map(|device| device.files.len()).collect();
    let listed = listed(&counts);
    let digest = Transfers {
        heading: about.heading("transfers", "digest.transfer"),
        answer,
        devices: devices.into_iter().map(|device| device_lines(device, listed, about)).collect(),
        more_devices: left.map(|left| format!("And {} more.", count(left, "device", "devices"))),
        failures: lines(&failures, |failure| failure_line(failure, about)),
        requests: lines(&requests, |request| request_line(request, about)),
        storage: storage.map(storage_line),
        nights: nights.iter().flat_map(Night::lines).collect(),
        checkpoints,
    };
    Ok(Composed { subject, text: Text { digest: &digest }.render()?, html: Html { digest: &digest }.render()? })
}

/// What most people want to know, part by part.
fn answer(news: &TransferNews) -> Vec<String> {
    let files = || news.devices.iter().flat_map(|device| &device.files);
    let pictures = files().filter(|file| file.kind == Kind::Snapshot).count();
    let videos = files().count() - pictures;
    let bytes = files().map(|file| file.bytes).sum();
    let failed = news.failures.len();
    let answered = news.requests.len();
    let mut came = Vec::new();
    if videos > 0 || pictures == 0 {
        came.push(count(videos, "video", "videos"));
    }
    if pictures > 0 {
        came.push(count(pictures, "picture", "pictures"));
    }
    if bytes > 0 {
        came.push(size(bytes));
    }
    let wrong = news.nights.iter().any(Night::is_wrong).then(|| "the store is not as it should be".to_owned());
    let failed = (failed > 0).then(|| format!("{} failed", count(failed, "transfer", "transfers")));
    let answered = (answered > 0).then(|| format!("{} answered", count(answered, "request", "requests")));
    wrong.into_iter().chain(attention(news.attention)).chain(failed).chain([came.join(", ")]).chain(answered).collect()
}

/// How many files of each device are listed, so that they are not too many in all and each device has its share.
fn listed(counts: &[usize]) -> usize {
    let in_all = |most: usize| counts.iter().map(|count| *count.min(&most)).sum::<usize>();
    (0..=FILES_OF_DEVICE).rev().find(|most| in_all(*most) <= FILES).unwrap_or_default()
}

fn device_lines(DeviceNews { name, mut files }: DeviceNews, listed: usize, about: &About) -> DeviceLines {
    files.sort_by_key(|file| file.start);
    let total = totals(&files);
    let left: &[File] = files.get(listed..).unwrap_or_default();
    let more = (!left.is_empty()).then(|| match listed {
        0 => String::new(),
        _ => format!("and {} more, {}", left.len(), size(left.iter().map(|file| file.bytes).sum())),
    });
    let files = files.iter().take(listed).map(|file| file_line(file, about)).collect();
    DeviceLines { name: name.label(), total, files, more: more.filter(|more| !more.is_empty()) }
}

fn totals(files: &[File]) -> String {
    let pictures = files.iter().filter(|file| file.kind == Kind::Snapshot).count();
    let videos = files.len() - pictures;
    let videos = (videos > 0).then(|| count(videos, "video", "videos"));
    let pictures = (pictures > 0).then(|| count(pictures, "picture", "pictures"));
    let bytes = size(files.iter().map(|file| file.bytes).sum());
    videos.into_iter().chain(pictures).chain([bytes]).collect::<Vec<_>>().join(", ")
}

fn file_line(file: &File, about: &About) -> FileLine {
    let start = file.start.map_or_else(|| "time unknown".to_owned(), |start| words::moment(start, about.zone));
    let why = match (&file.event_type, file.kind) {
        (Some(event), _) => clean(event),
        (None, kind) => kind.to_string(),
    };
    let what = if file.camera.is_empty() { why } else { format!("{why}, {}", clean(&file.camera)) };
    let duration = file.duration.map(duration).unwrap_or_default();
    FileLine { start, duration, size: size(file.bytes), what }
}

fn failure_line(Failure { at, device, why }: &Failure, about: &About) -> String {
    let why = match why {
        FailedBy::Mismatch => {
            "what arrived was not what the camera had; it is sent again by itself, and nothing was deleted on the camera"
        }
        FailedBy::Conflict => "it has another content under the id of a recording that is stored; both are kept",
        FailedBy::Expiry => "an upload came no further for a month and was given up; the camera may send it anew",
    };
    format!("{}, {}: {why}.", words::moment(*at, about.zone), device.label())
}

fn request_line(request: &RequestNews, about: &About) -> String {
    let RequestNews { device, requester, from, to, ended, .. } = request;
    let ended = match ended {
        RequestEnd::There => "what the camera recorded of it is there",
        RequestEnd::Nothing => "the camera recorded nothing then, or has overwritten it",
        RequestEnd::Late => "its time was over before it came",
    };
    let [from, to] = [from, to].map(|at| words::moment(*at, about.zone));
    format!("{}, {from} to {to}, for {}: {ended}.", device.label(), clean(requester))
}

fn storage_line(Storage { free, daily }: Storage) -> String {
    let lasts = match daily {
        Some(daily) if daily > 0 => {
            let days = usize::try_from(free / daily).unwrap_or(usize::MAX);
            let days = if days > DAYS_FORETOLD { "more than two years".to_owned() } else { count(days, "day", "days") };
            format!("at {} a day, as lately, that lasts for {days}", size(daily))
        }
        _ => "how long that lasts is known after the first full day".to_owned(),
    };
    format!("{} free; {lasts}.", size(free))
}

/// Beyond two years nothing is foretold.
const DAYS_FORETOLD: usize = 730;

impl Lines for Transfers {}

impl DeviceLines {
    fn title(&self) -> String {
        format!("{}: {}", self.name, self.total)
    }
}

impl FileLine {
    /// For the text part; its first three columns have no long words in them.
    fn columns(&self) -> String {
        let Self { start, duration, size, what } = self;
        words::wrapped(what, &format!("  {start:<12}  {duration:>12}  {size:>9}  "), CONTINUED)
    }
}
