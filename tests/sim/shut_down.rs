//! A loop that comes to its end in order: `Loop::shut_down`, in simulated time.

#![cfg(unix)]

use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{CloseReason, EventLoop, FileOptions, Socket, SocketId, SocketOptions};

const ADDRESS: &str = "10.0.0.1:7";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Heard {
    text: String,
    ended: bool,
    errors: Vec<String>,
    closed: Vec<(CloseReason, Duration)>,
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn note(socket: &mut Socket<'_, Heard>) {
    socket.on_end(|socket| socket.state.ended = true);
    socket.on_error(|socket, error| socket.state.errors.push(error.to_string()));
    socket.on_close(|socket, closed| {
        let now = socket.net.now();
        socket.state.closed.push((closed.reason, now));
    });
}

/// An echo that is shut down after five seconds, and has a timer that never ends.
fn echo(sim: &Sim) -> EventLoop<Heard> {
    let mut echo = EventLoop::on(sim.kernel(), Heard::default());
    echo.listen(ADDRESS, |socket| {
        note(socket);
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            socket.write(text);
        });
    })
    .unwrap();
    echo.after(s(5), |echo| echo.shut_down(PATIENCE));
    echo.every(s(1), |_| {});
    echo
}

fn client(sim: &Sim, options: SocketOptions) -> (EventLoop<Heard>, SocketId) {
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    let id = client
        .connect_with(ADDRESS, options, |socket| {
            note(socket);
            socket.write("hello");
            socket.on_text(|socket, text| socket.state.text.push_str(text));
        })
        .unwrap();
    (client, id)
}

fn reasons(of: &Heard) -> Vec<CloseReason> {
    of.closed.iter().map(|(reason, _)| *reason).collect()
}

#[test]
fn what_was_said_is_answered_and_then_it_ends() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let (mut client, id) = client(&sim, SocketOptions::new());
    // On its way when the echo is told to stop, or there already.
    client.after(s(5) - Duration::from_micros(300), move |client| {
        client.net.write(id, b", and bye");
    });
    sim.run(&mut [&mut echo, &mut client], s(60)).unwrap();
    assert_eq!((echo.state.text.as_str(), client.state.text.as_str()), ("hello, and bye", "hello, and bye"));
    assert_eq!((&echo.state.errors, &client.state.errors), (&vec![], &vec![]));
    assert_eq!(reasons(&echo.state), [CloseReason::EndedHere]);
    assert_eq!(reasons(&client.state), [CloseReason::PeerEnded]);
    let (_, closed_at) = echo.state.closed[0];
    assert!(closed_at < s(5) + PATIENCE, "nobody had to be waited for: {closed_at:?}");
    assert_eq!((echo.net.sockets(), echo.net.is_alive()), (0, true), "its timer is still there");
}

#[test]
fn what_is_said_behind_the_end_is_not_answered_and_who_stays_is_destroyed() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
    client.every(s(1), move |client| {
        client.net.write(id, b"more ");
    });
    sim.run(&mut [&mut echo, &mut client], s(60)).unwrap();
    assert_eq!(client.state.text, echo.state.text, "all that was heard was answered");
    assert!(client.state.ended);
    assert_eq!(echo.state.errors, Vec::<String>::new(), "no write after the end");
    let [(reason, closed_at)] = echo.state.closed[..] else { panic!("{:?}", echo.state) };
    assert_eq!(reason, CloseReason::Shutdown);
    assert!(closed_at >= s(5) + PATIENCE, "it had all its time: {closed_at:?}");
}

#[test]
fn nobody_new_is_accepted() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let mut late = EventLoop::on(sim.kernel(), Heard::default());
    late.after(s(6), |late| {
        late.connect(ADDRESS, note).unwrap();
    });
    sim.run(&mut [&mut echo, &mut late], s(60)).unwrap();
    assert_eq!(late.state.errors.len(), 1);
    assert!(late.state.errors[0].contains("ECONNREFUSED"), "{:?}", late.state.errors);
    assert_eq!(reasons(&late.state), [CloseReason::ConnectFailed]);
}

#[test]
fn run_returns_when_the_last_socket_has_closed_whatever_timers_there_are() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let fresh = echo.new_socket(SocketOptions::new(), note).unwrap();
    echo.run().unwrap();
    assert_eq!(echo.net.now().as_secs(), 5);
    assert!(!echo.net.exists(fresh), "one that never connected has nothing to bring to its end");
    assert_eq!(reasons(&echo.state), [CloseReason::Shutdown]);
}

#[test]
fn a_loop_that_was_shut_down_runs_again() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    echo.run().unwrap();
    echo.listen(ADDRESS, note).unwrap();
    echo.after(s(1), |echo| echo.stop());
    echo.run().unwrap();
    assert_eq!(echo.net.now().as_secs(), 6);
}

/// A server that is shut down after five seconds, and what its client has heard by then.
fn said_to(setup: impl Fn(&mut Socket<'_, Heard>) + 'static) -> (EventLoop<Heard>, EventLoop<Heard>) {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    server
        .listen(ADDRESS, move |socket| {
            note(socket);
            setup(socket);
        })
        .unwrap();
    server.after(s(5), |server| server.shut_down(PATIENCE));
    let (mut client, _) = client(&sim, SocketOptions::new());
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    (server, client)
}

#[test]
fn who_speaks_to_a_server_that_does_not_listen_is_not_waited_for() {
    let (server, client) = said_to(|socket| {
        socket.write("the time is five");
    });
    assert_eq!(client.state.text, "the time is five");
    assert_eq!(reasons(&client.state), [CloseReason::PeerEnded], "{:?}", client.state);
    assert_eq!(reasons(&server.state), [CloseReason::EndedHere]);
    assert!(server.state.closed[0].1 < s(6), "{:?}", server.state);
}

#[test]
fn a_pause_is_respected_until_patience_is_over() {
    let (server, client) = said_to(|socket| {
        socket.pause();
        socket.on_text(|socket, text| socket.state.text.push_str(text));
    });
    assert_eq!(server.state.text, "", "it was not resumed");
    assert_eq!(reasons(&server.state), [CloseReason::Shutdown]);
    assert!(server.state.closed[0].1 >= s(5) + PATIENCE, "{:?}", server.state);
    assert_eq!(client.state.closed.len(), 1);
}

#[test]
fn who_is_resumed_within_patience_is_heard_first() {
    let (server, client) = said_to(|socket| {
        socket.pause();
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            socket.write(text);
        });
        socket.after(s(8), |socket| socket.resume());
    });
    assert_eq!((server.state.text.as_str(), client.state.text.as_str()), ("hello", "hello"));
    assert_eq!(reasons(&server.state), [CloseReason::EndedHere]);
    assert!(server.state.closed[0].1 < s(9), "{:?}", server.state);
}

/// Bytes that a client says at once, and its end.
const UPLOAD: usize = 300_000;

fn uploads(sim: &Sim, into: fn(&mut Socket<'_, Heard>, SocketId)) {
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    server
        .listen(ADDRESS, move |socket| {
            note(socket);
            let file = socket.event_loop().open("upload", FileOptions::write(), |_| {}).unwrap();
            into(socket, file);
            socket.event_loop().shut_down(PATIENCE);
        })
        .unwrap();
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    client.connect(ADDRESS, |socket| socket.end_with(vec![b'x'; UPLOAD])).unwrap();
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    assert_eq!(sim.file("upload").map(|bytes| bytes.len()), Some(UPLOAD));
    assert_eq!(server.net.sockets(), 0);
    assert!(server.state.closed[0].1 < s(1), "{:?}", server.state);
}

#[test]
fn a_file_that_is_piped_into_is_ended_behind_its_source() {
    uploads(&Sim::new(1), |socket, file| socket.pipe(file).unwrap());
}

#[test]
fn a_file_that_handlers_write_to_is_ended_last() {
    uploads(&Sim::new(1), |socket, file| {
        socket.on_data(move |socket, chunk| {
            socket.net.write(file, chunk);
        });
    });
}

#[test]
fn a_pair_that_is_piped_both_ways_is_heard_by_each_other_first() {
    // Half of it is in the buffers of the one connection, and half in those of the other.
    const ALL: usize = 7_000_000;
    let sim = Sim::new(1);
    let mut upstream = EventLoop::on(sim.kernel(), 0);
    let slow = |socket: &mut Socket<'_, usize>| {
        socket.pause();
        socket.on_data(|socket, chunk| *socket.state += chunk.len());
        socket.after(s(5), |socket| socket.resume());
    };
    upstream.listen("10.0.0.9:9", slow).unwrap();
    let mut proxy = EventLoop::on(sim.kernel(), Heard::default());
    proxy
        .listen(ADDRESS, |client| {
            let from = client.id();
            let target = client.event_loop().connect("10.0.0.9:9", |target| target.pipe(from).unwrap()).unwrap();
            client.pipe(target).unwrap();
        })
        .unwrap();
    proxy.after(s(2), |proxy| proxy.shut_down(PATIENCE));
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    client.connect(ADDRESS, |socket| socket.end_with(vec![b'x'; ALL])).unwrap();
    sim.run(&mut [&mut upstream, &mut proxy, &mut client], s(11)).unwrap();
    assert_eq!(upstream.state, ALL);
    assert_eq!(proxy.net.sockets(), 0);
}

#[test]
fn what_a_last_close_writes_to_a_file_is_there() {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    let log = server.open("log", FileOptions::write(), note).unwrap();
    server
        .listen(ADDRESS, move |socket| {
            socket.resume();
            socket.on_close(move |socket, closed| {
                socket.net.write(log, format!("{}\n", closed.reason).as_bytes());
            });
        })
        .unwrap();
    server.after(s(5), |server| server.shut_down(PATIENCE));
    let (mut client, _) = client(&sim, SocketOptions::new());
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    assert_eq!(sim.file("log").as_deref(), Some(&b"this side ended first\n"[..]));
    assert_eq!((&server.state.errors, server.net.sockets()), (&vec![], 0));
    assert!(server.state.closed[0].1 < s(6), "the file: {:?}", server.state);
}
