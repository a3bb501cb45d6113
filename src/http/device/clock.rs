//! What a device's clock shows, in every POST and PUT: compared with the server's, it tells how far it is off.

use longshore_model::{ClockSample, DeviceId};
use longshore_protocol::{Clock, limits};

use super::super::Server;
use super::super::error::Failure;

/// Takes a sample. One that cannot be recorded now is none the worse for it: the next call brings another.
pub(super) async fn take(server: &Server, device: DeviceId, clock: Option<&Clock>) -> Result<(), Failure> {
    let Some(Clock { wall, uptime_ms, boot, synced }) = clock.cloned() else { return Ok(()) };
    if boot.chars().count() > limits::NAME_CHARS {
        return Err(Failure::malformed(format!("clock.boot: a name has at most {} characters", limits::NAME_CHARS)));
    }
    let sample = ClockSample { boot, uptime_ms, wall, synced, server: server.now() };
    if let Err(error) = server.engine.sample_clock(device, sample).await {
        tracing::warn!(%device, %error, "what a device's clock showed could not be recorded");
    }
    Ok(())
}
