//! The service manager hears of a role: when it listens, how many connections it has, that its loop lives, and when it stops.
//!
//! The watchdog is fed by a timer of the loop. A loop that is stuck in a turn runs no timer, and is restarted by the manager; one
//! that has much to do runs its timers in each turn.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{EventLoop, Loop};

use crate::cli::counted;
use crate::process::notify::Manager;

/// How often the number of connections is told, if it has changed.
const STATUS: Duration = Duration::from_secs(5);

thread_local! {
    /// It is looked for once.
    static MANAGER: OnceCell<Option<Rc<Manager>>> = const { OnceCell::new() };
}

fn manager() -> Option<Rc<Manager>> {
    MANAGER.with(|manager| manager.get_or_init(|| Manager::find().map(Rc::new)).clone())
}

/// The role listens. From now on its manager is told how it is.
pub fn is_ready<S: 'static>(event_loop: &mut EventLoop<S>) {
    let Some(manager) = manager() else { return };
    manager.tell(&format!("READY=1\n{}", status(&event_loop.event_loop())));
    // Twice in the time, so that one late turn is no death.
    if let Some(period) = manager.watchdog {
        let its = Rc::clone(&manager);
        its.tell("WATCHDOG=1");
        every(event_loop, (period / 2).max(Duration::from_millis(1)), move |_| its.tell("WATCHDOG=1"));
    }
    let mut told = event_loop.net.sockets();
    every(event_loop, STATUS, move |on| {
        let open = on.net.sockets();
        if open != told {
            told = open;
            manager.tell(&status(on));
        }
    });
}

/// The role reads its configuration again. See sd_notify(3): the time is that of the machine's monotonic clock, by which the manager
/// knows this message from the answer to an earlier signal.
pub fn is_reloading() {
    if let (Some(manager), Some(now)) = (manager(), monotonic_time()) {
        manager.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }
}

/// It has read it, whatever came of it.
pub fn has_reloaded<S>(on: &Loop<'_, S>) {
    if let Some(manager) = manager() {
        manager.tell(&format!("READY=1\n{}", status(on)));
    }
}

/// In microseconds.
#[cfg(unix)]
fn monotonic_time() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).ok()?, u64::try_from(now.tv_nsec).ok()?);
    seconds.checked_mul(1_000_000)?.checked_add(nanoseconds / 1000)
}

/// Other systems have no such manager.
#[cfg(not(unix))]
fn monotonic_time() -> Option<u64> {
    None
}

/// The role has been told to stop, and drains.
pub fn is_stopping<S>(on: &Loop<'_, S>) {
    if let Some(manager) = manager() {
        manager.tell(&format!("STOPPING=1\nSTATUS=stopping: {} to drain", connections(on)));
    }
}

fn every<S: 'static>(event_loop: &mut EventLoop<S>, period: Duration, handler: impl FnMut(&mut Loop<'_, S>) + 'static) {
    let timer = event_loop.every(period, handler);
    event_loop.event_loop().set_ref(timer, false);
}

fn status<S>(on: &Loop<'_, S>) -> String {
    match on.is_shutting_down() {
        false => format!("STATUS={}", connections(on)),
        true => format!("STATUS=stopping: {} to drain", connections(on)),
    }
}

fn connections<S>(on: &Loop<'_, S>) -> String {
    counted(on.net.sockets() as u64, "connection")
}
