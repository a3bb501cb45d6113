//! A transfer whose bytes are all there becomes a recording.

use std::future::Future;
use std::time::Duration;

use actix::prelude::*;

use super::super::attachment::{EndError, Ended, resume_hash};
use super::super::completion::{CompleteError, Receipted};
use super::{OpenFile, UploadStream};

/// How long a request waits for the receipt of the recording that it completed. Later, the device learns of it by
/// offering again.
const RECEIPT_WAIT: Duration = Duration::from_secs(2);

impl UploadStream {
    pub(super) fn complete(&mut self, ctx: &mut Context<Self>) {
        let Some(OpenFile { transfer, ledger, .. }) = self.file.take() else { return };
        self.length = ledger.durable().offset;
        let found = match resume_hash(&ledger.durable().hash) {
            Ok(hash) => hash.finish(),
            Err(error) => return self.fail(error, None, ctx),
        };
        let completer = self.completer.clone();
        self.follow(async move { completer.complete(transfer, found).await }, ctx);
    }

    pub(super) fn follow(
        &mut self,
        completing: impl Future<Output = Result<Receipted, CompleteError>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.completing = true;
        ctx.run_later(RECEIPT_WAIT, |actor, _| {
            let offset = actor.length;
            for reply in actor.ending.drain(..) {
                let _gone = reply.send(Ok(Ended { offset, receipt: None }));
            }
        });
        ctx.spawn(completing.into_actor(self).map(|result, actor, ctx| actor.completed(&result, ctx)));
    }

    fn completed(&mut self, result: &Result<Receipted, CompleteError>, ctx: &mut Context<Self>) {
        // A request that waits to get hold of it finds the recording when it asks again.
        let mut delivered = self.waiting.as_ref().is_some_and(|waiting| !waiting.reply.is_closed());
        for reply in self.ending.drain(..) {
            let ended = match result {
                Ok(Receipted { length, receipt, .. }) => Ok(Ended { offset: *length, receipt: receipt.clone() }),
                Err(error) => Err(EndError::Complete(error.clone())),
            };
            // One that is withheld is not delivered; a device that is reinstated sees its state change in /desired.
            let has_receipt = ended.as_ref().is_ok_and(|ended| ended.receipt.is_some());
            delivered |= reply.send(ended).is_ok() && has_receipt;
        }
        if let Err(error) = result {
            tracing::warn!(upload = %self.upload, %error, "a complete transfer did not become a recording");
            self.probe.error(error);
            // Wrong bytes have a count of their own, and a journal that refuses is nobody's fault here.
            if matches!(error, CompleteError::Storage(error) if error.blames_the_transfer()) {
                self.lifeline.failed();
            }
        }
        self.undelivered.set(result.is_ok() && !delivered);
        ctx.stop();
    }
}
