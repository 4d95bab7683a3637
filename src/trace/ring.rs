//! The ring: the messages of the latest calls, bounded in bytes and per call.
//!
//! The call that began first goes first, whole. Of a call with more messages than there is room for the
//! first ones stay, which tell how it came in, and the last ones, which tell how it ended.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Message, Trace};
use crate::types::CallId;

/// Messages that one call keeps from its beginning, and in all.
pub(super) const FIRST: usize = 24;
const MOST: usize = 96;

/// Bytes of one call: a 32nd of the ring, and at most this.
const CALL_BYTES_MAX: usize = 256 * 1024;

/// What a message and a call take beside their text, about.
const MESSAGE_COST: usize = 256;
const CALL_COST: usize = 512;

/// Ids that one dialog may have: one, but for a peer that uses a Call-ID twice.
const NAMES_MAX: usize = 4;

pub(super) struct Ring {
    bytes_max: usize,
    bytes: usize,
    calls: HashMap<Arc<str>, Kept>,
    /// By `Call-ID`, the one that began first in front.
    order: VecDeque<Arc<str>>,
    names: HashMap<CallId, Arc<str>>,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<Message>,
    bytes: usize,
    left_out: u64,
    names: Vec<CallId>,
}

impl Ring {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, calls: HashMap::new(), order: VecDeque::new(), names: HashMap::new() }
    }

    /// A message that belongs to no call that is kept, and begins none, is not kept.
    pub fn add(&mut self, sip_call_id: &str, begins_call: bool, message: Message) {
        let cost = message.text.len() + message.summary.len() + MESSAGE_COST;
        let call_bytes_max = (self.bytes_max / 32).min(CALL_BYTES_MAX);
        if !self.calls.contains_key(sip_call_id) {
            if !begins_call || CALL_COST + cost > call_bytes_max {
                return;
            }
            let id: Arc<str> = sip_call_id.into();
            self.order.push_back(id.clone());
            self.calls.insert(id, Kept { bytes: CALL_COST, ..Kept::default() });
            self.bytes += CALL_COST;
        }
        let kept = self.calls.get_mut(sip_call_id).expect("it is there, or was just put there");
        while kept.messages.len() >= MOST || kept.bytes + cost > call_bytes_max {
            // Behind the first ones; of large messages also those.
            let at = if kept.messages.len() > FIRST { FIRST } else { kept.messages.len().saturating_sub(1) };
            let Some(gone) = kept.messages.remove(at) else {
                kept.left_out += 1;
                return;
            };
            let freed = gone.text.len() + gone.summary.len() + MESSAGE_COST;
            kept.bytes -= freed;
            self.bytes -= freed;
            kept.left_out += 1;
        }
        kept.bytes += cost;
        self.bytes += cost;
        kept.messages.push_back(message);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(gone) = self.calls.remove(&oldest) {
                self.bytes -= gone.bytes;
                for name in gone.names {
                    self.names.remove(&name);
                }
            }
        }
    }

    pub fn name(&mut self, call: CallId, sip_call_id: &str) {
        let Some((id, _)) = self.calls.get_key_value(sip_call_id) else { return };
        let id = id.clone();
        if let Some(kept) = self.calls.get_mut(sip_call_id)
            && kept.names.len() < NAMES_MAX
        {
            kept.names.push(call);
            self.names.insert(call, id);
        }
    }

    pub fn find(&self, call: CallId, sip_call_id: Option<&str>) -> Option<Trace> {
        let id = self.names.get(&call).map(|id| &**id).or(sip_call_id)?;
        let kept = self.calls.get(id)?;
        Some(Trace {
            sip_call_id: id.to_owned(),
            messages: kept.messages.iter().cloned().collect(),
            left_out: kept.left_out,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::sip::Transport;

    fn message(number: usize, bytes: usize) -> Message {
        Message {
            at: Timestamp::UNIX_EPOCH,
            transport: Transport::Udp,
            from: "192.0.2.1:5060".parse().unwrap(),
            to: "192.0.2.2:5060".parse().unwrap(),
            outgoing: false,
            summary: number.to_string(),
            text: vec![b'x'; bytes],
        }
    }

    #[test]
    fn the_ring_never_grows_beyond_its_bytes_and_the_first_call_goes_first() {
        let mut ring = Ring::new(256 * 1024);
        for call in 0..500 {
            for number in 0..4 {
                ring.add(&format!("call-{call}"), number == 0, message(number, 900));
                assert!(ring.bytes <= ring.bytes_max, "{} bytes", ring.bytes);
            }
            ring.name(CallId::numbered(call), &format!("call-{call}"));
        }
        let reckoned: usize = ring.calls.values().map(|kept| kept.bytes).sum();
        assert_eq!(ring.bytes, reckoned);
        assert_eq!((ring.order.len(), ring.names.len()), (ring.calls.len(), ring.calls.len()));
        assert!(ring.find(CallId::numbered(1), Some("call-1")).is_none(), "the first ones are gone");
        let last = ring.find(CallId::numbered(499), None).expect("the last one is there");
        assert_eq!((last.messages.len(), last.left_out), (4, 0));
        assert!(ring.calls.len() > 40, "only {} calls", ring.calls.len());
    }

    #[test]
    fn of_a_long_call_the_first_and_the_last_messages_stay() {
        let mut ring = Ring::new(8 * 1024 * 1024);
        for number in 0..1_000 {
            ring.add("long", number == 0, message(number, 100));
        }
        let trace = ring.find(CallId::numbered(1), Some("long")).unwrap();
        let numbers: Vec<usize> = trace.messages.iter().map(|m| m.summary.parse().unwrap()).collect();
        assert_eq!(numbers.len(), MOST);
        assert_eq!(numbers[..FIRST], (0..FIRST).collect::<Vec<_>>()[..]);
        assert_eq!(numbers.last(), Some(&999));
        assert_eq!(trace.left_out, 1_000 - MOST as u64);
    }

    #[test]
    fn what_begins_no_call_is_not_kept_and_a_huge_message_takes_no_others_room() {
        let mut ring = Ring::new(256 * 1024);
        ring.add("ping", false, message(0, 100));
        assert!(ring.find(CallId::numbered(1), Some("ping")).is_none());
        ring.add("small", true, message(0, 100));
        ring.add("huge", true, message(0, 60_000));
        assert!(ring.find(CallId::numbered(1), Some("huge")).is_none());
        assert!(ring.find(CallId::numbered(1), Some("small")).is_some());
        ring.add("small", false, message(1, 60_000));
        let small = ring.find(CallId::numbered(1), Some("small")).unwrap();
        assert!(small.left_out > 0);
        let mut off = Ring::new(0);
        off.add("a", true, message(0, 1));
        assert!(off.find(CallId::numbered(1), Some("a")).is_none(), "0 bytes keep nothing");
    }
}
