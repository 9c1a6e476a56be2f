//! Writing: return values, callbacks, drain, corks and marks.

use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, told};
use tidegate::{ServerOptions, SocketOptions};

fn paused_server() -> ServerOptions {
    ServerOptions::new().pause_on_connect(true)
}

// covers: x/write-return-boundary, tcp-wrap-listen
#[test]
fn a_write_that_the_kernel_took_whole_leaves_nothing_and_its_callback_comes_on_a_tick() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            assert_eq!(socket.buffer_size(), 0);
            assert!(socket.write_then("hello", told("C", "write")), "the kernel took it, whatever the mark");
            assert_eq!((socket.buffer_size(), socket.bytes_written()), (0, 5));
            assert!(!socket.state.saw("C", "write ok"), "never inside the call");
            socket.event_loop().next_tick(|on| on.state.note("C", "next tick"));
        }
    });
    world.until_saw("C", "next tick");
    assert_eq!(world.state.of("C"), ["connect", "write ok", "next tick"]);
}

#[test]
fn a_write_in_flight_counts_whole_and_drain_comes_before_its_callbacks() {
    let mut world = World::new();
    let raw = world.raw_pair(paused_server(), |socket, heard| {
        if let Heard::Accepted = heard {
            assert!(!socket.write_then(pattern(FLOOD), told("S", "cb0")));
            assert!(!socket.write_then("b", told("S", "cb1")));
            assert!(!socket.write_then("c", told("S", "cb2")));
            assert_eq!((socket.buffer_size(), socket.bytes_written()), (FLOOD + 2, FLOOD as u64 + 2));
            assert!(socket.net.connection(socket.id()).needs_drain());
        }
    });
    world.until_saw("server", "connection");
    world.turn_for(ms(20));
    assert!(world.state.of("S").is_empty());
    let unsent = world.net.connection(world.id("S")).unsent();
    assert!(unsent < FLOOD, "the kernel took a part");
    assert_eq!(world.of("S").buffer_size(), FLOOD + 2, "and yet it counts whole");
    world.read_raw(&raw, FLOOD + 2);
    world.until_saw("S", "cb2 ok");
    assert_eq!(world.state.of("S"), ["drain", "cb0 ok", "cb1 ok", "cb2 ok"]);
    assert_eq!(world.of("S").buffer_size(), 0);
}

#[test]
fn drain_comes_only_when_the_buffer_is_empty_and_only_if_a_write_returned_false() {
    let mut world = World::new();
    let options = SocketOptions::new().high_water_mark(10);
    world.pair_with(ServerOptions::new(), quiet, options, |socket, heard| {
        if let Heard::Connect = heard {
            socket.cork();
            assert!(socket.write_then("12345", told("C", "a")));
            assert!(socket.write_then("1234", told("C", "b")));
            assert!(!socket.write_then("1", told("C", "c")), "10 of 10");
            socket.uncork();
            assert_eq!(socket.buffer_size(), 0);
            socket.event_loop().next_tick(|on| on.state.note("C", "tick"));
        }
    });
    world.until_saw("C", "tick");
    world.of("C").write("123456789");
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["connect", "drain", "a ok", "b ok", "c ok", "tick"], "and no other drain");
}

// covers: x/write-return-boundary
#[test]
fn marks_of_0_and_1_are_true_when_flushed_and_false_while_anything_waits() {
    for mark in [0, 1] {
        let mut world = World::new();
        let options = SocketOptions::new().high_water_mark(mark);
        world.pair_with(ServerOptions::new(), quiet, options, |socket, heard| {
            if let Heard::Connect = heard {
                assert!(socket.write("x"));
                socket.cork();
                assert!(socket.write(""));
                assert!(!socket.write("y"));
                socket.uncork();
                assert!(socket.write("z"));
                assert_eq!(socket.buffer_size(), 0);
            }
        });
        world.until_saw("C", "drain");
        world.until(|world| world.state.data("S") == b"xyz");
        assert_eq!(world.state.of("C"), ["connect", "drain"], "mark {mark}");
    }
}

#[test]
fn a_mark_of_0_still_reads() {
    let mut world = World::new();
    let options = ServerOptions::new().high_water_mark(0);
    world.pair_with(options, quiet, SocketOptions::new(), |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with(pattern(200_000));
        }
    });
    world.until_closed(&["S", "C"]);
    assert!(world.state.data("S") == pattern(200_000));
}

#[test]
fn corked_writes_count_wait_and_go_out_as_one() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Data(chunk) = heard {
                socket.state.note("chunks", chunk.len().to_string());
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.cork();
                socket.cork();
                socket.write("one ");
                socket.write("two ");
                socket.uncork();
                socket.write("three");
                assert_eq!((socket.buffer_size(), socket.bytes_written()), (13, 13));
                socket.after(ms(20), |socket| {
                    assert_eq!(socket.buffer_size(), 13, "as many uncorks as corks");
                    socket.uncork();
                    assert_eq!((socket.buffer_size(), socket.bytes_written()), (0, 13), "at once");
                    socket.uncork();
                });
            }
        },
    );
    world.until(|world| world.state.data("S").len() == 13);
    assert_eq!(world.state.of("chunks"), ["13"]);
}

#[test]
fn end_pulls_every_cork() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.cork();
            socket.cork();
            socket.write("held ");
            socket.end_with("back");
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.data("S"), b"held back");
}

#[test]
fn an_empty_write_has_its_callback_and_sends_nothing() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            assert!(socket.write_then("", told("C", "empty")));
        }
    });
    world.until_saw("C", "empty ok");
    world.turn_for(ms(10));
    assert!(world.state.of("S").is_empty());
}

// covers: x/destroy-inflight
#[test]
fn bytes_written_of_a_destroyed_socket_keeps_what_was_handed_over_and_loses_what_was_queued() {
    let mut world = World::new();
    let _raw = world.raw_pair(paused_server(), |socket, heard| match heard {
        Heard::Accepted => {
            socket.write_then(pattern(FLOOD), told("S", "in flight"));
            socket.write_then("b", told("S", "queued"));
            socket.destroy();
            assert_eq!(socket.bytes_written(), FLOOD as u64 + 1);
        }
        Heard::Close(closed) => {
            assert_eq!((socket.bytes_written(), socket.buffer_size()), (FLOOD as u64, 0));
            assert!((2..=FLOOD + 1).contains(&closed.unsent), "{}", closed.unsent);
        }
        _ => {}
    });
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["in flight ECANCELED", "queued ECANCELED", "close(false)"]);
}

#[test]
fn a_close_without_loss_has_nothing_unsent() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with("all of it");
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!((world.state.closed("S").unsent, world.state.closed("C").unsent), (0, 0));
}
