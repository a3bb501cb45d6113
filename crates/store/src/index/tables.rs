//! The tables of the index, each a tree of sled's.

use std::ops::Index as At;

use sled::Tree;
use sled::transaction::TransactionalTree;

/// One table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Devices by id.
    Devices,
    /// Device ids by the checksum of their key.
    Keys,
    /// Device ids by serial.
    Serials,
    /// Enrolment tokens by id.
    Tokens,
    /// Device ids by the checksum of a token for uploads.
    UploadTokens,
    /// Enrolments by id.
    Enrolments,
    /// What devices declared, by device and recording.
    Declared,
    /// When devices overwrite what people want and is not in the store, by device and recording.
    Endangered,
    /// Manifests by device, recording and revision.
    Stored,
    /// Keys of `Stored` by the upload that brought it.
    Uploads,
    /// Device ids by an upload of theirs that expired.
    Expired,
    /// When the device deleted its copy, by the keys of `Stored`.
    Deleted,
    /// Accounts by name.
    Accounts,
    /// Names of accounts by the checksum of a token for the JSON API.
    ApiTokens,
    /// Sites by name.
    Sites,
    /// Docks by name.
    Docks,
    /// What people did, by place in the journal.
    Audit,
    /// What happened to devices, by serial and place in the journal.
    History,
    /// Requests by id, which is by when they were made.
    Requests,
    /// Request ids by the key that the client gave.
    RequestKeys,
    /// How requests stand with devices, by request and device.
    RequestTargets,
    /// No values: devices and the requests of which something is still to come from them.
    OpenRequests,
    /// Whether those who are to be told of a request know that it was taken, by the requests that they do not know the end of.
    Unannounced,
    /// Where stored recordings lie in true time, by device, start and the keys of `Stored`.
    StoredTimes,
    /// How the clocks of devices went.
    Clocks,
    /// What devices said of themselves last.
    Reports,
    /// What devices are still to do.
    Commands,
    /// Versions of config profiles, by name and number.
    Profiles,
    /// Which profile a label gives, by label.
    GroupProfiles,
    /// Of each device the session that is open, and the last ones that ended, by their number.
    Sessions,
    /// Messages that are to be delivered, by id.
    OutboxOpen,
    /// Messages that were delivered, or cannot be, by id.
    OutboxEnded,
    /// Issues by number, which is by when they began.
    Issues,
    /// No values: issues that are open, by whom they are about and number.
    OpenIssues,
    /// Numbers of issues by what makes them the same trouble; of several, of the newest.
    IssueKeys,
    /// What happened to issues, by their place in a ring.
    IssueChanges,
    /// How devices report their health.
    HealthReports,
    /// Where the windows of each daily mail go on.
    DigestEnds,
    /// Daily mails, by what they tell of and their date.
    Digests,
    /// What daily mails tell of transfers, by place in the journal.
    TransferNews,
    /// What daily mails tell of health, likewise.
    HealthNews,
    /// What came into the store on each day (UTC).
    StoredDays,
    /// What became of recordings, by device, recording and place in the journal.
    Custody,
    /// Signed places of the journal, by the place of the line that holds them.
    Checkpoints,
    /// What nightly looks at the store found, by place in the journal.
    Reconciliations,
    /// Checksums of the signed lists of exports, empty until one is signed, by the export's id.
    Exports,
    /// No values: recordings that a look at the store found damaged, and none has seen right since, by the keys of `Stored`.
    Damaged,
    /// What webhooks are told of, by its number in the ring, and how much of it there was.
    News,
    /// Numbers of the first news that a webhook does not know, by its name.
    NewsRead,
    /// How far the journal is in the index: one row.
    Applied,
}

impl Table {
    /// In the order of their places.
    const ALL: [Self; 50] = [
        Self::Devices,
        Self::Keys,
        Self::Serials,
        Self::Tokens,
        Self::UploadTokens,
        Self::Enrolments,
        Self::Declared,
        Self::Endangered,
        Self::Stored,
        Self::Uploads,
        Self::Expired,
        Self::Deleted,
        Self::Accounts,
        Self::ApiTokens,
        Self::Sites,
        Self::Docks,
        Self::Audit,
        Self::History,
        Self::Requests,
        Self::RequestKeys,
        Self::RequestTargets,
        Self::OpenRequests,
        Self::Unannounced,
        Self::StoredTimes,
        Self::Clocks,
        Self::Reports,
        Self::Commands,
        Self::Profiles,
        Self::GroupProfiles,
        Self::Sessions,
        Self::OutboxOpen,
        Self::OutboxEnded,
        Self::Issues,
        Self::OpenIssues,
        Self::IssueKeys,
        Self::IssueChanges,
        Self::HealthReports,
        Self::DigestEnds,
        Self::Digests,
        Self::TransferNews,
        Self::HealthNews,
        Self::StoredDays,
        Self::Custody,
        Self::Checkpoints,
        Self::Reconciliations,
        Self::Exports,
        Self::Damaged,
        Self::News,
        Self::NewsRead,
        Self::Applied,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Keys => "keys",
            Self::Serials => "serials",
            Self::Tokens => "tokens",
            Self::UploadTokens => "upload_tokens",
            Self::Enrolments => "enrolments",
            Self::Declared => "declared",
            Self::Endangered => "endangered",
            Self::Stored => "stored",
            Self::Uploads => "uploads",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Accounts => "accounts",
            Self::ApiTokens => "api_tokens",
            Self::Sites => "sites",
            Self::Docks => "docks",
            Self::Audit => "audit",
            Self::History => "history",
            Self::Requests => "requests",
            Self::RequestKeys => "request_keys",
            Self::RequestTargets => "request_targets",
            Self::OpenRequests => "open_requests",
            Self::Unannounced => "unannounced",
            Self::StoredTimes => "stored_times",
            Self::Clocks => "clocks",
            Self::Reports => "reports",
            Self::Commands => "commands",
            Self::Profiles => "profiles",
            Self::GroupProfiles => "group_profiles",
            Self::Sessions => "sessions",
            Self::OutboxOpen => "outbox_open",
            Self::OutboxEnded => "outbox_ended",
            Self::Issues => "issues",
            Self::OpenIssues => "open_issues",
            Self::IssueKeys => "issue_keys",
            Self::IssueChanges => "issue_changes",
            Self::HealthReports => "health_reports",
            Self::DigestEnds => "digest_ends",
            Self::Digests => "digests",
            Self::TransferNews => "transfer_news",
            Self::HealthNews => "health_news",
            Self::StoredDays => "stored_days",
            Self::Custody => "custody",
            Self::Checkpoints => "checkpoints",
            Self::Reconciliations => "reconciliations",
            Self::Exports => "exports",
            Self::Damaged => "damaged",
            Self::News => "news",
            Self::NewsRead => "news_read",
            Self::Applied => "applied",
        }
    }
}

/// All tables, for reading; a transaction sees them as `Tables<TransactionalTree>`.
#[derive(Clone)]
pub(super) struct Tables<T = Tree>(Vec<T>);

impl Tables {
    pub(super) fn open(db: &sled::Db) -> sled::Result<Self> {
        Table::ALL.into_iter().map(|table| db.open_tree(table.name())).collect::<Result<_, _>>().map(Self)
    }

    /// As one transaction wants them.
    pub(super) fn all(&self) -> &[Tree] {
        &self.0
    }
}

impl Tables<TransactionalTree> {
    /// Those that a transaction over [`Tables::all`] gives.
    pub(super) fn of(trees: &[TransactionalTree]) -> Self {
        Self(trees.to_vec())
    }
}

impl<T> At<Table> for Tables<T> {
    type Output = T;

    fn index(&self, table: Table) -> &T {
        &self.0[table as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_place_and_a_name_of_its_own() {
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, place);
            assert_eq!(Table::ALL.iter().filter(|other| other.name() == table.name()).count(), 1);
        }
    }
}
