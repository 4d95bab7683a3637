//! The service's figures, in Prometheus' text format: what rooms count is read when somebody asks.
//!
//! What happens in the switchboard is counted as it happens, here too: one function for a call's
//! record, one for a question. Nothing in a label is a secret or somebody's number, and nothing tells
//! more of a wrong entry than its caller heard.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use metrics::{counter, gauge, histogram};
use tokio::sync::watch;

use crate::bridge::input::DigitSource;
use crate::bridge::{Answer, CallRecord, Question, Snapshot};
use crate::media::figures::LATENESS_BOUNDS_US;
use crate::media::{self, Engine};
use crate::server::operations::Operations;
use crate::signalling::{self, Tls};
use crate::sip::digest;
use crate::sip::endpoint::{REFUSALS, Reach, TrunkState};
use crate::store::words::Word;
use crate::telemetry;
use crate::types::Suite;

/// A phase of a tick that begins later than this, in microseconds, counts as late: the jitter
/// buffers of callers cover more, but nothing should come near.
const LATE_US: u64 = 5_000;

/// Where figures are read.
pub(super) struct Figures {
    pub media: Engine,
    pub signalling: signalling::Handle,
    pub operations: Arc<Operations>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Figures {
    /// The text of `/metrics`.
    pub(super) fn text(&self) -> String {
        let counters = self.signalling.counters();
        counter!("doorline_refused_sources_total").absolute(counters.refused_sources);
        counter!("doorline_malformed_messages_total").absolute(counters.malformed);
        counter!("doorline_socket_errors_total").absolute(counters.socket_errors);
        counter!("doorline_tls_handshake_failures_total").absolute(counters.failed_handshakes);
        for (queue, count) in [
            ("admission", counters.too_fast),
            ("endpoint", counters.overloaded),
            ("events", counters.refused_busy),
            ("connections", counters.refused_connections),
            ("refusals", counters.events_lost),
        ] {
            counter!("doorline_overload_total", "queue" => queue).absolute(count);
        }
        for ((reason, _), count) in REFUSALS.iter().zip(counters.refused) {
            counter!("doorline_refused_requests_total", "reason" => *reason).absolute(count);
        }
        gauge!("doorline_ports_free").set(self.media.ports_free() as f64);

        let mut out = Text(telemetry::metrics_text());
        self.trunks(&mut out);
        workers(&self.media.figures(), &mut out);
        out.0
    }

    fn trunks(&self, out: &mut Text) {
        let snapshot = self.snapshot.borrow().clone();
        let tables = self.operations.tables();
        out.family("doorline_trunk_calls_live", "gauge", "Calls that are alive now, by trunk.");
        for trunk in &tables.trunks {
            let live = snapshot.calls.iter().filter(|call| call.trunk == trunk.name).count();
            out.sample("doorline_trunk_calls_live", &[("trunk", &trunk.name)], live);
        }
        trunk_states(&self.signalling.trunks(), out);
    }
}

/// Where nobody asks, a trunk is neither up nor down.
fn trunk_states(states: &[TrunkState], out: &mut Text) {
    let name = "doorline_trunk_up";
    out.family(name, "gauge", "1 when the trunk's peer answers or we are registered there, 0 when not.");
    for state in states.iter().filter(|state| state.reach != Reach::Unknown) {
        out.sample(name, &[("trunk", &state.name)], u8::from(state.reach != Reach::Down));
    }
    let name = "doorline_trunk_registered";
    out.family(name, "gauge", "1 while the trunk's registrar sends us calls, for trunks that register.");
    for state in states {
        if let Some(registration) = &state.registration {
            let is_registered = registration.registered_until.is_some();
            out.sample(name, &[("trunk", &state.name)], u8::from(is_registered));
        }
    }
    let name = "doorline_trunk_refused_total";
    out.family(name, "counter", "Requests refused before anything was remembered of them, by trunk and why.");
    for state in states {
        let counts = [("calls-per-second", state.admitted.too_fast), ("limited", state.admitted.limited)];
        let wrong = digest::Refused::ALL.iter().zip(state.admitted.refused);
        for (why, count) in counts.into_iter().chain(wrong.map(|(why, count)| (why.name(), count))) {
            out.sample(name, &[("trunk", &state.name), ("why", why)], count);
        }
    }
    let name = "doorline_trunk_proved_total";
    out.family(name, "counter", "Requests that proved the trunk's password.");
    for state in states {
        out.sample(name, &[("trunk", &state.name)], state.admitted.proved);
    }
}

fn workers(workers: &[media::Figures], out: &mut Text) {
    type Read = fn(&media::Figures) -> f64;
    let families: [(&str, &str, &str, Read); 12] = [
        ("doorline_media_legs", "gauge", "Legs of a media thread, now.", |f| f.legs as f64),
        ("doorline_media_rooms", "gauge", "Conferences of a media thread, now.", |f| f.rooms as f64),
        ("doorline_media_busy_seconds_total", "counter", "Time a media thread worked.", |f| {
            f.busy.as_secs_f64()
        }),
        ("doorline_media_phases_total", "counter", "Phases of ticks, four every 20 ms.", |f| f.phases as f64),
        (
            "doorline_media_late_phases_total",
            "counter",
            "Phases that began more than 5 ms late: callers may hear it.",
            |f| late(f) as f64,
        ),
        (
            "doorline_media_skipped_phases_total",
            "counter",
            "Phases left out because the thread was more than 100 ms behind: callers hear gaps.",
            |f| f.skipped as f64,
        ),
        ("doorline_media_packets_in_total", "counter", "Datagrams that media threads read.", |f| {
            f.packets_in as f64
        }),
        ("doorline_media_packets_out_total", "counter", "Datagrams that media threads sent.", |f| {
            f.packets_out as f64
        }),
        ("doorline_media_send_failures_total", "counter", "Datagrams that could not be sent.", |f| {
            f.send_failures as f64
        }),
        (
            "doorline_media_events_lost_total",
            "counter",
            "Events of media threads for which there was no room; keys are never among them.",
            |f| f.events_lost as f64,
        ),
        (
            "doorline_media_rooms_moved_total",
            "counter",
            "Conferences that went on to another thread, to even the load out.",
            |f| f.rooms_moved as f64,
        ),
        ("doorline_media_faults_total", "counter", "Faults of ours that ended a call.", |f| f.faults as f64),
    ];
    for (name, kind, help, read) in families {
        out.family(name, kind, help);
        for (worker, figures) in workers.iter().enumerate() {
            out.sample(name, &[("worker", &worker.to_string())], read(figures));
        }
    }
    let name = "doorline_media_lateness_seconds";
    out.family(name, "histogram", "How late phases of ticks began.");
    for (worker, figures) in workers.iter().enumerate() {
        let worker = worker.to_string();
        let mut so_far = 0;
        for (count, bound) in figures.lateness.iter().zip(&LATENESS_BOUNDS_US) {
            so_far += count;
            let bound = (*bound as f64 / 1e6).to_string();
            out.sample(&format!("{name}_bucket"), &[("worker", &worker), ("le", &bound)], so_far);
        }
        let all: u64 = figures.lateness.iter().sum();
        out.sample(&format!("{name}_bucket"), &[("worker", &worker), ("le", "+Inf")], all);
        out.sample(&format!("{name}_sum"), &[("worker", &worker)], figures.late_in_all.as_secs_f64());
        out.sample(&format!("{name}_count"), &[("worker", &worker)], all);
    }
}

fn late(figures: &media::Figures) -> u64 {
    let bounds = LATENESS_BOUNDS_US.iter().position(|bound| *bound > LATE_US);
    figures.lateness[bounds.unwrap_or(LATENESS_BOUNDS_US.len())..].iter().sum()
}

/// Counts what a call did, once it is over.
pub(super) fn count_call(record: &CallRecord) {
    counter!("doorline_calls_total", "ending" => record.ending.name()).increment(1);
    let outcome = if record.answered_at.is_some() { "answered" } else { "unanswered" };
    counter!("doorline_trunk_calls_total", "trunk" => record.trunk.clone(), "outcome" => outcome)
        .increment(1);
    counter!("doorline_caller_trust_total", "trust" => record.trust.as_str()).increment(1);
    let lasted = record.ended_at.duration_since(record.started_at).as_secs_f64();
    histogram!("doorline_call_seconds").record(lasted.max(0.0));
    if let Some(entered) = record.entered {
        counter!("doorline_entries_total", "by" => entered.word()).increment(1);
    }
    for (verdict, step) in [("wrong", "wrong-details"), ("nothing", "nothing-entered")] {
        let rounds = record.path.iter().filter(|at| at.what == step).count();
        counter!("doorline_entry_rounds_total", "verdict" => verdict).increment(rounds as u64);
    }
    let asked = record.path.iter().any(|at| at.what == "asking-pin");
    counter!("doorline_entry_rounds_total", "verdict" => "right")
        .increment(u64::from(asked && record.entered.is_some()));
    for source in [DigitSource::Rtp, DigitSource::Info, DigitSource::Inband] {
        let keys = record.keys.iter().filter(|key| key.source == source).count();
        counter!("doorline_keys_total", "source" => source.word()).increment(keys as u64);
    }
    if let Some(quality) = &record.quality {
        counter!("doorline_packets_received_total").increment(quality.packets_received);
        counter!("doorline_packets_late_total").increment(quality.packets_late);
        counter!("doorline_packets_lost_total").increment(quality.packets_lost);
        counter!("doorline_packets_sent_total").increment(quality.packets_sent);
        counter!("doorline_packets_rejected_total").increment(quality.packets_rejected);
        let suite = quality.srtp.map_or("none", Suite::name);
        counter!("doorline_encryption_total", "suite" => suite).increment(1);
        histogram!("doorline_concealed_share").record(f64::from(quality.concealed));
        counter!("doorline_packets_reordered_total").increment(quality.reordered);
        counter!("doorline_ticks_late_total").increment(quality.ticks_late);
        if let Some(opinion) = quality.opinion {
            histogram!("doorline_mos").record(f64::from(opinion));
        }
        histogram!("doorline_jitter_seconds").record(f64::from(quality.jitter_ms) / 1e3);
    }
}

/// Counts an answer of the store, and how long it took.
pub(super) fn count_answer(question: &'static str, answer: &Answer, seconds: f64) {
    histogram!("doorline_store_seconds", "question" => question).record(seconds);
    match (question, answer) {
        (_, Answer::Unavailable) => counter!("doorline_store_unavailable_total").increment(1),
        ("remember", _) => counter!("doorline_remembered_total").increment(1),
        ("forget", _) => counter!("doorline_forgotten_total").increment(1),
        _ => {}
    }
}

/// A question's name in metrics.
pub(super) const fn name(question: &Question) -> &'static str {
    match question {
        Question::Caller { .. } => "caller",
        Question::Host { .. } => "host",
        Question::HostById { .. } => "host-by-id",
        Question::Code { .. } => "code",
        Question::HostPin { .. } => "host-pin",
        Question::GiveBack { .. } => "give-back",
        Question::Open { .. } => "open",
        Question::Close { .. } => "close",
        Question::Remember { .. } => "remember",
        Question::Used { .. } => "used",
        Question::Forget { .. } => "forget",
    }
}

/// The certificate that new connections see.
pub(super) fn tell_certificate(tls: &Tls) {
    let until = tls.certificate().not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    gauge!("doorline_tls_certificate_expiry_timestamp_seconds").set(until.as_secs_f64());
}

/// Figures that are there from the start, so that an alert on one does not wait for its first.
pub(super) fn begin() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    gauge!("process_start_time_seconds").set(now.as_secs_f64());
    gauge!("doorline_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for queue in ["media", "media-threads", "ports", "store"] {
        counter!("doorline_overload_total", "queue" => queue).increment(0);
    }
    for result in ["done", "refused"] {
        counter!("doorline_reloads_total", "result" => result).increment(0);
    }
    for name in [
        "doorline_decision_faults_total",
        "doorline_store_unavailable_total",
        "doorline_remembered_total",
        "doorline_forgotten_total",
    ] {
        counter!(name).increment(0);
    }
}

/// Families and samples, one after another.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Values of labels are ours: names of trunks, numbers.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lateness_is_told_as_a_cumulative_histogram() {
        let mut figures = media::Figures { late_in_all: Duration::from_millis(40), ..Default::default() };
        // Up to 50 µs, up to 10 ms, beyond the last bound.
        figures.lateness[0] = 5;
        figures.lateness[7] = 2;
        figures.lateness[10] = 1;
        let mut out = Text(String::new());
        workers(&[figures], &mut out);
        let line = |text: &str| assert!(out.0.lines().any(|line| line == text), "{text}\n{}", out.0);
        line("# TYPE doorline_media_lateness_seconds histogram");
        line("doorline_media_lateness_seconds_bucket{worker=\"0\",le=\"0.00005\"} 5");
        line("doorline_media_lateness_seconds_bucket{worker=\"0\",le=\"0.005\"} 5");
        line("doorline_media_lateness_seconds_bucket{worker=\"0\",le=\"0.01\"} 7");
        line("doorline_media_lateness_seconds_bucket{worker=\"0\",le=\"+Inf\"} 8");
        line("doorline_media_lateness_seconds_sum{worker=\"0\"} 0.04");
        line("doorline_media_lateness_seconds_count{worker=\"0\"} 8");
        line("doorline_media_late_phases_total{worker=\"0\"} 3");
    }
}
