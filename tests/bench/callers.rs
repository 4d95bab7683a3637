//! Thousands of callers on one core: a few sockets, packets in batches (`sendmmsg`, `recvmmsg`).

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use doorline::audio::g711::Law;
use doorline::audio::goertzel::{amplitude, tone, tone_at};
use doorline::audio::{Codec, Encoder, FRAME, Rate, level, opus};
use doorline::rtp::Srtp;
use doorline::rtp::packet::Header;
use doorline::rtp::srtp::TRAILER_MAX;

/// Sockets that share the callers; each has a receive buffer of its own.
const SOCKETS: usize = 32;
const BATCH: usize = 64;
const PACKET: usize = 12 + FRAME;
const PACKET_MAX: usize = PACKET + TRAILER_MAX;
/// Ticks between two sounds of a probe.
const PROBE_EVERY: u32 = 26;

/// Until sound flows.
pub const SETTLE: Duration = Duration::from_millis(1_500);

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
    /// From the packet of a probe to the first packet that has it, all of them, the shortest first.
    pub delays: Vec<Duration>,
    /// How much too late the callers themselves began each of their milliseconds, the least late first.
    pub late: Vec<Duration>,
}

/// What one leg says, over and over.
pub struct Says {
    codec: Codec,
    payload: Vec<u8>,
    srtp: Option<Box<Srtp>>,
}

impl Says {
    /// Its tone, or silence. The payload is one packet of it after a while, so that codecs that remember
    /// have come to rest.
    pub fn new(codec: Codec, rate: Rate, leg: usize, talks: bool, srtp: Option<Box<Srtp>>) -> Self {
        let loudness = if talks { 6_000.0 } else { 0.0 };
        let (mut encoder, mut payload) = (Encoder::default(), [0; FRAME]);
        encoder.begin_at(codec, rate);
        for tick in 0..20 {
            let sound: Vec<i16> =
                tone_at(rate.hz(), frequency(leg), loudness, tick * rate.frame(), rate.frame()).collect();
            encoder.encode(&sound, &mut payload);
        }
        let payload = if codec == Codec::Opus { opus::packet(&payload).to_vec() } else { payload.to_vec() };
        Self { codec, payload, srtp }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }
}

/// Two callers alone in a room: one is silent but for a packet now and then, and how long it takes until
/// the other gets it is measured.
#[derive(Clone, Copy)]
pub struct Probe {
    pub from: usize,
    pub to: usize,
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

    /// Every leg says what it says, until all is settled and then for the window. The callers' own lateness
    /// counts against the trial: what they could not send in time was not carried.
    pub fn talk(
        &self,
        legs: &[SocketAddr],
        says: &mut [Says],
        probes: &[Probe],
        settle: Duration,
        window: Duration,
        service: &str,
    ) -> Talk {
        let used = || super::processor_time().get(service).copied().unwrap_or_default();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                super::pin(self.core);
                super::before_others();
                let mut load = Load::new(self, legs, says, probes);
                load.run(settle);
                load.heard.fill(Heard { packets: 0, last: [0xff; FRAME] });
                load.delays.clear();
                load.late.clear();
                let (before, begun) = (used(), Instant::now());
                load.run(window);
                let (took, busy) = (begun.elapsed(), used() - before);
                load.delays.sort_unstable();
                load.late.sort_unstable();
                Talk { heard: load.heard, took, busy, delays: load.delays, late: load.late }
            });
            thread.join().unwrap()
        })
    }
}

struct Load<'a> {
    callers: &'a Callers,
    says: &'a mut [Says],
    probes: &'a [Probe],
    /// When each probe's sound left, until it has come.
    left: Vec<Option<Instant>>,
    delays: Vec<Duration>,
    late: Vec<Duration>,
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
    fn new(callers: &'a Callers, legs: &[SocketAddr], says: &'a mut [Says], probes: &'a [Probe]) -> Self {
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
        let (left, delays) = (vec![None; probes.len()], Vec::with_capacity(100_000));
        let (late, next) = (Vec::with_capacity(100_000), Instant::now());
        Self { callers, says, probes, left, delays, late, names, leg_of, heard, tick: 0, next }
    }

    fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 20 {
            for slice in 0..SLICES {
                self.late.push(self.next.elapsed());
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
        let mut packets = [[0_u8; PACKET_MAX]; BATCH];
        let mut loud = [0; FRAME];
        Law::Mu.encode(&tone(500.0, 12_000.0, 0, FRAME).collect::<Vec<i16>>(), &mut loud);
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
                        let Says { codec, payload, srtp } = &mut self.says[leg];
                        let mut length = 12 + payload.len();
                        packet[12..length].copy_from_slice(payload);
                        if self.tick.wrapping_add(leg as u32).is_multiple_of(PROBE_EVERY)
                            && let Some(probe) = self.probes.iter().position(|probe| probe.from == leg)
                        {
                            packet[12..length].copy_from_slice(&loud);
                            self.left[probe] = Some(Instant::now());
                        }
                        Header {
                            payload_type: codec.payload_type(),
                            marker: false,
                            sequence: self.tick as u16,
                            timestamp: self.tick * FRAME as u32 * codec.clock_ratio(),
                            ssrc: leg as u32,
                        }
                        .write(packet);
                        if let Some(srtp) = srtp {
                            length = srtp.sender.protect(packet, length);
                        }
                        vectors[count].iov_base = packet.as_mut_ptr().cast();
                        vectors[count].iov_len = length;
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
        let mut packets = [[0_u8; PACKET_MAX + 8]; BATCH];
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
                        let Some(heard) = self.heard.get_mut(leg as usize) else { continue };
                        heard.packets += u32::from(headers[n].msg_len > 12);
                        if headers[n].msg_len as usize != PACKET {
                            continue;
                        }
                        heard.last.copy_from_slice(&packets[n][12..PACKET]);
                        if let Some(probe) = self.probes.iter().position(|probe| probe.to == leg as usize)
                            && self.left[probe].is_some()
                            && heard.loudest() > 3_000
                            && let Some(since) = self.left[probe].take()
                        {
                            self.delays.push(since.elapsed());
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
