//! `/uploads`: transfers. What of them is tus 1.0.0 is in `tus`, what is the IETF's in `rufh`; what happens to an upload
//! whoever asks, in `transfer`.

mod digest;
mod fields;
mod receive;
pub(super) mod rufh;
mod structured;
mod transfer;
pub(super) mod tus;

use std::future::Future;

use actix_web::{HttpRequest, HttpResponse};
use longshore_model::UploadId;
use longshore_protocol::{ProblemType, paths};
use tokio::sync::oneshot;

use super::super::error::Failure;

/// Runs in a task of its own, from the first look at who calls: actix drops a handler as soon as the connection dies,
/// and with it what has arrived and was not read yet. The task hears of that by the sender, which goes with the handler.
async fn to_the_end<F>(work: impl FnOnce(oneshot::Receiver<()>) -> F) -> Result<HttpResponse, Failure>
where
    F: Future<Output = Result<HttpResponse, Failure>> + 'static,
{
    let (_alive, gone) = oneshot::channel();
    actix_web::rt::spawn(work(gone)).await.unwrap_or_else(|_| {
        Err(Failure::new(ProblemType::Unavailable, "the request was interrupted inside the server").retry_after(1))
    })
}

/// Where an upload is, for who made it.
fn location(request: &HttpRequest, by_token: bool, upload: UploadId) -> String {
    let path = format!("{}/{upload}", paths::UPLOADS);
    // Some of the clients that know tus alone cannot resolve a path.
    if by_token { format!("https://{}{path}", request.connection_info().host()) } else { path }
}
