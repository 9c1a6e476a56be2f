//! Every call in every state.
//!
//! A matrix: each state of a socket, and each handler that may be running, times each call. Nothing may panic, `close`
//! comes exactly once for each connection and last, and the id is stale afterwards.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::loops::{FLOOD, Heard, Log, View, World, ms, pattern, quiet, watch};
use tidegate::{
    CloseReason, Endpoint, Error, ErrorKind, KeepAlive, Net, OutputLimits, OutputPolicy, ServerOptions, SocketId,
    SocketOptions, SoftLimit,
};

/// Where X is when the call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    FreshWithListener,
    Connecting,
    ConnectingWithWrites,
    Connected,
    Paused,
    Corked,
    WriteInFlight,
    Piped,
    EndedHere,
    EndedHereInFlight,
    EndedByPeer,
    EndedByPeerHalfOpen,
    EndedBoth,
    EndUnread,
    Destroyed,
    DestroyedInFlight,
    InConnect,
    InData,
    InEnd,
    InDrain,
    InFinish,
    InTimeout,
    InError,
    InClose,
    InCloseUnconnected,
    InWriteCallback,
    InEndCallback,
}

const STATES: &[State] = &[
    State::Fresh,
    State::FreshWithListener,
    State::Connecting,
    State::ConnectingWithWrites,
    State::Connected,
    State::Paused,
    State::Corked,
    State::WriteInFlight,
    State::Piped,
    State::EndedHere,
    State::EndedHereInFlight,
    State::EndedByPeer,
    State::EndedByPeerHalfOpen,
    State::EndedBoth,
    State::EndUnread,
    State::Destroyed,
    State::DestroyedInFlight,
];

const HANDLERS: &[State] = &[
    State::InConnect,
    State::InData,
    State::InEnd,
    State::InDrain,
    State::InFinish,
    State::InTimeout,
    State::InError,
    State::InClose,
    State::InCloseUnconnected,
    State::InWriteCallback,
    State::InEndCallback,
];

/// What the calls need besides the socket.
#[derive(Clone, Copy)]
struct Aids {
    address: SocketAddr,
    /// Another socket, connected.
    other: SocketId,
    /// A socket that is gone.
    stale: SocketId,
}

type Call = fn(&mut View<'_>, Aids);

fn answered(name: &'static str) -> impl FnOnce(&mut View<'_>, Result<(), Error>) + 'static {
    move |socket, _| {
        socket.state.add(name, 1);
    }
}

fn an_error() -> Error {
    "nowhere".parse::<Endpoint>().unwrap_err()
}

const CALLS: &[(&str, Call)] = &[
    ("connect", |socket, aids| {
        if socket.connect(aids.address).is_ok() {
            socket.state.add("connects", 1);
        }
    }),
    ("connect to text", |socket, _| assert!(socket.connect("no address").is_err())),
    ("write", |socket, _| {
        socket.write("x");
    }),
    ("write nothing", |socket, _| {
        socket.write("");
    }),
    ("write much", |socket, _| {
        socket.write(pattern(FLOOD));
    }),
    ("write_then", |socket, _| {
        socket.write_then("x", answered("callbacks"));
        socket.write_then("y", |_, _| {});
    }),
    ("end", |socket, _| socket.end()),
    ("end_with", |socket, _| socket.end_with("x")),
    ("end_with nothing", |socket, _| socket.end_with("")),
    ("end_then", |socket, _| socket.end_then(answered("callbacks"))),
    ("end, then write", |socket, _| {
        socket.end();
        assert!(!socket.write("x"));
    }),
    ("end twice", |socket, _| {
        socket.end();
        socket.end_with("x");
    }),
    ("destroy", |socket, _| socket.destroy()),
    ("destroy twice", |socket, _| {
        socket.destroy();
        socket.destroy_with(an_error());
    }),
    ("destroy_because", |socket, _| socket.destroy_because(CloseReason::Timeout)),
    ("destroy_with", |socket, _| socket.destroy_with(an_error())),
    ("destroy_soon", |socket, _| socket.destroy_soon()),
    ("write, then destroy_soon", |socket, _| {
        socket.write("x");
        socket.destroy_soon();
    }),
    ("reset", |socket, _| socket.reset()),
    ("reset_because", |socket, _| socket.reset_because(CloseReason::Timeout)),
    ("end, then reset", |socket, _| {
        socket.end();
        socket.reset();
    }),
    ("catch_up", |socket, _| socket.catch_up(answered("callbacks"))),
    ("pause", |socket, _| socket.pause()),
    ("resume", |socket, _| socket.resume()),
    ("pause and resume", |socket, _| {
        socket.pause();
        socket.resume();
        socket.pause();
    }),
    ("cork", |socket, _| socket.cork()),
    ("uncork", |socket, _| socket.uncork()),
    ("cork, write, uncork", |socket, _| {
        socket.cork();
        socket.write("x");
        socket.uncork();
    }),
    ("pipe to itself", |socket, _| {
        let id = socket.id();
        socket.pipe(id).unwrap();
    }),
    ("pipe to another", |socket, aids| socket.pipe(aids.other).unwrap()),
    ("pipe to another without end", |socket, aids| socket.pipe_without_end(aids.other).unwrap()),
    ("pipe to nobody", |socket, aids| {
        let _ = socket.pipe(aids.stale);
    }),
    ("pipe from another", |socket, aids| {
        let id = socket.id();
        socket.net.pipe(aids.other, id).unwrap();
    }),
    ("pipe and unpipe", |socket, aids| {
        socket.pipe(aids.other).unwrap();
        socket.unpipe(aids.other);
    }),
    ("unpipe a stranger", |socket, aids| {
        socket.unpipe(aids.other);
        socket.unpipe(aids.stale);
    }),
    ("unpipe_all", |socket, _| {
        let id = socket.id();
        socket.net.unpipe_all(id);
    }),
    ("set_timeout", |socket, _| socket.set_timeout(Some(ms(1)))),
    ("set_timeout off", |socket, _| socket.set_timeout(None)),
    ("set_timeout to the longest", |socket, _| socket.set_timeout(Some(Duration::MAX))),
    ("set_no_delay", |socket, _| {
        socket.set_no_delay(true);
        socket.set_no_delay(false);
    }),
    ("set_keep_alive", |socket, _| {
        socket.set_keep_alive(Some(KeepAlive::new().initial_delay(Duration::from_secs(7)))).unwrap();
        socket.set_keep_alive(Some(KeepAlive::new())).unwrap();
        socket.set_keep_alive(None).unwrap();
    }),
    ("set_output_limits", |socket, _| {
        let limits = OutputLimits::new().hard(10);
        socket.set_output_limits(limits).unwrap();
        socket.write("more than ten bytes");
    }),
    ("set_output_limits to senders", |socket, aids| {
        let soft = Some(SoftLimit::new(1, ms(1)));
        socket.set_output_limits(OutputLimits::new().hard(None).soft(soft).policy(OutputPolicy::PauseSenders)).unwrap();
        let id = socket.id();
        socket.net.broadcast_from(aids.other, [id, aids.other], "message");
    }),
    ("set_ref", |socket, _| {
        socket.set_ref(false);
        socket.set_ref(true);
    }),
    ("after", |socket, _| {
        let timer = socket.after(ms(1), |socket| {
            socket.write("x");
        });
        socket.after(ms(1), |_| {});
        socket.event_loop().cancel(timer);
    }),
    ("next_tick", |socket, _| {
        let id = socket.id();
        socket.event_loop().next_tick(move |on| {
            if let Some(mut socket) = on.socket(id) {
                socket.write("x");
            }
        });
    }),
    ("broadcast", |socket, aids| {
        let id = socket.id();
        socket.net.broadcast([id, aids.other, aids.stale], "message");
    }),
    ("broadcast_from", |socket, aids| {
        let id = socket.id();
        socket.net.broadcast_from(id, [id, aids.other, aids.stale], "message");
        socket.net.broadcast_from(aids.stale, [id], "message");
    }),
    ("off_data", |socket, _| socket.off_data()),
    ("on_text", |socket, _| socket.on_text(|_, _| {})),
    ("on_line", |socket, _| socket.on_line(80, |_, _| {})),
    ("every handler anew", |socket, _| watch(socket, "X", quiet)),
    ("close_all", |socket, _| socket.event_loop().close_all()),
    ("stop", |socket, _| socket.event_loop().stop()),
    ("every question", |socket, aids| {
        let id = socket.id();
        let _ = (socket.server(), socket.buffer_size(), socket.bytes_read(), socket.bytes_written());
        let _ = (socket.ready_state(), socket.is_connecting(), socket.is_destroyed(), socket.is_paused());
        let _ = (socket.is_writable(), socket.is_readable(), socket.local_address(), socket.remote_address());
        let _ = (socket.timeout(), format!("{socket:?}"));
        questions(socket.net, id);
        questions(socket.net, aids.stale);
    }),
];

fn questions(net: &mut Net, id: SocketId) {
    let _ = (
        net.connection(id).exists(),
        net.connection(id).unsent(),
        net.connection(id).read_ahead(),
        net.connection(id).is_pending(),
        net.connection(id).is_finished(),
    );
    let _ = (
        net.connection(id).needs_drain(),
        net.connection(id).high_water_mark(),
        net.connection(id).server(),
        net.piped_to(id),
        net.sockets(),
    );
    let _ = (net.next_deadline(), net.is_alive(), net.counters(), net.now(), format!("{net:?}"));
}

/// One cell of the matrix.
fn play(state: State, call: Call) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut world = World::new();
    let stale = world.event_loop().new_socket(SocketOptions::new(), |socket| socket.destroy()).unwrap();
    let other = world.client("other", address, quiet);
    world.until_saw("other", "connect");
    world.until(|world| !world.net.connection(stale).exists());
    let (_other_peer, _) = listener.accept().unwrap();
    let aids = Aids { address, other, stale };

    let half_open = !matches!(state, State::EndedByPeer | State::EndUnread);
    let options = SocketOptions::new().allow_half_open(half_open);
    let hear = move |socket: &mut View<'_>, heard: Heard<'_>| {
        let is_here = match state {
            State::InConnect => matches!(heard, Heard::Connect),
            State::InData => matches!(heard, Heard::Data(_)),
            State::InEnd => matches!(heard, Heard::End),
            State::InDrain => matches!(heard, Heard::Drain),
            State::InFinish => matches!(heard, Heard::Finish),
            State::InTimeout => matches!(heard, Heard::Timeout),
            State::InError => matches!(heard, Heard::Error(_)),
            State::InClose | State::InCloseUnconnected => matches!(heard, Heard::Close(_)),
            _ => false,
        };
        if is_here && socket.state.add("here", 1) == 1 {
            call(socket, aids);
        }
    };
    let x = world.event_loop().new_socket(options, |socket| {
        if state == State::Fresh {
            // Only what `check` needs.
            watch(socket, "X", quiet);
            socket.off_data();
        } else {
            watch(socket, "X", hear);
        }
    });
    let x = x.unwrap();
    let peer = reach(&mut world, state, call, aids, &listener);
    if STATES.contains(&state) {
        let mut socket = world.of("X");
        call(&mut socket, aids);
    }
    for _ in 0..8 {
        world.turn(Some(Duration::ZERO)).unwrap();
    }
    if state == State::InTimeout {
        world.until(|world| world.state.number("here") > 0);
    }
    // The end, whatever state it is in.
    drop(peer);
    world.turn(Some(Duration::ZERO)).unwrap();
    world.net.destroy(x);
    world.net.destroy(other);
    world.until(|world| !world.net.connection(x).exists() && !world.net.connection(other).exists());
    for _ in 0..3 {
        world.turn(Some(Duration::ZERO)).unwrap();
    }
    world
}

/// Brings X into its state, or to where a handler will run.
fn reach(world: &mut World, state: State, call: Call, aids: Aids, listener: &TcpListener) -> Option<TcpStream> {
    use State as S;
    let address = aids.address;
    match state {
        S::Fresh | S::FreshWithListener => return None,
        S::InCloseUnconnected => {
            world.of("X").destroy();
            return None;
        }
        _ => {}
    }
    let mut socket = world.of("X");
    if state == S::Paused {
        socket.pause();
    }
    socket.connect(address).unwrap();
    match state {
        S::Connecting => return None,
        S::ConnectingWithWrites => {
            socket.write("a");
            socket.write_then("b", answered("b"));
            return None;
        }
        _ => {}
    }
    world.until(|world| world.state.saw("X", "connect") || world.state.is_closed("X"));
    let (mut peer, _) = listener.accept().unwrap();
    if world.state.is_closed("X") || !world.net.connection(world.id("X")).exists() || state == S::InConnect {
        return Some(peer);
    }
    let mut socket = world.of("X");
    match state {
        S::Corked => {
            socket.cork();
            socket.write("held");
        }
        S::WriteInFlight => {
            socket.write(pattern(FLOOD));
        }
        S::Piped => socket.pipe(aids.other).unwrap(),
        S::EndedHere => {
            socket.end();
            world.until_saw("X", "finish");
        }
        S::EndedHereInFlight => {
            socket.end_with(pattern(FLOOD));
        }
        S::EndedByPeer => {
            // A write in flight keeps it from closing.
            socket.write(pattern(FLOOD));
            peer.shutdown(Shutdown::Write).unwrap();
            world.until_saw("X", "end");
        }
        S::EndedByPeerHalfOpen => {
            peer.shutdown(Shutdown::Write).unwrap();
            world.until_saw("X", "end");
        }
        S::EndedBoth => {
            socket.end_with(pattern(FLOOD));
            peer.shutdown(Shutdown::Write).unwrap();
            world.until_saw("X", "end");
        }
        S::EndUnread => {
            socket.pause();
            peer.write_all(b"unread").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            world.until(|world| world.of("X").bytes_read() == 6);
        }
        S::Destroyed => socket.destroy(),
        S::DestroyedInFlight => {
            socket.write_then(pattern(FLOOD), answered("in flight"));
            socket.write_then("queued", answered("queued"));
            socket.destroy();
        }
        S::InData => {
            peer.write_all(b"hello").unwrap();
            world.until(|world| world.state.number("here") > 0);
        }
        S::InEnd => {
            peer.shutdown(Shutdown::Write).unwrap();
            world.until_saw("X", "end");
        }
        S::InDrain => {
            socket.cork();
            socket.write(pattern(70_000));
            socket.uncork();
        }
        S::InFinish => socket.end(),
        S::InTimeout => socket.set_timeout(Some(ms(1))),
        S::InError => socket.destroy_with(an_error()),
        S::InClose => socket.destroy(),
        S::InWriteCallback => {
            socket.write_then("x", move |socket, _| {
                socket.state.add("here", 1);
                call(socket, aids);
            });
        }
        S::InEndCallback => socket.end_then(move |socket, _| {
            socket.state.add("here", 1);
            call(socket, aids);
        }),
        _ => {}
    }
    Some(peer)
}

fn check(log: &Log, state: State, name: &str) {
    let told = log.of("X");
    let context = || format!("{name} in {state:?}: {told:#?}");
    let closes = told.iter().filter(|event| event.starts_with("close(")).count();
    // One for the socket, which may have been destroyed unconnected, and one for each connect inside `close`.
    let connections = match state {
        State::InClose | State::InCloseUnconnected => 1 + log.number("connects"),
        _ => 1,
    };
    assert_eq!(closes, connections, "{}", context());
    assert!(told.last().is_some_and(|event| event.starts_with("close(")), "{}", context());
    for errors in ["error", "end", "finish", "connect"] {
        let count = told.iter().filter(|event| event.split(' ').next() == Some(errors)).count();
        assert!(count <= connections, "{errors} {count} times; {}", context());
    }
    assert!(log.number("callbacks") <= 1, "a callback {} times; {}", log.number("callbacks"), context());
    if HANDLERS.contains(&state) {
        assert!(log.number("here") > 0, "the handler never ran; {}", context());
    }
}

fn walk(states: &[State]) {
    for state in states {
        for (name, call) in CALLS {
            // Shown if it panics.
            println!("{name} in {state:?}");
            let world = play(*state, *call);
            check(&world.state, *state, name);
        }
    }
}

#[test]
fn every_call_is_legal_in_every_state_before_an_end() {
    walk(&STATES[..9]);
}

#[test]
fn every_call_is_legal_in_every_state_behind_an_end() {
    walk(&STATES[9..]);
}

#[test]
fn every_call_is_legal_inside_the_handlers_of_a_connection() {
    walk(&HANDLERS[..5]);
}

#[test]
fn every_call_is_legal_inside_the_last_handlers_of_a_connection() {
    walk(&HANDLERS[5..]);
}

#[test]
fn every_call_with_a_stale_id_does_nothing() {
    let mut world = World::new();
    let stale = world.event_loop().new_socket(SocketOptions::new(), |socket| socket.destroy()).unwrap();
    world.until(|world| !world.net.connection(stale).exists());
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    let other = world.client("other", address, quiet);
    world.until_saw("other", "connect");
    let net = &mut world.net;
    assert!(net.connect(stale, address).is_err());
    assert!(!net.write(stale, b"x"));
    assert!(!net.write_with(stale, b"x", u64::MAX));
    net.end(stale, None);
    net.end_with(stale, b"x", Some(u64::MAX));
    net.cork(stale);
    net.uncork(stale);
    net.pause(stale);
    net.resume(stale);
    net.catch_up(stale, u64::MAX);
    net.listen_for_data(stale, true);
    net.destroy(stale);
    net.destroy_because(stale, CloseReason::Timeout);
    net.destroy_with(stale, an_error());
    net.destroy_soon(stale);
    net.reset(stale);
    net.reset_because(stale, CloseReason::Timeout);
    net.set_timeout(stale, Some(ms(1)));
    net.set_no_delay(stale, true);
    net.set_keep_alive(stale, None).unwrap();
    net.set_ref(stale, false);
    net.set_output_limits(stale, OutputLimits::new()).unwrap();
    assert_eq!(net.pipe(stale, other).unwrap_err().kind(), ErrorKind::Gone);
    net.unpipe(stale, other);
    net.unpipe(other, stale);
    net.unpipe_all(stale);
    net.broadcast([stale], "x");
    net.broadcast_from(stale, [stale], "x");
    questions(net, stale);
    assert!(
        net.connection(stale).is_destroyed() && net.connection(stale).is_pending() && !net.connection(stale).exists()
    );
    world.turn_for(ms(10));
    assert_eq!(world.state.of("other"), ["connect"]);
}
