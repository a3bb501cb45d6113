//! What people decide about each other, about places, and about what belongs where.

use std::collections::BTreeSet;

use longshore_model::{Account, ApiToken, Assignment, DeviceId, Dock, EnrolmentId, Role, Site, TokenId};
use serde::{Deserialize, Serialize};

/// One such decision. `by` is as in [`Fact`](super::Fact).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum PeopleFact {
    /// A login was made.
    AccountAdded {
        /// The account, its password hashed.
        account: Account,
        /// Who did it.
        by: String,
    },
    /// What an account may do, or its mail address, was changed.
    AccountChanged {
        /// Which.
        account: String,
        /// Its role from now on.
        role: Role,
        /// Where its mail goes from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mail: Option<String>,
        /// Who did it.
        by: String,
    },
    /// An account got a password; the one that it had counts for nothing, and neither do the tokens that it got for that one.
    PasswordSet {
        /// Which.
        account: String,
        /// Argon2id, in the PHC string format.
        password_hash: String,
        /// Who did it.
        by: String,
    },
    /// An account was removed, with all its tokens.
    AccountRemoved {
        /// Which.
        account: String,
        /// Who did it.
        by: String,
    },
    /// A token for the JSON API was made.
    ApiTokenIssued {
        /// Of which account.
        account: String,
        /// The token, hashed.
        token: ApiToken,
        /// Who did it.
        by: String,
    },
    /// A token for the JSON API was made worthless.
    ApiTokenRevoked {
        /// Of which account.
        account: String,
        /// Which.
        token: TokenId,
        /// Who did it.
        by: String,
    },
    /// A site was made, or has other networks from now on.
    SiteSet {
        /// The site as it is from now on.
        site: Site,
        /// Who did it.
        by: String,
    },
    /// A site was removed.
    SiteRemoved {
        /// Which.
        site: String,
        /// Who did it.
        by: String,
    },
    /// A dock was made, or is another from now on.
    DockSet {
        /// The dock as it is from now on.
        dock: Dock,
        /// Who did it.
        by: String,
    },
    /// A dock was removed.
    DockRemoved {
        /// Which.
        dock: String,
        /// Who did it.
        by: String,
    },
    /// A device has another home site, or other labels.
    DeviceSet {
        /// Which.
        device: DeviceId,
        /// Its home site from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        site: Option<String>,
        /// Its labels from now on.
        groups: BTreeSet<String>,
        /// Who did it.
        by: String,
    },
    /// A device belongs to somebody else.
    DeviceAssigned {
        /// Which.
        device: DeviceId,
        /// To whom, and from when.
        assignment: Assignment,
        /// Who did it.
        by: String,
    },
    /// Another device took a device's place.
    DeviceReplaced {
        /// Which was replaced.
        device: DeviceId,
        /// Serial of the one that took its place.
        with: String,
        /// Who did it.
        by: String,
    },
    /// A device's request to be known was turned away.
    EnrolmentRejected {
        /// Which.
        enrolment: EnrolmentId,
        /// Serial that it asked under.
        serial: String,
        /// Who did it.
        by: String,
    },
    /// An enrolment token was made worthless.
    TokenRevoked {
        /// Which.
        token: TokenId,
        /// Who did it.
        by: String,
    },
}
