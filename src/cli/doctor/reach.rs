//! Are the trunks' peers there? Each that says where it is gets one OPTIONS, from sockets of our own.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Finding, ok, warn};
use crate::config::Settings;
use crate::signalling::{self, Probe, Signalling};
use crate::sip::endpoint;
use crate::sip::ping::Ping;
use crate::sip::register::Account;
use crate::sip::trunk::Trunk;

/// One finding per trunk with `[ping]` or `[register]`. Nothing is registered: that would take the calls
/// of a service that runs.
pub(super) fn reachable(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let asked: Vec<Trunk> = settings.trunks.iter().filter_map(only_asked).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = asked.iter().map(|trunk| trunk.name.clone()).collect();
    let mut ours = settings.signalling.clone();
    for listen in &mut ours.listen {
        // The service may be running on its own ports.
        listen.address = SocketAddr::new(listen.address.ip(), 0);
    }
    crate::cli::serve::runtime()?.block_on(async {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let rules = endpoint::Settings::default();
        let (handle, _events) =
            Signalling::start(&ours, rules, signalling::Limits::default(), asked, seed).await?;
        let probes = names.iter().map(|name| handle.probe(name));
        let answers = futures_util::future::join_all(probes).await;
        let told = names.iter().zip(answers).filter_map(|(name, answer)| Some(tell(name, answer.ok()??)));
        let findings = told.collect();
        handle.stop().await;
        Ok(findings)
    })
}

/// The trunk with nothing to do but be asked.
fn only_asked(trunk: &Trunk) -> Option<Trunk> {
    let pinged = trunk.ping.as_ref().map(|ping| ping.target.clone());
    let target = pinged.or_else(|| trunk.registration.as_ref().map(Account::first_hop))?;
    let ping = Some(Ping { target, interval: Duration::from_secs(3_600) });
    Some(Trunk { ping, registration: None, ..trunk.clone() })
}

fn tell(name: &str, answer: Probe) -> Finding {
    match answer {
        Ok((flow, 503, _)) => {
            warn("trunk", format!("{name}: {} answers 503: it takes no calls now", flow.peer))
        }
        Ok((flow, status, time)) => ok(
            "trunk",
            format!(
                "{name}: {}:{} answers {status} in {} ms",
                flow.transport.name(),
                flow.peer,
                time.as_millis()
            ),
        ),
        Err(why) => warn(
            "trunk",
            format!(
                "{name}: {why}: look at target and registrar in its file, at the DNS and at the firewall"
            ),
        ),
    }
}
