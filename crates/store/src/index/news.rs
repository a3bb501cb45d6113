//! What happened that webhooks are told of, the newest ten thousand: a ring, so that a webhook that nobody answers for a month costs
//! no more than one that is answered. Who came too late is told how much was missed.

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, RecordingId, RequestId};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, get, put};
use super::tables::Table;
use super::{Index, IndexError};
use crate::facts::Entry;

/// News that are kept: of a city's five hundred cameras, those of a day.
const NEWS_KEPT: u64 = 10_000;
/// Key of how many there were; longer than those of the news.
const COUNT: &[u8] = b"count of news";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsRow {
    /// Counts from 0 without gaps.
    pub number: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub news: News,
}

/// What happened; more of it is looked up when it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum News {
    /// A recording is verified and stored.
    Stored {
        /// Whose.
        device: DeviceId,
        /// Which.
        rid: RecordingId,
        /// Which content of it.
        revision: u32,
    },
    /// There is no more to come for a request.
    RequestOver {
        /// Which.
        request: RequestId,
    },
    /// A trouble began, or came back.
    IssueOpened {
        /// Which.
        issue: u64,
    },
    /// It ended.
    IssueEnded {
        /// Which.
        issue: u64,
    },
    /// The server signed how far its journal goes.
    Checkpointed {
        /// The line of the journal that holds it.
        seq: u64,
    },
}

impl Index {
    /// How many there were in all: the number of the next.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn news_count(&self) -> Result<u64, IndexError> {
        Ok(super::get(&self.tables[Table::News], COUNT)?.unwrap_or(0))
    }

    /// From this number on, the oldest first, and at most so many; those that are gone are left out.
    pub fn news(&self, from: u64, most: u64) -> Result<Vec<NewsRow>, IndexError> {
        let count = self.news_count()?;
        let first = from.max(count.saturating_sub(NEWS_KEPT));
        let rows = (first..count.min(first.saturating_add(most))).map(|number| {
            let row: Option<NewsRow> = super::get(&self.tables[Table::News], &place(number))?;
            // Another one may have taken its place since the count was read.
            Ok(row.filter(|row| row.number == number))
        });
        Ok(rows.collect::<Result<Vec<_>, IndexError>>()?.into_iter().flatten().collect())
    }

    /// The number of the first that this webhook does not know; `None`: it is new.
    pub fn news_read(&self, hook: &str) -> Result<Option<u64>, IndexError> {
        super::get(&self.tables[Table::NewsRead], hook.as_bytes())
    }
}

impl Rows {
    pub(super) fn tell_news(&self, entry: &Entry, news: News) -> Applied<()> {
        let table = &self.tables[Table::News];
        let number: u64 = get(table, COUNT)?.unwrap_or(0);
        put(table, &place(number), &NewsRow { number, at: entry.at, news })?;
        put(table, COUNT, &(number + 1))
    }
}

fn place(number: u64) -> [u8; 8] {
    (number % NEWS_KEPT).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Fact, RequestFact};
    use crate::index::IndexPlace;
    use crate::journal::Mark;

    #[test]
    fn the_newest_are_kept_and_whoever_is_late_misses_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&IndexPlace::below(folder.path())).unwrap();
        let at: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
        let request = |n: u64| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&n.to_be_bytes());
            RequestId::from_bytes(bytes)
        };
        let count = NEWS_KEPT + 500;
        for group in (0..count).collect::<Vec<_>>().chunks(250) {
            let facts = group.iter().flat_map(|n| {
                let asked = serde_json::json!({
                    "id": request(*n), "requester": "uid 0", "devices": [], "from": at, "to": at, "priority": 5,
                    "added_at": at, "expires": at,
                });
                let added = RequestFact::Added { request: serde_json::from_value(asked).unwrap() };
                [added, RequestFact::Expired { request: request(*n) }, RequestFact::Expired { request: request(*n) }]
            });
            let entries: Vec<_> = facts.map(|fact| Entry { seq: 1, at, fact: Fact::Request(fact) }).collect();
            let mark = Mark { seq: 1, hash: String::new(), segment: 1, batch_at: 0 };
            index.apply(&entries, &mark).unwrap();
        }
        assert_eq!(index.news_count().unwrap(), count, "each once");
        let numbers = |from, most| index.news(from, most).unwrap().iter().map(|row| row.number).collect::<Vec<_>>();
        assert_eq!(numbers(0, 2), [500, 501]);
        assert_eq!(numbers(count - 2, 100), [count - 2, count - 1]);
        assert_eq!(index.news(700, 1).unwrap()[0].news, News::RequestOver { request: request(700) });
        assert!(numbers(count, 100).is_empty());
    }
}
