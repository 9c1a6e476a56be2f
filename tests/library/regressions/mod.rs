//! What went wrong once, each with the smallest case that shows it. Output limits have a file of their own.

/// Output limits.
mod limits;

use std::cell::Cell;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, told, watch};
use rustix::io::Errno;
use tidegate::sim::{Conditions, Fault, Sim};
use tidegate::{Error, Event, EventLoop, Loop, Server, ServerOptions, SocketId, SocketOptions};

#[test]
fn run_with_only_deferred_work_returns() {
    let mut world = World::new();
    world.event_loop().next_tick(|on| on.state.note("tick", "ran"));
    let guard = world.after(ms(2000), |_| panic!("run() sleeps though nothing is alive"));
    world.net.set_timer_ref(guard, false);
    world.run().unwrap();
}

#[test]
fn a_broadcast_to_a_connecting_socket_goes_out_and_a_write_and_an_end_after_it_too() {
    for more in [false, true] {
        let mut world = World::new();
        let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
        world.turn_for(ms(5));
        world.after(ms(1), move |on| {
            let id = on.connect(address, |socket| watch(socket, "C", quiet)).unwrap();
            on.net.broadcast([id], "hello");
            if more {
                on.net.write(id, b" there");
                on.net.end(id, None);
            }
        });
        world.until_saw("C", "connect");
        world.turn_for(ms(30));
        let seen: &[&str] = if more { &["data hello there", "end", "finish", "close(false)"] } else { &["data hello"] };
        assert_eq!(world.state.of("S"), seen);
    }
}

#[test]
fn a_write_inside_on_close_has_its_callback() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| match heard {
        Heard::Connect => socket.destroy(),
        Heard::Close(_) => {
            socket.write_then("x", told("C", "cb"));
        }
        _ => {}
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(10));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "cb ERR_STREAM_DESTROYED"]);
}

#[test]
fn catch_up_waits_for_resume_also_after_the_end() {
    for ends in [false, true] {
        let mut world = World::new();
        let mut raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
            if let Heard::Accepted = heard {
                socket.pause();
            }
        });
        world.until_saw("server", "connection");
        raw.write_all(b"said").unwrap();
        if ends {
            raw.shutdown(Shutdown::Write).unwrap();
        }
        world.until(|world| world.of("S").bytes_read() == 4);
        world.turn_for(ms(10));
        world.of("S").catch_up(told("S", "caught up"));
        world.turn_for(ms(20));
        assert_eq!(world.state.of("S"), [""; 0]);
    }
}

#[test]
fn each_catch_up_has_its_callback() {
    let mut world = World::new();
    let _raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    world.of("S").catch_up(told("S", "first"));
    world.of("S").catch_up(told("S", "second"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), ["first ok", "second ok"]);
}

#[test]
fn a_catch_up_before_the_connection_has_its_callback_after_it() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world
        .event_loop()
        .new_socket(SocketOptions::new(), |socket| {
            watch(socket, "C", quiet);
            socket.catch_up(told("C", "caught up"));
            socket.connect(address).unwrap();
        })
        .unwrap();
    world.turn_for(ms(30));
    assert_eq!(world.state.of("C"), ["connect", "caught up ok"]);
}

#[test]
fn an_end_with_data_after_an_end_calls_its_callback() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end();
            let id = socket.id();
            socket.net.end_with(id, b"x", Some(7));
        }
    });
    let mut told = false;
    for _ in 0..50 {
        while let Some(event) = world.net.next_event(Some(ms(1))).unwrap() {
            told |= matches!(event, Event::Callback { callback: 7, outcome: Err(_), .. });
            if let Event::Connect(id) = event {
                world.net.end(id, None);
                world.net.end_with(id, b"x", Some(7));
            }
        }
    }
    assert!(told);
}

/// One event of the kernel stood for the connection and for the first bytes. The loop slept and did not read them.
#[test]
fn bytes_that_come_with_the_connection_are_heard_at_once() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("C", peer.local_addr().unwrap(), quiet);
    world.event_loop().next_tick(move |on| {
        // connect(2) was called. Before the loop looks again, the peer has accepted and written.
        let (mut stream, _) = peer.accept().unwrap();
        stream.write_all(b"220 hello").unwrap();
        on.after(ms(3000), move |_| drop(stream));
    });
    world.until_saw("C", "connect");
    if world.state.data("C").is_empty() {
        assert!(world.net.next_deadline().unwrap() <= world.net.now(), "it would sleep on what it was told");
    }
    world.until(|world| world.state.data("C") == b"220 hello");
}

/// A write that found no buffers was tried in every turn, and no turn slept.
#[test]
fn a_kernel_without_buffers_is_asked_again_only_after_a_while() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), ());
    event_loop.listen("10.0.0.1:7", |socket| socket.on_data(|_, _| {})).unwrap();
    let client = event_loop.connect("10.0.0.1:7", |_| {}).unwrap();
    while event_loop.net.connection(client).is_connecting() {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    sim.set_conditions(Conditions::new().no_buffers(1000));
    event_loop.net.write(client, b"x");
    let (turns, until) = (event_loop.net.counters().turns, sim.now() + ms(200));
    while sim.now() < until {
        event_loop.turn(Some(ms(50))).unwrap();
    }
    let turns = event_loop.net.counters().turns - turns;
    assert!(turns <= 50, "{turns} turns in 200 ms");
    sim.set_conditions(Conditions::new());
    event_loop.turn(Some(ms(50))).unwrap();
    event_loop.turn(Some(ms(50))).unwrap();
    assert_eq!(event_loop.net.connection(client).unsent(), 0);
}

/// recv(2) stops at the urgent mark with more behind it: a short read that does not mean empty.
#[cfg(target_os = "linux")]
#[test]
fn bytes_after_urgent_data_are_read() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    raw.write_all(b"abc").unwrap();
    socket2::SockRef::from(&raw).send_out_of_band(b"!").unwrap();
    raw.write_all(b"def").unwrap();
    world.until(|world| world.state.data("S") == b"abcdef");
}

#[cfg(target_os = "linux")]
#[test]
fn urgent_data_has_its_place_where_it_is_asked_for() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new().urgent_inline(true), quiet);
    world.until_saw("server", "connection");
    for _ in 0..3 {
        raw.write_all(b"abc").unwrap();
        socket2::SockRef::from(&raw).send_out_of_band(b"!?").unwrap();
        raw.write_all(b"def").unwrap();
    }
    world.until(|world| world.state.data("S") == b"abc!?def".repeat(3));
}

/// It was counted from the last wait, which may be long ago in a turn with a slow handler.
#[test]
fn an_idle_clock_that_is_set_late_in_a_turn_is_not_early() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    let began = Cell::new(None);
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => {
            let busy = Instant::now();
            while busy.elapsed() < ms(80) {}
            socket.set_timeout(Some(ms(40)));
            began.set(Some(Instant::now()));
        }
        Heard::Timeout => {
            let waited = began.get().map(|began: Instant| began.elapsed());
            assert!(waited >= Some(ms(40)), "{waited:?}");
        }
        _ => {}
    });
    world.until_saw("C", "timeout");
}

/// The queue was cleared before it was counted.
#[test]
fn bytes_that_a_failing_write_throws_away_are_counted() {
    let mut world = World::new();
    let options = ServerOptions::new().pause_on_connect(true);
    let raw = world.raw_pair(options, quiet);
    world.until_saw("server", "connection");
    let id = world.id("S");
    world.net.write(id, &pattern(FLOOD));
    let unsent = world.net.connection(id).unsent();
    assert!(unsent > 0);
    socket2::SockRef::from(&raw).set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    world.until_closed(&["S"]);
    assert_eq!(world.state.closed("S").unsent, unsent);
}

/// An accept that fails because of its client is tried again at once. If each accept fails and the backlog stays, no
/// turn slept.
#[test]
fn a_server_that_may_not_accept_says_so_once_and_tries_again_after_a_while() {
    for errno in [Errno::PERM, Errno::NOMEM, Errno::ACCESS] {
        let sim = Sim::new(1);
        let mut server = EventLoop::on(sim.kernel(), Vec::new());
        let happened = |what, on: &mut Loop<'_, Vec<_>>| on.state.push((what, on.net.now()));
        let id = server.listen("10.0.0.1:7", move |socket| happened("connection", &mut socket.event_loop())).unwrap();
        let told = move |server: &mut Server<'_, Vec<_>>, error: &Error| {
            happened(error.code(), &mut server.event_loop());
        };
        server.server(id).unwrap().on_error(told);
        let mut client = EventLoop::on(sim.kernel(), ());
        let socket = client.connect("10.0.0.1:7", |_| {}).unwrap();
        while client.net.connection(socket).is_connecting() {
            client.turn(Some(ms(1))).unwrap();
        }
        let first = sim.calls();
        (first..first + 200).for_each(|call| sim.fail_call(call, Fault::Error(errno.raw_os_error())));
        sim.run(&mut [&mut server, &mut client], Duration::from_secs(200)).unwrap();
        let (what, when): (Vec<_>, Vec<_>) = server.state.iter().copied().unzip();
        assert_eq!(what, [Error::from(std::io::Error::from(errno)).code(), "connection"], "told once");
        let waited = when[1] - when[0];
        assert!(waited >= ms(20 + 40), "{errno:?}: 200 attempts in {waited:?}");
    }
}

/// The connect forgot the error and the corked bytes: they stayed in the queue, and nothing counted them. In Node too
/// the socket ends with the error of the first write.
#[test]
fn a_write_before_the_connect_ends_the_socket_also_if_it_connects_at_once() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    let id = world.event_loop().new_socket(SocketOptions::new(), |socket| watch(socket, "C", quiet)).unwrap();
    world.of("C").write_then("x", told("C", "first"));
    world.net.connect(id, address).unwrap();
    world.net.cork(id);
    world.of("C").write_then("y", told("C", "second"));
    world.until_closed(&["C"]);
    assert_eq!(
        world.state.of("C"),
        ["first ERR_SOCKET_CLOSED", "second ERR_STREAM_DESTROYED", "error ERR_SOCKET_CLOSED", "close(true)"]
    );
    world.net.check().unwrap();
}

/// What was read ahead flows until the destroy has come through, as in Node. Since Node 26 a pause changes nothing then.
#[test]
fn a_pause_after_a_destroy_does_nothing() {
    for pauses in [true, false] {
        let mut world = World::new();
        let raw = world.raw_pair(ServerOptions::new(), move |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.state.add("chunks", 1);
                socket.destroy();
                if pauses {
                    socket.pause();
                }
            }
        });
        world.until_saw("server", "connection");
        let id = world.id("S");
        world.net.pause(id);
        for chunk in 1..=3 {
            world.write_raw(&raw, b"chunk");
            world.until(|world| world.net.connection(id).bytes_read() == chunk * 5);
        }
        world.net.resume(id);
        world.until_closed(&["S"]);
        assert_eq!(world.state.number("chunks"), 3, "it pauses: {pauses}");
    }
}

/// A socket that no `connect` was called on.
fn fresh(world: &mut World, name: &'static str) -> SocketId {
    world.event_loop().new_socket(SocketOptions::new(), move |socket| watch(socket, name, quiet)).unwrap()
}

/// Bytes that were corked and uncorked without a connection stayed in the queue for ever: neither they nor the end
/// after them had a callback. In Node they fail as they would without a cork.
#[test]
fn writes_uncorked_without_a_connection_fail() {
    let mut world = World::new();
    let id = fresh(&mut world, "A");
    world.net.cork(id);
    world.of("A").write_then("x", told("A", "first"));
    world.of("A").write_then("", told("A", "second"));
    world.net.uncork(id);
    assert_eq!(world.net.connection(id).buffer_size(), 0);
    world.run_dry();
    let closed = ["first ERR_SOCKET_CLOSED", "second ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"];
    assert_eq!(world.state.of("A"), closed);

    let id = fresh(&mut world, "B");
    world.net.cork(id);
    world.of("B").write_then("x", told("B", "write"));
    world.of("B").end_then(told("B", "end"));
    world.run_dry();
    let closed = ["write ERR_SOCKET_CLOSED", "end ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"];
    assert_eq!(world.state.of("B"), closed);

    // Corked bytes fail with the destroy.
    let id = fresh(&mut world, "C");
    world.net.cork(id);
    world.of("C").write_then("x", told("C", "write"));
    world.net.destroy(id);
    world.run_dry();
    assert_eq!(world.state.of("C"), ["write ERR_STREAM_DESTROYED", "close(false)"]);
}

/// Uncorked while connecting, or after: both go out.
#[test]
fn writes_corked_before_the_connect_go_out_after_it() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    let id = fresh(&mut world, "C");
    world.net.cork(id);
    world.of("C").write_then("x", told("C", "first"));
    world.net.connect(id, address).unwrap();
    world.net.uncork(id);
    assert_eq!((world.net.connection(id).buffer_size(), world.net.connection(id).bytes_written()), (1, 1));
    world.of("C").write_then("y", told("C", "second"));
    world.until_saw("C", "second ok");
    assert_eq!(world.state.of("C"), ["connect", "first ok", "second ok"]);
    world.until(|world| world.net.connection(world.id("S")).bytes_read() == 2);
}
