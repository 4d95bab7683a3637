//! What one leg, or one room, has to be told: a queue of prompts, and music behind it.
//!
//! Prompts follow each other without a gap. Whatever breaks off before its end, because it is
//! stopped or because a prompt takes the music's place, fades within 5 ms; music fades in again.
//! A full leg or room hears them brought up from 16 kHz.

use std::collections::VecDeque;
use std::sync::Arc;

use super::triple::Up;
use super::{Clip, FADE_MAX, FRAME, Rate};

/// Clips to be played one after the other.
#[derive(Debug)]
pub struct Playback {
    /// What its end is reported by; `None`: nobody asked.
    pub id: Option<u64>,
    clips: Vec<Arc<Clip>>,
    /// Where it is: number of the clip, tick of 8 kHz in it.
    clip: usize,
    at: usize,
}

/// Plays to one leg or one room.
#[derive(Debug)]
pub struct Player {
    queue: VecDeque<Playback>,
    music: Option<Playback>,
    /// Over or stopped, to be reported and then freed by somebody who may free.
    finished: VecDeque<Playback>,
    sounding: Sounding,
    /// The rest of a prompt that broke off, at the clips' rate, to be heard under the next frame.
    tail: Option<[i16; CLIP_FADE_MAX]>,
    /// The same of something else.
    other_tail: Option<[i16; FADE_MAX]>,
    /// Of the clips of the last frame.
    rate: Rate,
    up: Up,
}

const CLIP_FADE_MAX: usize = Rate::Wide.fade();

/// What the last frame ended with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sounding {
    Nothing,
    Prompt,
    Music,
}

/// What a frame was filled with.
#[derive(Debug)]
pub enum Filled {
    Nothing,
    /// Exactly 20 ms of this clip from this tick on: its encoded form may be sent as it is.
    Clip(Arc<Clip>, usize),
    /// Something in between; only the samples tell.
    Samples,
}

/// Playbacks waiting or not yet reported, at most; one more is refused.
pub const PLAYBACKS_MAX: usize = 32;

impl Default for Player {
    fn default() -> Self {
        Self {
            queue: VecDeque::with_capacity(PLAYBACKS_MAX),
            music: None,
            finished: VecDeque::with_capacity(PLAYBACKS_MAX + 1),
            sounding: Sounding::Nothing,
            tail: None,
            other_tail: None,
            rate: Rate::default(),
            up: Up::default(),
        }
    }
}

impl Player {
    /// Queues a playback behind those that wait. Gives it back when [`PLAYBACKS_MAX`] are there.
    pub fn play(&mut self, playback: Playback) -> Result<(), Playback> {
        if self.queue.len() + self.finished.len() >= PLAYBACKS_MAX {
            return Err(playback);
        }
        self.queue.push_back(playback);
        Ok(())
    }

    /// Plays a clip over and over, whenever no prompt plays. The one before, if any, breaks off.
    /// Gives it back when [`PLAYBACKS_MAX`] playbacks are there.
    pub fn play_loop(&mut self, music: Playback) -> Result<(), Playback> {
        if self.queue.len() + self.finished.len() >= PLAYBACKS_MAX {
            return Err(music);
        }
        if self.sounding == Sounding::Music {
            self.break_off();
        }
        let before = self.music.replace(music);
        self.finished.extend(before);
        Ok(())
    }

    /// Stops prompts and music; what sounds fades.
    pub fn stop(&mut self) {
        self.break_off();
        self.finished.extend(self.queue.drain(..));
        self.finished.extend(self.music.take());
    }

    /// Puts a fade-out of something else, such as the room just left, under the next frame.
    pub fn add_tail(&mut self, tail: [i16; FADE_MAX]) {
        add_to(self.other_tail.get_or_insert([0; FADE_MAX]), &tail);
    }

    /// Playbacks that are over: each comes here once.
    pub fn finished(&mut self) -> &mut VecDeque<Playback> {
        &mut self.finished
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        let rests = self.tail.is_some() || self.other_tail.is_some() || self.up.sounds();
        self.queue.is_empty() && self.music.is_none() && !rests
    }

    /// The next 20 ms, into all of `out` whatever the answer says, which is as long as `rate` wants.
    pub fn fill(&mut self, rate: Rate, out: &mut [i16]) -> Filled {
        let filled = if rate == Rate::Full {
            let mut wide = [0; Rate::Wide.frame()];
            let filled = self.fill_from_clips(Rate::Wide, &mut wide);
            if matches!(filled, Filled::Nothing) && !self.up.sounds() {
                out.fill(0);
                filled
            } else {
                self.up.process(&wide, out);
                Filled::Samples
            }
        } else {
            self.fill_from_clips(rate, out)
        };
        match self.other_tail.take() {
            Some(tail) => {
                add_to(out, &tail);
                Filled::Samples
            }
            None => filled,
        }
    }

    /// The same at a rate that clips have.
    fn fill_from_clips(&mut self, rate: Rate, out: &mut [i16]) -> Filled {
        self.rate = rate;
        if let Some((clip, at)) = self.whole_frame() {
            let from = at * rate.per_tick();
            out.copy_from_slice(&clip.samples(rate)[from..from + rate.frame()]);
            return Filled::Clip(clip, at);
        }
        out.fill(0);
        if self.queue.is_empty() && self.music.is_none() && self.tail.is_none() {
            self.sounding = Sounding::Nothing;
            return Filled::Nothing;
        }
        let mut at = 0;
        while at < out.len() {
            if let Some(prompt) = self.queue.front_mut() {
                if self.sounding == Sounding::Music {
                    self.break_off();
                    continue;
                }
                at += prompt.read(rate, &mut out[at..]);
                self.sounding = Sounding::Prompt;
                if prompt.is_over() {
                    self.finished.extend(self.queue.pop_front());
                }
            } else if let Some(music) = &mut self.music {
                let rest = &mut out[at..];
                let count = music.read(rate, rest);
                if music.is_over() {
                    music.rewind();
                    if music.is_over() {
                        // Nothing in it.
                        self.finished.extend(self.music.take());
                    }
                }
                if self.sounding != Sounding::Music {
                    fade_in(&mut rest[..count], rate);
                    self.sounding = Sounding::Music;
                }
                at += count;
            } else {
                self.sounding = Sounding::Nothing;
                break;
            }
        }
        if let Some(tail) = self.tail.take() {
            add_to(out, &tail);
        }
        Filled::Samples
    }

    /// When the next frame lies wholly in one clip and nothing else sounds: moves over it.
    fn whole_frame(&mut self) -> Option<(Arc<Clip>, usize)> {
        if self.tail.is_some() {
            return None;
        }
        let is_prompt = !self.queue.is_empty();
        let playback = match self.sounding {
            Sounding::Music if !is_prompt => self.music.as_mut()?,
            Sounding::Nothing | Sounding::Prompt => self.queue.front_mut()?,
            Sounding::Music => return None,
        };
        let clip = playback.clips.get(playback.clip)?.clone();
        let at = playback.at;
        if clip.length() < at + FRAME {
            return None;
        }
        playback.advance(FRAME);
        if playback.is_over() {
            if is_prompt {
                self.finished.extend(self.queue.pop_front());
            } else {
                playback.rewind();
            }
        }
        if is_prompt {
            self.sounding = Sounding::Prompt;
        }
        Some((clip, at))
    }

    fn break_off(&mut self) {
        let sounding = match self.sounding {
            Sounding::Nothing => None,
            Sounding::Prompt => self.queue.front(),
            Sounding::Music => self.music.as_ref(),
        };
        if let Some(tail) = sounding.map(|playback| playback.tail(self.rate)) {
            add_to(self.tail.get_or_insert([0; CLIP_FADE_MAX]), &tail);
        }
        self.sounding = Sounding::Nothing;
    }
}

impl Playback {
    #[must_use]
    pub fn new(id: Option<u64>, clips: Vec<Arc<Clip>>) -> Self {
        Self { id, clips, clip: 0, at: 0 }
    }

    /// Copies the next samples; fewer than `out` is long only at the end.
    fn read(&mut self, rate: Rate, out: &mut [i16]) -> usize {
        let count = self.peek(rate, out);
        self.advance(count / rate.per_tick());
        count
    }

    /// As [`Playback::read`], without moving on.
    fn peek(&self, rate: Rate, out: &mut [i16]) -> usize {
        let mut filled = 0;
        let mut at = self.at * rate.per_tick();
        for clip in self.clips.get(self.clip..).unwrap_or_default() {
            let rest = &clip.samples(rate)[at..];
            let count = rest.len().min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            at = 0;
        }
        filled
    }

    fn advance(&mut self, ticks: usize) {
        self.at += ticks;
        while let Some(clip) = self.clips.get(self.clip) {
            let length = clip.length();
            if self.at < length {
                break;
            }
            self.at -= length;
            self.clip += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.clips.get(self.clip..).unwrap_or_default().iter().all(|clip| clip.length() == 0)
    }

    fn rewind(&mut self) {
        self.clip = 0;
        self.at = 0;
    }

    /// The sound that would have come next, fading out.
    fn tail(&self, rate: Rate) -> [i16; CLIP_FADE_MAX] {
        let mut tail = [0; CLIP_FADE_MAX];
        let fade = rate.fade();
        self.peek(rate, &mut tail[..fade]);
        for (n, sample) in tail[..fade].iter_mut().enumerate() {
            *sample = (i32::from(*sample) * (fade - n) as i32 / (fade as i32 + 1)) as i16;
        }
        tail
    }
}

fn add_to(sum: &mut [i16], sound: &[i16]) {
    for (sum, &sample) in sum.iter_mut().zip(sound) {
        *sum = sum.saturating_add(sample);
    }
}

fn fade_in(samples: &mut [i16], rate: Rate) {
    let fade = rate.fade();
    for (n, sample) in samples.iter_mut().take(fade).enumerate() {
        *sample = (i32::from(*sample) * (n as i32 + 1) / (fade as i32 + 1)) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FADE;
    use crate::audio::goertzel::{amplitude, amplitude_at, tone};

    fn clip(value: i16, samples: usize) -> Arc<Clip> {
        Arc::new(Clip::new(vec![value; samples]))
    }

    fn frame(player: &mut Player) -> [i16; FRAME] {
        let mut frame = [99; FRAME];
        player.fill(Rate::Narrow, &mut frame);
        frame
    }

    fn reported(player: &mut Player) -> Vec<Option<u64>> {
        player.finished().drain(..).map(|playback| playback.id).collect()
    }

    #[test]
    fn clips_join_without_a_gap_and_each_playback_is_reported_once() {
        let mut player = Player::default();
        player.play(Playback::new(Some(1), vec![clip(1, 100), clip(2, 0), clip(3, 200)])).unwrap();
        player.play(Playback::new(Some(2), vec![clip(4, 40)])).unwrap();
        player.play(Playback::new(Some(3), vec![])).unwrap();
        let heard: Vec<i16> = [frame(&mut player), frame(&mut player)].concat();
        assert_eq!(reported(&mut player), [Some(1)]);
        let rest = frame(&mut player);
        assert_eq!(reported(&mut player), [Some(2), Some(3)]);
        assert_eq!(heard, [vec![1; 100], vec![3; 200], vec![4; 20]].concat());
        assert_eq!(rest[..], [vec![4; 20], vec![0; 140]].concat());
        assert!(player.is_idle());
        assert!(matches!(player.fill(Rate::Narrow, &mut [0; FRAME]), Filled::Nothing));
    }

    #[test]
    fn whole_frames_of_a_clip_are_known_as_such() {
        let mut player = Player::default();
        player.play(Playback::new(None, vec![clip(5, 400)])).unwrap();
        let mut out = [0; FRAME];
        for expected in [0, 160] {
            assert!(matches!(player.fill(Rate::Narrow, &mut out), Filled::Clip(_, at) if at == expected));
        }
        assert!(matches!(player.fill(Rate::Narrow, &mut out), Filled::Samples));
    }

    #[test]
    fn a_stopped_prompt_fades_and_is_still_reported() {
        let mut player = Player::default();
        player.play(Playback::new(Some(1), vec![clip(8_000, 4_000)])).unwrap();
        player.play(Playback::new(Some(2), vec![clip(8_000, 4_000)])).unwrap();
        frame(&mut player);
        player.stop();
        assert_eq!(reported(&mut player), [Some(1), Some(2)]);
        let heard = frame(&mut player);
        assert!(heard[0] > 7_700 && heard[FADE] == 0, "{} … {}", heard[0], heard[FADE]);
        assert!(heard.windows(2).all(|pair| (0..=200).contains(&(pair[0] - pair[1]))));
        assert!(player.is_idle());
        player.stop();
        assert_eq!(reported(&mut player), []);
    }

    #[test]
    fn music_goes_on_after_a_prompt_and_nothing_clicks() {
        let mut player = Player::default();
        // 1 kHz for exactly one second: it joins itself.
        let music = Arc::new(Clip::new(tone(1_000.0, 4_000.0, 0, 8_000).collect()));
        let prompt = Arc::new(Clip::new(tone(500.0, 4_000.0, 0, 4_000).collect()));
        player.play_loop(Playback::new(None, vec![music])).unwrap();
        let mut heard: Vec<i16> = (0..130).flat_map(|_| frame(&mut player)).collect();
        player.play(Playback::new(Some(7), vec![prompt])).unwrap();
        heard.extend((0..100).flat_map(|_| frame(&mut player)));
        assert_eq!(reported(&mut player), [Some(7)]);
        assert!((amplitude(&heard[800..20_000], 1_000.0) - 4_000.0).abs() < 20.0);
        assert!((amplitude(&heard[21_200..24_000], 500.0) - 4_000.0).abs() < 40.0);
        assert!((amplitude(&heard[26_000..36_000], 1_000.0) - 4_000.0).abs() < 20.0);
        // Both at once, for the 5 ms in which one gives way to the other.
        let steepest = (1_500.0 * std::f64::consts::TAU / 8_000.0 * 4_000.0) as i32;
        for pair in heard.windows(2) {
            assert!((i32::from(pair[1]) - i32::from(pair[0])).abs() < steepest, "{pair:?}");
        }
        player.stop();
        assert_eq!(reported(&mut player), [None]);
    }

    #[test]
    fn a_full_leg_hears_the_same_prompts_and_nothing_of_them_is_cut_off() {
        let mut player = Player::default();
        let full = Rate::Full;
        let part = |from| Arc::new(Clip::new(tone(500.0, 4_000.0, from, 1_000).collect()));
        player.play(Playback::new(Some(1), vec![part(0), part(1_000)])).unwrap();
        let mut heard = Vec::new();
        let mut next = |player: &mut Player| {
            let mut frame = [99; Rate::Full.frame()];
            let filled = player.fill(full, &mut frame);
            heard.extend(frame);
            !matches!(filled, Filled::Nothing)
        };
        (0..13).for_each(|_| assert!(next(&mut player)));
        // The filter's end, and then nothing.
        assert!(!next(&mut player) || !next(&mut player));
        assert!(player.is_idle());
        assert_eq!(reported(&mut player), [Some(1)]);
        assert!((amplitude_at(48_000, &heard[480..11_520], 500.0) - 4_000.0).abs() < 40.0);
        let steepest = (500.0 * std::f64::consts::TAU / 48_000.0 * 4_000.0) as i32;
        let largest = |heard: &[i16]| {
            heard.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
        };
        assert!(largest(&heard[480..11_500]) <= steepest + 60, "{}", largest(&heard[480..11_500]));
        // What is stopped fades.
        player.play(Playback::new(Some(2), vec![Arc::new(Clip::new(vec![8_000; 4_000]))])).unwrap();
        let mut frames = [[0; Rate::Full.frame()]; 2];
        player.fill(full, &mut frames[0]);
        player.fill(full, &mut frames[0]);
        player.stop();
        player.fill(full, &mut frames[1]);
        assert!(largest(&frames.concat()[480..]) < 300, "{}", largest(&frames.concat()));
        assert!(frames[1][Rate::Full.fade() + 96..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn more_playbacks_than_there_is_room_for_come_back() {
        let mut player = Player::default();
        for n in 0..PLAYBACKS_MAX {
            player.play(Playback::new(Some(n as u64), vec![clip(1, 160)])).unwrap();
        }
        assert_eq!(player.play(Playback::new(Some(99), vec![])).unwrap_err().id, Some(99));
        player.play_loop(Playback::new(None, vec![])).unwrap_err();
        player.stop();
        assert_eq!(reported(&mut player).len(), PLAYBACKS_MAX);
    }

    #[test]
    fn music_with_nothing_in_it_ends() {
        let mut player = Player::default();
        player.play_loop(Playback::new(None, vec![clip(0, 0)])).unwrap();
        frame(&mut player);
        assert!(player.is_idle());
    }
}
