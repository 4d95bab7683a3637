//! One call as the caller sees it: dial, press, speak, listen, hang up. A thread of its own moves the
//! packets; whoever holds the [`Call`] waits for what happens.

use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::keys::Keys;
use super::plan::Plan;
use super::tone::{RATE, level};
use super::voice::Voice;
use super::worker::Worker;
use crate::types::Suite;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Happening {
    Dialled {
        call_id: String,
    },
    /// A provisional answer: 180, 183.
    Progress {
        status: u16,
    },
    /// 200 and our ACK.
    Answered {
        codec: &'static str,
        keys_by_rtp: bool,
        /// The suite that encrypts the sound.
        #[serde(skip_serializing_if = "Option::is_none")]
        srtp: Option<&'static str>,
    },
    /// Sound, or silence for most of a second, after the other.
    SoundBegan,
    SoundEnded,
    Tone {
        hz: u32,
    },
    /// All keys so far are pressed.
    KeysSent {
        count: usize,
    },
    /// Ours or theirs; `holding` is ours.
    Changed {
        holding: bool,
    },
    ChangeRefused {
        status: u16,
    },
    Refused {
        status: u16,
        reason: String,
    },
    /// BYE from us or them; `reason` is what it said (RFC 3326).
    Ended {
        by: Who,
        reason: Option<String>,
    },
    /// Something did not work: the network, or what we were told to do.
    Failed {
        error: String,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    Us,
    Them,
    /// The connection broke or the other side does not know the call.
    Nobody,
}

/// With its time since the call was dialled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct At {
    pub ms: u64,
    #[serde(flatten)]
    pub happening: Happening,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no socket for the call: {0}")]
    Socket(#[from] std::io::Error),
    #[error("the call could not be made: {0}")]
    Dial(#[from] crate::sip::endpoint::CannotCall),
    #[error("{what} not within {limit:?}")]
    TimedOut { what: &'static str, limit: Duration },
    #[error("the call is over: {0}")]
    Over(Happening),
}

/// What the thread and the holder share.
#[derive(Default)]
pub(super) struct State {
    pub happenings: Vec<At>,
    pub heard: Vec<i16>,
    pub spoken: Vec<i16>,
    pub arrivals: Vec<(usize, Instant)>,
    pub pressed_at: Vec<Instant>,
    pub answered: bool,
    pub holding: bool,
    /// Keys that were ordered and that are done, and whether fingers are at something.
    pub ordered: usize,
    pub pressed: usize,
    pub pressing: bool,
    pub packets_heard: u64,
    pub packets_lost: u64,
    pub packets_rejected: u64,
    pub reports_heard: u64,
    pub srtp: Option<Suite>,
    /// The last happening, once there is one that ends the call.
    pub over: Option<Happening>,
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) enum Order {
    Press(Keys),
    Speak(Voice),
    Hold(bool),
    ChangeKey,
    HangUp,
    /// The holder is gone: end at once, without a BYE.
    Vanish,
}

/// A call that goes on until it is hung up or dropped, which hangs it up too.
pub struct Call {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
    call_id: String,
    dialled: Instant,
}

impl Call {
    /// Sends the INVITE. All else happens by itself.
    ///
    /// # Errors
    /// When there is no socket for it.
    pub fn dial(plan: Plan) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        shared.change(|state| state.ordered = plan.keys.presses());
        let (orders, received) = channel();
        let dialled = Instant::now();
        let (worker, call_id) = Worker::dial(plan, Arc::clone(&shared), received)?;
        let thread = std::thread::Builder::new()
            .name("phone".to_owned())
            .spawn(move || worker.run())
            .map_err(Error::Socket)?;
        Ok(Self { shared, orders, thread: Some(thread), call_id, dialled })
    }

    /// The `Call-ID` of its dialog, as the service's record has it.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    // -- what the caller does --

    /// Presses more keys, after those that are being pressed.
    pub fn press(&self, keys: Keys) {
        self.shared.change(|state| state.ordered += keys.presses());
        self.order(Order::Press(keys));
    }

    pub fn speak(&self, voice: Voice) {
        self.order(Order::Speak(voice));
    }

    /// Holds by re-INVITE (`sendonly`), or takes the call off hold.
    pub fn hold(&self, hold: bool) {
        self.order(Order::Hold(hold));
    }

    /// Takes another SRTP key from now on, by re-INVITE; [`Happening::Changed`] says that it is agreed.
    pub fn change_key(&self) {
        self.order(Order::ChangeKey);
    }

    /// BYE, or CANCEL before the answer.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// Stops at once without a word, as a phone whose battery is empty.
    pub fn vanish(&self) {
        self.order(Order::Vanish);
    }

    // -- what the caller waits for --

    /// # Errors
    /// When the call is refused or over before, or it takes longer.
    pub fn wait_for_answer(&self, limit: Duration) -> Result<(), Error> {
        self.wait("an answer", limit, |state| state.answered)
    }

    /// Until all keys are pressed.
    ///
    /// # Errors
    /// When the call ends before, or it takes longer.
    pub fn wait_for_keys(&self, limit: Duration) -> Result<(), Error> {
        self.wait("the last key", limit, |state| state.pressed >= state.ordered && !state.pressing)
    }

    /// Until a hold or its end is agreed.
    ///
    /// # Errors
    /// When the call ends before, or it takes longer.
    pub fn wait_for_hold(&self, hold: bool, limit: Duration) -> Result<(), Error> {
        self.wait("the other side's word on the hold", limit, |state| state.holding == hold)
    }

    /// Until the sine of `hz` is louder than `level_db` in the last 400 ms.
    ///
    /// # Errors
    /// When the call ends before, or it takes longer.
    pub fn wait_for_tone(&self, hz: f64, level_db: f64, limit: Duration) -> Result<(), Error> {
        const WINDOW: usize = RATE as usize * 2 / 5;
        let mut judged = 0;
        self.wait("the tone", limit, |state| {
            // A tenth of a second at a time: the filter costs more than the waiting.
            if state.heard.len() < judged + WINDOW / 4 || state.heard.len() < WINDOW {
                return false;
            }
            judged = state.heard.len();
            level(&state.heard[judged - WINDOW..], hz) > level_db
        })
    }

    /// Until something happens that `wanted` picks, also when it has happened already.
    ///
    /// # Errors
    /// When the call ends before, or it takes longer.
    pub fn wait_for(&self, limit: Duration, wanted: impl Fn(&Happening) -> bool) -> Result<(), Error> {
        self.wait("what was waited for", limit, |state| {
            state.happenings.iter().any(|at| wanted(&at.happening))
        })
    }

    /// How the call ended.
    ///
    /// # Errors
    /// When it goes on for longer.
    pub fn wait_for_end(&self, limit: Duration) -> Result<Happening, Error> {
        match self.wait("the end of the call", limit, |_| false) {
            Err(Error::Over(last)) => Ok(last),
            Err(error) => Err(error),
            Ok(()) => unreachable!("nothing but the end is waited for"),
        }
    }

    // -- what there is to see and hear --

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.state().over.is_some()
    }

    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.shared.state().answered
    }

    #[must_use]
    pub fn happenings(&self) -> Vec<At> {
        self.shared.state().happenings.clone()
    }

    /// How many samples (8 kHz) have been heard: a mark for [`Call::heard_since`].
    #[must_use]
    pub fn heard_so_far(&self) -> usize {
        self.shared.state().heard.len()
    }

    #[must_use]
    pub fn heard(&self) -> Vec<i16> {
        self.heard_since(0)
    }

    /// What was heard from a mark on.
    #[must_use]
    pub fn heard_since(&self, mark: usize) -> Vec<i16> {
        let state = self.shared.state();
        state.heard[mark.min(state.heard.len())..].to_vec()
    }

    /// When each key was pressed by RTP or INFO: the time of its first packet.
    #[must_use]
    pub fn pressed_at(&self) -> Vec<Instant> {
        self.shared.state().pressed_at.clone()
    }

    /// When the packet came that has this sample of what was heard.
    #[must_use]
    pub fn arrived_at(&self, sample: usize) -> Option<Instant> {
        let arrivals = &self.shared.state().arrivals;
        let after = arrivals.partition_point(|(at, _)| *at <= sample);
        after.checked_sub(1).map(|last| arrivals[last].1)
    }

    /// The first sample of what was heard that came at this time or later.
    #[must_use]
    pub fn heard_by(&self, time: Instant) -> Option<usize> {
        self.shared.state().arrivals.iter().find(|(_, came)| *came >= time).map(|(at, _)| *at)
    }

    /// What was sent as sound.
    #[must_use]
    pub fn spoken(&self) -> Vec<i16> {
        self.shared.state().spoken.clone()
    }

    /// How long nothing but silence has been heard since there was sound; `None` while there is sound
    /// or when there was none yet.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        let state = self.shared.state();
        let last = state.happenings.iter().rev().find_map(|at| match at.happening {
            Happening::SoundBegan => Some(None),
            Happening::SoundEnded => Some(Some(Duration::from_millis(at.ms))),
            _ => None,
        });
        last.flatten().map(|since| self.dialled.elapsed().saturating_sub(since))
    }

    /// Gaps in the sequence numbers of what was heard.
    #[must_use]
    pub fn packets_lost(&self) -> u64 {
        self.shared.state().packets_lost
    }

    /// Packets of sound that were heard.
    #[must_use]
    pub fn packets_heard(&self) -> u64 {
        self.shared.state().packets_heard
    }

    /// The suite that encrypts the sound.
    #[must_use]
    pub fn srtp(&self) -> Option<Suite> {
        self.shared.state().srtp
    }

    /// Packets that were not authentic, or came again.
    #[must_use]
    pub fn packets_rejected(&self) -> u64 {
        self.shared.state().packets_rejected
    }

    /// RTCP reports of the other side about our packets.
    #[must_use]
    pub fn reports_heard(&self) -> u64 {
        self.shared.state().reports_heard
    }

    fn order(&self, order: Order) {
        // The thread may have ended with the call; then there is nothing left to order.
        let _ = self.orders.send(order);
    }

    fn wait(
        &self,
        what: &'static str,
        limit: Duration,
        mut done: impl FnMut(&State) -> bool,
    ) -> Result<(), Error> {
        let end = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            if done(&state) {
                return Ok(());
            }
            if let Some(last) = &state.over {
                return Err(Error::Over(last.clone()));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut { what, limit });
            }
            state = self.shared.changed.wait_timeout(state, left).expect(NO_PANIC).0;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(thread) = self.thread.take() {
            // It gives up its BYE soon; a panic in it has been printed.
            let _ = thread.join();
        }
    }
}

const NO_PANIC: &str = "nobody panics while holding the call's state";

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialled { call_id } => write!(f, "dialled, Call-ID {call_id}"),
            Self::Progress { status } => write!(f, "{status}"),
            Self::Answered { codec, keys_by_rtp, srtp } => {
                write!(
                    f,
                    "200, answered: {codec}, telephone events {}, {}",
                    if *keys_by_rtp { "on" } else { "off" },
                    srtp.unwrap_or("not encrypted")
                )
            }
            Self::SoundBegan => f.write_str("sound heard"),
            Self::SoundEnded => f.write_str("silence"),
            Self::Tone { hz } => write!(f, "tone of {hz} Hz heard"),
            Self::KeysSent { count } => write!(f, "keys sent: {count}"),
            Self::Changed { holding: true } => f.write_str("on hold"),
            Self::Changed { holding: false } => f.write_str("session changed"),
            Self::ChangeRefused { status } => write!(f, "change refused: {status}"),
            Self::Refused { status, reason } => write!(f, "refused: {status} {reason}"),
            Self::Ended { by: Who::Us, .. } => f.write_str("BYE from us"),
            Self::Ended { by: Who::Them, reason: None } => f.write_str("BYE from them"),
            Self::Ended { by: Who::Them, reason: Some(reason) } => write!(f, "BYE from them: {reason}"),
            Self::Ended { by: Who::Nobody, .. } => f.write_str("call lost"),
            Self::Failed { error } => write!(f, "failed: {error}"),
        }
    }
}
