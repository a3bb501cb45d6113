//! `PUT /reported`: what the device is, and what it has done of what was wanted.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use longshore_actors::Said;
use longshore_model::{DeviceReport, Holds, Network, Span};
use longshore_protocol::{CommandState, Range, Reported, ReportedCommand, ReportedRequest, limits};

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::desired::tag;
use super::{InService, clock};

/// Records what is new of it.
pub(crate) async fn report(
    server: Data<Server>,
    InService(device): InService,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let reported: Reported = json::read(&request, payload).await?;
    check(&reported)?;
    let Reported { desired, mut requests, commands, report, clock } = reported;
    clock::take(&server, device.id, clock.as_ref()).await?;
    if let Some(network) = &report.network {
        server.engine.presence().reported(device.id, network.clone());
    }
    if let Some(known) = desired {
        // The clock that it tells may show that it was asked for a wrong time: now, since it was taken above.
        let wants = server.engine.wants(device.id).await?;
        let is_current = known == tag(&server, &device, &wants.borrow());
        requests.retain(|request| is_current || !matches!(request.state, Holds::Done | Holds::Nothing));
    }
    let span = |Range { from, to }: Range| Span { from: from.to_utc(), to: to.to_utc() };
    let of_request =
        |ReportedRequest { id, state, ranges }: ReportedRequest| (id, state, ranges.into_iter().map(span).collect());
    let of_command = |ReportedCommand { id, state, text }: ReportedCommand| (id, state == CommandState::Done, text);
    let said = Said {
        report,
        requests: requests.into_iter().map(of_request).collect(),
        commands: commands.into_iter().map(of_command).collect(),
    };
    server.engine.report(device.id, said).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn check(Reported { requests, commands, report, .. }: &Reported) -> Result<(), Failure> {
    let DeviceReport { profile, firmware, network, .. } = report;
    let errors = profile.as_ref().map(|profile| &profile.errors);
    let counts = [
        ("requests", requests.len()),
        ("commands", commands.len()),
        ("ranges of a request", requests.iter().map(|request| request.ranges.len()).max().unwrap_or(0)),
        ("errors of the profile", errors.map_or(0, |errors| errors.len())),
    ];
    if let Some((what, _)) = counts.iter().find(|(_, count)| *count > limits::REPORTED_ITEMS) {
        return Err(Failure::malformed(format!("a report has at most {} {what}", limits::REPORTED_ITEMS)));
    }
    let of_network = |network: &Network| [&network.bay_mac, &network.ssid, &network.address].map(Option::clone);
    let of_network: Vec<String> = network.as_ref().map(of_network).into_iter().flatten().flatten().collect();
    let texts = commands.iter().filter_map(|command| command.text.as_ref()).chain(firmware).chain(&of_network);
    let of_profile = profile.iter().map(|profile| &profile.id);
    let of_errors = errors.into_iter().flatten().flat_map(|(key, text)| [key, text]);
    if texts.chain(of_profile).chain(of_errors).any(|text| text.chars().count() > limits::NAME_CHARS) {
        return Err(Failure::malformed(format!("a text in a report has at most {} characters", limits::NAME_CHARS)));
    }
    Ok(())
}
