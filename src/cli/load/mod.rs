//! `doorline load`: many test callers from one process, and what they saw.
//!
//! Rooms are made by the API (or one is given by its PIN and code), callers dial at a steady rate, enter
//! PIN and code, speak a tone of their own, and listen for the others'. What the callers themselves cost
//! is measured too: a tool that has no time left measures itself.

mod own;
mod report;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::admin::{Connection, Service};
use super::phone::{Call, DigitsBy, Plan, Presentation, Voice};
use own::Own;
use report::{Caller, Report};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Whom to call, such as sip:+442079460000@127.0.0.1:5060
    #[arg(long, value_name = "URI")]
    to: String,
    /// Meetings at once; each is made by the API, with a host of its own, and removed at the end
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000), conflicts_with = "pin")]
    rooms: u32,
    /// Callers in each meeting
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    callers: u32,
    /// New calls a second
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    rate: f64,
    /// Seconds that everybody stays after the last key was pressed: verdict and prompts take about ten
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    hold: u64,
    /// One meeting that is there already, by its PIN; no API is asked
    #[arg(long)]
    pin: Option<String>,
    /// Its one-time code
    #[arg(long, requires = "pin")]
    code: Option<String>,
    /// How keys are pressed
    #[arg(long, value_enum, default_value = "rtp")]
    digits_by: DigitsBy,
    /// Callers of a meeting who speak, each another tone; the others only listen
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=SPEAKERS_MAX))]
    speakers: u32,
    /// Call somebody who is not on this machine. It is a flood of calls: only your own service
    #[arg(long)]
    yes_not_loopback: bool,
}

/// Tones that telephones carry and a mix of this many does not clip: 400 Hz and 230 Hz further each.
const SPEAKERS_MAX: i64 = 8;

/// Most callers of one process: each has a thread and three sockets.
const CALLERS_MAX: u32 = 1_000;

/// How long a call may ring.
const ANSWER: Duration = Duration::from_secs(30);

/// How long keys may take.
const ENTRY: Duration = Duration::from_secs(30);

/// How long good-byes may take.
const GOODBYE: Duration = Duration::from_secs(10);

const STEP: Duration = Duration::from_millis(5);

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1_000.0 => Ok(rate),
        _ => Err("expected more than 0 and at most 1000".to_owned()),
    }
}

/// Exit code 0: everybody who called was in and heard whom they should; 1: not.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let peer = Plan::new(&arguments.to, "+15550100000")?.peer;
    may_call(peer, arguments.yes_not_loopback)?;
    let count = arguments.rooms * arguments.callers;
    ensure!(count <= CALLERS_MAX, "{count} callers, expected at most {CALLERS_MAX} from one process");
    let report = match &arguments.pin {
        Some(pin) => {
            let code = arguments.code.as_ref().map(|code| format!("{code}#")).unwrap_or_default();
            call_all(arguments, &[format!("{pin}#{code}")])?
        }
        None => {
            let service = Service::new(&arguments.connection)?;
            let mut hosts = Vec::new();
            let rooms = (0..arguments.rooms).map(|number| make_room(&service, number, &mut hosts));
            let rooms = rooms.collect::<anyhow::Result<Vec<_>>>();
            let report = rooms.and_then(|rooms| call_all(arguments, &rooms));
            // What was made goes, also when something went wrong.
            for host in hosts {
                service.delete(&format!("/hosts/{host}")).context("a host of this test is left behind")?;
            }
            report?
        }
    };
    if arguments.connection.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn may_call(peer: SocketAddr, yes: bool) -> anyhow::Result<()> {
    if !peer.ip().is_loopback() && !yes {
        bail!("{} is not on this machine; --yes-not-loopback if it is your own service", peer.ip());
    }
    Ok(())
}

/// Makes a host, which is noted in `hosts`, and a meeting: the keys that lead into it.
fn make_room(service: &Service, number: u32, hosts: &mut Vec<String>) -> anyhow::Result<String> {
    let name = format!("load test {}", number + 1);
    let host = service.post("/hosts", Some(&json!({"name": name, "email": "load@example.com"})))?;
    let text = |value: &Value, member: &str| value[member].as_str().map(str::to_owned);
    let id = text(&host, "id").context("the API made no host")?;
    hosts.push(id.clone());
    let now = Timestamp::now();
    let later = now.checked_add(SignedDuration::from_hours(3)).context("the clock is at its end")?;
    let body = json!({
        "kind": "one-time", "title": name, "starts_at": now.to_string(), "ends_at": later.to_string(),
    });
    let meeting = service.post(&format!("/hosts/{id}/meetings"), Some(&body))?;
    let (pin, code) = text(&meeting, "pin").zip(text(&meeting, "code")).context("the API made no meeting")?;
    Ok(format!("{pin}#{code}#"))
}

/// The tone of a speaker, in Hz.
fn tone(speaker: u32) -> f64 {
    400.0 + 230.0 * f64::from(speaker)
}

/// `rooms`: the keys that lead into each.
fn call_all(arguments: &Arguments, rooms: &[String]) -> anyhow::Result<Report> {
    let per_room = arguments.callers;
    let count = rooms.len() as u32 * per_room;
    let bar = progress(count);
    let own = Own::begin();
    let began = Instant::now();
    let mut callers: Vec<Caller> = Vec::with_capacity(count as usize);
    // Dial at the rate, room after room, so that meetings fill side by side.
    for number in 0..count {
        let (room, place) = (number as usize % rooms.len(), number / rooms.len() as u32);
        let due = began + Duration::from_secs_f64(f64::from(number) / arguments.rate);
        while Instant::now() < due {
            std::thread::sleep(STEP.min(due.saturating_duration_since(Instant::now())));
        }
        let mut plan = Plan::new(&arguments.to, &format!("+1555014{number:04}"))?;
        plan.presentation = Presentation::Asserted;
        plan.keys = rooms[room].parse().map_err(|error| anyhow::anyhow!("{error}"))?;
        plan.digits_by = arguments.digits_by;
        let speaks = (place < arguments.speakers).then(|| tone(place));
        plan.voice = speaks.map_or_else(Voice::default, Voice::tone);
        let call = Call::dial(plan).with_context(|| format!("caller {} of {count}", number + 1))?;
        callers.push(Caller::new(room, place, call));
        bar.inc(1);
    }
    bar.set_message("waiting for answers");
    let until = Instant::now() + ANSWER;
    while Instant::now() < until && callers.iter().any(Caller::is_ringing) {
        std::thread::sleep(STEP);
    }
    bar.set_message("entering");
    let until = Instant::now() + ENTRY;
    for caller in callers.iter().filter(|caller| caller.call.is_answered()) {
        // Whose call ended before has been refused, and is counted so.
        let _ = caller.call.wait_for_keys(until.saturating_duration_since(Instant::now()));
    }
    bar.set_message("in the meetings");
    std::thread::sleep(Duration::from_secs(arguments.hold));
    // All listen at the same moment, before the first one leaves.
    for caller in &mut callers {
        caller.take_stock();
    }
    let own = own.end(callers.len());
    bar.set_message("hanging up");
    for caller in &callers {
        caller.call.hang_up();
    }
    let until = Instant::now() + GOODBYE;
    while Instant::now() < until && !callers.iter().all(|caller| caller.call.is_over()) {
        std::thread::sleep(STEP);
    }
    bar.finish_and_clear();
    Ok(Report::of(&callers, arguments.speakers.min(per_room), own))
}

/// On a terminal alone: what is piped is for programs.
fn progress(count: u32) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} dialled {msg}");
    ProgressBar::new(u64::from(count)).with_style(style.expect("the template is good"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elses_service_is_flooded_by_a_slip() {
        let (here, there) = ("127.0.0.1:5060".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        assert!(may_call(here, false).is_ok());
        assert!(may_call(there, false).unwrap_err().to_string().contains("--yes-not-loopback"));
        assert!(may_call(there, true).is_ok());
    }

    #[test]
    fn tones_fit_a_telephone() {
        let all: Vec<f64> = (0..SPEAKERS_MAX as u32).map(tone).collect();
        assert!(all.iter().all(|hz| (300.0..3_000.0).contains(hz)), "{all:?}");
    }
}
