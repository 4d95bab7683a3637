//! What is protected here is opened here and by another SRTP, and the other way round; counters go on
//! over wraps, losses, late beginnings and new keys; what is not authentic changes nothing.

use proptest::prelude::any;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;
use crate::rtp::Header;

fn key(suite: Suite, n: u8) -> MediaKey {
    MediaKey::from_random(suite, std::array::from_fn(|at| (at as u8).wrapping_mul(7).wrapping_add(n)))
}

fn keys(suite: Suite) -> MediaKeys {
    MediaKeys { ours: key(suite, 1), theirs: key(suite, 2) }
}

/// Two ends of one call.
fn ends(suite: Suite) -> (Sender, Receiver) {
    (Sender::new(&key(suite, 1)), Receiver::new(&key(suite, 1)))
}

/// What a receiver alone makes of a packet.
impl Receiver {
    fn clear(&mut self, datagram: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut room = [0; DATAGRAM_MAX];
        self.open(datagram, &mut room).map(|length| room[..length].to_vec())
    }

    fn clear_control(&mut self, datagram: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut room = [0; DATAGRAM_MAX];
        self.open_control(datagram, &mut room).map(|length| room[..length].to_vec())
    }
}

/// A packet of this source whose payload tells its index.
fn plain(ssrc: u32, index: u64) -> Vec<u8> {
    let mut packet = vec![0; 12 + 160];
    Header { ssrc, sequence: index as u16, timestamp: index as u32 * 160, ..Header::default() }
        .write(&mut packet);
    packet[12..20].copy_from_slice(&index.to_be_bytes());
    packet
}

fn protect(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + TRAILER_MAX, 0);
    let length = sender.protect(&mut packet, plain.len());
    packet.truncate(length);
    packet
}

fn protect_control(sender: &mut Sender, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + CONTROL_TRAILER_MAX, 0);
    let length = sender.protect_control(&mut packet, plain.len());
    packet.truncate(length);
    packet
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(ssrc.to_be_bytes());
    report.extend([0x81, 202, 0, 2]);
    report.extend(ssrc.to_be_bytes());
    report.extend([1, 1, b'a', 0]);
    report
}

fn another(suite: Suite, key: &MediaKey) -> Context {
    let profile = match suite {
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    let (master, salt) = key.reveal().split_at(suite.key_length());
    Context::new(master, salt, profile, None, None).unwrap()
}

#[test]
fn another_srtp_opens_ours_and_we_open_its() {
    for suite in Suite::ALL {
        let key = key(suite, 9);
        let (mut ours, mut theirs) = (Sender::new(&key), another(suite, &key));
        let (mut opening, mut other) = (Receiver::new(&key), another(suite, &key));
        // Across the end of the first turn.
        for index in 65_530..65_545 {
            let mut plain = plain(5, index);
            if index % 2 == 0 {
                // Two contributing sources and an extension of one word: they stay readable.
                plain[0] |= 0x12;
                plain.splice(12..12, [0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0x10, 9, 0, 0]);
            }
            let protected = protect(&mut ours, &plain);
            assert_ne!(protected[40..], plain[40..], "{suite:?}");
            assert_eq!(other.decrypt_rtp(&protected).unwrap(), plain, "{suite:?}");
            let protected = theirs.encrypt_rtp(&plain).unwrap();
            assert_eq!(opening.clear(&protected), Ok(plain.to_vec()), "{suite:?}");
        }
        for ssrc in [5, 6, 5] {
            let plain = report(ssrc);
            let protected = protect_control(&mut ours, &plain);
            assert_eq!(other.decrypt_rtcp(&protected).unwrap(), plain, "{suite:?}");
        }
        for _ in 0..3 {
            let plain = report(5);
            let protected = theirs.encrypt_rtcp(&plain).unwrap();
            assert_eq!(opening.clear_control(&protected), Ok(plain.to_vec()), "{suite:?}");
        }
    }
}

#[test]
fn every_byte_is_authenticated_and_a_forgery_changes_nothing() {
    for suite in Suite::ALL {
        let (mut sender, mut receiver) = ends(suite);
        let plain = plain(5, 100);
        let good = protect(&mut sender, &plain);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            assert!(receiver.clear(&bad).is_err(), "{suite:?}: byte {at}");
        }
        for length in 0..good.len() {
            assert!(receiver.clear(&good[..length]).is_err(), "{suite:?}: {length} bytes");
        }
        assert_eq!(receiver.clear(&good), Ok(plain.to_vec()), "{suite:?}");
        assert_eq!(receiver.clear(&good), Err(Refused::Replayed), "{suite:?}");

        let plain = report(5);
        let good = protect_control(&mut sender, &plain);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            assert!(receiver.clear_control(&bad).is_err(), "{suite:?}: byte {at} of a report");
        }
        for length in 0..good.len() {
            assert!(
                receiver.clear_control(&good[..length]).is_err(),
                "{suite:?}: {length} bytes of a report"
            );
        }
        assert_eq!(receiver.clear_control(&good), Ok(plain.to_vec()), "{suite:?}");
        assert_eq!(receiver.clear_control(&good), Err(Refused::Replayed), "{suite:?}");
        // Nor is a report taken that never was encrypted.
        assert!(receiver.clear_control(&plain).is_err());
        let other = Receiver::new(&key(suite, 77))
            .open(&protect(&mut sender, &super::tests::plain(5, 101)), &mut [0; DATAGRAM_MAX])
            .is_err();
        assert!(other, "another key");
    }
}

#[test]
fn rollover_counters_go_on_over_wraps_losses_and_late_beginnings() {
    // Which indexes arrive; all others are lost. Every one that arrives is understood, but for those
    // after the `+`: they are needed to find out that a turn was lost.
    let run = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
    let cases: &[(&str, Vec<u64>, usize)] = &[
        ("three turns", run(10, 3 * TURN), 0),
        ("late by one turn", run(TURN + 5, TURN + 50), 0),
        ("the wrap itself is lost", [run(65_000, 65_500), run(TURN + 100, TURN + 200)].concat(), 0),
        ("a third of a turn is lost", [run(100, 200), run(20_000, 20_100)].concat(), 0),
        ("more than half a turn is lost", [run(100, 200), run(TURN - 20_000, TURN + 200)].concat(), 0),
        (
            "so much that it seems to go back",
            [run(40_000, 40_100), run(TURN + 20_000, TURN + 20_100)].concat(),
            DOUBT as usize,
        ),
        ("out of order around the wrap", vec![65_534, TURN + 1, 65_535, TURN, TURN + 3, TURN + 2], 0),
    ];
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
        for (name, arriving, refused_at_most) in cases {
            let key = key(suite, 3);
            let (cipher, mut receiver) = (Cipher::new(&key, Kind::Rtp), Receiver::new(&key));
            let mut refused = 0;
            for &index in arriving {
                let plain = plain(5, index);
                let mut packet = plain.clone();
                packet.resize(plain.len() + TRAILER_MAX, 0);
                let length = cipher.seal(&mut packet, 12, plain.len(), Position { ssrc: 5, index });
                match receiver.clear(&packet[..length]) {
                    Ok(opened) => assert_eq!(opened, plain, "{name}"),
                    Err(_) => refused += 1,
                }
            }
            assert!(refused <= *refused_at_most, "{suite:?}, {name}: {refused} refused");
        }
    }
}

#[test]
fn our_own_counter_turns_with_our_sequence_numbers() {
    let (mut sender, mut receiver) = ends(Suite::AesCm128HmacSha1_32);
    for index in 32_000..2 * TURN + 50 {
        let plain = plain(1, index);
        let packet = protect(&mut sender, &plain);
        assert_eq!(packet.len(), plain.len() + 4);
        assert_eq!(receiver.clear(&packet), Ok(plain.to_vec()), "{index}");
    }
    assert_eq!(sender.rollover, 2);
}

#[test]
fn another_source_is_another_stream_and_the_old_one_is_remembered() {
    let (mut sender, mut receiver) = ends(Suite::AesCm128HmacSha1_80);
    let first = protect(&mut sender, &plain(100, 50));
    assert!(receiver.clear(&first).is_ok());
    for ssrc in 101..108 {
        sender.rollover = 0;
        sender.last = None;
        assert!(receiver.clear(&protect(&mut sender, &plain(ssrc, 7))).is_ok(), "{ssrc}");
    }
    assert_eq!(receiver.clear(&first), Err(Refused::Replayed));
    // It is heard again, and so is not the one to be forgotten.
    assert!(receiver.clear(&protect(&mut sender, &plain(100, 51))).is_ok());
    assert!(receiver.clear(&protect(&mut sender, &plain(108, 52))).is_ok());
    assert_eq!(receiver.clear(&first), Err(Refused::Replayed));
}

#[test]
fn a_reinvite_with_the_same_keys_goes_on_and_one_with_another_takes_over() {
    let suite = Suite::AeadAes256Gcm;
    let mut peer = Sender::new(&key(suite, 2));
    let mut before = Box::new(Srtp::new(&keys(suite)));
    let old = protect(&mut peer, &plain(9, TURN - 2));
    assert!(before.open(&old, &mut [0; DATAGRAM_MAX]).is_ok());
    assert!(before.open(&protect(&mut peer, &plain(9, TURN + 1)), &mut [0; DATAGRAM_MAX]).is_ok());
    protect(&mut before.sender, &plain(1, TURN - 1));
    protect(&mut before.sender, &plain(1, TURN));

    // The same keys again: nothing is forgotten, on either way.
    let mut same = Box::new(Srtp::new(&keys(suite)));
    assert!(same.continue_from(before).is_some());
    assert_eq!(same.sender.rollover, 1);
    assert_eq!(same.open(&old, &mut [0; DATAGRAM_MAX]), Err(Refused::Replayed));
    assert!(same.open(&protect(&mut peer, &plain(9, TURN + 2)), &mut [0; DATAGRAM_MAX]).is_ok());

    // A new key of the peer, whose counter goes on; then one whose counter begins anew, as with most.
    for (index, goes_on) in [(TURN + 10, true), (TURN + 20, false)] {
        let n = 10 + u8::from(goes_on);
        let mut rekeyed = Box::new(Srtp::new(&MediaKeys { ours: key(suite, 1), theirs: key(suite, n) }));
        let unused = rekeyed.continue_from(same);
        assert_eq!(unused.is_some(), !goes_on, "only what the peer no longer uses is given up");
        let mut new = Sender { rollover: u32::from(goes_on), ..Sender::new(&key(suite, n)) };
        // What was under way when the key changed is still heard, and not twice.
        let late = protect(&mut peer, &plain(9, index));
        assert!(rekeyed.open(&late, &mut [0; DATAGRAM_MAX]).is_ok());
        assert_eq!(rekeyed.open(&late, &mut [0; DATAGRAM_MAX]), Err(Refused::Replayed));
        assert!(
            rekeyed.open(&protect(&mut new, &plain(9, index + 1)), &mut [0; DATAGRAM_MAX]).is_ok(),
            "{goes_on}"
        );
        // From then on the old key is worth nothing.
        assert_eq!(
            rekeyed.open(&protect(&mut peer, &plain(9, index + 2)), &mut [0; DATAGRAM_MAX]),
            Err(Refused::Unauthentic)
        );
        assert_eq!(rekeyed.sender.rollover, 1, "ours has stayed");
        (peer, same) = (new, rekeyed);
    }
}

#[test]
fn nothing_prints_a_key() {
    let keys = keys(Suite::AeadAes128Gcm);
    let shown = format!("{:?} {keys:?}", Srtp::new(&keys));
    assert_eq!(
        shown,
        "Srtp(AEAD_AES_128_GCM, keys hidden) MediaKeys { ours: MediaKey(AEAD_AES_128_GCM, hidden), \
         theirs: MediaKey(AEAD_AES_128_GCM, hidden) }"
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), suite in 0_usize..4) {
        let mut receiver = Receiver::new(&key(Suite::ALL[suite], 4));
        assert!(receiver.clear(&bytes).is_err());
        assert!(receiver.clear_control(&bytes).is_err());
        let mut bytes = bytes;
        if bytes.len() > 1 {
            bytes[0] = bytes[0] & 0x3f | 0x80;
            assert!(receiver.clear(&bytes).is_err());
            bytes[1] = 200;
            assert!(receiver.clear_control(&bytes).is_err());
        }
    }
}
