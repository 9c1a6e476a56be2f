//! How busy this process was, and the whole machine.

use std::time::Duration;

/// CPU time since the start of this process, and of the machine. None if the system does not tell.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    process: Option<Duration>,
    machine: Option<Machine>,
}

/// Of all cores together, in the ticks of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine {
    busy: u64,
    all: u64,
}

/// Fewer ticks of the machine than these give no share.
const ENOUGH_TICKS: u64 = 10;

impl CpuTimes {
    pub fn now() -> Self {
        CpuTimes { process: process_time(), machine: machine_time() }
    }

    /// What this process has used since then.
    pub fn process_since(&self, before: &CpuTimes) -> Option<Duration> {
        Some(self.process?.saturating_sub(before.process?))
    }

    /// The share of all cores that was in use since then, by any program, from 0 to 1.
    pub fn machine_share_since(&self, before: &CpuTimes) -> Option<f64> {
        let (now, before) = (self.machine?, before.machine?);
        let (busy, all) = (now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
        (all >= ENOUGH_TICKS).then(|| busy as f64 / all as f64)
    }
}

#[cfg(unix)]
fn process_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

#[cfg(not(unix))]
fn process_time() -> Option<Duration> {
    None
}

/// On Linux only.
fn machine_time() -> Option<Machine> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The first line has the ticks of all cores: user, nice, system, idle, iowait, irq, softirq and steal (proc_stat(5)). Those
/// of guests, which come after them, are also in user and nice.
fn parse(stat: &str) -> Option<Machine> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = fields.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let all = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(Machine { busy: all - idle, all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn computing_uses_cpu_time() {
        let before = CpuTimes::now();
        while CpuTimes::now().process_since(&before).unwrap().is_zero() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn the_share_of_the_machine_is_that_of_all_its_cores() {
        let at = |stat| CpuTimes { process: None, machine: parse(stat) };
        let before = at("cpu  100 0 100 700 50 0 50 0 30 0\ncpu0 50 0 50 350 25 0 25 0 15 0\n");
        assert_eq!(before.machine, Some(Machine { busy: 250, all: 1000 }));
        let after = at("cpu  160 5 120 707 53 0 50 5 99 0\n");
        assert_eq!(after.machine_share_since(&before), Some(0.9));
        assert_eq!(before.machine_share_since(&before), None);
        assert_eq!((parse(""), parse("cpu  1 2 3\n"), parse("intr 1 2 3 4 5\n")), (None, None, None));
    }
}
