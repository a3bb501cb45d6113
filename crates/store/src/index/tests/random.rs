//! Facts that touch each other's rows as often as can be.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{
    Account, ApiToken, Assignment, CheckpointClaims, ClockSample, Command, CommandId, CommandOp, Declared, Description,
    Device, DeviceId, DeviceReport, DeviceState, DigestKind, DigestOf, Dock, EnrolToken, Enrolment, EnrolmentId,
    EnrolmentState, ExportId, HealthEventId, HealthSubject, Holds, Issue, IssueChange, IssueEnd, IssueWhat, Kind,
    MailId, MailKind, Message, Outcome, ReceiptKey, Recording, RecordingId, RequestId, Role, SessionEnd, Sha256, Site,
    Span, Timetable, TokenId, UploadId, UploadToken, VideoRequest,
};

use crate::facts::{
    CustodyFact, DigestFact, Fact, HealthFact, HealthReport, OutboxFact, PeopleFact, ProfileFact, ReportFact,
    RequestFact, SessionFact, StorageFact, StoredId, Window,
};
use crate::manifest::Manifest;
use crate::verify::{Looked, Reconciliation, Unended};

/// So few of each that facts meet.
const FEW: u64 = 5;

/// The same facts for the same seed.
pub(super) struct Random {
    state: u64,
    key: ReceiptKey,
}

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = ReceiptKey::from_pkcs8(key.serialized_der()).unwrap();
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, key }
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % limit
    }

    fn id(&mut self) -> [u8; 16] {
        [u8::try_from(self.below(FEW)).unwrap(); 16]
    }

    pub(super) fn batch(&mut self) -> Vec<Fact> {
        (0..=self.below(6)).map(|_| self.fact()).collect()
    }

    pub(super) fn fact(&mut self) -> Fact {
        let (device, rid) = (DeviceId::from_bytes(self.id()), RecordingId::from_bytes(self.id()));
        let (token, enrolment) = (TokenId::from_bytes(self.id()), EnrolmentId::from_bytes(self.id()));
        match self.below(50) {
            0 => Fact::TokenIssued { token: self.token(token), by: "uid 0".into() },
            1 => Fact::EnrolmentRequested { enrolment: self.enrolment(enrolment, token) },
            2 => Fact::DeviceApproved { enrolment, device: self.device(device), by: "uid 0".into() },
            3 => Fact::DeviceActivated { device },
            4 => Fact::Declared { device, items: (0..self.below(4)).map(|_| self.declared()).collect() },
            5 => {
                let (declared, found) = (self.sha256(), self.sha256());
                Fact::Mismatched { device, rid, upload: UploadId::from_bytes(self.id()), declared, found }
            }
            6 => {
                let (upload, came, medium) = (UploadId::from_bytes(self.id()), self.sha256(), self.sha256());
                Fact::Storage(StorageFact::Altered { device, rid, upload, came, medium })
            }
            7 => Fact::Stored { manifest: self.manifest(device, rid) },
            12 => Fact::EnrolmentSuperseded { enrolment },
            13 => Fact::DeviceAdded { device: Device { key: None, ..self.device(device) }, by: "uid 0".into() },
            14 => {
                let token = UploadToken { id: token, hash: self.sha256(), issued_at: start().to_utc() };
                Fact::UploadTokenIssued { device, token, by: "uid 0".into() }
            }
            15 => Fact::UploadTokenRevoked { device, token, by: "uid 0".into() },
            8 => Fact::DeviceSuspended { device, by: "uid 0".into() },
            9 => Fact::DeviceReinstated { device, by: "uid 0".into() },
            10 => Fact::DeviceRetired { device, by: "uid 0".into() },
            11 => Fact::DeviceReenrolled { enrolment, device, key: self.sha256(), by: "uid 0".into() },
            17..=21 => Fact::Request(self.request_fact(device)),
            22..=24 => Fact::Report(self.report_fact(device)),
            25 | 26 => Fact::Profile(self.profile_fact(device)),
            27 | 28 => Fact::Session(self.session_fact(device)),
            40..=43 => Fact::Health(self.health_fact(device)),
            44..=46 => Fact::Digest(self.digest_fact()),
            29..=34 => Fact::People(self.people(device, token, enrolment)),
            35 | 36 => Fact::Outbox(self.outbox_fact()),
            37 | 38 => Fact::Custody(self.custody_fact(device, rid)),
            16 => Fact::Expired { device, upload: UploadId::from_bytes(self.id()), rid: Some(rid) },
            _ => {
                let revision = u32::try_from(self.below(3)).unwrap();
                Fact::Deleted { device, rid, revision, deleted_at: start() }
            }
        }
    }

    fn digest_fact(&mut self) -> DigestFact {
        let site = (self.below(2) == 0).then(|| "North".to_owned());
        let kind = if self.below(2) == 0 { DigestKind::Transfer } else { DigestKind::Health };
        let digest = DigestOf { kind, site };
        let date = start().date_naive() + chrono::Days::new(self.below(FEW));
        match self.below(6) {
            0 => DigestFact::Begun { digest, date: Some(date) },
            1 | 2 => {
                let window = Window { after: 1, until: 2, from: start().to_utc(), to: start().to_utc() };
                let (missed, to, by) = (vec![date], vec!["anna@example.org".to_owned()], None);
                DigestFact::Planned { digest, date, missed, zone: "UTC".into(), to, window, by }
            }
            3 => DigestFact::Sent { digest, date },
            4 => DigestFact::Nothing { digest, date },
            _ => DigestFact::Ended { digest },
        }
    }

    fn request_fact(&mut self, device: DeviceId) -> RequestFact {
        let request = RequestId::from_bytes(self.id());
        let span = Span { from: start().to_utc(), to: start().to_utc() + TimeDelta::minutes(10) };
        match self.below(8) {
            0 | 1 => RequestFact::Added { request: self.request(request, span) },
            2 => RequestFact::HandedOver { request, device },
            3 => RequestFact::Told {
                request,
                device,
                holds: Holds::Partial,
                ranges: vec![span],
                asked: (start(), start()),
            },
            4 => RequestFact::Finished { request, device, outcome: Outcome::Done },
            5 => RequestFact::Cancelled { request, by: "uid 0".into() },
            6 => RequestFact::Announced { request, over: self.below(2) == 0 },
            _ => RequestFact::Expired { request },
        }
    }

    fn request(&mut self, id: RequestId, span: Span) -> VideoRequest {
        let few = 1 + self.below(3);
        VideoRequest {
            id,
            key: Some(self.below(FEW).to_string()),
            requester: "uid 0".into(),
            devices: (0..few).map(|_| DeviceId::from_bytes(self.id())).collect(),
            cameras: Vec::new(),
            span,
            priority: VideoRequest::PRIORITY,
            note: None,
            notify: (0..self.below(2)).map(|_| "a@example.org".to_owned()).collect(),
            added_at: span.from,
            expires: span.to,
        }
    }

    fn report_fact(&mut self, device: DeviceId) -> ReportFact {
        let id = CommandId::from_bytes(self.id());
        let op = CommandOp::Rescan;
        match self.below(4) {
            0 => {
                let boot = self.below(FEW).to_string();
                let (wall, server, synced) = (start(), start().to_utc(), true);
                let sample = ClockSample { boot, uptime_ms: self.below(FEW), wall, synced, server };
                ReportFact::ClockSampled { device, sample }
            }
            1 => {
                let battery = u8::try_from(self.below(100)).ok();
                ReportFact::Reported { device, report: DeviceReport { battery, ..DeviceReport::default() } }
            }
            2 => {
                let command = Command { id, op, since: start().to_utc() };
                ReportFact::CommandGiven { device, command, by: "uid 0".into() }
            }
            _ => ReportFact::CommandEnded { device, command: id, op, done: true, text: None },
        }
    }

    fn profile_fact(&mut self, device: DeviceId) -> ProfileFact {
        let name = format!("p-{}", self.below(FEW)).parse().unwrap();
        let by = "uid 0".into();
        if self.below(2) == 0 {
            return ProfileFact::Assigned { device, profile: name, by };
        }
        if self.below(2) == 0 {
            let profile = if self.below(2) == 0 { name } else { "default".parse().unwrap() };
            return ProfileFact::GroupAssigned { group: format!("g-{}", self.below(FEW)), profile, by };
        }
        let version = u32::try_from(self.below(FEW)).unwrap();
        ProfileFact::Applied { name, version, note: None, settings: Box::default(), by }
    }

    fn health_fact(&mut self, device: DeviceId) -> HealthFact {
        let (number, subject, by) = (1 + self.below(FEW), HealthSubject::Device(device), "uid 0".to_owned());
        let at = start().to_utc();
        match self.below(6) {
            0 => HealthFact::Silenced { issue: number, subject, until: Some(at), by },
            1 => HealthFact::Ignored { issue: number, subject, ignored: self.below(2) == 0, by },
            2 => {
                let events = vec![HealthEventId::from_bytes(self.id())];
                let report = Some(HealthReport { device, events });
                HealthFact::Noted { issues: Vec::new(), changes: Vec::new(), report }
            }
            _ => {
                let ended = (self.below(2) == 0).then_some((IssueEnd::Cleared, at));
                let what = ended.map_or(IssueWhat::Opened, |(how, _)| IssueWhat::Ended { how });
                let changes = vec![IssueChange { issue: number, at, what, value: None, text: None }];
                HealthFact::Noted { issues: vec![issue(number, at, ended)], changes, report: None }
            }
        }
    }

    fn custody_fact(&mut self, device: DeviceId, rid: RecordingId) -> CustodyFact {
        let at = start().to_utc();
        match self.below(7) {
            0 => {
                let (position, server) = (self.below(FEW), self.key.server_id().to_owned());
                let claims = CheckpointClaims { position, hash: self.sha256(), at, server };
                CustodyFact::Checkpointed { signed: self.key.state(&claims).unwrap(), claims }
            }
            1 => {
                let revision = u32::try_from(self.below(3)).unwrap();
                let recordings = vec![StoredId { device, rid, revision }, StoredId { device, rid, revision: 7 }];
                CustodyFact::Exported { export: ExportId::from_bytes(self.id()), recordings, by: "uid 0".into() }
            }
            2 => {
                let (export, files) = (ExportId::from_bytes(self.id()), self.sha256());
                CustodyFact::ExportSigned { export, files, by: "uid 0".into() }
            }
            3 | 4 => {
                let recordings = vec![StoredId { device, rid, revision: 1 }];
                match self.below(2) {
                    0 => CustodyFact::FoundDamaged { recordings },
                    _ => CustodyFact::FoundSound { recordings },
                }
            }
            5 => {
                let after = StoredId { device, rid, revision: 1 };
                let unended = Unended { day: at.date_naive(), began: at, after, looked: Looked::default() };
                CustodyFact::ReconciliationPaused { unended: Box::new(unended) }
            }
            _ => {
                let reconciliation = Reconciliation {
                    day: at.date_naive(),
                    began: at,
                    ended: at,
                    facts: self.below(FEW),
                    declared_not_stored: 0,
                    looked: Looked::default(),
                    foreign: 0,
                    foreign_named: Vec::new(),
                };
                CustodyFact::Reconciled { reconciliation: Box::new(reconciliation) }
            }
        }
    }

    fn session_fact(&mut self, device: DeviceId) -> SessionFact {
        let (at, address) = (start().to_utc(), None);
        if self.below(2) == 0 {
            return SessionFact::Began { device, at, address };
        }
        let received = Some(self.below(1 << 30));
        SessionFact::Ended { device, at, address, network: None, received, end: SessionEnd::Silent }
    }

    fn outbox_fact(&mut self) -> OutboxFact {
        let id = MailId::from_bytes(self.id());
        match self.below(8) {
            7 => {
                let message = (self.below(2) == 0).then(|| self.message(id));
                OutboxFact::Gathered { hook: "x".into(), upto: self.below(FEW), message }
            }
            0 | 1 => OutboxFact::Queued { message: self.message(id) },
            2 => OutboxFact::Deferred { id, error: "no".into(), until: start().to_utc() },
            3 => OutboxFact::Sent { id, answer: "250 yes".into() },
            4 => OutboxFact::Failed { id, error: "550 no".into() },
            5 => OutboxFact::RetryAsked { ids: vec![id], by: "uid 0".into() },
            _ => OutboxFact::Forgotten { ids: vec![id] },
        }
    }

    fn message(&mut self, id: MailId) -> Message {
        Message {
            id,
            kind: MailKind::Request,
            to: "a@example.org".into(),
            subject: "x".into(),
            message_id: format!("{id}@example.org"),
            references: Vec::new(),
            content: self.sha256(),
            by: (self.below(2) == 0).then(|| "uid 0".to_owned()),
        }
    }

    fn people(&mut self, device: DeviceId, token: TokenId, enrolment: EnrolmentId) -> PeopleFact {
        let by = || "uid 0".to_owned();
        let name = format!("n{}", self.below(FEW));
        let api_token = ApiToken {
            id: token,
            label: "x".into(),
            hash: self.sha256(),
            issued_at: start().to_utc(),
            for_password: self.below(2) == 0,
        };
        let mail = (self.below(2) == 0).then(|| "a@example.org".to_owned());
        let (site, bays) = (Some(name.clone()), vec!["02:00:5e:20:00:05".parse().unwrap()]);
        match self.below(15) {
            0 => {
                let account = Account {
                    name,
                    mail,
                    role: Role::Viewer,
                    password_hash: None,
                    tokens: Vec::new(),
                    created_at: start().to_utc(),
                    removed_at: None,
                };
                PeopleFact::AccountAdded { account, by: by() }
            }
            1 => PeopleFact::AccountChanged { account: name, role: Role::Admin, mail, by: by() },
            2 => PeopleFact::PasswordSet { account: name, password_hash: "$argon2id$".into(), by: by() },
            3 => PeopleFact::AccountRemoved { account: name, by: by() },
            4 | 5 => PeopleFact::ApiTokenIssued { account: name, token: api_token, by: by() },
            6 => PeopleFact::ApiTokenRevoked { account: name, token, by: by() },
            7 => {
                PeopleFact::SiteSet { site: Site { name, networks: Vec::new(), rate: Timetable::default() }, by: by() }
            }
            8 => PeopleFact::SiteRemoved { site: name, by: by() },
            9 => PeopleFact::DockSet { dock: Dock { name, site, bays }, by: by() },
            10 => PeopleFact::DockRemoved { dock: name, by: by() },
            11 => PeopleFact::DeviceSet { device, site, groups: BTreeSet::from([name]), by: by() },
            12 => {
                let assignment = Assignment { assignee: name, from: start().to_utc() };
                PeopleFact::DeviceAssigned { device, assignment, by: by() }
            }
            13 => PeopleFact::DeviceReplaced { device, with: name, by: by() },
            _ if self.below(2) == 0 => PeopleFact::TokenRevoked { token, by: by() },
            _ => PeopleFact::EnrolmentRejected { enrolment, serial: "B-1".into(), by: by() },
        }
    }

    fn sha256(&mut self) -> Sha256 {
        Sha256::of(&self.below(u64::MAX).to_le_bytes())
    }

    fn token(&mut self, id: TokenId) -> EnrolToken {
        let uses_left = u32::try_from(100 + self.below(100)).unwrap();
        let expires = start().to_utc();
        EnrolToken {
            id,
            secret_hash: self.sha256(),
            serial: Some("B-1".into()),
            model: None,
            typed: false,
            expires,
            uses_left,
            revoked_at: None,
        }
    }

    fn enrolment(&mut self, id: EnrolmentId, token: TokenId) -> Enrolment {
        Enrolment {
            id,
            token,
            serial: "B-1".into(),
            model: "BC4".into(),
            key: self.sha256(),
            spki: String::new(),
            description: Description::default(),
            address: None,
            code: "ABCD".into(),
            state: EnrolmentState::Pending,
            requested_at: start().to_utc(),
            device: None,
        }
    }

    fn device(&mut self, id: DeviceId) -> Device {
        Device {
            id,
            serial: format!("B-{}", self.below(FEW)),
            model: "BC4".into(),
            state: DeviceState::Approved,
            key: Some(self.sha256()),
            upload_tokens: Vec::new(),
            assignments: Vec::new(),
            profile: "default".into(),
            site: None,
            groups: BTreeSet::new(),
            replaced_by: None,
            approved_at: start().to_utc(),
        }
    }

    fn declared(&mut self) -> Declared {
        Declared {
            rid: RecordingId::from_bytes(self.id()),
            camera: "front".into(),
            kind: Kind::Event,
            event_type: None,
            start: start(),
            end: None,
            boot: None,
            overwrite_at: None,
            request: None,
            size: Some(self.below(1 << 30)),
            sha256: Some(self.sha256()),
            filename: None,
            clock_unset: false,
            metadata: Some("filename YS5tcDQ=".into()),
            parts: vec![UploadId::from_bytes(self.id())],
        }
    }

    fn manifest(&mut self, device: DeviceId, rid: RecordingId) -> String {
        let recording = Recording {
            device,
            rid,
            revision: u32::try_from(self.below(3)).unwrap(),
            serial: "B-1".into(),
            model: "BC4".into(),
            assignee: None,
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: start(),
            end: None,
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: self.below(1 << 30),
            sha256: self.sha256(),
            attested: true,
            held: false,
            original_name: None,
            received_at: None,
            verified_at: start().to_utc(),
            upload: UploadId::from_bytes(self.id()),
            path: "a/b/c.mp4".into(),
        };
        Manifest::sign(recording, start().to_utc(), &self.key).unwrap().to_text().unwrap()
    }
}

fn start() -> DateTime<chrono::FixedOffset> {
    "2026-11-21T14:03:22+01:00".parse().unwrap()
}

/// An issue is always about the same trouble.
fn issue(number: u64, at: DateTime<Utc>, ended: Option<(IssueEnd, DateTime<Utc>)>) -> Issue {
    Issue {
        number,
        subject: HealthSubject::Device(DeviceId::from_bytes([u8::try_from(number % 2).unwrap(); 16])),
        kind: format!("type_{}", number % 3),
        part: None,
        said: None,
        since: at,
        last_seen: at,
        heard_at: at,
        count: 1,
        several: false,
        reopened: 0,
        value: None,
        text: None,
        calm_at: None,
        ended,
        silenced_until: None,
        ignored: false,
    }
}
