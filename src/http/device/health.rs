//! `POST /health-events`: what the device noticed of itself.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use longshore_actors::EventTaken;
use longshore_model::{HealthEvent, is_health_type};
use longshore_protocol::{
    HealthEventAnswer, HealthEventOutcome, HealthEvents, HealthEventsAnswer, ProblemType, limits,
};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::{InService, clock};

/// Records each that is as it should be. One that is not must not keep the others from being heard of.
pub(crate) async fn report(
    server: Data<Server>,
    InService(device): InService,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<HealthEventsAnswer>, Failure> {
    let HealthEvents { events, clock: shown } = json::read(&request, payload).await?;
    if events.len() > limits::HEALTH_EVENTS {
        let detail = format!("{} events are reported, {} may be at once", events.len(), limits::HEALTH_EVENTS);
        return Err(Failure::new(ProblemType::TooLarge, detail));
    }
    clock::take(&server, device.id, shown.as_ref()).await?;
    let events: Vec<_> = events.into_iter().map(printable).collect();
    // What is wrong with each; those that are right are the engine's.
    let wrong: Vec<_> = events.iter().map(|event| (event.id, wrong_with(event))).collect();
    let right =
        events.into_iter().zip(&wrong).filter(|(_, (_, wrong))| wrong.is_none()).map(|(event, _)| event).collect();
    let mut taken = server.engine.report_health(device.id, right).await?.into_iter();
    let answers = wrong.into_iter().map(|(id, wrong)| {
        let refused = wrong.or_else(|| match taken.next() {
            Some(EventTaken::Recorded) => None,
            Some(EventTaken::TooOften) => {
                Some("this device begins one issue after the other: more than 64 an hour are not taken")
            }
            Some(EventTaken::TooMany) | None => Some("there are too many open issues of types that nobody knows"),
        });
        let outcome = refused
            .map_or(HealthEventOutcome::Recorded, |reason| HealthEventOutcome::Refused { reason: reason.to_owned() });
        HealthEventAnswer { id, outcome }
    });
    Ok(Json(HealthEventsAnswer { events: answers.collect() }))
}

/// It is printed on terminals and in mails: no text moves the cursor there.
fn printable(event: HealthEvent) -> HealthEvent {
    let clean = |text: String| text.replace(char::is_control, " ");
    HealthEvent { camera: event.camera.map(clean), text: event.text.map(clean), ..event }
}

fn wrong_with(event: &HealthEvent) -> Option<&'static str> {
    let longer = |text: &Option<String>, chars| text.as_ref().is_some_and(|text| text.chars().count() > chars);
    if !is_health_type(&event.kind) {
        return Some("a type is named by small letters, digits and _, such as storage_missing");
    }
    if longer(&event.camera, limits::NAME_CHARS) {
        return Some("the name of the camera is too long");
    }
    longer(&event.text, limits::HEALTH_TEXT_CHARS).then_some("the text is too long")
}
