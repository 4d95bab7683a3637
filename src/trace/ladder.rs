//! A call as a ladder: a column for each address, an arrow for each message.

use std::fmt::Write;
use std::net::SocketAddr;

use super::{Message, Trace};
use crate::types::text::printable;

/// Between two columns: room for an address with its port, and for most summaries.
const STEP: usize = 30;
/// Addresses beyond share the last column.
const COLUMNS_MAX: usize = 5;
const LEFT: usize = 12;

pub(super) fn draw(trace: &Trace) -> String {
    let mut columns: Vec<SocketAddr> = Vec::new();
    for message in &trace.messages {
        let ends = if message.outgoing { [message.to, message.from] } else { [message.from, message.to] };
        for end in ends {
            if !columns.contains(&end) && columns.len() < COLUMNS_MAX {
                columns.push(end);
            }
        }
    }
    let mut out = format!("Call-ID {}\n\n{:LEFT$}", printable(&trace.sip_call_id), "");
    for address in &columns {
        let _ = write!(out, "{:STEP$}", address.to_string());
    }
    out = format!("{}\n", out.trim_end());
    let began = trace.messages.first().map(|message| message.at);
    for (index, message) in trace.messages.iter().enumerate() {
        let since = began.map_or(0.0, |began| message.at.duration_since(began).as_secs_f64());
        let _ = write!(out, "{since:9.3}  ");
        out.push_str(&arrow(message, &columns));
        out.push('\n');
        if trace.left_out > 0 && index + 1 == trace.messages.len().min(super::ring::FIRST) {
            let _ = writeln!(out, "{:LEFT$}({} messages left out)", "", trace.left_out);
        }
    }
    out
}

fn arrow(message: &Message, columns: &[SocketAddr]) -> String {
    let last = columns.len().saturating_sub(1);
    let place = |address| columns.iter().position(|column| *column == address).unwrap_or(last);
    let (from, to) = (place(message.from), place(message.to));
    let mut line: Vec<char> = vec![' '; last * STEP + 2];
    for column in 0..columns.len() {
        line[column * STEP + 1] = '|';
    }
    let (left, right) = (from.min(to) * STEP + 1, from.max(to) * STEP + 1);
    if left < right {
        line[left + 1..right].fill('-');
        line[if from < to { right - 1 } else { left + 1 }] = if from < to { '>' } else { '<' };
    }
    let room = (right - left).saturating_sub(5);
    let mut text: Vec<char> = printable(&message.summary).chars().collect();
    let rest: String =
        if text.len() > room { text.split_off(room).into_iter().collect() } else { String::new() };
    let begin = left + 2 + (right - left).saturating_sub(4 + text.len()) / 2;
    for (offset, c) in text.into_iter().enumerate() {
        if let Some(cell) = line.get_mut(begin + offset) {
            *cell = c;
        }
    }
    let drawn: String = line.into_iter().collect();
    format!("{drawn} {rest}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn a_call_is_drawn_as_arrows_both_ways() {
        let message = |millis: i64, outgoing: bool, summary: &str| {
            let (us, them) = ("127.0.0.1:5060".parse().unwrap(), "127.0.0.1:40001".parse().unwrap());
            let (from, to) = if outgoing { (us, them) } else { (them, us) };
            Message {
                at: jiff::Timestamp::from_millisecond(1_000_000 + millis).unwrap(),
                transport: Transport::Udp,
                from,
                to,
                outgoing,
                summary: summary.to_owned(),
                text: Vec::new(),
            }
        };
        let trace = Trace {
            sip_call_id: "a\u{1b}b@x".to_owned(),
            messages: vec![
                message(0, false, "INVITE (sdp)"),
                message(12, true, "200 OK (INVITE, sdp)"),
                message(30, false, "ACK"),
            ],
            left_out: 0,
        };
        let expected = "\
Call-ID a\u{fffd}b@x

            127.0.0.1:40001               127.0.0.1:5060
    0.000   |--------INVITE (sdp)-------->|
    0.012   |<---200 OK (INVITE, sdp)-----|
    0.030   |------------ACK------------->|
";
        assert_eq!(trace.ladder(), expected, "\n{}", trace.ladder());
        assert_eq!(Trace::default().ladder().lines().count(), 1, "nothing to draw");
    }
}
