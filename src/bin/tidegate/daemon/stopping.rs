//! The end of a daemon: SIGINT, SIGTERM, and SIGHUP where nobody has asked to be spared it.
//!
//! ```text
//!   signal ──▶ listeners close, the role says so
//!          ──▶ each connection is read until a read finds nothing: what was said is served
//!          ──▶ when all have caught up: each queue is flushed, then its side is ended
//!          ──▶ what comes now is thrown away; closed at the peer's end, or after a second of silence
//!   drain timeout ──▶ what is left is destroyed
//!   second signal ──▶ exit at once
//! ```
//!
//! A proxy's connections are its users' to end: they go on until then, or until the drain timeout.
//!
//! All catch up before any is ended, because what the last one says may be for the first one's ears. Reading to the end
//! before closing matters: a close with unread input makes the kernel throw away output that it had accepted.

use std::process::ExitCode;
use std::time::Duration;

use tidegate::signal::{HANGUP, INTERRUPT, TERMINATE};
use tidegate::{CloseReason, Closed, Error, EventLoop, Loop, Socket};

use crate::cli::counted;

/// How long those who talk to each other wait for the last of them to catch up: one that never stops must not keep the
/// others from a proper end.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// How long an ended connection may stay silent before it is closed.
const SILENCE: Duration = Duration::from_secs(1);

/// What a role is, to be stopped.
pub trait Role: Sized + 'static {
    /// How its connections come to their end.
    const ENDING: Ending;

    fn stopping(&mut self) -> &mut Stopping;

    /// The first signal came: the last chance to say something to everybody.
    fn farewell(_: &mut Loop<'_, Self>) {}
}

/// Who ends the connections of a role that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The role, each as soon as it has caught up.
    EachByItself,
    /// The role, when all have caught up: what one says is for the others too.
    AllTogether,
    /// Those who use them: nothing here knows when they have said all.
    ByThePeers,
}

/// How far the stop has come.
#[derive(Debug, Default)]
pub struct Stopping {
    stage: Stage,
    drain_timeout: Duration,
    /// Connections that have not caught up.
    behind: usize,
    /// What was thrown away since the signal: bytes, and connections that they were for.
    bytes_lost: u64,
    connections_lost: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Running,
    CatchingUp,
    Ending,
}

impl Stopping {
    pub fn new(drain_timeout: Duration) -> Self {
        Stopping { drain_timeout, ..Stopping::default() }
    }

    /// How long a connection may take to come to its end, once that was asked of it; at least a second of silence.
    pub fn patience(&self) -> Duration {
        self.drain_timeout.max(SILENCE)
    }

    pub fn has_begun(&self) -> bool {
        self.stage != Stage::Running
    }

    /// A connection has closed.
    pub fn closed(&mut self, closed: Closed) {
        if self.has_begun() && closed.unsent > 0 {
            self.bytes_lost += closed.unsent as u64;
            self.connections_lost += 1;
        }
    }

    fn exit_code(&self) -> ExitCode {
        if self.connections_lost == 0 {
            log::info!("stopped: all was delivered");
            return ExitCode::SUCCESS;
        }
        let (bytes, connections) = (counted(self.bytes_lost, "byte"), counted(self.connections_lost, "connection"));
        log::error!("stopped: {bytes} on {connections} could not be delivered");
        ExitCode::FAILURE
    }
}

/// A signal stops the role from now on. To be called before anybody is told that it listens: who reads that may send
/// one at once.
pub fn at_signals<R: Role>(event_loop: &mut EventLoop<R>) -> Result<(), Error> {
    let hangup = (!ignores_hangups()).then_some(HANGUP);
    for signal in [INTERRUPT, TERMINATE].into_iter().chain(hangup) {
        event_loop.on_signal(signal, move |on| stop(on, signal))?;
    }
    Ok(())
}

/// Whether SIGHUP is not to end this process, as `nohup` asks for: it was ignored when this began.
#[cfg(target_os = "linux")]
fn ignores_hangups() -> bool {
    let ignored = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| ignored_signals(&status))
        // Where there is no /proc, the system decides as ever.
        .unwrap_or(u64::MAX);
    ignored & (1 << (HANGUP - 1)) != 0
}

/// What proc(5) calls SigIgn: bit 0 is signal 1.
#[cfg(target_os = "linux")]
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Elsewhere only unsafe code can ask. So the system decides: it ends this process, or ignores the signal.
#[cfg(not(target_os = "linux"))]
fn ignores_hangups() -> bool {
    true
}

/// Runs a role until it was stopped.
pub fn run<R: Role>(event_loop: &mut EventLoop<R>) -> Result<ExitCode, Error> {
    event_loop.run()?;
    Ok(event_loop.state.stopping().exit_code())
}

fn stop<R: Role>(on: &mut Loop<'_, R>, signal: i32) {
    if on.state.stopping().has_begun() {
        // What a shell expects of a process that a signal has ended.
        log::warn!("stopped at once by a second signal");
        log::logger().flush();
        std::process::exit(128 + signal);
    }
    let timeout = on.state.stopping().drain_timeout;
    on.net.close_servers();
    let connections = on.net.sockets();
    match connections {
        0 => log::info!("stopping: no connection is open"),
        count => log::info!("stopping: {timeout:?} for {} to drain", counted(count as u64, "connection")),
    }
    on.state.stopping().stage = Stage::CatchingUp;
    on.state.stopping().behind = connections;
    R::farewell(on);
    if R::ENDING != Ending::ByThePeers {
        for_each_socket(on, |socket| socket.catch_up(|socket, _| caught_up(socket)));
    }
    if R::ENDING == Ending::AllTogether {
        let enough = on.after(CATCHING_UP.min(timeout / 2), end_all);
        on.net.set_timer_ref(enough, false);
    }
    let deadline = on.after(timeout, destroy_all);
    on.net.set_timer_ref(deadline, false);
}

fn caught_up<R: Role>(socket: &mut Socket<'_, R>) {
    let stopping = socket.state.stopping();
    stopping.behind -= 1;
    if R::ENDING == Ending::EachByItself {
        end_and_discard(socket);
    } else if stopping.behind == 0 {
        end_all(&mut socket.event_loop());
    }
}

fn end_all<R: Role>(on: &mut Loop<'_, R>) {
    if on.state.stopping().stage == Stage::Ending {
        return;
    }
    on.state.stopping().stage = Stage::Ending;
    for_each_socket(on, end_and_discard);
}

/// Does this with each that is there now.
pub fn for_each_socket<S>(on: &mut Loop<'_, S>, with: impl Fn(&mut Socket<'_, S>)) {
    for id in on.net.socket_ids().collect::<Vec<_>>() {
        if let Some(mut socket) = on.socket(id) {
            with(&mut socket);
        }
    }
}

/// Ends this side and throws away what still comes, until the other side's end or a second of silence.
pub fn end_and_discard<S>(socket: &mut Socket<'_, S>) {
    for to in socket.net.piped_to(socket.id()) {
        socket.unpipe(to);
    }
    socket.on_data(|_, _| {});
    socket.on_end(|_| {});
    socket.resume();
    // Not before all is sent: a slow reader is not a silent one.
    let finished = socket.net.is_finished(socket.id());
    socket.set_timeout(finished.then_some(SILENCE));
    socket.on_finish(|socket| socket.set_timeout(Some(SILENCE)));
    socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
    socket.end();
}

fn destroy_all<R: Role>(on: &mut Loop<'_, R>) {
    on.state.stopping().stage = Stage::Ending;
    on.net.destroy_all();
}
