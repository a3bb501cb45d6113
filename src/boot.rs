//! Start-up, step by step, and the stop: the same list from its end.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use chrono::TimeDelta;
use futures_util::future::join_all;
use longshore_actors::{CommitEvery, CustodyParts, DigestSettings, Engine, Limits, Notice, Parts, WebhookSettings};
use longshore_model::{Clock, DeviceModels, HealthTypes, SystemClock, health_type};
use longshore_protocol::limits;
use longshore_store::catalogue::{Catalogue, Started, Writer};
use longshore_store::files::{self, Disk, DiskOptions};
use longshore_store::index::IndexPlace;
use longshore_store::outbox::Contents;
use longshore_store::verify::Share;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::certificate::{self, Certificates};
use crate::config::{Config, Custody, Loaded};
use crate::data::{self, DataFolder};
use crate::health_types;
use crate::http::connection::{Connections, Strangers, note_local};
use crate::http::lobby::Lobby;
use crate::http::operator::{Guesses, streams};
use crate::http::port::BLOCKING;
use crate::http::rates::Rates;
use crate::http::suspects::Suspects;
use crate::http::{Server, local, on_the_socket, port};
use crate::identity::Identity;
use crate::models;
use crate::reload::Reload;
use crate::storage::{self, Watch};
use crate::telemetry::Logging;
use crate::tls;
use crate::webhook;

/// The whole stop; then the process leaves with [`STOPPED_LATE`]. Everything acknowledged is on the disk either way.
const STOP: Duration = Duration::from_secs(20);
/// Requests get this much of it to end.
const STOP_REQUESTS_SECONDS: u64 = 15;
/// When no request is left, the disk gets this long to end what it was given.
const DISK_SETTLES: Duration = Duration::from_secs(4);
/// Exit status of a stop that a hung disk held up (`EX_TEMPFAIL`, sysexits.h).
const STOPPED_LATE: i32 = 75;

/// Runs the server until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, in words that say what to do.
pub(crate) fn serve(loaded: Loaded, logging: Logging) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(run(loaded, logging))
}

async fn run(loaded: Loaded, logging: Logging) -> anyhow::Result<()> {
    let mut stop = StopSignal::new()?;
    let running = tokio::select! {
        running = start(loaded, logging) => running?,
        () = stop.wait() => leave_unready(),
    };
    stop.wait().await;
    running.stop().await;
    Ok(())
}

/// Bodies that are taken in at once. With 2 MiB each, half of the smallest machine that Longshore is for; more would not be
/// faster on any disk.
const PATCHES_IN_ALL: usize = 512;

/// What the first steps of the start made ready. They block: on a long journal, or on a share that does not answer.
struct Prepared {
    data: DataFolder,
    identity: Identity,
    certificates: Certificates,
    listener: TcpListener,
    catalogue: Catalogue,
    writer: Writer,
    contents: Contents,
    webhooks: Vec<WebhookSettings>,
    disk: Disk,
    commits: CommitEvery,
    models: DeviceModels,
    health_types: HealthTypes,
    /// The index was made anew from a journal that held something.
    rebuilt: bool,
}

fn prepare(loaded: &Loaded, clock: &Arc<dyn Clock>) -> anyhow::Result<Prepared> {
    let config = &loaded.config;
    for warning in loaded.warnings() {
        tracing::warn!(warning, "the configuration");
    }

    // 1. The data folder is ours, and so are its keys.
    let data = DataFolder::take(&config.data)?;
    let identity = Identity::load(&data)?;
    let certificates = Certificates::new(&identity, certificate::read(&config.tls)?)?;
    let models = models::load(&config.devices)?;
    let health_types = health_types::load(&config.health)?;
    let webhooks = webhook::load(&config.webhooks)?;

    // 2. The port, before anything slow: a typing error should be told at once.
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("cannot listen on {listen}; is the port taken? --listen or server.listen chooses another")
    })?;

    // 3. Journal and index.
    let (catalogue, writer, contents, rebuilt) = open_catalogue(&data, config.index.cache.0, Arc::clone(clock))?;
    #[cfg(feature = "failpoints")]
    fail::fail_point!("start-storage");

    // 4. The storage.
    let (disk, commits) = storage::take(&data, config, &**clock)?;
    Ok(Prepared {
        data,
        identity,
        certificates,
        listener,
        catalogue,
        writer,
        contents,
        webhooks,
        disk,
        commits,
        models,
        health_types,
        rebuilt,
    })
}

async fn start(loaded: Loaded, logging: Logging) -> anyhow::Result<Running> {
    let config = loaded.config.clone();
    let prepared_with = loaded.clone();
    let reload = Reload::new(loaded, logging)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let connections = port::raise_file_limit();

    let prepared_at = Arc::clone(&clock);
    let Prepared {
        data,
        identity,
        certificates,
        listener,
        catalogue,
        writer,
        contents,
        webhooks,
        disk,
        commits,
        models,
        health_types,
        rebuilt,
    } = spawn_blocking(move || prepare(&prepared_with, &prepared_at)).await??;
    let own_url = url_of(listener.local_addr()?);

    // 5. What a crash interrupted is completed.
    let incoming = storage::open_incoming(&disk, &catalogue, Arc::clone(&clock)).await?;
    let watch = Watch { disk: disk.clone(), incoming: incoming.clone(), catalogue: catalogue.clone() };
    actix_web::rt::spawn(watch.run());

    // 6. The engine.
    let models = reload.start_with(models);
    let custody = custody_parts(&data, &config)?;
    let parts = Parts {
        custody,
        files: Arc::new(disk),
        incoming,
        catalogue,
        receipt_key: Arc::clone(&identity.receipt_key),
        clock: Arc::clone(&clock),
        floor: config.storage.floor.into(),
        commits,
        read_back: config.storage.read_back.is_on(),
        limits: Limits {
            patches_in_all: PATCHES_IN_ALL,
            open_patches: limits::OPEN_PATCHES,
            unfinished_uploads: limits::UNFINISHED_UPLOADS,
            uploads_per_answer: limits::UPLOADS_PER_ANSWER,
            upload_bytes: limits::UPLOAD_BYTES,
        },
        models: models.clone(),
        contents,
        mail: config.mail.settings(),
        health_types: Arc::new(health_types),
        digests: digests_of(&config, &own_url),
        offline_after: TimeDelta::days(config.health.offline_after.0.into()),
        webhooks,
        courier: Arc::new(webhook::Https),
    };
    let engine = Engine::start(parts).await?;
    if rebuilt {
        let notice = Notice::of_server(health_type::CATALOGUE_REBUILT);
        engine.notices().happened(notice);
    }
    let completing = engine.clone();
    actix_web::rt::spawn(async move { completing.keep_completing().await });
    let following = engine.clone();
    actix_web::rt::spawn(async move { following.follow_models().await });
    actix_web::rt::spawn(follow_messages(engine.clone(), reload.running(), own_url.clone()));

    // 7. The edge: the port and the local socket.
    let (drain, draining) = watch::channel(false);
    let certificates = Arc::new(certificates);
    let tls_config = tls::server_config(&identity, Arc::clone(&certificates))?;
    let fingerprint = identity.fingerprint();
    let index = engine.catalogue().index().clone();
    let rates = Rates::new(reload.running(), index, models, Arc::clone(&clock))?;
    actix_web::rt::spawn(Arc::clone(&rates).run());
    let server = Data::new(Server {
        engine: engine.clone(),
        identity,
        config: reload.running(),
        own_url,
        clock,
        connections: Connections::default(),
        strangers: Strangers::default(),
        lobby: Lobby::default(),
        rates: Arc::clone(&rates),
        guesses: Guesses::default(),
        suspects: Suspects::default(),
        streams: streams(),
        draining,
    });
    let edge = [
        port::start(&server, listener, tls_config, connections, STOP_REQUESTS_SECONDS)?,
        start_socket(&server, &data)?,
    ];
    announce(&server, &fingerprint, &data);
    actix_web::rt::spawn(certificate::watch(Arc::clone(&certificates), engine.clone(), Arc::clone(&server.clock)));
    actix_web::rt::spawn(reload.run(certificates));
    Ok(Running { drain, edge, engine, writer, _data: data })
}

/// A server that serves.
struct Running {
    drain: watch::Sender<bool>,
    edge: [ServerHandle; 2],
    engine: Engine,
    writer: Writer,
    /// Locked until the end.
    _data: DataFolder,
}

impl Running {
    /// The list of the start from its end.
    async fn stop(self) {
        tracing::info!("stopping: transfers commit and are told to come back");
        leave_at_the_latest();
        let Self { drain, edge, engine, writer, _data } = self;
        drain.send_replace(true);
        engine.drain();
        join_all(edge.iter().map(|handle| handle.stop(true))).await;
        engine.end_sessions().await;
        engine.record_notices().await;
        let settled = timeout(DISK_SETTLES, engine.settled()).await.is_ok();
        engine.stop();
        let _panicked = spawn_blocking(move || writer.stop()).await;
        if !settled {
            leave_late();
        }
        tracing::info!("stopped");
    }
}

fn custody_parts(data: &DataFolder, config: &Config) -> anyhow::Result<CustodyParts> {
    let storage = std::path::absolute(config.storage_folder())?;
    let (journal, known) = (Disk::open(data.path(), DiskOptions::default())?, data::storage_id(data.path())?);
    let at = storage.clone();
    let is_there = move || known.is_some_and(|known| files::expect(&at, known).is_ok());
    let Custody { time, share, budget } = config.custody;
    Ok(CustodyParts {
        data: Arc::new(journal),
        storage,
        is_there: Arc::new(is_there),
        time: time.0,
        share: Share::of_percent(share.0, budget.0),
    })
}

fn digests_of(config: &Config, own_url: &str) -> DigestSettings {
    let url = config.server.url.as_ref().map_or_else(|| own_url.to_owned(), ToString::to_string);
    config.digest.settings(url)
}

/// Tells the engine what a reload says of mail and webhooks.
async fn follow_messages(engine: Engine, mut running: watch::Receiver<Config>, own_url: String) {
    while running.changed().await.is_ok() {
        let (mail, webhooks) = {
            let config = running.borrow_and_update();
            (config.mail.settings(), config.webhooks.clone())
        };
        engine.set_mail(mail);
        let digests = digests_of(&running.borrow(), &own_url);
        engine.set_digests(digests);
        match spawn_blocking(move || webhook::load(&webhooks)).await {
            Ok(Ok(webhooks)) => engine.set_webhooks(webhooks),
            Ok(Err(mistakes)) => {
                for mistake in mistakes.0 {
                    tracing::error!(%mistake, "the file of the webhooks is wrong; those from before still count");
                }
            }
            Err(_) => {}
        }
    }
}

fn open_catalogue(
    data: &DataFolder,
    cache_bytes: u64,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Catalogue, Writer, Contents, bool)> {
    let files = Arc::new(Disk::open(data.path(), DiskOptions::default())?);
    let contents = Contents::open(files.clone()).context("the folder for texts of messages cannot be made")?;
    let place = IndexPlace { cache_bytes, ..IndexPlace::below(data.path()) };
    let (catalogue, writer, started) = Catalogue::open(files, &place, clock)?;
    let Started { replayed, rebuilt, torn } = started;
    tracing::info!(facts = replayed, index.rebuilt = rebuilt, "the journal was read into the index");
    if let Some(torn) = torn {
        tracing::warn!(torn.bytes, torn.aside, "the journal's end, which nobody was told of, was put aside");
    }
    Ok((catalogue, writer, contents, rebuilt && replayed > 0))
}

fn start_socket(server: &Data<Server>, data: &DataFolder) -> anyhow::Result<ServerHandle> {
    let listener = local::listen(data.path()).context("the socket for the command line cannot be made")?;
    let app_data = server.clone();
    let http = HttpServer::new(move || App::new().app_data(app_data.clone()).configure(on_the_socket))
        .on_connect(note_local)
        .workers(1)
        .worker_max_blocking_threads(BLOCKING)
        .shutdown_timeout(STOP_REQUESTS_SECONDS)
        .disable_signals()
        .listen_uds(listener)?
        .run();
    let handle = http.handle();
    actix_web::rt::spawn(http);
    Ok(handle)
}

/// For people. A reader that went away must not keep the server from serving.
fn announce(server: &Server, fingerprint: &str, data: &DataFolder) {
    let (version, folder) = (env!("CARGO_PKG_VERSION"), data.path().display());
    let (own_url, url) = (&server.own_url, server.url());
    let for_devices = if url == *own_url { String::new() } else { format!("  For devices  {url}\n") };
    let text = format!(
        "Longshore {version} is ready.\n  Address      {own_url}\n{for_devices}  Fingerprint  {fingerprint}\n  \
         Data folder  {folder}\nTo add a device:\n  longshore device add --serial SERIAL --model MODEL --data '{folder}'\n"
    );
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "the start-up lines could not be printed");
    }
}

/// The URL that devices are given: the address that was asked for, or for "all addresses" this machine's first one.
fn url_of(listening: SocketAddr) -> String {
    let port = listening.port();
    if !listening.ip().is_unspecified() {
        return format!("https://{listening}");
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let first = interfaces.iter().map(if_addrs::Interface::ip).find_map(|address| match address {
        IpAddr::V4(address) => {
            let usable = !address.is_loopback() && !address.is_link_local() && !address.is_unspecified();
            usable.then_some(address)
        }
        _ => None,
    });
    match first {
        Some(address) => format!("https://{address}:{port}"),
        None => format!("https://localhost:{port}"),
    }
}

/// A disk that hangs must not hold the stop; nothing acknowledged is lost by leaving.
fn leave_at_the_latest() {
    #[expect(clippy::disallowed_methods, reason = "a thread of its own, on which nobody waits")]
    let limit = || {
        thread::sleep(STOP);
        leave_late();
    };
    let _no_thread_no_limit = thread::Builder::new().name("stop-limit".into()).spawn(limit);
}

/// A start that hangs cannot be ended in order, and need not: what it does is made for a kill at any moment.
fn leave_unready() -> ! {
    tracing::info!("stopped before the server was ready");
    std::process::exit(0)
}

fn leave_late() -> ! {
    tracing::error!(
        "the stop took too long, probably since the disk does not answer; everything acknowledged is on it"
    );
    std::process::exit(STOPPED_LATE)
}

struct StopSignal {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
