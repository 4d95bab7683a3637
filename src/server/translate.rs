//! The dictionary: what one room says, in another room's words.
//!
//! SIP does not know what a PIN is, and the bridge does not know what an INVITE is. Whatever must
//! cross is turned here, one function each, and nothing is decided.

use crate::bridge::Ending;
use crate::bridge::input::{HangUp, Quality};
use crate::bridge::record::Signalled;
use crate::bridge::verify::{
    Believe, BelieveVerstat, Believed, Evidence, Identity, Scheme, Signature, Verstat,
};
use crate::media::{self, Codec, LegSettings, Rate, SoundSettings};
use crate::rtp::Srtp;
use crate::sip::endpoint::{self, HowEnded, Why};
use crate::sip::identity;
use crate::sip::offer::Negotiated;
use crate::sip::reason::Reason;
use crate::sip::trunk::{self, CodecName, DtmfMode, MediaSource, Trunk, Verstats};
use crate::stir::Verdict;
use crate::types::{Attestation, Country, PhoneNumber};

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
        verstat: party.verstat.as_deref().and_then(verstat),
    };
    let mut asserted: Vec<Identity> = found.asserted.iter().map(party).collect();
    if found.asserted_unreadable {
        asserted.push(Identity { scheme: Scheme::Sip, user: String::new(), verstat: None });
    }
    Evidence {
        from: Some(party(&found.from)),
        from_anonymous: found.is_withheld(),
        asserted,
        privacy: found.privacy.clone(),
        attestation: found.attestation,
        signature: Signature::Absent,
    }
}

/// `TN-Validation-Passed`, `TN-Validation-Passed-B`, `TN-Validation-Failed-…`. Whatever else there is
/// says that nothing was found out.
fn verstat(text: &str) -> Option<Verstat> {
    let rest = |name: &str| {
        let begins = text.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        begins.then(|| &text[name.len()..])
    };
    if rest("TN-Validation-Failed").is_some() {
        return Some(Verstat::Failed);
    }
    match rest("TN-Validation-Passed")? {
        "" => Some(Verstat::Passed(None)),
        more => Attestation::from_name(more.strip_prefix('-')?).map(|level| Verstat::Passed(Some(level))),
    }
}

pub(super) const fn believed(trunk: &Trunk) -> Believed {
    Believed {
        header: match trunk.believe {
            trunk::Believe::None => Believe::None,
            trunk::Believe::From => Believe::From,
            trunk::Believe::Pai => Believe::Pai,
        },
        verstat: match trunk.verstat {
            Verstats::Ignored => BelieveVerstat::None,
            Verstats::Stated => BelieveVerstat::Stated,
            Verstats::AUnlessStated => BelieveVerstat::AUnlessStated,
        },
        stir: trunk.stir,
        country: trunk.country,
    }
}

/// What verifying came to, for the bridge. A verdict is about the number that was asked about.
pub(super) fn signature(verdict: Verdict, number: PhoneNumber) -> Signature {
    match verdict {
        Verdict::Good(signed) => {
            Signature::Good { attestation: signed.attestation, number, signer: signed.signer }
        }
        Verdict::Bad(failure) => Signature::Bad(failure.text()),
        Verdict::Unjudged(why) => Signature::Unjudged(why.text()),
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

/// How a call ended that had not come in yet.
pub(super) const fn given_up(how: HowEnded) -> Ending {
    match how {
        HowEnded::Cancelled | HowEnded::ByPeer => Ending::Cancelled,
        HowEnded::NoPrack
        | HowEnded::NoAck
        | HowEnded::SessionExpired
        | HowEnded::ByUs
        | HowEnded::Unanswered => Ending::NoAck,
        HowEnded::Transport | HowEnded::Gone => Ending::TransportLost,
    }
}

/// What media must know of a session.
pub(super) fn leg(
    negotiated: &Negotiated,
    trunk: &Trunk,
    rate_max: Rate,
    signalling_ip: IpAddr,
) -> LegSettings {
    LegSettings {
        remote_rtp: negotiated.remote_rtp,
        remote_rtcp: negotiated.remote_rtcp,
        signalling_ip,
        latch: trunk.media_source == MediaSource::Latch,
        codec: codec(negotiated.codec),
        payload_type: negotiated.payload_type,
        event_payload_type: negotiated.event_payload_type,
        event_clock: negotiated.event_clock,
        ptime: negotiated.ptime,
        they_send: negotiated.direction.sends(),
        they_receive: negotiated.direction.receives(),
        rtcp_mux: negotiated.rtcp_mux,
        srtp: negotiated.srtp.as_ref().map(|keys| Box::new(Srtp::new(keys))),
        sound: SoundSettings {
            rate_max,
            jitter: trunk.jitter,
            // A phone that agreed to events sends those; what it lets through as tones besides is not ours.
            tones_are_keys: negotiated.event_payload_type.is_none()
                && matches!(trunk.dtmf, DtmfMode::Auto | DtmfMode::Inband),
            comfort_noise: negotiated.noise,
            opus: negotiated.opus,
            noise_suppression: trunk.voice.noise_suppression,
            voice: media::Wishes {
                automatic_gain: trunk.voice.automatic_gain,
                noise_gate: trunk.voice.noise_gate,
            },
        },
    }
}

/// What media calls a codec.
fn codec(name: CodecName) -> Codec {
    match name {
        CodecName::Pcmu => Codec::Pcmu,
        CodecName::Pcma => Codec::Pcma,
        CodecName::G722 => Codec::G722,
        CodecName::Opus => Codec::Opus,
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
        reordered: heard.reordered,
        buffer_ms: heard.buffer_ms,
        opinion: heard.opinion,
        peer_opinion: heard.peer_opinion,
        packets_rejected: heard.packets_rejected,
        srtp: heard.srtp,
        ticks_late: heard.ticks_late,
        tick_late_max_ms: heard.tick_late_max_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriers_verstat_is_read_as_carriers_write_it() {
        let cases = [
            ("TN-Validation-Passed", Some(Verstat::Passed(None))),
            ("tn-validation-passed", Some(Verstat::Passed(None))),
            ("TN-Validation-Passed-A", Some(Verstat::Passed(Some(Attestation::A)))),
            ("TN-Validation-Passed-C", Some(Verstat::Passed(Some(Attestation::C)))),
            ("TN-Validation-Passed-Not", None),
            ("TN-Validation-PassedA", None),
            ("TN-Validation-Failed", Some(Verstat::Failed)),
            ("TN-Validation-Failed-A", Some(Verstat::Failed)),
            ("No-TN-Validation", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(verstat(text), expected, "{text}");
        }
    }
}
