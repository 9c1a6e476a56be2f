//! `tidegate connect`: standard input and output as a socket.
//!
//! ```text
//!   standard input  ══▶ pipe ══▶ socket     A side that is slow is waited for, in bounded memory. The end of standard input
//!   standard output ◀══ pipe ◀══ socket     ends the connection's one half, and the peer's end the other one.
//! ```
//!
//! When the peer has ended, what standard input has at hand is still sent, and then this side ends too: nobody has to press a
//! key to leave. With `--half-open` all of standard input is sent first.
//!
//! | file | |
//! | --- | --- |
//! | `failure.rs` | what can go wrong, with its exit code |
//! | `progress.rs` | the progress bar |
//! | `crlf.rs` | `--crlf` |

mod crlf;
mod failure;
mod progress;

use std::error::Error;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use log::Level;
use tidegate::signal::{HANGUP, INTERRUPT, TERMINATE};
use tidegate::{Closed, Endpoint, ErrorKind, EventLoop, Loop, Socket, SocketId, SocketOptions, Stdio};

use self::failure::Failure;
use self::progress::Progress;
use crate::cli::{ConnectOptions, counted};
use crate::process::ignored::Ignored;

/// Ctrl-\ in a terminal: there is no use for a core.
const QUIT: i32 = 3;

/// Between two attempts to connect to a Unix socket whose queue is full.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// The state of the loop.
#[derive(Debug)]
struct Connect {
    options: ConnectOptions,
    to: Endpoint,
    socket: Option<SocketId>,
    progress: Progress,
    /// The first thing that has gone wrong. None: all goes in order.
    failure: Option<Failure>,
}

/// The streams that the process was started with.
#[derive(Clone, Copy)]
struct Streams {
    input: SocketId,
    output: SocketId,
}

/// Runs until both directions have ended, or something has gone wrong.
///
/// # Errors
/// The loop itself fails: out of descriptors.
pub fn run(options: &ConnectOptions) -> Result<ExitCode, Box<dyn Error>> {
    let (options, to) = (options.clone(), options.to()?);
    let give_up_after = options.connect_timeout;
    let state = Connect { options, to, socket: None, progress: Progress::default(), failure: None };
    let mut event_loop = EventLoop::with_state(state)?;
    end_at_signals(&mut event_loop)?;
    let give_up_at = event_loop.net.now() + give_up_after;
    match open(&mut event_loop.event_loop()) {
        Ok(streams) => {
            connect(&mut event_loop.event_loop(), streams, give_up_at);
            event_loop.run()?;
        }
        Err(failure) => event_loop.state.failure = Some(failure),
    }
    event_loop.state.progress.end();
    let Some(failure) = &event_loop.state.failure else { return Ok(ExitCode::SUCCESS) };
    let level = if failure.is_silent() { Level::Debug } else { Level::Error };
    log::log!(level, "{failure}");
    Ok(ExitCode::from(failure.exit_code()))
}

/// At once, but for a reset of what would look whole: see [`fail`].
fn end_at_signals(event_loop: &mut EventLoop<Connect>) -> Result<(), tidegate::Error> {
    let ignored = Ignored::at_start();
    for signal in [HANGUP, INTERRUPT, QUIT, TERMINATE] {
        if signal == TERMINATE || !ignored.contains(signal) {
            event_loop.on_signal(signal, move |on| fail(on, Failure::Signal(signal)))?;
        }
    }
    Ok(())
}

/// Nothing is read from standard input before there is a connection.
fn open(on: &mut Loop<'_, Connect>) -> Result<Streams, Failure> {
    let output = on.stdio(Stdio::Output, |output| {
        output.on_error(|output, error| fail(&mut output.event_loop(), Failure::Output(error.clone())));
    });
    let input = on.stdio(Stdio::Input, |input| {
        input.on_error(|input, error| fail(&mut input.event_loop(), Failure::Input(error.clone())));
    });
    Ok(Streams { input: input.map_err(Failure::Input)?, output: output.map_err(Failure::Output)? })
}

/// All is given up. A peer could take the end of the process for the end of what it is sent: if that is a file, of which some is
/// missing, the connection is reset. It is reset too if standard input has failed.
fn fail(on: &mut Loop<'_, Connect>, failure: Failure) {
    let Connect { socket, .. } = *on.state;
    if let Some(socket) = socket {
        let info = on.net.connection(socket);
        let is_to_end = !info.is_pending() && !info.is_finished();
        if is_to_end && (matches!(failure, Failure::Input(_)) || size_of_file(std::io::stdin()).is_some()) {
            on.net.reset(socket);
        }
    }
    on.state.failure.get_or_insert(failure);
    on.close_all();
}

/// None: it is no regular file, whose end is known.
fn size_of_file(stream: impl AsFd) -> Option<u64> {
    use rustix::fs::{FileType, fstat};

    let file = fstat(stream).ok()?;
    let is_regular = FileType::from_raw_mode(file.st_mode) == FileType::RegularFile;
    is_regular.then(|| u64::try_from(file.st_size).unwrap_or(0))
}

fn connect(on: &mut Loop<'_, Connect>, streams: Streams, give_up_at: Duration) {
    let (to, limit) = (on.state.to, on.state.options.connect_timeout);
    let options = SocketOptions::new()
        .allow_half_open(true)
        .no_delay(true)
        .keep_alive(on.state.options.keep_alive())
        .connect_timeout(limit);
    on.state.progress.aside(|| log::debug!("connecting to {to}"));
    let connecting = on.connect_with(to, options, |socket| {
        socket.state.socket = Some(socket.id());
        socket.on_connect(move |socket| {
            if let Err(error) = connected(socket, streams) {
                fail(&mut socket.event_loop(), Failure::Lost(error));
            }
        });
        if !matches!(to, Endpoint::Ip(_)) {
            tell_of_names(socket);
        }
        socket.on_error(move |socket, error| {
            if error.kind() == ErrorKind::WouldBlock && socket.net.now() < give_up_at {
                return connect_again_soon(socket, streams, give_up_at);
            }
            fail(&mut socket.event_loop(), Failure::NotConnected(error.clone()));
        });
    });
    if let Err(error) = connecting {
        fail(on, Failure::NotConnected(error));
    }
}

/// What a name was found to be, and which of its addresses are tried.
fn tell_of_names(socket: &mut Socket<'_, Connect>) {
    socket.on_lookup(|socket, lookup| {
        if let Ok(ip) = &lookup.outcome {
            socket.state.progress.aside(|| log::debug!("{} is {ip}", lookup.host));
        }
    });
    socket.on_connection_attempt(|socket, address| {
        socket.state.progress.aside(|| log::debug!("trying {address}"));
    });
    socket.on_connection_attempt_failed(|socket, error| {
        socket.state.progress.aside(|| log::debug!("{error}"));
    });
}

/// The Unix socket has a queue that is full. To a TCP port the kernel itself would try again; here it says EAGAIN at once,
/// connect(2).
fn connect_again_soon(socket: &mut Socket<'_, Connect>, streams: Streams, give_up_at: Duration) {
    socket.event_loop().after(BUSY_PAUSE, move |on| {
        // A signal may have come meanwhile.
        if on.state.failure.is_none() {
            connect(on, streams, give_up_at);
        }
    });
}

fn connected(socket: &mut Socket<'_, Connect>, streams: Streams) -> Result<(), tidegate::Error> {
    let id = socket.id();
    log::debug!("connected to {}", peer(socket));
    socket.on_error(|socket, error| {
        socket.state.failure.get_or_insert(Failure::Lost(error.clone()));
    });
    socket.on_end(move |socket| peer_has_ended(socket, streams));
    socket.on_close(move |socket, closed| has_closed(socket, streams, closed));
    end_when_idle(socket, streams);
    progress::show(&mut socket.event_loop(), streams, id);
    if socket.state.progress.is_shown() && std::io::stdout().is_terminal() {
        // The bar is gone before the first bytes are shown in its place: this handler is older than the pipe.
        socket.on_data(|socket, _| {
            socket.state.progress.end();
            socket.off_data();
        });
    }
    socket.pipe(streams.output)?;
    let ends = !socket.state.options.no_end;
    match socket.state.options.crlf {
        true => crlf::pass_on(&mut socket.event_loop(), streams.input, id, ends),
        false if ends => socket.net.pipe(streams.input, id)?,
        false => socket.net.pipe_without_end(streams.input, id)?,
    }
    Ok(())
}

/// The address that has answered: of `localhost` it is one of two.
fn peer(socket: &Socket<'_, Connect>) -> Endpoint {
    socket.remote_address().map_or(socket.state.to, Endpoint::Ip)
}

/// While standard output does not take what has come, the connection is not idle: it is paused here.
fn end_when_idle(socket: &mut Socket<'_, Connect>, streams: Streams) {
    let Some(limit) = socket.state.options.idle_timeout else { return };
    socket.set_timeout(Some(limit));
    socket.on_timeout(move |socket| match socket.net.connection(streams.output).buffer_size() {
        0 => fail(&mut socket.event_loop(), Failure::Idle(limit)),
        _ => socket.set_timeout(Some(limit)),
    });
}

fn peer_has_ended(socket: &mut Socket<'_, Connect>, streams: Streams) {
    // Whoever types there is to know why it ends.
    let level = if std::io::stdin().is_terminal() { Level::Info } else { Level::Debug };
    let peer = peer(socket);
    socket.state.progress.aside(|| log::log!(level, "{peer} has ended the connection"));
    if socket.state.options.half_open {
        return;
    }
    let id = socket.id();
    let is_over = socket.net.connection(streams.input).is_destroyed();
    match socket.event_loop().socket(streams.input) {
        Some(mut input) if !is_over => input.catch_up(move |input, _| {
            input.net.end(id, None);
            input.destroy();
        }),
        _ => socket.net.end(id, None),
    }
}

/// What has come is still written, also if the connection was lost after it.
fn has_closed(socket: &mut Socket<'_, Connect>, streams: Streams, closed: Closed) {
    let sent = counted(socket.bytes_written().saturating_sub(closed.unsent as u64), "byte");
    let received = counted(socket.bytes_read(), "byte");
    let peer = peer(socket);
    socket.state.progress.aside(|| log::debug!("{peer}: closed, {sent} sent, {received} received"));
    socket.net.destroy(streams.input);
    socket.net.end(streams.output, None);
}
