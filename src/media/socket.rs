//! Sockets inside the tick: never blocking, never allocating.
//!
//! All datagrams that wait at a socket are taken with one system call (`recvmmsg`); the sum of
//! both directions is what a leg costs most. Each comes with the time at which it arrived
//! (`SO_TIMESTAMPNS`): by the time it is taken it has waited, for a tick or for half a second.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::rtp::DATAGRAM_MAX;

/// Datagrams taken with one call.
const BATCH: usize = 8;

/// A place for one batch of datagrams and their senders; one per thread.
pub struct Inbox {
    buffers: Box<[[u8; DATAGRAM_MAX + 1]; BATCH]>,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    stamps: Box<[Stamp; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
}

/// Room for what the kernel says beside a datagram: a control message with the time.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Stamp([u8; Stamp::LENGTH]);

impl Stamp {
    // SAFETY: reckons with numbers alone.
    const LENGTH: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::timespec>() as libc::c_uint) } as usize;
}

// SAFETY: the raw pointers inside point only into the inbox's own boxes, which move with it.
unsafe impl Send for Inbox {}

impl Default for Inbox {
    fn default() -> Self {
        // SAFETY: all-zero is a valid value of these plain C structs.
        let (names, vectors, headers) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut inbox = Self {
            buffers: Box::new([[0; DATAGRAM_MAX + 1]; BATCH]),
            names: Box::new(names),
            stamps: Box::new([Stamp([0; Stamp::LENGTH]); BATCH]),
            vectors: Box::new(vectors),
            headers: Box::new(headers),
        };
        for n in 0..BATCH {
            inbox.vectors[n].iov_base = inbox.buffers[n].as_mut_ptr().cast();
            // One byte more than we look at, so that longer ones are seen to be too long.
            inbox.vectors[n].iov_len = DATAGRAM_MAX + 1;
            inbox.headers[n].msg_hdr.msg_iov = &raw mut inbox.vectors[n];
            inbox.headers[n].msg_hdr.msg_iovlen = 1;
            inbox.headers[n].msg_hdr.msg_control = inbox.stamps[n].0.as_mut_ptr().cast();
        }
        inbox
    }
}

impl Inbox {
    /// Takes all that waits at `socket`, at most 32 datagrams: what a flooder sends above that
    /// stays in the kernel and is dropped there. `from`: the only sender, if the socket is
    /// connected. Each is handed over with its sender and the time since 1970 at which it arrived,
    /// by a clock that can be set. Returns how many came.
    pub fn drain(
        &mut self,
        socket: &UdpSocket,
        from: Option<SocketAddr>,
        mut each: impl FnMut(&[u8], SocketAddr, Option<Duration>),
    ) -> usize {
        let mut total = 0;
        for _ in 0..4 {
            for n in 0..BATCH {
                let header = &mut self.headers[n].msg_hdr;
                header.msg_controllen = Stamp::LENGTH as _;
                if from.is_some() {
                    header.msg_name = std::ptr::null_mut();
                    header.msg_namelen = 0;
                } else {
                    header.msg_name = (&raw mut self.names[n]).cast();
                    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                }
            }
            // SAFETY: headers, vectors, names and buffers live in boxes of this inbox and have the
            // lengths that are written in them.
            let got = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            // Nothing there, or an error that a peer's ICMP left behind: the next tick tries again.
            let Ok(got) = usize::try_from(got) else { break };
            for n in 0..got {
                let length = (self.headers[n].msg_len as usize).min(DATAGRAM_MAX + 1);
                let sender = from.or_else(|| address(&self.names[n]));
                if let Some(sender) = sender {
                    each(&self.buffers[n][..length], sender, stamp(&self.headers[n].msg_hdr));
                }
            }
            total += got;
            if got < BATCH {
                break;
            }
        }
        total
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let name: *const libc::sockaddr_storage = name;
    // SAFETY: the family says which struct the kernel has written; the storage is large enough
    // and aligned for both.
    unsafe {
        match libc::c_int::from((*name).ss_family) {
            libc::AF_INET => {
                let v4 = &*name.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*name.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// When this datagram arrived.
fn stamp(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the header's control buffer is alive, and as long as the kernel says; a message that is
    // whole by its own length holds what its type says.
    let time = unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null()
            || (*message).cmsg_level != libc::SOL_SOCKET
            || (*message).cmsg_type != libc::SCM_TIMESTAMPNS
        {
            return None;
        }
        libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned()
    };
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Lets a connected socket hear everybody again (`connect(2)`: `AF_UNSPEC` dissolves). It keeps
/// its port only if it was bound to a port by number.
pub fn disconnect(socket: &UdpSocket) -> io::Result<()> {
    // SAFETY: an all-zero sockaddr is one of family AF_UNSPEC.
    let result = unsafe {
        let nowhere: libc::sockaddr = MaybeUninit::zeroed().assume_init();
        libc::connect(socket.as_raw_fd(), &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket on `address` as the tick needs it.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let on: libc::c_int = 1;
    // SAFETY: the option is one number, which outlives the call. A kernel without it stamps nothing, and what is
    // read counts as arrived at that moment.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::wall_now;

    #[test]
    fn datagrams_come_with_their_senders_and_a_connected_socket_hears_one_only() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let here = bind(free).unwrap();
        let [a, b] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut inbox = Inbox::default();
        let mut heard = |from: Option<SocketAddr>| {
            let mut heard = Vec::new();
            inbox.drain(&here, from, |bytes, sender, _| heard.push((bytes.to_vec(), sender)));
            heard
        };
        let say = |socket: &UdpSocket, text: &[u8]| {
            socket.send_to(text, here.local_addr().unwrap()).unwrap();
        };
        let (from_a, from_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        assert_eq!(heard(None), []);
        say(&a, b"1");
        say(&b, b"2");
        assert_eq!(heard(None), [(b"1".to_vec(), from_a), (b"2".to_vec(), from_b)]);
        here.connect(from_a).unwrap();
        say(&a, b"3");
        say(&b, b"4");
        assert_eq!(heard(Some(from_a)), [(b"3".to_vec(), from_a)]);
        disconnect(&here).unwrap();
        say(&b, b"5");
        assert_eq!(heard(None), [(b"5".to_vec(), from_b)]);
        for _ in 0..40 {
            say(&a, &[7; 2_000]);
        }
        assert_eq!(heard(None).len(), 32);
        let rest = heard(None);
        assert_eq!((rest.len(), rest[0].0.len()), (8, DATAGRAM_MAX + 1));
    }

    /// The kernel begins to stamp a moment after the first socket has asked for it, and may be late on a busy machine:
    /// one of some tries must be right.
    #[test]
    fn a_datagram_that_waits_is_known_to_have_waited() {
        let here = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wait = Duration::from_millis(60);
        let mut seen = Vec::new();
        for _ in 0..20 {
            let sent = wall_now();
            there.send_to(b"1", here.local_addr().unwrap()).unwrap();
            let arrived = wall_now();
            std::thread::sleep(wait);
            there.send_to(b"2", here.local_addr().unwrap()).unwrap();
            let mut stamps = Vec::new();
            Inbox::default().drain(&here, None, |bytes, _, stamp| stamps.push((bytes[0], stamp.unwrap())));
            let [(b'1', first), (b'2', second)] = stamps[..] else { panic!("{stamps:?}") };
            if (sent..=arrived).contains(&first) && second - first >= wait {
                return;
            }
            seen.push((sent, first, arrived, second));
        }
        panic!("no stamp was right: {seen:?}");
    }
}
