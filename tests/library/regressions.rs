//! What went wrong once, each with the smallest case that shows it.

use crate::support::free_address;
use crate::support::loops::*;
use rustix::io::Errno;
use std::cell::Cell;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tidegate::sim::{Fault, Sim, Weather};
use tidegate::*;

fn room(output_limits: OutputLimits) -> (World, SocketId, TcpStream) {
    let mut world = World::new();
    let options = ServerOptions::new().output_limits(output_limits);
    let raw = world.raw_pair(options, quiet);
    world.until_saw("server", "connection");
    let id = world.id("S");
    (world, id, raw)
}
fn hard(bytes: usize, policy: OutputPolicy) -> OutputLimits {
    OutputLimits::new().hard(bytes).policy(policy)
}

#[test]
fn run_with_only_deferred_work_returns() {
    let mut world = World::new();
    world.event_loop().next_tick(|on| on.state.note("tick", "ran"));
    let guard = world.after(ms(2000), |_| panic!("run() sleeps though nothing is alive"));
    world.net.set_timer_ref(guard, false);
    world.run().unwrap();
}

#[test]
fn a_broadcast_to_a_connecting_socket_goes_out() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world.turn_for(ms(5));
    world.after(ms(1), move |on| {
        let id = on.connect(address, |socket| watch(socket, "C", quiet)).unwrap();
        on.net.broadcast([id], "hello");
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["data hello"]);
}

#[test]
fn a_write_behind_a_broadcast_on_a_connecting_socket_goes_out_and_its_end_too() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world.turn_for(ms(5));
    world.after(ms(1), move |on| {
        let id = on.connect(address, |socket| watch(socket, "C", quiet)).unwrap();
        on.net.broadcast([id], "hello");
        on.net.write(id, b" there");
        on.net.end(id, None);
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["data hello there", "end", "finish", "close(false)"]);
}

#[test]
fn a_write_with_a_callback_is_admitted_where_one_without_is_and_answered_where_it_is_not() {
    let (mut world, id, raw) = room(hard(1000, OutputPolicy::DropNewest));
    assert!(world.net.write(id, &pattern(2000)), "the reader keeps up");
    assert!(world.of("S").write_then(pattern(2000), told("S", "as large")));
    assert_eq!(world.read_raw(&raw, 4000).len(), 4000);
    world.of("S").cork();
    world.of("S").write_then(pattern(2000), told("S", "refused"));
    world.turn_for(ms(10));
    assert!(world.state.of("S").iter().any(|event| event.starts_with("refused")));
}

#[test]
fn dropping_the_newest_spares_a_reader_that_keeps_up() {
    let (mut world, id, raw) = room(hard(10_000, OutputPolicy::DropNewest));
    for _ in 0..20 {
        world.net.broadcast([id], [b'x'; 1000]);
    }
    assert_eq!(world.net.counters().messages_dropped, 0);
    assert_eq!(world.read_raw(&raw, 20_000).len(), 20_000);
}

#[test]
fn the_callback_of_a_write_that_was_dropped_says_so() {
    let (mut world, id, raw) = room(OutputLimits::new());
    world.net.write(id, &pattern(FLOOD));
    let unsent = world.net.unsent(id);
    world.net.set_output_limits(id, hard(unsent + 50_000, OutputPolicy::DropOldest)).unwrap();
    world.of("S").write_then(vec![b'a'; 30_000], told("S", "first"));
    world.of("S").write_then(vec![b'b'; 30_000], told("S", "second"));
    world.read_raw(&raw, FLOOD + 30_000);
    world.until_saw("S", "second ok");
    assert_eq!(world.net.counters().messages_dropped, 1);
    assert!(!world.state.saw("S", "first ok"), "{:?}", world.state.of("S"));
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
fn catch_up_waits_for_resume() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    raw.write_all(b"said").unwrap();
    world.until(|world| world.of("S").bytes_read() == 4);
    world.of("S").catch_up(told("S", "caught up"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), [""; 0]);
}

#[test]
fn catch_up_waits_for_resume_behind_the_end() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    raw.write_all(b"said").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.turn_for(ms(10));
    world.of("S").catch_up(told("S", "caught up"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), [""; 0]);
}

#[test]
fn each_catch_up_is_answered() {
    let mut world = World::new();
    let _raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    world.of("S").catch_up(told("S", "first"));
    world.of("S").catch_up(told("S", "second"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), ["first ok", "second ok"]);
}

#[test]
fn a_write_that_waited_fails_also_if_the_socket_connects_again_in_on_close() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world.client("C", free_address(), move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
            socket.write_then("new", told("C", "new"));
        }
    });
    world.of("C").write_then("old", told("C", "old"));
    world.of("C").write_then("older", told("C", "older"));
    world.until_saw("C", "new ok");
    world.turn_for(ms(10));
    assert!(!world.state.saw("C", "old ok"));
    assert!(!world.state.saw("C", "older ok"));
}

#[test]
fn half_a_character_or_line_of_one_connection_is_not_the_next_ones() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            match socket.state.add("n", 1) {
                1 => socket.write(&"é".as_bytes()[..1]),
                _ => socket.write("ok\n"),
            };
        }
    });
    world
        .connect(address, move |socket| {
            socket.on_text(|socket, text| socket.state.note("C", text));
            socket.on_line(100, |socket, line| socket.state.note("C", line.text()));
            socket.after(ms(20), |socket| socket.destroy());
            socket.on_close(move |socket, _| {
                if socket.state.number("n") == 1 {
                    socket.connect(address).unwrap();
                }
            });
        })
        .unwrap();
    world.until(|world| !world.state.of("C").is_empty());
    assert_eq!(world.state.of("C"), ["ok\n", "ok"]);
}

#[test]
fn callbacks_of_the_net_and_of_the_loop_do_not_mix() {
    let (mut world, id, _raw) = room(OutputLimits::new());
    world.of("S").write_then(pattern(FLOOD), told("S", "flood"));
    let other = world.new_socket(SocketOptions::new(), |_| {}).unwrap();
    world.net.write_with(other, b"x", 0);
    world.turn_for(ms(10));
    assert!(world.net.unsent(id) > 0);
    assert_eq!(world.state.of("S"), [""; 0], "the callback of a write that is still in flight");
}

#[test]
fn a_write_inside_on_close_behind_a_connect_goes_out() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world.client("C", free_address(), move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
            socket.write_then("hello again", told("C", "write"));
        }
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(20));
    assert_eq!(world.state.data("S"), b"hello again");
}

#[test]
fn end_then_on_a_destroyed_socket_is_answered() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
            socket.end_then(told("C", "end"));
        }
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(10));
    assert!(world.state.saw("C", "end ERR_STREAM_DESTROYED"), "{:?}", world.state.of("C"));
}

#[test]
fn the_grace_period_of_one_connection_is_not_the_next_ones() {
    let grace = ms(300);
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new().pause_on_connect(true), |_| {});
    let output_limits = OutputLimits::new().soft(SoftLimit::new(1000, grace));
    let options = SocketOptions::new().output_limits(output_limits);
    world.client_with(options, "C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.write(pattern(FLOOD));
            socket.after(ms(200), |socket| socket.destroy());
        }
        Heard::Connect => {
            socket.write(pattern(FLOOD));
            let now = socket.net.now();
            socket.state.moments.insert("above", now);
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        Heard::Error(_) => {
            let above = socket.net.now() - socket.state.moments["above"];
            assert!(above >= grace, "ended after {above:?}");
        }
        _ => {}
    });
    world.until_saw("C", "close(true)");
}

#[test]
fn a_connection_destroyed_inside_the_on_close_that_made_it_has_its_own_close() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => socket.destroy(),
        Heard::Close(_) if socket.state.add("n", 1) == 1 => {
            socket.connect(address).unwrap();
            socket.destroy();
        }
        _ => {}
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "close(false)"]);
}

#[test]
fn a_text_handler_replaced_while_it_runs_keeps_half_a_character() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| {
            socket.state.note("S", text);
            socket.on_text(|socket, text| socket.state.note("S", text));
        });
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let bytes = "né".as_bytes();
    raw.write_all(&bytes[..2]).unwrap();
    world.until(|world| world.state.saw("S", "n"));
    raw.write_all(&bytes[2..]).unwrap();
    world.until(|world| world.state.of("S").len() == 2);
    assert_eq!(world.state.of("S"), ["n", "é"]);
}

#[test]
fn a_timer_of_a_socket_does_not_outlive_the_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.after(ms(30), |socket| socket.state.note("C", "timer of the first"));
            socket.destroy();
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        _ => {}
    });
    world.turn_for(ms(60));
    assert!(!world.state.saw("C", "timer of the first"));
}

#[test]
fn catch_up_before_the_connection_is_answered_after_it() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world
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
fn an_idle_clock_does_not_start_again_with_the_next_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.set_timeout(Some(ms(10)));
            socket.destroy();
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        _ => {}
    });
    world.turn_for(ms(60));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "connect"]);
}

#[test]
fn an_end_with_data_after_the_end_answers_its_callback() {
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

#[test]
fn localhost_tells_the_error_of_its_first_address() {
    let mut world = World::new();
    world
        .connect("localhost:1", |socket| {
            socket.on_error(|socket, error| {
                let address = error.address().map(|address| address.to_string()).unwrap_or_default();
                socket.state.note("C", address);
            });
        })
        .unwrap();
    world.until(|world| !world.state.of("C").is_empty());
    assert_eq!(world.state.of("C"), ["127.0.0.1:1"]);
}

/// The connect and the first bytes were told by one readiness, and the loop slept on the bytes.
#[test]
fn what_comes_together_with_the_connection_is_heard_at_once() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("C", peer.local_addr().unwrap(), quiet);
    world.event_loop().next_tick(move |on| {
        // connect(2) is out. Before the loop looks again, the peer has answered and talked.
        let (mut stream, _) = peer.accept().unwrap();
        stream.write_all(b"220 hello").unwrap();
        on.after(ms(3000), move |_| drop(stream));
    });
    world.until_saw("C", "connect");
    if world.state.data("C").is_empty() {
        assert_eq!(world.net.next_deadline(), Some(world.net.now()), "it would sleep on what it was told");
    }
    world.until(|world| world.state.data("C") == b"220 hello");
}

/// A write that found no buffers was tried in every turn, and no turn slept.
#[test]
fn a_kernel_without_buffers_is_asked_again_after_a_while_and_not_without_end() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), ());
    event_loop.listen("10.0.0.1:7", |socket| socket.on_data(|_, _| {})).unwrap();
    let client = event_loop.connect("10.0.0.1:7", |_| {}).unwrap();
    while event_loop.net.is_connecting(client) {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    sim.set_weather(Weather { no_buffers: 1000, ..Weather::default() });
    event_loop.net.write(client, b"x");
    let (turns, until) = (event_loop.net.counters().turns, sim.now() + ms(200));
    while sim.now() < until {
        event_loop.turn(Some(ms(50))).unwrap();
    }
    let turns = event_loop.net.counters().turns - turns;
    assert!(turns <= 50, "{turns} turns in 200 ms");
    sim.set_weather(Weather::default());
    event_loop.turn(Some(ms(50))).unwrap();
    event_loop.turn(Some(ms(50))).unwrap();
    assert_eq!(event_loop.net.unsent(client), 0);
}

/// recv(2) stops at the urgent mark with more behind it: a short read that does not mean empty.
#[cfg(target_os = "linux")]
#[test]
fn what_stands_behind_urgent_data_is_read() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    raw.write_all(b"abc").unwrap();
    socket2::SockRef::from(&raw).send_out_of_band(b"!").unwrap();
    raw.write_all(b"def").unwrap();
    world.until(|world| world.state.data("S") == b"abcdef");
}

/// It was counted from the last wait, which a handler may have left far behind.
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

/// The policy that drops has no use for a soft limit, but a sender was held for it, for ever.
#[test]
fn a_receiver_whose_messages_are_dropped_holds_nobody_up() {
    let soft = SoftLimit::new(1000, ms(100_000));
    let limits = OutputLimits::new().hard(100_000).soft(soft).policy(OutputPolicy::DropOldest);
    let sim = Sim::with(1, Weather { buffer: 10_000, ..Weather::default() });
    let mut event_loop = EventLoop::on(sim.kernel(), (Vec::new(), 0));
    event_loop
        .listen_with("10.0.0.1:7", ServerOptions::new().output_limits(limits), |socket| {
            let id = socket.id();
            socket.state.0.push(id);
            socket.on_data(move |socket, chunk| {
                socket.state.1 += chunk.len();
                let others = socket.state.0.iter().copied().filter(|other| *other != id);
                socket.net.broadcast_from(id, others, [b'x'; 5000]);
            });
        })
        .unwrap();
    event_loop.connect("10.0.0.1:7", |deaf| deaf.pause()).unwrap();
    let speaker = event_loop.connect("10.0.0.1:7", |_| {}).unwrap();
    for _ in 0..200 {
        event_loop.net.write(speaker, b"0123456789");
        event_loop.turn(Some(ms(1))).unwrap();
    }
    for _ in 0..10 {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    assert_eq!(event_loop.state.1, 2000, "all that the speaker has said");
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
    let unsent = world.net.unsent(id);
    assert!(unsent > 0);
    socket2::SockRef::from(&raw).set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    world.until_closed(&["S"]);
    assert_eq!(world.state.closed("S").unsent, unsent);
}

/// A queue of which the kernel has taken a part was judged whatever had put it there.
#[test]
fn what_a_pipe_carries_is_not_judged_either_when_a_part_of_it_is_taken() {
    let soft = SoftLimit::new(1000, ms(100));
    let limits = OutputLimits::new().hard(50_000).soft(soft);
    let sim = Sim::with(1, Weather { buffer: 10_000, ..Weather::default() });
    let mut event_loop = EventLoop::on(sim.kernel(), None);
    event_loop
        .listen_with("10.0.0.1:7", ServerOptions::new().output_limits(limits), |socket| {
            let id = socket.id();
            socket.pipe(id).unwrap();
            socket.on_close(|socket, closed| *socket.state = Some(closed));
        })
        .unwrap();
    let options = SocketOptions::new().high_water_mark(1);
    let client = event_loop
        .event_loop()
        .connect_with("10.0.0.1:7", options, |client| {
            client.pause();
            client.write(vec![b'x'; 60_000]);
        })
        .unwrap();
    for _ in 0..100 {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    // It reads a little, and stops.
    let mut view = event_loop.socket(client).unwrap();
    view.on_data(|client, _| client.pause());
    view.resume();
    for _ in 0..500 {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    assert_eq!(event_loop.state, None);
}

/// The write that waits for the connection was dropped, and still counted.
#[test]
fn what_waits_for_the_connection_is_not_dropped_as_the_oldest() {
    let limits = OutputLimits::new().hard(100_000).policy(OutputPolicy::DropOldest);
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Vec::new());
    event_loop
        .listen("10.0.0.1:7", |socket| socket.on_data(|socket, bytes| socket.state.extend_from_slice(bytes)))
        .unwrap();
    let options = SocketOptions::new().output_limits(limits);
    event_loop
        .event_loop()
        .connect_with("10.0.0.1:7", options, |client| {
            client.write(vec![b'x'; 300_000]);
            client.write(b"dropped");
        })
        .unwrap();
    for _ in 0..100 {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    assert_eq!(event_loop.state, vec![b'x'; 300_000]);
}

/// The queue had become shorter by an `end`, and nobody let the sender go.
#[test]
fn who_was_held_up_by_a_corked_receiver_is_read_from_when_it_ends() {
    let soft = SoftLimit::new(1000, ms(60_000));
    let limits = OutputLimits::new().soft(soft).policy(OutputPolicy::PauseSenders);
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), (Vec::new(), 0));
    event_loop
        .listen_with("10.0.0.1:7", ServerOptions::new().allow_half_open(true), |socket| {
            let id = socket.id();
            socket.state.0.push(id);
            socket.on_data(|socket, bytes| socket.state.1 += bytes.len());
        })
        .unwrap();
    let options = SocketOptions::new().allow_half_open(true);
    let mut speaker = None;
    for _ in 0..2 {
        speaker = Some(event_loop.event_loop().connect_with("10.0.0.1:7", options.clone(), |_| {}).unwrap());
    }
    let turn = |event_loop: &mut EventLoop<(Vec<SocketId>, usize)>| {
        for _ in 0..20 {
            event_loop.turn(Some(ms(1))).unwrap();
        }
    };
    turn(&mut event_loop);
    let [receiver, sender] = event_loop.state.0[..] else { unreachable!() };
    event_loop.net.set_output_limits(receiver, limits).unwrap();
    event_loop.net.cork(receiver);
    event_loop.net.broadcast_from(sender, [receiver], [b'x'; 5000]);
    event_loop.net.write(speaker.unwrap(), b"hello?");
    turn(&mut event_loop);
    assert_eq!(event_loop.state.1, 0, "the sender is held up");
    event_loop.net.end(receiver, None);
    turn(&mut event_loop);
    assert_eq!(event_loop.state.1, 6);
}

/// An accept that fails because of its client is tried again at once. Where each of them fails, and nobody leaves the
/// queue, no turn slept.
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
        while client.net.is_connecting(socket) {
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

/// The clocks of a destroyed connection were counted as stale before they were, and two as one: when the stale ones were
/// dropped before its `close`, they stayed for the rest of their periods.
#[test]
fn clocks_of_connections_that_are_gone_are_dropped() {
    let mut event_loop = EventLoop::on(Sim::new(1).kernel(), ());
    event_loop.listen("10.0.0.1:7", |_| {}).unwrap();
    let hour = Duration::from_secs(3600);
    let soft = Some(SoftLimit::new(1, hour));
    let limited = SocketOptions::new().output_limits(OutputLimits::new().soft(soft));
    let clients =
        (0..200).map(|_| event_loop.event_loop().connect_with("10.0.0.1:7", limited.clone(), |_| {}).unwrap());
    let clients: Vec<SocketId> = clients.collect();
    for client in &clients {
        event_loop.net.set_timeout(*client, Some(hour));
        event_loop.net.write(*client, b"two");
    }
    clients.iter().for_each(|client| event_loop.net.destroy(*client));
    while event_loop.net.sockets() > 0 {
        event_loop.turn(Some(ms(1))).unwrap();
    }
    event_loop.net.check().unwrap();
}

/// More in flight than the kernel takes, and how much of it is unsent.
fn flooded() -> (World, SocketId, TcpStream, usize) {
    let (mut world, id, raw) = room(OutputLimits::new());
    world.net.write(id, &pattern(FLOOD));
    let unsent = world.net.unsent(id);
    (world, id, raw, unsent)
}

/// Writes that were merged before there was a limit are dropped as one. Only the first callback heard of it: the second
/// was told that all was well.
#[test]
fn each_callback_of_writes_that_were_dropped_as_one_says_so() {
    let (mut world, id, raw, unsent) = flooded();
    world.of("S").write_then(vec![b'a'; 30_000], told("S", "first"));
    world.of("S").write_then(vec![b'b'; 30_000], told("S", "second"));
    world.net.set_output_limits(id, hard(unsent + 70_000, OutputPolicy::DropOldest)).unwrap();
    world.of("S").write_then(vec![b'c'; 30_000], told("S", "third"));
    assert_eq!(world.read_raw(&raw, FLOOD + 30_000)[FLOOD..], vec![b'c'; 30_000]);
    world.until_saw("S", "third ok");
    assert_eq!(
        world.state.of("S"),
        ["first ERR_OUTPUT_LIMIT", "second ERR_OUTPUT_LIMIT", "drain", "third ok"],
        "what never went out is not told as written"
    );
    assert_eq!(world.net.counters().messages_dropped, 2);
}

/// An empty write lies nowhere in the queue. It was taken for the one that was dropped, whose callback was told that
/// all was well.
#[test]
fn an_empty_write_is_not_taken_for_the_one_that_was_dropped() {
    let (mut world, id, raw, unsent) = flooded();
    world.net.set_output_limits(id, hard(unsent + 50_000, OutputPolicy::DropOldest)).unwrap();
    world.of("S").write_then("", told("S", "empty"));
    world.of("S").write_then(vec![b'a'; 30_000], told("S", "first"));
    world.of("S").write_then(vec![b'b'; 30_000], told("S", "second"));
    assert_eq!(world.read_raw(&raw, FLOOD + 30_000)[FLOOD..], vec![b'b'; 30_000]);
    world.until_saw("S", "second ok");
    assert_eq!(world.state.of("S"), ["first ERR_OUTPUT_LIMIT", "drain", "empty ok", "second ok"]);
}

/// Where all that waited was dropped, no write completes, and whoever waited for `drain` waited for ever.
#[test]
fn drain_is_told_also_when_all_that_waited_was_dropped() {
    let (mut world, id, _raw) = room(hard(100_000, OutputPolicy::DropOldest));
    world.net.cork(id);
    assert!(!world.net.write(id, &pattern(80_000)), "above the mark");
    world.net.write(id, &pattern(150_000));
    assert_eq!(world.net.buffer_size(id), 0, "the second is above the limit by itself");
    world.until_saw("S", "drain");
    world.turn_for(ms(10));
    assert_eq!(world.state.of("S"), ["drain"]);
}

/// The connect forgot the error, and what was corked behind it: the bytes stayed in the queue, and nothing counted them.
/// In Node too the socket ends with the error of the first write.
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

/// What was read ahead flows until the destroy has come through, as in Node; but not past a pause.
#[test]
fn a_pause_behind_a_destroy_is_a_pause() {
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
            world.until(|world| world.net.bytes_read(id) == chunk * 5);
        }
        world.net.resume(id);
        world.until_closed(&["S"]);
        assert_eq!(world.state.number("chunks"), if pauses { 1 } else { 3 });
    }
}

/// A socket that no `connect` was called on.
fn fresh(world: &mut World, name: &'static str) -> SocketId {
    world.event_loop().new_socket(SocketOptions::new(), move |socket| watch(socket, name, quiet)).unwrap()
}

/// What was corked before there was a connection, and uncorked without one, lay there for ever: neither it nor the end
/// behind it was told of. In Node it fails as it would have without a cork.
#[test]
fn what_is_uncorked_without_a_connection_fails() {
    let mut world = World::new();
    let id = fresh(&mut world, "A");
    world.net.cork(id);
    world.of("A").write_then("x", told("A", "first"));
    world.of("A").write_then("", told("A", "second"));
    world.net.uncork(id);
    assert_eq!(world.net.buffer_size(id), 0);
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

    // A cork that nobody pulls fails with the destroy.
    let id = fresh(&mut world, "C");
    world.net.cork(id);
    world.of("C").write_then("x", told("C", "write"));
    world.net.destroy(id);
    world.run_dry();
    assert_eq!(world.state.of("C"), ["write ERR_STREAM_DESTROYED", "close(false)"]);
}

/// Uncorked while connecting, or after: both go out.
#[test]
fn what_was_corked_before_the_connect_goes_out_behind_it() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    let id = fresh(&mut world, "C");
    world.net.cork(id);
    world.of("C").write_then("x", told("C", "first"));
    world.net.connect(id, address).unwrap();
    world.net.uncork(id);
    assert_eq!((world.net.buffer_size(id), world.net.bytes_written(id)), (1, 1));
    world.of("C").write_then("y", told("C", "second"));
    world.until_saw("C", "second ok");
    assert_eq!(world.state.of("C"), ["connect", "first ok", "second ok"]);
    world.until(|world| world.net.bytes_read(world.id("S")) == 2);
}
