//! Thousands of callers on one core: a few sockets, packets in batches (`sendmmsg`, `recvmmsg`).

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use doorline::audio::g711::Law;
use doorline::audio::goertzel::{amplitude, tone};
use doorline::audio::{FRAME, level};
use doorline::rtp::packet::Header;

/// Sockets that share the callers; each has a receive buffer of its own.
const SOCKETS: usize = 32;
const BATCH: usize = 64;
const PACKET: usize = 12 + FRAME;

pub struct Callers {
    sockets: Vec<UdpSocket>,
    core: usize,
}

/// One window.
pub struct Talk {
    pub heard: Vec<Heard>,
    /// How long it really took.
    pub took: Duration,
    /// Processor time that the service's thread used in it.
    pub busy: Duration,
}

/// What one leg got in the window.
#[derive(Clone)]
pub struct Heard {
    pub packets: u32,
    last: [u8; FRAME],
}

/// Tones of whole periods in 20 ms: each packet of a caller has the same payload, and one packet is
/// enough to tell them apart.
fn frequency(leg: usize) -> f64 {
    [500.0, 750.0, 1_150.0][leg % 3]
}

impl Heard {
    fn samples(&self) -> [i16; FRAME] {
        let mut samples = [0; FRAME];
        Law::Mu.decode(&self.last, &mut samples);
        samples
    }

    pub fn hears(&self, leg: usize) -> bool {
        amplitude(&self.samples(), frequency(leg)) > 1_000.0
    }

    pub fn loudest(&self) -> u16 {
        level::peak(&self.samples())
    }
}

impl Callers {
    pub fn new(core: usize) -> Self {
        let sockets = (0..SOCKETS)
            .map(|_| {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
                socket.set_recv_buffer_size(4 << 20).unwrap();
                socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
                UdpSocket::from(socket)
            })
            .collect();
        Self { sockets, core }
    }

    pub fn address_for(&self, leg: usize) -> SocketAddr {
        self.sockets[leg % SOCKETS].local_addr().unwrap()
    }

    /// Every leg that `talks` says its tone and the rest say silence, for a while and then for the
    /// window. The callers' own lateness counts against the trial: what they could not send in
    /// time was not carried.
    pub fn talk(
        &self,
        legs: &[SocketAddr],
        talks: impl Fn(usize) -> bool,
        window: Duration,
        service: &str,
    ) -> Talk {
        let payloads: Vec<[u8; FRAME]> = (0..legs.len())
            .map(|leg| {
                let mut payload = [Law::Mu.silence(); FRAME];
                if talks(leg) {
                    let sound: Vec<i16> = tone(frequency(leg), 6_000.0, 0, FRAME).collect();
                    Law::Mu.encode(&sound, &mut payload);
                }
                payload
            })
            .collect();
        let used = || super::processor_time().get(service).copied().unwrap_or_default();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                super::pin(self.core);
                super::before_others();
                let mut load = Load::new(self, legs, &payloads);
                load.run(Duration::from_millis(1_500));
                load.heard.fill(Heard { packets: 0, last: [0xff; FRAME] });
                let (before, begun) = (used(), Instant::now());
                load.run(window);
                Talk { heard: load.heard, took: begun.elapsed(), busy: used() - before }
            });
            thread.join().unwrap()
        })
    }
}

struct Load<'a> {
    callers: &'a Callers,
    payloads: &'a [[u8; FRAME]],
    names: Vec<libc::sockaddr_in>,
    /// Which leg has which port at the service.
    leg_of: Vec<u32>,
    heard: Vec<Heard>,
    tick: u32,
    next: Instant,
}

/// Parts of a tick in which packets leave.
const SLICES: usize = 20;

impl<'a> Load<'a> {
    fn new(callers: &'a Callers, legs: &[SocketAddr], payloads: &'a [[u8; FRAME]]) -> Self {
        let mut leg_of = vec![u32::MAX; 65_536];
        let names = legs
            .iter()
            .enumerate()
            .map(|(leg, address)| {
                leg_of[usize::from(address.port())] = leg as u32;
                let SocketAddr::V4(v4) = address else { panic!("{address} is not IPv4") };
                libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                }
            })
            .collect();
        let heard = vec![Heard { packets: 0, last: [0xff; FRAME] }; legs.len()];
        Self { callers, payloads, names, leg_of, heard, tick: 0, next: Instant::now() }
    }

    fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 20 {
            for slice in 0..SLICES {
                self.send(slice);
                self.receive();
                self.next += Duration::from_millis(20) / SLICES as u32;
                std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
            }
            self.tick += 1;
        }
    }

    /// The legs of a slice, by socket.
    fn send(&mut self, slice: usize) {
        let mut packets = [[0_u8; PACKET]; BATCH];
        for socket in 0..SOCKETS {
            let legs = (socket..self.names.len()).step_by(SOCKETS);
            let mut legs = legs.filter(|leg| leg / SOCKETS % SLICES == slice).peekable();
            while legs.peek().is_some() {
                // SAFETY: zeroes are valid for these C structs; every pointer is to something that
                // outlives the call.
                unsafe {
                    let mut vectors: [libc::iovec; BATCH] = std::mem::zeroed();
                    let mut headers: [libc::mmsghdr; BATCH] = std::mem::zeroed();
                    let mut count = 0;
                    for leg in legs.by_ref().take(BATCH) {
                        let packet = &mut packets[count];
                        packet[12..].copy_from_slice(&self.payloads[leg]);
                        Header {
                            payload_type: 0,
                            marker: false,
                            sequence: self.tick as u16,
                            timestamp: self.tick * FRAME as u32,
                            ssrc: leg as u32,
                        }
                        .write(packet);
                        vectors[count].iov_base = packet.as_mut_ptr().cast();
                        vectors[count].iov_len = PACKET;
                        headers[count].msg_hdr.msg_iov = &raw mut vectors[count];
                        headers[count].msg_hdr.msg_iovlen = 1;
                        headers[count].msg_hdr.msg_name = (&raw mut self.names[leg]).cast();
                        headers[count].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                        count += 1;
                    }
                    let fd = self.callers.sockets[socket].as_raw_fd();
                    libc::sendmmsg(fd, headers.as_mut_ptr(), count as u32, 0);
                }
            }
        }
    }

    fn receive(&mut self) {
        let mut packets = [[0_u8; PACKET + 8]; BATCH];
        for socket in &self.callers.sockets {
            loop {
                // SAFETY: as above.
                let got = unsafe {
                    let mut names: [libc::sockaddr_in; BATCH] = std::mem::zeroed();
                    let mut vectors: [libc::iovec; BATCH] = std::mem::zeroed();
                    let mut headers: [libc::mmsghdr; BATCH] = std::mem::zeroed();
                    for n in 0..BATCH {
                        vectors[n].iov_base = packets[n].as_mut_ptr().cast();
                        vectors[n].iov_len = packets[n].len();
                        headers[n].msg_hdr.msg_iov = &raw mut vectors[n];
                        headers[n].msg_hdr.msg_iovlen = 1;
                        headers[n].msg_hdr.msg_name = (&raw mut names[n]).cast();
                        headers[n].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                    }
                    let got = libc::recvmmsg(
                        socket.as_raw_fd(),
                        headers.as_mut_ptr(),
                        BATCH as u32,
                        libc::MSG_DONTWAIT as _,
                        std::ptr::null_mut(),
                    );
                    let got = usize::try_from(got).unwrap_or(0);
                    for n in 0..got {
                        let leg = self.leg_of[usize::from(u16::from_be(names[n].sin_port))];
                        if let Some(heard) = self.heard.get_mut(leg as usize)
                            && headers[n].msg_len as usize == PACKET
                        {
                            heard.packets += 1;
                            heard.last.copy_from_slice(&packets[n][12..PACKET]);
                        }
                    }
                    got
                };
                if got < BATCH {
                    break;
                }
            }
        }
    }
}
