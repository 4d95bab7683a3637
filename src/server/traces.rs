//! Traces, as the API tells of them, and records as spans.

use crate::bridge::CallRecord;
use crate::http::{self, TraceMessage};
use crate::store::words::Word;
use crate::trace::{PastCall, Traces};
use crate::types::CallId;

impl http::Traces for Traces {
    fn find(&self, call: CallId, sip_call_id: Option<&str>) -> Option<http::Trace> {
        let trace = Traces::find(self, call, sip_call_id)?;
        let messages = trace.messages.iter().map(|message| TraceMessage {
            at: message.at,
            outgoing: message.outgoing,
            from: message.from.to_string(),
            to: message.to.to_string(),
            transport: message.transport.name(),
            summary: message.summary.clone(),
            text: String::from_utf8_lossy(&message.text).into_owned(),
        });
        Some(http::Trace {
            messages: messages.collect(),
            left_out: trace.left_out,
            ladder: trace.ladder(),
            pcap: trace.pcap(),
            sip_call_id: trace.sip_call_id,
        })
    }
}

/// What spans tell of a call: nothing of who called, and nothing that was keyed.
pub(super) fn past_call(record: &CallRecord) -> PastCall {
    let status = record.signalled.refused_with;
    let mut attributes = vec![
        ("doorline.trunk", record.trunk.clone()),
        ("doorline.ending", record.ending.name().to_owned()),
        ("doorline.trust", record.trust.as_str().to_owned()),
    ];
    let more = [
        ("doorline.entered", record.entered.map(|entered| entered.word().to_owned())),
        ("doorline.host", record.host.map(|host| host.to_string())),
        ("doorline.meeting", record.meeting.map(|meeting| meeting.to_string())),
        ("doorline.refused_with", status.map(|status| status.to_string())),
    ];
    attributes.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    PastCall {
        call: record.call,
        started_at: record.started_at,
        answered_at: record.answered_at,
        joined_at: record.joined_at,
        ended_at: record.ended_at,
        steps: record.path.iter().map(|step| (step.at, step.what)).collect(),
        attributes,
        failed: status.is_some_and(|status| status >= 500),
    }
}
