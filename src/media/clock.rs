//! The clock of a media thread: deadlines to sleep until, and how to wake in time.

use std::time::Duration;

use crate::rtp::Moment;

/// `CLOCK_MONOTONIC`.
pub(super) fn monotonic_now() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME`, since 1970: what the kernel stamps datagrams with. Can be set.
pub(super) fn wall_now() -> Duration {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to be written to.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Now, by both clocks, so that what one has stamped can be told by the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    pub now: Moment,
    pub wall: Duration,
}

/// Nothing waits at a socket for longer. A stamp that is older, or of the future, is of before the clock was set.
const WAITED_MAX: Duration = Duration::from_secs(1);

impl Clocks {
    /// The moment of a stamp; now, where there is none to believe.
    pub(super) fn moment_of(self, stamp: Option<Duration>) -> Moment {
        let ago = stamp.and_then(|stamp| self.wall.checked_sub(stamp)).filter(|ago| *ago <= WAITED_MAX);
        self.now.before(ago.unwrap_or_default())
    }
}

pub(super) fn sleep_until(deadline: Duration) {
    let until = libc::timespec { tv_sec: deadline.as_secs() as _, tv_nsec: deadline.subsec_nanos() as _ };
    // SAFETY: `until` is a valid timespec; the remainder is not asked for. Interrupted, it tries
    // again until the deadline.
    unsafe {
        while libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const until,
            std::ptr::null_mut(),
        ) == libc::EINTR
        {}
    }
}

/// Sound first: whatever else runs on this machine, signalling included, can wait some
/// milliseconds. A matter of weight, not of real-time scheduling: a fault here must not freeze the
/// machine. Refused without the right to it (`CAP_SYS_NICE`), and then all goes on as usual.
pub(super) fn before_others() {
    // SAFETY: sets a number of the calling thread, which is what Linux takes 0 for.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

/// Linux lets a normal thread sleep 50 µs longer than asked; ask for 1 µs.
pub(super) fn precise_timer() {
    // SAFETY: sets a number of the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_moment_at_which_it_was_made_unless_the_clock_was_set() {
        let seconds = Duration::from_secs_f64;
        let now = Moment::new(7 << 32, seconds(100.0));
        let clocks = Clocks { now, wall: seconds(5_000.0) };
        let cases = [
            ("half a second ago", Some(4_999.5), 99.5),
            ("just now", Some(5_000.0), 100.0),
            ("after the clock was read", Some(5_000.001), 100.0),
            ("before the clock was set forward", Some(1_400.0), 100.0),
            ("before it was set back", Some(8_600.0), 100.0),
            ("no stamp", None, 100.0),
        ];
        for (name, stamp, expected) in cases {
            let moment = clocks.moment_of(stamp.map(seconds));
            assert_eq!(moment.elapsed, seconds(expected), "{name}");
            assert_eq!(moment.ntp, Moment::new(7 << 32, seconds(expected)).ntp, "{name}");
        }
    }
}
