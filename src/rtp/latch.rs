//! Whose packets to believe, and where to send ours (RTP bleed, RFC 7362).
//!
//! SDP says where the peer listens. Behind a NAT that is not where its packets come from, so the
//! address must be learnt from them; but whoever learns too readily can be made to send a
//! conversation to a stranger. So: the address must be one we already know of, a stream must
//! prove itself, and what is learnt holds until the next re-INVITE.

use std::net::{IpAddr, SocketAddr};

use super::packet::Header;

/// Packets in unbroken sequence, of a negotiated payload type, that prove an address.
pub const PROOF: u8 = 4;

/// One leg's knowledge of its peer.
#[derive(Clone, Debug)]
pub struct Latch {
    /// Where SDP says the peer listens; `None` for an unspecified address (old-style hold).
    signalled: Option<SocketAddr>,
    signalling_ip: IpAddr,
    /// False: exactly the SDP's address and nothing else.
    learns: bool,
    locked: Option<SocketAddr>,
    /// After a re-INVITE the locked address still serves, but another may prove itself.
    settled: bool,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    next: u16,
    seen: u8,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Accept,
    /// Perhaps our peer; not believed yet.
    Unproved,
    /// Not from our peer.
    Stranger,
}

impl Latch {
    #[must_use]
    pub fn new(signalled: Option<SocketAddr>, signalling_ip: IpAddr, learns: bool) -> Self {
        let mut latch =
            Self { signalled: None, signalling_ip, learns, locked: None, settled: false, candidate: None };
        latch.renegotiate(signalled, signalling_ip, learns);
        latch
    }

    /// A new offer or answer: when it names another address, what was learnt is forgotten; when it
    /// names the same, the address in use serves until another has proved itself.
    pub fn renegotiate(&mut self, signalled: Option<SocketAddr>, signalling_ip: IpAddr, learns: bool) {
        let signalled = signalled.filter(|address| !address.ip().is_unspecified() && address.port() != 0);
        if self.signalled != signalled || self.learns != learns {
            self.locked = None;
        }
        if !learns {
            self.locked = signalled;
        }
        self.signalled = signalled;
        self.signalling_ip = signalling_ip;
        self.learns = learns;
        self.settled = !learns;
        self.candidate = None;
    }

    /// Judges one packet. `negotiated`: its payload type is one that this leg agreed on.
    pub fn judge(&mut self, from: SocketAddr, header: &Header, negotiated: bool) -> Verdict {
        if self.locked == Some(from) {
            // The address in use goes on: whoever else was proving itself has lost the race.
            if negotiated {
                self.settled = true;
                self.candidate = None;
            }
            return Verdict::Accept;
        }
        if !self.learns || (self.settled && self.locked.is_some()) || !self.may_be_peer(from.ip()) {
            return Verdict::Stranger;
        }
        if !negotiated {
            return Verdict::Unproved;
        }
        // Exactly where SDP said: nothing needs to be learnt.
        if self.signalled == Some(from) {
            self.lock(from);
            return Verdict::Accept;
        }
        let seen = match self.candidate {
            Some(candidate)
                if candidate.from == from
                    && candidate.ssrc == header.ssrc
                    && candidate.next == header.sequence =>
            {
                candidate.seen + 1
            }
            _ => 1,
        };
        if seen >= PROOF {
            self.lock(from);
            return Verdict::Accept;
        }
        self.candidate =
            Some(Candidate { from, ssrc: header.ssrc, next: header.sequence.wrapping_add(1), seen });
        Verdict::Unproved
    }

    /// Where our packets go. Before anything is learnt that is SDP's address, if it is where the
    /// signalling comes from too; otherwise nowhere yet.
    #[must_use]
    pub fn send_to(&self) -> Option<SocketAddr> {
        self.locked.or_else(|| self.signalled.filter(|address| address.ip() == self.signalling_ip))
    }

    /// The one address that packets may come from now; a socket may be connected to it.
    #[must_use]
    pub fn only_source(&self) -> Option<SocketAddr> {
        self.locked.filter(|_| self.settled)
    }

    /// Whether this could be our peer's address at all; also asked for RTCP, which comes from
    /// another port.
    #[must_use]
    pub fn may_be_peer(&self, ip: IpAddr) -> bool {
        match self.only_source() {
            Some(address) => address.ip() == ip,
            None => ip == self.signalling_ip || self.signalled.is_some_and(|address| address.ip() == ip),
        }
    }

    fn lock(&mut self, from: SocketAddr) {
        self.locked = Some(from);
        self.settled = true;
        self.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "192.0.2.1:4000";
    const NAT: &str = "198.51.100.7:61000";
    const OTHER_PORT: &str = "192.0.2.1:9999";
    const ATTACKER: &str = "203.0.113.66:4000";

    fn latch(learns: bool) -> Latch {
        Latch::new(Some(SDP.parse().unwrap()), "198.51.100.7".parse().unwrap(), learns)
    }

    fn hear(latch: &mut Latch, from: &str, sequence: u16, negotiated: bool) -> Verdict {
        let header = Header { sequence, ssrc: 1, ..Header::default() };
        latch.judge(from.parse().unwrap(), &header, negotiated)
    }

    #[test]
    fn packets_are_believed_as_the_rule_says() {
        // (what, learns, packets as (from, sequence, negotiated), verdicts, where we send at the end)
        type Case =
            (&'static str, bool, &'static [(&'static str, u16, bool)], &'static str, Option<&'static str>);
        let cases: &[Case] = &[
            (
                "sdp: the SDP's address alone",
                false,
                &[(SDP, 1, true), (NAT, 2, true), (OTHER_PORT, 3, true)],
                "A..",
                Some(SDP),
            ),
            ("sdp: we send before they do", false, &[], "", Some(SDP)),
            ("latch: nothing is sent before somebody is proved", true, &[], "", None),
            (
                "latch: exactly SDP's address needs no proof",
                true,
                &[(SDP, 1, true), (NAT, 2, true)],
                "A.",
                Some(SDP),
            ),
            (
                "latch: the signalling's IP after four",
                true,
                &[(NAT, 1, true), (NAT, 2, true), (NAT, 3, true), (NAT, 4, true), (NAT, 5, true)],
                "???AA",
                Some(NAT),
            ),
            (
                "latch: SDP's IP, another port",
                true,
                &[(OTHER_PORT, 1, true), (OTHER_PORT, 2, true), (OTHER_PORT, 3, true), (OTHER_PORT, 4, true)],
                "???A",
                Some(OTHER_PORT),
            ),
            (
                "latch: the sequence wraps around",
                true,
                &[(NAT, 65_534, true), (NAT, 65_535, true), (NAT, 0, true), (NAT, 1, true)],
                "???A",
                Some(NAT),
            ),
            (
                "latch: a gap begins the proof anew",
                true,
                &[
                    (NAT, 1, true),
                    (NAT, 2, true),
                    (NAT, 3, true),
                    (NAT, 5, true),
                    (NAT, 6, true),
                    (NAT, 7, true),
                    (NAT, 8, true),
                ],
                "??????A",
                Some(NAT),
            ),
            (
                "latch: the same packet again proves nothing",
                true,
                &[(NAT, 1, true), (NAT, 1, true), (NAT, 1, true), (NAT, 1, true)],
                "????",
                None,
            ),
            (
                "latch: payload types nobody agreed on prove nothing",
                true,
                &[(NAT, 1, false), (NAT, 2, false), (NAT, 3, false), (NAT, 4, false)],
                "????",
                None,
            ),
            (
                "latch: an address nobody spoke of",
                true,
                &[(ATTACKER, 1, true), (ATTACKER, 2, true), (ATTACKER, 3, true), (ATTACKER, 4, true)],
                "....",
                None,
            ),
            (
                "latch: a stranger does not disturb the proof",
                true,
                &[(NAT, 1, true), (ATTACKER, 7, true), (NAT, 2, true), (NAT, 3, true), (NAT, 4, true)],
                "?.??A",
                Some(NAT),
            ),
            (
                "latch: once locked, locked",
                true,
                &[
                    (NAT, 1, true),
                    (NAT, 2, true),
                    (NAT, 3, true),
                    (NAT, 4, true),
                    (SDP, 1, true),
                    (OTHER_PORT, 1, true),
                ],
                "???A..",
                Some(NAT),
            ),
        ];
        for (name, learns, packets, verdicts, send_to) in cases {
            let mut latch = latch(*learns);
            let got: String = packets
                .iter()
                .map(|&(from, sequence, negotiated)| match hear(&mut latch, from, sequence, negotiated) {
                    Verdict::Accept => 'A',
                    Verdict::Unproved => '?',
                    Verdict::Stranger => '.',
                })
                .collect();
            assert_eq!(got, *verdicts, "{name}");
            assert_eq!(latch.send_to(), send_to.map(|address| address.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn sdp_and_signalling_from_one_address_may_be_sent_to_at_once() {
        let latch = Latch::new(Some(SDP.parse().unwrap()), "192.0.2.1".parse().unwrap(), true);
        assert_eq!(latch.send_to(), Some(SDP.parse().unwrap()));
        assert_eq!(latch.only_source(), None);
    }

    #[test]
    fn a_re_invite_lets_another_address_prove_itself_while_the_old_one_serves() {
        let mut latch = latch(true);
        let ip = "198.51.100.7".parse().unwrap();
        for sequence in 1..=4 {
            hear(&mut latch, NAT, sequence, true);
        }
        latch.renegotiate(Some(SDP.parse().unwrap()), ip, true);
        assert_eq!(latch.send_to(), Some(NAT.parse().unwrap()));
        assert_eq!(latch.only_source(), None);
        for sequence in 1..=3 {
            assert_eq!(hear(&mut latch, "198.51.100.7:62000", sequence, true), Verdict::Unproved);
        }
        assert_eq!(hear(&mut latch, "198.51.100.7:62000", 4, true), Verdict::Accept);
        assert_eq!(hear(&mut latch, NAT, 9, true), Verdict::Stranger);

        latch.renegotiate(Some("192.0.2.99:5000".parse().unwrap()), ip, true);
        assert_eq!(latch.send_to(), None, "a new address in SDP forgets what was learnt");
    }

    #[test]
    fn an_old_style_hold_names_no_address() {
        let mut latch = latch(false);
        latch.renegotiate(Some("0.0.0.0:4000".parse().unwrap()), "192.0.2.1".parse().unwrap(), false);
        assert_eq!(latch.send_to(), None);
        assert_eq!(hear(&mut latch, SDP, 1, true), Verdict::Stranger);
    }
}
