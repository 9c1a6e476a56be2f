//! A socket that connects again, an id that is stale, and handlers that replace themselves.

use std::io::Write;

use crate::support::free_address;
use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, told};
use tidegate::{OutputLimits, ReadyState, ServerOptions, SocketOptions, SoftLimit};

#[test]
fn connecting_again_inside_on_close_keeps_id_and_handlers_and_restarts_the_counters() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.end_with("hello");
        }
    });
    let id = world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => {
            assert_eq!((socket.bytes_read(), socket.bytes_written(), socket.buffer_size()), (0, 0, 0));
            socket.write("hi");
        }
        Heard::Close(_) => {
            assert_eq!((socket.bytes_read(), socket.bytes_written()), (5, 2));
            if socket.state.add("closes", 1) < 3 {
                socket.connect(address).unwrap();
                assert!(socket.is_connecting() && !socket.is_destroyed());
                assert_eq!((socket.bytes_read(), socket.bytes_written()), (0, 0));
                assert_eq!(socket.remote_address(), None);
            }
        }
        _ => {}
    });
    world.until(|world| !world.net.connection(id).exists());
    assert_eq!(world.state.times("C", "connect"), 3);
    assert_eq!(world.state.times("C", "close(false)"), 3);
    assert_eq!(world.state.data("C"), b"hellohellohello");
}

#[test]
fn connecting_is_an_error_in_any_state_but_fresh_and_closed() {
    let mut world = World::new();
    let (_, address) = world.pair(quiet, quiet);
    assert!(world.of("C").connect(address).is_err(), "connecting");
    world.until_saw("C", "connect");
    assert!(world.of("C").connect(address).is_err(), "connected");
    world.of("C").destroy();
    assert!(world.of("C").connect(address).is_err(), "closing");
    assert!(!world.of("C").state.is_closed("C"), "and none of them did anything to it");
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "close(false)"]);
}

#[test]
fn the_id_is_stale_after_close_and_calls_with_it_do_nothing_to_anybody() {
    let mut world = World::new();
    let (_, address) = world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
        }
    });
    let stale = world.id("C");
    world.until(|world| !world.net.connection(stale).exists());
    assert!(world.socket(stale).is_none());
    let stranger = world.client("stranger", address, quiet);
    assert_ne!(stale, stranger);
    world.until_saw("stranger", "connect");
    assert!(!world.net.write(stale, b"lost"));
    world.net.end(stale, None);
    world.net.reset(stale);
    world.net.destroy(stale);
    world.net.pause(stale);
    world.net.set_timeout(stale, Some(ms(1)));
    world.net.broadcast([stale], "lost");
    assert!(world.net.connect(stale, address).is_err());
    assert!(world.net.pipe(stale, stranger).is_err());
    assert!(world.net.connection(stale).is_destroyed());
    assert_eq!(world.net.connection(stale).ready_state(), ReadyState::Closed);
    assert_eq!(
        (
            world.net.connection(stale).bytes_read(),
            world.net.connection(stale).buffer_size(),
            world.net.connection(stale).timeout()
        ),
        (0, 0, None)
    );
    world.turn_for(ms(20));
    assert_eq!(world.state.of("stranger"), ["connect"]);
    assert_eq!(world.of("stranger").ready_state(), ReadyState::Open);
    assert!(!world.of("stranger").is_paused());
}

#[test]
fn timers_of_a_socket_end_with_its_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("connections", 1) == 1 => {
            socket.after(ms(5), |socket| socket.state.note("C", "timer"));
            socket.after(ms(30), |socket| socket.state.note("C", "late timer"));
            socket.after(ms(10), |socket| socket.destroy());
        }
        Heard::Close(_) if socket.state.number("connections") == 1 => socket.connect(address).unwrap(),
        _ => {}
    });
    world.until(|world| world.state.number("connections") == 2);
    world.turn_for(ms(60));
    assert_eq!(world.state.of("C"), ["connect", "timer", "close(false)", "connect"]);
}

#[test]
fn a_handler_may_replace_or_remove_itself() {
    for replaces in [true, false] {
        let mut world = World::new();
        let mut raw = world.raw_pair(ServerOptions::new(), quiet);
        world.until_saw("server", "connection");
        world.of("S").on_data(move |socket, _| {
            socket.state.note("S", "first");
            socket.off_data();
            if replaces {
                socket.on_data(|socket, _| socket.state.note("S", "second"));
            }
        });
        for n in 1..=3 {
            raw.write_all(b"x").unwrap();
            world.until(|world| world.of("S").bytes_read() == n);
        }
        let seen: &[&str] = if replaces { &["first", "second", "second"] } else { &["first"] };
        assert_eq!(world.state.of("S"), seen);
    }
}

#[test]
fn a_close_handler_that_replaces_itself_is_told_of_the_next_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| socket.end());
    world
        .connect(address, move |socket| {
            socket.on_close(move |socket, _| {
                socket.state.note("C", "first close");
                socket.on_close(|socket, _| socket.state.note("C", "second close"));
                socket.connect(address).unwrap();
            });
        })
        .unwrap();
    world.until_saw("C", "second close");
    assert_eq!(world.state.of("C"), ["first close", "second close"]);
}

// ---- what one connection leaves to the next: nothing ----------------------------------------------------------------

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
fn a_write_that_waited_fails_also_if_the_socket_connects_again_in_on_close() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    world.client("C", free_address(), move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
            socket.write_then("hello again", told("C", "new"));
        }
    });
    world.of("C").write_then("old", told("C", "old"));
    world.of("C").write_then("older", told("C", "older"));
    world.until_saw("C", "new ok");
    world.turn_for(ms(10));
    assert_eq!(world.state.data("S"), b"hello again");
    assert!(!world.state.saw("C", "old ok"));
    assert!(!world.state.saw("C", "older ok"));
}
