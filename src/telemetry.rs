//! Logs and metrics, set up once per process.
//!
//! Logs go to standard error, one line per event, fields rather than sentences. Values from outside
//! are escaped by the formatters; numbers and secrets are types that mask themselves.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

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
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // It would be told to standard error as well, and panic where that is a file on a full disk.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // An error means that a subscriber is set already, as in a test process that starts twice.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// The filter of the logs that are written.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logs by another filter from now on, unless the environment's `RUST_LOG` is set: it wins here too.
pub fn set_log_level(level: &str) {
    let from_environment = EnvFilter::try_from_default_env().is_ok();
    if let (false, Some(handle), Ok(filter)) = (from_environment, FILTER.get(), EnvFilter::try_new(level)) {
        // It fails only when the logs are gone.
        let _ = handle.reload(filter);
    }
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

/// Sorts what histograms were told into their buckets. Call it now and then: until somebody asks
/// for the metrics, they keep each value.
pub fn tidy_metrics() {
    recorder().run_upkeep();
}

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for (name, bounds, _) in HISTOGRAMS {
            builder = builder
                .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
                .expect("each histogram has at least one bound");
        }
        builder.install_recorder().expect("this is the only place that installs a recorder, and it runs once")
    })
}

/// Names and what they mean, shown as `# HELP` lines.
fn describe() {
    for (name, help) in COUNTERS {
        metrics::describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(*name, *help);
    }
    for (name, _, help) in HISTOGRAMS {
        metrics::describe_histogram!(*name, *help);
    }
}

const COUNTERS: &[(&str, &str)] = &[
    ("doorline_calls_total", "Calls that ended, by ending."),
    ("doorline_trunk_calls_total", "Calls that ended, by trunk and whether they were answered."),
    ("doorline_signatures_total", "Signatures of callers that were verified, by verdict."),
    ("doorline_caller_trust_total", "Calls that ended, by what their caller's number was worth."),
    ("doorline_entries_total", "Calls that ended after they were in a meeting, by why they were let in."),
    (
        "doorline_entry_rounds_total",
        "Rounds of PIN and code of calls that ended: right, wrong, or nothing entered.",
    ),
    ("doorline_keys_total", "Key presses of calls that ended, by where they were heard."),
    ("doorline_remembered_total", "Phones remembered after their caller proved PIN and code."),
    ("doorline_forgotten_total", "Phones forgotten during calls, by their callers or moderators."),
    ("doorline_packets_received_total", "RTP packets received and played in calls that ended."),
    ("doorline_packets_late_total", "RTP packets that came too late to be played, in calls that ended."),
    (
        "doorline_packets_rejected_total",
        "SRTP packets that were not authentic or came again, in calls that ended.",
    ),
    ("doorline_encryption_total", "Calls that ended, by the SRTP suite of their sound; none: plain."),
    ("doorline_packets_lost_total", "RTP packets that never came, in calls that ended."),
    ("doorline_packets_reordered_total", "RTP packets that another one overtook, in calls that ended."),
    (
        "doorline_ticks_late_total",
        "Ticks of our own that came late or not at all, summed over calls that ended.",
    ),
    ("doorline_recordings_total", "Recordings that ended, by why."),
    ("doorline_packets_sent_total", "RTP packets sent in calls that ended."),
    ("doorline_decision_faults_total", "Decisions that panicked; their calls were ended."),
    (
        "doorline_overload_total",
        "Things given up because a queue was full, or calls came too fast (admission), by queue.",
    ),
    ("doorline_store_unavailable_total", "Questions that the store could not answer."),
    ("doorline_events_total", "Events told to those who look on over HTTP, whoever did."),
    ("doorline_event_readers_dropped_total", "Readers of events that were too slow and were cut off."),
    ("doorline_known_from_cache_total", "Callers known from before while the database did not answer."),
    ("doorline_swept_rows_total", "Rows deleted because they are kept no longer, by table."),
    ("doorline_trace_lost_total", "SIP messages that found no room on their way to a trace."),
    ("doorline_hep_sent_total", "SIP messages copied to Homer."),
    ("doorline_hep_lost_total", "SIP messages that could not be sent to Homer."),
    ("doorline_spans_sent_total", "Spans of calls that the OpenTelemetry collector took."),
    (
        "doorline_spans_lost_total",
        "Spans that found no room on their way, or that the collector did not take.",
    ),
    ("doorline_webhooks_total", "Attempts to tell a webhook, by webhook and whether it took it."),
    ("doorline_reloads_total", "Readings of the configuration while it ran: done or refused."),
    ("doorline_tls_handshake_failures_total", "TLS handshakes that failed or were not done in time."),
    ("doorline_refused_sources_total", "Messages and connections from addresses that no trunk allows."),
    ("doorline_malformed_messages_total", "SIP messages from trunks that could not be read."),
    (
        "doorline_refused_requests_total",
        "SIP requests refused that begin no call, by reason: method, extension, body, no-call, out-of-order, glare, other.",
    ),
    ("doorline_socket_errors_total", "Errors of SIP sockets, each of which cost at most one message."),
];

const GAUGES: &[(&str, &str)] = &[
    ("doorline_calls_live", "Calls that are alive now."),
    ("doorline_meetings_live", "Meetings that are open now."),
    ("doorline_participants_live", "Callers who are mixed now."),
    ("doorline_event_readers", "Readers of events over HTTP, now."),
    ("doorline_ports_free", "RTP port pairs that no call uses; some may rest after a call."),
    (
        "doorline_tls_certificate_expiry_timestamp_seconds",
        "When the certificate of SIP over TLS ends, in seconds since 1970.",
    ),
    (
        "doorline_snapshot_timestamp_seconds",
        "When the picture of live calls was last renewed, as it changed.",
    ),
    ("doorline_build_info", "1, with the version that runs."),
    ("process_start_time_seconds", "When the service started, in seconds since 1970."),
];

/// Name, upper bounds of buckets, meaning.
const HISTOGRAMS: &[(&str, &[f64], &str)] = &[
    (
        "doorline_setup_seconds",
        &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
        "From an INVITE to our 200.",
    ),
    (
        "doorline_call_seconds",
        &[5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0],
        "How long calls lasted, from INVITE to end.",
    ),
    (
        "doorline_store_seconds",
        &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],
        "Time the store took to answer, by question.",
    ),
    (
        "doorline_switchboard_seconds",
        &[0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0],
        "One turn of the loop that decides about calls.",
    ),
    (
        "doorline_concealed_share",
        &[0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
        "Share of a call's played frames that were made up for lost or late packets.",
    ),
    (
        "doorline_mos",
        &[1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.3],
        "How calls were heard, as people would rate them: 1 to 4.5 (E-model, ITU-T G.107).",
    ),
    (
        "doorline_jitter_seconds",
        &[0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16],
        "Interarrival jitter of callers' packets at the end of calls (RFC 3550 §6.4.1).",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_rising_bounds_and_names_are_used_once() {
        for (name, bounds, _) in HISTOGRAMS {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{name}: {bounds:?}");
        }
        let mut names: Vec<&str> = COUNTERS.iter().chain(GAUGES).map(|(name, _)| *name).collect();
        names.extend(HISTOGRAMS.iter().map(|(name, ..)| *name));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
