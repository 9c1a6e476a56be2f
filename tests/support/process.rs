//! What the system knows of a process: of this one, `self`, or of one by its number.

use std::fmt::Display;
use std::fs;
use std::time::Duration;

/// A line of `/proc/PID/status`, without the name of the field.
#[track_caller]
pub fn status_text(process: impl Display, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in the status of the process")).trim().to_owned()
}

/// A number in `/proc/PID/status`.
#[track_caller]
pub fn status(process: impl Display, field: &str) -> u64 {
    status_text(process, field).split_whitespace().next().unwrap().parse().unwrap()
}

/// The memory that it holds, in bytes.
#[track_caller]
pub fn memory(process: impl Display) -> u64 {
    status(process, "VmRSS") * 1024
}

/// The most memory that it has ever held, in bytes.
#[track_caller]
pub fn peak_memory(process: impl Display) -> u64 {
    status(process, "VmHWM") * 1024
}

/// How many descriptors it has open.
pub fn descriptors(process: impl Display) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// The CPU time that it has used, of its own and the kernel's for it, in steps of 10 ms.
pub fn cpu_time(process: impl Display) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap(); // behind the name of the program
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>()) // USER_HZ is 100 (proc(5))
}
