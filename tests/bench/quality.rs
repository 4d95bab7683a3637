//! How speech sounds after a bad line: PESQ (ITU-T P.862) of what others hear of a caller.
//!
//! Sentences are spoken by flite, coded, sent over a line in virtual time that loses, delays, doubles and
//! reorders packets, and taken from the leg as the room hears them. The same seeds give the same table.
//! `make bench-quality`; needs flite, and python3 to fetch `pesq` from PyPI into `target/pesq`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use doorline::audio::{Codec, Encoder, FRAME, Leg, LegSettings, Seed, SoundSettings, level, opus};
use doorline::rtp::Moment;
use doorline::rtp::packet::Header;

#[path = "../support/impaired.rs"]
mod impaired;

use impaired::{Impairment, Line, NONE};

const VOICES: [&str; 3] = ["slt", "rms", "awb"];
const SENTENCES: [&str; 4] = [
    "The meeting begins at nine o'clock, and everybody who has the code may come in. Please say your name.",
    "She had your dark suit in greasy wash water all year, and nobody asked her why. It was a long winter.",
    "A large size in stockings is hard to sell. The boy was there when the sun rose, and the ship sailed on.",
    "Glue the sheet to the dark blue background. Rice is often served in round bowls, with tea beside them.",
];

fn main() {
    let seeds = std::env::var("DOORLINE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_u64);
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/pesq"));
    std::fs::create_dir_all(&folder).unwrap();
    let python = python(&folder);
    let spoken: Vec<Vec<i16>> = VOICES
        .iter()
        .flat_map(|voice| SENTENCES.iter().map(move |sentence| (voice, sentence)))
        .map(|(voice, sentence)| speech(&folder, voice, sentence))
        .collect();
    for (n, sound) in spoken.iter().enumerate() {
        wav(&folder.join(format!("said-{n}.wav")), sound);
    }
    let bad = |loss: f64, jitter_ms: f64| Impairment { loss, jitter_ms, ..NONE };
    let lines = [
        ("a good line", NONE),
        ("1 % lost", bad(0.01, 0.0)),
        ("5 % lost", bad(0.05, 0.0)),
        ("10 % lost", bad(0.10, 0.0)),
        ("20 % lost", bad(0.20, 0.0)),
        ("5 % lost, 3 in a row", Impairment { burst: 3.0, ..bad(0.05, 0.0) }),
        ("60 ms jitter", bad(0.0, 60.0)),
        ("100 ms jitter", bad(0.0, 100.0)),
        ("200 ms jitter", bad(0.0, 200.0)),
        ("5 % lost, 60 ms jitter, 1 % doubled", Impairment { duplicates: 0.01, ..bad(0.05, 60.0) }),
    ];
    println!("| line | codec | PESQ-NB mean | p5 | added delay, ms |\n|---|---|---|---|---|");
    let mut last = (0.0, 0.0);
    for (name, impairment) in lines {
        for codec in [Codec::Pcma, Codec::Opus] {
            let (mut pairs, mut delays) = (String::new(), 0.0);
            for (n, sound) in spoken.iter().enumerate() {
                for seed in 1..=seeds {
                    let (heard, delay) = over(codec, sound, impairment, seed * 100 + n as u64);
                    delays += delay / (spoken.len() as u64 * seeds) as f64;
                    let file = folder.join(format!("heard-{n}-{seed}.wav"));
                    wav(&file, &heard);
                    pairs.push_str(&format!("said-{n}.wav heard-{n}-{seed}.wav\n"));
                }
            }
            std::fs::write(folder.join("pairs"), pairs).unwrap();
            let scores = score(&python, &folder);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let p5 = scores[scores.len() / 20];
            println!("| {name} | {} | {mean:.2} | {p5:.2} | {delays:.0} |", codec.name());
            last = if codec == Codec::Pcma { (mean, p5) } else { last };
        }
    }
    println!(
        "\nF5: speech after 5 % loss, 60 ms jitter, 1 % duplicates: PESQ-NB mean {:.2} (promised 3.2), p5 {:.2} \
         (promised 2.6), of {} scores",
        last.0,
        last.1,
        spoken.len() as u64 * seeds
    );
    assert!(last.0 >= 3.2 && last.1 >= 2.6, "{last:?}");
}

/// What others hear of a caller on this line, and the jitter buffer's delay at the end.
fn over(codec: Codec, sound: &[i16], impairment: Impairment, seed: u64) -> (Vec<i16>, f64) {
    let from = "192.0.2.1:4000".parse().unwrap();
    let mut leg = Leg::new(Seed::default(), Moment::default());
    leg.configure(LegSettings::plain(codec, from), Moment::default());
    leg.enter_room();
    let (mut encoder, mut line) = (Encoder::new(codec), Line::new(impairment, seed));
    let mut up = doorline::audio::resample::Up::default();
    let mut down = doorline::audio::resample::Down::default();
    let mut heard = Vec::new();
    let frames = sound.len() / FRAME;
    // The line has been open for two seconds before anybody speaks.
    for tick in 0..frames + 100 + 20 {
        let mut frame = [0; FRAME];
        if let Some(at) = tick.checked_sub(100).filter(|&at| at < frames) {
            frame.copy_from_slice(&sound[at * FRAME..][..FRAME]);
        }
        let mut payload = [0; FRAME];
        let mut wide = [0; 2 * FRAME];
        let payload = if codec == Codec::Opus {
            up.process(&frame, &mut wide);
            encoder.encode(&wide, &mut payload);
            opus::packet(&payload)
        } else {
            encoder.encode(&frame, &mut payload);
            &payload[..]
        };
        let mut packet = vec![0; 12];
        packet.extend(payload);
        let timestamp = tick as u32 * FRAME as u32 * codec.clock_ratio();
        let payload_type = codec.payload_type();
        Header { payload_type, marker: false, sequence: tick as u16, timestamp, ssrc: 1 }.write(&mut packet);
        let now_ms = tick as f64 * 20.0;
        line.send(now_ms, &packet);
        let now = Moment::new(0, Duration::from_millis(20 * tick as u64));
        for packet in line.arrived(now_ms) {
            leg.receive(&packet, from, now);
        }
        leg.speak(codec.rate(), false, now);
        let mut narrow = [0; FRAME];
        if codec == Codec::Opus {
            down.process(&leg.spoken()[..2 * FRAME], &mut narrow);
        } else {
            narrow.copy_from_slice(&leg.spoken()[..FRAME]);
        }
        if tick >= 100 {
            heard.extend(narrow);
        }
    }
    (heard, f64::from(leg.quality().buffer_ms))
}

/// A sentence at 8 kHz, with half a second of silence around it.
fn speech(folder: &Path, voice: &str, sentence: &str) -> Vec<i16> {
    let file = folder.join("speech.wav");
    let done = Command::new("flite").args(["-voice", voice, "-t", sentence, "-o"]).arg(&file).status();
    assert!(done.expect("flite is installed: apt-get install flite").success());
    let mut reader = hound::WavReader::open(file).unwrap();
    let step = (reader.spec().sample_rate / 8_000) as usize;
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let mean = |group: &[i16]| (group.iter().map(|&s| i32::from(s)).sum::<i32>() / step as i32) as i16;
    let narrow: Vec<i16> = samples.chunks_exact(step).map(mean).collect();
    // As loud as a good telephone makes it: -26 dBov while it speaks (P.56, P.862).
    let mut levels: Vec<f32> = narrow.chunks_exact(FRAME).map(level::dbov).collect();
    levels.retain(|&level| level > -50.0);
    let power = levels.iter().map(|level| 10_f32.powf(level / 10.0)).sum::<f32>() / levels.len() as f32;
    let gain = 10_f32.powf((-26.0 - 10.0 * power.log10()) / 20.0);
    let mut out = vec![0; 4_000];
    out.extend(narrow.iter().map(|&sample| (f32::from(sample) * gain) as i16));
    out.resize((out.len() + 4_000) / FRAME * FRAME, 0);
    // No microphone hears nothing: a quiet room, -62 dBov. Without it a synthetic voice's perfect silence is
    // compared with the idle noise of G.711.
    let mut random = Line::new(NONE, 3);
    out.iter_mut().for_each(|sample| *sample += ((random.random() - 0.5) * 90.0) as i16);
    out
}

fn wav(file: &Path, sound: &[i16]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    sound.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

/// A Python that has `pesq`, in an environment of its own.
fn python(folder: &Path) -> PathBuf {
    let python = folder.join("venv/bin/python");
    if !python.exists() {
        let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "pesq==0.0.4", "numpy"]));
    }
    python
}

/// The scores of all pairs, the lowest first.
fn score(python: &Path, folder: &Path) -> Vec<f64> {
    const SCRIPT: &str = "
import wave, numpy, pesq
def read(name):
    return numpy.frombuffer(wave.open(name).readframes(1 << 30), dtype='<i2')
for line in open('pairs'):
    said, heard = map(read, line.split())
    print(pesq.pesq(8000, said, heard, 'nb'))
";
    let done = Command::new(python).args(["-c", SCRIPT]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut scores: Vec<f64> =
        String::from_utf8_lossy(&done.stdout).lines().map(|line| line.parse().unwrap()).collect();
    scores.sort_by(f64::total_cmp);
    scores
}
