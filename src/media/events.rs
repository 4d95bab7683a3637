//! What comes back from the media threads: events for the call's flow, and memory to be freed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rtrb::Consumer;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::engine::Shared;
use super::line::Line;
use super::recording::{RecordingEnd, Tape};
use super::room::{Parcel, Room};
use crate::audio::leg::Quality;
use crate::audio::{Denoiser, Playback, Take, opus};
use crate::rtp::Srtp;
use crate::types::{CallId, Digit, MeetingId};

/// One thing that happened to a leg.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A key, once per press.
    Digit { call: CallId, digit: Digit },
    /// A key that was a tone in the sound, once per press; only of legs that listen for those.
    Tone { call: CallId, digit: Digit },
    /// Somebody in a room begins or ceases to talk: after 60 ms of speech, and 0.8 s after its end.
    Talking { call: CallId, on: bool },
    /// The key that was pressed last has been released, after so long; where its end was lost nobody knows.
    /// `tone`: it was heard in the sound.
    KeyUp { call: CallId, lasted: Duration, tone: bool },
    /// A leg begins or ceases to send back what it is sent.
    Echo { call: CallId, on: bool },
    /// How a leg in a room has sounded so far: every few seconds, and left out when there is no room.
    Measured { call: CallId, quality: Quality },
    /// A playback is over: played to its end, stopped, or ended with its leg. Once for each.
    Played { call: CallId, playback: u64 },
    /// Nothing came for a minute, neither RTP nor RTCP, and the leg is not on hold.
    MediaLost { call: CallId },
    /// The last event of a leg.
    Closed { call: CallId, quality: Quality },
    /// An order for this leg found no room and was not carried out. End the call.
    Overload { call: CallId },
    /// A recording is over, and its file is whole: once for each that began, and for each that could not.
    RecordingEnded { meeting: MeetingId, why: RecordingEnd },
}

/// What a worker gives back, to be freed outside the tick.
pub enum Returned {
    Line(Box<Line>),
    Playback(Playback),
    Room(Box<Room>),
    Parcel(Box<Parcel>),
    Members(Vec<u32>),
    Srtp(Box<Srtp>),
    Tape(Box<Tape>),
    Opus(opus::Encoder, opus::Decoder),
    Turns(opus::Turns),
    Denoiser(Box<Denoiser>),
    /// A name that was said on this call.
    Name(CallId, Take),
}

impl Returned {
    /// Somebody waits for those; the rest is fetched in passing.
    pub(super) fn is_line(&self) -> bool {
        matches!(self, Self::Line(_))
    }
}

/// Wakes the reader of the events: an eventfd, because ringing it neither blocks nor allocates.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    pub fn new() -> io::Result<Self> {
        // SAFETY: creates a descriptor that nobody else has yet.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn ring(&self) {
        let one = 1_u64;
        // SAFETY: writes eight bytes from a u64. It can fail only when it has rung 2^64 times.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    fn silence(fd: &OwnedFd) {
        let mut count = 0_u64;
        // SAFETY: reads eight bytes into a u64.
        unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    fn listener(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

/// What one worker tells, with the time of each event, and what it gives back.
type Told = (Consumer<(Duration, Event)>, Consumer<Returned>);

/// The reading end; there is one.
pub struct Events {
    rings: Vec<Told>,
    ready: VecDeque<Event>,
    bell: OwnedFd,
    /// Made on first use, inside a runtime.
    waiting: Option<AsyncFd<OwnedFd>>,
    shared: Arc<Shared>,
}

impl Events {
    pub(super) fn new(rings: Vec<Told>, bell: &Bell, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self { rings, ready: VecDeque::new(), bell: bell.listener()?, waiting: None, shared })
    }

    /// The next event; waits for one. Cancelling it loses nothing.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            if self.waiting.is_none() {
                let fd = self.bell.try_clone().expect("a descriptor can be duplicated");
                // SAFETY: an OwnedFd keeps its descriptor open and the same for as long as it lives.
                let waiting = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
                self.waiting = Some(waiting.expect("a runtime with I/O is running"));
            }
            let waiting = self.waiting.as_ref().expect("made above");
            // With orders put off because a ring was full, look again soon.
            let pause = if self.shared.has_put_off() { 5 } else { 1_000 };
            tokio::select! {
                rung = waiting.readable() => {
                    if let Ok(mut rung) = rung {
                        Bell::silence(&self.bell);
                        rung.clear_ready();
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            }
        }
    }

    /// The next event if there is one now. Also frees what came back and gives back ports.
    pub fn try_next(&mut self) -> Option<Event> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        self.shared.take_refused(&mut self.ready);
        // Lines first: by then all that happened to them, on whatever worker, is in the other rings.
        let mut lines = Vec::new();
        for (_, returned) in &mut self.rings {
            while let Ok(what) = returned.pop() {
                match what {
                    Returned::Line(line) => lines.push(line),
                    Returned::Playback(over) => drop(over),
                    Returned::Room(over) => drop(over),
                    Returned::Parcel(emptied) => drop(emptied),
                    Returned::Members(outgrown) => drop(outgrown),
                    Returned::Srtp(before) => drop(before),
                    Returned::Tape(over) => drop(over),
                    Returned::Opus(encoder, decoder) => drop((encoder, decoder)),
                    Returned::Turns(over) => drop(over),
                    Returned::Denoiser(denoiser) => drop(denoiser),
                    Returned::Name(call, take) => self.shared.name_said(call, take),
                }
            }
        }
        // Until a round brings nothing: what happened before something that was found is found too,
        // and a line's keys stay in order though it moves from one worker to another.
        let mut found: Vec<(Duration, Event)> = Vec::new();
        loop {
            let before = found.len();
            for (events, _) in &mut self.rings {
                while let Ok(event) = events.pop() {
                    found.push(event);
                }
            }
            if found.len() == before {
                break;
            }
        }
        found.sort_by_key(|(at, _)| *at);
        self.ready.extend(found.into_iter().map(|(_, event)| event));
        for line in lines {
            self.shared.closed(line, &mut self.ready);
        }
        self.ready.pop_front()
    }
}
