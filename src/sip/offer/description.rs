//! A session description from the wire: bounded and cleaned, then read by sdp-types.
//!
//! Of the lines, only `v`, `c`, `m` and `a` say something to us. The others are left out before
//! sdp-types sees them, because real peers put into them what it refuses: `o=` versions beyond 64
//! bits, Latin-1 in `s=`, negative times.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sdp_types::{Connection, Media, Rtcp, RtpMap, Session, TransportProto};

use super::codec::{Mapping, statically};
use super::crypto::{self, Crypto};
use super::{Direction, Unusable};

/// `m=` lines of a description.
const MEDIA: usize = 4;
/// Bytes of a description; a message is not larger.
const BYTES: usize = 64 * 1024;
/// Lines of a description. WebRTC gateways send some 150.
const LINES: usize = 1_024;
/// Characters of the parameters of one payload type.
const PARAMETERS: usize = 512;
/// Payload types of a stream that are looked at.
const FORMATS: usize = 64;

/// What a peer describes: its offer, or its answer to ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    pub(super) streams: Vec<Stream>,
}

/// One `m=` line and what belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stream {
    /// `audio`, `video`, `image` …
    pub kind: String,
    /// 0: refused or switched off.
    pub port: u16,
    /// As written, for repeating it in an answer.
    pub proto: String,
    /// As written.
    pub formats: String,
    pub place: Place,
    /// As stated, or what is left of it at an address that means hold.
    pub direction: Direction,
    pub mappings: Vec<Mapping>,
    /// Format parameters (`a=fmtp`), by payload type.
    pub parameters: Vec<(u8, String)>,
    pub ptime: Option<Duration>,
    pub rtcp_port: Option<u16>,
    pub rtcp_ip: Option<IpAddr>,
    pub rtcp_mux: bool,
    /// Keys that are offered, the peer's favourite first. Only such as we could take.
    pub cryptos: Vec<Crypto>,
    /// Why the first of the others is not for us.
    pub crypto_fault: Option<&'static str>,
}

/// Where a stream is received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    At(IpAddr),
    /// 0.0.0.0 or `::`: on hold, as RFC 2543 did it (RFC 3264 §8.4).
    Hold,
    /// None given, a host name (which nobody here looks up), multicast or broadcast.
    Nowhere,
}

impl Offer {
    /// # Errors
    /// [`Unusable::NotSdp`] or [`Unusable::TooManyMedia`]. Whether there is something to talk about
    /// is for [`answer`](super::answer) to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let session =
            Session::parse(clean(bytes)?.as_bytes()).map_err(|_| Unusable::NotSdp("malformed line"))?;
        let direction = direction(&session.attributes).unwrap_or_default();
        let place = session.connection.as_ref().map_or(Place::Nowhere, place);
        let streams = session.medias.into_iter().map(|media| Stream::new(media, direction, place)).collect();
        Ok(Self { streams })
    }

    /// Audio that a peer could receive or send: what a call needs at least.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.streams.iter().any(Stream::is_live_audio)
    }
}

/// One `key=value` line each, no others than we read, at most [`MEDIA`] streams.
fn clean(bytes: &[u8]) -> Result<String, Unusable> {
    if bytes.len() > BYTES {
        return Err(Unusable::NotSdp("more than 64 KiB"));
    }
    let mut text = String::with_capacity(bytes.len());
    let (mut media, mut connections) = (0_usize, 0_usize);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if number == LINES {
            return Err(Unusable::NotSdp("more than 1024 lines"));
        }
        let line = line.trim_ascii();
        let [key, b'=', value @ ..] = line else {
            if line.is_empty() {
                continue;
            }
            return Err(Unusable::NotSdp("line without a letter and \"=\""));
        };
        if text.is_empty() && *key != b'v' {
            return Err(Unusable::NotSdp("no \"v=\" first"));
        }
        match key {
            b'm' => (media, connections) = (media + 1, 0),
            b'c' => connections += 1,
            b'v' | b'a' => {}
            _ => continue,
        }
        // A second c= of one stream is for layered multicast (RFC 8866 §5.7); the first one counts.
        if connections > 1 && *key == b'c' {
            continue;
        }
        if value.contains(&b'\0') || value.contains(&b'\r') {
            return Err(Unusable::NotSdp("control character"));
        }
        text.push(char::from(*key));
        text.push('=');
        let value: String = match std::str::from_utf8(value) {
            Ok(value) => value.to_owned(),
            Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
        };
        if *key == b'a' {
            text.push_str(&value);
        } else {
            // One space between fields, whatever the peer wrote.
            let mut fields = value.split_ascii_whitespace();
            text.push_str(fields.next().unwrap_or_default());
            fields.for_each(|field| text.extend([" ", field]));
        }
        text.push_str("\r\n");
    }
    match media {
        _ if text.is_empty() => Err(Unusable::NotSdp("empty")),
        0..=MEDIA => Ok(text),
        _ => Err(Unusable::TooManyMedia),
    }
}

impl Stream {
    fn new(media: Media, session_direction: Direction, session_place: Place) -> Self {
        let place = media.connections.first().map_or(session_place, place);
        let stated = direction(&media.attributes).unwrap_or(session_direction);
        let direction = match place {
            Place::Hold => Direction::new(stated.sends(), false),
            Place::At(_) | Place::Nowhere => stated,
        };
        let maps: Vec<RtpMap> = media.attributes_typed::<RtpMap>().flatten().take(FORMATS).collect();
        let mapping = |payload_type: u8| {
            maps.iter().find(|map| map.payload_type == payload_type).map_or_else(
                || statically(payload_type),
                |map| {
                    Some(Mapping {
                        payload_type,
                        name: map.encoding_name.trim().to_owned(),
                        clock: map.clock_rate,
                        channels: map
                            .encoding_params
                            .as_deref()
                            .and_then(|n| n.trim().parse().ok())
                            .unwrap_or(1),
                    })
                },
            )
        };
        let payload_types = media.fmt.split(' ').take(FORMATS).filter_map(|pt| pt.parse::<u8>().ok());
        let mappings = payload_types.filter(|pt| *pt < 128).filter_map(mapping).collect();
        let parameters = media.attributes.iter().filter(|attribute| attribute.attribute == "fmtp");
        let parameters = parameters.take(FORMATS).filter_map(|attribute| {
            let (payload_type, parameters) = attribute.value.as_deref()?.trim().split_once(' ')?;
            Some((payload_type.parse().ok()?, parameters.chars().take(PARAMETERS).collect()))
        });
        let rtcp = media.get_first_attribute_typed::<Rtcp>().and_then(Result::ok);
        let crypto = media.attributes.iter().filter(|attribute| attribute.attribute == "crypto");
        let (mut cryptos, mut crypto_fault) = (Vec::new(), None);
        for line in crypto.take(crypto::LINES) {
            match Crypto::parse(line.value.as_deref().unwrap_or_default()) {
                Ok(crypto) => cryptos.push(crypto),
                Err(why) => crypto_fault = crypto_fault.or(Some(why)),
            }
        }
        Self {
            cryptos,
            crypto_fault,
            place,
            direction,
            mappings,
            parameters: parameters.collect(),
            ptime: ptime(&media),
            rtcp_port: rtcp.as_ref().map(|rtcp| rtcp.port).filter(|port| *port != 0),
            rtcp_ip: rtcp.and_then(|rtcp| rtcp.connection_address?.parse().ok()),
            rtcp_mux: media.has_attribute("rtcp-mux"),
            kind: media.media,
            port: media.port,
            proto: media.proto,
            formats: media.fmt,
        }
    }

    pub(super) fn is_audio(&self) -> bool {
        self.kind.eq_ignore_ascii_case("audio")
    }

    pub(super) fn is_live_audio(&self) -> bool {
        self.is_audio() && self.port != 0
    }

    /// Plain RTP, with feedback or without.
    pub(super) fn is_plain_rtp(&self) -> bool {
        matches!(TransportProto::from(&*self.proto), TransportProto::RtpAvp | TransportProto::RtpAvpf)
    }

    /// SRTP whose keys stand in the description.
    pub(super) fn is_secure_rtp(&self) -> bool {
        matches!(TransportProto::from(&*self.proto), TransportProto::RtpSavp | TransportProto::RtpSavpf)
    }

    /// SRTP whose keys come by DTLS, or another protocol that we do not speak.
    pub(super) fn is_secure_otherwise(&self) -> bool {
        TransportProto::from(&*self.proto).is_secure() && !self.is_secure_rtp()
    }

    pub(super) fn rtp(&self) -> Option<SocketAddr> {
        match self.place {
            Place::At(ip) => Some(SocketAddr::new(ip, self.port)),
            Place::Hold | Place::Nowhere => None,
        }
    }

    /// Where reports go when they do not share the RTP port.
    pub(super) fn rtcp(&self) -> Option<SocketAddr> {
        let rtp = self.rtp()?;
        let port = self.rtcp_port.or_else(|| rtp.port().checked_add(1))?;
        let ip = self.rtcp_ip.map_or(rtp.ip(), |ip| ip.to_canonical());
        Some(SocketAddr::new(ip, port))
    }
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    let named = |name: &str| Direction::ALL.into_iter().find(|d| name.eq_ignore_ascii_case(d.name()));
    attributes.iter().find_map(|attribute| named(&attribute.attribute))
}

fn place(connection: &Connection) -> Place {
    let Ok(ip) = connection.try_address().map(|address| address.ip.to_canonical()) else {
        return Place::Nowhere;
    };
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() {
        Place::Hold
    } else if ip.is_multicast() || is_broadcast {
        Place::Nowhere
    } else {
        Place::At(ip)
    }
}

/// `a=ptime`, but no more than `a=maxptime`; only what a telephone could mean.
fn ptime(media: &Media) -> Option<Duration> {
    let milliseconds = |name: &str| {
        let text = media.get_first_attribute_value(name)??;
        text.trim().parse::<u64>().ok().filter(|ms| (1..=200).contains(ms))
    };
    let wish = milliseconds("ptime");
    let most = milliseconds("maxptime");
    let either = match (wish, most) {
        (Some(wish), Some(most)) => Some(wish.min(most)),
        (Some(wish), None) => Some(wish),
        (None, Some(most)) => Some(most.min(20)),
        (None, None) => None,
    };
    either.map(Duration::from_millis)
}
