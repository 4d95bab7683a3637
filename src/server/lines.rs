//! Lines: what the service holds for each call between its dialog and its leg.
//!
//! A line knows the session's descriptions and the port, and carries the bridge's wishes to
//! signalling and media, and their events back as inputs.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::bridge::input::{DigitSource, HangUp, Incoming, Quality};
use crate::bridge::record::Signalled;
use crate::bridge::{CallRecord, Ending, Input, Output, PlaybackId, Snapshot, verify};
use crate::config::{AccessNumber, Settings};
use crate::media::{self, Engine, Rate};
use crate::server::clips::{Clips, Packs};
use crate::server::reload::Tables;
use crate::server::signatures::{Signatures, Signed};
use crate::server::translate;
use crate::signalling;
use crate::sip::endpoint::{self, Event, TurnedAway};
use crate::sip::offer::{self, Local, Offer};
use crate::sip::trunk::{DtmfMode, SrtpMode, Trunk};
use crate::sip::{Flow, Outside, Transport};
use crate::stir::Verdict;
use crate::trace::Traces;
use crate::types::{CallId, Country, Language, MediaKey, Now, PhoneNumber, Suite};

/// What every line needs.
pub(super) struct Lines {
    lines: HashMap<CallId, Line>,
    signalling: signalling::Handle,
    media: Engine,
    packs: Packs,
    signatures: Signatures,
    traces: Traces,
    trunks: HashMap<String, Arc<Trunk>>,
    /// None at all: every dialled number is answered.
    access_numbers: Vec<AccessNumber>,
    /// Where legs are bound, one of each family at most.
    media_addresses: Vec<IpAddr>,
    /// Who talks and whose phone echoes now, and how often that has changed.
    talking: HashSet<CallId>,
    echoing: HashSet<CallId>,
    /// How legs in rooms sound, and when readers were last due to be told.
    quality: HashMap<CallId, Quality>,
    quality_told: Instant,
    heard: u64,
    /// Who has begun or ceased to talk since somebody asked.
    talk: Vec<(CallId, bool)>,
    /// Go into SDP in place of the leg's own.
    external_address: Outside,
    /// The highest rate that a room is mixed at.
    rate_max: Rate,
}

struct Line {
    /// What the caller is spoken to in, once the bridge has said so.
    language: Option<Language>,
    /// As it was when the call came in.
    trunk: Arc<Trunk>,
    since: Instant,
    signalling_ip: IpAddr,
    transport: Transport,
    /// The offer of the INVITE, until it is answered.
    offer: Option<Offer>,
    /// Where its leg is bound: of the family of the caller's sound.
    media_ip: IpAddr,
    /// Ours, once the leg is open.
    local: Option<Local>,
    /// The description we sent last.
    described: Option<Vec<u8>>,
    /// The one we heard last.
    heard: Option<Vec<u8>>,
    /// Both sides have described the session once.
    agreed: bool,
    /// The caller acknowledges our ringing, which describes the session (RFC 3262).
    reliable: bool,
    /// For the record.
    signalled: Signalled,
}

/// Seconds after which a refused trunk may try again (RFC 3261 §20.33).
const RETRY_AFTER: u32 = 10;

/// Between two times that readers are told how legs sound.
const QUALITY_EVERY: Duration = Duration::from_secs(1);

impl Lines {
    pub(super) fn new(
        signalling: signalling::Handle,
        media: Engine,
        packs: Packs,
        signatures: Signatures,
        traces: Traces,
        settings: &Settings,
    ) -> Self {
        Self {
            lines: HashMap::new(),
            talking: HashSet::new(),
            echoing: HashSet::new(),
            quality: HashMap::new(),
            quality_told: Instant::now(),
            heard: 0,
            talk: Vec::new(),
            signalling,
            media,
            packs,
            signatures,
            traces,
            trunks: by_name(&settings.trunks),
            access_numbers: settings.access_numbers.clone(),
            media_addresses: settings.media.addresses().collect(),
            rate_max: settings.media.rate_max,
            external_address: settings.signalling.external_address,
        }
    }

    /// Other trunks and access numbers from the next call on, other prompts from the next on. Live calls keep their
    /// trunk as it was.
    pub(super) async fn swap(&mut self, tables: Tables) {
        // Ours first: a call that signalling lets in finds its trunk here.
        self.trunks = by_name(&tables.trunks);
        self.access_numbers = tables.access_numbers;
        if let Some(packs) = tables.packs {
            self.packs = packs;
        }
        if let Some(verifier) = tables.verifier {
            self.signatures.renew(verifier);
        }
        if let Some(tls) = tables.tls {
            told(self.signalling.set_tls(tls).await);
        }
        told(self.signalling.set_calls_rate(tables.calls_rate).await);
        told(self.signalling.set_trunks(tables.trunks).await);
    }

    /// The call is over for the bridge: its record gets what signalling said, and nothing of it is
    /// left here.
    pub(super) fn complete(&mut self, record: &mut CallRecord) {
        if let Some(line) = self.lines.remove(&record.call) {
            record.signalled = line.signalled;
        }
        self.talking.remove(&record.call);
        self.echoing.remove(&record.call);
        self.quality.remove(&record.call);
    }

    /// How often has changed who talks and who echoes.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// Who has begun or ceased to talk since the last time.
    pub(super) fn take_talk(&mut self) -> Vec<(CallId, bool)> {
        std::mem::take(&mut self.talk)
    }

    pub(super) fn talks(&self, call: CallId) -> bool {
        self.talking.contains(&call)
    }

    /// Writes into the rosters who talks, who echoes and how each sounds.
    pub(super) fn mark(&self, snapshot: &mut Snapshot) {
        for participant in snapshot.meetings.iter_mut().flat_map(|meeting| &mut meeting.roster) {
            participant.talking = self.talking.contains(&participant.participant);
            participant.echo = self.echoing.contains(&participant.participant);
            participant.quality = self.quality.get(&participant.participant).copied();
        }
    }

    // -- from signalling --

    /// Turns an event into inputs. A call that is refused before the bridge hears of it has its
    /// record here.
    pub(super) async fn on_signalling(
        &mut self,
        event: Event,
        inputs: &mut VecDeque<Input>,
    ) -> Option<CallRecord> {
        match event {
            Event::Incoming(incoming) => return self.incoming(*incoming, inputs).await,
            Event::TurnedAway(away) => return self.turned_away(*away),
            Event::NotDone { call, method, status } => {
                info!(%call, %method, status, "request within a call refused");
            }
            Event::Established { call, answer } => self.established(call, answer, inputs).await,
            Event::Offered { call, sdp } => self.offered(call, sdp).await,
            Event::Modified { call, answer: Some(answer) } => {
                let accepted = self.accept_answer(call, &answer);
                match accepted {
                    Ok(()) => {}
                    Err(unusable) if self.lines.get(&call).is_some_and(|line| !line.agreed) => {
                        info!(%call, %unusable, "answer refused");
                        inputs.push_back(Input::HungUp { call, how: HangUp::NoUsableAnswer });
                        self.note_refusal(call, 488);
                        told(self.signalling.refuse(call, 488, Some(unusable.warning()), None).await);
                        self.media.close(call);
                    }
                    // The session goes on as it was (RFC 3264 §8): the peer keeps to what it has.
                    Err(unusable) => warn!(%call, %unusable, "answer to our offer not understood"),
                }
            }
            Event::Digit { call, digit, duration_ms } => {
                inputs.push_back(Input::Digit { call, digit, source: DigitSource::Info });
                if duration_ms > 0 {
                    let lasted = Duration::from_millis(duration_ms.into());
                    inputs.push_back(Input::KeyUp { call, source: DigitSource::Info, lasted });
                }
            }
            Event::Ended { call, how, reason } => {
                // The bridge has not heard of a call whose signature is still being verified.
                if let Some(incoming) = self.signatures.give_up(call) {
                    let ending = translate::given_up(how);
                    let mut record = CallRecord::refused(&incoming, ending, Now::read().date);
                    if let Some(line) = self.lines.remove(&call) {
                        record.signalled = line.signalled;
                    }
                    translate::peer_reason(&mut record.signalled, reason);
                    return Some(record);
                }
                if let Some(line) = self.lines.get_mut(&call) {
                    translate::peer_reason(&mut line.signalled, reason);
                }
                inputs.push_back(Input::HungUp { call, how: translate::hang_up(how) });
                self.media.close(call);
            }
            Event::Modified { .. }
            | Event::ChangeRefused { .. }
            // Calls of ours: the service makes none.
            | Event::Progress { .. }
            | Event::Accepted { .. }
            | Event::Rejected { .. } => {}
        }
        None
    }

    async fn incoming(
        &mut self,
        incoming: endpoint::Incoming,
        inputs: &mut VecDeque<Input>,
    ) -> Option<CallRecord> {
        let (call, since) = (incoming.call, Instant::now());
        self.traces.name(call, &incoming.sip_call_id);
        let Some(trunk) = self.trunks.get(&incoming.trunk).cloned() else {
            warn!(%call, trunk = incoming.trunk, "a call over a trunk that is gone");
            told(self.signalling.refuse(call, 403, None, None).await);
            return None;
        };
        let evidence = translate::evidence(&incoming.evidence);
        let believed = translate::believed(&trunk);
        let (known, is_ours) = self.known(&incoming, &trunk);
        let signalled = translate::signalled(&incoming, trunk.country);
        if !is_ours {
            return Some(self.refuse(&known, signalled, Ending::UnknownAccessNumber, None).await);
        }
        if trunk.calls_max.is_some_and(|most| incoming.trunk_calls > most) {
            return Some(self.refuse(&known, signalled, Ending::OverCapacity, None).await);
        }
        if self.media.is_full() {
            metrics::counter!("doorline_overload_total", "queue" => "media-threads").increment(1);
            return Some(self.refuse(&known, signalled, Ending::OverCapacity, None).await);
        }
        let transport = incoming.flow.transport;
        let (offer, media_ip) = match self.usable(incoming.offer.as_deref(), &trunk, &incoming.flow) {
            Ok(usable) => usable,
            Err(unusable) => {
                info!(%call, %unusable, "offer refused");
                return Some(self.refuse(&known, signalled, ending(&unusable), Some(&unusable)).await);
            }
        };
        let request_user = incoming.request_user.as_deref();
        let signed = Signed {
            headers: incoming.evidence.signed,
            called: called(request_user, incoming.to_user.as_deref(), trunk.country),
        };
        let line = Line {
            trunk,
            language: None,
            since,
            signalling_ip: incoming.flow.peer.ip(),
            transport,
            offer,
            media_ip,
            local: None,
            described: None,
            heard: incoming.offer,
            agreed: false,
            reliable: incoming.reliable,
            signalled,
        };
        self.lines.insert(call, line);
        match self.signatures.begin(known, evidence, believed, signed) {
            Some(known) => inputs.push_back(Input::Incoming(known)),
            // Without a description: the leg opens when the call comes in.
            None => told(self.signalling.ring(call, None).await),
        }
        None
    }

    /// The record of a call that signalling refused before anybody was asked.
    fn turned_away(&self, away: TurnedAway) -> Option<CallRecord> {
        let TurnedAway { incoming, status, why } = away;
        let trunk = self.trunks.get(&incoming.trunk)?;
        let (known, _) = self.known(&incoming, trunk);
        let mut record = CallRecord::refused(&known, translate::turned_away(why), Now::read().date);
        record.signalled =
            Signalled { refused_with: Some(status), ..translate::signalled(&incoming, trunk.country) };
        Some(record)
    }

    /// The prompts that this call is spoken to with.
    fn clips(&self, call: CallId) -> &Clips {
        self.packs.of(self.lines.get(&call).and_then(|line| line.language.as_ref()))
    }

    /// What the bridge must know of a call, and whether the dialled number is ours.
    fn known(&self, incoming: &endpoint::Incoming, trunk: &Trunk) -> (Incoming, bool) {
        let evidence = translate::evidence(&incoming.evidence);
        let mut known = Incoming {
            call: incoming.call,
            trunk: trunk.name.clone(),
            trunk_group: trunk.group.clone(),
            access_number: None,
            language: None,
            other_languages: Vec::new(),
            caller: verify::caller(&evidence, &translate::believed(trunk)),
            sip_call_id: incoming.sip_call_id.clone(),
        };
        match self.dialled(incoming.request_user.as_deref(), trunk) {
            Dialled::Ours(number) => {
                known.access_number = Some(number.number.reveal().to_owned());
                known.language = Some(number.language.clone());
                known.other_languages.clone_from(&number.other_languages);
                (known, true)
            }
            Dialled::Any => (known, true),
            Dialled::Unknown => (known, false),
        }
    }

    fn note_refusal(&mut self, call: CallId, status: u16) {
        if let Some(line) = self.lines.get_mut(&call) {
            line.signalled.refused_with = Some(status);
        }
    }

    /// The signature of a call that waits for its verdict is verified: it comes in now.
    pub(super) fn on_verdict(&mut self, call: CallId, verdict: Verdict, inputs: &mut VecDeque<Input>) {
        inputs.extend(self.signatures.end(call, verdict).map(Input::Incoming));
    }

    fn dialled(&self, user: Option<&str>, trunk: &Trunk) -> Dialled<'_> {
        if self.access_numbers.is_empty() {
            return Dialled::Any;
        }
        let number = user.and_then(|user| PhoneNumber::parse(user, trunk.country).ok());
        // Carriers that send the full number without its "+" are common.
        let bare = user.and_then(|user| PhoneNumber::parse(&format!("+{user}"), None).ok());
        self.access_numbers
            .iter()
            .find(|ours| number.as_ref() == Some(&ours.number) || bare.as_ref() == Some(&ours.number))
            .map_or(Dialled::Unknown, Dialled::Ours)
    }

    /// The offer, if a session can come of it, or none where it is ours to make; and where the leg is to
    /// be bound: at our address of the family that the offer names, else of the signalling's.
    fn usable(
        &self,
        sdp: Option<&[u8]>,
        trunk: &Trunk,
        flow: &Flow,
    ) -> Result<(Option<Offer>, IpAddr), offer::Unusable> {
        let is_v4 = |ip: IpAddr| ip.to_canonical().is_ipv4();
        let mut addresses = self.media_addresses.clone();
        addresses.sort_by_key(|ip| is_v4(*ip) != is_v4(flow.peer.ip()));
        let offer = sdp.map(Offer::parse).transpose()?;
        let mut refused = offer::Unusable::Address;
        for (n, ip) in addresses.into_iter().enumerate() {
            let local = self.local(SocketAddr::new(ip, 9), trunk, flow.transport, 0);
            let answered = match &offer {
                Some(offer) => offer::answer(offer, &local, None).map(drop),
                None if local.srtp.required && local.srtp.keys.is_empty() => Err(offer::Unusable::Plain),
                None => Ok(()),
            };
            match answered {
                Ok(()) => return Ok((offer, ip)),
                Err(unusable) if n == 0 => refused = unusable,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// Refuses a call that the bridge has not heard of, and says so in a record.
    async fn refuse(
        &self,
        incoming: &Incoming,
        signalled: Signalled,
        ending: Ending,
        unusable: Option<&offer::Unusable>,
    ) -> CallRecord {
        let status = unusable.map_or(ending.facts().status, offer::Unusable::status);
        let warning = unusable.map(offer::Unusable::warning);
        told(self.signalling.refuse(incoming.call, status, warning, retry_after(status)).await);
        let mut record = CallRecord::refused(incoming, ending, Now::read().date);
        record.signalled = Signalled { refused_with: Some(status), ..signalled };
        record
    }

    async fn established(&mut self, call: CallId, answer: Option<Vec<u8>>, inputs: &mut VecDeque<Input>) {
        if !self.lines.contains_key(&call) {
            return;
        }
        // Without an answer the offer was theirs, and the leg is set up already.
        if let Some(answer) = answer
            && let Err(unusable) = self.accept_answer(call, &answer)
        {
            info!(%call, %unusable, "answer refused");
            inputs.push_back(Input::HungUp { call, how: HangUp::NoUsableAnswer });
            self.end(call, ending(&unusable)).await;
            return;
        }
        inputs.push_back(Input::Answered { call });
    }

    /// A change of the session: hold, resume, another address or codec.
    async fn offered(&mut self, call: CallId, sdp: Option<Vec<u8>>) {
        let Some(line) = self.lines.get_mut(&call) else { return };
        let Some(local) = &line.local else {
            return told(self.signalling.refuse_offer(call, 488, None).await);
        };
        let previous = line.described.as_deref();
        let answered = match &sdp {
            Some(sdp) => Offer::parse(sdp)
                .and_then(|offer| offer::answer(&offer, local, previous))
                .map(|(answer, negotiated)| (answer, Some(negotiated))),
            None => Ok((offer::offer(local, previous, line.heard.as_deref()), None)),
        };
        match answered {
            Ok((description, negotiated)) => {
                line.described = Some(description.clone());
                line.heard = sdp.or(line.heard.take());
                if let Some(negotiated) = negotiated {
                    self.media.configure(
                        call,
                        translate::leg(&negotiated, &line.trunk, self.rate_max, line.signalling_ip),
                    );
                }
                told(self.signalling.accept_offer(call, description).await);
            }
            Err(unusable) => {
                info!(%call, %unusable, "change refused");
                let (status, warning) = (unusable.status(), unusable.warning());
                told(self.signalling.refuse_offer(call, status, Some(warning)).await);
            }
        }
    }

    fn accept_answer(&mut self, call: CallId, answer: &[u8]) -> Result<(), offer::Unusable> {
        let Some(line) = self.lines.get_mut(&call) else { return Ok(()) };
        let ours = line.described.as_deref().unwrap_or_default();
        let negotiated = offer::accept_answer(ours, answer)?;
        line.agreed = true;
        line.heard = Some(answer.to_owned());
        self.media
            .configure(call, translate::leg(&negotiated, &line.trunk, self.rate_max, line.signalling_ip));
        Ok(())
    }

    // -- from media --

    pub(super) async fn on_media(&mut self, event: media::Event, inputs: &mut VecDeque<Input>) {
        inputs.push_back(match event {
            media::Event::RecordingEnded { meeting, why } => {
                metrics::counter!("doorline_recordings_total", "ending" => why.word()).increment(1);
                info!(%meeting, why = why.word(), "recording over");
                return;
            }
            media::Event::Digit { call, digit } => Input::Digit { call, digit, source: DigitSource::Rtp },
            media::Event::KeyUp { call, lasted, tone } => {
                let source = if tone { DigitSource::Inband } else { DigitSource::Rtp };
                Input::KeyUp { call, source, lasted }
            }
            media::Event::Talking { call, on } => {
                self.heard += 1;
                self.talk.push((call, on));
                // Of one that is over, nothing stays.
                if on && self.lines.contains_key(&call) {
                    self.talking.insert(call)
                } else {
                    self.talking.remove(&call)
                };
                return;
            }
            media::Event::Echo { call, on } => {
                self.heard += 1;
                if on && self.lines.contains_key(&call) {
                    self.echoing.insert(call)
                } else {
                    self.echoing.remove(&call)
                };
                info!(%call, on, "the leg sends back what it is sent");
                return;
            }
            media::Event::Measured { call, quality } => {
                if self.lines.contains_key(&call) {
                    self.quality.insert(call, translate::quality(&quality));
                }
                if self.quality_told.elapsed() >= QUALITY_EVERY {
                    self.quality_told = Instant::now();
                    self.heard += 1;
                }
                return;
            }
            media::Event::Tone { call, digit } => Input::Digit { call, digit, source: DigitSource::Inband },
            media::Event::Played { call, playback } => Input::Played { call, playback: PlaybackId(playback) },
            media::Event::MediaLost { call } => Input::MediaLost { call },
            media::Event::Closed { call, quality } => {
                Input::Quality { call, quality: translate::quality(&quality) }
            }
            media::Event::Overload { call } => {
                metrics::counter!("doorline_overload_total", "queue" => "media").increment(1);
                self.end(call, Ending::Overload).await;
                Input::HungUp { call, how: HangUp::Overload }
            }
        });
    }

    // -- from the bridge --

    /// Does what the bridge wants of signalling and media.
    pub(super) async fn carry_out(&mut self, output: Output, inputs: &mut VecDeque<Input>) {
        match output {
            Output::Ring { call } => {
                let reliable = self.lines.get(&call).is_some_and(|line| line.reliable);
                let description = if reliable { self.describe(call, inputs).await } else { None };
                told(self.signalling.ring(call, description).await);
            }
            Output::Answer { call } => self.answer(call, inputs).await,
            Output::Refuse { call, ending } => {
                let status = ending.facts().status;
                self.note_refusal(call, status);
                told(self.signalling.refuse(call, status, None, retry_after(status)).await);
            }
            Output::HangUp { call, ending } => self.end(call, ending).await,
            Output::Play { call, playback, prompts } => {
                self.media.play(call, playback.0, self.clips(call).of(&prompts));
            }
            Output::Speak { call, language } => {
                if let Some(line) = self.lines.get_mut(&call) {
                    line.language = Some(language);
                }
            }
            Output::PlayLoop { call, prompt } => self.media.play_loop(call, self.clips(call).one(prompt)),
            Output::StopPlaying { call } => self.media.stop_playing(call),
            Output::PlayToMeeting { meeting, language, prompts } => {
                self.media.play_to_room(meeting, self.packs.of(language.as_ref()).of(&prompts));
            }
            Output::Join { call, meeting } => self.media.join(call, meeting),
            Output::Leave { call } => self.media.leave(call),
            Output::Mute { call, muted } => self.media.mute(call, muted),
            Output::Record { meeting, on } => self.media.record(meeting, on),
            Output::RecordName { call, most } => self.media.record_name(call, most),
            Output::PlayName { to, playback, of, otherwise } => {
                self.media.play_name(to, playback.0, of, self.clips(to).of(otherwise.as_slice()));
            }
            Output::DropName { call } => self.media.drop_name(call),
            Output::Ask { .. } | Output::Save { .. } | Output::Reply { .. } | Output::News { .. } => {
                unreachable!("the switchboard carries these out itself")
            }
        }
    }

    async fn answer(&mut self, call: CallId, inputs: &mut VecDeque<Input>) {
        let Some(description) = self.describe(call, inputs).await else { return };
        let Some(line) = self.lines.get(&call) else { return };
        let since = line.since;
        told(self.signalling.answer(call, description).await);
        metrics::histogram!("doorline_setup_seconds").record(since.elapsed().as_secs_f64());
    }

    /// Opens the leg, once, and says where it listens: the answer to the caller's offer, or our own.
    async fn describe(&mut self, call: CallId, inputs: &mut VecDeque<Input>) -> Option<Vec<u8>> {
        let line = self.lines.get(&call)?;
        if let Some(described) = &line.described {
            return Some(described.clone());
        }
        let port = match self.media.open_at(call, line.media_ip) {
            Ok(address) => address,
            Err(error) => {
                warn!(%call, %error, "no leg for a call");
                metrics::counter!("doorline_overload_total", "queue" => "ports").increment(1);
                self.note_refusal(call, 503);
                told(self.signalling.refuse(call, 503, None, retry_after(503)).await);
                inputs.push_back(Input::HungUp { call, how: HangUp::Overload });
                return None;
            }
        };
        let local = self.local(port, &line.trunk, line.transport, session_id());
        let line = self.lines.get_mut(&call)?;
        let description = match line.offer.take() {
            Some(offer) => match offer::answer(&offer, &local, None) {
                Ok((answer, negotiated)) => {
                    line.agreed = true;
                    self.media.configure(
                        call,
                        translate::leg(&negotiated, &line.trunk, self.rate_max, line.signalling_ip),
                    );
                    answer
                }
                Err(unusable) => unreachable!("the offer was found good when it came: {unusable}"),
            },
            None => offer::offer(&local, None, None),
        };
        line.local = Some(local);
        line.described = Some(description.clone());
        Some(description)
    }

    /// Ends a call on both sides. What is over already stays over.
    pub(super) async fn end(&mut self, call: CallId, ending: Ending) {
        let facts = ending.facts();
        told(self.signalling.hang_up(call, facts.q850, facts.text).await);
        self.media.close(call);
    }

    /// Our side of a session whose leg listens at `rtp`.
    fn local(&self, rtp: SocketAddr, trunk: &Trunk, transport: Transport, session_id: u64) -> Local {
        let external = trunk.external_address.or(&self.external_address).of(rtp.ip());
        Local {
            rtp: SocketAddr::new(external.unwrap_or(rtp.ip()), rtp.port()),
            rtcp_port: rtp.port() + 1,
            codecs: trunk.codecs.clone(),
            noise: trunk.comfort_noise,
            opus_rate: self.rate_max.hz() as u32,
            events: matches!(trunk.dtmf, DtmfMode::Auto | DtmfMode::Rfc4733),
            rtcp_mux: true,
            srtp: srtp(trunk, transport),
            session_id,
        }
    }
}

/// What a call over this trunk does about encryption: fresh keys of its own, where keys may be given.
fn srtp(trunk: &Trunk, transport: Transport) -> offer::Srtp {
    let may = transport == Transport::Tls || trunk.srtp_over_plain_signalling;
    let keys = if trunk.srtp != SrtpMode::Off && may { fresh_keys() } else { Vec::new() };
    offer::Srtp { keys, required: trunk.srtp == SrtpMode::Require }
}

/// One of each suite, from the system's random source. Without that, none: no call has a key that
/// somebody could know.
fn fresh_keys() -> Vec<MediaKey> {
    let fresh = |suite| {
        let mut random = [0; MediaKey::LENGTH_MAX];
        getrandom::fill(&mut random).map(|()| MediaKey::from_random(suite, random))
    };
    Suite::ALL.into_iter().map(fresh).collect::<Result<_, _>>().unwrap_or_else(|error| {
        warn!(%error, "no random source, so no SRTP");
        Vec::new()
    })
}

fn by_name(trunks: &[Trunk]) -> HashMap<String, Arc<Trunk>> {
    trunks.iter().map(|trunk| (trunk.name.clone(), Arc::new(trunk.clone()))).collect()
}

/// What the dialled number may be written as, for a signature to be about it. To is asked only when the
/// Request-URI names no number: anyone may write any To, and a signature that was overheard on its way to
/// somebody else must not count for us.
fn called(request: Option<&str>, to: Option<&str>, country: Option<Country>) -> Vec<PhoneNumber> {
    let numbers = |user: &str| {
        // Carriers that send the full number without its "+" are common.
        let written = [user.to_owned(), format!("+{}", user.trim_start_matches('+'))];
        written.iter().filter_map(|text| PhoneNumber::parse(text, country).ok()).collect::<Vec<_>>()
    };
    let of_request = request.map(numbers).unwrap_or_default();
    if of_request.is_empty() { to.map(numbers).unwrap_or_default() } else { of_request }
}

/// Signalling that is gone has ended every call already; the switchboard notices by its events.
fn told(_: Result<(), signalling::Gone>) {}

/// What a dialled number is to us.
enum Dialled<'a> {
    Ours(&'a AccessNumber),
    /// No access number is configured: every number is answered.
    Any,
    Unknown,
}

fn ending(unusable: &offer::Unusable) -> Ending {
    if unusable.is_about_encryption() {
        Ending::NoUsableEncryption
    } else if unusable.is_about_addresses() {
        Ending::NoUsableAddress
    } else {
        Ending::NoUsableCodec
    }
}

/// Only an answer that says "later" says when.
fn retry_after(status: u16) -> Option<u32> {
    (status == 503).then_some(RETRY_AFTER)
}

/// Names a session in `o=` (RFC 8866 §5.2): random, so that two never look like one.
fn session_id() -> u64 {
    // From the call-independent source of ids; 62 bits, as some peers read it signed.
    (CallId::fresh().0.as_u128() as u64) >> 2
}
