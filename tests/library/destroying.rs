//! Destroying and resetting: the events here, and what the peer hears.

use std::io::Write;
use std::net::TcpStream;

use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch};
use tidegate::{CloseReason, Endpoint, KeepAlive, ReadyState, ServerOptions, SocketOptions, Syscall};

fn paused_server() -> ServerOptions {
    ServerOptions::new().pause_on_connect(true)
}

#[test]
fn destroy_gives_close_alone_and_the_peer_hears_an_end() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.destroy();
                assert!(socket.is_destroyed());
                assert_eq!(socket.ready_state(), ReadyState::Closed);
                socket.destroy();
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.write("hello");
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["data hello", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
    assert_eq!(world.state.closed("S").reason, CloseReason::DestroyedHere);
    assert_eq!(world.state.closed("C").reason, CloseReason::PeerEnded);
}

#[test]
fn destroy_with_an_error_tells_it_once_and_a_second_destroy_is_ignored() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| match heard {
        Heard::Connect => {
            let error = "nowhere".parse::<Endpoint>().unwrap_err();
            socket.destroy_with(error.clone());
            socket.destroy_with(error);
            socket.destroy();
        }
        Heard::Error(_) => {
            socket.destroy();
            socket.write_then("x", told("C", "cb"));
        }
        _ => {}
    });
    world.until_closed(&["C"]);
    assert_eq!(
        world.state.of("C"),
        ["connect", "error ERR_INVALID_ARG_VALUE", "cb ERR_STREAM_DESTROYED", "close(true)"]
    );
}

#[test]
fn destroy_because_gives_its_reason() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy_because(CloseReason::Timeout);
        }
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::Timeout);
    assert!(!world.state.closed("C").had_error);
}

#[test]
fn destroying_in_any_handler_leaves_only_close() {
    // Which event the client destroys itself in, and what it has seen then.
    let cases: [(&str, &[&str]); 7] = [
        ("connect", &["connect", "close(false)"]),
        ("data", &["connect", "data hello", "close(false)"]),
        ("end", &["connect", "data hello", "end", "close(false)"]),
        ("drain", &["connect", "data hello", "drain", "close(false)"]),
        ("finish", &["connect", "data hello", "finish", "close(false)"]),
        ("timeout", &["connect", "data hello", "timeout", "close(false)"]),
        ("close", &["connect", "data hello", "close(false)"]),
    ];
    for (at, expected) in cases {
        let mut world = World::new();
        let server_side = move |socket: &mut View<'_>, heard: Heard<'_>| match heard {
            Heard::Accepted if at == "end" => socket.end_with("hello"),
            Heard::Accepted => {
                socket.write("hello");
            }
            _ => {}
        };
        let options = ServerOptions::new().allow_half_open(true);
        world.pair_with(options, server_side, SocketOptions::new(), move |socket, heard| {
            let name = match heard {
                Heard::Connect => "connect",
                Heard::Data(_) => "data",
                Heard::End => "end",
                Heard::Drain => "drain",
                Heard::Finish => "finish",
                Heard::Timeout => "timeout",
                Heard::Close(_) => "close",
                Heard::Error(_) | Heard::Accepted => return,
            };
            if name == at {
                socket.destroy();
            }
            if let Heard::Data(_) = heard {
                match at {
                    "drain" => {
                        socket.cork();
                        socket.write(pattern(70_000));
                        socket.uncork();
                    }
                    "finish" => socket.end(),
                    "timeout" => socket.set_timeout(Some(ms(5))),
                    "close" => socket.destroy(),
                    _ => {}
                }
            }
        });
        world.until_closed(&["C"]);
        world.turn_for(ms(10));
        assert_eq!(world.state.of("C"), expected, "destroyed in {at}");
    }
}

#[test]
fn destroying_as_it_is_accepted_leaves_only_close() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.write("gone");
                socket.destroy();
            }
        },
        quiet,
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "data gone", "end", "finish", "close(false)"]);
}

#[test]
fn a_socket_destroyed_by_another_sockets_handler_gets_no_more_data() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        let n = socket.state.add("accepted", 1);
        let (own, other) = if n == 1 { ("S1", "S2") } else { ("S2", "S1") };
        watch(socket, own, move |socket, heard| {
            if let Heard::Data(_) = heard {
                let other = socket.state.id(other);
                socket.net.destroy(other);
            }
        });
    });
    let raws = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    world.until(|world| world.state.number("accepted") == 2);
    for mut raw in &raws {
        raw.write_all(b"x").unwrap();
    }
    world.until(|world| world.state.is_closed("S1") || world.state.is_closed("S2"));
    world.turn_for(ms(10));
    let (mut first, mut second) = (world.state.of("S1"), world.state.of("S2"));
    if first.len() > second.len() || first[0] == "data x" {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!((first, second), (vec!["close(false)".to_owned()], vec!["data x".to_owned()]));
}

// covers: seq/response-size
#[test]
fn destroy_soon_flushes_and_does_not_wait_for_the_peers_end() {
    let mut world = World::new();
    let raw = world.raw_pair(paused_server(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.write(pattern(FLOOD));
            for _ in 0..100 {
                socket.write(pattern(1024));
            }
            socket.destroy_soon();
            assert!(!socket.is_destroyed() && !socket.is_writable());
        }
    });
    assert!(world.read_raw(&raw, usize::MAX) == [pattern(FLOOD), pattern(1024).repeat(100)].concat());
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["finish", "close(false)"]);
    assert_eq!(world.state.closed("S").unsent, 0);
}

#[test]
fn destroy_soon_after_finish_is_a_destroy() {
    let mut world = World::new();
    let _raw = world.raw_pair(ServerOptions::new(), |socket, heard| match heard {
        Heard::Accepted => socket.end(),
        Heard::Finish => {
            socket.destroy_soon();
            assert!(socket.is_destroyed());
        }
        _ => {}
    });
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["finish", "close(false)"]);
}

#[test]
fn a_reset_while_connecting_waits_for_the_connection() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.of("C").write_then("x", told("C", "cb"));
    world.of("C").reset();
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "cb ok", "close(false)"]);
}

// covers: end-without-connect, x/write-never-connected, connect-reset, connect-destroy
#[test]
fn a_socket_that_never_connected_can_end_and_be_destroyed_and_nothing_else() {
    type Act = fn(&mut View<'_>);
    let acts: [(Act, &[&str]); 4] = [
        (|socket| socket.end_then(told("X", "end")), &["end ok", "finish"]),
        (|socket| socket.destroy(), &["close(false)"]),
        (
            |socket| assert!(!socket.write_then("x", told("X", "write"))),
            &["write ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"],
        ),
        (|socket| socket.reset(), &["error ERR_SOCKET_CLOSED", "close(true)"]),
    ];
    for (act, seen) in acts {
        let mut world = World::new();
        world.event_loop().new_socket(SocketOptions::new(), |socket| watch(socket, "X", quiet)).unwrap();
        act(&mut world.of("X"));
        assert!(world.state.of("X").is_empty(), "not inside the call");
        world.run_dry();
        assert_eq!(world.state.of("X"), seen);
    }
}

// ---- as Node's tests look at it -------------------------------------------------------------------------------------

fn close_the_servers(socket: &mut View<'_>) {
    socket.net.close_servers();
}

// ---- destroyed ------------------------------------------------------------------------------------------------------

// covers: connect-immediate-destroy, connect-reset-before-connected
#[test]
fn a_client_given_up_in_the_turn_of_its_connect_only_closes() {
    for resets_first in [false, true] {
        let mut world = World::new();
        world.pair(quiet, quiet);
        world.net.close_servers();
        if resets_first {
            world.of("C").reset();
        }
        world.of("C").destroy();
        world.run_dry();
        assert_eq!(world.state.of("C"), ["close(false)"]);
        assert_eq!(world.state.of("server"), ["close"]);
    }
}

// covers: connect-after-destroy
#[test]
fn after_a_destroy_no_address_of_localhost_is_tried() {
    let mut world = World::new();
    let (_, address) = world.serve_on("localhost:0", ServerOptions::new(), |_| {});
    world.client("C", format!("localhost:{}", address.port()), quiet);
    world.of("C").destroy();
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["close(false)"]);
    assert_eq!(world.state.of("server"), ["listening"]);
}

// covers: after-close
#[test]
fn calls_in_close_do_nothing() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| socket.end());
    let setup = move |socket: &mut View<'_>| {
        socket.on_error(|socket, error| socket.state.note("C", format!("error {}", error.code())));
        socket.on_close(move |socket, _| {
            socket.state.note("C", "close");
            socket.set_no_delay(true);
            socket.set_keep_alive(Some(KeepAlive::new())).unwrap();
            socket.pause();
            socket.resume();
            assert_eq!((socket.local_address(), socket.remote_address()), (None, Some(address)));
            assert_eq!((socket.buffer_size(), socket.ready_state()), (0, ReadyState::Closed));
            close_the_servers(socket);
        });
    };
    world.connect(address, setup).unwrap();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["close"]);
    assert_eq!(world.state.of("server"), ["listening", "connection", "close"]);
}

// covers: error-twice
#[test]
fn a_large_write_to_a_destroyed_peer_is_one_error() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    world.of("C").destroy();
    world.of("S").write(pattern(FLOOD));
    world.net.close_servers();
    world.run_dry();
    // The kernel decides whether the end or the reset is seen first.
    let seen = world.state.of("S");
    assert_eq!(seen.iter().filter(|event| event.starts_with("error ")).count(), 1, "{seen:?}");
    assert_eq!(seen.last().unwrap(), "close(true)");
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerReset);
}

// ---- reset ----------------------------------------------------------------------------------------------------------

/// A server whose sockets are to see the reset of the other side.
fn is_reset(socket: &mut View<'_>, heard: Heard<'_>) {
    if let Heard::Error(error) = heard {
        assert_eq!(error.syscall(), Some(Syscall::Read));
        assert!(error.to_string().starts_with("read ECONNRESET"), "{error}");
        close_the_servers(socket);
    }
}

// covers: connect-reset-after-destroy, socket-reset-send
#[test]
fn a_write_after_a_reset_fails_and_the_reset_is_still_sent() {
    let mut world = World::new();
    world.pair(is_reset, |socket, heard| {
        if let Heard::Connect = heard {
            socket.reset();
            socket.destroy();
            assert!(!socket.write_then([0; 10], told("C", "write")));
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "write ERR_STREAM_DESTROYED", "close(false)"]);
    assert_eq!(world.state.of("S"), ["error ECONNRESET", "close(true)"]);
}
