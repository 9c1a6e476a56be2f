//! What an operator tells the daemon by signals, beside the stop: SIGUSR1 writes the table of connections to the log, SIGUSR2
//! makes the log say more, and less again. None of these ends the process.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::time::Duration;

use log::{Level, LevelFilter};
use tidegate::{ConnectionInfo, Error, EventLoop, Loop, Net, ServerId, SocketId};

use super::Peer;
use super::explain::trace;
use super::in_force::InForce;
use super::service::Service;
use crate::cli::counted;

/// So many connections are shown, those with most to send: they are the ones to ask about, and twenty thousand lines would
/// drown them.
pub const MOST_ROWS: usize = 50;

/// Lines of the table at a time, and the pause after them: the log must not hold up the connections.
pub const LINES_AT_ONCE: usize = 32;
pub const PAUSE: Duration = Duration::from_millis(10);

/// Signals that end a process by default, and mean nothing to this one: SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ. A timer
/// or a descriptor that somebody has left behind must not end it, nor a recording that finds no room (the write fails then).
#[cfg(unix)]
const OF_NO_USE: [i32; 5] = {
    use rustix::process::Signal;
    [
        Signal::ALARM.as_raw(),
        Signal::VTALARM.as_raw(),
        Signal::PROF.as_raw(),
        Signal::IO.as_raw(),
        Signal::XFSZ.as_raw(),
    ]
};

/// To be called first: before that, these signals end the process.
#[cfg(unix)]
pub fn answer_signals<R: Service>(event_loop: &mut EventLoop<R>, in_force: &InForce) -> Result<(), Error> {
    use rustix::process::Signal;

    event_loop.on_signal(Signal::USR1.as_raw(), |on| R::write_table(on))?;
    let in_force = in_force.clone();
    event_loop.on_signal(Signal::USR2.as_raw(), move |on| change_level(on.net, in_force.usual_level()))?;
    for signal in OF_NO_USE {
        event_loop.on_signal(signal, move |_| log::debug!("signal {signal} means nothing here"))?;
    }
    Ok(())
}

/// Other systems have no such signals.
#[cfg(not(unix))]
pub fn answer_signals<R: Service>(_: &mut EventLoop<R>, _: &InForce) -> Result<(), Error> {
    Ok(())
}

/// From the usual level to one more, and back.
fn change_level(net: &mut Net, usual: LevelFilter) {
    let more = usual.max(LevelFilter::Info).increment_severity();
    let level = if log::max_level() == usual { more } else { usual };
    // Said at the level that is shown on either side of the change.
    log::set_max_level(level.max(LevelFilter::Info));
    log::info!("the log level is {}", level.as_str().to_lowercase());
    log::set_max_level(level);
    if level == LevelFilter::Trace {
        trace(net);
    }
}

/// It shows the label of a connection beside its address: the name of a guest.
pub fn write_table<S: 'static>(on: &mut Loop<'_, S>) {
    let table = Table::of(on.net);
    let held = counted(on.net.counters().memory_held as u64, "byte");
    let connections = counted(table.counts.all as u64, "connection");
    log::log!(level(), "table of connections: {connections}, {held} held for them{}", table.counts);
    write_rows(on, table.rows.into_iter());
}

/// What is shown of all connections, found in one pass.
struct Table {
    counts: Counts,
    /// Those with most to send, at most [`MOST_ROWS`] of them, and in the order of their ids where that is the same.
    rows: Vec<SocketId>,
}

impl Table {
    fn of(net: &Net) -> Self {
        let mut counts = Counts::default();
        let mut most = BinaryHeap::new();
        for info in net.connections().filter(|info| !info.is_apart()) {
            counts.add(&info);
            most.push(Reverse((info.unsent(), Reverse(info.id()))));
            if most.len() > MOST_ROWS {
                most.pop();
            }
        }
        counts.shown = most.len();
        Table { counts, rows: most.into_sorted_vec().into_iter().map(|Reverse((_, Reverse(id)))| id).collect() }
    }
}

/// How many connections there are, by state and by server.
#[derive(Default)]
struct Counts {
    all: usize,
    shown: usize,
    by_state: BTreeMap<&'static str, usize>,
    by_server: BTreeMap<ServerId, usize>,
}

impl Counts {
    fn add(&mut self, info: &ConnectionInfo<'_>) {
        self.all += 1;
        *self.by_state.entry(info.ready_state().name()).or_default() += 1;
        if let Some(server) = info.server() {
            *self.by_server.entry(server).or_default() += 1;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (state, count) in &self.by_state {
            write!(f, "; {count} {state}")?;
        }
        for (server, count) in &self.by_server {
            write!(f, "; {count} of {server}")?;
        }
        if self.shown < self.all {
            write!(f, "; the {} with most queued are shown", self.shown)?;
        }
        Ok(())
    }
}

fn write_rows<S: 'static>(on: &mut Loop<'_, S>, mut ids: std::vec::IntoIter<SocketId>) {
    for id in ids.by_ref().take(LINES_AT_ONCE) {
        let info = on.net.connection(id);
        if info.exists() {
            log::log!(level(), "{}", Row(info));
        }
    }
    if ids.len() > 0 {
        let timer = on.after(PAUSE, move |on| write_rows(on, ids));
        on.set_ref(timer, false);
    }
}

/// What is asked for is shown, however quiet the log is.
pub fn level() -> Level {
    log::max_level().to_level().map_or(Level::Error, |level| level.min(Level::Info))
}

/// One connection of the table.
struct Row<'a>(ConnectionInfo<'a>);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row(info) = *self;
        write!(f, "{} ", info.id())?;
        match info.remote_address() {
            None if info.peer_cred().is_some() => Peer::Unix(info.peer_cred()).fmt(f)?,
            None if info.is_file() => f.write_str("a file")?,
            None if info.is_connecting() => f.write_str("a connection that is being made")?,
            remote => Peer::at(remote).fmt(f)?,
        }
        if let Some(label) = info.label() {
            write!(f, " {label}")?;
        }
        let (unsent, out) = (info.unsent() as u64, info.bytes_written());
        let (came, went) = (counted(info.bytes_read(), "byte"), counted(out.saturating_sub(unsent), "byte"));
        let (age, idle) = (whole_seconds(info.age()), whole_seconds(info.idle()));
        let queued = counted(unsent, "byte");
        write!(
            f,
            ": {}, for {age}, idle for {idle}; {came} in, {went} out, {queued} queued",
            info.ready_state().name()
        )?;
        if info.messages_dropped() > 0 {
            let (messages, bytes) =
                (counted(info.messages_dropped(), "message"), counted(info.bytes_dropped(), "byte"));
            write!(f, ", {messages} dropped ({bytes})")?;
        }
        match info.paused_by() {
            Some(cause) => write!(f, "; paused by {cause}"),
            None => Ok(()),
        }
    }
}

/// As `--idle-timeout` and its like are written: `1h30m`.
fn whole_seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m1s"), (3_599, "59m59s"), (90_061, "25h1m")] {
            assert_eq!(whole_seconds(Duration::from_secs(seconds)), text);
        }
    }
}
