//! `POST /offers`: the device says what it holds, the server what should come.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use longshore_actors::Verdict;
use longshore_model::Declared;
use longshore_protocol::{Answer, ItemAnswer, Later, OfferItem, Offers, OffersAnswer, ProblemType, limits, paths};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::{Caller, clock};

/// Answers each item.
pub(crate) async fn offer(
    server: Data<Server>,
    Caller(device): Caller,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<OffersAnswer>, Failure> {
    let Offers { items, clock: shown } = json::read(&request, payload).await?;
    if items.len() > limits::OFFER_ITEMS {
        let detail = format!("{} items are offered, {} may be at once", items.len(), limits::OFFER_ITEMS);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    let declared: Vec<Declared> =
        items.into_iter().enumerate().map(|(index, item)| declared(index, item)).collect::<Result<_, _>>()?;
    let rids: Vec<_> = declared.iter().map(|declared| declared.rid).collect();
    clock::take(&server, device.id, shown.as_ref()).await?;
    let wall = shown.map(|clock| clock.wall.to_utc());
    let verdicts = server.engine.offer(device.id, declared, wall).await?;
    let items = rids.into_iter().zip(verdicts).map(|(rid, verdict)| ItemAnswer { rid, answer: answer(verdict) });
    Ok(Json(OffersAnswer { items: items.collect() }))
}

fn declared(index: usize, item: OfferItem) -> Result<Declared, Failure> {
    let OfferItem { rid, camera, kind, event_type, start, end, boot, overwrite_at, request, size, sha256, filename } =
        item;
    let names = [Some(&camera), event_type.as_ref(), filename.as_ref(), boot.as_ref()];
    if names.into_iter().flatten().any(|name| name.chars().count() > limits::NAME_CHARS) {
        let detail = format!("items[{index}]: a name has at most {} characters", limits::NAME_CHARS);
        return Err(Failure::malformed(detail));
    }
    if size > limits::UPLOAD_BYTES {
        let detail = format!("items[{index}]: a recording has at most {} bytes", limits::UPLOAD_BYTES);
        return Err(Failure::malformed(detail));
    }

    Ok(Declared {
        rid,
        camera,
        kind,
        event_type,
        start,
        end,
        boot,
        overwrite_at,
        request,
        size: Some(size),
        sha256,
        filename,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    })
}

fn answer(verdict: Verdict) -> Answer {
    let later = |reason| Answer::Later { reason, not_before: None };
    match verdict {
        Verdict::Upload { priority } => Answer::Upload { priority },
        Verdict::Resume { upload, offset, priority } => {
            Answer::Resume { url: format!("{}/{upload}", paths::UPLOADS), offset, priority }
        }
        Verdict::Have { receipt } => Answer::Have { receipt },
        Verdict::Held => later(Later::Held),
        Verdict::Queued => later(Later::Queued),
        Verdict::NotRequested => later(Later::NotRequested),
        Verdict::TooManyUnfinished => later(Later::TooManyUnfinished),
        Verdict::NoRoom { not_before } => Answer::Later { reason: Later::NoRoom, not_before: Some(not_before) },
        Verdict::Mismatched { not_before } => {
            Answer::Later { reason: Later::ChecksumMismatch, not_before: Some(not_before) }
        }
        Verdict::Rehash => Answer::Rehash,
        Verdict::Conflict { priority } => Answer::Conflict { priority },
    }
}
