//! Reading: data, pauses, what is read ahead, and catching up.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch, write_now};
use tidegate::ServerOptions;

fn paused_server() -> ServerOptions {
    ServerOptions::new().pause_on_connect(true)
}

#[test]
fn data_comes_whole_and_in_order_however_much_it_is() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Data(chunk) = heard {
                assert!(chunk.len() <= 64 * 1024);
                socket.write(chunk);
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.end_with(pattern(3_000_000));
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert!(world.state.data("S") == pattern(3_000_000));
    assert!(world.state.data("C") == pattern(3_000_000));
    assert_eq!(world.state.of("S"), ["data of 3000000", "end", "finish", "close(false)"]);
}

#[test]
fn counters_count_both_directions() {
    let mut world = World::new();
    world.pair(
        |socket, heard| match heard {
            Heard::Data(_) => {
                socket.write("four");
            }
            Heard::Close(_) => assert_eq!((socket.bytes_read(), socket.bytes_written()), (6, 4)),
            _ => {}
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write("sixsix");
            }
            Heard::Data(_) => socket.end(),
            Heard::Close(_) => assert_eq!((socket.bytes_read(), socket.bytes_written()), (4, 6)),
            _ => {}
        },
    );
    world.until_closed(&["S", "C"]);
}

// covers: x/pause-before-first-read
#[test]
fn a_socket_paused_before_it_connects_reads_not_one_byte_not_even_the_end() {
    for in_connect in [false, true] {
        let mut world = World::new();
        let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end_with("early");
            }
        });
        let setup = |socket: &mut View<'_>| {
            if in_connect {
                socket.on_connect(|socket| {
                    socket.pause();
                    watch(socket, "C", quiet); // a handler of `data` before would have begun to read
                    socket.state.note("C", "connect");
                });
            } else {
                socket.pause();
                watch(socket, "C", quiet);
            }
        };
        world.connect(address, setup).unwrap();
        world.until_saw("S", "finish");
        world.turn_for(ms(30));
        assert_eq!(world.state.of("C"), ["connect"]);
        assert_eq!(world.of("C").bytes_read(), 0);
        world.of("C").resume();
        world.until_closed(&["S", "C"]);
        assert_eq!(world.state.of("C"), ["connect", "data early", "end", "finish", "close(false)"]);
    }
}

#[test]
fn pause_on_connect_reads_not_one_byte_until_resume() {
    let mut world = World::new();
    let mut raw = world.raw_pair(paused_server(), |socket, heard| {
        if let Heard::Accepted = heard {
            assert!(socket.is_paused());
        }
    });
    raw.write_all(b"early").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("server", "connection");
    world.turn_for(ms(30));
    assert!(world.state.of("S").is_empty());
    assert_eq!(world.of("S").bytes_read(), 0);
    world.of("S").resume();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data early", "end", "finish", "close(false)"]);
}

// covers: x/paused-buffer-bound
#[test]
fn read_ahead_of_a_paused_socket_is_bounded_by_the_mark_and_one_read() {
    for mark in [1000, 16 * 1024, 64 * 1024] {
        let mut world = World::new();
        let options = ServerOptions::new().high_water_mark(mark);
        let raw = world.raw_pair(options, |socket, heard| {
            if let Heard::Accepted = heard {
                socket.pause();
            }
        });
        let all = pattern(FLOOD);
        let mut sent = 0;
        world.until_saw("server", "connection");
        write_now(&raw, &all, &mut sent);
        let id = world.id("S");
        world.until(|world| world.net.connection(id).read_ahead() >= mark);
        world.turn_for(ms(50));
        let read_ahead = world.net.connection(id).read_ahead();
        assert!((mark..=mark - 1 + 65536).contains(&read_ahead), "{read_ahead} bytes read ahead");
        assert_eq!(world.net.connection(id).bytes_read(), read_ahead as u64);
        assert!(world.state.of("S").is_empty());
        world.of("S").resume();
        world.write_raw(&raw, &all[sent..]);
        raw.shutdown(Shutdown::Write).unwrap();
        world.until_closed(&["S"]);
        assert!(world.state.data("S") == all, "nothing is lost and nothing is out of order");
    }
}

// covers: x/paused-buffer-bound
#[test]
fn pausing_in_a_data_handler_holds_the_next_chunk_back() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Data(_) = heard {
            socket.pause();
            socket.state.note("S", "paused");
            assert!(socket.is_paused());
        }
    });
    raw.write_all(b"one").unwrap();
    world.until_saw("S", "paused");
    raw.write_all(b"two").unwrap();
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["data one", "paused"]);
    let id = world.id("S");
    assert_eq!(
        (world.net.connection(id).read_ahead(), world.net.connection(id).bytes_read()),
        (3, 6),
        "the next chunk is kept behind it"
    );
    world.of("S").resume();
    assert_eq!(world.state.times("S", "paused"), 1, "not inside the call");
    world.until(|world| world.state.times("S", "paused") == 2);
    assert_eq!(world.state.of("S"), ["data one", "paused", "data two", "paused"]);
}

#[test]
fn a_data_handler_does_not_undo_a_pause() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    world.of("S").pause();
    world.of("S").on_data(|socket, chunk| socket.state.note("S", format!("got {}", chunk.len())));
    raw.write_all(b"hello").unwrap();
    world.turn_for(ms(30));
    assert!(world.state.of("S").is_empty());
    world.of("S").resume();
    world.until_saw("S", "got 5");
}

#[test]
fn without_a_handler_a_flowing_socket_loses_its_data_and_still_hears_the_end() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        socket.on_end(|socket| socket.state.note("S", format!("end after {}", socket.bytes_read())));
        socket.resume();
    });
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(b"lost").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("S", "end after 4");
}

#[test]
fn catch_up_runs_when_all_that_was_sent_is_delivered() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    raw.write_all(&pattern(300_000)).unwrap();
    world.of("S").catch_up(told("S", "caught up"));
    world.until_saw("S", "caught up ok");
    assert_eq!(world.state.of("S"), ["data of 300000", "caught up ok"]);
}

#[test]
fn catch_up_runs_on_a_silent_socket_behind_the_end_and_fails_with_a_destroy() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new().allow_half_open(true), quiet);
    world.until_saw("server", "connection");
    world.of("S").catch_up(told("S", "silent"));
    world.until_saw("S", "silent ok");
    world.of("S").pause();
    world.turn_for(ms(5));
    raw.shutdown(Shutdown::Write).unwrap();
    world.of("S").resume();
    world.of("S").catch_up(told("S", "behind the end"));
    world.until_saw("S", "behind the end ok");
    world.of("S").destroy();
    world.of("S").catch_up(told("S", "destroyed"));
    world.until_closed(&["S"]);
    assert_eq!(
        world.state.of("S"),
        ["silent ok", "end", "behind the end ok", "destroyed ERR_STREAM_DESTROYED", "close(false)"]
    );
}
