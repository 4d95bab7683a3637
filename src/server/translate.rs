//! The dictionary: what one room says, in another room's words.
//!
//! SIP does not know what a PIN is, and the bridge does not know what an INVITE is. Whatever must
//! cross is turned here, one function each, and nothing is decided.

use crate::bridge::Ending;
use crate::bridge::input::{HangUp, Quality};
use crate::bridge::record::Signalled;
use crate::bridge::verify::{Believe, Evidence, Identity, Scheme};
use crate::media::{self, Codec, LegSettings, SoundSettings};
use crate::sip::endpoint::{self, HowEnded, Why};
use crate::sip::identity;
use crate::sip::offer::Negotiated;
use crate::sip::reason::Reason;
use crate::sip::trunk::{self, CodecName, DtmfMode, MediaSource, Trunk};
use crate::types::{Country, PhoneNumber};

use std::net::IpAddr;

/// What an INVITE says of its caller.
pub(super) fn evidence(found: &identity::Evidence) -> Evidence {
    let party = |party: &identity::Party| Identity {
        scheme: match party.scheme {
            identity::Scheme::Tel => Scheme::Tel,
            identity::Scheme::Sip | identity::Scheme::Sips | identity::Scheme::Other => Scheme::Sip,
        },
        // An address that names no number is nobody's, but it is there: it must not be passed over.
        user: party.user.clone().filter(|_| party.scheme != identity::Scheme::Other).unwrap_or_default(),
    };
    let mut asserted: Vec<Identity> = found.asserted.iter().map(party).collect();
    if found.asserted_unreadable {
        asserted.push(Identity { scheme: Scheme::Sip, user: String::new() });
    }
    Evidence {
        from: Some(party(&found.from)),
        from_anonymous: found.is_withheld(),
        asserted,
        privacy: found.privacy.clone(),
    }
}

pub(super) const fn believe(trunk: &Trunk) -> Believe {
    match trunk.believe {
        trunk::Believe::None => Believe::None,
        trunk::Believe::From => Believe::From,
        trunk::Believe::Pai => Believe::Pai,
    }
}

/// How a dialog ended, for the bridge.
pub(super) const fn hang_up(how: HowEnded) -> HangUp {
    match how {
        HowEnded::ByPeer => HangUp::Caller,
        HowEnded::Cancelled => HangUp::Cancelled,
        HowEnded::NoPrack => HangUp::NoPrack,
        HowEnded::NoAck => HangUp::NoAck,
        HowEnded::SessionExpired => HangUp::SessionExpired,
        HowEnded::ByUs | HowEnded::Unanswered => HangUp::Us,
        HowEnded::Transport | HowEnded::Gone => HangUp::Transport,
    }
}

/// The ending of a call that signalling refused by itself.
pub(super) const fn turned_away(why: Why) -> Ending {
    match why {
        Why::Extension => Ending::UnknownExtension,
        Why::Accept => Ending::NotAcceptable,
        Why::Body => Ending::UnsupportedBody,
        Why::Replaces => Ending::ReplacesRefused,
        Why::Interval => Ending::IntervalTooSmall,
        Why::Loop => Ending::Looped,
    }
}

/// What an INVITE says beside who calls whom.
pub(super) fn signalled(incoming: &endpoint::Incoming, country: Option<Country>) -> Signalled {
    let redirection = incoming.redirection.as_ref();
    // What is no number stays out: it could be anything.
    let party = redirection.and_then(|found| PhoneNumber::parse(found.party.as_deref()?, country).ok());
    Signalled {
        redirected_by: party.as_ref().map(PhoneNumber::masked),
        redirected_why: redirection.and_then(|found| found.why.clone()),
        session_id: incoming.session_id.clone(),
        ..Signalled::default()
    }
}

/// What the peer said when it hung up.
pub(super) fn peer_reason(signalled: &mut Signalled, reason: Option<Reason>) {
    let Some(Reason { q850, sip, text }) = reason else { return };
    signalled.peer_q850 = q850;
    signalled.peer_status = sip;
    signalled.peer_text = text;
}

/// What media must know of a session.
pub(super) fn leg(negotiated: &Negotiated, trunk: &Trunk, signalling_ip: IpAddr) -> LegSettings {
    LegSettings {
        remote_rtp: negotiated.remote_rtp,
        remote_rtcp: negotiated.remote_rtcp,
        signalling_ip,
        latch: trunk.media_source == MediaSource::Latch,
        codec: codec(negotiated.codec),
        payload_type: negotiated.payload_type,
        event_payload_type: negotiated.event_payload_type,
        ptime: negotiated.ptime,
        they_send: negotiated.direction.sends(),
        they_receive: negotiated.direction.receives(),
        sound: SoundSettings {
            // A phone that agreed to events sends those; what it lets through as tones besides is not ours.
            tones_are_keys: negotiated.event_payload_type.is_none()
                && matches!(trunk.dtmf, DtmfMode::Auto | DtmfMode::Inband),
            voice: media::Wishes {
                automatic_gain: trunk.voice.automatic_gain,
                noise_gate: trunk.voice.noise_gate,
            },
        },
    }
}

/// What media calls a codec. Only those that [`super::lines`] offers come here.
fn codec(name: CodecName) -> Codec {
    match name {
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::Pcma => Codec::Pcma,
        CodecName::G722 => Codec::G722,
        CodecName::Opus => unreachable!("neither offered nor accepted"),
    }
}

/// A leg's figures, for the record.
pub(super) fn quality(heard: &media::Quality) -> Quality {
    Quality {
        packets_received: heard.packets_received,
        packets_late: heard.packets_late,
        packets_lost: heard.packets_lost,
        packets_sent: heard.packets_sent,
        jitter_ms: heard.jitter_ms,
        concealed: heard.concealed,
        peer_lost: heard.peer_lost,
        round_trip_ms: heard.round_trip_ms,
    }
}
