//! A call as OpenTelemetry spans: one for the call, and one below it for each phase that it came to.
//!
//! They are made of what is known when a call is over, so nothing is remembered meanwhile, and the trace's
//! id is the call's. Printed as OTLP in JSON (opentelemetry-proto 1.x, "OTLP/HTTP JSON encoding"): ids in
//! hexadecimal, 64-bit numbers as text.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::types::CallId;

/// A call that is over, as far as spans tell of it. No number, no PIN, no code: nothing of the caller's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PastCall {
    pub call: CallId,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub joined_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    /// The way through the states, such as `asking-pin`.
    pub steps: Vec<(Timestamp, &'static str)>,
    /// What else there is to say, by name.
    pub attributes: Vec<(&'static str, String)>,
    /// We refused it because of ourselves (5xx).
    pub failed: bool,
}

/// A stretch of time of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Span {
    name: &'static str,
    from: Timestamp,
    to: Timestamp,
}

impl PastCall {
    /// Set-up, from the INVITE to the answer; verification, until the caller is in; the conference.
    fn phases(&self) -> impl Iterator<Item = Span> {
        let Self { started_at, answered_at, joined_at, ended_at, .. } = *self;
        let until = |next: Option<Timestamp>| next.unwrap_or(ended_at);
        let set_up = Span { name: "set-up", from: started_at, to: until(answered_at) };
        let verification = answered_at.map(|from| Span { name: "verification", from, to: until(joined_at) });
        let conference = joined_at.map(|from| Span { name: "conference", from, to: ended_at });
        [Some(set_up), verification, conference].into_iter().flatten()
    }

    /// How many spans it is.
    pub(super) fn count(&self) -> u64 {
        1 + self.phases().count() as u64
    }

    fn spans(&self) -> Vec<Value> {
        let call = Span { name: "call", from: self.started_at, to: self.ended_at };
        let mut root = self.span(0, call);
        // A server's span (kind 2): a request came from outside.
        root["kind"] = json!(2);
        root["attributes"] = self.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
        if self.failed {
            root["status"] = json!({"code": 2});
        }
        let mut all = vec![root];
        for (place, phase) in self.phases().enumerate() {
            let is_last = self.phases().count() == place + 1;
            let within = |at: Timestamp| (phase.from <= at || place == 0) && (at < phase.to || is_last);
            let events = self.steps.iter().filter(|(at, _)| within(*at));
            let events = events.map(|(at, name)| json!({"timeUnixNano": nanoseconds(*at), "name": name}));
            let mut span = self.span(1 + place as u64, phase);
            span["parentSpanId"] = json!(self.span_id(0));
            span["kind"] = json!(1);
            span["events"] = events.collect();
            all.push(span);
        }
        all
    }

    fn span(&self, number: u64, Span { name, from, to }: Span) -> Value {
        json!({
            "traceId": self.call.0.simple().to_string(),
            "spanId": self.span_id(number),
            "name": name,
            "startTimeUnixNano": nanoseconds(from),
            // The clock may have been set meanwhile.
            "endTimeUnixNano": nanoseconds(to.max(from)),
        })
    }

    /// Eight bytes, never all zero: the random half of the call's id, and which of its spans.
    fn span_id(&self, number: u64) -> String {
        let (_, random) = self.call.0.as_u64_pair();
        format!("{:016x}", random.wrapping_add(number).max(1))
    }
}

/// The body of a request to a collector.
pub(super) fn request(calls: &[PastCall]) -> Value {
    let spans: Vec<Value> = calls.iter().flat_map(PastCall::spans).collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", "doorline"), attribute("service.version", version)]},
        "scopeSpans": [{"scope": {"name": "doorline"}, "spans": spans}],
    }]})
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn call(answered: Option<i64>, joined: Option<i64>, steps: &[(i64, &'static str)]) -> PastCall {
        PastCall {
            call: CallId::numbered(0x0190_0000_0000_7000_8000_0000_0000_00ff),
            started_at: at(0),
            answered_at: answered.map(at),
            joined_at: joined.map(at),
            ended_at: at(60),
            steps: steps.iter().map(|(second, name)| (at(*second), *name)).collect(),
            attributes: vec![("doorline.ending", "hung-up".to_owned())],
            failed: false,
        }
    }

    /// Such as `set-up 0-1 [ringing]`.
    fn told(call: &PastCall) -> Vec<String> {
        let second = |span: &Value, name: &str| {
            span[name].as_str().unwrap().parse::<i64>().unwrap() / 1_000_000_000 - 1_000_000
        };
        let one = |span: &Value| {
            let events = span["events"].as_array().into_iter().flatten();
            let events: Vec<&str> = events.map(|event| event["name"].as_str().unwrap()).collect();
            let (from, to) = (second(span, "startTimeUnixNano"), second(span, "endTimeUnixNano"));
            format!("{} {from}-{to} {}", span["name"].as_str().unwrap(), events.join(" "))
        };
        call.spans().iter().map(|span| one(span).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_call_is_a_span_and_each_phase_that_it_came_to_one_below_it() {
        let steps: &[(i64, &'static str)] =
            &[(0, "ringing"), (1, "asking-pin"), (9, "asking-code"), (20, "in-meeting"), (60, "over")];
        for (call, expected) in [
            (
                call(Some(1), Some(20), steps),
                &[
                    "call 0-60",
                    "set-up 0-1 ringing",
                    "verification 1-20 asking-pin asking-code",
                    "conference 20-60 in-meeting over",
                ][..],
            ),
            (
                call(Some(1), None, &steps[..2]),
                &["call 0-60", "set-up 0-1 ringing", "verification 1-60 asking-pin"],
            ),
            (call(None, None, &[(60, "refused")]), &["call 0-60", "set-up 0-60 refused"]),
            // The clock was set back while it rang.
            (call(Some(-3_600), None, &[]), &["call 0-60", "set-up 0-0", "verification -3600-60"]),
        ] {
            assert_eq!(told(&call), expected);
            assert_eq!(call.count(), expected.len() as u64);
        }
    }

    #[test]
    fn spans_of_a_call_have_its_id_and_ids_of_their_own_below_one() {
        let body = request(&[call(Some(1), Some(20), &[])]);
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        let ids: Vec<&str> = spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
        assert_eq!(ids, ["80000000000000ff", "8000000000000100", "8000000000000101", "8000000000000102"]);
        assert!(spans.iter().all(|span| span["traceId"] == "019000000000700080000000000000ff"));
        assert!(spans[1..].iter().all(|span| span["parentSpanId"] == ids[0]), "{spans:?}");
        assert!(spans[0].get("parentSpanId").is_none());
        assert_eq!(spans[0]["attributes"][0]["value"]["stringValue"], "hung-up");
        assert!(spans[0].get("status").is_none());
        let failed = PastCall { failed: true, ..call(None, None, &[]) };
        assert_eq!(failed.spans()[0]["status"]["code"], 2);
    }
}
