//! Several streams side by side: the same step of each at once, as vector instructions do it.

use std::ops::Index;

/// A number of each stream.
pub trait Lanes: Copy + Index<usize, Output = i32> {
    const COUNT: usize;

    /// What `of` says of each, by its place.
    fn each(of: impl Fn(usize) -> i32) -> Self;

    #[inline(always)]
    fn all(value: i32) -> Self {
        Self::each(|_| value)
    }

    /// One stream of them.
    #[inline(always)]
    fn only(self, place: usize) -> One {
        One([self[place]])
    }
}

/// A stream by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct One([i32; 1]);

/// As many as fit a vector of 256 bits. Aligned like one: else every second of them lies across two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
pub struct Eight([i32; 8]);

impl Lanes for One {
    const COUNT: usize = 1;

    #[inline(always)]
    fn each(of: impl Fn(usize) -> i32) -> Self {
        Self([of(0)])
    }
}

impl Lanes for Eight {
    const COUNT: usize = 8;

    #[inline(always)]
    fn each(of: impl Fn(usize) -> i32) -> Self {
        let mut values = [0; 8];
        for (place, value) in values.iter_mut().enumerate() {
            *value = of(place);
        }
        Self(values)
    }
}

impl Index<usize> for One {
    type Output = i32;

    #[inline(always)]
    fn index(&self, place: usize) -> &i32 {
        &self.0[place]
    }
}

impl Index<usize> for Eight {
    type Output = i32;

    #[inline(always)]
    fn index(&self, place: usize) -> &i32 {
        &self.0[place]
    }
}
