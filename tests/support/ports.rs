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

/// One block, claimed as long as this lives.
pub struct Ports {
    sip: u16,
    tls: u16,
    http: u16,
    rtp: RangeInclusive<u16>,
    _claim: File,
}

impl Ports {
    /// The first block that is free.
    ///
    /// # Panics
    /// When all are taken.
    pub fn claim() -> Self {
        let folder = std::env::temp_dir().join("doorline-test-ports");
        std::fs::create_dir_all(&folder).expect("the folder for port claims can be made");
        // Different processes begin at different places, so that they seldom meet.
        let offset = (std::process::id() % u32::from(BLOCKS)) as u16;
        (0..BLOCKS)
            .find_map(|n| {
                let first = FIRST + (n + offset) % BLOCKS * BLOCK;
                let claim = OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(folder.join(first.to_string()))
                    .expect("a claim file can be opened");
                claim.try_lock().ok()?;
                Self::of_block(first, claim)
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

    /// For RTP and RTCP: room for some sixty legs at least.
    pub fn rtp(&self) -> RangeInclusive<u16> {
        self.rtp.clone()
    }

    fn of_block(first: u16, claim: File) -> Option<Self> {
        let mut fixed = (first..first + FIXED).filter(|&port| udp_is_free(port) && tcp_is_free(port));
        let (sip, tls, http) = (fixed.next()?, fixed.next()?, fixed.next()?);
        let rtp = first + FIXED..=first + BLOCK - 1;
        let free = rtp.clone().filter(|&port| udp_is_free(port)).count();
        (free >= RTP_LEAST).then_some(Self { sip, tls, http, rtp, _claim: claim })
    }
}

fn udp_is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn tcp_is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
