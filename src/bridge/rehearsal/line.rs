//! Words of a script: times, numbers, options; and the words for what happened.

use std::time::Duration;

use jiff::Timestamp;

use crate::bridge::{Output, Prompt, Question};
use crate::types::{MeetingId, PhoneNumber};

/// `90s`, `1.5s`, `300ms`, `10m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| format!("time {text:?}, expected such as 20s or 1.5s"))?;
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(format!("unit of time {unit:?}, expected ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|error| format!("time {text:?}: {error}"))
}

/// `09:05`, on the day of `today`, UTC.
pub(super) fn clock(text: &str, today: Timestamp) -> Result<Timestamp, String> {
    let day = today.to_string();
    let day = day.split('T').next().unwrap_or_default();
    let date = format!("{day}T{text}:00Z").parse();
    date.map_err(|_| format!("time of day {text:?}, expected such as 09:05"))
}

/// `2026-03-02`, at noon, UTC.
pub(super) fn day(text: &str) -> Result<Timestamp, String> {
    let date = format!("{text}T12:00:00Z").parse();
    date.map_err(|_| format!("day {text:?}, expected such as 2026-03-02"))
}

pub(super) fn number(text: &str) -> Result<PhoneNumber, String> {
    text.parse().map_err(|_| format!("number {text:?}, expected such as +442079460001"))
}

/// What one output is called in a script, without the caller; `None` for what scripts do not show.
pub(super) fn describe(output: &Output, title: impl Fn(MeetingId) -> String) -> Option<String> {
    Some(match output {
        Output::Ring { .. } => "ring".to_owned(),
        Output::Answer { .. } => "answer".to_owned(),
        Output::Refuse { ending, .. } => format!("refuse {} {}", ending.facts().status, ending.name()),
        Output::HangUp { ending, .. } => format!("hang up {}", ending.name()),
        Output::Play { prompts, .. } => format!("play {}", prompt_names(prompts)),
        Output::Speak { language, .. } => format!("speak {language}"),
        Output::PlayLoop { prompt, .. } => format!("play on and on {}", prompt_names(&[*prompt])),
        Output::StopPlaying { .. } => "stop".to_owned(),
        Output::PlayToMeeting { meeting, prompts, .. } => {
            format!("all in {} hear {}", title(*meeting), prompt_names(prompts))
        }
        Output::Join { meeting, .. } => format!("join {}", title(*meeting)),
        Output::Leave { .. } => "leave".to_owned(),
        Output::Mute { muted, .. } => if *muted { "mute" } else { "unmute" }.to_owned(),
        Output::Record { meeting, on } => {
            format!("{} {}", if *on { "record" } else { "stop recording" }, title(*meeting))
        }
        Output::RecordName { most, .. } => format!("keep the name, at most {} s", most.as_secs()),
        Output::PlayName { .. } => "play the name of".to_owned(),
        Output::DropName { .. } => "drop the name".to_owned(),
        Output::Ask { ask, .. } => question(ask, title),
        Output::Save { record } => {
            let remembered = if record.remembered { ", remembered" } else { "" };
            format!("record {}{remembered} ({})", record.ending.name(), record.explanation)
        }
        // Told from what scripts show.
        Output::News { .. } => return None,
        Output::Reply { reply: Ok(_), .. } => "reply done".to_owned(),
        Output::Reply { reply: Err(rejection), .. } => format!("reply: {rejection}"),
    })
}

fn question(ask: &Question, title: impl Fn(MeetingId) -> String) -> String {
    match ask {
        Question::Caller { .. } => "look up the number".to_owned(),
        Question::Host { .. } => "look up the PIN".to_owned(),
        Question::HostById { .. } => "look up the host".to_owned(),
        Question::Code { meetings, .. } => {
            let mut titles: Vec<String> = meetings.iter().map(|meeting| title(*meeting)).collect();
            titles.sort();
            format!("compare the code [{}]", titles.join(" "))
        }
        Question::HostPin { .. } => "compare the host PIN".to_owned(),
        Question::GiveBack { .. } => "give the wrong tries back".to_owned(),
        Question::Open { meeting, closes, opened_by, .. } => {
            let closes = closes.map(|closes| format!(", close {}", title(closes))).unwrap_or_default();
            format!("open {}{closes}, by {}", title(*meeting), format!("{opened_by:?}").to_lowercase())
        }
        Question::Close { meeting } => format!("close {}", title(*meeting)),
        Question::Remember { trust, trunk, .. } => {
            format!("remember the phone: {} over {trunk}", trust.as_str())
        }
        Question::Used { .. } => "note the use".to_owned(),
        Question::Forget { .. } => "forget the phone".to_owned(),
    }
}

fn prompt_names(prompts: &[Prompt]) -> String {
    let name = |prompt: &Prompt| match prompt {
        Prompt::Number(number) => number.value().to_string(),
        Prompt::There(plural) => format!("There{plural:?}"),
        Prompt::Others(plural) => format!("Others{plural:?}"),
        named => format!("{named:?}"),
    };
    prompts.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// About how long a prompt is, for a stage where nobody listens.
pub(super) fn length(prompt: Prompt) -> Duration {
    let tenths = match prompt {
        Prompt::JoinTone
        | Prompt::LeaveTone
        | Prompt::NameTone
        | Prompt::HandTone
        | Prompt::JoinedWithoutCodeTone => 3,
        Prompt::Number(_) | Prompt::OneAfter => 5,
        Prompt::Welcome | Prompt::WelcomeBack | Prompt::Goodbye => 10,
        Prompt::HelpGuest | Prompt::HelpModerator => 80,
        _ => 20,
    };
    Duration::from_millis(tenths * 100)
}
