//! Ports for one service, that no other test of this machine takes meanwhile.
//!
//! They come in blocks below the kernel's ephemeral range, so that a phone's socket never sits on the
//! port that a service wants back after a restart. A lock file claims a block across processes. A
//! few ports of a block may be somebody else's: the service passes over those.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

const FIRST: u16 = 11_000;
const BLOCK: u16 = 256;
const BLOCKS: u16 = 80;

/// The ports of a block that are for SIP and HTTP; the rest is for RTP.
const FIXED: u16 = 32;

/// So many ports for RTP are enough for every test.
const RTP_LEAST: usize = 120;

/// One block or some in a row, claimed as long as this lives.
pub struct Ports {
    sip: u16,
    tls: u16,
    http: u16,
    rtp: RangeInclusive<u16>,
    _claims: Vec<File>,
}

impl Ports {
    /// The first blocks in a row that are free and have two ports for each of so many legs.
    ///
    /// # Panics
    /// When all are taken.
    pub fn claim(legs: usize) -> Self {
        let folder = std::env::temp_dir().join("doorline-test-ports");
        std::fs::create_dir_all(&folder).expect("the folder for port claims can be made");
        // Different processes begin at different places, so that they seldom meet.
        let offset = (std::process::id() % u32::from(BLOCKS)) as u16;
        let ports = u16::try_from(2 * legs).expect("a test has few legs") + FIXED;
        let blocks = ports.div_ceil(BLOCK).max(1);
        (0..BLOCKS)
            .map(|n| (n + offset) % BLOCKS)
            .filter(|n| n + blocks <= BLOCKS)
            .find_map(|n| {
                let first = FIRST + n * BLOCK;
                let claims = (0..blocks).map(|more| {
                    let claim = OpenOptions::new()
                        .create(true)
                        .truncate(false)
                        .write(true)
                        .open(folder.join((first + more * BLOCK).to_string()))
                        .expect("a claim file can be opened");
                    claim.try_lock().ok().map(|()| claim)
                });
                Self::of_blocks(first, blocks, claims.collect::<Option<_>>()?)
            })
            .unwrap_or_else(|| panic!("all {BLOCKS} blocks of test ports are in use"))
    }

    /// For SIP, over UDP and TCP.
    pub fn sip(&self) -> u16 {
        self.sip
    }

    /// For SIP over TLS.
    pub fn tls(&self) -> u16 {
        self.tls
    }

    pub fn http(&self) -> u16 {
        self.http
    }

    /// For RTP and RTCP: room for as many legs as were asked for, and for some sixty at least.
    pub fn rtp(&self) -> RangeInclusive<u16> {
        self.rtp.clone()
    }

    fn of_blocks(first: u16, blocks: u16, claims: Vec<File>) -> Option<Self> {
        let mut fixed = (first..first + FIXED).filter(|&port| udp_is_free(port) && tcp_is_free(port));
        let (sip, tls, http) = (fixed.next()?, fixed.next()?, fixed.next()?);
        let rtp = first + FIXED..=first + blocks * BLOCK - 1;
        let free = rtp.clone().filter(|&port| udp_is_free(port)).count();
        (free >= RTP_LEAST).then_some(Self { sip, tls, http, rtp, _claims: claims })
    }
}

fn udp_is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn tcp_is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
