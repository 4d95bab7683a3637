//! `doorline phone`: a test caller. It dials, presses keys, speaks, listens, and prints what happened.
//!
//! [`Call`] is the phone itself, for tests that need several at once; this file is its command line.
//! It speaks SIP with the service's own endpoint, in the other role.

pub mod call;
pub mod fingers;
pub mod heard;
pub mod keys;
pub mod listener;
pub mod plan;
mod reports;
pub mod sound;
pub mod tone;
pub mod voice;
pub mod wav;
mod wire;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

pub use call::{At, Call, Error, Happening, Who};
pub use fingers::DigitsBy;
pub use keys::Keys;
pub use plan::{Certificates, Plan, Presentation};
pub use voice::Voice;

use crate::audio::Codec;
use crate::sip::Transport;
use crate::types::Suite;

/// How long we let an unanswered call ring.
const ANSWER: Duration = Duration::from_secs(60);

/// How long the end of a call may take.
const GOODBYE: Duration = Duration::from_secs(10);

/// With `--until silence`: nothing but silence for this long after sound.
const SILENCE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub struct Arguments {
    /// Whom to call, such as sip:+442079460000@127.0.0.1:5060
    #[arg(value_name = "URI")]
    to: String,
    /// Who calls
    #[arg(long, value_name = "NUMBER", default_value = "+15550100001")]
    from: String,
    /// Have the number vouched for, as a carrier does: send P-Asserted-Identity
    #[arg(long)]
    asserted: bool,
    /// Withhold the number: anonymous From and Privacy, the number for the carrier alone
    #[arg(long, conflicts_with = "asserted")]
    withheld: bool,
    /// Call from this address of ours
    #[arg(long, value_name = "ADDRESS")]
    local: Option<std::net::IpAddr>,
    /// What carries the call [default: as the URI says, else udp]
    #[arg(long, value_enum)]
    transport: Option<By>,
    /// Authorities (PEM) of the service's certificate, over TLS [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Show this certificate (PEM) when asked for one, over TLS
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// What to press once answered: keys, wN to wait N seconds, p to wait for the prompt's end;
    /// commas between them, such as p,123456789#,w2,1234#
    #[arg(long, value_name = "KEYS")]
    keys: Option<Keys>,
    #[arg(long, value_enum, default_value = "rtp")]
    digits_by: DigitsBy,
    /// Speak a tone of this frequency
    #[arg(long, value_name = "HZ", conflicts_with = "speak")]
    tone: Option<f64>,
    /// Speak a WAV file once
    #[arg(long, value_name = "FILE")]
    speak: Option<PathBuf>,
    /// Write what is heard to a WAV file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write both sides to a WAV file: heard left, spoken right
    #[arg(long, value_name = "FILE")]
    record_both: Option<PathBuf>,
    /// Hang up this many seconds after the answer
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Hang up when something was heard and then nothing more
    #[arg(long, value_enum)]
    until: Option<Until>,
    /// Send no offer; answer theirs
    #[arg(long)]
    late_offer: bool,
    #[arg(long, value_enum, default_value = "pcmu")]
    codec: Spoken,
    /// Encrypt the sound, by this suite: AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80 or
    /// AES_CM_128_HMAC_SHA1_32
    #[arg(
        long,
        value_name = "SUITE",
        num_args = 0..=1,
        default_missing_value = "AES_CM_128_HMAC_SHA1_80",
        value_parser = suite
    )]
    srtp: Option<Suite>,
    /// Print one JSON object at the end instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Udp,
    Tcp,
    Tls,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Until {
    Silence,
}

#[derive(Clone, Copy, ValueEnum)]
enum Spoken {
    Pcmu,
    Pcma,
    /// Wideband on the wire; the phone itself speaks and hears narrowband
    G722,
    Opus,
}

fn suite(name: &str) -> Result<Suite, String> {
    let names = || Suite::ALL.map(Suite::name).join(", ");
    Suite::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    /// The call was answered and ended by a BYE.
    good: bool,
    answered: bool,
    happenings: Vec<At>,
    heard_seconds: f64,
    packets_heard: u64,
    /// The suite that encrypted the sound.
    srtp: Option<&'static str>,
    /// Packets that were encrypted as they should not, or not.
    packets_rejected: u64,
    /// RTCP reports about our packets.
    reports_heard: u64,
}

/// Calls. Exit code 0: the call was answered and ended as calls do; 1: it was not.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = arguments.plan()?;
    let call = Call::dial(plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(arguments.follow(&call));
    if let Some(file) = &arguments.record {
        wav::write(file, &call.heard()).context("the recording was not written")?;
    }
    if let Some(file) = &arguments.record_both {
        wav::write_both(file, &call.heard(), &call.spoken()).context("the recording was not written")?;
    }
    let happenings = call.happenings();
    let ended = matches!(
        happenings.last().map(|at| &at.happening),
        Some(Happening::Ended { by: Who::Us | Who::Them, .. })
    );
    let answered = call.is_answered();
    let heard_seconds = call.heard_so_far() as f64 / f64::from(tone::RATE);
    let good = answered && ended;
    if arguments.json {
        let packets_heard = call.packets_heard();
        let report = Report {
            good,
            answered,
            happenings,
            heard_seconds,
            packets_heard,
            srtp: call.srtp().map(Suite::name),
            packets_rejected: call.packets_rejected(),
            reports_heard: call.reports_heard(),
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("          heard {heard_seconds:.1} s in {} packets", call.packets_heard());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn plan(&self) -> anyhow::Result<Plan> {
        let mut plan = Plan::new(&self.to, &self.from)?;
        plan.presentation = match (self.asserted, self.withheld) {
            (true, _) => Presentation::Asserted,
            (_, true) => Presentation::Withheld,
            _ => Presentation::Plain,
        };
        plan.local = self.local.unwrap_or(plan.local);
        plan.transport = match self.transport {
            Some(By::Udp) => Transport::Udp,
            Some(By::Tcp) => Transport::Tcp,
            Some(By::Tls) => Transport::Tls,
            None => plan.transport,
        };
        plan.certificates =
            Certificates { ca: self.ca.clone(), own: self.certificate.clone().zip(self.private_key.clone()) };
        plan.keys = self.keys.clone().unwrap_or_default();
        plan.digits_by = self.digits_by;
        plan.late_offer = self.late_offer;
        plan.srtp = self.srtp;
        plan.codec = match self.codec {
            Spoken::Pcmu => Codec::Pcmu,
            Spoken::Pcma => Codec::Pcma,
            Spoken::G722 => Codec::G722,
            Spoken::Opus => Codec::Opus,
        };
        if let Some(hz) = self.tone {
            anyhow::ensure!(
                hz > 0.0 && hz < 4_000.0,
                "tone of {hz} Hz, expected more than 0 and less than 4000"
            );
            plan.voice = Voice::tone(hz);
        }
        if let Some(file) = &self.speak {
            plan.voice = Voice::recording(wav::read(file)?);
        }
        if let Some(seconds) = self.duration {
            anyhow::ensure!((0.0..1e6).contains(&seconds), "duration of {seconds} s, expected 0 to 1000000");
        }
        Ok(plan)
    }

    /// Prints what happens until the call is over, and hangs up when it is time to.
    async fn follow(&self, call: &Call) {
        let dialled = Instant::now();
        let (mut told, mut answered_at, mut hung_up) = (0, None, None);
        let mut step = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = step.tick() => {}
                _ = tokio::signal::ctrl_c() => {
                    call.hang_up();
                    hung_up.get_or_insert_with(Instant::now);
                }
            }
            let happenings = call.happenings();
            if !self.json {
                for At { ms, happening } in &happenings[told..] {
                    println!("{:9.3} {happening}", Duration::from_millis(*ms).as_secs_f64());
                }
            }
            told = happenings.len();
            if call.is_over() && told == call.happenings().len() {
                return;
            }
            if call.is_answered() {
                answered_at.get_or_insert_with(Instant::now);
            }
            let rang_out = answered_at.is_none() && dialled.elapsed() > ANSWER;
            if hung_up.is_none() && (rang_out || self.has_enough(answered_at, call)) {
                call.hang_up();
                hung_up = Some(Instant::now());
            }
            if hung_up.is_some_and(|at: Instant| at.elapsed() > GOODBYE) {
                call.vanish();
            }
        }
    }

    fn has_enough(&self, answered_at: Option<Instant>, call: &Call) -> bool {
        let Some(answered_at) = answered_at else { return false };
        let long_enough = self.duration.is_some_and(|most| answered_at.elapsed().as_secs_f64() >= most);
        let silent =
            self.until == Some(Until::Silence) && call.silence().is_some_and(|quiet| quiet >= SILENCE);
        long_enough || silent
    }
}
