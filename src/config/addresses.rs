//! Addresses that peers are told, and whether they can send to them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::fault::Faults;
use super::finish::clash;
use crate::sip::{Outside, Transport};
use crate::{media, signalling};

/// Of a key that has an address of either family, and one that has IPv6 beside it; empty texts say nothing.
pub fn outside(any: (&str, &str), v6: (&str, &str), faults: &mut Faults) -> Outside {
    let address_of = |text: &str| (!text.is_empty()).then(|| address(text));
    let first = address_of(any.1).and_then(|address| faults.keep(any.0, address));
    let second = (!v6.1.is_empty()).then(|| self::v6(v6.1)).and_then(|address| faults.keep(v6.0, address));
    if let (Some(IpAddr::V6(first)), Some(second)) = (first, second) {
        faults.push(v6.0, format!("{second} beside {first} in {}, expected an IPv4 address there", any.0));
    }
    if let Some(unspecified) = second.filter(|ip| ip.is_unspecified()) {
        faults.push(v6.0, format!("{unspecified}, expected an address that peers can send to"));
    }
    first.into_iter().chain(second.map(IpAddr::from)).collect()
}

fn address(text: &str) -> Result<IpAddr, String> {
    let shown: String = text.chars().take(60).collect();
    let address: IpAddr =
        text.parse().map_err(|_| format!("{shown:?}, expected an IP address such as \"192.0.2.10\""))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address}, expected an address that peers can send to"));
    }
    Ok(address)
}

pub fn v6(text: &str) -> Result<Ipv6Addr, String> {
    let shown: String = text.chars().take(60).collect();
    let wrong = || format!("{shown:?}, expected an IPv6 address such as \"2001:db8::10\"");
    let address: Ipv6Addr = text.parse().map_err(|_| wrong())?;
    if address.is_multicast() || address.to_ipv4_mapped().is_some() { Err(wrong()) } else { Ok(address) }
}

/// The key that has our address as peers of this family see it.
const fn key(inside: IpAddr) -> &'static str {
    match inside {
        IpAddr::V4(_) => "sip.external_address",
        IpAddr::V6(_) => "sip.external_address_v6",
    }
}

/// Whether peers can send to what we will tell them.
pub fn reachable(signalling: &signalling::Settings, media: &media::Settings, faults: &mut Faults) {
    let external = |inside: IpAddr| signalling.external_address.of(inside);
    for listen in &signalling.listen {
        let ip = listen.address.ip();
        match external(ip) {
            None if ip.is_unspecified() => faults.push(
                key(ip),
                format!("empty, expected our address as peers see it, because sip.listen has {ip}"),
            ),
            Some(told) if !ip.is_loopback() && told.is_loopback() => faults.push(
                key(ip),
                format!("{told} cannot be reached by who calls {ip}, expected our address as peers see it"),
            ),
            _ => {}
        }
        let port = listen.address.port();
        let clashes = |address| clash(listen.address, SocketAddr::new(address, port));
        if listen.transport == Transport::Udp && media.ports.contains(&port) && media.addresses().any(clashes)
        {
            faults.push("rtp.ports", format!("hold port {port}, which sip.listen takes, expected others"));
        }
    }
    let public = signalling.listen.iter().find(|listen| !listen.address.ip().is_loopback());
    for (place, address) in ["rtp.address", "rtp.address_v6"].into_iter().zip(media.addresses()) {
        if address.is_unspecified() && external(address).is_none() {
            faults.push(
                key(address),
                format!("empty, expected our address as peers see it, because {place} is {address}"),
            );
        }
        if let (Some(public), true) = (public, address.is_loopback()) {
            faults.push(
                place,
                format!(
                    "{address} cannot be reached by who calls {}, expected an address that they can send sound to",
                    public.address.ip()
                ),
            );
        }
    }
}
