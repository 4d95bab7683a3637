//! Configuration: what is read, what is refused, and that every refusal names file, key and reason.

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certificates::Authority;
use doorline::config::{self, Settings};
use doorline::mail::Security;
use doorline::sip::bucket::Rate;
use doorline::sip::trunk::{Believe, CodecName, DtmfMode, MediaSource, SrtpMode, Verstats};
use doorline::sip::{Outside, Transport};
use doorline::telemetry::LogFormat;
use doorline::types::{JitterBounds, Token, Trust};
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A folder with a configuration, a trunks folder and a token.
struct Folder(TempDir);

impl Folder {
    fn with(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("doorline.toml", config);
        fs::create_dir(folder.path("trunks.d")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// A file that nobody else can read.
    fn secret(&self, name: &str, text: &str) -> &Self {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn load(&self) -> Result<Settings, Vec<config::Fault>> {
        config::load_with(&self.path("doorline.toml"), Some(Token::new(TOKEN)))
    }

    /// Each fault as a line, without the folder.
    fn faults(&self) -> Vec<String> {
        self.told(self.load())
    }

    fn told(&self, result: Result<Settings, Vec<config::Fault>>) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        result.err().unwrap_or_default().iter().map(|f| f.to_string().replace(&folder, "")).collect()
    }
}

/// The configuration of the product's description, word for word.
const WHOLE: &str = r#"
data_dir = "/var/lib/doorline"
trunks   = "trunks.d"              # folder of trunk files, relative to this file

[sip]
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
external_address = ""

[rtp]
address = "127.0.0.1"
ports   = "20000-39999"

[http]
listen = "127.0.0.1:8080"
operator_token_file = "secrets/operator-token"

[store]
url = "sqlite:doorline.db"

[meetings]
pin_length = 9

[[access_number]]
number   = "+442079460000"
language = "en-GB"
country  = "GB"
"#;

const LAB: &str = r#"
name  = "lab"
allow = ["127.0.0.0/8"]
[caller_id]
trust   = "pai"
country = "GB"
[media]
codecs = ["opus", "g722", "pcma", "pcmu"]
dtmf   = "auto"
srtp   = "off"
"#;

#[test]
fn a_whole_configuration_becomes_the_settings_of_every_room() {
    let folder = Folder::with(WHOLE);
    folder.write("trunks.d/lab.toml", LAB);
    let settings = folder.load().unwrap();

    assert_eq!(settings.data_dir, Path::new("/var/lib/doorline"));
    assert_eq!(settings.prompts, None);
    assert_eq!(settings.signalling.listen.len(), 2);
    assert_eq!(settings.signalling.listen[1].transport, Transport::Tcp);
    assert_eq!(settings.signalling.listen[1].address, "127.0.0.1:5060".parse().unwrap());
    assert_eq!(settings.signalling.external_address, Outside::default());
    assert_eq!(settings.media.address_v6, None);
    assert_eq!(settings.media.ports, 20_000..=39_999);
    assert_eq!(settings.media.threads, None);
    assert_eq!(settings.http.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.http.operator_token, Token::new(TOKEN));
    assert_eq!(settings.store.url, "sqlite:/var/lib/doorline/doorline.db");
    assert_eq!(settings.store.key_file, Path::new("/var/lib/doorline/doorline.key"));
    assert_eq!(settings.bridge, doorline::bridge::Settings::default());
    assert_eq!((settings.log_format, settings.log_level.as_str()), (LogFormat::Text, "info"));

    let [number] = settings.access_numbers.as_slice() else { panic!("{:?}", settings.access_numbers) };
    assert_eq!(number.number.reveal(), "+442079460000");
    assert_eq!((number.language.as_str(), number.country.unwrap().as_str()), ("en-GB", "GB"));

    let [lab] = settings.trunks.as_slice() else { panic!("{:?}", settings.trunks) };
    assert_eq!((lab.name.as_str(), lab.believe), ("lab", Believe::Pai));
    assert!(lab.allow[0].contains("127.0.0.9".parse().unwrap()));
    assert_eq!(lab.codecs, [CodecName::Opus, CodecName::G722, CodecName::Pcma, CodecName::Pcmu]);
    assert_eq!(
        (lab.dtmf, lab.srtp, lab.media_source, lab.calls_max),
        (DtmfMode::Auto, SrtpMode::Off, MediaSource::Latch, None)
    );
}

#[test]
fn an_empty_file_is_a_good_configuration() {
    let settings = Folder::with("").load().unwrap();
    assert_eq!(settings.bridge, doorline::bridge::Settings::default());
    assert!(settings.access_numbers.is_empty() && settings.trunks.is_empty());
}

#[test]
fn every_key_reaches_its_setting() {
    let folder = Folder::with(
        r#"
        data_dir = "data"
        [sip]
        listen = ["udp:[::1]:5070"]
        external_address = "192.0.2.10"
        external_address_v6 = "2001:db8::10"
        [rtp]
        address_v6 = "::1"
        ports = "30000-30099"
        threads = 3
        [store]
        url = "sqlite:/srv/meetings.db"
        key_file = "/srv/key"
        [meetings]
        pin_length = 6
        early_join_minutes = 5
        overrun_minutes = 0
        waiting_minutes = 10
        lobby_minutes = 3
        reassure_seconds = 30
        moderator_grace_minutes = 2
        standard_needs_moderator = true
        grant_min = "signed"
        use_min = "claimed"
        verified_unused_days = 10
        verified_in_all_days = 20
        [limits]
        participants_max = 12
        calls_max = 40
        calls_entering_max = 7
        calls_per_second = 20
        calls_burst = 30
        [log]
        format = "json"
        level = "warn,doorline::sip=debug"
        "#,
    );
    folder.write(
        "trunks.d/b.toml",
        "name = \"b\"\n[media]\ncodecs = [\"pcmu\"]\ndtmf = \"info\"\nmedia_source = \"sdp\"\njitter_target_ms = \"40-100\"\njitter_cap_ms = 200\n[limits]\ncalls_max = 5",
    );
    let settings = folder.load().unwrap();
    assert_eq!(settings.data_dir, folder.path("data"));
    let outside = settings.signalling.external_address;
    assert_eq!(outside.v4, Some("192.0.2.10".parse().unwrap()));
    assert_eq!(outside.v6, Some("2001:db8::10".parse().unwrap()));
    assert_eq!(settings.media.address_v6, Some("::1".parse().unwrap()));
    assert_eq!((settings.media.ports, settings.media.threads), (30_000..=30_099, Some(3)));
    assert_eq!(settings.signalling.calls_rate, Some(Rate::per_second(20, 30)));
    assert_eq!(settings.store.url, "sqlite:/srv/meetings.db");
    assert_eq!(settings.store.key_file, Path::new("/srv/key"));
    let bridge = &settings.bridge;
    assert_eq!(bridge.pin_length, 6);
    assert_eq!(bridge.early_join, Duration::from_secs(300));
    assert_eq!(bridge.overrun, Duration::ZERO);
    assert_eq!(bridge.waiting, Duration::from_secs(600));
    assert_eq!((bridge.lobby, bridge.reassurance), (Duration::from_secs(180), Duration::from_secs(30)));
    assert_eq!(bridge.moderator_grace, Duration::from_secs(120));
    assert!(bridge.standard_needs_moderator);
    assert_eq!((bridge.grant_min, bridge.use_min), (Trust::Signed, Trust::Claimed));
    assert_eq!(bridge.verified_unused, Duration::from_secs(10 * 86_400));
    assert_eq!(bridge.verified_in_all, Duration::from_secs(20 * 86_400));
    assert_eq!((bridge.participants_max, bridge.calls_max, bridge.calls_entering_max), (12, 40, 7));
    assert_eq!(
        (settings.log_format, settings.log_level.as_str()),
        (LogFormat::Json, "warn,doorline::sip=debug")
    );
    let trunk = &settings.trunks[0];
    assert_eq!(
        (trunk.dtmf, trunk.media_source, trunk.calls_max),
        (DtmfMode::Info, MediaSource::Sdp, Some(5))
    );
    let [least, most, cap] = [40, 100, 200].map(std::time::Duration::from_millis);
    assert_eq!(trunk.jitter, JitterBounds { least, most, cap });
}

#[test]
fn what_is_believed_of_callers_is_set_per_trunk() {
    let root = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem();
    let folder = Folder::with(
        "[stir]\nroots_file = \"roots.pem\"\nca_file = \"roots.pem\"\nports = [8443]\nallow_private = true",
    );
    folder.write("roots.pem", &root);
    folder.write("trunks.d/a.toml", "name = \"a\"");
    folder.write("trunks.d/b.toml", "name = \"b\"\ngroup = \"a\"\n[caller_id]\nstir = true\nverstat = true");
    folder.write("trunks.d/c.toml", "name = \"c\"\n[caller_id]\nverstat = true\nverstat_alone = \"A\"");
    folder.write("trunks.d/d.toml", "name = \"d\"\n[caller_id]\nverstat_alone = \"A\"");
    let settings = folder.load().unwrap();
    let trunks: Vec<_> =
        settings.trunks.iter().map(|trunk| (trunk.group.as_str(), trunk.stir, trunk.verstat)).collect();
    assert_eq!(
        trunks,
        [
            ("a", false, Verstats::Ignored),
            ("a", true, Verstats::Stated),
            ("c", false, Verstats::AUnlessStated),
            ("d", false, Verstats::Ignored),
        ]
    );
    let stir = settings.stir.unwrap();
    assert_eq!((stir.ports, stir.authorities.len(), stir.allow_private), (vec![8443], 1, true));
    // Nothing of it is on by itself, and certificates are fetched from nowhere but the Internet.
    folder.write("doorline.toml", "[stir]\nroots_file = \"roots.pem\"");
    let stir = folder.load().unwrap().stir.unwrap();
    assert_eq!((stir.ports, stir.allow_private), (vec![443, 8443], false));
}

#[test]
fn mail_is_sent_only_when_a_server_is_named() {
    assert_eq!(Folder::with("[mail]\nsecurity = \"tls\"").load().unwrap().mail, None);
    let folder = Folder::with("[mail]\nhost = \"127.0.0.1\"\nsecurity = \"none\"\nfrom = \"a@b.example\"");
    let mail = folder.load().unwrap().mail.unwrap();
    assert_eq!((mail.port, mail.security, mail.login), (25, Security::None, None));
    let folder = Folder::with(
        "[mail]\nhost = \"mail.example.com\"\nport = 2525\nusername = \"u\"\npassword_file = \"word\"\n\
         from = \"a@b.example\"\nca_file = \"ca.pem\"",
    );
    folder.secret("word", "secret\n").write("ca.pem", "");
    let mail = folder.load().unwrap().mail.unwrap();
    assert_eq!(
        (mail.host.as_str(), mail.port, mail.security),
        ("mail.example.com", 2525, Security::StartTls)
    );
    assert_eq!(mail.login, Some(("u".to_owned(), folder.path("word"))));
    assert_eq!((mail.from.as_str(), mail.ca_file), ("a@b.example", Some(folder.path("ca.pem"))));

    let cases = [
        ("port = 25", "mail.host: missing, expected such as \"mail.example.com\" beside port"),
        ("host = \"m\"", "mail.from: missing, expected such as \"doorline@example.com\""),
        ("host = \"m\"\nfrom = \"ada\"", "mail.from: \"ada\", expected such as \"doorline@example.com\""),
        (
            "host = \"m:\u{e9}\"\nfrom = \"a@b.example\"",
            "mail.host: \"m:é\", expected a name such as \"mail.example.com\"",
        ),
        ("host = \"m\"\nfrom = \"a@b.example\"\nport = 0", "mail.port: 0, expected 1 to 65535"),
        (
            "host = \"m\"\nfrom = \"a@b.example\"\nsecurity = \"none\"",
            "mail.security: \"none\" to \"m\", expected \"starttls\" or \"tls\" outside this machine",
        ),
        (
            "host = \"m\"\nfrom = \"a@b.example\"\nsecurity = \"startls\"",
            "mail.security: \"startls\", expected \"starttls\", \"tls\" or \"none\", did you mean \"starttls\"?",
        ),
        (
            "host = \"m\"\nfrom = \"a@b.example\"\nusername = \"u\"",
            "mail.password_file: missing, expected a file with the password of username",
        ),
        (
            "host = \"m\"\nfrom = \"a@b.example\"\npassword_file = \"w\"",
            "mail.username: missing, expected the name that password_file is for",
        ),
        (
            "host = \"m\"\nfrom = \"a@b.example\"\nca_file = \"none.pem\"",
            "mail.ca_file: none.pem: no such file, expected certificates in PEM",
        ),
    ];
    for (text, expected) in cases {
        let folder = Folder::with(&format!("[mail]\n{text}"));
        folder.secret("w", "word");
        let faults = folder.faults();
        assert!(faults.iter().any(|fault| fault.ends_with(expected)), "{text}: {faults:?}");
    }
    let folder = Folder::with(
        "[mail]\nhost = \"m\"\nfrom = \"a@b.example\"\nusername = \"u\"\npassword_file = \"word\"",
    );
    folder.write("word", "hunter2");
    fs::set_permissions(folder.path("word"), fs::Permissions::from_mode(0o644)).unwrap();
    let told = folder.faults().join("\n");
    assert!(told.contains("mode 0644 lets everybody read it") && !told.contains("hunter2"), "{told}");
}

#[test]
fn tls_is_there_when_its_files_are_good_and_fit_the_trunks() {
    let authority = Authority::new();
    authority.issue("door", &["sip.example.org"]);
    authority.issue("other", &["sip.example.org"]);
    let with = |section: &str, trunk: &str| {
        let folder = Folder::with(&format!(
            "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"tls:127.0.0.1:5061\"]\n{section}"
        ));
        folder.write("trunks.d/a.toml", &format!("name = \"a\"\n{trunk}"));
        folder
    };
    let named = "tls_names = [\"SBC.example.net\"]";
    let settings = with(&authority.section("door"), named).load().unwrap();
    assert_eq!(settings.signalling.tls.unwrap().certificate().names[0].as_str(), "sip.example.org");
    assert_eq!(settings.trunks[0].tls_names[0].as_str(), "sbc.example.net");

    let section = authority.section("door");
    let no_clients: String = section
        .lines()
        .filter(|line| !line.contains("client_ca"))
        .fold(String::new(), |text, line| text + line + "\n");
    let cases = [
        (
            no_clients.as_str(),
            named,
            "sip.tls.client_ca_file: missing, expected the authorities of client certificates, because trunk a has tls_names",
        ),
        (
            &section,
            "tls_names = [\"*.example.net\"]",
            "tls_names: name \"*.example.net\", expected one as in the certificate, without a wildcard, such as \"sbc.example.net\"",
        ),
        (
            &section.replace("door.key", "other.key"),
            named,
            "other.key: not the key of the certificate in certificate_file, expected its pair",
        ),
    ];
    for (section, trunk, expected) in cases {
        let faults = with(section, trunk).faults();
        assert!(faults.len() == 1 && faults[0].ends_with(expected), "{expected}: {faults:?}");
    }
    let one_port = "[sip]\nlisten = [\"tcp:127.0.0.1:5060\", \"tls:127.0.0.1:5060\"]\n".to_owned() + &section;
    let faults = Folder::with(&one_port).faults();
    assert!(faults[0].ends_with("expected one of its own for TCP and for TLS"), "{faults:?}");
    let folder = Folder::with("");
    folder.write("trunks.d/a.toml", &format!("name = \"a\"\n{named}"));
    let faults = folder.faults();
    assert!(faults[0].contains("sip.listen: no \"tls:\" address, expected such as"), "{faults:?}");
    // Names tell trunks of one address apart; nothing tells these apart.
    let folder = with(&section, "allow = [\"192.0.2.0/24\"]\ntls_names = [\"a.example\"]");
    folder.write("trunks.d/b.toml", "name = \"b\"\nallow = [\"192.0.2.7\"]\ntls_names = [\"b.example\"]");
    assert_eq!(folder.faults(), Vec::<String>::new());
    folder.write("trunks.d/c.toml", "name = \"c\"\ntls_names = [\"b.example\"]");
    folder.write("trunks.d/d.toml", "name = \"d\"\nallow = [\"192.0.2.7\"]");
    let faults = folder.faults();
    let expected = [
        "trunks.d/c.toml: tls_names: a name and an address that b.toml has too, expected each peer in one trunk only",
        "trunks.d/d.toml: allow: 192.0.2.7/32 overlaps 192.0.2.0/24 in a.toml, expected each address in one trunk only",
        "trunks.d/d.toml: allow: 192.0.2.7/32 overlaps 192.0.2.7/32 in b.toml, expected each address in one trunk only",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn calls_are_as_many_as_the_ports_have_room_for() {
    let settings = Folder::with("[rtp]\nports = \"30000-30099\"").load().unwrap();
    assert_eq!((settings.bridge.calls_max, settings.bridge.calls_entering_max), (50, 10));
}

#[test]
fn each_fault_names_file_key_and_reason() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "a slip in a key",
            "[sip]\nlisen = []",
            r#"sip.lisen: unknown key "lisen" in [sip], did you mean "listen"?"#,
        ),
        (
            "a slip at the top",
            "data_dri = \"x\"",
            r#"data_dri: unknown key "data_dri", did you mean "data_dir"?"#,
        ),
        (
            "a slip in a section",
            "[meeting]\npin_length = 9",
            r#"meeting: unknown section "meeting", did you mean "meetings"?"#,
        ),
        (
            "a key elsewhere",
            "[sip]\npin_length = 9",
            r#"sip.pin_length: unknown key "pin_length" in [sip], it belongs in [meetings]"#,
        ),
        (
            "a top key in a section",
            "[log]\ndata_dir = \"x\"",
            r#"log.data_dir: unknown key "data_dir" in [log], it belongs at the top of the file, before any [section]"#,
        ),
        (
            "a key like no other",
            "[log]\nzzzzzzz = 1",
            r#"log.zzzzzzz: unknown key "zzzzzzz" in [log], expected one of: format, level"#,
        ),
        (
            "a slip in an access number",
            "[[access_number]]\nnumber = \"+442079460000\"\nlangauge = \"en-GB\"",
            r#"access_number[1].langauge: unknown key "langauge" in [access_number], did you mean "language"?"#,
        ),
        (
            "a wrong type",
            "[meetings]\npin_length = \"nine\"",
            "meetings.pin_length: invalid type: string \"nine\", expected a whole number from 0 on, such as 9",
        ),
        (
            "a negative number",
            "[meetings]\npin_length = -1",
            "meetings.pin_length: invalid value: integer `-1`, expected a whole number from 0 on, such as 9",
        ),
        ("a section that is none", "sip = 5", "sip: integer, expected a section [sip]"),
        (
            "a part that is none",
            "access_number = 5",
            "access_number: integer, expected parts [[access_number]]",
        ),
        (
            "records kept for ever by a slip",
            "[retention]\ncalls_days = 36500",
            "retention.calls_days: 36500, expected 0 to 3650",
        ),
        (
            "a recording without end",
            "[recording]\nmax_minutes = 0",
            "recording.max_minutes: 0, expected 1 to 1440",
        ),
        ("a short PIN", "[meetings]\npin_length = 3", "meetings.pin_length: 3, expected 4 to 12"),
        (
            "a slip in a word",
            "[meetings]\ngrant_min = \"netwrok\"",
            r#"meetings.grant_min: "netwrok", expected "claimed", "network" or "signed", did you mean "network"?"#,
        ),
        (
            "nobody's word",
            "[meetings]\nuse_min = \"none\"",
            r#"meetings.use_min: "none", expected "claimed", "network" or "signed""#,
        ),
        (
            "days that cross",
            "[meetings]\nverified_in_all_days = 30",
            "meetings.verified_in_all_days: 30, expected at least verified_unused_days, which is 90",
        ),
        (
            "a listener without transport",
            "[sip]\nlisten = [\"127.0.0.1:5060\"]",
            r#"sip.listen: "127.0.0.1:5060", expected such as "udp:127.0.0.1:5060" or "tcp:[::1]:5060""#,
        ),
        (
            "no listener",
            "[sip]\nlisten = []",
            r#"sip.listen: empty, expected at least one such as "udp:127.0.0.1:5060""#,
        ),
        (
            "TLS without a certificate's key",
            "[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n[sip.tls]\ncertificate_file = \"c.pem\"",
            "sip.tls.private_key_file: missing, expected a file in PEM, because sip.listen has tls:127.0.0.1:5061",
        ),
        (
            "TLS without an address",
            "[sip.tls]\ncertificate_file = \"c.pem\"",
            r#"sip.tls.certificate_file: no "tls:" address in sip.listen, expected such as "tls:0.0.0.0:5061" beside certificate_file"#,
        ),
        (
            "a slip in TLS's section",
            "[sip.tls]\ncertificate = \"x\"",
            r#"sip.tls.certificate: unknown key "certificate" in [sip.tls], did you mean "certificate_file"?"#,
        ),
        (
            "a slip in its name",
            "[sip.tsl]\na = 1",
            r#"sip.tsl: unknown key "tsl" in [sip], did you mean "tls"?"#,
        ),
        (
            "one listener twice",
            "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]",
            r#"sip.listen: "udp:127.0.0.1:5060" twice, expected each address and port once"#,
        ),
        (
            "no address",
            "[sip]\nexternal_address = \"example.org\"",
            r#"sip.external_address: "example.org", expected an IP address such as "192.0.2.10""#,
        ),
        (
            "everywhere is nowhere",
            "[sip]\nlisten = [\"udp:0.0.0.0:5060\"]\n[rtp]\naddress = \"192.0.2.1\"",
            "sip.external_address: empty, expected our address as peers see it, because sip.listen has 0.0.0.0",
        ),
        (
            "public with a private name",
            "[sip]\nlisten = [\"udp:192.0.2.1:5060\"]\nexternal_address = \"127.0.0.1\"\n[rtp]\naddress = \"192.0.2.1\"",
            "sip.external_address: 127.0.0.1 cannot be reached by who calls 192.0.2.1, expected our address as peers see it",
        ),
        (
            "public without public sound",
            "[sip]\nlisten = [\"udp:192.0.2.1:5060\"]",
            "rtp.address: 127.0.0.1 cannot be reached by who calls 192.0.2.1, expected an address that they can send sound to",
        ),
        (
            "ports that are none",
            "[rtp]\nports = \"20000\"",
            r#"rtp.ports: "20000", expected first and last port such as "20000-39999""#,
        ),
        (
            "ports too high",
            "[rtp]\nports = \"20000-70000\"",
            r#"rtp.ports: "20000-70000", expected first and last port such as "20000-39999""#,
        ),
        (
            "ports turned round",
            "[rtp]\nports = \"39999-20000\"",
            r#"rtp.ports: "39999-20000", expected the smaller port first"#,
        ),
        (
            "half a pair",
            "[rtp]\nports = \"20001-39999\"",
            r#"rtp.ports: "20001-39999", expected an even first and an odd last port, pairs of RTP and RTCP"#,
        ),
        (
            "an IPv4 address for IPv6",
            "[rtp]\naddress_v6 = \"127.0.0.1\"",
            r#"rtp.address_v6: "127.0.0.1", expected an IPv6 address such as "2001:db8::10""#,
        ),
        (
            "IPv6 twice for sound",
            "[rtp]\naddress = \"::1\"\naddress_v6 = \"2001:db8::1\"",
            "rtp.address_v6: 2001:db8::1 beside ::1 in rtp.address, expected an IPv4 address there",
        ),
        (
            "IPv6 twice outside",
            "[sip]\nexternal_address = \"2001:db8::1\"\nexternal_address_v6 = \"2001:db8::2\"",
            "sip.external_address_v6: 2001:db8::2 beside 2001:db8::1 in sip.external_address, expected an IPv4 address there",
        ),
        (
            "all addresses of IPv6, and nobody knows which",
            "[sip]\nlisten = [\"udp:[::]:5060\"]\nexternal_address = \"192.0.2.1\"\n[rtp]\naddress = \"192.0.2.1\"",
            "sip.external_address_v6: empty, expected our address as peers see it, because sip.listen has ::",
        ),
        (
            "a loopback outside for IPv6",
            "[sip]\nlisten = [\"udp:[2001:db8::1]:5060\"]\nexternal_address_v6 = \"::1\"\n[rtp]\naddress = \"192.0.2.1\"",
            "sip.external_address_v6: ::1 cannot be reached by who calls 2001:db8::1, expected our address as peers see it",
        ),
        (
            "sound at this machine alone",
            "[sip]\nlisten = [\"udp:[2001:db8::1]:5060\"]\n[rtp]\naddress = \"192.0.2.1\"\naddress_v6 = \"::1\"",
            "rtp.address_v6: ::1 cannot be reached by who calls 2001:db8::1, expected an address that they can send sound to",
        ),
        (
            "ports of the system",
            "[rtp]\nports = \"80-1023\"",
            r#"rtp.ports: "80-1023", expected ports from 1024 on"#,
        ),
        (
            "SIP among the ports",
            "[rtp]\nports = \"5000-5999\"",
            "rtp.ports: hold port 5060, which sip.listen takes, expected others",
        ),
        (
            "a rate that none has",
            "[rtp]\nrate_max = 44100",
            "rtp.rate_max: 44100, expected 8000, 16000 or 48000",
        ),
        ("no threads", "[rtp]\nthreads = 0", "rtp.threads: 0, expected 1 to 256"),
        (
            "more calls than ports",
            "[rtp]\nports = \"30000-30099\"\n[limits]\ncalls_max = 51",
            "limits.calls_max: 51, expected at most 50, for which rtp.ports has room",
        ),
        (
            "more entering than calls",
            "[limits]\ncalls_max = 10\ncalls_entering_max = 11",
            "limits.calls_entering_max: 11, expected 1 to 10",
        ),
        (
            "no calls at all",
            "[limits]\ncalls_per_second = 0",
            "limits.calls_per_second: 0, expected 1 to 10000",
        ),
        (
            "a drain without end",
            "[limits]\ndrain_seconds = 86401",
            "limits.drain_seconds: 86401, expected 10 to 86400",
        ),
        (
            "a collector by TLS",
            "[otlp]\nurl = \"https://collector:4318\"",
            "otlp.url: \"https://collector:4318\", expected such as \"http://127.0.0.1:4318/v1/traces\"",
        ),
        (
            "a collector's password",
            "[otlp]\nurl = \"http://me:word@collector:4318\"",
            "otlp.url: a URL, expected such as \"http://127.0.0.1:4318/v1/traces\"",
        ),
        ("none at once", "[limits]\ncalls_burst = 0", "limits.calls_burst: 0, expected 1 to 100000"),
        (
            "HTTP without a port",
            "[http]\nlisten = \"127.0.0.1\"",
            r#"http.listen: "127.0.0.1", expected address and port such as "127.0.0.1:8080""#,
        ),
        (
            "HTTP on SIP's port",
            "[http]\nlisten = \"127.0.0.1:5060\"",
            "http.listen: 127.0.0.1:5060 is taken by sip.listen, expected another port",
        ),
        (
            "PostgreSQL",
            "[store]\nurl = \"postgres://me@192.0.2.7:5432/doorline\"",
            r#"store.url: a server on another machine, expected "?sslmode=verify-full" (or another sslmode) after it"#,
        ),
        (
            "a password in the URL of the database",
            "[store]\nurl = \"postgres://me:hunter2@db/doorline\"",
            r#"store.url: a password in it, expected it in the file that store.password_file names"#,
        ),
        (
            "no database",
            "[store]\nurl = \"doorline.db\"",
            r#"store.url: unknown kind of database, expected "sqlite:FILE" or "postgres://USER@HOST/DATABASE""#,
        ),
        (
            "a database in memory",
            "[store]\nurl = \"sqlite::memory:\"",
            r#"store.url: not a file's name after "sqlite:", expected such as "sqlite:doorline.db""#,
        ),
        (
            "no such file of authorities",
            "[stir]\nroots_file = \"none.pem\"",
            "stir.roots_file: none.pem: No such file or directory (os error 2), expected certificates in PEM",
        ),
        (
            "a file of authorities without any",
            "[stir]\nroots_file = \"doorline.toml\"",
            "stir.roots_file: doorline.toml: no certificate in it, expected PEM with one or more",
        ),
        (
            "no ports to fetch from",
            "[stir]\nports = []",
            "stir.ports: [], expected ports such as [443, 8443]",
        ),
        (
            "a number that is missing",
            "[[access_number]]",
            r#"access_number[1].number: missing, expected such as "+442079460000""#,
        ),
        (
            "no number",
            "[[access_number]]\nnumber = \"020\"",
            "access_number[1].number: telephone number that is not one in E.164, expected \"+\" and 7 to 15 digits, or a national number on a trunk with a country",
        ),
        (
            "one number twice",
            "[[access_number]]\nnumber = \"+442079460000\"\n[[access_number]]\nnumber = \"+44 20 7946 0000\"",
            "access_number[2].number: +4420…0000 twice, expected each access number once",
        ),
        (
            "no such language",
            "[[access_number]]\nnumber = \"+442079460000\"\nlanguage = \"tlh\"",
            "access_number[1].language: no prompts for language tlh, there are: en-GB, pl-PL",
        ),
        (
            "no country",
            "[[access_number]]\nnumber = \"+442079460000\"\ncountry = \"England\"",
            r#"access_number[1].country: country "England", expected two capital letters such as "GB" (ISO 3166)"#,
        ),
        ("a log for nobody", "[log]\nformat = \"xml\"", r#"log.format: "xml", expected "text" or "json""#),
        (
            "prompts nowhere",
            "prompts = \"nowhere\"",
            "prompts: nowhere: no such folder, expected one folder per language in it",
        ),
        (
            "trunks nowhere",
            "trunks = \"nowhere\"",
            "trunks: nowhere: No such file or directory (os error 2), expected a folder of trunk files",
        ),
        (
            "data in a file",
            "data_dir = \"doorline.toml\"",
            "data_dir: doorline.toml is a file, expected a folder",
        ),
        ("no TOML", "[sip]\nlisten = [", "line 2, column 11: unclosed array, expected `]`"),
        ("one key twice", "[sip]\nlisten = []\nlisten = []", "line 3, column 1: duplicate key"),
        (
            "a line in a key",
            "\"a\\nb\" = 1",
            r#"a\nb: unknown key "a\nb", expected one of: data_dir, trunks, prompts, sip, sip.tls, rtp, stir, http, store, mail, meetings, guessing, recording, retention, trace, hep, otlp, limits, log, access_number, webhook"#,
        ),
    ];
    for (name, config, expected) in cases {
        let faults = Folder::with(config).faults();
        assert_eq!(faults, [format!("doorline.toml: {expected}")], "{name}");
    }
}

#[test]
fn each_fault_of_a_trunk_names_its_file() {
    let cases: &[(&str, &str, &str)] = &[
        ("no name", "", r#"name: missing, expected such as "carrier""#),
        (
            "an account without a registrar",
            "name = \"a\"\n[register]\nuser = \"u\"",
            "register.registrar: missing, expected such as \"sip.carrier.example\" beside user",
        ),
        (
            "a registrar without an account",
            "name = \"a\"\n[register]\nregistrar = \"c.example\"",
            "register.user: missing, expected the account's user",
        ),
        (
            "a registrar that is none",
            "name = \"a\"\n[register]\nregistrar = \"c example\"\nuser = \"u\"\npassword_file = \"one\"",
            "register.registrar: \"c example\": URI with white space, brackets or control characters, expected \
             such as \"sip.carrier.example\" or \"sip:192.0.2.9:5060\"",
        ),
        (
            "a registrar with a user",
            "name = \"a\"\n[register]\nregistrar = \"u@c.example\"\nuser = \"u\"\npassword_file = \"one\"",
            "register.registrar: with a user, expected the carrier's domain; the user has its own key",
        ),
        (
            "a registration for a moment",
            "name = \"a\"\n[register]\nexpires_seconds = 5",
            "register.expires_seconds: 5, expected 60 to 86400",
        ),
        (
            "a ping each second",
            "name = \"a\"\n[ping]\ntarget = \"c.example\"\ninterval_seconds = 1",
            "ping.interval_seconds: 1, expected 5 to 3600",
        ),
        (
            "a name with a space",
            "name = \"my trunk\"",
            r#"name: "my trunk", expected 1 to 40 letters, digits, - and _"#,
        ),
        ("a slip in a key", "name = \"a\"\nalow = []", r#"alow: unknown key "alow", did you mean "allow"?"#),
        (
            "a slip in a section's key",
            "name = \"a\"\n[caller_id]\ntrsut = \"pai\"",
            r#"caller_id.trsut: unknown key "trsut" in [caller_id], did you mean "trust"?"#,
        ),
        (
            "a key at the wrong place",
            "name = \"a\"\nsrtp = \"off\"",
            r#"srtp: unknown key "srtp", it belongs in [media]"#,
        ),
        (
            "a slip in a word",
            "name = \"a\"\n[caller_id]\ntrust = \"pia\"",
            r#"caller_id.trust: "pia", expected "none", "from" or "pai", did you mean "pai"?"#,
        ),
        (
            "a group with a space",
            "name = \"a\"\ngroup = \"my carrier\"",
            r#"group: "my carrier", expected 1 to 40 letters, digits, - and _"#,
        ),
        (
            "another attestation that says nothing",
            "name = \"a\"\n[caller_id]\nverstat_alone = \"B\"",
            r#"caller_id.verstat_alone: "B", expected "unknown" or "A", did you mean "A"?"#,
        ),
        (
            "no block",
            "name = \"a\"\nallow = [\"10.0.0.0/33\"]",
            r#"allow: network "10.0.0.0/33", expected an address or a block such as "192.0.2.0/24""#,
        ),
        (
            "no codec",
            "name = \"a\"\n[media]\ncodecs = [\"opsu\", \"pcma\"]",
            r#"media.codecs: "opsu", expected "opus", "g722", "pcma" or "pcmu", did you mean "opus"?"#,
        ),
        (
            "one codec twice",
            "name = \"a\"\n[media]\ncodecs = [\"pcma\", \"pcma\"]",
            r#"media.codecs: "pcma" twice, expected each codec once"#,
        ),
        (
            "no codec of ours",
            "name = \"a\"\n[media]\ncodecs = []",
            r#"media.codecs: none, expected "opus", "g722", "pcma" or "pcmu" among them"#,
        ),
        (
            "a jitter buffer that aims at too little",
            "name = \"a\"\n[media]\njitter_target_ms = \"0-120\"",
            r#"media.jitter_target_ms: "0-120", expected the least and the most milliseconds, 20 to 240, such as "20-120""#,
        ),
        (
            "one that aims beyond its cap",
            "name = \"a\"\n[media]\njitter_target_ms = \"40-200\"",
            "media.jitter_cap_ms: 120, expected 200 to 240",
        ),
        (
            "encryption",
            "name = \"a\"\n[media]\nsrtp = \"sometimes\"",
            r#"media.srtp: "sometimes", expected "off", "offer" or "require""#,
        ),
        ("no calls", "name = \"a\"\n[limits]\ncalls_max = 0", "limits.calls_max: 0, expected 1 to 100000"),
        (
            "no calls a second",
            "name = \"a\"\n[limits]\ncalls_per_second = 0",
            "limits.calls_per_second: 0, expected 1 to 10000",
        ),
        (
            "a burst of nothing",
            "name = \"a\"\n[limits]\ncalls_burst = 5",
            "limits.calls_per_second: missing, expected such as 10 beside calls_burst",
        ),
        (
            "a password for nobody",
            "name = \"a\"\n[auth]\npassword_file = \"one\"",
            "auth.users: missing, expected the names that password_file is for",
        ),
        (
            "no password",
            "name = \"a\"\n[auth]\nusers = [\"u\"]",
            "auth.password_file: missing, expected a file with the password",
        ),
        (
            "no such file",
            "name = \"a\"\n[auth]\nusers = [\"u\"]\npassword_file = \"none\"",
            "auth.password_file: trunks.d/none: No such file or directory (os error 2), expected a file with the password",
        ),
        (
            "a file that everybody can read",
            "name = \"a\"\n[auth]\nusers = [\"u\"]\npassword_file = \"open\"",
            "auth.password_file: trunks.d/open: mode 0644 lets everybody read it, expected 0600 or 0640",
        ),
        (
            "two users and one password",
            "name = \"a\"\n[auth]\nusers = [\"u\", \"v\"]\npassword_file = \"two\"",
            "auth.password_file: no line for user 2 of users, expected user:password",
        ),
        (
            "a slip in an algorithm",
            "name = \"a\"\n[auth]\nusers = [\"u\"]\npassword_file = \"one\"\nalgorithms = [\"SHA256\"]",
            r#"auth.algorithms: "SHA256", expected "MD5", "SHA-256" or "SHA-512-256""#,
        ),
        (
            "the whole world by oversight",
            "name = \"a\"\nallow = [\"0.0.0.0/0\"]\n[auth]\nusers = [\"u\"]\npassword_file = \"one\"",
            "allow: 0.0.0.0/0 takes every source, expected any_source = true if it is meant",
        ),
        (
            "the whole world without a password",
            "name = \"a\"\nany_source = true",
            "any_source: true without [auth], expected users and a password_file there",
        ),
        (
            "a private address on the Internet",
            "name = \"a\"\n[address]\npublic = true",
            "address.external: this public trunk would be told 127.0.0.1, expected a public address here or in \
             sip.external_address, or private_address_ok = true",
        ),
        (
            "another private address on the Internet",
            "name = \"a\"\n[address]\npublic = true\nexternal = \"100.64.0.9\"",
            "address.external: this public trunk would be told 100.64.0.9, expected a public address here or in \
             sip.external_address, or private_address_ok = true",
        ),
        (
            "no address",
            "name = \"a\"\n[address]\nexternal = \"here\"",
            r#"address.external: "here", expected an IP address such as "192.0.2.10""#,
        ),
    ];
    for (name, trunk, expected) in cases {
        let folder = Folder::with("");
        folder
            .secret("trunks.d/one", "pass:word\n")
            .secret("trunks.d/two", "u:one\n")
            .write("trunks.d/open", "x");
        fs::set_permissions(folder.path("trunks.d/open"), fs::Permissions::from_mode(0o644)).unwrap();
        folder.write("trunks.d/a.toml", trunk);
        assert_eq!(folder.faults(), [format!("trunks.d/a.toml: {expected}")], "{name}");
    }
}

#[test]
fn a_trunk_that_asks_a_password_and_takes_the_world() {
    let folder = Folder::with("");
    folder.secret("trunks.d/words", "u:a:b\nv:c\n").secret("trunks.d/word", "a:b\n");
    folder.write(
        "trunks.d/a.toml",
        "name = \"a\"\nallow = [\"0.0.0.0/0\"]\nany_source = true\n[auth]\nusers = [\"u\", \"v\"]\n\
         password_file = \"words\"\n[limits]\ncalls_per_second = 5\n[address]\npublic = true\nexternal = \"203.0.113.5\"\nexternal_v6 = \"2001:db8::5\"",
    );
    folder.write(
        "trunks.d/b.toml",
        "name = \"b\"\nallow = [\"192.0.2.7\"]\n[auth]\nusers = [\"x\"]\npassword_file = \"word\"\n\
         [address]\npublic = true\nprivate_address_ok = true",
    );
    let settings = folder.load().unwrap();
    let [a, b] = settings.trunks.as_slice() else { panic!("{:?}", settings.trunks) };
    let users = |trunk: &doorline::sip::trunk::Trunk| {
        let guard = trunk.guard.as_ref().unwrap();
        guard.users.iter().map(|(name, word)| format!("{name} {}", word.reveal())).collect::<Vec<_>>()
    };
    assert_eq!((users(a), users(b)), (vec!["u a:b".to_owned(), "v c".to_owned()], vec!["x a:b".to_owned()]));
    let rate = a.calls_rate.unwrap();
    assert_eq!((rate.every, rate.burst), (Duration::from_millis(200), 10));
    let outside: Vec<String> = a.external_address.all().map(|ip| ip.to_string()).collect();
    assert_eq!(outside, ["203.0.113.5", "2001:db8::5"]);
    folder.write(
        "trunks.d/c.toml",
        "name = \"carrier\"\n[register]\nregistrar = \"c.example:5070\"\ntransport = \"tcp\"\nuser = \"4420\"\n\
         auth_user = \"login\"\npassword_file = \"word\"\noutbound_proxy = \"edge.example\"\n[ping]\ntarget = \"c.example\"",
    );
    let settings = folder.load().unwrap();
    let account = settings.trunks[2].registration.as_ref().unwrap();
    assert_eq!(
        (account.registrar.to_string(), account.address.to_string(), account.contact_user.as_str()),
        ("sip:c.example:5070".to_owned(), "sip:4420@c.example:5070".to_owned(), "4420")
    );
    assert_eq!((account.login.user.as_str(), account.login.password.reveal()), ("login", "a:b"));
    assert_eq!(account.first_hop().to_string(), "sip:edge.example");
    let shown = format!("{settings:?}");
    assert!(!shown.contains("a:b") && !shown.contains("\"c\""), "{shown}");
}

#[test]
fn trunks_share_neither_names_nor_addresses() {
    let folder = Folder::with("");
    folder
        .write("trunks.d/a.toml", "name = \"one\"\nallow = [\"192.0.2.0/24\", \"192.0.2.7\"]")
        .write("trunks.d/b.toml", "name = \"one\"\nallow = [\"198.51.100.0/24\", \"192.0.2.128/25\"]")
        .write("trunks.d/notes.txt", "not a trunk");
    assert_eq!(
        folder.faults(),
        [
            "trunks.d/b.toml: name: \"one\" is also the name in a.toml, expected one of its own",
            "trunks.d/b.toml: allow: 192.0.2.128/25 overlaps 192.0.2.0/24 in a.toml, expected each address in one trunk only",
        ]
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let folder = Folder::with("[sip]\nlisen = []\n[meetings]\npin_length = 99\n[log]\nlevel = 7\n[lgo]");
    folder.write("trunks.d/a.toml", "name = \"a\"\nalow = []\n[media]\nsrtp = \"of\"");
    folder.write("trunks.d/b.toml", "name =");
    let faults = folder.faults();
    let keys =
        ["sip.lisen", "log.level", "lgo", "meetings.pin_length", "media.srtp", "alow", "b.toml: line 1"];
    assert_eq!(faults.len(), keys.len(), "{faults:#?}");
    for key in keys {
        assert!(faults.iter().any(|fault| fault.contains(key)), "{key} in {faults:#?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = Folder::with("");
    let told = |result| folder.told(result);
    let missing = config::load_with(&folder.path("other.toml"), None);
    assert_eq!(told(missing), ["other.toml: No such file or directory (os error 2)"]);
    fs::write(folder.path("latin.toml"), b"# caf\xe9\n").unwrap();
    assert_eq!(told(config::load_with(&folder.path("latin.toml"), None)), ["latin.toml: line 1: not UTF-8"]);
    folder.write("huge.toml", &"#".repeat(1024 * 1024 + 1));
    assert_eq!(
        told(config::load_with(&folder.path("huge.toml"), None)),
        ["huge.toml: larger than 1048576 bytes"]
    );
}

#[test]
fn check_says_what_would_start_or_what_is_wrong() {
    let folder = Folder::with(WHOLE);
    folder.write("trunks.d/lab.toml", LAB);
    fs::create_dir(folder.path("secrets")).unwrap();
    folder.write("secrets/operator-token", TOKEN);
    fs::set_permissions(folder.path("secrets/operator-token"), fs::Permissions::from_mode(0o600)).unwrap();
    let check = || {
        let mut out = Vec::new();
        let good = doorline::cli::check::report(&folder.path("doorline.toml"), &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        (good, said.replace(&format!("{}/", folder.0.path().display()), ""))
    };
    assert_eq!(
        check(),
        (
            true,
            "doorline.toml: good: udp:127.0.0.1:5060, tcp:127.0.0.1:5060; 1 access number; trunks lab; up to \
             2000 calls\n"
                .to_owned()
        )
    );
    folder.write("trunks.d/lab.toml", &LAB.replace("pai", "pia"));
    assert_eq!(
        check(),
        (
            false,
            "trunks.d/lab.toml: caller_id.trust: \"pia\", expected \"none\", \"from\" or \"pai\", did you mean \
             \"pai\"?\n"
                .to_owned()
        )
    );
}

#[test]
fn the_operators_token_is_long_and_nobody_elses_to_read() {
    let key = "doorline.toml: http.operator_token_file: ";
    let file = "secrets/operator-token: ";
    let with = |token: &str, mode: u32| {
        let folder = Folder::with("");
        fs::create_dir(folder.path("secrets")).unwrap();
        folder.write("secrets/operator-token", token);
        fs::set_permissions(folder.path("secrets/operator-token"), fs::Permissions::from_mode(mode)).unwrap();
        let result = config::load_with(&folder.path("doorline.toml"), None);
        let token = result.as_ref().ok().map(|settings| settings.http.operator_token.reveal().to_owned());
        (token, folder.told(result))
    };
    assert_eq!(with(&format!("{TOKEN}\n"), 0o600), (Some(TOKEN.to_owned()), vec![]));
    assert_eq!(with(TOKEN, 0o640).0, Some(TOKEN.to_owned()));
    let cases = [
        (TOKEN, 0o644, "mode 0644 lets everybody read it, expected 0600 or 0640"),
        ("short", 0o600, "token of 5 characters, expected 32 to 512"),
        ("", 0o600, "token of 0 characters, expected 32 to 512"),
        (
            "0123456789abcdef 0123456789abcdef",
            0o600,
            "token with characters that no header can carry, expected letters, digits and signs",
        ),
    ];
    for (token, mode, what) in cases {
        assert_eq!(with(token, mode), (None, vec![format!("{key}{file}{what}")]));
    }

    let folder = Folder::with("");
    let path = folder.path("doorline.toml");
    assert_eq!(
        folder.told(config::load_with(&path, None)),
        [format!(
            "{key}{file}No such file or directory (os error 2), expected a file with the operator's token, or \
             DOORLINE_OPERATOR_TOKEN set"
        )]
    );
    assert_eq!(
        folder.told(config::load_with(&path, Some(Token::new("short")))),
        [format!("{key}DOORLINE_OPERATOR_TOKEN: token of 5 characters, expected 32 to 512")]
    );
}

#[test]
fn settings_and_faults_show_no_secret() {
    let folder = Folder::with(&WHOLE.replace("sqlite:doorline.db", "postgres://me:hunter2@db/x"));
    let told = folder.faults().join("\n");
    assert!(told.contains("store.url") && !told.contains("hunter2"), "{told}");
    let settings = format!("{:?}", Folder::with(WHOLE).load().unwrap());
    assert!(!settings.contains(TOKEN) && !settings.contains("2079460000"), "{settings}");
}

#[test]
fn the_explained_files_are_the_ones_in_sip_config_and_are_good() {
    let sip_config = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-config");
    for (name, explained) in
        [("example.toml", config::explain::config()), ("trunk.toml", config::explain::trunk())]
    {
        let kept = fs::read_to_string(sip_config.join(name)).unwrap_or_default();
        assert!(
            kept == explained,
            "sip-config/{name} has grown old; bring it up to date with: doorline config {}> sip-config/{name}",
            if name == "trunk.toml" { "--trunk " } else { "" }
        );
    }
    // In its own folder, with its own trunks.
    let example = config::load_with(&sip_config.join("example.toml"), Some(Token::new(TOKEN))).unwrap();
    assert_eq!(example.trunks.len(), 1);

    // Its keys that are commented out are keys too, with good values.
    let shown = |text: &str| {
        text.replace("\n# calls_", "\ncalls_")
            .replace("\n# threads =", "\nthreads =")
            .replace("\n# country =", "\ncountry =")
            .replace("\n# prompts =", "\nprompts =")
            .replace("\n# host =", "\nhost =")
            .replace("\n# port =", "\nport =")
            .replace("\n# username =", "\nusername =")
            .replace("\n# password_file =", "\npassword_file =")
            .replace("\n# from =", "\nfrom =")
            .replace("\n# ca_file =", "\nca_file =")
            .replace("\n# roots_file =", "\nroots_file =")
            .replace("\n# group =", "\ngroup =")
            .replace("\n# users =", "\nusers =")
            .replace("\n# registrar =", "\nregistrar =")
            .replace("\n# transport =", "\ntransport =")
            .replace("\n# user =", "\nuser =")
            .replace("\n# auth_user =", "\nauth_user =")
            .replace("\n# realm =", "\nrealm =")
            .replace("\n# outbound_proxy =", "\noutbound_proxy =")
            .replace("\n# contact_user =", "\ncontact_user =")
            .replace("\n# target =", "\ntarget =")
            .replace("\n# external =", "\nexternal =")
            .replace("\n# external_v6 =", "\nexternal_v6 =")
            .replace("\n# address_v6 =", "\naddress_v6 =")
            .replace("\n# certificate_file =", "\ncertificate_file =")
            .replace("\n# private_key_file =", "\nprivate_key_file =")
            .replace("\n# client_ca_file =", "\nclient_ca_file =")
            .replace("\n# server =", "\nserver =")
            .replace("\n# [[webhook]]", "\n[[webhook]]")
            .replace("\n# name =", "\nname =")
            .replace("\n# url =", "\nurl =")
            .replace("\n# secret_file =", "\nsecret_file =")
            .replace("\n# events =", "\nevents =")
            .replace("\n# allow_private =", "\nallow_private =")
            .replace("\"tcp:127.0.0.1:5060\"]", "\"tcp:127.0.0.1:5060\", \"tls:127.0.0.1:5061\"]")
    };
    let (config, trunk) = (shown(&config::explain::config()), shown(&config::explain::trunk()));
    assert!(!config.lines().chain(trunk.lines()).any(|line| line.starts_with("# ") && line.contains(" = ")));
    let folder = Folder::with(&config);
    fs::create_dir(folder.path("prompts")).unwrap();
    fs::create_dir(folder.path("secrets")).unwrap();
    folder
        .secret("secrets/mail-password", "word")
        .secret("secrets/database-password", "word")
        .secret("secrets/hep-password", "word")
        .secret("secrets/crm", "a secret of twenty-four characters or more")
        .write("mail-ca.pem", "");
    let root = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem();
    folder.write("stir-roots.pem", &root).write("stir-ca.pem", &root).write("crm-ca.pem", &root);
    let authority = Authority::new();
    authority.issue("door", &["sip.example.org"]);
    fs::create_dir(folder.path("tls")).unwrap();
    for (from, to) in
        [("door.pem", "certificate"), ("door.key", "private-key"), ("ca.pem", "ca"), ("ca.pem", "client-ca")]
    {
        // With its mode: the key stays ours.
        fs::copy(authority.file(from), folder.path(&format!("tls/{to}.pem"))).unwrap();
    }
    folder.write("trunks.d/carrier.toml", &trunk);
    fs::create_dir(folder.path("trunks.d/secrets")).unwrap();
    folder.secret("trunks.d/secrets/carrier-password", "word");
    folder.secret("trunks.d/secrets/carrier-account", "word");
    let settings = folder.load().unwrap();
    assert!(settings.signalling.tls.is_some_and(|tls| tls.asks_clients()));
    assert_eq!((settings.media.threads, settings.trunks[0].calls_max), (Some(2), Some(100)));
}

#[test]
fn every_trunk_template_is_good_and_lets_nobody_in_by_itself() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-config/templates");
    let folder = Folder::with("trunks = \"templates\"");
    fs::create_dir(folder.path("templates")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(templates).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path("templates").join(path.file_name().unwrap())).unwrap();
        count += 1;
    }
    let settings = folder.load().unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert!(count >= 12 && settings.trunks.len() == count, "{count}");
    assert!(settings.trunks.iter().all(|trunk| trunk.allow.is_empty()));
}

#[test]
fn no_bytes_make_the_reader_panic() {
    // Seeded damage to a good file: a fault or settings, never a panic. The seed is fixed, so a
    // failure repeats.
    let mut random = 0x5eed_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let folder = Folder::with("");
    for round in 0..400 {
        let mut bytes = WHOLE.as_bytes().to_vec();
        for _ in 0..=round % 4 {
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes[at] = next() as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\"'[]{}=.,\n\\#-0"[next() % 14]),
            }
        }
        fs::write(folder.path("doorline.toml"), &bytes).unwrap();
        fs::write(folder.path("trunks.d/a.toml"), &bytes).unwrap();
        for fault in folder.load().err().unwrap_or_default() {
            let line = fault.to_string();
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
