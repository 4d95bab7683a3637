//! `doorline serve`: the service, until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use crate::server::Service;
use crate::{config, telemetry};

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Serves until SIGTERM or SIGINT, then drains. A faulty configuration starts nothing.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = match config::load(&arguments.config) {
        Ok(settings) => settings,
        Err(faults) => {
            anyhow::bail!("nothing was started, the configuration has faults:\n{}", show(&faults));
        }
    };
    let file = arguments.config.clone();
    telemetry::start_logs(settings.log_format, &settings.log_level);
    telemetry::start_metrics();
    runtime()?.block_on(async {
        let service = Service::start(settings, Arc::new(move || config::load(&file)))
            .await
            .context("doorline did not start")?;
        service.run_until_told_to_stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// One fault a line.
pub(super) fn show(faults: &[config::Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The runtime of everything that is not the media tick.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("doorline-io")
        .build()
        .context("the runtime did not start")
}
