//! What a session notices of its device's health: gaps in what it offers, what it will overwrite, tries without end.

use chrono::{DateTime, Utc};
use longshore_model::{Declared, DeviceId, Kind, Span, UploadId, health_type};
use longshore_store::index::{Index, IndexError};
use tokio::time::Instant;

use super::super::gaps::{self, Gap};
use super::super::plan::Known;
use super::DeviceSession;
use crate::health::{Notice, Notices, is_soon};

impl DeviceSession {
    /// A request with a body begins.
    pub(super) fn tries(&mut self, upload: UploadId, offset: u64) {
        let storm = self.transfers.get_mut(&upload).is_some_and(|known| known.tries.begins(offset, Instant::now()));
        if storm {
            let text = format!("the upload {upload} stands at {offset} bytes");
            self.notices().happened(Notice::of_device(self.device, health_type::UPLOAD_STORM).text(text));
        }
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.parts.completer.notices
    }
}

/// Gaps between what is offered, of which nothing is in the store: what a device has deleted on a receipt is none.
pub(super) fn gaps_of(
    index: &Index,
    device: DeviceId,
    looked_up: &[(Declared, Known)],
) -> Result<Vec<Gap>, IndexError> {
    let items: Vec<_> = looked_up.iter().map(|(item, known)| (item, known.declared.is_none())).collect();
    let clock = index.clock(device)?;
    let mut gaps = Vec::new();
    for gap in gaps::gaps(&items) {
        let truly = |moment: DateTime<Utc>| clock.to_true(moment.fixed_offset(), None).unwrap_or(moment);
        let span = Span { from: truly(gap.span.from), to: truly(gap.span.to) };
        if !index.stored_within(device, span)?.iter().any(|lies| lies.camera == gap.camera) {
            gaps.push(gap);
        }
    }
    Ok(gaps)
}

/// Tells what is wrong with what a device holds.
pub(super) fn notice(
    notices: &Notices,
    device: DeviceId,
    looked_up: &[(Declared, Known)],
    gaps: Vec<Gap>,
    now: DateTime<Utc>,
) {
    for Gap { camera, span } in gaps {
        let text = format!("from {} to {}, by the device's clock", span.from.to_rfc3339(), span.to.to_rfc3339());
        let notice = Notice::of_device(device, health_type::RECORDING_GAP).text(text);
        let notice = if camera.is_empty() { notice } else { notice.part(camera) };
        notices.happened(notice.value(span.length().num_seconds()));
    }
    let is_near = |(item, known): &&(Declared, Known)| {
        let is_to_come = known.stored.is_empty() && (item.kind == Kind::Event || known.wanted.is_some());
        is_to_come && known.overwrite_at.is_some_and(|at| is_soon(at, now))
    };
    let near = looked_up.iter().filter(is_near).count();
    if near > 0 {
        // Whether it is over is looked at again and again: a device may offer its recordings in several parts.
        notices.stands(Notice::of_device(device, health_type::OVERWRITE_NEAR).value(near));
    }
}
