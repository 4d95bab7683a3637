//! The clock of a media thread: deadlines to sleep until, and how to wake in time.

use std::time::Duration;

/// `CLOCK_MONOTONIC`.
pub(super) fn monotonic_now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
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
