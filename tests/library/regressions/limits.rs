//! What went wrong once with output limits, each with the smallest case that shows it.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::loops::{FLOOD, World, ms, pattern, quiet, told};
use tidegate::sim::{Conditions, Sim};
use tidegate::{EventLoop, OutputLimits, OutputPolicy, ServerOptions, SocketId, SocketOptions, SoftLimit};

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
fn dropping_the_newest_spares_a_reader_that_keeps_up() {
    let (mut world, id, raw) = room(hard(10_000, OutputPolicy::DropNewest));
    for _ in 0..20 {
        world.net.broadcast([id], [b'x'; 1000]);
    }
    assert_eq!(world.net.counters().messages_dropped, 0);
    assert_eq!(world.read_raw(&raw, 20_000).len(), 20_000);
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
fn callbacks_of_the_net_and_of_the_loop_do_not_mix() {
    let (mut world, id, _raw) = room(OutputLimits::new());
    world.of("S").write_then(pattern(FLOOD), told("S", "flood"));
    let other = world.event_loop().new_socket(SocketOptions::new(), |_| {}).unwrap();
    world.net.write_with(other, b"x", 0);
    world.turn_for(ms(10));
    assert!(world.net.connection(id).unsent() > 0);
    assert_eq!(world.state.of("S"), [""; 0], "the callback of a write that is still in flight");
}

/// A policy that drops ignores the soft limit. But a sender was held because of it, for ever.
#[test]
fn a_receiver_whose_messages_are_dropped_holds_no_sender() {
    let soft = SoftLimit::new(1000, ms(100_000));
    let limits = OutputLimits::new().hard(100_000).soft(soft).policy(OutputPolicy::DropOldest);
    let sim = Sim::with(1, Conditions::new().buffer(10_000));
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

/// Piped bytes do not count. But once the kernel had taken a part of them, the rest was counted.
#[test]
fn piped_bytes_do_not_count_either_when_a_part_is_taken() {
    let soft = SoftLimit::new(1000, ms(100));
    let limits = OutputLimits::new().hard(50_000).soft(soft);
    let sim = Sim::with(1, Conditions::new().buffer(10_000));
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
fn bytes_that_wait_for_the_connection_are_not_dropped_as_the_oldest() {
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

/// An `end` had made the queue shorter, and the sender was not let go.
#[test]
fn a_sender_held_by_a_corked_receiver_goes_on_when_that_ends() {
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

/// More in flight than the kernel takes, and how much of it is unsent.
fn flooded() -> (World, SocketId, TcpStream, usize) {
    let (mut world, id, raw) = room(OutputLimits::new());
    world.net.write(id, &pattern(FLOOD));
    let unsent = world.net.connection(id).unsent();
    (world, id, raw, unsent)
}

/// Writes that lie in one buffer, from before there was a limit, are dropped one by one. When they were dropped as one, only
/// the first callback got the error; the second one got `Ok`.
#[test]
fn each_callback_of_writes_that_lay_in_one_buffer_says_so() {
    let (mut world, id, raw, unsent) = flooded();
    world.of("S").write_then(vec![b'a'; 30_000], told("S", "first"));
    world.of("S").write_then(vec![b'b'; 30_000], told("S", "second"));
    world.net.set_output_limits(id, hard(unsent + 40_000, OutputPolicy::DropOldest)).unwrap();
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

/// An empty write has no place in the queue. It was taken for the one that was dropped, and the callback of the dropped
/// one got `Ok`.
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
    assert_eq!(world.net.counters().messages_dropped, 1);
}

/// If everything that waited was dropped, no write completes. So `drain` never came.
#[test]
fn drain_comes_also_when_all_that_waited_was_dropped() {
    let (mut world, id, _raw) = room(hard(100_000, OutputPolicy::DropOldest));
    world.net.cork(id);
    assert!(!world.net.write(id, &pattern(80_000)), "above the mark");
    world.net.write(id, &pattern(150_000));
    assert_eq!(world.net.connection(id).buffer_size(), 0, "the second is above the limit by itself");
    world.until_saw("S", "drain");
    world.turn_for(ms(10));
    assert_eq!(world.state.of("S"), ["drain"]);
}

/// The clocks of a destroyed connection were counted as stale before they were, and two as one: when the stale ones
/// were dropped before its `close`, they stayed for the rest of their periods.
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
