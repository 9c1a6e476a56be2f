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

/// What a TCP socket does, in the figures of `/proc/net/tcp` (tcp_states.h).
#[derive(Clone, Copy)]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
}

/// How many of its sockets of IPv4 are in a state.
///
/// Descriptors alone would not tell that: a process may have been given some at its start.
pub fn tcp_sockets(process: impl Display + Copy, state: TcpState) -> usize {
    let sockets = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let fields = sockets.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let there = fields.filter(|fields| u8::from_str_radix(fields[3], 16) == Ok(state as u8));
    let there: Vec<_> = there.map(|fields| format!("socket:[{}]", fields[9])).collect();
    let own = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let own = own.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    own.filter(|link| there.iter().any(|socket| link.as_os_str() == socket.as_str())).count()
}

/// The CPU time that it has used, of its own and the kernel's for it, in steps of 10 ms.
pub fn cpu_time(process: impl Display) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap(); // behind the name of the program
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>()) // USER_HZ is 100 (proc(5))
}
