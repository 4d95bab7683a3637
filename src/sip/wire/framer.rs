//! Cuts a stream (TCP, TLS) into messages by Content-Length (RFC 3261 §18.3), and finds the
//! keep-alives between them (RFC 5626 §4.4.1).
//!
//! Bytes may come one by one or all at once: the frames are the same. Each byte is looked at a
//! fixed number of times, and no more than one message and one read are ever held.

use super::fault::{Fault, Wrong};
use super::limits;
use super::lines;
use super::message::Message;
use super::parse::{Framing, content_length, parse};

/// What a stream brought.
#[expect(clippy::large_enum_variant, reason = "taken apart where it is made, never kept")]
#[derive(Debug, Eq, PartialEq)]
pub enum Frame {
    Message(Message),
    /// CRLF CRLF: answer with CRLF.
    Ping,
    /// A message that is refused; the stream goes on behind it.
    Fault(Fault),
    /// Nobody knows where the next message begins: answer if there is an answer, then close.
    /// Nothing comes after it.
    Broken(Fault),
}

#[derive(Debug, Default)]
pub struct Framer {
    held: Vec<u8>,
    /// Everything before it is done with.
    from: usize,
    /// Everything before it holds no end of the headers that begin at `from`.
    seen: usize,
    /// The length of the message at `from`, once its headers are complete.
    length: Option<usize>,
    broken: bool,
}

impl Framer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read. Then ask [`Framer::next_frame`] until it has nothing.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        if self.from > 0 && self.from >= self.held.len() / 2 {
            self.held.drain(..self.from);
            self.seen -= self.from;
            self.from = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// A message has begun and not ended: a peer that leaves it so for long holds memory.
    #[must_use]
    pub const fn is_mid_message(&self) -> bool {
        !self.broken && self.from < self.held.len()
    }

    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.broken {
            return None;
        }
        if self.length.is_none() {
            if let Some(ping) = self.skip_line_ends()? {
                return Some(ping);
            }
            let Some(head_end) = self.head_end() else {
                return (self.held.len() - self.from > limits::MESSAGE_BYTES)
                    .then(|| self.break_with(Fault::silent(Wrong::TooLarge)));
            };
            let head = lines::read(&self.held[self.from..head_end]);
            let head_bytes = head_end - self.from;
            let lost = head.wrong.clone().filter(Wrong::loses_framing);
            match (lost, content_length(&head)) {
                (None, Ok(Some(length))) if head_bytes + length <= limits::MESSAGE_BYTES => {
                    self.length = Some(head_bytes + length);
                }
                (None, Ok(Some(_))) => {
                    // The head alone says who asked, so that even this can be answered.
                    let mut fault = self.fault_of(head_end);
                    fault.wrong = Wrong::TooLarge;
                    return Some(self.break_with(fault));
                }
                (Some(wrong), _) | (None, Err(wrong)) => {
                    let mut fault = self.fault_of(head_end);
                    fault.wrong = wrong;
                    return Some(self.break_with(fault));
                }
                (None, Ok(None)) => {
                    let mut fault = self.fault_of(head_end);
                    fault.wrong = Wrong::Missing("Content-Length");
                    return Some(self.break_with(fault));
                }
            }
        }
        let end = self.from + self.length?;
        let message = parse(self.held.get(self.from..end)?, Framing::Stream);
        self.length = None;
        self.from = end;
        self.seen = end;
        Some(match message {
            Ok(message) => Frame::Message(message),
            Err(fault) if fault.wrong.loses_framing() => self.break_with(fault),
            Err(fault) => Frame::Fault(fault),
        })
    }

    /// Passes over line ends before a message (RFC 3261 §7.5). `None`: more bytes are needed to
    /// tell a ping from one; `Some(None)`: a message begins.
    fn skip_line_ends(&mut self) -> Option<Option<Frame>> {
        loop {
            let rest = &self.held[self.from..];
            let skipped = match rest {
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.skip(4);
                    return Some(Some(Frame::Ping));
                }
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return Some(None),
            };
            self.skip(skipped);
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.from += bytes;
        self.seen = self.seen.max(self.from);
    }

    /// Behind the empty line that ends the headers.
    fn head_end(&mut self) -> Option<usize> {
        while let Some(at) = self.held[self.seen..].iter().position(|byte| *byte == b'\n') {
            let line_end = self.seen + at;
            match &self.held[line_end + 1..] {
                [b'\n', ..] => return self.bounded(line_end + 2),
                [b'\r', b'\n', ..] => return self.bounded(line_end + 3),
                // Too early to say: look at this line end again.
                [] | [b'\r'] => {
                    self.seen = line_end;
                    return None;
                }
                _ => self.seen = line_end + 1,
            }
        }
        self.seen = self.held.len();
        None
    }

    fn bounded(&self, end: usize) -> Option<usize> {
        (end - self.from <= limits::MESSAGE_BYTES).then_some(end)
    }

    /// What [`parse`] says of the head alone; it is refused either way.
    fn fault_of(&self, head_end: usize) -> Fault {
        match parse(&self.held[self.from..head_end], Framing::Stream) {
            Err(fault) => fault,
            Ok(_) => Fault::silent(Wrong::Missing("Content-Length")),
        }
    }

    fn break_with(&mut self, fault: Fault) -> Frame {
        *self = Self { broken: true, ..Self::default() };
        Frame::Broken(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(call_id: &str, length: &str, body: &str) -> String {
        format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:a@b>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n{length}\r\n{body}"
        )
    }

    /// One word a frame: the Call-ID, `ping`, the fault's status, `closed`; `…` when more is awaited.
    fn frames(pushes: impl Iterator<Item = impl AsRef<[u8]>>) -> String {
        let mut framer = Framer::new();
        let mut words = Vec::new();
        for bytes in pushes {
            framer.push(bytes.as_ref());
            while let Some(frame) = framer.next_frame() {
                words.push(match frame {
                    Frame::Message(Message::Request(request)) => request.call_id,
                    Frame::Message(Message::Response(response)) => response.status.to_string(),
                    Frame::Ping => "ping".to_owned(),
                    Frame::Fault(fault) => fault.wrong.status().to_string(),
                    Frame::Broken(fault) if fault.salvaged.is_some() => {
                        format!("{} closed", fault.wrong.status())
                    }
                    Frame::Broken(_) => "closed".to_owned(),
                });
            }
        }
        if framer.is_mid_message() {
            words.push("…".to_owned());
        }
        words.join(" ")
    }

    #[test]
    fn a_stream_is_cut_the_same_whole_and_byte_by_byte() {
        let l = |n: &str| format!("Content-Length: {n}\r\n");
        let one = options("one", &l("0"), "");
        let two = options("two", &l("5"), "12\r\n\r");
        let bad = options("bad", &l("0"), "").replace("CSeq: 1", "CSeq: x");
        let cases = [
            ("one message", one.clone(), "one"),
            ("two, the first with a body that looks like an end", format!("{two}{one}"), "two one"),
            ("compact and folded length", options("c", "l:\r\n 2\r\n", "xx") + &one, "c one"),
            ("line ends between are nothing", format!("\r\n{one}\r\n\n{two}"), "one two"),
            ("pings", format!("\r\n\r\n{one}\r\n\r\n\r\n\r\n{two}"), "ping one ping ping two"),
            ("line feeds alone", one.replace("\r\n", "\n") + &two, "one two"),
            ("a bad message does not stop the next", format!("{bad}{one}"), "400 one"),
            ("no length", options("n", "", "") + &one, "400 closed"),
            ("a length that is no number", options("n", &l("-5"), "") + &one, "400 closed"),
            ("two lengths", options("n", &(l("0") + &l("0")), "") + &one, "400 closed"),
            ("a length past the bound", options("n", &l("65536"), "") + &one, "413 closed"),
            ("a length not reached", options("n", &l("9"), "123"), "…"),
            ("headers not ended", one[..one.len() - 2].to_owned(), "…"),
            ("half a ping", "\r\n\r".to_owned(), "…"),
            ("a carriage return in a header", one.replace("one", "o\rne") + &two, "400 closed"),
            ("a line without a colon", one.replace("Call-ID: one", "smuggled") + &two, "400 closed"),
            ("endless headers", "X".repeat(70_000), "closed"),
            ("headers past the bound", format!("X y SIP/2.0\r\n{}\r\n", "A: b\r\n".repeat(12_000)), "closed"),
        ];
        for (name, text, expected) in cases {
            let bytes = text.as_bytes();
            assert_eq!(frames(std::iter::once(bytes)), expected, "{name}, whole");
            assert_eq!(frames(bytes.chunks(1)), expected, "{name}, byte by byte");
            assert_eq!(frames(bytes.chunks(7)), expected, "{name}, in sevens");
        }
    }

    #[test]
    fn many_messages_at_once_cost_what_they_cost_one_by_one() {
        let text = options("m", "Content-Length: 0\r\n", "").repeat(2_000);
        assert_eq!(frames(std::iter::once(text.as_bytes())).split(' ').count(), 2_000);
        assert_eq!(frames(text.as_bytes().chunks(1_460)).split(' ').count(), 2_000);
    }
}
