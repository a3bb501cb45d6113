//! SIGHUP: the configuration is read again. What can change while the server runs does; the rest is named in the log.

use std::sync::Arc;

use longshore_actors::Models;
use longshore_model::DeviceModels;
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::certificate::{self, Certificates};
use crate::config::{Config, Loaded, Mistakes};
use crate::models;
use crate::telemetry::Logging;

/// What the files say now.
struct Read {
    new: Loaded,
    /// Read even if the setting is the same: that is how a renewed one is taken up.
    certificate: anyhow::Result<Option<CertifiedKey>>,
    /// Likewise.
    models: Result<DeviceModels, Mistakes>,
    warnings: Vec<String>,
}

fn read(loaded: &Loaded) -> Result<Read, Mistakes> {
    let new = loaded.again()?;
    let (certificate, models) = (certificate::read(&new.config.tls), models::load(&new.config.devices));
    Ok(Read { certificate, models, warnings: new.warnings(), new })
}

/// Keeps the running configuration.
pub(crate) struct Reload {
    hangups: Signal,
    loaded: Loaded,
    logging: Logging,
    running: watch::Sender<Config>,
    models: watch::Sender<Arc<DeviceModels>>,
}

impl Reload {
    /// From here on a SIGHUP no longer ends the process.
    pub(crate) fn new(loaded: Loaded, logging: Logging) -> anyhow::Result<Self> {
        let running = watch::Sender::new(loaded.config.clone());
        Ok(Self { hangups: signal(SignalKind::hangup())?, loaded, logging, running, models: watch::Sender::default() })
    }

    /// What is known of models of devices, from the start on and after each reload.
    pub(crate) fn start_with(&self, models: DeviceModels) -> Models {
        self.models.send_replace(Arc::new(models));
        self.models.subscribe()
    }

    /// The configuration that counts, now and after each reload.
    pub(crate) fn running(&self) -> watch::Receiver<Config> {
        self.running.subscribe()
    }

    /// Reloads at each SIGHUP, as long as the server runs.
    pub(crate) async fn run(mut self, certificates: Arc<Certificates>) {
        while self.hangups.recv().await.is_some() {
            let loaded = self.loaded.clone();
            // A file on a network share may hang.
            let Ok(again) = tokio::task::spawn_blocking(move || read(&loaded)).await else { continue };
            match again {
                Ok(read) => self.take(read, &certificates),
                Err(mistakes) => {
                    for mistake in mistakes.0 {
                        tracing::error!(%mistake, "the configuration is wrong");
                    }
                    tracing::error!("the configuration was not reloaded; the one before still counts");
                }
            }
        }
    }

    fn take(&mut self, Read { new, certificate, models, warnings }: Read, certificates: &Certificates) {
        match certificate {
            Ok(own) => certificates.replace(own),
            Err(error) => tracing::error!("the certificate was not reloaded; the one before still counts: {error:#}"),
        }
        match models {
            Ok(models) => self.take_models(models),
            Err(mistakes) => {
                for mistake in mistakes.0 {
                    tracing::error!(%mistake, "the file of models is wrong");
                }
                tracing::error!("the models of devices were not reloaded; those before still count");
            }
        }
        for warning in warnings {
            tracing::warn!(warning, "the configuration");
        }
        let before = self.running.borrow().clone();
        let after = before.reloaded(&new.config);
        self.logging.follow(&after.log);
        let changed = before.differing(&after);
        for key in after.differing(&new.config) {
            tracing::warn!(key, "a changed setting counts from the next start on");
        }
        tracing::info!(?changed, "the configuration was reloaded");
        self.running.send_replace(after);
        self.loaded = new;
    }

    fn take_models(&self, new: DeviceModels) {
        let differs = self.models.send_if_modified(|models| {
            let differs = **models != new;
            *models = Arc::new(new);
            differs
        });
        if differs {
            tracing::info!("the models of devices were reloaded");
        }
    }
}
