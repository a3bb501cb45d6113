use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::boot::{self, Options};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Folder for everything that the server keeps: keys, journal, recordings
    #[arg(long, value_name = "FOLDER", default_value = "longshore-data")]
    data: PathBuf,
    /// Address and port for devices and people; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:5004")]
    listen: SocketAddr,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start();
        // From the variable FAILPOINTS, for as long as the server runs.
        #[cfg(feature = "failpoints")]
        let _scenario = fail::FailScenario::setup();
        boot::serve(&Options { data: self.data, listen: self.listen })
    }
}
