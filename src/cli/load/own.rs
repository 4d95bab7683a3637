//! What the callers themselves cost: whether they are the limit, and not the service.

use std::time::Instant;

use serde::Serialize;

/// The beginning of a measurement.
pub(super) struct Own {
    began: Instant,
    cpu: f64,
}

/// What this process took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Cost {
    /// Of one core, 0 to the number of cores.
    pub cores: f64,
    pub cores_here: usize,
    pub peak_mib: f64,
    /// Of one caller, in thousandths of a core.
    pub millicores_each: f64,
    /// The callers had less than a quarter of the machine left: figures may be theirs.
    pub is_limit: bool,
}

impl Own {
    pub fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu_seconds() }
    }

    pub fn end(self, callers: usize) -> Cost {
        let cores = (cpu_seconds() - self.cpu) / self.began.elapsed().as_secs_f64().max(0.001);
        let cores_here = std::thread::available_parallelism().map_or(1, usize::from);
        Cost {
            cores,
            cores_here,
            peak_mib: usage().ru_maxrss as f64 / 1_024.0,
            millicores_each: 1_000.0 * cores / callers.max(1) as f64,
            is_limit: cores > 0.75 * cores_here as f64,
        }
    }
}

fn cpu_seconds() -> f64 {
    let usage = usage();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn usage() -> libc::rusage {
    // SAFETY: all bits zero are a value of this struct of numbers, and the call fills it in.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}
