//! The thread behind a call: one SIP endpoint, one SIP socket, one RTP socket, one loop.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use super::call::{At, Error, Happening, Order, Shared, Who};
use super::fingers::{DigitsBy, Fingers};
use super::listener::{Listener, Noticed};
use super::plan::Plan;
use super::sound::{Sound, Wish};
use super::wire::Wire;
use crate::audio::Codec;
use crate::sip::Farewell;
use crate::sip::Flow;
use crate::sip::endpoint::{Endpoint, Event, HowEnded, Outgoing, Settings};
use crate::sip::offer::{self, Local, Negotiated, Offer};
use crate::sip::trunk::{Believe, DtmfMode, MediaSource, Network, SrtpMode, Trunk};
use crate::sip::wire::{Message, Method};
use crate::types::{CallId, Digit, MediaKey, Suite};

/// Longest sleep, so that orders are heard.
const NAP: Duration = Duration::from_millis(20);

/// How long a BYE of ours may go unanswered before we leave all the same.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Worker {
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    endpoint: Endpoint,
    wire: Wire,
    peer: SocketAddr,
    sound: Sound,
    listener: Listener,
    local: Local,
    codec: Codec,
    call: CallId,
    began: Instant,
    /// The last description we sent, and whether it waits for an answer.
    described: Option<Vec<u8>>,
    /// What was agreed before the answer.
    early: Option<Negotiated>,
    /// What a re-INVITE of ours asks for.
    wanted_hold: Option<bool>,
    heard_reason: Option<String>,
    /// What the other side described last.
    theirs: Option<Vec<u8>>,
    /// Since when we wait for the end.
    leaving: Option<Instant>,
    told_keys: usize,
    over: bool,
}

impl Worker {
    /// Sends the INVITE; the second value is its Call-ID.
    pub fn dial(plan: Plan, shared: Arc<Shared>, orders: Receiver<Order>) -> Result<(Self, String), Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| Error::Socket(std::io::Error::other(error.to_string())))?;
        let number = u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]);
        let mut wire = Wire::open(&plan)?;
        let mut fingers = Fingers::new(plan.digits_by);
        fingers.add(plan.keys.clone());
        let sound = Sound::open(plan.local, plan.codec, plan.voice.clone(), fingers, number)?;
        let rtp = sound.address()?;
        let local = Local {
            rtp,
            rtcp_port: rtp.port(),
            codecs: vec![plan.codec_name()],
            opus_rate: 16_000,
            noise: false,
            events: plan.digits_by != DigitsBy::Inband,
            rtcp_mux: true,
            srtp: srtp(plan.srtp)?,
            session_id: u64::from(number),
        };
        let settings = Settings { is_focus: false, contact_user: "phone".to_owned(), ..Settings::default() };
        let mut endpoint = Endpoint::new(settings, vec![trunk_to(plan.peer)], seed, Box::new(CallId::fresh));
        let began = Instant::now();
        let described = (!plan.late_offer).then(|| offer::offer(&local, None, None));
        let flow = wire.flow(plan.peer);
        let outgoing = Outgoing {
            to: plan.to.clone(),
            flow,
            from: plan.from(),
            headers: plan.headers(),
            sdp: described.clone(),
        };
        let call = endpoint.invite(began, outgoing)?;
        let mut call_id = String::new();
        while let Some(transmit) = endpoint.poll_transmit() {
            if let Ok(Message::Request(request)) =
                crate::sip::wire::parse(&transmit.bytes, crate::sip::wire::Framing::Datagram)
            {
                call_id = request.call_id;
            }
            wire.send(&transmit.bytes, transmit.flow.peer)?;
        }
        let mut worker = Self {
            shared,
            orders,
            endpoint,
            wire,
            peer: plan.peer,
            sound,
            listener: Listener::default(),
            local,
            codec: plan.codec,
            call,
            began,
            described,
            early: None,
            wanted_hold: None,
            heard_reason: None,
            theirs: None,
            leaving: None,
            told_keys: 0,
            over: false,
        };
        worker.tell(Happening::Dialled { call_id: call_id.clone() });
        Ok((worker, call_id))
    }

    pub fn run(mut self) {
        while !self.over {
            self.sleep();
            self.take_orders();
            let now = Instant::now();
            match self.wire.receive() {
                Ok(messages) => {
                    let flow: Flow = self.wire.flow(self.peer);
                    for message in messages {
                        self.note(&message);
                        self.endpoint.receive_message(now, &flow, message);
                        self.flush();
                    }
                }
                Err(error) => self.fail(&format!("the connection broke: {error}")),
            }
            if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
                self.endpoint.handle_timeout(now);
                self.flush();
            }
            self.sound.receive();
            while self.sound.next_tick().is_some_and(|at| at <= now) && !self.over {
                self.tick(now);
            }
            if self.leaving.is_some_and(|since| now > since + PATIENCE) {
                self.end(Happening::Ended { by: Who::Nobody, reason: None });
            }
        }
    }

    /// Until something comes or is due.
    fn sleep(&self) {
        let now = Instant::now();
        let due = [self.sound.next_tick(), self.endpoint.poll_timeout()].into_iter().flatten().min();
        let nap = due.map_or(NAP, |at| at.saturating_duration_since(now).min(NAP));
        let mut sockets = [self.wire.fd(), self.sound.socket().as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // Rounded up, or the last millisecond would be spent spinning.
        let milliseconds = nap.as_micros().div_ceil(1_000) as libc::c_int;
        // SAFETY: the array holds two open descriptors and outlives the call.
        unsafe { libc::poll(sockets.as_mut_ptr(), 2, milliseconds) };
    }

    fn take_orders(&mut self) {
        loop {
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => Order::HangUp,
            };
            let now = Instant::now();
            match order {
                Order::Press(keys) => self.sound.fingers.add(keys),
                Order::Speak(voice) => self.sound.voice = voice,
                Order::Hold(hold) => self.ask_to_hold(now, hold),
                Order::ChangeKey => match srtp(self.plan_srtp()) {
                    Ok(srtp) => {
                        self.local.srtp = srtp;
                        self.ask_to_hold(now, self.sound.holding);
                    }
                    Err(error) => self.fail(&error.to_string()),
                },
                Order::Vanish => return self.end(Happening::Ended { by: Who::Us, reason: None }),
                Order::HangUp if self.leaving.is_some() => return,
                Order::HangUp => {
                    self.leaving = Some(now);
                    self.endpoint.hang_up(
                        now,
                        self.call,
                        Farewell { cause: 16, text: "caller hung up".to_owned() },
                    );
                    self.flush();
                }
            }
        }
    }

    fn plan_srtp(&self) -> Option<Suite> {
        self.local.srtp.keys.first().map(MediaKey::suite)
    }

    fn ask_to_hold(&mut self, now: Instant, hold: bool) {
        let mut sdp = offer::offer(&self.local, self.described.as_deref(), self.theirs.as_deref());
        if hold {
            sdp = String::from_utf8_lossy(&sdp).replace("a=sendrecv", "a=sendonly").into_bytes();
        }
        self.described = Some(sdp.clone());
        self.wanted_hold = Some(hold);
        self.endpoint.reinvite(now, self.call, sdp);
        self.flush();
    }

    /// What the endpoint does not tell: why the other side says BYE.
    fn note(&mut self, message: &Result<Message, crate::sip::wire::Fault>) {
        if let Ok(Message::Request(request)) = message
            && request.method == Method::Bye
        {
            self.heard_reason = request.headers.get("Reason").map(str::to_owned);
        }
    }

    /// Carries out what the endpoint wants, until it wants no more.
    fn flush(&mut self) {
        loop {
            while let Some(transmit) = self.endpoint.poll_transmit() {
                if let Err(error) = self.wire.send(&transmit.bytes, transmit.flow.peer) {
                    self.fail(&format!("a message could not be sent: {error}"));
                }
            }
            let Some(event) = self.endpoint.poll_event() else { return };
            self.on(event);
        }
    }

    fn on(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Progress { status, sdp, .. } => {
                self.tell(Happening::Progress { status });
                self.described_early(now, sdp.as_deref());
            }
            Event::Accepted { sdp, .. } => self.accepted(now, sdp.as_deref()),
            Event::Rejected { status, reason, .. } => self.end(Happening::Refused { status, reason }),
            Event::Offered { sdp, .. } => self.offered(now, sdp.as_deref()),
            Event::Modified { answer, .. } => {
                if let (Some(ours), Some(answer)) = (&self.described, &answer)
                    && let Ok(agreed) = offer::accept_answer(ours, answer)
                {
                    self.sound.agree(agreed);
                    self.theirs = Some(answer.clone());
                }
                if let Some(hold) = self.wanted_hold.take() {
                    self.sound.holding = hold;
                    self.shared.change(|state| state.holding = hold);
                }
                self.tell(Happening::Changed { holding: self.sound.holding });
            }
            Event::ChangeRefused { status, .. } => {
                self.wanted_hold = None;
                self.tell(Happening::ChangeRefused { status });
            }
            Event::Ended { how, .. } => {
                let by = match how {
                    HowEnded::ByPeer => Who::Them,
                    HowEnded::ByUs | HowEnded::Cancelled => Who::Us,
                    _ => Who::Nobody,
                };
                let reason = self.heard_reason.take();
                self.end(Happening::Ended { by, reason });
            }
            // Nobody calls a phone of ours, and keys are for the service.
            Event::Incoming(_)
            | Event::TurnedAway(_)
            | Event::Established { .. }
            | Event::NotDone { .. }
            | Event::Digit { .. } => {}
        }
    }

    /// A description before the answer: theirs to our offer, or an offer that is to be answered.
    fn described_early(&mut self, now: Instant, sdp: Option<&[u8]>) {
        let Some(theirs) = sdp else { return };
        self.theirs = Some(theirs.to_owned());
        if let Some(ours) = &self.described {
            self.early = offer::accept_answer(ours, theirs).ok().or(self.early.take());
        } else if let Ok((ours, agreed)) =
            Offer::parse(theirs).and_then(|theirs| offer::answer(&theirs, &self.local, None))
        {
            self.endpoint.ack(now, self.call, Some(ours.clone()));
            self.described = Some(ours);
            self.early = Some(agreed);
        }
    }

    fn accepted(&mut self, now: Instant, sdp: Option<&[u8]>) {
        self.theirs = sdp.map(<[u8]>::to_owned).or(self.theirs.take());
        let theirs = sdp.unwrap_or_default();
        let agreed = match (&self.described, self.early.take()) {
            // All was said before.
            (Some(_), Some(agreed)) if sdp.is_none() => Ok(agreed),
            (Some(ours), _) => {
                // The answer to our offer; its ACK has no body.
                let agreed = offer::accept_answer(ours, theirs);
                self.endpoint.ack(now, self.call, None);
                agreed
            }
            (None, _) => Offer::parse(theirs)
                .and_then(|theirs| offer::answer(&theirs, &self.local, None))
                .map(|(ours, agreed)| {
                    self.endpoint.ack(now, self.call, Some(ours.clone()));
                    self.described = Some(ours);
                    agreed
                }),
        };
        match agreed {
            Ok(agreed) => self.begin(now, agreed),
            Err(error) => {
                self.tell(Happening::Failed { error: format!("the session they describe: {error}") });
                self.endpoint.hang_up(now, self.call, Farewell { cause: 88, text: "no session".to_owned() });
            }
        }
    }

    fn begin(&mut self, now: Instant, agreed: Negotiated) {
        let codec = self.codec.name();
        let suite = agreed.srtp.as_ref().map(|keys| keys.ours.suite());
        let (keys_by_rtp, srtp) = (agreed.event_payload_type.is_some(), suite.map(Suite::name));
        self.tell(Happening::Answered { codec, keys_by_rtp, srtp });
        self.shared.change(|state| (state.answered, state.srtp) = (true, suite));
        self.sound.agree(agreed);
        self.sound.start(now);
    }

    /// The other side changes the session: whatever it wants, if there is sound in it.
    fn offered(&mut self, now: Instant, sdp: Option<&[u8]>) {
        let previous = self.described.as_deref();
        let ours = match sdp {
            None => Ok(offer::offer(&self.local, previous, self.theirs.as_deref())),
            Some(theirs) => Offer::parse(theirs)
                .and_then(|theirs| offer::answer(&theirs, &self.local, previous))
                .map(|(ours, agreed)| {
                    self.sound.agree(agreed);
                    ours
                }),
        };
        match ours {
            Ok(ours) => {
                self.described = Some(ours.clone());
                self.theirs = sdp.map(<[u8]>::to_owned).or(self.theirs.take());
                self.endpoint.accept_offer(now, self.call, ours);
            }
            Err(error) => self.endpoint.refuse_offer(now, self.call, error.status(), Some(&error.warning())),
        }
    }

    fn tick(&mut self, now: Instant) {
        match self.sound.tick() {
            Some(Wish::Info(digit)) => {
                self.endpoint.send_info(now, self.call, "application/dtmf-relay", relay(digit));
                self.flush();
            }
            Some(Wish::NoEvents) => {
                self.tell(Happening::Failed {
                    error: "keys by RTP, but they take no telephone events".to_owned(),
                });
            }
            None => {}
        }
        for noticed in self.listener.listen(self.sound.heard.samples()) {
            self.tell(match noticed {
                Noticed::SoundBegan => Happening::SoundBegan,
                Noticed::SoundEnded => Happening::SoundEnded,
                Noticed::Tone(hz) => Happening::Tone { hz },
            });
        }
        let pressing = !self.sound.fingers.are_idle();
        let pressed = self.sound.fingers.pressed;
        if !pressing && pressed > self.told_keys {
            self.told_keys = pressed;
            self.tell(Happening::KeysSent { count: pressed });
        }
        let sound = &self.sound;
        self.shared.change(|state| {
            state.heard.extend_from_slice(&sound.heard.samples()[state.heard.len()..]);
            state.spoken.extend_from_slice(&sound.spoken[state.spoken.len()..]);
            state.arrivals.extend_from_slice(&sound.heard.arrivals()[state.arrivals.len()..]);
            state.pressed_at.extend_from_slice(&sound.pressed_at[state.pressed_at.len()..]);
            state.packets_heard = sound.heard.packets();
            state.packets_lost = sound.packets_lost();
            state.packets_rejected = sound.rejected;
            state.reports_heard = sound.reports_heard();
            state.pressing = pressing;
            state.pressed = pressed;
        });
    }

    fn tell(&mut self, happening: Happening) {
        let ms = self.began.elapsed().as_millis() as u64;
        self.shared.change(|state| state.happenings.push(At { ms, happening }));
    }

    fn end(&mut self, last: Happening) {
        if !self.over {
            self.over = true;
            self.tell(last.clone());
            self.shared.change(|state| state.over = Some(last));
        }
    }

    fn fail(&mut self, error: &str) {
        self.end(Happening::Failed { error: error.to_owned() });
    }
}

/// The service is the one trunk of the phone's endpoint.
fn trunk_to(peer: SocketAddr) -> Trunk {
    let network: Network = peer.ip().to_string().parse().expect("an address is a block of one");
    Trunk {
        name: "service".to_owned(),
        allow: vec![network],
        tls_names: Vec::new(),
        believe: Believe::None,
        country: None,
        codecs: Vec::new(),
        dtmf: DtmfMode::default(),
        srtp: SrtpMode::default(),
        srtp_over_plain_signalling: false,
        media_source: MediaSource::default(),
        calls_max: None,
        ..Trunk::default()
    }
}

/// A key of our own for the suite, and nothing without it.
fn srtp(suite: Option<Suite>) -> Result<offer::Srtp, Error> {
    let Some(suite) = suite else { return Ok(offer::Srtp::default()) };
    let mut random = [0; MediaKey::LENGTH_MAX];
    getrandom::fill(&mut random).map_err(|error| Error::Socket(std::io::Error::other(error.to_string())))?;
    Ok(offer::Srtp { keys: vec![MediaKey::from_random(suite, random)], required: true })
}

/// The body of an INFO as `application/dtmf-relay` has it.
fn relay(digit: Digit) -> Vec<u8> {
    format!("Signal={}\r\nDuration=160\r\n", digit.as_char()).into_bytes()
}
