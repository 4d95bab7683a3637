//! The self-call: a service of its own on loopback, with the operator's rules, prompts and ports for
//! sound, is called by two phones. One keys PIN and code and speaks a tone, the other must hear it.
//!
//! What it proves: SIP in and out, the verification, prompts, key presses, the mix, and that this
//! machine has the ports. What it cannot: the way to the carrier. Its database lies in a folder that is
//! removed again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;

use super::{Finding, fail, ok};
use crate::bridge::view::MeetingKind;
use crate::cli::phone::{Call, Keys, Plan, Voice};
use crate::cli::serve::runtime;
use crate::config::Settings;
use crate::server::Service;
use crate::signalling::{self, Listen};
use crate::sip::Transport;
use crate::sip::trunk::{Believe, CodecName, Trunk};
use crate::store::{self, NewHost, NewMeeting};
use crate::types::{Code, Pin};

/// What is spoken, and how loud it must come back: it is sent at -20 dB, and the mix takes none of it.
const TONE_HZ: f64 = 600.0;
const HEARD_DB: f64 = -30.0;
/// For each step of the call.
const STEP: Duration = Duration::from_secs(15);
/// From a range that is kept for fiction.
const CALLERS: [&str; 2] = ["+12025550143", "+12025550144"];

/// Calls itself; a few seconds.
pub(super) fn self_call(settings: &Settings) -> Finding {
    const WHAT: &str = "self-call";
    let began = Instant::now();
    match call(settings) {
        Ok(()) => ok(
            WHAT,
            format!("INVITE, PIN and code, tone heard back: {:.1} s in all", began.elapsed().as_secs_f64()),
        ),
        Err(error) => fail(WHAT, format!("{error:#}; this machine cannot serve a call to itself")),
    }
}

fn call(settings: &Settings) -> anyhow::Result<()> {
    let folder = Folder::make()?;
    let runtime = runtime()?;
    let service = runtime.block_on(start(settings, &folder.0))?;
    let called = runtime.block_on(schedule(&service, settings.bridge.pin_length)).and_then(|(pin, code)| {
        let doors = service.sip_addresses();
        let (first, last) = doors.first().zip(doors.last()).context("no SIP address was bound")?;
        talk([first.address, last.address], &pin, &code)
    });
    runtime.block_on(service.stop());
    called
}

/// The operator's settings, but on loopback, at free ports, with data of its own and one trunk.
async fn start(settings: &Settings, folder: &Path) -> anyhow::Result<Service> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let any_port = SocketAddr::new(loopback, 0);
    let mut ours = settings.clone();
    ours.data_dir = folder.to_owned();
    ours.store = store::Settings {
        url: format!("sqlite:{}", folder.join("doorline.db").display()),
        password_file: None,
        key_file: folder.join("doorline.key"),
    };
    // Where calls over IPv6 are meant to come, one of the two phones calls over it.
    let is_both = settings.media.address_v6.is_some();
    let second = is_both.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    let doors = [Some(any_port), second].into_iter().flatten();
    ours.signalling = signalling::Settings {
        listen: doors.map(|address| Listen { transport: Transport::Udp, address }).collect(),
        ..signalling::Settings::default()
    };
    ours.media.address = loopback;
    ours.media.address_v6 = is_both.then_some(Ipv6Addr::LOCALHOST);
    ours.media.threads = Some(1);
    ours.http.listen = any_port;
    ours.mail = None;
    ours.access_numbers.clear();
    ours.trunks = vec![Trunk {
        name: "self-call".to_owned(),
        allow: ["127.0.0.0/8", "::1"].map(|block| block.parse().expect("a loopback block")).to_vec(),
        believe: Believe::Pai,
        codecs: vec![CodecName::Pcma, CodecName::Pcmu],
        ..Trunk::default()
    }];
    let never = Arc::new(|| Err(Vec::new()));
    Service::start(ours, never).await.context("the service for it did not start")
}

/// A host with a One Time Meeting that is on.
async fn schedule(service: &Service, pin_length: usize) -> anyhow::Result<(Pin, Code)> {
    let now = Timestamp::now();
    let host =
        NewHost { name: "Doctor".to_owned(), email: "doctor@example.com".to_owned(), ..NewHost::default() };
    let (host, _) = service.store().add_host(&host, pin_length, now).await?;
    let meeting = NewMeeting {
        kind: MeetingKind::OneTime,
        title: "self-call".to_owned(),
        starts_at: now,
        ends_at: now + Duration::from_secs(600),
        time_zone: None,
        recurrence: None,
        invitees: Vec::new(),
        known_callers: None,
        wait_for_moderator: false,
    };
    let meeting = service.store().add_meeting(host.id, &meeting, now).await?;
    Ok((host.pin, meeting.code.context("a One Time Meeting has a code")?))
}

fn talk(doors: [SocketAddr; 2], pin: &Pin, code: &Code) -> anyhow::Result<()> {
    let keys = format!("{}{}", pin.reveal(), code.reveal());
    let dial = |door: SocketAddr, number: &str, voice: Voice| -> anyhow::Result<Call> {
        let mut plan = Plan::new(&format!("sip:doctor@{door}"), number)?;
        plan.keys = keys.parse::<Keys>().map_err(anyhow::Error::msg)?;
        plan.voice = voice;
        Ok(Call::dial(plan)?)
    };
    let speaks = dial(doors[0], CALLERS[0], Voice::tone(TONE_HZ))?;
    let hears = dial(doors[1], CALLERS[1], Voice::default())?;
    for call in [&speaks, &hears] {
        call.wait_for_answer(STEP).context("the call was not answered")?;
        call.wait_for_keys(STEP).context("PIN and code were not keyed")?;
    }
    hears.wait_for_tone(TONE_HZ, HEARD_DB, STEP).context("the other's tone was not heard in the meeting")
}

/// Removed when it is over.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("doorline-doctor-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("{}: not made", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing hangs on it: the system clears its temporary folder sooner or later.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
