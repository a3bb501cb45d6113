//! The port for devices and people: HTTPS, and how long and how many of everything.

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::{HttpService, TlsAcceptorConfig};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, apply_fn_factory, map_config};
use actix_tls::accept::max_concurrent_tls_connect;
use actix_web::dev::{AppConfig, Server as ActixServer, ServerHandle, Service as _};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{App, Error};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;

use super::lobby::VISITORS;
use super::{Server, on_the_port, requests};

/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The head of a request takes no longer; a camera on 4G may need seconds for it.
const REQUEST_HEAD: Duration = Duration::from_secs(10);
/// An idle connection is kept this long: longer than the pause between two recordings.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection lingers after an early answer, so that the client reads it before the reset.
const LINGER: Duration = Duration::from_secs(2);
/// Connections in all. A city's 500 devices with 8 each, people, and everyone who waits to be recognised are fewer.
const CONNECTIONS: usize = 8192;
/// With fewer, a dock room of some size would wait at the door; that is told.
const FEW: usize = 1_000;
/// Threads of each worker for what blocks: reads of the index, mostly of microseconds. Few enough that a flood of calls cannot
/// take the memory, and more than the long reads that a few people begin at once, so that devices find one.
pub(crate) const BLOCKING: usize = 32;
/// Open files for each connection: itself, its transfer's, and a share of what the server has open besides.
const FILES_EACH: u64 = 3;

/// Answers on the port until the handle stops it, at most so many `connections` at a time; at most `stop_seconds` then,
/// for requests to end.
pub(crate) fn start(
    server: &Data<Server>,
    port: TcpListener,
    tls: ServerConfig,
    connections: usize,
    stop_seconds: u64,
) -> anyhow::Result<ServerHandle> {
    let workers = available_parallelism().map_or(2, NonZeroUsize::get);
    // The lobby bounds them, by address; this bound would hold everybody up for a few who hang.
    max_concurrent_tls_connect(VISITORS);
    let server = server.clone();
    let factory = move || {
        let (app_data, connections) = (server.clone(), server.connections.clone());
        let (draining, lobby, known) = (server.draining.clone(), server.lobby.clone(), server.lobby.clone());
        let app = App::new().wrap(from_fn(requests::note)).app_data(app_data).configure(on_the_port);
        let app = app.into_factory().map_err(|error: Error| error.error_response());
        let https = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD)
            .client_disconnect_timeout(LINGER)
            // An answer is one small write, which must not wait until the client has acknowledged something else.
            .tcp_nodelay(true)
            // Without it an idle connection would hold the stop until its time is over.
            .graceful_shutdown_signal(move || {
                let mut draining = draining.clone();
                async move { drop(draining.wait_for(|draining| *draining).await) }
            })
            .on_connect_ext(move |stream, extensions| connections.note(&known, stream, extensions))
            .finish(map_config(app, |()| AppConfig::default()))
            .rustls_0_23_with_config(tls.clone(), TlsAcceptorConfig::default().handshake_timeout(HANDSHAKE));
        // Before TLS, which is where a client that only holds on would stop.
        apply_fn_factory(https, move |stream: TcpStream, https| {
            let ends = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
            let visit = ends.map(|ends| lobby.enter(ends));
            let serving = https.call(stream);
            async move {
                // A connection that is already gone has no ends.
                let Ok(mut visit) = visit else { return Ok(()) };
                let requests = visit.requests.clone();
                tokio::select! {
                    served = serving => served,
                    () = requests.none_for(KEEP_ALIVE + REQUEST_HEAD) => Ok(()),
                    () = visit.shown_out() => Ok(()),
                }
            }
        })
    };
    let running = ActixServer::build()
        .workers(workers)
        .worker_max_blocking_threads(BLOCKING)
        .max_concurrent_connections(connections.div_ceil(workers))
        .shutdown_timeout(stop_seconds)
        .disable_signals()
        .listen("port", port, factory)?
        .run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok(handle)
}

/// Takes as many open files as the system grants (the usual soft limit of 1,024 is for programs that use select(2)), and
/// says how many connections there can be with them.
pub(crate) fn raise_file_limit() -> usize {
    let wanted = FILES_EACH * CONNECTIONS as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return CONNECTIONS;
    }
    let files = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum });
    let files = if raised.is_ok() { files } else { current.unwrap_or(files) };
    let connections = usize::try_from(files / FILES_EACH).map_or(CONNECTIONS, |few| few.min(CONNECTIONS));
    if connections < FEW {
        tracing::warn!(files, connections, "the limit of open files (ulimit -n) allows few connections; raise it");
    }
    connections
}
