//! Logs and metrics, set up once per process.
//!
//! Logs go to standard error, one line per event, fields rather than sentences. Values from outside
//! are escaped by the formatters; numbers and secrets are types that mask themselves.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts logging. `level` is a filter such as `info` or `doorline=debug`; the environment's
/// `RUST_LOG` wins. A second call changes nothing.
pub fn start_logs(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a subscriber is set already, as in a test process that starts twice.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// The process's metrics in Prometheus' text format.
#[must_use]
pub fn metrics_text() -> String {
    recorder().render()
}

/// Installs the recorder, so that counters count from here on.
pub fn start_metrics() {
    recorder();
    describe();
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        PrometheusBuilder::new()
            .install_recorder()
            .expect("this is the only place that installs a recorder, and it runs once")
    })
}

/// Names and units, shown as `# HELP` lines.
fn describe() {
    metrics::describe_counter!("doorline_calls_total", "Calls that ended, by ending.");
    metrics::describe_counter!("doorline_entries_total", "Calls let into a meeting, by why.");
    metrics::describe_counter!(
        "doorline_decision_faults_total",
        "Decisions that panicked; their calls were ended."
    );
    metrics::describe_counter!(
        "doorline_overload_total",
        "Things given up because a queue was full, by queue."
    );
    metrics::describe_gauge!("doorline_calls_live", "Calls that are alive now.");
    metrics::describe_gauge!("doorline_meetings_live", "Meetings that are open now.");
    metrics::describe_gauge!("doorline_participants_live", "Callers who are mixed now.");
    metrics::describe_counter!(
        "doorline_refused_sources_total",
        "Messages from addresses that no trunk allows."
    );
    metrics::describe_histogram!("doorline_store_seconds", "Time the store took to answer, by question.");
}
