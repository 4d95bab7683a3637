//! One leg with its sockets.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::figures::{Counters, add};
use super::socket;
use crate::audio::{FRAME, Leg};
use crate::types::{CallId, Digit};

/// One leg with its sockets; moves between threads as a whole.
pub struct Line {
    pub call: CallId,
    /// The even port.
    pub port: u16,
    pub leg: Leg,
    pub(super) rtp: UdpSocket,
    pub(super) control: UdpSocket,
    /// What `rtp` is connected to.
    pub(super) connected: Option<SocketAddr>,
    /// Which phase it is served in, which room it is in, and its place in that list.
    pub(super) phase: usize,
    pub(super) room: Option<u32>,
    pub(super) place: usize,
    /// Keys for which the event ring had no room, in order.
    pub(super) keys: Keys,
    /// Serving it failed once; it waits for its end.
    pub(super) broken: bool,
}

/// What was heard of a key, and whether it was a tone in the sound.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Down { digit: Digit, tone: bool },
    Up { lasted: Duration, tone: bool },
}

/// A few keys that wait; nobody types more in the second that the ring may be full.
#[derive(Default)]
pub(super) struct Keys {
    keys: [Option<Key>; 32],
    count: usize,
}

impl Line {
    #[must_use]
    pub fn new(call: CallId, port: u16, leg: Leg, rtp: UdpSocket, control: UdpSocket) -> Self {
        Self {
            call,
            port,
            leg,
            rtp,
            control,
            connected: None,
            phase: 0,
            room: None,
            place: 0,
            keys: Keys::default(),
            broken: false,
        }
    }
}

impl AsMut<Leg> for Line {
    fn as_mut(&mut self) -> &mut Leg {
        &mut self.leg
    }
}

impl Line {
    /// Connects the socket to the peer once it is known, and lets it go when it may change: the
    /// kernel then drops strangers, and sending costs a tenth less.
    pub(super) fn follow_latch(&mut self) {
        let wanted = self.leg.only_source();
        if wanted == self.connected {
            return;
        }
        let done = match wanted {
            Some(peer) => self.rtp.connect(peer),
            None => socket::disconnect(&self.rtp),
        };
        // If the kernel refuses, the latch still judges each packet.
        self.connected = if done.is_ok() { wanted } else { None };
    }

    pub(super) fn send(&mut self, payload: &[u8; FRAME], counters: &Counters) {
        let to = self.leg.send_to();
        let Self { leg, rtp, connected, .. } = self;
        leg.packets(payload, |packet| {
            let Some(to) = to else { return };
            let sent = if *connected == Some(to) { rtp.send(packet) } else { rtp.send_to(packet, to) };
            let counter = if sent.is_ok() { &counters.packets_out } else { &counters.send_failures };
            add(counter, 1);
        });
    }

    pub(super) fn send_control(&self, report: &[u8]) {
        if let Some(to) = self.leg.send_control_to() {
            let socket = if self.leg.multiplexes() { &self.rtp } else { &self.control };
            // Lost like any datagram.
            let _ = if self.leg.multiplexes() && self.connected == Some(to) {
                socket.send(report)
            } else {
                socket.send_to(report, to)
            };
        }
    }
}

impl Keys {
    pub(super) fn push(&mut self, key: Key) {
        if self.count < self.keys.len() {
            self.keys[self.count] = Some(key);
            self.count += 1;
        }
    }

    pub(super) fn first(&self) -> Option<Key> {
        self.keys[0]
    }

    pub(super) fn pop(&mut self) {
        self.keys.rotate_left(1);
        self.count -= 1;
        self.keys[self.count] = None;
    }
}
