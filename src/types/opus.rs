//! What a peer wishes of the Opus that it is sent (RFC 7587 §6.1).

/// As the RFC has it where the peer does not say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpusWishes {
    /// `maxplaybackrate`: samples a second that it can play; what lies above half of that is wasted on it.
    pub playback_rate: u32,
    /// `sprop-maxcapturerate`: samples a second of what it sends. Where it does not say, as many as it plays.
    pub capture_rate: u32,
    /// `maxaveragebitrate`, in bits a second; `None`: as we like.
    pub bitrate_max: Option<u32>,
    /// `useinbandfec`: it repairs lost packets from what the next ones repeat.
    pub repairs: bool,
    /// `usedtx`: we may send nothing while nobody speaks.
    pub pauses: bool,
    /// `cbr`: all packets have the same size.
    pub constant: bool,
}

impl Default for OpusWishes {
    fn default() -> Self {
        Self {
            playback_rate: 48_000,
            capture_rate: 48_000,
            bitrate_max: None,
            repairs: false,
            pauses: false,
            constant: false,
        }
    }
}

impl OpusWishes {
    /// From the parameters of `a=fmtp`, without the payload type. What is not understood, or beyond what the
    /// RFC allows, is passed over.
    #[must_use]
    pub fn parse(parameters: &str) -> Self {
        let mut wishes = Self::default();
        let mut capture_rate = None;
        for parameter in parameters.split(';').take(PARAMETERS) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let Ok(value) = value.trim().parse::<u32>() else { continue };
            let name = name.trim();
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("maxplaybackrate") && (8_000..=48_000).contains(&value) {
                wishes.playback_rate = value;
            } else if is("sprop-maxcapturerate") && (8_000..=48_000).contains(&value) {
                capture_rate = Some(value);
            } else if is("maxaveragebitrate") && (6_000..=510_000).contains(&value) {
                wishes.bitrate_max = Some(value);
            } else if is("useinbandfec") {
                wishes.repairs = value == 1;
            } else if is("usedtx") {
                wishes.pauses = value == 1;
            } else if is("cbr") {
                wishes.constant = value == 1;
            }
        }
        wishes.capture_rate = capture_rate.unwrap_or(wishes.playback_rate);
        wishes
    }
}

/// Parameters that are looked at; the RFC has nine.
const PARAMETERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_phones_write_them() {
        let none = OpusWishes::default();
        let cases: &[(&str, OpusWishes)] = &[
            ("", none),
            ("minptime=10;useinbandfec=1", OpusWishes { repairs: true, ..none }),
            (
                "maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000; stereo=1; cbr=1; \
                 useinbandfec=0; usedtx=1",
                OpusWishes {
                    playback_rate: 16_000,
                    capture_rate: 16_000,
                    bitrate_max: Some(20_000),
                    repairs: false,
                    pauses: true,
                    constant: true,
                },
            ),
            ("USEINBANDFEC=1 ;UseDtx = 1", OpusWishes { repairs: true, pauses: true, ..none }),
            (
                "sprop-maxcapturerate=24000;maxplaybackrate=8000",
                OpusWishes { playback_rate: 8_000, capture_rate: 24_000, ..none },
            ),
            // Who says one of them alone means both.
            ("maxplaybackrate=16000", OpusWishes { playback_rate: 16_000, capture_rate: 16_000, ..none }),
            ("maxplaybackrate=7999;sprop-maxcapturerate=48001;maxaveragebitrate=5999", none),
            ("maxplaybackrate=4294967296;maxaveragebitrate=-1;usedtx=;cbr;=;;", none),
        ];
        for (parameters, expected) in cases {
            assert_eq!(OpusWishes::parse(parameters), *expected, "{parameters}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_parameters_panic(parameters: String) {
            let _ = OpusWishes::parse(&parameters);
        }
    }
}
