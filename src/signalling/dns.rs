//! Asking the DNS where names lead: the only place of signalling that looks anything up.
//!
//! What to ask is [`sip::resolve`](crate::sip::resolve)'s; here are the questions on the network, their
//! time limits, and a cache that forgets when the records' time to live says so.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::sip::resolve::{Answer, Hop, Naptr, Question, Resolution, Srv};
use crate::sip::{Transport, Uri};

/// One question to one server, and tries.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// A whole look-up, from NAPTR to addresses.
const WHOLE: Duration = Duration::from_secs(8);
const CACHE_RECORDS: u64 = 1_024;
/// Shortest and longest that an answer is believed, whatever its time to live.
const BELIEVED_MIN: Duration = Duration::from_secs(5);
const BELIEVED_MAX: Duration = Duration::from_secs(3_600);
/// The same of an answer that there is nothing.
const NOTHING_MIN: Duration = Duration::from_secs(2);
const NOTHING_MAX: Duration = Duration::from_secs(60);

/// Where a name leads, or why it is not known.
#[derive(Debug)]
pub struct Found {
    pub id: u64,
    pub hops: Result<Vec<Hop>, String>,
}

pub struct Resolver {
    /// Or why there is none: addresses still lead to themselves.
    resolver: Result<TokioResolver, String>,
}

impl Resolver {
    /// Asks these servers; none: those of `/etc/resolv.conf`.
    #[must_use]
    pub fn new(servers: &[SocketAddr]) -> Self {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| format!("no DNS: {error}"))
        } else {
            let config = ResolverConfig::from_name_servers(servers.iter().map(name_server).collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|mut builder| {
            limit(builder.options_mut());
            builder.build().map_err(|error| format!("no DNS: {error}"))
        });
        Self { resolver }
    }

    /// Ways to send to a URI, best first. `lot` differs from look-up to look-up.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn resolve(&self, uri: &Uri, supported: &[Transport], lot: u64) -> Result<Vec<Hop>, String> {
        // The system's own randomness would be better, but all that it decides is whose turn it is.
        let seed = lot ^ u64::from(std::process::id()) << 32;
        let mut resolution = Resolution::new(uri, supported, seed).map_err(|nowhere| nowhere.to_string())?;
        let mut failure = None;
        let all = async {
            while let Some(question) = resolution.question() {
                let answer = self.ask(&question, &mut failure).await;
                resolution.answer(answer);
            }
        };
        if tokio::time::timeout(WHOLE, all).await.is_err() {
            failure = Some("the DNS does not answer in time".to_owned());
        }
        // Something is better than a complaint.
        resolution.hops().map_err(|nowhere| failure.unwrap_or_else(|| nowhere.to_string()))
    }

    async fn ask(&self, question: &Question, failure: &mut Option<String>) -> Answer {
        match question {
            Question::Naptr(name) => {
                let records = self.records(name, RecordType::NAPTR, failure).await;
                Answer::Naptr(records.iter().filter_map(naptr).collect())
            }
            Question::Srv(name) => {
                let records = self.records(name, RecordType::SRV, failure).await;
                Answer::Srv(records.iter().filter_map(srv).collect())
            }
            Question::Addresses(name) => {
                let mut records = self.records(name, RecordType::A, failure).await;
                records.extend(self.records(name, RecordType::AAAA, failure).await);
                Answer::Addresses(records.iter().filter_map(RData::ip_addr).collect::<Vec<IpAddr>>())
            }
        }
    }

    /// None, too, when nobody answers: then `failure` says so.
    async fn records(&self, name: &str, kind: RecordType, failure: &mut Option<String>) -> Vec<RData> {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(why) => {
                *failure = Some(why.clone());
                return Vec::new();
            }
        };
        // A final dot: the name as it is, not tried in the system's search domains.
        let whole = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
        match resolver.lookup(whole, kind).await {
            Ok(found) => found.answers().iter().map(|record| record.data.clone()).collect(),
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(error) => {
                *failure = Some(format!("{name}: {error}"));
                Vec::new()
            }
        }
    }
}

fn limit(options: &mut ResolverOpts) {
    options.timeout = PATIENCE;
    options.attempts = TRIES;
    options.cache_size = CACHE_RECORDS;
    options.positive_min_ttl = Some(BELIEVED_MIN);
    options.positive_max_ttl = Some(BELIEVED_MAX);
    options.negative_min_ttl = Some(NOTHING_MIN);
    options.negative_max_ttl = Some(NOTHING_MAX);
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn naptr(record: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = record else { return None };
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: String::from_utf8_lossy(&record.flags).into_owned(),
        service: String::from_utf8_lossy(&record.services).into_owned(),
        replacement: record.replacement.to_string(),
    })
}

fn srv(record: &RData) -> Option<Srv> {
    let RData::SRV(record) = record else { return None };
    Some(Srv {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: record.target.to_string(),
    })
}
