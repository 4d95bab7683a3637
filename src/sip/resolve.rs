//! Where a request to a SIP URI goes: transport, port and addresses, in the order to try them
//! (RFC 3263 §4), and the questions to the DNS that lead there.
//!
//! A [`Resolution`] says what to ask next and takes the answers. It asks nobody itself, and what is
//! random about it (RFC 2782 weights) comes from its seed.

use std::net::{IpAddr, SocketAddr};

use super::Transport;
use super::uri::{Host, Uri};

/// One address to try.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Hop {
    pub transport: Transport,
    pub address: SocketAddr,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Question {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Addresses(String),
}

/// An answer without records: there are none, or nobody could be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Addresses(Vec<IpAddr>),
}

/// RFC 3403 §4.1, the fields that SIP uses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    /// Only `s` leads to SRV.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    pub replacement: String,
}

/// RFC 2782.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// Why nothing can be sent to a URI.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Nowhere {
    #[error("no SIP URI, expected such as \"sip:carrier.example\"")]
    NotSip,
    #[error("transport {0:?}, expected one that we listen on")]
    Transport(String),
    #[error("{0}: the DNS has no address for it")]
    NoAddress(String),
    #[error("{0}: says that it takes no SIP")]
    NoService(String),
}

/// Bounds on what somebody else's DNS can make us do.
const QUESTIONS_MAX: usize = 24;
const HOPS_MAX: usize = 32;
const RECORDS_MAX: usize = 16;

/// One URI on its way to addresses.
#[derive(Debug)]
pub struct Resolution {
    supported: Vec<Transport>,
    secure: bool,
    host: String,
    /// What is still to be asked, the next one last.
    todo: Vec<Step>,
    hops: Vec<Hop>,
    asked: usize,
    /// An SRV record said "no such service" (RFC 2782: target `.`).
    refused: bool,
    random: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Naptr(String),
    /// `fallback`: without records, the host's addresses at the default port.
    Srv {
        name: String,
        transport: Transport,
        fallback: Fallback,
    },
    Addresses {
        name: String,
        transport: Transport,
        port: u16,
    },
}

/// What follows an SRV question that finds nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fallback {
    None,
    /// This is the last transport that could have had records.
    Host,
}

impl Resolution {
    /// `supported`: what we can send over, best first. `seed` must be random.
    ///
    /// # Errors
    /// When no question to the DNS could help.
    pub fn new(uri: &Uri, supported: &[Transport], seed: u64) -> Result<Self, Nowhere> {
        let sip = uri.as_sip().ok_or(Nowhere::NotSip)?;
        let secure = sip.secure;
        let written = match uri.transport() {
            None => None,
            Some(text) => {
                let known = [Transport::Udp, Transport::Tcp, Transport::Tls]
                    .into_iter()
                    .find(|transport| transport.name().eq_ignore_ascii_case(text));
                Some(known.ok_or_else(|| Nowhere::Transport(text.chars().take(20).collect()))?)
            }
        };
        // TLS is what TCP is called under sips (RFC 3261 §26.2.2).
        let written = match written {
            Some(Transport::Tcp) if secure => Some(Transport::Tls),
            other => other,
        };
        let plain = if secure { Transport::Tls } else { Transport::Udp };
        let mut this = Self {
            supported: supported.to_vec(),
            secure,
            host: sip.host.to_string(),
            todo: Vec::new(),
            hops: Vec::new(),
            asked: 0,
            refused: false,
            random: seed,
        };
        let transport = written.unwrap_or_else(|| this.first_of(plain));
        match (&sip.host, sip.port, written) {
            // §4.1: with an address or a port there is nothing to look up about the transport.
            (Host::Ip(ip), port, _) => {
                this.usable(transport)?;
                let port = port.unwrap_or_else(|| transport.default_port());
                this.hops.push(Hop { transport, address: SocketAddr::new(*ip, port) });
            }
            (Host::Name(name), Some(port), _) => {
                this.usable(transport)?;
                this.todo.push(Step::Addresses { name: name.clone(), transport, port });
            }
            (Host::Name(name), None, Some(transport)) => {
                this.usable(transport)?;
                this.todo.push(this.srv(name, transport, Fallback::Host));
            }
            (Host::Name(name), None, None) => this.todo.push(Step::Naptr(name.clone())),
        }
        Ok(this)
    }

    /// What to ask now; `None`: see [`Resolution::hops`].
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        if self.asked >= QUESTIONS_MAX || self.hops.len() >= HOPS_MAX {
            return None;
        }
        self.todo.last().map(|step| match step {
            Step::Naptr(name) => Question::Naptr(name.clone()),
            Step::Srv { name, .. } => Question::Srv(name.clone()),
            Step::Addresses { name, .. } => Question::Addresses(name.clone()),
        })
    }

    /// The answer to [`Resolution::question`].
    pub fn answer(&mut self, answer: Answer) {
        self.asked += 1;
        match (self.todo.pop(), answer) {
            (Some(Step::Naptr(name)), Answer::Naptr(records)) => self.naptr(&name, records),
            (Some(Step::Srv { transport, fallback, .. }), Answer::Srv(records)) => {
                self.srv_records(transport, fallback, records);
            }
            (Some(Step::Addresses { transport, port, .. }), Answer::Addresses(addresses)) => {
                for ip in addresses.into_iter().take(RECORDS_MAX) {
                    let hop = Hop { transport, address: SocketAddr::new(ip, port) };
                    if !self.hops.contains(&hop) && self.hops.len() < HOPS_MAX {
                        self.hops.push(hop);
                    }
                }
            }
            // An answer to another question: as good as none.
            (Some(_) | None, _) => {}
        }
    }

    /// In the order to try them.
    ///
    /// # Errors
    /// When there is none.
    pub fn hops(self) -> Result<Vec<Hop>, Nowhere> {
        if !self.hops.is_empty() {
            return Ok(self.hops);
        }
        Err(if self.refused { Nowhere::NoService(self.host) } else { Nowhere::NoAddress(self.host) })
    }

    /// §4.1: the records of the lowest order whose transport we have; without any, SRV for each
    /// transport that we have.
    fn naptr(&mut self, name: &str, mut records: Vec<Naptr>) {
        records.truncate(RECORDS_MAX);
        records.sort_by_key(|record| (record.order, record.preference));
        let usable = |record: &Naptr| {
            let transport = match record.service.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            let fits = record.flags.eq_ignore_ascii_case("s")
                && (!self.secure || transport == Transport::Tls)
                && self.supported.contains(&transport);
            fits.then(|| (record.order, transport, record.replacement.clone()))
        };
        let usable: Vec<(u16, Transport, String)> = records.iter().filter_map(usable).collect();
        let Some((first, _, _)) = usable.first() else {
            // Asked from the last one on, so the first transport goes last onto the pile.
            let tries: Vec<Transport> =
                self.supported.iter().copied().filter(|t| !self.secure || *t == Transport::Tls).collect();
            let steps = tries.iter().enumerate().map(|(at, transport)| {
                let last = at + 1 == tries.len();
                self.srv(name, *transport, if last { Fallback::Host } else { Fallback::None })
            });
            let steps: Vec<Step> = steps.collect();
            self.todo.extend(steps.into_iter().rev());
            return;
        };
        let same_order = usable.iter().filter(|(order, _, _)| order == first);
        let steps = same_order.map(|(_, transport, replacement)| Step::Srv {
            name: replacement.clone(),
            transport: *transport,
            fallback: Fallback::None,
        });
        self.todo.extend(steps.rev());
    }

    /// RFC 2782: by priority, within one by weighted lot.
    fn srv_records(&mut self, transport: Transport, fallback: Fallback, mut records: Vec<Srv>) {
        records.truncate(RECORDS_MAX);
        if let [Srv { target, .. }] = records.as_slice()
            && matches!(target.as_str(), "." | "")
        {
            self.refused = true;
            return;
        }
        let nothing_found = self.hops.is_empty()
            && !self.refused
            && !self.todo.iter().any(|step| matches!(step, Step::Addresses { .. }));
        if records.is_empty() && fallback == Fallback::Host && nothing_found {
            // §4.2: the host itself, at the port of the transport that one has when nobody says.
            let transport = match transport {
                written if self.todo.is_empty() && self.asked == 1 => written,
                _ if self.secure => Transport::Tls,
                _ => self.first_of(Transport::Udp),
            };
            let (name, port) = (self.host.clone(), transport.default_port());
            self.todo.push(Step::Addresses { name, transport, port });
            return;
        }
        let ordered = self.by_lot(records);
        let steps = ordered.into_iter().map(|record| Step::Addresses {
            name: record.target,
            transport,
            port: record.port,
        });
        let steps: Vec<Step> = steps.collect();
        self.todo.extend(steps.into_iter().rev());
    }

    fn by_lot(&mut self, mut records: Vec<Srv>) -> Vec<Srv> {
        // Those of weight 0 first, so that they have a small chance (RFC 2782).
        records.sort_by_key(|record| (record.priority, record.weight));
        let mut ordered = Vec::with_capacity(records.len());
        while let Some(priority) = records.first().map(|record| record.priority) {
            let group = records.iter().take_while(|record| record.priority == priority).count();
            let all: u32 = records[..group].iter().map(|record| u32::from(record.weight)).sum();
            let lot = u32::try_from(self.draw() % (u64::from(all) + 1)).unwrap_or_default();
            let mut sum = 0;
            let at = records[..group].iter().position(|record| {
                sum += u32::from(record.weight);
                sum >= lot
            });
            ordered.push(records.remove(at.unwrap_or_default()));
        }
        ordered
    }

    /// Splitmix64: enough to share load by.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn srv(&self, host: &str, transport: Transport, fallback: Fallback) -> Step {
        let name = match transport {
            Transport::Udp => format!("_sip._udp.{host}"),
            Transport::Tcp => format!("_sip._tcp.{host}"),
            Transport::Tls => format!("_sips._tcp.{host}"),
        };
        Step::Srv { name, transport, fallback }
    }

    /// The usual transport, or the best of ours when we do not have it.
    fn first_of(&self, usual: Transport) -> Transport {
        if self.supported.contains(&usual) || self.secure {
            return usual;
        }
        self.supported.first().copied().unwrap_or(usual)
    }

    fn usable(&self, transport: Transport) -> Result<(), Nowhere> {
        if self.supported.contains(&transport) {
            Ok(())
        } else {
            Err(Nowhere::Transport(transport.name().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
    const PLAIN: &[Transport] = &[Transport::Udp, Transport::Tcp];

    /// Answers from a zone: lines `naptr NAME ORDER PREFERENCE SERVICE REPLACEMENT`, `srv NAME
    /// PRIORITY WEIGHT PORT TARGET`, `a NAME ADDRESS`.
    fn resolve(
        uri: &str,
        supported: &[Transport],
        seed: u64,
        zone: &str,
    ) -> (Result<String, String>, Vec<String>) {
        let mut asked = Vec::new();
        let uri: Uri = uri.parse().unwrap();
        let mut resolution = match Resolution::new(&uri, supported, seed) {
            Ok(resolution) => resolution,
            Err(nowhere) => return (Err(nowhere.to_string()), asked),
        };
        let lines: Vec<Vec<&str>> = zone.lines().map(|line| line.split_whitespace().collect()).collect();
        let of = |kind: &str, name: &str| {
            let found = |line: &&Vec<&str>| line.len() > 2 && line[0] == kind && line[1] == name;
            lines.iter().filter(found).cloned().collect::<Vec<_>>()
        };
        while let Some(question) = resolution.question() {
            let (name, answer) = match question {
                Question::Naptr(name) => {
                    let records = of("naptr", &name).into_iter().map(|line| Naptr {
                        order: line[2].parse().unwrap(),
                        preference: line[3].parse().unwrap(),
                        flags: "S".to_owned(),
                        service: line[4].to_owned(),
                        replacement: line[5].to_owned(),
                    });
                    (format!("naptr {name}"), Answer::Naptr(records.collect()))
                }
                Question::Srv(name) => {
                    let records = of("srv", &name).into_iter().map(|line| Srv {
                        priority: line[2].parse().unwrap(),
                        weight: line[3].parse().unwrap(),
                        port: line[4].parse().unwrap(),
                        target: line[5].to_owned(),
                    });
                    (format!("srv {name}"), Answer::Srv(records.collect()))
                }
                Question::Addresses(name) => {
                    let addresses = of("a", &name).into_iter().map(|line| line[2].parse().unwrap());
                    (format!("a {name}"), Answer::Addresses(addresses.collect()))
                }
            };
            asked.push(name);
            resolution.answer(answer);
        }
        let shown = |hop: &Hop| format!("{} {}", hop.transport.name(), hop.address);
        let hops = resolution.hops().map(|hops| hops.iter().map(shown).collect::<Vec<_>>().join(", "));
        (hops.map_err(|nowhere| nowhere.to_string()), asked)
    }

    /// URI, what we can send over, zone, and where it leads or why nowhere.
    type Case<'a> = (&'a str, &'a [Transport], &'a str, Result<&'a str, &'a str>);

    #[test]
    fn a_uri_leads_to_addresses_as_rfc_3263_says() {
        let carrier = "
            naptr carrier.example 20 10 SIP+D2U _sip._udp.carrier.example
            naptr carrier.example 10 20 SIP+D2T _sip._tcp.carrier.example
            naptr carrier.example 10 10 SIPS+D2T _sips._tcp.carrier.example
            naptr carrier.example 5 10 E2U+sip x
            srv _sip._udp.carrier.example 1 0 5070 a.carrier.example
            srv _sip._tcp.carrier.example 2 0 5080 b.carrier.example
            srv _sip._tcp.carrier.example 1 0 5080 a.carrier.example
            srv _sips._tcp.carrier.example 1 0 5081 a.carrier.example
            a a.carrier.example 192.0.2.1
            a a.carrier.example 2001:db8::1
            a b.carrier.example 192.0.2.2";
        let no_naptr = "
            srv _sip._tcp.small.example 1 0 5999 small.example
            a small.example 192.0.2.9";
        let bare = "a bare.example 192.0.2.3";
        let none = "srv _sip._udp.none.example 1 0 1 .\na none.example 192.0.2.4";
        let cases: &[Case] = &[
            ("sip:192.0.2.7", ALL, "", Ok("udp 192.0.2.7:5060")),
            ("sip:192.0.2.7:5090", ALL, "", Ok("udp 192.0.2.7:5090")),
            ("sip:192.0.2.7;transport=tcp", ALL, "", Ok("tcp 192.0.2.7:5060")),
            ("sip:[2001:db8::7];transport=TLS", ALL, "", Ok("tls [2001:db8::7]:5061")),
            ("sips:192.0.2.7", ALL, "", Ok("tls 192.0.2.7:5061")),
            ("sips:192.0.2.7;transport=tcp", ALL, "", Ok("tls 192.0.2.7:5061")),
            ("sips:192.0.2.7", PLAIN, "", Err("transport \"tls\", expected one that we listen on")),
            ("sip:192.0.2.7", &[Transport::Tcp], "", Ok("tcp 192.0.2.7:5060")),
            (
                "sip:192.0.2.7;transport=sctp",
                ALL,
                "",
                Err("transport \"sctp\", expected one that we listen on"),
            ),
            ("sip:bare.example:5099", ALL, bare, Ok("udp 192.0.2.3:5099")),
            ("sip:bare.example", ALL, bare, Ok("udp 192.0.2.3:5060")),
            ("sip:bare.example;transport=tcp", ALL, bare, Ok("tcp 192.0.2.3:5060")),
            ("sips:bare.example", ALL, bare, Ok("tls 192.0.2.3:5061")),
            ("sip:small.example", ALL, no_naptr, Ok("tcp 192.0.2.9:5999")),
            (
                "sip:carrier.example",
                ALL,
                carrier,
                Ok(
                    "tls 192.0.2.1:5081, tls [2001:db8::1]:5081, tcp 192.0.2.1:5080, tcp [2001:db8::1]:5080, tcp 192.0.2.2:5080",
                ),
            ),
            (
                "sip:carrier.example",
                &[Transport::Udp],
                carrier,
                Ok("udp 192.0.2.1:5070, udp [2001:db8::1]:5070"),
            ),
            ("sips:carrier.example", ALL, carrier, Ok("tls 192.0.2.1:5081, tls [2001:db8::1]:5081")),
            (
                "sip:carrier.example;transport=udp",
                ALL,
                carrier,
                Ok("udp 192.0.2.1:5070, udp [2001:db8::1]:5070"),
            ),
            ("sip:nobody.example", ALL, "", Err("nobody.example: the DNS has no address for it")),
            ("sip:none.example;transport=udp", ALL, none, Err("none.example: says that it takes no SIP")),
            ("tel:+442079460000", ALL, "", Err("no SIP URI, expected such as \"sip:carrier.example\"")),
        ];
        for (uri, supported, zone, expected) in cases {
            let (hops, asked) = resolve(uri, supported, 1, zone);
            assert_eq!(hops.as_deref().map_err(String::as_str), *expected, "{uri} {asked:?}");
        }
    }

    #[test]
    fn only_what_is_needed_is_asked() {
        let (_, asked) = resolve("sip:small.example", PLAIN, 1, "");
        let expected = [
            "naptr small.example",
            "srv _sip._udp.small.example",
            "srv _sip._tcp.small.example",
            "a small.example",
        ];
        assert_eq!(asked, expected);
        assert!(resolve("sip:192.0.2.7", PLAIN, 1, "").1.is_empty());
        assert_eq!(resolve("sip:small.example:5060", PLAIN, 1, "").1, ["a small.example"]);
    }

    #[test]
    fn load_is_shared_by_weight() {
        let zone = "
            srv _sip._udp.c.example 1 10 5060 a.c.example
            srv _sip._udp.c.example 1 30 5060 b.c.example
            srv _sip._udp.c.example 1 0 5060 z.c.example
            srv _sip._udp.c.example 2 99 5060 d.c.example
            a a.c.example 192.0.2.1
            a b.c.example 192.0.2.2
            a z.c.example 192.0.2.3
            a d.c.example 192.0.2.4";
        let mut firsts = [0; 4];
        for seed in 0..4_000 {
            let (hops, _) = resolve("sip:c.example;transport=udp", PLAIN, seed, zone);
            let hops = hops.unwrap();
            assert!(hops.ends_with("192.0.2.4:5060"), "the higher priority number comes last: {hops}");
            let first: usize = hops["udp 192.0.2.".len()..][..1].parse().unwrap();
            firsts[first - 1] += 1;
        }
        // 10 : 30 : almost none : never.
        assert!((850..1_150).contains(&firsts[0]) && (2_750..3_050).contains(&firsts[1]), "{firsts:?}");
        assert!((20..250).contains(&firsts[2]) && firsts[3] == 0, "{firsts:?}");
    }

    #[test]
    fn somebody_elses_dns_cannot_keep_us_busy() {
        let mut zone = String::new();
        for n in 0..60 {
            zone.push_str(&format!("srv _sip._udp.big.example 1 1 5060 h{n}.big.example\n"));
            for m in 0..60 {
                zone.push_str(&format!("a h{n}.big.example 10.0.{n}.{m}\n"));
            }
        }
        let (hops, asked) = resolve("sip:big.example;transport=udp", PLAIN, 1, &zone);
        assert_eq!((hops.unwrap().split(", ").count(), asked.len()), (HOPS_MAX, 3));
    }
}
