//! Offers and their answers.

use super::super::Srtp;
use super::*;
use crate::types::{MediaKey, Suite};

fn local() -> Local {
    Local {
        rtp: "192.0.2.10:20000".parse().unwrap(),
        rtcp_port: 20_001,
        codecs: vec![CodecName::G722, CodecName::Pcma, CodecName::Pcmu],
        opus_rate: 16_000,
        noise: false,
        events: true,
        rtcp_mux: true,
        srtp: Srtp::default(),
        session_id: 7,
    }
}

/// `v=`, `o=`, `s=`, `c=` at 192.0.2.1 and `t=`, then these lines, in which `_` is a space and `~` is `_`.
fn sdp(lines: &str) -> Vec<u8> {
    let lines = lines
        .split(' ')
        .map(|line| line.replace('_', " ").replace('~', "_"))
        .collect::<Vec<_>>()
        .join("\r\n");
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{lines}\r\n")
        .into_bytes()
}

fn negotiate(offer: &[u8]) -> Result<(String, Negotiated), Unusable> {
    let (bytes, negotiated) = answer(&Offer::parse(offer)?, &local(), None)?;
    Ok((String::from_utf8(bytes).unwrap(), negotiated))
}

/// Our answer's lines from the first `m=` on, and what was negotiated, in one line.
fn told(offer: &[u8]) -> String {
    match negotiate(offer) {
        Err(unusable) => format!("{} {unusable}", unusable.status()),
        Ok((text, n)) => {
            let from = text.find("m=").unwrap();
            let events = n.event_payload_type.map_or("no".to_owned(), |pt| pt.to_string());
            let [rtp, rtcp] =
                [n.remote_rtp, n.remote_rtcp].map(|a| a.map_or("-".to_owned(), |a| a.to_string()));
            let media = text[from..].trim_end().replace("\r\n", " | ");
            format!(
                "{media} => {:?} {} {events} {rtp} {rtcp} {}",
                n.codec,
                n.payload_type,
                n.ptime.as_millis()
            )
        }
    }
}

#[test]
fn the_trunks_order_of_codecs_decides_whatever_the_peers_is() {
    use CodecName::{G722, Opus, Pcma, Pcmu};
    let theirs = sdp("m=audio_4000_RTP/AVP_0_8_9_111 a=rtpmap:111_opus/48000/2");
    let backwards = sdp("m=audio_4000_RTP/AVP_111_9_8_0 a=rtpmap:111_opus/48000/2");
    for (trunk, expected) in [
        (vec![Opus, G722, Pcma, Pcmu], Opus),
        (vec![Pcma, Opus], Pcma),
        (vec![Pcmu, Pcma], Pcmu),
        (vec![G722, Opus, Pcmu], G722),
    ] {
        let local = Local { codecs: trunk.clone(), ..local() };
        for theirs in [&theirs, &backwards] {
            let (_, negotiated) = answer(&Offer::parse(theirs).unwrap(), &local, None).unwrap();
            assert_eq!(negotiated.codec, expected, "{trunk:?}");
        }
        // Our own offers name them in that order.
        let offer = String::from_utf8(offer(&local, None, None)).unwrap();
        let line = offer.lines().find(|line| line.starts_with("m=")).unwrap();
        let numbers: Vec<u8> =
            line.split(' ').skip(3).take(trunk.len()).map(|number| number.parse().unwrap()).collect();
        let expected: Vec<u8> = trunk.iter().map(|codec| encoding(*codec).payload_type).collect();
        assert_eq!(numbers, expected, "{trunk:?}");
    }
}

#[test]
fn what_a_peer_says_of_its_opus_is_ours_to_heed_both_ways() {
    let local = Local { codecs: vec![CodecName::Opus, CodecName::Pcma], ..local() };
    let theirs = sdp("m=audio_4000_RTP/AVP_111_96_8 a=rtpmap:96_opus/48000/2 a=rtpmap:111_opus/48000/2 \
                      a=fmtp:96_usedtx=1 a=fmtp:111_maxplaybackrate=8000;useinbandfec=1");
    let wishes =
        OpusWishes { playback_rate: 8_000, capture_rate: 8_000, repairs: true, ..OpusWishes::default() };
    let (text, negotiated) = answer(&Offer::parse(&theirs).unwrap(), &local, None).unwrap();
    assert_eq!((negotiated.payload_type, negotiated.opus), (111, wishes));
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("a=fmtp:111 useinbandfec=1;usedtx=1;stereo=0;"), "{text}");
    // The same in an answer to an offer of ours; another codec has no such wishes.
    let ours = offer(&local, None, None);
    let theirs =
        sdp("m=audio_4000_RTP/AVP_96 a=rtpmap:96_opus/48000/2 a=fmtp:96_cbr=1;maxaveragebitrate=9000");
    let negotiated = accept_answer(&ours, &theirs).unwrap();
    let wishes = OpusWishes { constant: true, bitrate_max: Some(9_000), ..OpusWishes::default() };
    assert_eq!(negotiated.opus, wishes);
    let theirs = sdp("m=audio_4000_RTP/AVP_8 a=fmtp:96_cbr=1");
    assert_eq!(accept_answer(&ours, &theirs).unwrap().opus, OpusWishes::default());
}

/// By that clock it is told how long keys were down.
#[test]
fn events_have_the_clock_of_the_codec_or_whichever_the_peer_has() {
    let media = |codec: u8, clocks: &[u32]| {
        let numbers: String = clocks.iter().map(|clock| format!("_{}", 100 + clock / 8_000)).collect();
        let mapped =
            clocks.iter().map(|clock| format!(" a=rtpmap:{}_telephone-event/{clock}", 100 + clock / 8_000));
        sdp(&format!(
            "m=audio_4000_RTP/AVP_{codec}{numbers} a=rtpmap:111_opus/48000/2{}",
            mapped.collect::<String>()
        ))
    };
    let clock = |codec: CodecName, clocks: &[u32]| {
        let local = Local { codecs: vec![codec], ..local() };
        let number = if codec == CodecName::Opus { 111 } else { 8 };
        let offer = Offer::parse(&media(number, clocks)).unwrap();
        let negotiated = answer(&offer, &local, None).unwrap().1;
        // Likewise when they answer an offer of ours.
        let answered = media(number, &clocks[..1]);
        let taken = accept_answer(&super::offer(&local, None, None), &answered).unwrap();
        assert_eq!(taken.event_clock, clocks[0], "{codec:?}, {clocks:?}");
        assert_eq!(negotiated.event_payload_type, Some((100 + negotiated.event_clock / 8_000) as u8));
        negotiated.event_clock
    };
    for (codec, clocks, expected) in [
        (CodecName::Opus, &[8_000, 48_000][..], 48_000),
        (CodecName::Opus, &[48_000], 48_000),
        (CodecName::Opus, &[16_000, 8_000], 16_000),
        (CodecName::Pcma, &[48_000, 8_000], 8_000),
        (CodecName::Pcma, &[48_000], 48_000),
    ] {
        assert_eq!(clock(codec, clocks), expected, "{codec:?}, {clocks:?}");
    }
}

#[test]
fn every_offer_has_its_answer() {
    // Each line: what it is; the offer's lines (`_` is a space); our m= lines => codec, its payload
    // type, the events', where RTP and RTCP go, the peer's packet time.
    let cases = [
        (
            "our preference counts, not theirs",
            "m=audio_4000_RTP/AVP_0_8_101 a=rtpmap:101_telephone-event/8000",
            "m=audio 20000 RTP/AVP 8 101 | a=rtpmap:8 PCMA/8000 | a=rtpmap:101 telephone-event/8000 | \
             a=fmtp:101 0-15 | a=ptime:20 | a=sendrecv => Pcma 8 101 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "static types need no rtpmap, and no events are none",
            "m=audio_4000_RTP/AVP_0",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "dynamic types, any case, events of the right clock at any number",
            "m=audio_4000_RTP/AVP_111_97_98_127 a=rtpmap:111_opus/48000/2 a=rtpmap:97_pcmu/8000/1 \
             a=rtpmap:98_Telephone-Event/48000 a=rtpmap:127_TELEPHONE-EVENT/8000",
            "m=audio 20000 RTP/AVP 97 127 | a=rtpmap:97 pcmu/8000 | a=rtpmap:127 TELEPHONE-EVENT/8000 | \
             a=fmtp:127 0-15 | a=ptime:20 | a=sendrecv => Pcmu 97 127 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "a static number with another meaning means the other",
            "m=audio_4000_RTP/AVP_8_0 a=rtpmap:8_iLBC/8000",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "G.722 at its static type, whose clock and events' clock is 8000, in 30 ms",
            "m=audio_4000_RTP/AVP_9_0_8_101 a=rtpmap:101_telephone-event/8000 a=ptime:30",
            "m=audio 20000 RTP/AVP 9 101 | a=rtpmap:9 G722/8000 | a=rtpmap:101 telephone-event/8000 | \
             a=fmtp:101 0-15 | a=ptime:20 | a=sendrecv => G722 9 101 192.0.2.1:4000 192.0.2.1:4001 30",
        ),
        (
            "G.722 at a dynamic type, events of the only clock there is, in at most 10 ms",
            "m=audio_4000_RTP/AVP_99_101 a=rtpmap:99_g722/8000 a=rtpmap:101_telephone-event/16000 a=maxptime:10",
            "m=audio 20000 RTP/AVP 99 101 | a=rtpmap:99 g722/8000 | a=rtpmap:101 telephone-event/16000 | \
             a=fmtp:101 0-15 | a=ptime:20 | a=sendrecv => G722 99 101 192.0.2.1:4000 192.0.2.1:4001 10",
        ),
        (
            "a clock of 16000 is not the G.722 of RFC 3551",
            "m=audio_4000_RTP/AVP_99_0 a=rtpmap:99_G722/16000",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "comfort noise is taken with the codec",
            "m=audio_4000_RTP/AVP_8_13_101 a=rtpmap:101_telephone-event/8000",
            "m=audio 20000 RTP/AVP 8 13 101 | a=rtpmap:8 PCMA/8000 | a=rtpmap:13 CN/8000 | \
             a=rtpmap:101 telephone-event/8000 | a=fmtp:101 0-15 | a=ptime:20 | a=sendrecv \
             => Pcma 8 101 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "other streams are refused in their place",
            "m=video_5000_RTP/AVP_31_34 m=audio_0_RTP/AVP_0 m=audio_4000_RTP/AVP_0 m=image_6000_udptl_t38",
            "m=video 0 RTP/AVP 31 34 | m=audio 0 RTP/AVP 0 | m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | \
             a=ptime:20 | a=sendrecv | m=image 0 udptl t38 => Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20",
        ),
        (
            "feedback, secure and plain: the first we can take",
            "m=audio_4000_RTP/SAVP_0 m=audio_4002_RTP/AVPF_0 a=rtcp-mux",
            "m=audio 0 RTP/SAVP 0 | m=audio 20000 RTP/AVPF 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv | \
             a=rtcp-mux => Pcmu 0 no 192.0.2.1:4002 192.0.2.1:4002 20",
        ),
        (
            "its own address, reports elsewhere, packet time within its most",
            "m=audio_4000_RTP/AVP_0 c=IN_IP4_198.51.100.7 a=rtcp:4444_IN_IP4_198.51.100.8 a=ptime:60 a=maxptime:40",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 198.51.100.7:4000 198.51.100.8:4444 40",
        ),
        (
            "reports on another port of the same address",
            "m=audio_4000_RTP/AVP_0 a=rtcp:4444 a=ptime:9999",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4444 20",
        ),
        (
            "hold as of old: nobody to send to, and we say that we only receive",
            "m=audio_4000_RTP/AVP_0 c=IN_IP4_0.0.0.0",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=recvonly => Pcmu 0 no - - 20",
        ),
        (
            "an IPv4 address in IPv6 clothes is one of IPv4",
            "m=audio_4000_RTP/AVP_0 c=IN_IP6_::ffff:198.51.100.7",
            "m=audio 20000 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | a=ptime:20 | a=sendrecv \
             => Pcmu 0 no 198.51.100.7:4000 198.51.100.7:4001 20",
        ),
        (
            "IPv6 that our socket does not reach",
            "m=audio_4000_RTP/AVP_0 c=IN_IP6_2001:db8::1",
            "488 audio over IPv6, of which we have no address",
        ),
        ("multicast", "m=audio_4000_RTP/AVP_0 c=IN_IP4_224.2.1.1/127", ADDRESS),
        ("broadcast", "m=audio_4000_RTP/AVP_0 c=IN_IP4_255.255.255.255", ADDRESS),
        ("a name, which nobody looks up", "m=audio_4000_RTP/AVP_0 c=IN_IP4_pc.example.com", ADDRESS),
        (
            "no codec of ours",
            "m=audio_4000_RTP/AVP_18 a=rtpmap:18_G729/8000",
            "488 audio with none of our codecs",
        ),
        ("secure only", "m=audio_4000_RTP/SAVP_0", "488 audio only over SRTP, expected RTP/AVP or RTP/AVPF"),
        ("a picture", "m=video_4000_RTP/AVP_31", "488 SDP without an audio stream"),
        ("nothing", "a=x", "488 SDP without an audio stream"),
        (
            "five streams",
            "m=audio_1_RTP/AVP_0 m=audio_2_RTP/AVP_0 m=audio_3_RTP/AVP_0 m=audio_4_RTP/AVP_0 m=audio_5_RTP/AVP_0",
            "488 SDP with more than 4 media lines",
        ),
        ("a port that is none", "m=audio_99999_RTP/AVP_0", "400 body that is no SDP: malformed line"),
    ];
    for (name, offer, expected) in cases {
        assert_eq!(told(&sdp(offer)), expected, "{name}");
    }
}

const ADDRESS: &str = "488 audio at no address that we can send to";

#[test]
fn real_peers_are_careless_and_still_understood() {
    let plain = told(b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert!(plain.ends_with("=> Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20"), "{plain}");
    let careless: [&[u8]; 7] = [
        b"v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n",
        b"v=0\r\no=x 99999999999999999999999999 -1 IN IP4 h\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0",
        b"v=0\r\ns=Andr\xe9\r\nc=IN  IP4  192.0.2.1 \r\nt=-1 0\r\nm=audio  4000 RTP/AVP 0 \r\n\r\n",
        b"v=0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\n",
        b"v=0\r\nc=IN IP4 192.0.2.1\r\na=fmtp\r\nm=audio 4000 RTP/AVP 0 0 200 x\r\na=rtpmap:nonsense\r\na=ptime:\r\n",
        b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000/2 rtp/avp 0\r\nb=AS:x\r\n",
        b"v=0 \r\nc=IN IP4 192.0.2.1\r\nm=AUDIO 4000 RTP/AVP 0\r\na=x-caf\xe9\r\n",
    ];
    for offer in careless {
        let told = told(offer);
        assert!(told.ends_with("=> Pcmu 0 no 192.0.2.1:4000 192.0.2.1:4001 20"), "{told}");
    }
}

#[test]
fn what_is_no_sdp_is_refused_whole() {
    let many = format!("v=0\r\n{}", "a=x\r\n".repeat(1_100));
    let long = format!("v=0\r\na={}\r\n", "x".repeat(70_000));
    let wrong = [
        "",
        "\r\n",
        "hello",
        "v=1\r\n",
        "o=x\r\nv=0\r\n",
        "v=0\r\nbroken\r\n",
        "v=0\r\na=x\0\r\n",
        &many,
        &long,
    ];
    for text in wrong {
        assert!(matches!(Offer::parse(text.as_bytes()), Err(Unusable::NotSdp(_))), "{:.40}", text);
    }
}

/// A key of ours: all its bytes are the same.
fn key(suite: Suite, byte: u8) -> MediaKey {
    MediaKey::from_random(suite, [byte; MediaKey::LENGTH_MAX])
}

/// `1` is theirs, `9` ours; each with a suite.
fn line(tag: u8, suite: Suite, byte: u8) -> String {
    format!(
        "a=crypto:{}",
        Crypto::print(&tag.to_string(), &key(suite, byte)).replace('_', "~").replace(' ', "_")
    )
}

#[test]
fn sound_is_encrypted_as_offer_and_trunk_allow() {
    use Suite::{AeadAes128Gcm as Gcm, AesCm128HmacSha1_32 as Short, AesCm128HmacSha1_80 as Long};
    let srtp = |required| Srtp { keys: Suite::ALL.map(|suite| key(suite, 9)).to_vec(), required };
    let (off, offer, require) = (Srtp::default(), srtp(false), srtp(true));
    let long_alone = Srtp { keys: vec![key(Long, 9)], required: false };
    let (savp, avp) = ("m=audio_4000_RTP/SAVP_0", "m=audio_4000_RTP/AVP_0");
    let (long, short, gcm) = (line(1, Long, 1), line(2, Short, 1), line(7, Gcm, 1));
    let mki = format!("{long}|2^31|1:4");
    let secure = |lines: &[&str]| lines.join(" ");
    const SAVP: &str = "488 audio only over SRTP, expected RTP/AVP or RTP/AVPF";
    const PLAIN: &str = "488 audio without SRTP, which is required here";
    const NO_LINE: &str =
        "488 SRTP with no key that we take: none is there, or of a suite that is not wanted";
    // What we do; what is offered; the protocol and the a=crypto of our answer.
    let cases: Vec<(&Srtp, String, &str)> = vec![
        (&off, secure(&[savp, &long]), SAVP),
        (&off, secure(&[avp, &long]), "RTP/AVP"),
        (&offer, secure(&[avp]), "RTP/AVP"),
        (&offer, secure(&[savp, &long]), "RTP/SAVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&offer, secure(&[savp, &short, &long]), "RTP/SAVP 2 AES_CM_128_HMAC_SHA1_32"),
        (&offer, secure(&[savp, &gcm, &long]), "RTP/SAVP 7 AEAD_AES_128_GCM"),
        (&long_alone, secure(&[savp, &gcm, &short, &long]), "RTP/SAVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&long_alone, secure(&[savp, &gcm]), NO_LINE),
        (&offer, secure(&[avp, &long]), "RTP/AVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&offer, secure(&["m=audio_4000_RTP/SAVPF_0", &long]), "RTP/SAVPF 1 AES_CM_128_HMAC_SHA1_80"),
        (&offer, secure(&[avp, savp, &long]), "RTP/SAVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&offer, secure(&[savp]), NO_LINE),
        (&offer, secure(&[savp, &mki]), "488 SRTP with no key that we take: a master key identifier (MKI)"),
        (&offer, secure(&[savp, &mki, &short]), "RTP/SAVP 2 AES_CM_128_HMAC_SHA1_32"),
        (&offer, secure(&[avp, &mki]), "RTP/AVP"),
        (&offer, secure(&["m=audio_4000_UDP/TLS/RTP/SAVP_0"]), DTLS),
        (&require, secure(&[avp]), PLAIN),
        (&require, secure(&[avp, &mki]), PLAIN),
        (&require, secure(&[avp, &long]), "RTP/AVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&require, secure(&[savp, &long]), "RTP/SAVP 1 AES_CM_128_HMAC_SHA1_80"),
        (&require, secure(&[avp, savp, &gcm]), "RTP/SAVP 7 AEAD_AES_128_GCM"),
    ];
    for (srtp, lines, expected) in cases {
        let local = Local { srtp: srtp.clone(), ..local() };
        let told = match answer(&Offer::parse(&sdp(&lines)).unwrap(), &local, None) {
            Err(unusable) => format!("{} {unusable}", unusable.status()),
            Ok((text, negotiated)) => {
                let text = String::from_utf8(text).unwrap();
                let live = text.lines().find(|line| line.starts_with("m=audio 20000 ")).unwrap();
                let proto = live.split(' ').nth(2).unwrap().to_owned();
                let crypto = text.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
                let crypto: Vec<&str> = crypto.collect();
                assert!(crypto.len() <= 1, "{text}");
                assert_eq!(crypto.is_empty(), negotiated.srtp.is_none(), "{text}");
                if let Some(keys) = &negotiated.srtp {
                    let suite = keys.ours.suite();
                    assert_eq!((&keys.ours, &keys.theirs), (&key(suite, 9), &key(suite, 1)), "{lines}");
                }
                crypto.first().map_or(proto.clone(), |line| {
                    let (told, inline) = line.rsplit_once(' ').unwrap();
                    let suite = negotiated.srtp.as_ref().unwrap().ours.suite();
                    assert!(Crypto::print("", &key(suite, 9)).ends_with(inline), "{line}");
                    format!("{proto} {told}")
                })
            }
        };
        assert_eq!(told, expected, "{lines}");
    }
}

const DTLS: &str = "488 audio only over DTLS, expected RTP/AVP or RTP/AVPF";

#[test]
fn an_encrypted_offer_of_ours_is_answered_with_one_of_its_keys() {
    let ours =
        Local { srtp: Srtp { keys: Suite::ALL.map(|s| key(s, 9)).to_vec(), required: true }, ..local() };
    let offered = offer(&ours, None, None);
    let text = String::from_utf8(offered.clone()).unwrap();
    assert!(text.contains("m=audio 20000 RTP/SAVP ") && text.matches("a=crypto:").count() == 4, "{text}");
    for suite in Suite::ALL {
        let phone = Local { srtp: Srtp { keys: vec![key(suite, 1)], required: true }, ..local() };
        let (theirs, at_phone) = answer(&Offer::parse(&offered).unwrap(), &phone, None).unwrap();
        let at_us = accept_answer(&offered, &theirs).unwrap();
        let keys = MediaKeys { ours: key(suite, 9), theirs: key(suite, 1) };
        assert_eq!(at_us.srtp, Some(keys.clone()));
        assert_eq!(at_phone.srtp, Some(MediaKeys { ours: keys.theirs, theirs: keys.ours }));
    }
    // Another suite under its tag, a tag that we did not offer, none, and plain RTP.
    let gcm = line(3, Suite::AeadAes128Gcm, 1);
    let unknown = line(5, Suite::AesCm128HmacSha1_80, 1);
    for lines in [&*gcm, &*unknown, "a=x"] {
        let answered = accept_answer(&offered, &sdp(&format!("m=audio_4000_RTP/SAVP_0 {lines}")));
        assert!(matches!(answered, Err(Unusable::Keys(_))), "{lines}: {answered:?}");
    }
    assert_eq!(accept_answer(&offered, &sdp("m=audio_4000_RTP/AVP_0")), Err(Unusable::Refused));
}

#[test]
fn the_answer_looks_the_other_way() {
    let cases = [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ];
    for (theirs, ours) in cases {
        for offer in
            [format!("m=audio_4000_RTP/AVP_0 a={theirs}"), format!("a={theirs} m=audio_4000_RTP/AVP_0")]
        {
            let (text, negotiated) = negotiate(&sdp(&offer)).unwrap();
            assert!(text.contains(&format!("a={ours}\r\n")), "{theirs}: {text}");
            assert_eq!(negotiated.direction.name(), theirs);
        }
    }
    let (text, _) = negotiate(&sdp("a=inactive m=audio_4000_RTP/AVP_0 a=sendonly")).unwrap();
    assert!(text.contains("a=recvonly"), "the stream's own attribute counts");
}

#[test]
fn the_version_moves_only_when_the_answer_does() {
    let (same, held) = (sdp("m=audio_4000_RTP/AVP_0"), sdp("m=audio_4000_RTP/AVP_0 a=sendonly"));
    let mut previous: Option<Vec<u8>> = None;
    for (offer, version) in [(&same, 1), (&same, 1), (&held, 2), (&held, 2), (&same, 3)] {
        let offer = Offer::parse(offer).unwrap();
        let (bytes, _) = answer(&offer, &local(), previous.as_deref()).unwrap();
        let origin = format!("o=- 7 {version} IN IP4 192.0.2.10\r\n");
        assert!(String::from_utf8_lossy(&bytes).contains(&origin), "{}", String::from_utf8_lossy(&bytes));
        previous = Some(bytes);
    }
    let ours = offer(&local(), previous.as_deref(), None);
    assert!(String::from_utf8_lossy(&ours).contains("o=- 7 4 IN"), "an offer continues the count");
    assert_eq!(offer(&local(), Some(&ours), None), ours);
}

#[test]
fn an_offer_of_ours_is_understood_by_ourselves() {
    let ours = offer(&local(), None, None);
    assert_eq!(
        String::from_utf8_lossy(&ours),
        "v=0\r\no=- 7 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\n"
    );
    let phone = Local {
        rtp: "192.0.2.1:4000".parse().unwrap(),
        rtcp_port: 4_010,
        codecs: vec![CodecName::Pcmu],
        rtcp_mux: false,
        ..local()
    };
    let (theirs, at_phone) = answer(&Offer::parse(&ours).unwrap(), &phone, None).unwrap();
    let at_us = accept_answer(&ours, &theirs).unwrap();
    assert_eq!((at_us.codec, at_us.payload_type), (at_phone.codec, at_phone.payload_type));
    assert_eq!((at_us.event_payload_type, at_phone.event_payload_type), (Some(101), Some(101)));
    assert_eq!((at_us.event_clock, at_phone.event_clock), (8_000, 8_000));
    assert_eq!(at_us.remote_rtp, Some(phone.rtp));
    assert_eq!(at_us.remote_rtcp, Some("192.0.2.1:4010".parse().unwrap()));
    assert_eq!((at_us.rtcp_mux, at_phone.rtcp_mux), (false, false));
    assert_eq!(at_phone.remote_rtcp, Some("192.0.2.10:20001".parse().unwrap()));
}

#[test]
fn codecs_to_come_are_offered_with_their_clocks() {
    let codecs = vec![CodecName::Opus, CodecName::G722, CodecName::Pcma];
    for (opus_rate, expected) in [
        (8_000, "maxplaybackrate=8000;sprop-maxcapturerate=8000;maxaveragebitrate=24000"),
        (16_000, "maxplaybackrate=16000;sprop-maxcapturerate=16000;maxaveragebitrate=32000"),
        (48_000, "maxplaybackrate=48000;sprop-maxcapturerate=48000;maxaveragebitrate=48000"),
    ] {
        let local = Local { codecs: codecs.clone(), opus_rate, ..local() };
        let text = String::from_utf8(offer(&local, None, None)).unwrap();
        let line = format!("a=fmtp:96 useinbandfec=1;usedtx=1;stereo=0;sprop-stereo=0;{expected}\r\n");
        assert!(text.contains(&line), "{text}");
    }
    let text = String::from_utf8(offer(&Local { codecs, rtcp_mux: false, ..local() }, None, None)).unwrap();
    assert!(
        text.contains(
            "m=audio 20000 RTP/AVP 96 9 8 101 102\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1;"
        ),
        "{text}"
    );
    assert!(
        text.contains("a=rtpmap:101 telephone-event/8000\r\n")
            && text.contains("a=rtpmap:102 telephone-event/48000")
    );
}

#[test]
fn comfort_noise_is_sent_where_both_sides_want_it() {
    // Whether we do, what the peer describes, whether we answer with CN, whether we send it.
    let cases = [
        (true, "m=audio_4000_RTP/AVP_8_13", true, true),
        (true, "m=audio_4000_RTP/AVP_8", false, false),
        (true, "m=audio_4000_RTP/AVP_8_97 a=rtpmap:97_CN/8000", false, false),
        (true, "m=audio_4000_RTP/AVP_9_13", true, true),
        (false, "m=audio_4000_RTP/AVP_8_13", true, false),
    ];
    for (noise, lines, answered, sent) in cases {
        let local = Local { noise, ..local() };
        let (ours, negotiated) = answer(&Offer::parse(&sdp(lines)).unwrap(), &local, None).unwrap();
        assert_eq!(negotiated.noise, sent, "{lines}");
        assert_eq!(String::from_utf8(ours).unwrap().contains("a=rtpmap:13 CN/8000"), answered, "{lines}");
        let ours = offer(&local, None, None);
        assert_eq!(String::from_utf8_lossy(&ours).contains("a=rtpmap:13 CN/8000"), noise);
        if noise && !lines.contains("rtpmap:97") {
            assert_eq!(accept_answer(&ours, &sdp(lines)).unwrap().noise, sent, "{lines}");
        }
    }
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let ours = offer(&local(), None, None);
    let cases = [
        ("m=audio_0_RTP/AVP_8", Unusable::Refused),
        ("m=audio_4000_RTP/SAVP_8", Unusable::Refused),
        ("m=video_4000_RTP/AVP_8", Unusable::Refused),
        ("m=audio_4000_RTP/AVP_8 m=audio_4002_RTP/AVP_8", Unusable::Refused),
        ("a=x", Unusable::Refused),
        ("m=audio_4000_RTP/AVP_18", Unusable::NoCodec),
        ("m=audio_4000_RTP/AVP_8 c=IN_IP4_host", Unusable::Address),
    ];
    for (lines, expected) in cases {
        assert_eq!(accept_answer(&ours, &sdp(lines)), Err(expected), "{lines}");
    }
    let held = accept_answer(&ours, &sdp("m=audio_4000_RTP/AVP_0 c=IN_IP4_0.0.0.0 a=sendonly")).unwrap();
    assert_eq!((held.remote_rtp, held.direction), (None, Direction::SendOnly));
}

#[test]
fn an_offer_of_ours_in_the_middle_of_a_call_repeats_what_was_described_before() {
    // The offer that began the call, where 96 is a codec of theirs and 97 opus.
    let theirs = sdp("m=video_4000_RTP/AVP_31 m=audio_4002_RTP/AVPF_96_97_8_110 a=rtpmap:96_AMR/8000 \
                      a=rtpmap:97_opus/48000/2 a=rtpmap:110_telephone-event/8000 m=image_4004_udptl_t38");
    let local = Local { codecs: vec![CodecName::Pcma, CodecName::Opus, CodecName::Pcmu], ..local() };
    let (previous, _) = answer(&Offer::parse(&theirs).unwrap(), &local, None).unwrap();
    let ours = offer(&local, Some(&previous), Some(&theirs));
    let text = String::from_utf8(ours.clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        ["m=video 0 RTP/AVP 31", "m=audio 20000 RTP/AVPF 8 97 0 110 102", "m=image 0 udptl t38"],
        "{text}"
    );
    assert!(text.contains("a=rtpmap:97 opus/48000/2") && text.contains("o=- 7 2 IN IP4"), "{text}");
    // Without a word of theirs, 96 is still not what it was not.
    let again = String::from_utf8(offer(&local, Some(&ours), None)).unwrap();
    assert_eq!(again, text);
    // The answer is about the stream that lives.
    let answered =
        sdp("m=video_0_RTP/AVP_31 m=audio_5000_RTP/AVPF_97 a=rtpmap:97_opus/48000/2 m=image_0_udptl_t38");
    let negotiated = accept_answer(&ours, &answered).unwrap();
    assert_eq!((negotiated.codec, negotiated.payload_type), (CodecName::Opus, 97));
    assert_eq!(negotiated.remote_rtp, Some("192.0.2.1:5000".parse().unwrap()));
    let short = sdp("m=audio_5000_RTP/AVPF_8");
    assert_eq!(accept_answer(&ours, &short), Err(Unusable::Refused), "all lines must be answered");
    // And an offer of a new codec finds a number that means nothing else.
    let theirs =
        sdp("m=audio_4002_RTP/AVP_8_96_101 a=rtpmap:96_telephone-event/8000 a=rtpmap:101_speex/8000");
    let (previous, _) = answer(&Offer::parse(&theirs).unwrap(), &local, None).unwrap();
    let text = String::from_utf8(offer(&local, Some(&previous), Some(&theirs))).unwrap();
    assert!(text.contains("m=audio 20000 RTP/AVP 8 97 0 96 102\r\n"), "{text}");
}

#[test]
fn an_offer_of_ours_in_the_middle_of_a_call_is_as_encrypted_as_the_call() {
    let srtp = Srtp {
        keys: vec![MediaKey::from_random(Suite::AesCm128HmacSha1_80, [7; MediaKey::LENGTH_MAX])],
        required: false,
    };
    let local = Local { srtp, ..local() };
    let key = "1_AES~CM~128~HMAC~SHA1~80_inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    let cases = [
        ("m=audio_4000_RTP/AVP_0".to_owned(), "RTP/AVP", false),
        (format!("m=audio_4000_RTP/AVP_0 a=crypto:{key}"), "RTP/AVP", true),
        (format!("m=audio_4000_RTP/SAVP_0 a=crypto:{key}"), "RTP/SAVP", true),
    ];
    for (lines, proto, encrypted) in cases {
        let theirs = sdp(&lines);
        let (previous, negotiated) = answer(&Offer::parse(&theirs).unwrap(), &local, None).unwrap();
        assert_eq!(negotiated.srtp.is_some(), encrypted, "{lines}");
        let ours = offer(&local, Some(&previous), Some(&theirs));
        let text = String::from_utf8_lossy(&ours).into_owned();
        assert!(text.contains(&format!("m=audio 20000 {proto} ")), "{lines}: {text}");
        assert_eq!(text.contains("a=crypto:1 "), encrypted, "{lines}: {text}");
        let negotiated = accept_answer(&ours, &theirs).unwrap();
        assert_eq!(negotiated.srtp.is_some(), encrypted, "{lines}");
    }
}

#[test]
fn a_refusal_says_what_to_change() {
    let v6 = Local { rtp: "[2001:db8::10]:20000".parse().unwrap(), ..local() };
    let cases = [
        (local(), "m=audio_4000_RTP/AVP_18", 305, "audio with none of our codecs"),
        (local(), "m=video_4000_RTP/AVP_31", 304, "SDP without an audio stream"),
        (
            local(),
            "m=audio_4000_UDP/TLS/RTP/SAVPF_0",
            302,
            "audio only over DTLS, expected RTP/AVP or RTP/AVPF",
        ),
        (local(), "m=audio_4000_RTP/AVP_0 c=IN_IP4_host", 301, "audio at no address that we can send to"),
        (local(), "m=audio_4000_RTP/AVP_0 c=IN_IP6_::1", 301, "audio over IPv6, of which we have no address"),
        (v6, "m=audio_4000_RTP/AVP_0", 301, "audio over IPv4, of which we have no address"),
    ];
    for (local, lines, code, text) in cases {
        let refused = answer(&Offer::parse(&sdp(lines)).unwrap(), &local, None).unwrap_err();
        assert_eq!(refused.warning().header("x"), format!("{code} x \"{text}\""), "{lines}");
    }
}

#[test]
fn ipv6_sockets_talk_ipv6() {
    let local = Local { rtp: "[2001:db8::10]:20000".parse().unwrap(), ..local() };
    let offer = Offer::parse(&sdp("m=audio_4_RTP/AVP_0 m=audio_6_RTP/AVP_0 c=IN_IP6_2001:db8::1")).unwrap();
    let (text, negotiated) = answer(&offer, &local, None).unwrap();
    assert_eq!(negotiated.remote_rtp, Some("[2001:db8::1]:6".parse().unwrap()));
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("c=IN IP6 2001:db8::10\r\n") && text.contains("m=audio 0 RTP/AVP 0\r\nm=audio 20000")
    );
}
