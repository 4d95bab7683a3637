//! The configuration file as it is written. The doc comment of a field is the documentation of its
//! key: `doorline config` prints it, and `sip-config/example.toml` is that print.

use super::read::{Places, Section, section};

section! {
    /// Doorline's configuration, with every key and its default. Paths that you write (trunks,
    /// prompts, the token's file) are relative to this file; what the service writes itself lies in
    /// data_dir. `doorline check --config FILE` says everything that is wrong with a file.
    pub struct Top {
        /// Where the service keeps its data: the database and its key. Made on first start, for the
        /// service's user alone. Back it up as a whole: without the key the database cannot be read.
        data_dir: String = Default("\"/var/lib/doorline\""),
        /// Folder of trunk files (*.toml): who may call, one SIP peer each. See trunk.toml.
        trunks: String = Default("\"trunks.d\""),
        /// Folder of your own prompts, one folder per language with a WAV per prompt (16 kHz, mono,
        /// 16 bit). A language that has none there is spoken with the built-in ones.
        prompts: Option<String> = Absent("\"prompts\""),
    }
}

section! {
    /// Signalling.
    pub struct Sip {
        /// Where SIP is listened for: "udp:ADDRESS:PORT", "tcp:ADDRESS:PORT" or "tls:ADDRESS:PORT" (which
        /// needs [sip.tls]), IPv6 as "udp:[2001:db8::1]:5060". Port 0 takes any free one, for tests.
        /// Carriers need an address that they can reach; 127.0.0.1 serves this machine alone.
        listen: Vec<String> = Default("[\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\"]"),
        /// Our address as peers see it, for Contact and SDP, when it is not the one we listen on:
        /// behind NAT, or when listening on 0.0.0.0. An IP address; empty: the listening one. If it is
        /// wrong, calls are answered and nobody hears anything.
        external_address: String = Default("\"\""),
        /// The same for peers that we speak IPv6 with. Empty: the listening one. An address of IPv4 stands
        /// for those of IPv4 alone.
        external_address_v6: String = Default("\"\""),
        /// DNS servers that say where the names of registrars, proxies and peers lead, as
        /// "ADDRESS" or "ADDRESS:PORT". Empty: the system's (/etc/resolv.conf).
        name_servers: Vec<String> = Default("[]"),
    }
}

section! {
    /// SIP over TLS (1.2 and 1.3), for "tls:" addresses of sip.listen. A reload reads all files again:
    /// new connections get the new certificate, and a file that is wrong changes nothing. `doorline
    /// doctor` and the metric doorline_tls_certificate_expiry_timestamp_seconds tell when it ends.
    pub struct SipTls {
        /// Our certificate in PEM, and behind it those between it and its authority. Its names are what
        /// peers check.
        certificate_file: Option<String> = Absent("\"tls/certificate.pem\""),
        /// Its private key in PEM, without a password. Only the service's user (and group) may read it.
        private_key_file: Option<String> = Absent("\"tls/private-key.pem\""),
        /// Authorities (PEM) whose client certificates we believe. With it every peer is asked for one;
        /// it may have none, but one that it shows must be good. Needed for tls_names of a trunk. Take
        /// your carriers' own authorities, not all of the world's.
        client_ca_file: Option<String> = Absent("\"tls/client-ca.pem\""),
        /// Authorities (PEM) of servers that we connect to. Absent: the system's.
        ca_file: Option<String> = Absent("\"tls/ca.pem\""),
    }
}

section! {
    /// Sound.
    pub struct Rtp {
        /// The address that calls' sockets are bound to.
        address: String = Default("\"127.0.0.1\""),
        /// The same for calls whose sound is IPv6, when address is of IPv4. Absent: such calls get 488. A
        /// call's sound is of the family that its offer names, whatever its signalling is.
        address_v6: Option<String> = Absent("\"::1\""),
        /// UDP ports, first to last: each call takes an even one for RTP and the next for RTCP. Open
        /// them in the firewall. Begin with an even and end with an odd one, from 1024 on. Too few, and
        /// new callers get 503; a port rests before it is used again, so leave some more than needed.
        ports: String = Default("\"20000-39999\""),
        /// Threads that mix sound, 1 to 256. Absent: one per core.
        threads: Option<usize> = Absent("2"),
        /// How many percent of their time these threads may work, 10 to 100. When the least busy one works more, or
        /// any leaves sound out, new callers get 503 and those who are there notice nothing. 100: never.
        busy_max: usize = Default("85"),
        /// Samples a second that a meeting is mixed at, at most: 8000, 16000 or 48000. It has the highest rate that
        /// any caller in it can make use of: 8000 with G.711, 16000 with G.722, with Opus what the phone says. 48000
        /// is all that can be heard. 16000 takes a quarter off the bandwidth and the encoding of such phones, and
        /// what is lost is hardly speech; 8000 is telephone sound for everybody.
        rate_max: usize = Default("48000"),
    }
}

section! {
    /// Signed callers (STIR/SHAKEN, RFC 8224), for trunks with caller_id.stir. A call that carries a
    /// signature waits for its verdict while it rings, one second at most; others wait for nothing.
    pub struct Stir {
        /// File with the authorities (PEM) whose certificates sign calls: in the USA and Canada the list of
        /// approved ones that the policy administrator publishes. Absent: nothing can be verified. A list
        /// that grows old distrusts carriers of new authorities, and keeps trusting withdrawn ones.
        roots_file: Option<String> = Absent("\"stir-roots.pem\""),
        /// Ports that carriers' certificates may be fetched from.
        ports: Vec<u16> = Default("[443, 8443]"),
        /// File with certificates (PEM) that are trusted beside the system's when certificates are fetched
        /// by https, for a repository of your own.
        ca_file: Option<String> = Absent("\"stir-ca.pem\""),
        /// Whether certificates may lie on this machine and in private networks. Only for a laboratory:
        /// whoever calls decides where we connect.
        allow_private: bool = Default("false"),
    }
}

section! {
    /// The HTTP API.
    pub struct Http {
        /// Address and port. It speaks plain HTTP: outside this machine put a proxy with TLS before it.
        listen: String = Default("\"127.0.0.1:8080\""),
        /// File with the operator's token: one line of at least 32 characters that only the service's
        /// user (and group) can read. The environment's DOORLINE_OPERATOR_TOKEN goes before it. To make
        /// one: (umask 077; head -c 32 /dev/urandom | base64 > secrets/operator-token)
        operator_token_file: String = Default("\"secrets/operator-token\""),
    }
}

section! {
    /// The database.
    pub struct Store {
        /// "sqlite:FILE", relative to data_dir, on a local disk: SQLite's locks do not hold on network file
        /// systems. Or "postgres://USER@HOST:PORT/DATABASE"; HOST may be %2Frun%2Fpostgresql, a socket's
        /// folder. The database must be there; its tables are made on first start. To another machine add
        /// "?sslmode=verify-full", and "&sslrootcert=FILE" for an authority of your own.
        url: String = Default("\"sqlite:doorline.db\""),
        /// File with PostgreSQL's password: one line that only the service's user (and group) can read.
        /// Absent: none is sent, or the one in the environment's PGPASSWORD.
        password_file: Option<String> = Absent("\"secrets/database-password\""),
        /// File with the key that protects PINs, codes and numbers in the database, relative to
        /// data_dir. Made on first start. Whoever has it and the database can read them.
        key_file: String = Default("\"doorline.key\""),
    }
}

section! {
    /// Mail: invitations and their changes, sent to guests. Without a host none is sent, and the API still
    /// gives the invitation of each meeting.
    pub struct Mail {
        /// The SMTP server that takes our mail: a name that its certificate is for.
        host: Option<String> = Absent("\"mail.example.com\""),
        /// Its port. Absent: 587 for "starttls", 465 for "tls", 25 for "none".
        port: Option<usize> = Absent("587"),
        /// "starttls" (plain until both have agreed to TLS, which must happen), "tls" (from the first
        /// byte) or "none" (only to this machine: 127.0.0.1, ::1 or localhost).
        security: String = Default("\"starttls\""),
        /// The name to log in with. Absent: no log-in.
        username: Option<String> = Absent("\"doorline\""),
        /// File with its password: one line that only the service's user (and group) can read.
        password_file: Option<String> = Absent("\"secrets/mail-password\""),
        /// The address that mail comes from; answers go to the host of the meeting. The server must let
        /// us use it, or guests' servers will not believe us.
        from: Option<String> = Absent("\"doorline@example.com\""),
        /// File with certificates (PEM) that are trusted beside the system's, for a server of your own.
        ca_file: Option<String> = Absent("\"mail-ca.pem\""),
    }
}

section! {
    /// The rules of meetings.
    pub struct Meetings {
        /// Digits of a PIN, 4 to 12, the same for all hosts, so that callers need no # after it. Short
        /// ones are guessed: with 1,000 hosts one in a million tries hits at 9 digits, every tenth at 4.
        pin_length: usize = Default("9"),
        /// How many minutes before its start callers may open a One Time Meeting, 0 to 1440.
        early_join_minutes: u64 = Default("15"),
        /// How many minutes after its end it may still be opened and joined, 0 to 1440.
        overrun_minutes: u64 = Default("30"),
        /// How long a caller may wait for a meeting to begin, in minutes, 1 to 480. Waiting callers take
        /// capacity.
        waiting_minutes: u64 = Default("30"),
        /// How long a caller may wait in the lobby to be let in, in minutes, 1 to 60.
        lobby_minutes: u64 = Default("5"),
        /// Who waits for a meeting or in the lobby is told after so many seconds, again and again, that the
        /// line is not dead, 10 to 600.
        reassure_seconds: u64 = Default("45"),
        /// How many minutes a One Time Meeting goes on when its last moderator by phone has left, 1 to 120.
        moderator_grace_minutes: u64 = Default("5"),
        /// Standard meetings end then as well. Otherwise they go on as long as somebody is in.
        standard_needs_moderator: bool = Default("false"),
        /// Least trust in the calling number that it is remembered with: "claimed" (anybody can write
        /// any number: only for tests), "network" (a trunk's carrier vouches for it) or "signed" (SHAKEN
        /// attestation A).
        grant_min: String = Default("\"network\""),
        /// Least trust that a remembered number goes straight in with, in the same words.
        use_min: String = Default("\"network\""),
        /// A remembered number is forgotten after so many days without a call, 1 to 3650.
        verified_unused_days: u64 = Default("90"),
        /// A remembered number is forgotten after so many days in all, 1 to 3650, at least as many as
        /// verified_unused_days.
        verified_in_all_days: u64 = Default("365"),
    }
}

section! {
    /// What wrong entries cost. A code has 10,000 values: with these figures somebody who knows a host's
    /// PIN and the time of every meeting finds one in a year with 9 chances in 10,000. Tries of a call that
    /// succeeds in the end are given back.
    pub struct Guessing {
        /// Rounds of one call, 1 to 10: after so many wrong or missing entries it is ended.
        rounds: usize = Default("3"),
        /// Wrong tries at one code in its life, 1 to 100. Then callers who are not verified need the
        /// moderator to let them in, even with the right code, until there is a new code. The same for
        /// one host PIN, which then opens nothing until there is a new one.
        code_tries: usize = Default("5"),
        /// Wrong tries at all codes of one host within host_days, 1 to 100. Then the same holds for all
        /// its meetings, until it has a new PIN. More than 10 leave an attacker more than 1 in 1,000.
        host_tries: usize = Default("9"),
        /// 1 to 3650.
        host_days: u64 = Default("365"),
        /// Wrong tries from one number that a carrier vouches for within number_hours, 1 to 1000. Then
        /// its callers' entries are not looked at for number_hours. Offices that call with one number
        /// need more.
        number_tries: usize = Default("9"),
        /// 1 to 720.
        number_hours: u64 = Default("24"),
        /// Wrong tries of all other callers of one trunk, 1 to 100000, refilled evenly over trunk_hours.
        /// While none is left their entries are not looked at.
        trunk_tries: usize = Default("200"),
        /// 1 to 720.
        trunk_hours: u64 = Default("24"),
        /// Such a caller waits this much longer for a verdict with each wrong try on the trunk, 0 to 60.
        delay_step_seconds: u64 = Default("2"),
        /// The most of that, 0 to 60.
        delay_max_seconds: u64 = Default("15"),
    }
}

section! {
    /// Recordings that moderators ask for. They are sound as people hear it, not encrypted: whoever can
    /// read the folder can listen.
    pub struct Recording {
        /// The folder of the WAV files, relative to data_dir; made with the first one, for the service's
        /// user alone. Their names are the meeting's id and the time (UTC) they began. How long they stay
        /// is said in [retention]. 16-bit sound takes 115 MB an hour, half of it while all phones are narrowband.
        folder: String = Default("\"recordings\""),
        /// Beside what all hear, a WAV with a channel for each caller, and a table that says whose channel
        /// is whose. It takes as much again for each caller who speaks.
        per_caller: bool = Default("false"),
        /// A recording ends after so many minutes, 1 to 1440.
        max_minutes: u64 = Default("240"),
    }
}

section! {
    /// What is kept for how long; the rest is deleted once an hour, a little at a time. Remembered numbers go
    /// when they expire ([meetings] says when). Backups keep what they have.
    pub struct Retention {
        /// Days that the record of a call is kept after its end, 1 to 3650; 0: for ever.
        calls_days: u64 = Default("365"),
        /// Days that a host can see what it was told of a phone, 1 to 90.
        notices_days: u64 = Default("90"),
        /// Days that an event for webhooks is kept after it was sent or given up, 1 to 3650.
        webhooks_days: u64 = Default("30"),
        /// Days that a meeting is kept after its last occurrence, with its code, guests and letters, 1 to
        /// 3650; 0: for ever. One whose code a remembered phone proved stays as long as that phone.
        meetings_days: u64 = Default("0"),
        /// Days that a recording is kept after it ended, 1 to 3650; 0: for ever, and the disk fills.
        recordings_days: u64 = Default("0"),
    }
}

section! {
    /// Traces: the signalling of the latest calls, kept in memory for operators (`doorline calls ladder`,
    /// GET /calls/{id}/ladder and /sip.pcap). Keys pressed, credentials, keys of SRTP and the middle of
    /// telephone numbers are in none.
    pub struct Trace {
        /// Memory for it, about, in MiB, 0 to 1024; 0: nothing is kept. A call takes 10 to 20 kB, the one
        /// that began first goes first.
        memory_mib: usize = Default("16"),
    }
}

section! {
    /// Copies of all signalling, masked as in traces, to a Homer server (HEP version 3 over UDP, not
    /// encrypted: for a network of your own).
    pub struct Hep {
        /// Its "ADDRESS:PORT". Absent: nothing is sent.
        server: Option<String> = Absent("\"192.0.2.60:9060\""),
        /// Tells this service from others there, 1 to 4294967295.
        capture_id: u32 = Default("2001"),
        /// File with the password that the server expects: one line that only the service's user (and
        /// group) can read. Absent: none is sent.
        password_file: Option<String> = Absent("\"secrets/hep-password\""),
    }
}

section! {
    /// Each call as OpenTelemetry spans, when it is over: one for the call, below it set-up, verification and
    /// conference. Its trace's id is the call's. No PIN, code or number is in them. What the collector does not
    /// take at once is lost, and counted.
    pub struct Otlp {
        /// Where a collector takes OTLP over HTTP (as JSON): "http://HOST:PORT/PATH", not encrypted, for this
        /// machine or a network of your own. Absent: no spans.
        url: Option<String> = Absent("\"http://127.0.0.1:4318/v1/traces\""),
    }
}

section! {
    /// A program that is told of events by https, signed (Standard Webhooks); write one such part for each.
    /// What it does not take is tried again for over two days, then kept as a dead letter for
    /// GET /webhook-deliveries. Telephone numbers are masked.
    pub struct Webhook {
        /// Its name in the API, metrics and logs: letters, digits, - and _, at most 40.
        name: String = Required("\"crm\""),
        /// Where events are posted to: "https://HOST/PATH". It must be on the public Internet, and
        /// redirects are not followed.
        url: String = Required("\"https://crm.example.com/doorline\""),
        /// File with the secret that events are signed with (HMAC-SHA-256): one line, "whsec_" and base64,
        /// or other text of at least 24 characters, that only the service's user (and group) can read.
        secret_file: String = Required("\"secrets/crm\""),
        /// Which events: "call-ended", "meeting-opened", "meeting-closed", "number-remembered".
        events: Vec<String> = Default("[\"call-ended\", \"meeting-opened\", \"meeting-closed\", \"number-remembered\"]"),
        /// File with certificates (PEM) that are trusted beside the system's.
        ca_file: Option<String> = Absent("\"crm-ca.pem\""),
        /// Whether it may be on this machine or in a private network: whoever writes this file then decides
        /// what in there is knocked at.
        allow_private: bool = Default("false"),
    }
}

section! {
    /// How much at once.
    pub struct Limits {
        /// Most callers in one meeting, 2 to 10000. The next one hears that it is full.
        participants_max: usize = Default("1000"),
        /// Most calls at once, 1 to 100000; further ones get 503 with Retry-After. Absent: 2000, or
        /// what rtp.ports has room for if that is less.
        calls_max: Option<usize> = Absent("2000"),
        /// Most calls that are not yet in a meeting, 1 to calls_max: a flood of callers who enter
        /// nothing leaves room for the others. Absent: a fifth of calls_max.
        calls_entering_max: Option<usize> = Absent("400"),
        /// Most new calls in a second over all trunks, 1 to 10000; further ones get 503 with Retry-After
        /// before anything is remembered of them. Above what the machine can do, callers wait for
        /// an answer instead; `cargo bench --bench overload` tells what that is.
        calls_per_second: usize = Default("1000"),
        /// So many may come at once, 1 to 100000. Absent: as many as in a second.
        calls_burst: Option<usize> = Absent("1000"),
        /// How long live calls may go on when the service is told to stop, in seconds, 10 to 86400. Then
        /// they are ended, and callers hear that they may call again.
        drain_seconds: usize = Default("3600"),
    }
}

section! {
    /// Logs, on standard error. PINs, codes, tokens and full numbers are in none.
    pub struct Log {
        /// "text" for people or "json" (one object a line) for collectors.
        format: String = Default("\"text\""),
        /// "error", "warn", "info", "debug" or "trace", or a filter by part such as
        /// "info,doorline::sip=debug". The environment's RUST_LOG goes before it.
        level: String = Default("\"info\""),
    }
}

section! {
    /// A number that callers dial; write one such part for each. Without any, every dialled number is
    /// answered, in English.
    pub struct AccessNumber {
        /// In full, with + and country code.
        number: String = Required("\"+442079460000\""),
        /// The language its callers are spoken to in.
        language: String = Default("\"en-GB\""),
        /// Others that they may choose: after the question for the PIN each is offered, in its own words, and
        /// # leads to the next one.
        other_languages: Vec<String> = Default("[]"),
        /// Its country, two capital letters (ISO 3166), for invitations.
        country: Option<String> = Absent("\"GB\""),
    }
}

section! {
    /// One SIP trunk: a peer that may send us calls, and what we believe of them. Copy this into the
    /// trunks folder and take out what you do not need.
    pub struct Trunk {
        /// Its name in records, metrics and logs: letters, digits, - and _, at most 40.
        name: String = Required("\"carrier\""),
        /// The carrier it belongs to, in the same letters, when a carrier has several trunks: a number that
        /// was remembered over one of them is known on all. Absent: its name. Give one group only to
        /// trunks that tell callers' numbers equally well.
        group: Option<String> = Absent("\"carrier\""),
        /// Source addresses or blocks (CIDR) whose calls are this trunk's, IPv4 or IPv6. Empty refuses
        /// all: nobody else's calls get any answer. No address may be in two trunks. Carriers
        /// publish their signalling addresses; an address too many can call with any number.
        allow: Vec<String> = Default("[]"),
        /// Whose ringing (180) is sent until it is acknowledged (100rel, RFC 3262): "required" (calls
        /// that require it) or "supported" (calls that say they can, too; such a call is answered one
        /// round trip later).
        reliable_provisional: String = Default("\"required\""),
        /// Names, one of which its verified client certificate must have: a DNS name or a URI of its
        /// subjectAltName, the whole of it. Calls then come over TLS alone; with allow too, both must
        /// hold, and without, any address may show the certificate. Needs client_ca_file in [sip.tls].
        tls_names: Vec<String> = Default("[]"),
        /// Whether allow may hold "0.0.0.0/0" or "::/0" beside [auth]: everybody in the world may then
        /// try a password. Without it such a block is a fault there.
        any_source: bool = Default("false"),
    }
}

section! {
    /// Calls must prove a password (SIP digest, RFC 8760): each INVITE is answered 407 and comes again with
    /// credentials. For peers whose addresses change, and as a second lock behind allow.
    pub struct Auth {
        /// The names that may call, such as the peer's account. Absent: no password is asked.
        users: Option<Vec<String>> = Absent("[\"carrier\"]"),
        /// File with their passwords, one line each: user:password. One user's file may hold the password
        /// alone. Only the service's user (and group) may read it. Relative to the trunks folder.
        password_file: Option<String> = Absent("\"secrets/carrier-password\""),
        /// The realm of our challenge: the peer must use its password for this word.
        realm: String = Default("\"doorline\""),
        /// What we ask for, best first: "SHA-512-256", "SHA-256", "MD5". A peer takes the first that it
        /// speaks; many speak MD5 alone. Some phones (libre 1.1) fail at one that they do not know: ask
        /// those for MD5 alone.
        algorithms: Vec<String> = Default("[\"SHA-256\", \"MD5\"]"),
    }
}

section! {
    /// Registration with a carrier that sends calls to where we registered from. It is kept alive, tried
    /// again after failures (from 30 s up to 30 min), and given back when the service stops. The
    /// registrar's addresses are sources of this trunk, beside allow.
    pub struct Register {
        /// The carrier's domain or registrar: "sip.carrier.example", "sip.carrier.example:5060" or a SIP
        /// URI. Without a port the DNS is asked for NAPTR and SRV records (RFC 3263). Absent: no
        /// registration.
        registrar: Option<String> = Absent("\"sip.carrier.example\""),
        /// "udp", "tcp" or "tls". Absent: as the DNS says, else UDP.
        transport: Option<String> = Absent("\"udp\""),
        /// The account: the user of the address that is registered.
        user: Option<String> = Absent("\"442079460000\""),
        /// The name to log in with, where it is not user.
        auth_user: Option<String> = Absent("\"442079460000\""),
        /// File with the account's password: one line that only the service's user (and group) can read.
        /// Relative to the trunks folder.
        password_file: Option<String> = Absent("\"secrets/carrier-account\""),
        /// The realm that the password is for; a challenge of another one gets no answer. Absent: any of
        /// this registrar.
        realm: Option<String> = Absent("\"carrier.example\""),
        /// How long we ask to be registered, in seconds, 60 to 86400. The registrar may give less. Long
        /// ones are forgotten by NAT on the way, short ones load the registrar.
        expires_seconds: u64 = Default("600"),
        /// The proxy that everything goes to first, like registrar. Calls then come from it.
        outbound_proxy: Option<String> = Absent("\"sip:edge.carrier.example;transport=tcp\""),
        /// The user of our Contact. Absent: user.
        contact_user: Option<String> = Absent("\"442079460000\""),
    }
}

section! {
    /// Asking the peer whether it is there (OPTIONS). Any answer is a sign of life, except 503. After
    /// two that are missed the trunk is down, and is asked every few seconds until it is back.
    pub struct PingTable {
        /// Whom to ask. Absent: nobody.
        target: Option<String> = Absent("\"sip:sbc.carrier.example\""),
        /// How often, in seconds, 5 to 3600. More than 30 finds a peer that is gone later than 45 s.
        interval_seconds: u64 = Default("20"),
    }
}

section! {
    /// Our address as this peer sees it.
    pub struct Address {
        /// Goes into Contact, Via and SDP for this trunk, in place of sip.external_address. An IP address.
        external: Option<String> = Absent("\"203.0.113.5\""),
        /// The same in place of sip.external_address_v6.
        external_v6: Option<String> = Absent("\"2001:db8::5\""),
        /// The peer is reached over the Internet: the service does not start if it would tell it a
        /// private or loopback address, to which no sound ever comes.
        public: bool = Default("false"),
        /// A private address is right although public is set: the peer's border controller looks at
        /// where packets come from.
        private_address_ok: bool = Default("false"),
    }
}

section! {
    /// What we believe of its callers' numbers. The most important setting: a remembered number opens
    /// the door, so believe only a carrier that does not let its customers write any number.
    pub struct CallerId {
        /// "none": nothing; every caller is asked for PIN and code each time. "pai": the number in
        /// P-Asserted-Identity (RFC 3325). "from": the number in From, for a carrier that screens it.
        trust: String = Default("\"none\""),
        /// What a national number such as 020 7946 0000 means: two capital letters (ISO 3166). Absent:
        /// only international numbers are understood.
        country: Option<String> = Absent("\"GB\""),
        /// Whether signatures of calls (the Identity header, RFC 8224) are verified here; needs
        /// stir.roots_file. A number with attestation A is then believed more than any other ("signed"), one
        /// with B or C no more than "claimed", and one whose signature fails not at all.
        stir: bool = Default("false"),
        /// Whether the carrier's own verification is believed: the verstat parameter, with the attestation
        /// that stands behind it (TN-Validation-Passed-A) or in P-Attestation-Indicator. Only for a carrier
        /// that takes out what its customers write there.
        verstat: bool = Default("false"),
        /// What a TN-Validation-Passed without any attestation means: "unknown" (nothing more than
        /// without it) or "A", for carriers that write out B and C.
        verstat_alone: String = Default("\"unknown\""),
    }
}

section! {
    /// Sound on this trunk.
    pub struct TrunkMedia {
        /// Codecs in the order we prefer: "opus", "g722", "pcma", "pcmu". The first two are wideband: a
        /// meeting with such a caller is mixed at 16 kHz, or with Opus at 48, unless rtp.rate_max says less.
        /// Opus repairs lost packets best and takes a third of the bandwidth, and more work than G.711.
        codecs: Vec<String> = Default("[\"opus\", \"g722\", \"pcma\", \"pcmu\"]"),
        /// Where key presses come from: "auto" (RFC 4733 events; tones in the sound only from a phone that
        /// does not agree to those), "rfc4733", "inband" (tones alone; others hear such a caller 20 ms
        /// later) or "info" (SIP INFO alone; otherwise INFO works too).
        dtmf: String = Default("\"auto\""),
        /// Encryption of sound by SRTP, with keys in the SDP (SDES): "off" (a call that wants it is
        /// refused), "offer" (encrypted where the caller's side can; where it leaves the offer to us, we
        /// offer SRTP alone) or "require" (others are refused). Keys are worth what protects the signalling
        /// that carries them: SRTP goes with TLS alone, and over UDP and TCP it counts as not there.
        srtp: String = Default("\"off\""),
        /// SRTP over UDP and TCP all the same. Whoever reads the signalling then has the keys: for tests,
        /// and for networks that protect it otherwise.
        srtp_over_plain_signalling: bool = Default("false"),
        /// Where a caller's sound may come from: "latch" (an address that the SDP or the signalling
        /// names, at the port that its packets prove; needed behind NAT) or "sdp" (exactly the address
        /// and port of the SDP).
        media_source: String = Default("\"latch\""),
        /// How many milliseconds a caller's packets wait, so that late ones are played in their turn: the least
        /// and the most that the wait adapts between, from 20 on. Others hear the caller so much later.
        jitter_target_ms: String = Default("\"20-120\""),
        /// Milliseconds that sound waits at most, from the larger jitter_target_ms to 240: of what a line that had
        /// stalled brings all at once, what is older is left out.
        jitter_cap_ms: u64 = Default("120"),
        /// While a caller hears nobody, send comfort noise (RFC 3389), a packet in 0.4 s, in place of silence, to phones
        /// that offer it: a muted room then costs hardly any bandwidth. Off, because there are gateways that take
        /// a stream with pauses for a broken one. Noise that phones send is always taken.
        comfort_noise: bool = Default("false"),
        /// Bring soft and loud callers to the same level (-19 dBm0 while they speak), slowly, by -12 to
        /// +15 dB. Pauses are not turned up.
        automatic_gain: bool = Default("true"),
        /// Take noise out of what others hear of a caller, between words and under them (RNNoise). Others hear
        /// such a caller 12 to 15 ms later, and a call takes many times the processor that it takes otherwise.
        noise_suppression: bool = Default("false"),
        /// Let nothing of a caller through while they do not speak, for lines with noise. Cuts the first
        /// hundredth of a second of each word. In meetings of more than six it is done to soft noise anyway.
        noise_gate: bool = Default("false"),
    }
}

section! {
    /// How much of this trunk at once.
    pub struct TrunkLimits {
        /// Most calls at once, 1 to 100000; further ones get 503. Absent: as many as the service takes.
        calls_max: Option<usize> = Absent("100"),
        /// Most new calls a second, 1 to 10000; further ones get 503 with Retry-After before anything is
        /// remembered of them. Absent: no limit of its own.
        calls_per_second: Option<u32> = Absent("10"),
        /// So many at once before calls_per_second counts, 1 to 10000. Absent: twice calls_per_second.
        calls_burst: Option<u32> = Absent("20"),
    }
}

/// The tables of the configuration file, in the order they are explained.
pub const CONFIG: &Places = &[
    ("", Top::KEYS),
    ("sip", Sip::KEYS),
    ("sip.tls", SipTls::KEYS),
    ("rtp", Rtp::KEYS),
    ("stir", Stir::KEYS),
    ("http", Http::KEYS),
    ("store", Store::KEYS),
    ("mail", Mail::KEYS),
    ("meetings", Meetings::KEYS),
    ("guessing", Guessing::KEYS),
    ("recording", Recording::KEYS),
    ("retention", Retention::KEYS),
    ("trace", Trace::KEYS),
    ("hep", Hep::KEYS),
    ("otlp", Otlp::KEYS),
    ("limits", Limits::KEYS),
    ("log", Log::KEYS),
    ("access_number", AccessNumber::KEYS),
    ("webhook", Webhook::KEYS),
];

/// The tables of a trunk file.
pub const TRUNK: &Places = &[
    ("", Trunk::KEYS),
    ("auth", Auth::KEYS),
    ("register", Register::KEYS),
    ("ping", PingTable::KEYS),
    ("address", Address::KEYS),
    ("caller_id", CallerId::KEYS),
    ("media", TrunkMedia::KEYS),
    ("limits", TrunkLimits::KEYS),
];
