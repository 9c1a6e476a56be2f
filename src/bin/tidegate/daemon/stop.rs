//! The stop of the daemon: SIGINT, SIGTERM, and SIGHUP unless this process ignores it.
//!
//! The first signal shuts the event loop down, which serves what has arrived and sends what is queued. This adds the log,
//! the exit code, and a second signal, which exits at once.

use std::process::ExitCode;
use std::time::Duration;

use tidegate::signal::{HANGUP, INTERRUPT, TERMINATE};
use tidegate::{EndOrder, Error, EventLoop, Loop, ShutDownOptions, ShutDownReport};

use crate::cli::counted;

/// How long a connection that this side has ended may be silent before it is closed.
pub const LINGER: Duration = Duration::from_secs(1);

/// From now on a signal stops the role. To be called before the log says that it listens: a reader of that may send a
/// signal at once. `farewell` is the last chance to write to everybody.
pub fn stop_at_signals<S: 'static>(
    event_loop: &mut EventLoop<S>,
    drain_timeout: Duration,
    order: EndOrder,
    farewell: fn(&mut Loop<'_, S>),
) -> Result<(), Error> {
    let options = ShutDownOptions::new().patience(drain_timeout).linger(LINGER).order(order);
    let hangup = (!ignores_hangups()).then_some(HANGUP);
    for signal in [INTERRUPT, TERMINATE].into_iter().chain(hangup) {
        event_loop.on_signal(signal, move |on| {
            if on.is_shutting_down() {
                exit_at_once(signal);
            }
            match on.net.sockets() {
                0 => log::info!("stopping: no connection is open"),
                open => {
                    log::info!("stopping: up to {drain_timeout:?} for {} to drain", counted(open as u64, "connection"))
                }
            }
            on.shut_down_with(options);
            farewell(on);
        })?;
    }
    Ok(())
}

/// With the exit code that a shell gives to a process that a signal has ended.
fn exit_at_once(signal: i32) -> ! {
    log::warn!("stopped at once by a second signal");
    log::logger().flush();
    std::process::exit(128 + signal)
}

/// Runs a role until it has stopped.
pub fn run<S>(event_loop: &mut EventLoop<S>) -> Result<ExitCode, Error> {
    event_loop.run()?;
    Ok(report(event_loop.event_loop().shut_down_report()))
}

fn report(lost: ShutDownReport) -> ExitCode {
    if lost.discarded_bytes > 0 {
        let bytes = counted(lost.discarded_bytes, "byte");
        let connections = counted(lost.discarded_sockets, "connection");
        log::warn!("{bytes} on {connections} arrived too late and were discarded");
    }
    if lost.unsent_bytes == 0 {
        log::info!("stopped: all was delivered");
        return ExitCode::SUCCESS;
    }
    let (bytes, connections) = (counted(lost.unsent_bytes, "byte"), counted(lost.unsent_sockets, "connection"));
    log::error!("stopped: {bytes} on {connections} could not be delivered");
    ExitCode::FAILURE
}

/// Whether SIGHUP was ignored when this process began, as `nohup` does it.
#[cfg(target_os = "linux")]
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    // Without /proc the signal keeps its default action.
    let ignored = status.and_then(|status| ignored_signals(&status)).unwrap_or(u64::MAX);
    ignored & (1 << (HANGUP - 1)) != 0
}

/// SigIgn of proc(5): bit 0 is signal 1.
#[cfg(target_os = "linux")]
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Elsewhere only unsafe code can ask, so the signal keeps its action: it ends this process, or is ignored.
#[cfg(not(target_os = "linux"))]
fn ignores_hangups() -> bool {
    true
}
