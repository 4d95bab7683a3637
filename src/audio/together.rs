//! What legs of one room or of several have done at once in a tick, because that takes less time than one
//! after the other: G.722, of which a batch of eight costs as much as two alone.

use super::conference::Payload;
use super::{Leg, g722};

/// Frames that wait for more of their kind. Between two ticks it holds nothing.
#[derive(Debug, Default)]
pub struct Together {
    decodings: g722::Decodings,
    encodings: g722::Encodings,
}

impl Together {
    /// Decodes the next frames of these legs, as far as that can be done ahead. `members` are places in `legs`; for
    /// them nothing may come in until they have spoken. What waits in the end is done by [`Together::decode_rest`].
    pub fn decode<L: AsMut<Leg>>(&mut self, members: &[u32], legs: &mut [Option<Box<L>>]) {
        for &member in members {
            let Some(leg) = legs[member as usize].as_mut() else { continue };
            let Some((stream, codes)) = (**leg).as_mut().next_codes() else { continue };
            if self.decodings.add(member, stream, codes) {
                self.decode_rest(legs);
            }
        }
    }

    /// Decodes what waits. Each leg has its frame before it speaks.
    pub fn decode_rest<L: AsMut<Leg>>(&mut self, legs: &mut [Option<Box<L>>]) {
        self.decodings.run(|member, stream, sound| {
            if let Some(leg) = legs[member as usize].as_mut() {
                (**leg).as_mut().take_decoded(stream, sound);
            }
        });
    }

    /// Takes in what one leg alone hears, to be encoded and sent with others': at once when there are enough of
    /// them, else by [`Together::send_rest`].
    pub(super) fn send<L: AsMut<Leg>>(
        &mut self,
        member: u32,
        heard: &g722::Sound,
        legs: &mut [Option<Box<L>>],
        send: impl FnMut(&mut L, &Payload),
    ) {
        let Some(leg) = legs[member as usize].as_mut() else { return };
        if self.encodings.add(member, (**leg).as_mut().g722(), heard) {
            self.send_rest(legs, send);
        }
    }

    /// Encodes what waits, and hands each leg to `send` with its payload.
    pub fn send_rest<L: AsMut<Leg>>(
        &mut self,
        legs: &mut [Option<Box<L>>],
        mut send: impl FnMut(&mut L, &Payload),
    ) {
        self.encodings.run(|member, stream, codes| {
            let Some(line) = legs[member as usize].as_mut() else { return };
            *(**line).as_mut().g722() = *stream;
            send(line, codes);
        });
    }
}
