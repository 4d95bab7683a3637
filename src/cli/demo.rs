//! `doorline demo`: a whole service on this machine's loopback, with a host and a meeting to call.
//!
//! The demo is an ordinary configuration, written into its data folder and read like any other, so
//! that it is also an example to copy. Every start makes the folder anew.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use jiff::Timestamp;

use crate::bridge::view::MeetingKind;
use crate::cli::serve::{runtime, show};
use crate::config;
use crate::server::Service;
use crate::store::{Meeting, NewHost, NewMeeting};
use crate::telemetry;
use crate::types::Token;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the demo keeps its configuration and database; made anew at every start
    /// [default: a folder in the system's temporary one]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The SIP port to ask for; a free one is taken when it is in use.
    #[arg(long, default_value_t = 5060)]
    sip_port: u16,
    /// The HTTP port to ask for; a free one is taken when it is in use.
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// Log filter, such as `info` or `doorline=debug`.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// The access number of the demo, from a range that Ofcom keeps for drama.
const ACCESS_NUMBER: &str = "+442079460000";
/// The caller of the printed lines, from a range kept for fiction.
const CALLER: &str = "+12025550143";
/// Left in every folder that a demo made: no other folder is ever emptied.
const MARK: &str = ".doorline-demo";

/// Starts the demo and serves until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    telemetry::start_logs(telemetry::LogFormat::Text, &arguments.log);
    telemetry::start_metrics();
    let folder = fresh_folder(arguments.data.as_deref())?;
    let token = Token::new(format!("dlo_{}", random_text()?));
    let sip_port = free_port(arguments.sip_port)?;
    let http_port = free_port(arguments.http_port)?;
    write_config(&folder, sip_port, http_port, &token)?;
    let settings = match config::load_with(&folder.join("doorline.toml"), None) {
        Ok(settings) => settings,
        Err(faults) => bail!("the demo's own configuration: {}", show(&faults)),
    };
    let pin_length = settings.bridge.pin_length;

    runtime()?.block_on(async {
        let service = Service::start(settings).await.context("the demo did not start")?;
        let (host, host_pin) = service
            .store()
            .add_host(
                &NewHost {
                    name: "Ada Demo".to_owned(),
                    email: "ada@example.com".to_owned(),
                    ..NewHost::default()
                },
                pin_length,
                Timestamp::now(),
            )
            .await?;
        let now = Timestamp::now();
        let meeting = service
            .store()
            .add_meeting(
                host.id,
                &NewMeeting {
                    kind: MeetingKind::OneTime,
                    title: "Doorline demo".to_owned(),
                    starts_at: now,
                    ends_at: now + Duration::from_secs(4 * 3600),
                    time_zone: None,
                    recurrence: None,
                    invitees: Vec::new(),
                    known_callers: None,
                    wait_for_moderator: false,
                },
                now,
            )
            .await?;
        service.open_meeting(host.id, meeting.id).await.context("the demo's meeting did not open")?;
        print!("{}", card(&folder, sip_port, http_port, host.pin.reveal(), host_pin.reveal(), &meeting));
        std::io::stdout().flush()?;
        service.run_until_told_to_stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// What somebody in front of the terminal needs: the numbers, and lines to paste.
fn card(folder: &Path, sip: u16, http: u16, pin: &str, host_pin: &str, meeting: &Meeting) -> String {
    let code = meeting.code.as_ref().map_or("none", |code| code.reveal());
    let program =
        std::env::current_exe().map_or_else(|_| "doorline".to_owned(), |path| path.display().to_string());
    let dial = format!("{program} phone sip:{ACCESS_NUMBER}@127.0.0.1:{sip}");
    format!(
        "
Doorline is listening. One One Time Meeting is live.

  access number   {ACCESS_NUMBER}      at 127.0.0.1:{sip} (UDP and TCP)
  PIN             {pin}
  one-time code   {code}
  host PIN        {host_pin}
  API             http://127.0.0.1:{http}/api/v1   (document: /api/v1/openapi.json)
  API token       in {token}

First call: this phone is unknown, so it keys PIN and code, and is remembered.
  {dial} --from {CALLER} --asserted --keys '{pin}#,{code}#' --tone 440 --duration 15

Second call, same phone: straight in.
  {dial} --from {CALLER} --asserted --tone 440 --record heard.wav --duration 15

Somebody to talk to, in another terminal:
  {dial} --from +12025550144 --asserted --keys '{pin}{code}' --tone 600 --duration 60

Any softphone on this machine: no registration, no password, codec PCMA or PCMU; dial
  sip:{ACCESS_NUMBER}@127.0.0.1:{sip}

Ctrl-C lets calls end and stops; a second one stops at once.
",
        token = folder.join("operator-token").display(),
    )
}

/// An empty folder for this start. Only a folder that a demo made is emptied.
fn fresh_folder(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match wanted {
        Some(folder) => std::path::absolute(folder)?,
        None => std::env::temp_dir().join(format!("doorline-demo-{}", std::process::id())),
    };
    if folder.join(MARK).is_file() {
        fs::remove_dir_all(&folder).with_context(|| format!("{}: not emptied", folder.display()))?;
    } else if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: holds something that no demo made, expected an empty or a new folder", folder.display());
    }
    fs::create_dir_all(folder.join("trunks.d")).with_context(|| format!("{}: not made", folder.display()))?;
    fs::write(folder.join(MARK), "")?;
    Ok(folder)
}

fn write_config(folder: &Path, sip: u16, http: u16, token: &Token) -> anyhow::Result<()> {
    let config = format!(
        r#"# Written by `doorline demo`: everything on loopback, one access number, one lab trunk.
data_dir = "data"
trunks = "trunks.d"

[sip]
listen = ["udp:127.0.0.1:{sip}", "tcp:127.0.0.1:{sip}"]

[rtp]
address = "127.0.0.1"
ports = "20000-29999"

[http]
listen = "127.0.0.1:{http}"
operator_token_file = "operator-token"

[store]
url = "sqlite:doorline.db"

[[access_number]]
number = "{ACCESS_NUMBER}"
language = "en-GB"
country = "GB"
"#
    );
    let trunk = r#"# Whoever calls from this machine, believed about the calling number.
name = "lab"
allow = ["127.0.0.0/8"]

[caller_id]
trust = "pai"
country = "GB"
"#;
    fs::write(folder.join("doorline.toml"), config)?;
    fs::write(folder.join("trunks.d/lab.toml"), trunk)?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("operator-token"))?;
    writeln!(file, "{}", token.reveal())?;
    Ok(())
}

/// `wanted` when both UDP and TCP can have it, else a free one.
fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let both = |port| {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        let port = tcp.local_addr().ok()?.port();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    };
    if let Some(port) = both(wanted) {
        return Ok(port);
    }
    let port = (0..20).find_map(|_| both(0)).context("no free port on 127.0.0.1")?;
    eprintln!("port {wanted} on 127.0.0.1 is in use; taking {port}");
    Ok(port)
}

fn random_text() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("no random bytes from the system")?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}
