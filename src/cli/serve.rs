use clap::Args;

use super::ConfigFile;
use crate::{boot, telemetry};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Folder for everything that the server keeps: keys, journal, recordings [default: longshore-data]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Address and port for devices and people; port 0 takes a free one [default: 0.0.0.0:5004]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let inputs = self.config.inputs().with_option("--data", "data", self.data);
        let loaded = inputs.with_option("--listen", "server.listen", self.listen).load()?;
        let logging = telemetry::start(&loaded.config.log);
        // From the variable FAILPOINTS, for as long as the server runs.
        #[cfg(feature = "failpoints")]
        let _scenario = fail::FailScenario::setup();
        boot::serve(loaded, logging)
    }
}
