//! The stop of the daemon: SIGTERM, SIGINT, SIGHUP and SIGQUIT. None that was ignored when the process began, the last two not in a
//! session without a terminal, and SIGHUP not where it has something to read again (`reload.rs`).
//!
//! The first signal shuts the event loop down, which serves what has arrived and sends what is queued. This adds the log,
//! the exit code, and a second signal, which exits at once.

use std::process::ExitCode;
use std::time::Duration;

#[cfg(unix)]
use tidegate::signal::HANGUP;
use tidegate::signal::{INTERRUPT, TERMINATE};
use tidegate::{EndOrder, Error, EventLoop, Net, ShutDownOptions, ShutDownReport};

use super::admission::Admission;
use super::in_force::InForce;
use super::notify;
use super::reload::HangUp;
use super::service::Service;
use crate::cli::counted;
use crate::process::ignored::Ignored;
use crate::process::outside;
#[cfg(unix)]
use crate::process::session::Membership;

/// Ctrl-\ in a terminal. Like the others it stops in order: there is no use for a core.
#[cfg(unix)]
const QUIT: i32 = 3;

/// How long a connection that this side has ended may be silent before it is closed.
pub const LINGER: Duration = Duration::from_secs(1);

/// The event loop of a role, on its kernel. It stays to the end of the process: a signal that no loop listens to has its default effect, and
/// one that came behind the loop would end the process in place of its exit code.
pub fn lasting_loop<S>(state: S) -> Result<&'static mut EventLoop<S>, Error> {
    Ok(Box::leak(Box::new(outside::event_loop(state)?)))
}

/// From now on a signal stops the role. To be called before the log says that it listens: a reader of that may send a
/// signal at once.
pub fn stop_at_signals<R: Service>(
    event_loop: &mut EventLoop<R>,
    ignored: Ignored,
    hang_up: HangUp,
    in_force: &InForce,
) -> Result<(), Error> {
    for signal in signals_that_stop(event_loop, ignored, hang_up)? {
        let in_force = in_force.clone();
        event_loop.on_signal(signal, move |on| {
            if on.is_shutting_down() {
                if R::ORDER == EndOrder::ByPeers {
                    reset_all(on.net);
                }
                on.net.close_servers(); // what stands apart still has the file of its Unix socket
                on.net.flush_trace();
                exit_at_once(signal);
            }
            let drain_timeout = in_force.get().drain_timeout;
            notify::is_stopping(on);
            match on.net.sockets() {
                0 => log::info!("stopping: no connection is open"),
                open => {
                    log::info!("stopping: up to {drain_timeout:?} for {} to drain", counted(open as u64, "connection"))
                }
            }
            R::shut_down(on, options(drain_timeout, R::ORDER));
        })?;
    }
    Ok(())
}

/// How a role stops.
pub fn options(drain_timeout: Duration, order: EndOrder) -> ShutDownOptions {
    ShutDownOptions::new().patience(drain_timeout).linger(LINGER).order(order)
}

/// A daemon, a service or a container has a session of its own and no terminal, so none can have been closed, and no key was
/// pressed.
#[cfg(unix)]
fn signals_that_stop<S: 'static>(
    event_loop: &mut EventLoop<S>,
    ignored: Ignored,
    hang_up: HangUp,
) -> Result<Vec<i32>, Error> {
    let is_detached = outside::fact("detached", || is_detached().then(String::new)).is_some();
    let mut signals = vec![TERMINATE];
    signals.extend(Some(INTERRUPT).filter(|signal| !ignored.contains(*signal)));
    for (signal, name) in [(HANGUP, "SIGHUP"), (QUIT, "SIGQUIT")] {
        if ignored.contains(signal) || signal == HANGUP && hang_up == HangUp::ReadsAgain {
            continue;
        }
        if is_detached {
            event_loop.on_signal(signal, move |_| log::info!("{name} does not stop it: there is no terminal"))?;
        } else {
            signals.push(signal);
        }
    }
    Ok(signals)
}

#[cfg(unix)]
fn is_detached() -> bool {
    let leads_session = Membership::of_this_process().is_some_and(Membership::leads_its_session);
    leads_session && std::fs::File::open("/dev/tty").is_err()
}

#[cfg(not(unix))]
fn signals_that_stop<S>(_: &mut EventLoop<S>, _: Ignored, _: HangUp) -> Result<Vec<i32>, Error> {
    Ok(vec![INTERRUPT, TERMINATE])
}

/// The end of the process would be an end of each connection, and that is up to the peers.
fn reset_all(net: &mut Net) {
    for id in net.socket_ids().collect::<Vec<_>>() {
        net.reset(id);
    }
}

/// With the exit code that a shell gives to a process that a signal has ended.
fn exit_at_once(signal: i32) -> ! {
    log::warn!("stopped at once by a second signal");
    outside::exit(128 + signal)
}

/// Runs a role until it has stopped.
pub fn run<S: 'static>(event_loop: &mut EventLoop<S>, admission: &Admission) -> Result<ExitCode, Error> {
    notify::is_ready(event_loop);
    let ran = event_loop.run();
    // The loop stays, so nothing else has its trace told to the end.
    event_loop.net.flush_trace();
    ran?;
    admission.sum_up();
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
