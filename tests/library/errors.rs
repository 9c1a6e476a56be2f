//! Errors: their codes, their order among the other events, and which connection they close.

use std::io::Write;
use std::net::Shutdown;

use crate::support::free_address;
use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, told};
use tidegate::{CloseReason, ErrorKind, ServerOptions, SocketOptions, Syscall};

fn half_open() -> (ServerOptions, SocketOptions) {
    (ServerOptions::new().allow_half_open(true), SocketOptions::new().allow_half_open(true))
}

// covers: connect-reset-until-connected
#[test]
fn a_reset_is_econnreset_for_the_other_side_and_no_error_here() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.reset();
            }
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write("hello");
            }
            Heard::Error(error) => {
                assert_eq!(error.syscall(), Some(Syscall::Read));
                assert!(error.to_string().starts_with("read ECONNRESET"), "{error}");
            }
            _ => {}
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["data hello", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "error ECONNRESET", "close(true)"]);
    assert_eq!(world.state.closed("S").reason, CloseReason::DestroyedHere);
    assert_eq!(world.state.closed("C").reason, CloseReason::PeerReset);
}

// covers: x/rst-while-paused-not-full
#[test]
fn a_reset_discards_what_was_read_ahead() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
            socket.write("unread by the peer: its close is a reset");
        }
    });
    (&raw).write_all(b"kept").unwrap();
    world.until(|world| world.state.saw("server", "connection") && world.of("S").bytes_read() == 4);
    drop(raw);
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["error ECONNRESET", "close(true)"]);
}

// covers: x/write-to-closed-peer
#[test]
fn a_write_to_a_peer_that_is_gone_fails_with_epipe_callbacks_first() {
    let mut world = World::new();
    let (options, _) = half_open();
    let raw = world.raw_pair(options, |socket, heard| match heard {
        Heard::End => {
            assert!(socket.write_then("a", told("S", "cb0")), "the peer answers it with a reset");
            socket.after(ms(30), |socket| {
                assert!(!socket.write_then("b", told("S", "cb1")));
                assert!(!socket.write_then("c", told("S", "cb2")));
            });
        }
        Heard::Error(error) => assert_eq!(error.syscall(), Some(Syscall::Write)),
        _ => {}
    });
    world.until_saw("server", "connection");
    drop(raw);
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["end", "cb0 ok", "cb1 EPIPE", "cb2 EPIPE", "error EPIPE", "close(true)"]);
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerReset);
}

#[test]
fn a_write_after_the_peers_end_without_half_open_is_epipe_too() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new(), |socket, heard| match heard {
        Heard::End => {
            socket.write_then(pattern(FLOOD), told("S", "big"));
            socket.after(ms(10), |socket| assert!(!socket.write_then("x", told("S", "cb"))));
        }
        Heard::Error(error) => assert_eq!(error.kind(), ErrorKind::EndedByOtherParty),
        _ => {}
    });
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["end", "cb EPIPE", "error EPIPE", "big ECANCELED", "close(true)"]);
}

// covers: x/write-after-own-end
#[test]
fn a_write_after_the_own_end_destroys_with_an_error_of_its_own() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with("x");
            assert!(!socket.write_then("y", told("C", "cb")));
            assert!(socket.is_destroyed());
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["data x", "end", "finish", "close(false)"]);
    let code = "ERR_STREAM_WRITE_AFTER_END";
    assert_eq!(world.state.of("C"), ["connect", &format!("cb {code}"), &format!("error {code}"), "close(true)"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::Error);
}

// covers: socket-destroy-send
#[test]
fn a_write_after_destroy_has_only_its_callback() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
            socket.destroy();
            assert!(!socket.write_then("x", told("C", "cb")));
            assert!(!socket.write("y"));
            socket.end_then(told("C", "end"));
        }
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "cb ERR_STREAM_DESTROYED", "end ERR_STREAM_DESTROYED", "close(false)"]);
}

#[test]
fn an_error_that_nobody_listens_to_is_counted_and_closes_only_its_connection() {
    let mut world = World::new();
    world
        .connect(free_address(), |socket| {
            socket.on_close(|socket, closed| {
                socket.state.note("C", format!("close({})", closed.had_error));
            })
        })
        .unwrap();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["close(true)"]);
    assert_eq!(world.net.counters().errors_unhandled, 1);
}
