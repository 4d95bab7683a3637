//! Traces, as the API tells of them.

use crate::http::{self, TraceMessage};
use crate::trace::Traces;
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
