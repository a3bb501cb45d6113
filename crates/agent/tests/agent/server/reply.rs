//! How the server's answers are put.

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::response::Builder;
use hyper::{Response, StatusCode};
use longshore_model::EnrolmentId;
use longshore_protocol::{EnrolmentAnswer, EnrolmentStatus, Problem, ProblemType, headers};
use serde::Serialize;

pub(super) type Reply = Response<Full<Bytes>>;

/// What the server's clock shows, always.
pub(super) const NOW: &str = "2026-11-21T14:00:00Z";
/// The same as `Date` says it.
const DATE: &str = "Sat, 21 Nov 2026 14:00:00 GMT";

fn reply(status: StatusCode) -> Builder {
    Response::builder().status(status).header("date", DATE)
}

pub(super) fn enrolment(status: EnrolmentStatus) -> EnrolmentAnswer {
    EnrolmentAnswer {
        id: EnrolmentId::from_bytes([5; 16]),
        code: "K7PX".into(),
        serial: "B4-10291".into(),
        model: "BC4".into(),
        status,
    }
}

pub(super) fn empty(status: StatusCode) -> Reply {
    reply(status).body(Full::default()).unwrap()
}

pub(super) fn json(status: u16, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).unwrap();
    let reply = reply(StatusCode::from_u16(status).unwrap()).header("content-type", "application/json");
    reply.body(Full::from(body)).unwrap()
}

pub(super) fn problem(kind: ProblemType) -> Reply {
    let mut reply = json(kind.status(), &Problem::new(kind, "as the test wants it"));
    let fields = reply.headers_mut();
    fields.insert("content-type", headers::PROBLEM_JSON.parse().unwrap());
    if kind.status() == 503 {
        fields.insert("retry-after", "0".parse().unwrap());
    }
    reply
}
