//! One message to many: gathered, in order, shared in memory, and without the sockets that cannot be written to.

#[cfg(target_os = "linux")]
use crate::support::isolated::isolated;
use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, told, watch};
#[cfg(target_os = "linux")]
use crate::support::process::memory;
use std::net::TcpStream;
use tidegate::{ServerOptions, SocketId, SocketOptions};

/// A server with so many sockets, and the plain sockets at their other ends.
fn room(count: usize) -> (World, Vec<SocketId>, Vec<TcpStream>) {
    World::room(ServerOptions::new(), count, quiet)
}

#[test]
fn each_receiver_gets_all_messages_in_order() {
    let (mut world, ids, raws) = room(5);
    let mut all = Vec::new();
    for n in 0..100 {
        let message = format!("message {n}\n");
        all.extend_from_slice(message.as_bytes());
        world.net.broadcast(ids.iter().copied(), &message);
        if n % 7 == 0 {
            world.turn(Some(ms(0))).unwrap();
        }
    }
    for raw in &raws {
        assert!(world.read_raw(raw, all.len()) == all);
    }
}

#[test]
fn the_messages_of_one_turn_go_out_as_one() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| watch(socket, "S", quiet));
    world.client("C", address, |socket, heard| {
        if let Heard::Data(chunk) = heard {
            socket.state.note("chunks", chunk.len().to_string());
        }
    });
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    let id = world.id("S");
    for n in 0..16 {
        world.net.broadcast([id], format!("{n:02}"));
    }
    assert_eq!(world.net.connection(id).buffer_size(), 32, "nothing goes out inside the call");
    world.until(|world| world.state.data("C").len() == 32);
    assert_eq!(world.state.data("C"), b"00010203040506070809101112131415");
    assert_eq!(world.state.of("chunks"), ["32"], "sixteen writes would be more than one chunk");
    assert_eq!(world.net.connection(id).buffer_size(), 0);
}

#[test]
fn a_message_keeps_its_place_among_the_other_writes() {
    let (mut world, ids, raws) = room(1);
    let id = ids[0];
    world.net.write(id, b"1 ");
    world.net.broadcast([id], "2 ");
    world.net.write(id, b"3 ");
    world.net.broadcast([id], "4 ");
    world.net.broadcast([id], "5 ");
    world.net.write(id, b"6");
    assert_eq!(world.read_raw(&raws[0], 11), b"1 2 3 4 5 6");
}

#[test]
fn a_message_behind_a_write_in_flight_keeps_its_place_too() {
    let (mut world, ids, raws) = room(1);
    let mut all = pattern(FLOOD);
    assert!(!world.net.write(ids[0], &all));
    world.net.broadcast(ids.iter().copied(), "second");
    world.turn_for(ms(5));
    world.net.write(ids[0], b"third");
    world.net.broadcast(ids.iter().copied(), "fourth");
    all.extend_from_slice(b"secondthirdfourth");
    assert!(world.read_raw(&raws[0], all.len()) == all);
}

#[test]
fn a_message_goes_out_before_an_end_that_follows_it() {
    let (mut world, ids, raws) = room(2);
    world.net.broadcast(ids.iter().copied(), "bye");
    world.net.end(ids[0], None);
    world.net.destroy_soon(ids[1]);
    assert_eq!(world.read_raw(&raws[0], 4), b"bye");
    assert_eq!(world.read_raw(&raws[1], 4), b"bye");
}

#[test]
fn a_message_counts_as_a_write() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new().high_water_mark(10), |socket| {
        watch(socket, "S", quiet);
    });
    let raw = TcpStream::connect(address).unwrap();
    world.until_saw("server", "connection");
    let id = world.id("S");
    world.net.broadcast([id], "0123456789");
    assert_eq!((world.net.connection(id).buffer_size(), world.net.connection(id).bytes_written()), (10, 10));
    assert!(world.net.connection(id).needs_drain());
    assert_eq!(world.read_raw(&raw, 10), b"0123456789");
    world.until_saw("S", "drain");
    assert_eq!((world.net.connection(id).buffer_size(), world.net.connection(id).bytes_written()), (0, 10));
    assert_eq!(world.state.of("S"), ["drain"]);
}

#[test]
fn sockets_that_cannot_be_written_to_are_left_out_without_an_error() {
    let (mut world, ids, raws) = room(5);
    let fresh = world.event_loop().new_socket(SocketOptions::new(), |socket| watch(socket, "fresh", quiet)).unwrap();
    world.net.end(ids[1], None);
    world.net.destroy(ids[2]);
    world.net.destroy(ids[3]);
    world.until_closed(&["S4"]);
    assert!(!world.net.connection(ids[3]).exists());
    world.net.destroy(ids[4]);
    world.net.broadcast(ids.iter().copied().chain([fresh]), "hello");
    assert_eq!(world.read_raw(&raws[0], 5), b"hello");
    assert_eq!(world.read_raw(&raws[1], 1), b"");
    world.until_closed(&["S3", "S5"]);
    world.turn_for(ms(10));
    assert_eq!(world.state.of("S2"), ["finish"]);
    assert_eq!(world.state.of("S3"), ["close(false)"]);
    assert!(world.state.of("fresh").is_empty());
}

#[test]
fn an_empty_message_and_an_empty_room_send_nothing() {
    let (mut world, ids, _raws) = room(1);
    world.net.broadcast(ids.iter().copied(), "");
    world.net.broadcast([], "nobody");
    world.turn_for(ms(5));
    assert_eq!(world.net.connection(ids[0]).bytes_written(), 0);
}

#[test]
fn a_receiver_named_twice_gets_it_twice() {
    let (mut world, ids, raws) = room(1);
    world.net.broadcast([ids[0], ids[0]], "hi");
    assert_eq!(world.read_raw(&raws[0], 4), b"hihi");
}

#[test]
fn a_corked_receiver_gets_it_when_it_is_uncorked() {
    let (mut world, ids, raws) = room(1);
    world.net.cork(ids[0]);
    world.net.broadcast([ids[0]], "held");
    world.turn_for(ms(10));
    assert_eq!(world.net.connection(ids[0]).buffer_size(), 4);
    world.net.uncork(ids[0]);
    assert_eq!(world.net.connection(ids[0]).buffer_size(), 0);
    assert_eq!(world.read_raw(&raws[0], 4), b"held");
}

#[test]
fn a_message_behind_a_write_that_waits_for_the_connection_follows_it() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    let id = world.id("C");
    world.of("C").write_then("first ", told("C", "first"));
    world.net.broadcast([id], "second");
    world.until(|world| world.state.data("S") == b"first second");
    assert_eq!(world.state.of("C"), ["connect", "first ok"]);
}

#[test]
fn a_receiver_that_does_not_read_delays_nobody() {
    let (mut world, ids, raws) = room(3);
    let message = pattern(FLOOD / 4);
    for _ in 0..8 {
        world.net.broadcast(ids.iter().copied(), &message);
        for reader in &raws[1..] {
            assert!(world.read_raw(reader, message.len()) == message);
        }
    }
    assert!(world.net.connection(ids[0]).unsent() > 0);
    for _ in 0..8 {
        assert!(world.read_raw(&raws[0], message.len()) == message, "and nothing is lost for the one that was slow");
    }
}

#[test]
fn a_receiver_destroyed_with_messages_queued_leaves_those_of_the_others_whole() {
    let (mut world, ids, raws) = room(3);
    let message = pattern(FLOOD);
    world.net.broadcast(ids.iter().copied(), &message);
    world.turn_for(ms(5));
    world.net.broadcast(ids.iter().copied(), "tail");
    world.net.destroy(ids[1]);
    for raw in [&raws[0], &raws[2]] {
        assert!(world.read_raw(raw, message.len()) == message);
        assert_eq!(world.read_raw(raw, 4), b"tail");
    }
    world.until_closed(&["S2"]);
    assert!(world.state.closed("S2").unsent > 0);
}

/// 200 receivers that hold 2 MB of messages each would be 400 MB, if each had a copy.
#[cfg(target_os = "linux")]
#[test]
fn a_message_lies_in_memory_once_however_many_receivers_wait_for_it() {
    isolated("broadcast::a_message_lies_in_memory_once_however_many_receivers_wait_for_it", || {
        let (mut world, ids, _raws) = room(200);
        for id in &ids {
            world.net.cork(*id);
        }
        let message = pattern(1000);
        let before = memory("self");
        for n in 0..2000 {
            world.net.broadcast(ids.iter().copied(), &message);
            if n % 50 == 0 {
                world.turn(Some(ms(0))).unwrap();
            }
        }
        assert!(ids.iter().all(|id| world.net.connection(*id).unsent() == 2_000_000));
        let grown = memory("self").saturating_sub(before);
        assert!(grown < 200_000_000, "{grown} bytes more");
    });
}
