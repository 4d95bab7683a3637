//! The way of one caller, as a table: *in this state, on this event, do this, go there*.
//!
//! [`next`] takes the state by value, so nothing half-changed can stay behind, and each state owns
//! its deadline: leave the state and the timer is gone. What follows for others (tones, a meeting
//! that is deserted) is put on the desk's list and done after.

use std::time::{Duration, Instant};

use crate::bridge::admission::{Proof, Verdict};
use crate::bridge::call::Call;
use crate::bridge::call::collect::{Collector, Pressed};
use crate::bridge::call::menu::{self, Action};
use crate::bridge::desk::{Asker, Desk};
use crate::bridge::input::{HangUp, Quality};
use crate::bridge::meeting::Row;
use crate::bridge::prompt::Number;
use crate::bridge::snapshot::{Entered, Role};
use crate::bridge::view::{HostView, Known, MeetingKind};
use crate::bridge::{Answer, Ending, Output, PlaybackId, Prompt, Question, QuestionId, verify};
use crate::types::{Code, Digit, HostId, MeetingId, PhoneNumber, Pin, Trust};

/// Most time from the answer until a caller is admitted.
pub(crate) const HOLD: Duration = Duration::from_secs(90);
/// For the first key, from the prompt's end on.
const FIRST_KEY: Duration = Duration::from_secs(6);
/// For each further key.
const NEXT_KEY: Duration = Duration::from_secs(5);
/// From the last key to the verdict, right or wrong: its time must tell nothing.
const VERDICT: Duration = Duration::from_millis(1_200);
/// From the last key of a PIN to the question for the code, whether there is such a PIN or not.
const CODE_ASKED: Duration = Duration::from_millis(300);
/// For an answer from the store. The caller hears nothing meanwhile.
const STORE_TIME: Duration = Duration::from_secs(6);
/// For the look-up of the caller's number, which is asked long before the answer.
const LOOK_UP_TIME: Duration = Duration::from_secs(2);
/// For a room's write, which may have to wait for one before it.
const OPENING_TIME: Duration = Duration::from_secs(45);
/// For "welcome back", which takes a second.
const WELCOME_TIME: Duration = Duration::from_secs(5);
/// For prompts whose end is not reported: longer than any.
const PROMPT_TIME: Duration = Duration::from_secs(30);
/// For our BYE, the answer to our 200, and the like: longer than 64·T1 (RFC 3261 §17.1.1.1).
const SIGNALLING_TIME: Duration = Duration::from_secs(40);
/// For the leg's figures after the call.
const FIGURES_TIME: Duration = Duration::from_secs(2);
/// Between two reassurances while waiting.
const REASSURANCE: Duration = Duration::from_secs(45);
/// For the key after `*` in a meeting.
const MENU_TIME: Duration = Duration::from_secs(5);
const CODE_LENGTH: usize = 4;

/// Where a call is.
#[derive(Debug)]
pub(crate) enum State {
    /// Our 200 is on its way. `look_up` is under way until `looked_up`.
    Ringing {
        look_up: Option<QuestionId>,
        until: Instant,
    },
    /// Answered; we do not know yet whether this phone is remembered.
    Identifying {
        look_up: QuestionId,
        until: Instant,
    },
    /// "Welcome back" to a remembered caller. `*` takes them elsewhere.
    WelcomingKnown {
        host: Box<HostView>,
        playback: PlaybackId,
        until: Instant,
    },
    AskingPin {
        entry: Collector,
        patience: Patience,
    },
    /// `found` when the store has answered: `Some(None)` is a PIN that does not exist.
    CheckingPin {
        question: Option<QuestionId>,
        found: Option<Option<Box<HostView>>>,
        last_key: Instant,
        until: Instant,
    },
    AskingCode {
        about: About,
        entry: Collector,
        patience: Patience,
    },
    /// `proved` when the store has answered.
    CheckingCode {
        about: About,
        question: Option<QuestionId>,
        proved: Option<Option<MeetingId>>,
        last_key: Instant,
        until: Instant,
    },
    /// A meeting must be opened or closed first; then the caller is judged again.
    Opening {
        host: Box<HostView>,
        proof: Proof,
        until: Instant,
    },
    Waiting {
        host: Box<HostView>,
        proof: Proof,
        meeting: MeetingId,
        remind: Instant,
        until: Instant,
    },
    /// `star`: `*` was pressed, and the next key is a command until then.
    InMeeting {
        host: Box<HostView>,
        meeting: MeetingId,
        role: Role,
        star: Option<Instant>,
    },
    /// The good-bye plays.
    Leaving {
        ending: Ending,
        playback: PlaybackId,
        until: Instant,
    },
    /// We hung up and wait until the wire says so.
    HangingUp {
        ending: Ending,
        until: Instant,
    },
    /// Over on the wire; the leg's figures may still come.
    Over {
        until: Instant,
    },
    /// Nothing more will happen: the record can be written.
    Gone,
}

/// How long we wait for a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// The prompt plays; the instant is for the case that nobody reports its end.
    Prompt(PlaybackId, Instant),
    Until(Instant),
}

impl Patience {
    fn deadline(self) -> Instant {
        match self {
            Self::Prompt(_, at) | Self::Until(at) => at,
        }
    }
}

/// Whose code is asked, and what it rests on.
#[derive(Debug)]
pub(crate) enum About {
    /// The PIN that was just typed; `None` if there is no such PIN. Never told before the verdict.
    Typed(Option<Box<HostView>>),
    /// The caller is known or was in this host's room before: only the code is missing. The
    /// prompt asks for it.
    Proved(Box<HostView>, Prompt),
}

impl About {
    fn host(&self) -> Option<&HostView> {
        match self {
            Self::Typed(host) => host.as_deref(),
            Self::Proved(host, _) => Some(host),
        }
    }

    fn prompt(&self) -> Prompt {
        match self {
            Self::Typed(_) => Prompt::EnterCode,
            Self::Proved(_, prompt) => *prompt,
        }
    }
}

/// What happens to one call.
#[derive(Debug)]
pub(crate) enum Event {
    Answered,
    Key(Digit, Instant),
    Played(PlaybackId),
    MediaLost,
    Quality(Quality),
    HungUp(HangUp),
    Answer(QuestionId, Answer),
    /// The state's deadline has come.
    Tick,
    /// The host's room changed. `opened`: this meeting is live now.
    Rejudge {
        opened: Option<MeetingId>,
    },
    /// The room's write did not succeed.
    WriteFailed,
    /// The meeting the caller is in or waits for is over. `follow`: they may go to the live one.
    MeetingOver {
        ending: Ending,
        follow: bool,
    },
    /// The host whose room this is was deleted.
    HostRemoved,
    /// The moderator removed this caller.
    Removed {
        forget: bool,
    },
    /// The moderator muted or unmuted this caller.
    Muted(bool),
    /// This phone is remembered by that host now.
    Remembered(HostId),
    /// The answer to `*9`; whether it worked.
    Forgotten(bool),
}

impl State {
    /// The name in records, the API and the console.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ringing { .. } => "ringing",
            Self::Identifying { .. } => "identifying",
            Self::WelcomingKnown { .. } => "welcoming",
            Self::AskingPin { .. } => "asking-pin",
            Self::CheckingPin { .. } | Self::CheckingCode { .. } => "checking",
            Self::AskingCode { .. } => "asking-code",
            Self::Opening { .. } => "opening",
            Self::Waiting { .. } => "waiting",
            Self::InMeeting { .. } => "in-meeting",
            Self::Leaving { .. } => "leaving",
            Self::HangingUp { .. } => "hanging-up",
            Self::Over { .. } | Self::Gone => "over",
        }
    }

    /// Not admitted yet: these calls have a limit of their own.
    pub(crate) const fn is_entering(&self) -> bool {
        matches!(
            self,
            Self::Ringing { .. }
                | Self::Identifying { .. }
                | Self::WelcomingKnown { .. }
                | Self::AskingPin { .. }
                | Self::CheckingPin { .. }
                | Self::AskingCode { .. }
                | Self::CheckingCode { .. }
                | Self::Opening { .. }
        )
    }

    /// There is nobody on the line any more.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over { .. } | Self::Gone)
    }

    /// The room whose changes matter to this state, and the meeting that is waited for.
    pub(crate) fn pending(&self) -> Option<(HostId, Option<MeetingId>)> {
        match self {
            Self::Opening { host, .. } => Some((host.id, None)),
            Self::Waiting { host, meeting, .. } => Some((host.id, Some(*meeting))),
            _ => None,
        }
    }

    /// The host this caller is about to enter or has entered, as far as the call shows it.
    pub(crate) fn host(&self) -> Option<HostId> {
        match self {
            Self::WelcomingKnown { host, .. }
            | Self::Opening { host, .. }
            | Self::Waiting { host, .. }
            | Self::InMeeting { host, .. } => Some(host.id),
            Self::AskingCode { about, .. } | Self::CheckingCode { about, .. } => {
                about.host().map(|host| host.id)
            }
            Self::CheckingPin { found: Some(Some(host)), .. } => Some(host.id),
            _ => None,
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> Option<Instant> {
        match self {
            Self::Ringing { until, .. }
            | Self::Identifying { until, .. }
            | Self::WelcomingKnown { until, .. }
            | Self::CheckingPin { until, .. }
            | Self::CheckingCode { until, .. }
            | Self::Opening { until, .. }
            | Self::Leaving { until, .. }
            | Self::HangingUp { until, .. }
            | Self::Over { until } => Some(*until),
            Self::AskingPin { patience, .. } | Self::AskingCode { patience, .. } => {
                Some(patience.deadline().min(call.hold_until))
            }
            Self::Waiting { remind, until, .. } => Some((*remind).min(*until)),
            Self::InMeeting { star, .. } => *star,
            Self::Gone => None,
        }
    }
}

/// A call that we have just answered.
pub(crate) fn ringing(look_up: Option<QuestionId>, now: Instant) -> State {
    State::Ringing { look_up, until: now + SIGNALLING_TIME }
}

/// The table.
pub(crate) fn next(desk: &mut Desk, call: &mut Call, state: State, event: Event) -> State {
    use Event as E;
    use State as S;
    let now = desk.now().instant;
    if let E::Played(playback) = event
        && call.playing == Some(playback)
    {
        call.playing = None;
    }
    match (state, event) {
        // -- in every state --
        (S::Over { .. }, E::Quality(quality)) => {
            desk.record(call.id, |record| record.quality = Some(quality));
            S::Gone
        }
        (state, E::Quality(quality)) => {
            desk.record(call.id, |record| record.quality = Some(quality));
            state
        }
        (S::Over { .. }, E::Tick) => S::Gone,
        (state @ (S::Over { .. } | S::Gone), _) => state,
        (state, E::HungUp(how)) => over(desk, call, &state, how),

        // -- on the way out --
        (S::HangingUp { ending, .. }, E::Tick) => finish(desk, call, ending),
        (S::Leaving { ending, playback, until }, E::Played(played)) => {
            if played == playback {
                hang_up(desk, call, ending)
            } else {
                S::Leaving { ending, playback, until }
            }
        }
        (S::Leaving { ending, .. }, E::Tick | E::MediaLost) => hang_up(desk, call, ending),
        (state @ (S::Leaving { .. } | S::HangingUp { .. }), _) => state,

        (_, E::HostRemoved) => leave(desk, call, Ending::HostRemoved),
        (_, E::MediaLost) => hang_up(desk, call, Ending::MediaLost),
        (
            S::InMeeting { host, .. } | S::Opening { host, .. } | S::Waiting { host, .. },
            E::Removed { forget },
        ) => removed(desk, call, host.id, forget),

        // -- hello --
        (S::Ringing { look_up, .. }, E::Answered) => {
            let at = desk.now().date;
            desk.record(call.id, |record| record.answered_at = Some(at));
            call.hold_until = now + HOLD;
            match look_up {
                Some(look_up) => S::Identifying { look_up, until: now + LOOK_UP_TIME },
                None => greet(desk, call),
            }
        }
        (S::Ringing { look_up, until }, E::Answer(question, answer)) => {
            if look_up == Some(question) {
                identify(desk, call, answer);
                S::Ringing { look_up: None, until }
            } else {
                S::Ringing { look_up, until }
            }
        }
        (S::Ringing { .. }, E::Tick) => hang_up(desk, call, Ending::NoAck),
        (S::Identifying { look_up, until }, E::Answer(question, answer)) => {
            if look_up == question {
                identify(desk, call, answer);
                greet(desk, call)
            } else {
                S::Identifying { look_up, until }
            }
        }
        // Fails to the side where more is asked.
        (S::Identifying { .. }, E::Tick) => {
            desk.step(call.id, "look-up-late");
            greet(desk, call)
        }

        // -- a remembered caller --
        (S::WelcomingKnown { host, playback, until }, E::Played(played)) => {
            if played == playback {
                let proof = base_proof(desk, call, &host);
                admit(desk, call, host, proof)
            } else {
                S::WelcomingKnown { host, playback, until }
            }
        }
        (S::WelcomingKnown { host, .. }, E::Tick) => {
            let proof = base_proof(desk, call, &host);
            admit(desk, call, host, proof)
        }
        (S::WelcomingKnown { host, playback, until }, E::Key(key, at)) => {
            if key == Digit::POUND || !(key == Digit::STAR || key.is_decimal()) {
                return S::WelcomingKnown { host, playback, until };
            }
            // Another meeting: by its PIN, or by `*` and then its PIN.
            desk.step(call.id, "another-meeting");
            if key.is_decimal() {
                call.typed.push(key, at);
            }
            ask_pin(desk, call, vec![Prompt::EnterPin])
        }

        // -- the PIN --
        (S::AskingPin { mut entry, patience }, E::Key(key, at)) => match entry.press(key) {
            Pressed::Complete => {
                quiet(desk, call);
                check_pin(desk, call, &entry, at)
            }
            Pressed::More => {
                quiet(desk, call);
                S::AskingPin { entry, patience: Patience::Until(at + NEXT_KEY) }
            }
            Pressed::Cleared { .. } => ask_pin(desk, call, vec![Prompt::EnterPin]),
            Pressed::Nothing => S::AskingPin { entry, patience },
        },
        (S::AskingPin { entry, patience }, E::Played(played)) => {
            S::AskingPin { entry, patience: heard(patience, played, now) }
        }
        (S::AskingPin { .. }, E::Tick) => {
            if silent(desk, call) {
                ask_pin(desk, call, vec![Prompt::NothingHeard, Prompt::EnterPin])
            } else {
                leave(desk, call, Ending::NothingEntered)
            }
        }
        (S::CheckingPin { question, found, last_key, until }, E::Answer(answered, answer)) => {
            if question != Some(answered) {
                return S::CheckingPin { question, found, last_key, until };
            }
            match answer {
                Answer::Host(host) => pin_checked(desk, call, host.map(Box::new), last_key),
                _ => leave(desk, call, Ending::StoreUnavailable),
            }
        }
        (S::CheckingPin { found: Some(found), last_key, .. }, E::Tick) => {
            pin_checked(desk, call, found, last_key)
        }
        (S::CheckingPin { .. }, E::Tick) => leave(desk, call, Ending::StoreUnavailable),

        // -- the code --
        (S::AskingCode { about, mut entry, patience }, E::Key(key, at)) => match entry.press(key) {
            Pressed::Complete => {
                quiet(desk, call);
                check_code(desk, call, about, &entry, at)
            }
            Pressed::More => {
                quiet(desk, call);
                S::AskingCode { about, entry, patience: Patience::Until(at + NEXT_KEY) }
            }
            Pressed::Cleared { had: true } => {
                let prompt = about.prompt();
                ask_code(desk, call, about, vec![prompt])
            }
            // Who takes back nothing takes back the PIN.
            Pressed::Cleared { had: false } => ask_pin(desk, call, vec![Prompt::EnterPin]),
            Pressed::Nothing => S::AskingCode { about, entry, patience },
        },
        (S::AskingCode { about, entry, patience }, E::Played(played)) => {
            S::AskingCode { about, entry, patience: heard(patience, played, now) }
        }
        (S::AskingCode { about, .. }, E::Tick) => {
            if silent(desk, call) {
                let prompt = about.prompt();
                ask_code(desk, call, about, vec![Prompt::NothingHeard, prompt])
            } else {
                leave(desk, call, Ending::NothingEntered)
            }
        }
        (S::CheckingCode { about, question, proved, last_key, until }, E::Answer(answered, answer)) => {
            if question != Some(answered) {
                return S::CheckingCode { about, question, proved, last_key, until };
            }
            match answer {
                Answer::Code(proved) => code_checked(desk, call, about, proved, last_key),
                _ => leave(desk, call, Ending::StoreUnavailable),
            }
        }
        (S::CheckingCode { about, proved: Some(proved), last_key, .. }, E::Tick) => {
            code_checked(desk, call, about, proved, last_key)
        }
        (S::CheckingCode { .. }, E::Tick) => leave(desk, call, Ending::StoreUnavailable),

        // Keys that come too early wait.
        (state, E::Key(key, at))
            if matches!(
                state,
                S::Ringing { .. } | S::Identifying { .. } | S::CheckingPin { .. } | S::CheckingCode { .. }
            ) =>
        {
            call.typed.push(key, at);
            state
        }

        // -- admission --
        (S::Opening { host, proof, .. }, E::Rejudge { .. }) => admit(desk, call, host, proof),
        (S::Opening { .. }, E::WriteFailed | E::Tick) => leave(desk, call, Ending::StoreUnavailable),
        (S::Opening { .. } | S::Waiting { .. }, E::MeetingOver { ending, .. }) => leave(desk, call, ending),
        (S::Waiting { host, proof, meeting, remind, until }, E::Rejudge { opened }) => {
            match desk.judge(&host, proof, &call.caller) {
                verdict @ (Verdict::Join(..) | Verdict::Open(..)) => {
                    quiet(desk, call);
                    act(desk, call, host, proof, verdict)
                }
                verdict => {
                    let same = Verdict::WaitForStart(meeting) == verdict
                        || Verdict::WaitForModerator(meeting) == verdict;
                    if another_one_time_meeting(desk, host.id, opened, meeting) || verdict == Verdict::AskCode
                    {
                        desk.step(call.id, "another-meeting-opened");
                        ask_code_of_another(desk, call, host)
                    } else if same {
                        S::Waiting { host, proof, meeting, remind, until }
                    } else {
                        quiet(desk, call);
                        act(desk, call, host, proof, verdict)
                    }
                }
            }
        }
        (S::Waiting { host, proof, meeting, until, .. }, E::Tick) => {
            if now >= until {
                return leave(desk, call, Ending::NotStartedInTime);
            }
            // Its window may have opened meanwhile.
            match desk.judge(&host, proof, &call.caller) {
                Verdict::WaitForStart(_) | Verdict::WaitForModerator(_) => {
                    call.playing = Some(desk.play(call.id, vec![Prompt::StillWaiting]));
                    S::Waiting { host, proof, meeting, remind: now + REASSURANCE, until }
                }
                verdict => {
                    quiet(desk, call);
                    act(desk, call, host, proof, verdict)
                }
            }
        }

        // -- in the meeting --
        (S::InMeeting { host, meeting, role, star }, E::Key(key, at)) => {
            let star = match star {
                _ if key == Digit::STAR => Some(at + MENU_TIME),
                Some(_) => {
                    command(desk, call, host.id, meeting, role, key);
                    None
                }
                None => None,
            };
            S::InMeeting { host, meeting, role, star }
        }
        (S::InMeeting { host, meeting, role, .. }, E::Tick) => {
            S::InMeeting { host, meeting, role, star: None }
        }
        (S::InMeeting { host, .. }, E::MeetingOver { ending, follow }) => {
            part(desk, call);
            if follow { follow_on(desk, call, host, ending) } else { leave(desk, call, ending) }
        }
        (S::InMeeting { host, meeting, role, star }, E::Muted(muted)) => {
            mute(desk, call, host.id, meeting, |row| row.muted_hard = muted, muted);
            S::InMeeting { host, meeting, role, star }
        }
        (state, E::Remembered(by)) => {
            call.remembering = None;
            call.remembered = Some(by);
            desk.step(call.id, "remembered");
            if matches!(state, S::InMeeting { .. }) {
                call.playing = Some(desk.play(call.id, vec![Prompt::Remembered]));
            }
            state
        }
        (state @ S::InMeeting { .. }, E::Forgotten(done)) => {
            if done {
                desk.record(call.id, |record| record.remembered = false);
                desk.step(call.id, "forgotten");
            }
            tell(desk, call, if done { Prompt::PhoneForgotten } else { Prompt::TryLater });
            state
        }

        // The rest may come late and changes nothing. Events are listed by name, so that a new
        // one does not compile before we have thought about it.
        (
            state,
            E::Answered
            | E::Key(..)
            | E::Played(_)
            | E::Answer(..)
            | E::Rejudge { .. }
            | E::WriteFailed
            | E::MeetingOver { .. }
            | E::Removed { .. }
            | E::Muted(_)
            | E::Forgotten(_),
        ) => state,
    }
}

// -- hello --

/// Keeps those hosts that remember this phone and let it in today.
fn identify(desk: &mut Desk, call: &mut Call, answer: Answer) {
    let Answer::Known(known) = answer else {
        desk.step(call.id, "look-up-failed");
        return;
    };
    let mut refused = None;
    for known in known {
        match verify::usable(&known, &call.caller, &call.trunk, &desk.settings, desk.now().date) {
            Ok(()) => call.known.push(known),
            Err(why) => refused = Some(why),
        }
    }
    if let Some(why) = refused
        && call.known.is_empty()
    {
        desk.step(call.id, "remembered-but-not-usable");
        desk.explain(
            call.id,
            format!("asked as on the first day: the phone is remembered, but {}", why.text()),
        );
    }
}

fn greet(desk: &mut Desk, call: &mut Call) -> State {
    if call.typed.means_something() {
        let prompts = vec![Prompt::Welcome, Prompt::EnterPin];
        return ask_pin(desk, call, prompts);
    }
    let live = |known: &&Known| desk.live(known.host.id).is_some();
    let mut with_live_meeting = call.known.iter().filter(live);
    let host = match (call.known.as_slice(), with_live_meeting.next(), with_live_meeting.next()) {
        ([only], _, _) => Some(Box::new(only.host.clone())),
        (_, Some(only), None) => Some(Box::new(only.host.clone())),
        _ => None,
    };
    match host {
        Some(host) => {
            let playback = say(desk, call, vec![Prompt::WelcomeBack]);
            let until = desk.now().instant + WELCOME_TIME;
            State::WelcomingKnown { host, playback, until }
        }
        None if call.known.is_empty() => ask_pin(desk, call, vec![Prompt::Welcome, Prompt::EnterPin]),
        None => {
            desk.step(call.id, "remembered-by-several-hosts");
            ask_pin(desk, call, vec![Prompt::WelcomeBack, Prompt::EnterPin])
        }
    }
}

// -- entries --

/// Asks, unless the answer has been typed already.
fn ask_pin(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> State {
    let entry = Collector::new(desk.settings.pin_length);
    let patience = patience(desk, call, prompts);
    replay(desk, call, State::AskingPin { entry, patience })
}

fn ask_code(desk: &mut Desk, call: &mut Call, about: About, prompts: Vec<Prompt>) -> State {
    let entry = Collector::new(CODE_LENGTH);
    let patience = patience(desk, call, prompts);
    replay(desk, call, State::AskingCode { about, entry, patience })
}

fn patience(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> Patience {
    let now = desk.now().instant;
    if call.typed.answers() {
        quiet(desk, call);
        Patience::Until(now + FIRST_KEY)
    } else {
        let playback = say(desk, call, prompts);
        Patience::Prompt(playback, now + PROMPT_TIME)
    }
}

/// Presses the keys that were typed ahead. What one entry does not need stays for the next one.
fn replay(desk: &mut Desk, call: &mut Call, mut state: State) -> State {
    while matches!(state, State::AskingPin { .. } | State::AskingCode { .. }) {
        let Some((key, at)) = call.typed.pop() else { break };
        state = next(desk, call, state, Event::Key(key, at));
    }
    state
}

fn heard(patience: Patience, played: PlaybackId, now: Instant) -> Patience {
    match patience {
        Patience::Prompt(playback, _) if playback == played => Patience::Until(now + FIRST_KEY),
        other => other,
    }
}

/// A round went by without a complete entry; whether there is another, and time for it.
fn silent(desk: &mut Desk, call: &mut Call) -> bool {
    desk.step(call.id, "nothing-entered");
    call.rounds.spend() && desk.now().instant < call.hold_until
}

fn check_pin(desk: &mut Desk, call: &mut Call, entry: &Collector, last_key: Instant) -> State {
    // A PIN of another length does not exist; nobody is told before the verdict.
    let full = entry.keys().len() == desk.settings.pin_length;
    match Pin::from_keys(entry.keys()) {
        Ok(pin) if full => {
            let question = Some(desk.ask(Asker::Call(call.id), Question::Host { pin }));
            State::CheckingPin { question, found: None, last_key, until: desk.now().instant + STORE_TIME }
        }
        _ => pin_checked(desk, call, None, last_key),
    }
}

/// The store has said whose PIN it is. An unknown one goes the way of one that needs a code.
fn pin_checked(desk: &mut Desk, call: &mut Call, found: Option<Box<HostView>>, last_key: Instant) -> State {
    let now = desk.now().instant;
    let later = |found, until| State::CheckingPin { question: None, found: Some(found), last_key, until };
    if now < last_key + CODE_ASKED {
        return later(found, last_key + CODE_ASKED);
    }
    let Some(host) = found else { return ask_code(desk, call, About::Typed(None), vec![Prompt::EnterCode]) };
    let proof = base_proof(desk, call, &host);
    match desk.judge(&host, proof, &call.caller) {
        Verdict::AskCode => ask_code(desk, call, About::Typed(Some(host)), vec![Prompt::EnterCode]),
        _ if now < last_key + VERDICT => later(Some(host), last_key + VERDICT),
        verdict => act(desk, call, host, proof, verdict),
    }
}

fn check_code(desk: &mut Desk, call: &mut Call, about: About, entry: &Collector, last_key: Instant) -> State {
    let Ok(code) = Code::from_keys(entry.keys()) else {
        return code_checked(desk, call, about, None, last_key);
    };
    let host = about.host().map(|host| host.id);
    let meetings = about.host().map(|host| desk.situation(host).codes()).unwrap_or_default();
    let question = Some(desk.ask(Asker::Call(call.id), Question::Code { host, meetings, code }));
    State::CheckingCode { about, question, proved: None, last_key, until: desk.now().instant + STORE_TIME }
}

/// The verdict on PIN and code together, at its fixed time (R9).
fn code_checked(
    desk: &mut Desk,
    call: &mut Call,
    about: About,
    proved: Option<MeetingId>,
    last_key: Instant,
) -> State {
    if desk.now().instant < last_key + VERDICT {
        let until = last_key + VERDICT;
        return State::CheckingCode { about, question: None, proved: Some(proved), last_key, until };
    }
    let (host, again) = match about {
        About::Typed(None) => return wrong(desk, call, None),
        About::Typed(Some(host)) => (host, None),
        About::Proved(host, prompt) => (host, Some(prompt)),
    };
    let proof = proved.map_or_else(|| base_proof(desk, call, &host), Proof::Code);
    match (desk.judge(&host, proof, &call.caller), again) {
        (Verdict::AskCode, None) => wrong(desk, call, None),
        (Verdict::AskCode, Some(prompt)) => wrong(desk, call, Some((host, prompt))),
        // Right; or wrong, but something is live by now that needs no code.
        (verdict, _) => act(desk, call, host, proof, verdict),
    }
}

/// One sentence for every wrong entry, whatever part was wrong (R9).
fn wrong(desk: &mut Desk, call: &mut Call, again: Option<(Box<HostView>, Prompt)>) -> State {
    desk.step(call.id, "wrong-details");
    // Keys that came after a wrong entry belong to it, and must not spoil the next one.
    call.typed.clear();
    if !call.rounds.spend() || desk.now().instant >= call.hold_until {
        return leave(desk, call, Ending::TooManyWrongEntries);
    }
    match again {
        None => ask_pin(desk, call, vec![Prompt::DoNotMatch, Prompt::EnterPin]),
        Some((host, prompt)) => {
            ask_code(desk, call, About::Proved(host, prompt), vec![Prompt::DoNotMatch, prompt])
        }
    }
}

// -- admission --

/// What a caller has shown without a code.
fn base_proof(desk: &Desk, call: &Call, host: &HostView) -> Proof {
    let own = call.caller.number.as_ref().is_some_and(|number| host.numbers.contains(number));
    if own && call.caller.trust == Trust::Signed {
        Proof::Moderator
    } else if known_to(call, host.id).is_some() {
        Proof::Remembered { shared: desk.shared(&call.caller) }
    } else {
        Proof::Pin
    }
}

fn known_to(call: &Call, host: HostId) -> Option<&Known> {
    call.known.iter().find(|known| known.host.id == host)
}

/// Judges the caller by what is on now, and acts.
fn admit(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof) -> State {
    let verdict = desk.judge(&host, proof, &call.caller);
    act(desk, call, host, proof, verdict)
}

fn act(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof, verdict: Verdict) -> State {
    let now = desk.now().instant;
    let host_id = host.id;
    desk.record(call.id, |record| record.host = Some(host_id));
    match verdict {
        Verdict::Join(entered, role) => enter(desk, call, host, proof, entered, role),
        Verdict::Open(meeting, by) => {
            desk.open_for_caller(&host, meeting, by);
            State::Opening { host, proof, until: now + OPENING_TIME }
        }
        Verdict::AskCode => {
            let prompt =
                if known_to(call, host_id).is_some() { Prompt::KnownEnterCode } else { Prompt::EnterCode };
            ask_code(desk, call, About::Proved(host, prompt), vec![prompt])
        }
        Verdict::WaitForStart(meeting) => wait(desk, call, host, proof, meeting, Prompt::WaitForStart),
        Verdict::WaitForModerator(meeting) => {
            wait(desk, call, host, proof, meeting, Prompt::WaitForModerator)
        }
        Verdict::Refuse(ending) => {
            desk.explain(call.id, format!("kept out: {}", shown(proof)));
            leave(desk, call, ending)
        }
    }
}

fn wait(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    meeting: MeetingId,
    prompt: Prompt,
) -> State {
    let now = desk.now().instant;
    call.typed.clear();
    say(desk, call, vec![prompt]);
    call.music = true;
    desk.out.push(Output::PlayLoop { call: call.id, prompt: Prompt::Music });
    desk.record(call.id, |record| record.meeting = Some(meeting));
    desk.explain(call.id, format!("may wait: {}", shown(proof)));
    let until = now + desk.settings.waiting;
    State::Waiting { host, proof, meeting, remind: now + REASSURANCE, until }
}

/// Into the mix, as soon as may be; what is said is said while the room is heard.
fn enter(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    entered: Entered,
    role: Role,
) -> State {
    let Some(live) = desk.live(host.id) else { return leave(desk, call, Ending::MeetingEnded) };
    let (meeting, one_time) = (live.view.id, live.view.kind == MeetingKind::OneTime);
    let number = call.caller.number.clone();
    let at = desk.now().date;
    let row = Row { role, number, entered, joined_at: at, muted_self: false, muted_hard: false };
    let first = desk.join(call.id, host.id, row, one_time && entered == Entered::Remembered);
    call.place = Some((host.id, meeting));
    call.typed.clear();
    desk.record(call.id, |record| {
        record.host = Some(host.id);
        record.meeting = Some(meeting);
        record.entered = Some(entered);
        record.joined_at.get_or_insert(at);
    });
    desk.explain(call.id, format!("let in: {}", shown(proof)));

    let known = known_to(call, host.id).map(|known| known.verified);
    if first {
        call.playing = Some(desk.play(call.id, vec![Prompt::FirstHere]));
    } else if known.is_none() {
        call.playing = Some(desk.play(call.id, vec![Prompt::Joining]));
    }
    if let Some(verified) = known {
        desk.ask(Asker::Nobody, Question::Used { verified, date: at });
    }
    if let Proof::Code(_) = proof
        && one_time
        && let Some(number) = verify::may_be_remembered(&call.caller, &desk.settings).cloned()
    {
        if let Some(live) = desk.room(host.id).live.as_mut() {
            live.proved.insert(number.clone());
        }
        if known.is_none() && call.remembered != Some(host.id) {
            remember(desk, call, host.id, meeting, number);
        }
    }
    State::InMeeting { host, meeting, role, star: None }
}

/// Has the phone remembered. The caller is told when it is durable (R5).
fn remember(desk: &mut Desk, call: &mut Call, host: HostId, meeting: MeetingId, number: PhoneNumber) {
    desk.owed.retain(|(_, other, owed)| (*other, owed) != (host, &number));
    let asker = Asker::Remember { call: call.id, host, number: number.clone(), forget: false };
    let trust = call.caller.trust;
    let trunk = call.trunk.clone();
    let question = desk.ask(asker, Question::Remember { host, number, meeting, trust, trunk });
    call.remembering = Some(question);
}

const fn shown(proof: Proof) -> &'static str {
    match proof {
        Proof::Pin => "the PIN was right",
        Proof::Code(_) => "the details and the one-time code were right",
        Proof::Remembered { shared: false } => "the phone is remembered",
        Proof::Remembered { shared: true } => "the phone is remembered, but another live call has its number",
        Proof::Moderator => "the host's own number, signed",
    }
}

/// From a standard meeting that had to give way into the one that took its place (R2).
fn follow_on(desk: &mut Desk, call: &mut Call, host: Box<HostView>, ending: Ending) -> State {
    call.hold_until = desk.now().instant + HOLD;
    let proof = base_proof(desk, call, &host);
    match desk.judge(&host, proof, &call.caller) {
        Verdict::AskCode => ask_code_of_another(desk, call, host),
        verdict @ (Verdict::Join(..) | Verdict::WaitForModerator(_)) => {
            desk.step(call.id, "following");
            act(desk, call, host, proof, verdict)
        }
        _ => leave(desk, call, ending),
    }
}

fn ask_code_of_another(desk: &mut Desk, call: &mut Call, host: Box<HostView>) -> State {
    call.hold_until = desk.now().instant + HOLD;
    quiet(desk, call);
    let prompt = Prompt::OtherMeetingEnterCode;
    ask_code(desk, call, About::Proved(host, prompt), vec![prompt])
}

/// The meeting that just opened is one with a code, and not the one waited for.
fn another_one_time_meeting(
    desk: &Desk,
    host: HostId,
    opened: Option<MeetingId>,
    meeting: MeetingId,
) -> bool {
    opened.is_some_and(|opened| opened != meeting)
        && desk.live(host).is_some_and(|live| live.view.kind == MeetingKind::OneTime)
}

// -- in the meeting --

fn command(desk: &mut Desk, call: &mut Call, host: HostId, meeting: MeetingId, role: Role, key: Digit) {
    match menu::action(key, role) {
        None => tell(desk, call, Prompt::UnknownKey),
        Some(Action::Help) if role == Role::Moderator => tell(desk, call, Prompt::HelpModerator),
        Some(Action::Help) => tell(desk, call, Prompt::HelpGuest),
        Some(Action::CountPeople) => {
            let people = desk.live(host).map_or(1, |live| live.roster.len());
            if people <= 1 {
                return tell(desk, call, Prompt::OnlyYou);
            }
            let mut sentence = vec![Prompt::ThereAre];
            sentence.extend(Number::english(people));
            sentence.push(Prompt::PeopleHere);
            say(desk, call, sentence);
        }
        Some(Action::ToggleMute) => {
            let Some(row) = desk.row(call.id, host, meeting) else { return };
            if row.muted_hard {
                return tell(desk, call, Prompt::MutedByModerator);
            }
            let muted = !row.muted_self;
            mute(desk, call, host, meeting, |row| row.muted_self = muted, muted);
        }
        Some(Action::ForgetPhone) => forget_phone(desk, call, host),
    }
}

/// Changes the roster row, the mix when that changes what others hear, and tells the caller.
fn mute(
    desk: &mut Desk,
    call: &mut Call,
    host: HostId,
    meeting: MeetingId,
    change: impl FnOnce(&mut Row),
    muted: bool,
) {
    let Some(row) = desk.row(call.id, host, meeting) else { return };
    let before = row.muted();
    change(row);
    let (after, hard) = (row.muted(), row.muted_hard);
    if before != after {
        desk.out.push(Output::Mute { call: call.id, muted: after });
    }
    tell(
        desk,
        call,
        match (muted, hard) {
            (true, true) => Prompt::MutedByModerator,
            (true, false) => Prompt::Muted,
            // The moderator lets them speak, but they muted themselves.
            (false, _) if after => Prompt::Muted,
            (false, _) => Prompt::Unmuted,
        },
    );
}

/// `*9`. A number that is not believed enough forgets nothing: it may be somebody else's.
fn forget_phone(desk: &mut Desk, call: &mut Call, host: HostId) {
    let here = call.remembered == Some(host) || call.remembering.is_some() || known_to(call, host).is_some();
    match call.caller.number.clone() {
        Some(number) if here => {
            call.known.retain(|known| known.host.id != host);
            call.remembered = None;
            if !withdraw(desk, call) {
                desk.forget(host, number, Some(call.id), None);
            }
        }
        _ => tell(desk, call, Prompt::PhoneNotRemembered),
    }
}

/// If this phone is just being remembered: has it forgotten when that is done.
fn withdraw(desk: &mut Desk, call: &mut Call) -> bool {
    let Some(question) = call.remembering.take() else { return false };
    match desk.asked.get_mut(&question) {
        Some(Asker::Remember { forget, .. }) => {
            *forget = true;
            true
        }
        _ => false,
    }
}

/// Out, by the moderator. What this call had remembered goes with it (R5).
fn removed(desk: &mut Desk, call: &mut Call, host: HostId, forget: bool) -> State {
    let here = call.remembered == Some(host);
    call.remembered = None;
    desk.record(call.id, |record| record.remembered = false);
    let withdrawn = withdraw(desk, call);
    if (forget || here)
        && !withdrawn
        && let Some(number) = call.caller.number.clone()
    {
        desk.forget(host, number, None, None);
    }
    leave(desk, call, Ending::RemovedByModerator)
}

// -- sound --

/// Stops what plays and says this instead: a key was pressed or the state changed.
fn say(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> PlaybackId {
    quiet(desk, call);
    let playback = desk.play(call.id, prompts);
    call.playing = Some(playback);
    playback
}

fn tell(desk: &mut Desk, call: &mut Call, prompt: Prompt) {
    say(desk, call, vec![prompt]);
}

/// Stops prompts and music.
fn quiet(desk: &mut Desk, call: &mut Call) {
    let music = std::mem::take(&mut call.music);
    if call.playing.take().is_some() || music {
        desk.out.push(Output::StopPlaying { call: call.id });
    }
}

// -- the end --

/// Off the roster, out of the mix.
fn part(desk: &mut Desk, call: &mut Call) {
    if let Some((host, meeting)) = call.place.take() {
        desk.part(call.id, host, meeting, true);
    }
}

/// Says why, then hangs up: nobody is hung up on silently (R10).
fn leave(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    part(desk, call);
    let Some(reason) = ending.facts().prompt else { return hang_up(desk, call, ending) };
    let playback = say(desk, call, vec![reason, Prompt::Goodbye]);
    State::Leaving { ending, playback, until: desk.now().instant + PROMPT_TIME }
}

fn hang_up(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    part(desk, call);
    desk.out.push(Output::HangUp { call: call.id, ending });
    State::HangingUp { ending, until: desk.now().instant + SIGNALLING_TIME }
}

fn over(desk: &mut Desk, call: &mut Call, state: &State, how: HangUp) -> State {
    let decided = match state {
        State::Leaving { ending, .. } | State::HangingUp { ending, .. } => Some(*ending),
        _ => None,
    };
    let ending = decided.unwrap_or(match how {
        HangUp::Caller => Ending::HungUp,
        HangUp::Cancelled => Ending::Cancelled,
        HangUp::NoAck => Ending::NoAck,
        HangUp::SessionExpired => Ending::SessionExpired,
        HangUp::Transport => Ending::TransportLost,
        HangUp::NoUsableAnswer => Ending::NoUsableCodec,
        HangUp::Overload => Ending::Overload,
        // We were not asked: the service is going down.
        HangUp::Us => Ending::Draining,
    });
    finish(desk, call, ending)
}

fn finish(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    if let Some((host, meeting)) = call.place.take() {
        desk.part(call.id, host, meeting, false);
    }
    let at = desk.now().date;
    let mut figures_to_come = false;
    desk.record(call.id, |record| {
        record.end(at, ending);
        figures_to_come = record.answered_at.is_some() && record.quality.is_none();
    });
    if figures_to_come { State::Over { until: desk.now().instant + FIGURES_TIME } } else { State::Gone }
}
