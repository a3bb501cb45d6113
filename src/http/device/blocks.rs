//! `POST /recordings/{rid}/blocks`: after a mismatch, the device says block by block what the bytes should be.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path, Payload};
use longshore_model::{BLOCK_BYTES, BlockSums, RecordingId};
use longshore_protocol::{Blocks, BlocksAnswer, ProblemType, limits, paths};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::Caller;

/// Answers where the upload goes on: after the blocks that are good.
pub(crate) async fn repair(
    server: Data<Server>,
    Caller(device): Caller,
    rid: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<BlocksAnswer>, Failure> {
    let Ok(rid) = rid.parse::<RecordingId>() else {
        return Err(Failure::new(ProblemType::UploadNotFound, "there is no recording with such an id"));
    };
    let Blocks { block_size, size, sha256, blocks } = json::read(&request, payload).await?;
    if block_size != BLOCK_BYTES {
        return Err(Failure::malformed(format!("block_size: a block has {BLOCK_BYTES} bytes")));
    }
    if blocks.len() > limits::BLOCKS {
        let detail = format!("{} blocks are listed, {} may be at once", blocks.len(), limits::BLOCKS);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    let sums = BlockSums::new(size, sha256, blocks).map_err(|error| Failure::malformed(format!("blocks: {error}")))?;
    let repaired = server.engine.repair(device.id, rid, sums).await?;
    Ok(Json(BlocksAnswer { url: format!("{}/{}", paths::UPLOADS, repaired.upload), offset: repaired.offset }))
}
