//! The supervision tree.

use std::sync::Arc;

use crate::confirmations::Confirmations;
use crate::custody::{Custodian, Custody};
use crate::digest::{Digests, EmailDigest};
use crate::enrolment::{Arrivals, Enrolment};
use crate::expiry::Expiry;
use crate::health::{HealthAggregator, HealthParts};
use crate::kit::{Board, Line, Supervisor};
use crate::mailer::{Mailer, Post};
use crate::presence::{Presence, PresenceLog};
use crate::profiles::Models;
use crate::requests::RequestQueue;
use crate::sessions::{DeviceSessions, SessionParts, Sessions};
use crate::storage::{StorageParts, StorageWriter};
use crate::upload::Completer;
use crate::webhooks::{Courier, Hooks, Teller, Webhooks};

/// What the supervisor starts, and from what.
pub(crate) struct Tree {
    pub(crate) writer: Line<StorageWriter>,
    pub(crate) mailer: Line<Mailer>,
    pub(crate) post: Post,
    pub(crate) digests: (Line<EmailDigest>, Digests),
    pub(crate) hooks: Hooks,
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) enrolment: Line<Enrolment>,
    pub(crate) requests: Line<RequestQueue>,
    pub(crate) arrivals: Arrivals,
    pub(crate) sessions: Line<DeviceSessions>,
    pub(crate) models: Models,
    pub(crate) presence: Presence,
    pub(crate) storage: StorageParts,
    pub(crate) parts: SessionParts,
    pub(crate) health: (Line<HealthAggregator>, HealthParts),
    pub(crate) custody: Line<Custody>,
    pub(crate) custodian: Custodian,
}

impl Tree {
    /// In the order in which they start. Sessions and transfers are started by the calls of their devices.
    pub(crate) fn supervisor(self, board: Board) -> Supervisor {
        let Self {
            writer,
            mailer,
            post,
            hooks,
            courier,
            enrolment,
            arrivals,
            requests,
            sessions,
            models,
            presence,
            storage,
            parts,
            custodian,
            custody,
            digests,
            health,
        } = self;
        let Completer { catalogue, clock, .. } = parts.completer.clone();
        let told = catalogue.clone();
        let (of_requests, at, asked) = (catalogue.clone(), Arc::clone(&clock), sessions.clone());
        let (known, line) = (Sessions::default(), sessions.clone());
        let (incoming, of_devices) = (parts.incoming.clone(), sessions.clone());
        let mut supervisor = Supervisor::new(board);
        supervisor
            .supervise("storage", &writer, move |lifeline, probe| StorageWriter::new(storage.clone(), lifeline, probe));
        let teller = Teller {
            hooks,
            post: post.clone(),
            types: Arc::clone(&health.1.types),
            clock: Arc::clone(&clock),
            courier,
        };
        let confirming = (catalogue.clone(), Arc::clone(&clock), post.clone(), mailer.clone());
        supervisor.supervise("mailer", &mailer, move |lifeline, probe| Mailer::new(post.clone(), lifeline, probe));
        let (line_of_health, health) = health;
        supervisor.supervise("health", &line_of_health, move |lifeline, probe| {
            HealthAggregator::new(health.clone(), lifeline, probe)
        });
        supervisor.supervise("enrolment", &enrolment, move |lifeline, probe| {
            let (catalogue, arrivals) = (catalogue.clone(), Arc::clone(&arrivals));
            Enrolment::new(catalogue, models.clone(), Arc::clone(&clock), arrivals, lifeline, probe)
        });
        supervisor.supervise("requests", &requests, move |lifeline, probe| {
            RequestQueue::new(of_requests.clone(), Arc::clone(&at), asked.clone(), lifeline, probe)
        });
        supervisor.supervise("confirmations", &Line::new(), move |lifeline, probe| {
            let (catalogue, clock, post, mailer) = confirming.clone();
            Confirmations::new(catalogue, clock, post, mailer, lifeline, probe)
        });
        supervisor
            .supervise("webhooks", &Line::new(), move |lifeline, probe| Webhooks::new(teller.clone(), lifeline, probe));
        supervisor.supervise("sessions", &sessions, move |lifeline, probe| {
            DeviceSessions::new(parts.clone(), known.clone(), line.clone(), lifeline, probe)
        });
        supervisor.supervise("presence", &Line::new(), move |lifeline, probe| {
            PresenceLog::new(presence.clone(), told.clone(), lifeline, probe)
        });
        supervisor.supervise("expiry", &Line::new(), move |lifeline, probe| {
            Expiry::new(incoming.clone(), of_devices.clone(), lifeline, probe)
        });
        let (line_of_digests, digests) = digests;
        supervisor.supervise("digest", &line_of_digests, move |lifeline, probe| {
            EmailDigest::new(digests.clone(), lifeline, probe)
        });
        supervisor
            .supervise("custody", &custody, move |lifeline, probe| Custody::new(custodian.clone(), lifeline, probe));
        supervisor
    }
}
