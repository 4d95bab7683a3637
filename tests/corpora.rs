//! The fuzz targets on stable: over their kept corpora, the torture messages, and mutations of both, for
//! seconds or, in `make test`, for a minute each. A failure names target, seed and step, and keeps the
//! bytes: one that is understood goes into the corpus.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

#[path = "fuzz/targets.rs"]
mod targets;
#[allow(dead_code)]
#[path = "support/torture.rs"]
mod torture;

/// Environment: how many seconds each target is fuzzed, instead of [`QUICK`] ones.
const SECONDS: &str = "DOORLINE_FUZZ_SECONDS";
const QUICK: u64 = 2;
/// Environment: the seed of an earlier run. The same inputs come again as long as both are equally fast.
const SEED: &str = "DOORLINE_FUZZ_SEED";
/// Inputs that are mutated, those of the corpus included.
const POOL: usize = 4_000;
/// What one input may cost. It is microseconds; this is what a hang would exceed on a loaded machine.
const LONGEST: Duration = Duration::from_secs(1);
/// Mutations may grow an input up to here: past the 64 KiB of a message.
const BYTES: usize = 70_000;

#[test]
fn every_kept_input_passes_its_target() {
    for (name, target) in targets::ALL {
        let corpus = corpus(name);
        assert!(corpus.len() >= 6, "{name} has a corpus");
        for (file, bytes) in corpus {
            run(name, target, &bytes, &file);
        }
    }
}

#[test]
fn mutated_datagrams_neither_panic_nor_hang_nor_read_back_differently() {
    fuzz("sip_datagram");
}

#[test]
fn mutated_streams_neither_panic_nor_hang_nor_depend_on_their_pieces() {
    fuzz("sip_stream");
}

#[test]
fn mutated_uris_and_addresses_print_as_they_were_read() {
    fuzz("uri");
}

#[test]
fn mutated_descriptions_are_refused_or_answered_with_one_we_understand() {
    fuzz("sdp");
}

#[test]
fn mutated_media_packets_neither_panic_nor_read_back_differently() {
    fuzz("rtp_packet");
}

#[test]
fn mutated_key_presses_are_no_more_than_their_packets() {
    fuzz("telephone_event");
}

#[test]
fn mutated_lives_of_calls_leave_nothing_and_send_strangers_nothing() {
    fuzz("endpoint");
}

#[test]
fn mutated_identities_neither_panic_nor_show_numbers() {
    fuzz("identity");
}

#[test]
fn mutated_certificates_neither_panic_nor_hang() {
    fuzz("certificate");
}

#[test]
fn mutated_challenges_and_credentials_neither_panic_nor_let_anybody_in() {
    fuzz("digest");
}

#[test]
fn mutated_numbers_are_refused_or_whole_ones() {
    fuzz("number");
}

#[test]
fn mutated_configurations_are_refused_in_one_line_a_fault() {
    fuzz("config");
}

#[test]
fn every_target_is_fuzzed() {
    let this = include_str!("corpora.rs");
    for (name, _) in targets::ALL {
        assert!(this.contains(&format!("    fuzz(\"{name}\");")), "nothing fuzzes {name}");
        let binary = folder().join(format!("fuzz_targets/{name}.rs"));
        assert!(binary.is_file(), "libFuzzer has no {name}");
    }
}

#[test]
fn the_worst_shapes_we_can_think_of_cost_no_more_than_their_length() {
    let head = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";
    let shapes = [
        ("one endless header", "X: ".to_owned() + &"y".repeat(64_000)),
        ("one endless header name", "y".repeat(64_000)),
        ("folds of nothing", "X: y".to_owned() + &"\r\n ".repeat(21_000)),
        ("folds of one letter", "X: y".to_owned() + &"\r\n z".repeat(16_000)),
        ("empty list values", "Contact: ".to_owned() + &",".repeat(8_000)),
        ("open quotes", "Contact: ".to_owned() + &"\"\\".repeat(4_000)),
        ("open brackets", "Route: ".to_owned() + &"<".repeat(8_000)),
        ("parameters", "Contact: <sip:a@b>".to_owned() + &";a".repeat(4_000)),
        ("parameters of a URI", "Contact: <sip:a@b".to_owned() + &";a".repeat(4_000) + ">"),
        ("headers", "A:b\r\n".repeat(12_000)),
        ("vias", "v:SIP/2.0/UDP h\r\n".repeat(3_700)),
        ("line ends", "\r".repeat(64_000)),
        ("escapes", "Contact: <sip:".to_owned() + &"%41".repeat(2_600) + "@b>"),
    ];
    for (name, shape) in shapes {
        for ending in ["\r\n\r\n", "", "\n\n"] {
            let bytes = format!("{head}{shape}{ending}").into_bytes();
            run("sip_datagram", targets::sip_datagram, &bytes, name);
            let stream: Vec<u8> = [b"\x00", &*bytes].concat();
            run("sip_stream", targets::sip_stream, &stream, name);
        }
    }
    for (name, shape) in [
        ("attributes", "a=rtpmap:0 PCMU/8000\r\n".repeat(1_000)),
        ("formats", "m=audio 4000 RTP/AVP".to_owned() + &" 0".repeat(30_000) + "\r\n"),
        ("streams", "m=audio 4000 RTP/AVP 0\r\n".repeat(1_000)),
        ("connections", "c=IN IP4 192.0.2.1\r\n".repeat(1_000)),
    ] {
        let bytes = format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0\r\n{shape}").into_bytes();
        run("sdp", targets::sdp, &bytes, name);
    }
}

/// Mutations of the corpus of `name` for [`SECONDS`]: a random input, one to six random changes. Inputs
/// that are like no other are mutated in their turn.
fn fuzz(name: &str) {
    let (_, target) =
        targets::ALL.into_iter().find(|(other, _)| *other == name).expect("a target of that name");
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let longer = variable(SECONDS);
    // A run of its own finds its own; a quick one is the same each time.
    let seed = variable(SEED).unwrap_or_else(|| match longer {
        Some(_) => {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64
        }
        None => 0x0d00_4711,
    });
    let mut random = Random((seed ^ name.bytes().fold(0_u64, |sum, byte| sum << 5 ^ u64::from(byte))).max(1));
    let until = Instant::now() + Duration::from_secs(longer.unwrap_or(QUICK));
    let words = dictionary();
    let mut pool = corpus(name);
    let kept = pool.len();
    let mut known: HashSet<u64> = pool.iter().map(|(_, bytes)| target(bytes)).collect();
    let mut step = 0_u64;
    while Instant::now() < until {
        step += 1;
        let mut bytes = pool[random.below(pool.len())].1.clone();
        for _ in 0..=random.below(6) {
            change(&mut bytes, &pool, &words, &mut random);
        }
        bytes.truncate(BYTES);
        let what = format!("step {step} of {SEED}={seed}");
        if known.insert(run(name, target, &bytes, &what)) {
            match pool.len() {
                POOL.. => pool[kept + random.below(POOL - kept)].1 = bytes,
                _ => pool.push((what, bytes)),
            }
        }
    }
    println!(
        "F8: fuzzed {name}: {step} inputs, {} of them like no other, 0 panics, 0 longer than a second, {SEED}={seed}",
        known.len()
    );
    assert!(step > 100, "{name}: {step} inputs are too few to say anything");
}

fn change(bytes: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], words: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let length = random.below(bytes.len() - at + 1).min(1 << random.below(10));
    match random.below(9) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + length)),
        2 => drop(bytes.splice(at..at, [random.byte()])),
        3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        4 if at < bytes.len() => bytes[at] = random.byte(),
        // The same piece again, sometimes very often: limits are passed, not only approached.
        5 if bytes.len() < 4_000 => {
            let piece = bytes[at..at + length].to_vec();
            let doublings = if random.below(16) == 0 { 11 } else { 4 };
            let again = piece.repeat(1 << random.below(doublings));
            drop(bytes.splice(at..at, again));
        }
        6 => {
            let other = &corpus[random.below(corpus.len())].1;
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let word = words[random.below(words.len())].clone();
            let over = if random.below(2) == 0 { 0 } else { length.min(word.len()) };
            drop(bytes.splice(at..at + over, word));
        }
    }
}

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// What the input was like. A faulty one is kept in `target/fuzz-failures`.
fn run(name: &str, target: targets::Target, bytes: &[u8], what: &str) -> u64 {
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    let took = begin.elapsed();
    match outcome {
        Ok(like) if took < LONGEST => like,
        outcome => {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/fuzz-failures");
            let file = folder.join(format!("{name}-{}", std::process::id()));
            let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, bytes));
            let fault = if outcome.is_err() { "panicked" } else { "took too long" };
            panic!(
                "{name} {fault} after {took:?}, {what}; the input is in {} ({kept:?}): {}",
                file.display(),
                bytes[..bytes.len().min(2_000)].escape_ascii()
            );
        }
    }
}

/// The kept inputs of a target; those of SIP have the torture messages with them.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut corpus: Vec<(String, Vec<u8>)> = files(&folder().join("corpora").join(name));
    let tortures = torture::all().into_iter().map(|case| (case.file, case.bytes));
    match name {
        "sip_datagram" => corpus.extend(tortures),
        "sip_stream" => corpus.extend(tortures.map(|(file, bytes)| (file, [b"\x08", &*bytes].concat()))),
        _ => {}
    }
    corpus.sort();
    corpus
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect()
}

/// The quoted words of a libFuzzer dictionary, `\xNN`, `\\` and `\"` resolved.
fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("dictionary/sip.dict")).unwrap();
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let words: Vec<Vec<u8>> = quoted.map(unescape).collect();
    assert!(words.len() > 60 && words.contains(&b"\r\n\r\n".to_vec()) && words.contains(&b"\\".to_vec()));
    words
}

fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                after
            }
            (b'\\', [next, after @ ..]) => {
                bytes.push(*next);
                after
            }
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    bytes
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}
