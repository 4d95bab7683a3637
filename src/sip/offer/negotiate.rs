//! Offers of ours, answers to theirs, and what comes of either.

use std::time::Duration;

use sdp_types::{Connection, Media, Origin, RtpMap, Session};

use super::codec::{EVENT_PAYLOAD_TYPE, EVENTS, Mapping, NOISE, NOISE_PAYLOAD_TYPE, encoding};
use super::crypto::Crypto;
use super::description::{Offer, Place, Stream};
use super::{CodecName, Direction, Local, Negotiated, Unusable};
use crate::types::{MediaKeys, OpusWishes};

const PTIME: Duration = Duration::from_millis(20);
/// What we take of Opus, and what we send (RFC 7587 §6.1): one channel, heard at this rate, with repairs for
/// lost packets; a peer may send nothing while nobody speaks.
fn opus(rate: u32) -> String {
    let bitrate = match rate {
        ..16_000 => 24_000,
        16_000..48_000 => 32_000,
        48_000.. => 48_000,
    };
    format!(
        "useinbandfec=1;usedtx=1;stereo=0;sprop-stereo=0;maxplaybackrate={rate};sprop-maxcapturerate={rate};\
         maxaveragebitrate={bitrate}"
    )
}

/// Answers an offer. `previous` is the last description we sent in this session: one that says the
/// same again keeps its `o=` version, one that does not has the next (RFC 3264 §8).
///
/// # Errors
/// Why no session can come of it; [`Unusable::status`] is the answer to the INVITE.
pub fn answer(
    offer: &Offer,
    local: &Local,
    previous: Option<&[u8]>,
) -> Result<(Vec<u8>, Negotiated), Unusable> {
    let (chosen, codec) = choose(offer, local)?;
    let stream = &offer.streams[chosen];
    let negotiated = Negotiated {
        srtp: keys(stream, local).map(|(_, keys)| keys),
        noise: local.noise && takes_noise(stream, codec),
        ..negotiated(stream, codec, local.events, local.rtcp_mux)
    };
    let medias = offer.streams.iter().enumerate().map(|(index, stream)| {
        if index == chosen { accepted(stream, local, &negotiated) } else { refused(stream) }
    });
    let medias: Vec<Media> = medias.collect();
    Ok((print(local, medias, previous), negotiated))
}

/// An offer of ours: all our codecs, both ways; encrypted if we have keys, or, within a session, if that is.
///
/// `previous` and `theirs` are what both sides described last in this session. Their `m=` lines are all
/// there again, in their order, those that were refused with port 0 (RFC 3264 §8), and a payload type
/// means what it meant (§8.3.2).
#[must_use]
pub fn offer(local: &Local, previous: Option<&[u8]>, theirs: Option<&[u8]>) -> Vec<u8> {
    let parsed = |sdp: Option<&[u8]>| sdp.and_then(|sdp| Offer::parse(sdp).ok()).map(|offer| offer.streams);
    let before = parsed(previous).unwrap_or_default();
    let live = before.iter().position(Stream::is_live_audio);
    let of_peer = live.and_then(|at| parsed(theirs)?.into_iter().nth(at));
    let stream = live.map(|at| &before[at]);
    // What is encrypted stays so, what is not too: the peer has said what it can.
    let (proto, is_secure) = match stream {
        Some(stream) => (&*stream.proto, stream.is_secure_rtp() || !stream.cryptos.is_empty()),
        None if local.srtp.keys.is_empty() => ("RTP/AVP", false),
        None => ("RTP/SAVP", true),
    };
    let known: Vec<&Mapping> =
        stream.into_iter().chain(&of_peer).flat_map(|stream| &stream.mappings).collect();
    let mut media = audio(local, proto, &mappings(local, &known), Direction::SendRecv, local.rtcp_mux);
    for (tag, key) in (1..).zip(local.srtp.keys.iter().filter(|_| is_secure)) {
        media.add_attribute_with_value("crypto", Crypto::print(&format!("{tag}"), key));
    }
    let mut medias: Vec<Media> = before.iter().map(refused).collect();
    match live {
        Some(at) => medias[at] = media,
        None => medias.push(media),
    }
    print(local, medias, previous)
}

/// All that we can, each at the payload type that it has in `known`, else at one that means nothing there.
fn mappings(local: &Local, known: &[&Mapping]) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut add = |name: &str, clock: u32, channels: u32, usual: u8| {
        let is_it = |mapping: &Mapping| {
            mapping.name.eq_ignore_ascii_case(name) && mapping.clock == clock && mapping.channels == channels
        };
        if mappings.iter().any(is_it) {
            return;
        }
        let had = known.iter().find(|mapping| is_it(mapping)).map(|mapping| mapping.payload_type);
        let is_free = |payload_type: &u8| {
            !known.iter().copied().chain(&mappings).any(|mapping| mapping.payload_type == *payload_type)
        };
        if let Some(payload_type) = had.or_else(|| std::iter::once(usual).chain(96..=127).find(is_free)) {
            mappings.push(Mapping { payload_type, name: name.to_owned(), clock, channels });
        }
    };
    for codec in &local.codecs {
        let encoding = encoding(*codec);
        add(encoding.name, encoding.clock, encoding.channels, encoding.payload_type);
    }
    if local.noise {
        add(NOISE, 8_000, 1, NOISE_PAYLOAD_TYPE);
    }
    if local.events {
        // A key press is timed by the clock of the codec it interrupts (RFC 4733 §2.1).
        let mut clocks: Vec<u32> = local.codecs.iter().map(|codec| encoding(*codec).clock).collect();
        clocks.sort_unstable();
        clocks.dedup();
        for (payload_type, clock) in (EVENT_PAYLOAD_TYPE..).zip(clocks) {
            add(EVENTS, clock, 1, payload_type);
        }
    }
    mappings
}

/// Reads the answer to an offer of ours. The codec is the first in the answer that we offered.
///
/// # Errors
/// [`Unusable::Refused`] when it takes none of it or has another number of streams than we offered,
/// [`Unusable::Keys`] when it takes our SRTP and none of our keys.
pub fn accept_answer(our_offer: &[u8], answer: &[u8]) -> Result<Negotiated, Unusable> {
    let ours = Offer::parse(our_offer)?;
    let theirs = Offer::parse(answer)?;
    let at = ours.streams.iter().position(Stream::is_live_audio).ok_or(Unusable::Refused)?;
    let (offered, stream) = match theirs.streams.get(at) {
        Some(stream)
            if theirs.streams.len() == ours.streams.len()
                && stream.is_live_audio()
                && (stream.is_plain_rtp() || stream.is_secure_rtp())
                && stream.is_secure_rtp() == ours.streams[at].is_secure_rtp() =>
        {
            (&ours.streams[at], stream)
        }
        _ => return Err(Unusable::Refused),
    };
    // Keys beside plain RTP encrypt if they are answered.
    let has_keys = offered.is_secure_rtp() || !offered.cryptos.is_empty() && !stream.cryptos.is_empty();
    let srtp = if has_keys { Some(keys_answered(offered, stream)?) } else { None };
    if stream.place == Place::Nowhere {
        return Err(Unusable::Address);
    }
    if let (Place::At(ours), Place::At(theirs)) = (offered.place, stream.place)
        && ours.is_ipv4() != theirs.is_ipv4()
    {
        return Err(Unusable::Family(if theirs.is_ipv4() { "IPv4" } else { "IPv6" }));
    }
    let is_offered = |codec: CodecName| offered.mappings.iter().any(|mapping| mapping.is(codec));
    let codec = stream
        .mappings
        .iter()
        .find_map(|mapping| CODECS.into_iter().find(|codec| mapping.is(*codec) && is_offered(*codec)))
        .ok_or(Unusable::NoCodec)?;
    let events = offered.mappings.iter().any(|mapping| mapping.name == EVENTS);
    let noise = takes_noise(offered, codec) && takes_noise(stream, codec);
    Ok(Negotiated { srtp, noise, ..negotiated(stream, codec, events, offered.rtcp_mux) })
}

const CODECS: [CodecName; 4] = [CodecName::Pcmu, CodecName::Pcma, CodecName::G722, CodecName::Opus];

/// The first audio stream that we can take, an encrypted one if there is one, and our favourite among
/// its codecs. When there is none, the reason of the one that came nearest.
fn choose(offer: &Offer, local: &Local) -> Result<(usize, CodecName), Unusable> {
    let mut reason = Unusable::NoAudio;
    let ours_is_v4 = local.rtp.ip().to_canonical().is_ipv4();
    let mut streams: Vec<(usize, &Stream)> =
        offer.streams.iter().enumerate().filter(|(_, stream)| stream.is_live_audio()).collect();
    streams.sort_by_key(|(_, stream)| keys(stream, local).is_none());
    for (index, stream) in streams {
        let codec =
            local.codecs.iter().find(|codec| stream.mappings.iter().any(|mapping| mapping.is(**codec)));
        let reaches = match stream.place {
            Place::At(ip) => ip.is_ipv4() == ours_is_v4,
            Place::Hold | Place::Nowhere => true,
        };
        reason = match codec {
            _ if stream.is_secure_otherwise() => Unusable::Transport("DTLS"),
            _ if stream.is_secure_rtp() && local.srtp.keys.is_empty() => Unusable::Transport("SRTP"),
            _ if stream.is_secure_rtp() && keys(stream, local).is_none() => {
                Unusable::Keys(stream.crypto_fault.unwrap_or(NO_KEY))
            }
            _ if !stream.is_secure_rtp() && !stream.is_plain_rtp() => Unusable::Transport("another protocol"),
            _ if local.srtp.required && keys(stream, local).is_none() => Unusable::Plain,
            None => Unusable::NoCodec,
            Some(_) if stream.place == Place::Nowhere => Unusable::Address,
            Some(_) if !reaches => Unusable::Family(if ours_is_v4 { "IPv6" } else { "IPv4" }),
            Some(codec) => return Ok((index, *codec)),
        };
    }
    Err(reason)
}

const NO_KEY: &str = "none is there, or of a suite that is not wanted";

/// The peer's favourite among the keys that we take, and ours of its suite. An offer of plain RTP may
/// have keys too: encryption for those who can.
fn keys<'a>(stream: &'a Stream, local: &Local) -> Option<(&'a Crypto, MediaKeys)> {
    stream.cryptos.iter().find_map(|crypto| {
        let ours = local.srtp.keys.iter().find(|key| key.suite() == crypto.key.suite())?;
        Some((crypto, MediaKeys { ours: ours.clone(), theirs: crypto.key.clone() }))
    })
}

/// The key of ours that an answer has taken, and the peer's beside it (RFC 4568 §5.1.3).
fn keys_answered(offered: &Stream, answered: &Stream) -> Result<MediaKeys, Unusable> {
    let taken = answered.cryptos.iter().find_map(|theirs| {
        let same = |ours: &&Crypto| ours.tag == theirs.tag && ours.key.suite() == theirs.key.suite();
        let ours = offered.cryptos.iter().find(same)?;
        Some(MediaKeys { ours: ours.key.clone(), theirs: theirs.key.clone() })
    });
    taken.ok_or(Unusable::Keys(answered.crypto_fault.unwrap_or(NO_KEY)))
}

fn negotiated(stream: &Stream, codec: CodecName, events: bool, rtcp_mux: bool) -> Negotiated {
    let rtcp_mux = rtcp_mux && stream.rtcp_mux;
    let clock = encoding(codec).clock;
    let payload_type =
        |is: &dyn Fn(&Mapping) -> bool| stream.mappings.iter().find(|m| is(m)).map(|m| m.payload_type);
    let number = payload_type(&|m| m.is(codec)).unwrap_or(encoding(codec).payload_type);
    let parameters = stream.parameters.iter().find(|(payload_type, _)| *payload_type == number);
    let telephone_events = telephone_events(stream, clock).filter(|_| events);
    Negotiated {
        opus: parameters.map(|(_, parameters)| OpusWishes::parse(parameters)).unwrap_or_default(),
        remote_rtp: stream.rtp(),
        remote_rtcp: if rtcp_mux { stream.rtp() } else { stream.rtcp() },
        codec,
        payload_type: number,
        event_payload_type: telephone_events.map(|mapping| mapping.payload_type),
        event_clock: telephone_events.map_or(clock, |mapping| mapping.clock),
        noise: false,
        ptime: stream.ptime.unwrap_or(PTIME),
        direction: stream.direction,
        rtcp_mux,
        srtp: None,
    }
}

/// The telephone events of the codec's clock, as RFC 4733 §2.1 would have it; else whichever there are: phones
/// offer Opus beside events of 8000 alone, and a press is told from the next by any clock.
fn telephone_events(stream: &Stream, clock: u32) -> Option<&Mapping> {
    let events = || stream.mappings.iter().filter(|mapping| mapping.name.eq_ignore_ascii_case(EVENTS));
    let best = events().find(|events| events.clock == clock);
    best.or_else(|| events().next())
}

fn takes_noise(stream: &Stream, codec: CodecName) -> bool {
    stream.mappings.iter().any(|mapping| mapping.is_noise(encoding(codec).clock))
}

fn accepted(stream: &Stream, local: &Local, negotiated: &Negotiated) -> Media {
    let clock = encoding(negotiated.codec).clock;
    let noise = stream.mappings.iter().find(|mapping| mapping.is_noise(clock));
    let taken =
        [Some(negotiated.payload_type), noise.map(|noise| noise.payload_type), negotiated.event_payload_type];
    let mapping = |pt: u8| stream.mappings.iter().find(|mapping| mapping.payload_type == pt).cloned();
    let mappings: Vec<Mapping> = taken.into_iter().flatten().filter_map(mapping).collect();
    let direction = negotiated.direction.mirrored();
    let mut media = audio(local, &stream.proto, &mappings, direction, negotiated.rtcp_mux);
    if let Some((crypto, keys)) = keys(stream, local) {
        media.add_attribute_with_value("crypto", Crypto::print(&crypto.tag, &keys.ours));
    }
    media
}

fn audio(local: &Local, proto: &str, mappings: &[Mapping], direction: Direction, rtcp_mux: bool) -> Media {
    let formats: Vec<String> = mappings.iter().map(|mapping| mapping.payload_type.to_string()).collect();
    let mut media = media("audio", local.rtp.port(), proto, &formats.join(" "));
    for mapping in mappings {
        let mut map = RtpMap::new(mapping.payload_type, &mapping.name, mapping.clock);
        map.encoding_params = (mapping.channels > 1).then(|| mapping.channels.to_string());
        media.add_attribute_with_value("rtpmap", map);
        if mapping.name.eq_ignore_ascii_case(EVENTS) {
            // The sixteen keys, nothing else (RFC 4733 §2.4.1).
            media.add_attribute_with_value("fmtp", format!("{} 0-15", mapping.payload_type));
        }
        if mapping.is(CodecName::Opus) {
            media.add_attribute_with_value(
                "fmtp",
                format!("{} {}", mapping.payload_type, opus(local.opus_rate)),
            );
        }
    }
    media.add_attribute_with_value("ptime", PTIME.as_millis());
    media.add_attribute_from_str(direction.name());
    if Some(local.rtcp_port) != local.rtp.port().checked_add(1) && local.rtcp_port != 0 {
        media.add_attribute_with_value("rtcp", local.rtcp_port);
    }
    if rtcp_mux {
        media.add_attribute_from_str("rtcp-mux");
    }
    media
}

/// Port 0 and what was offered; an answer has a line for each of the offer's.
fn refused(stream: &Stream) -> Media {
    media(&stream.kind, 0, &stream.proto, &stream.formats)
}

fn media(kind: &str, port: u16, proto: &str, formats: &str) -> Media {
    Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: formats.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

fn print(local: &Local, medias: Vec<Media>, previous: Option<&[u8]>) -> Vec<u8> {
    let session = |version: u64| {
        let ip = local.rtp.ip().to_canonical();
        let mut session = Session::new(Origin::with_ip_addr(local.session_id, version, ip), "-");
        session.set_connection(Connection::from_ip_addr(ip));
        session.medias.clone_from(&medias);
        let mut bytes = Vec::with_capacity(512);
        session.write(&mut bytes).expect("writing into memory does not fail");
        bytes
    };
    let Some(previous) = previous else { return session(1) };
    let version = Session::parse(previous).map_or(0, |session| session.origin.sess_version);
    let again = session(version);
    if again == previous { again } else { session(version.wrapping_add(1)) }
}

#[cfg(test)]
mod tests;
