//! Ports for one service, that no other test of this machine takes meanwhile.
//!
//! They come in blocks below the kernel's ephemeral range, so that a phone's socket never sits on the
//! port that a service wants back after a restart. A lock file claims a block across processes.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

const FIRST: u16 = 11_000;
const BLOCK: u16 = 256;
const BLOCKS: u16 = 80;

/// One block, claimed as long as this lives.
pub struct Ports {
    first: u16,
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
        for n in 0..BLOCKS {
            let first = FIRST + (n + offset) % BLOCKS * BLOCK;
            let claim = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join(first.to_string()))
                .expect("a claim file can be opened");
            if claim.try_lock().is_ok() && is_free(first) {
                return Self { first, _claim: claim };
            }
        }
        panic!("all {BLOCKS} blocks of test ports are in use");
    }

    /// For SIP, over UDP and TCP.
    pub fn sip(&self) -> u16 {
        self.first
    }

    pub fn http(&self) -> u16 {
        self.first + 2
    }

    /// For RTP and RTCP: room for a hundred legs.
    pub fn rtp(&self) -> RangeInclusive<u16> {
        self.first + 16..=self.first + BLOCK - 1
    }
}

/// Whether every port of the block can be bound, TCP where we need TCP.
fn is_free(first: u16) -> bool {
    let here = Ipv4Addr::LOCALHOST;
    (first..first + BLOCK).all(|port| UdpSocket::bind((here, port)).is_ok())
        && [first, first + 2].into_iter().all(|port| TcpListener::bind((here, port)).is_ok())
}
