//! What a packet says of itself before it is decoded: whether anybody speaks in it.

use opusic_sys as ffi;

/// Frames in a packet, at most (RFC 6716 §3.2.5).
const FRAMES_MAX: usize = 48;

/// Whether the peer's encoder heard nobody speak in this packet. Its speech part begins with a bit for each 20 ms
/// that are speech, and one for whether earlier speech is repeated (RFC 6716 §4.2.3–4.2.4); the first bits of the
/// range coder stand in the byte as they are. False where there is no such part, as in music.
#[must_use]
pub fn is_background(packet: &[u8]) -> bool {
    let Some(&head) = packet.first() else { return false };
    // §3.1: configurations of 10, 20, 40 and 60 ms; those of both parts have 10 and 20.
    let speech_frames = match head >> 3 {
        0..12 => [1, 1, 2, 3][usize::from(head >> 3 & 3)],
        12..16 => 1,
        _ => return false,
    };
    let channels = 1 + u32::from(head >> 2 & 1);
    let bits = channels * (speech_frames + 1);
    let (mut frames, mut lengths) = ([std::ptr::null(); FRAMES_MAX], [0; FRAMES_MAX]);
    // SAFETY: reads as many bytes as are named, and writes no more frames than the standard allows.
    let count = unsafe {
        ffi::opus_packet_parse(
            packet.as_ptr(),
            packet.len() as i32,
            std::ptr::null_mut(),
            frames.as_mut_ptr(),
            lengths.as_mut_ptr(),
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).unwrap_or(0);
    count > 0
        && frames.iter().zip(lengths).take(count).all(|(&frame, length)| {
            // A frame without bytes is silence by the peer's will.
            // SAFETY: the frame lies in the packet and has a byte.
            length < 1 || u32::from(unsafe { *frame }) >> (8 - bits) == 0
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::opus::{Encoder, Joiner, packet};
    use crate::audio::{FRAME, Rate};

    /// A voice of many harmonics for the first half, then hiss at -60 dBov.
    fn sound(rate: Rate, frame: usize) -> Vec<i16> {
        let mut random = frame as u32 * 7_919 + 1;
        (0..rate.frame())
            .map(|n| {
                let time = (frame * rate.frame() + n) as f64 / rate.hz() as f64;
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = f64::from(random as i32 >> 16) / 32_768.0 * 55.0;
                let pitch = 130.0 + 15.0 * (time * 5.0).sin();
                let voice = (1..20).map(|h| (std::f64::consts::TAU * pitch * f64::from(h) * time).sin());
                let said = frame < 100 && frame % 20 < 14;
                (hiss + if said { 900.0 * voice.sum::<f64>() } else { 0.0 }) as i16
            })
            .collect()
    }

    #[test]
    fn speech_is_told_from_what_is_behind_it_in_packets_of_any_length() {
        for rate in [Rate::Wide, Rate::Full] {
            for milliseconds in [20, 40, 60] {
                let (mut encoder, mut joiner) = (Encoder::new(rate), Joiner::default());
                joiner.set(milliseconds);
                let (mut said, mut behind) = ((0, 0), (0, 0));
                for frame in 0..200 {
                    let mut payload = [0; FRAME];
                    encoder.encode(&sound(rate, frame), &mut payload);
                    joiner.push(packet(&payload), |bytes, _| {
                        let counts = match frame {
                            0..100 if (4..14).contains(&(frame % 20)) => &mut said,
                            130.. => &mut behind,
                            _ => return,
                        };
                        counts.0 += usize::from(is_background(bytes));
                        counts.1 += 1;
                    });
                }
                println!("{rate:?}, {milliseconds} ms: {said:?} of speech, {behind:?} of what is behind");
                assert_eq!(said.0, 0, "{rate:?}, {milliseconds} ms");
                assert!(
                    behind.0 * 10 >= behind.1 * 9 && behind.1 > 20,
                    "{rate:?}, {milliseconds} ms: {behind:?}"
                );
            }
        }
    }

    #[test]
    fn what_says_nothing_of_speech_may_be_speech() {
        // Both bits, and each.
        for (first, expected) in
            [(0b0000_0000, true), (0b1000_0000, false), (0b0100_0000, false), (0b0011_1111, true)]
        {
            // 20 ms of wideband speech, mono.
            assert_eq!(is_background(&[9 << 3, first, 0, 0]), expected, "{first:08b}");
            // 60 ms: three bits of activity, one of repeats.
            assert_eq!(is_background(&[11 << 3, first, 0, 0]), first == 0, "{first:08b} of 60 ms");
            // Music, and nothing at all.
            assert!(!is_background(&[31 << 3, first, 0, 0]));
        }
        assert!(!is_background(&[]));
        // A second channel has bits of its own; a second frame too.
        assert!(!is_background(&[9 << 3 | 4, 0b0010_0000, 0]));
        assert!(!is_background(&[9 << 3 | 1, 0, 0, 0b1000_0000, 0]));
        assert!(is_background(&[9 << 3 | 1, 0, 0, 0, 0]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = is_background(&bytes);
        }
    }
}
