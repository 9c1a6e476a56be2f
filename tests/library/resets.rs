//! The ends of a connection, good and bad: both sides end, one is destroyed or reset, one is killed.

use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch};
use tidegate::{CloseReason, KeepAlive, ReadyState, ServerOptions, SocketOptions, Syscall};

fn close_the_servers(socket: &mut View<'_>) {
    socket.net.close_servers();
}

// ---- both sides end -------------------------------------------------------------------------------------------------

// covers: allow-half-open
#[test]
fn who_is_ended_and_ends_is_not_destroyed_before_both_are_done() {
    for client_says_something in [false, true] {
        let mut world = World::new();
        world.pair(
            |socket, heard| {
                if let Heard::Accepted = heard {
                    socket.end_with(pattern(1024));
                    close_the_servers(socket);
                }
            },
            move |socket, heard| match heard {
                Heard::End => {
                    assert!(!socket.is_destroyed());
                    let id = socket.id();
                    if !client_says_something {
                        socket.event_loop().next_tick(move |on| {
                            assert!(!on.net.is_destroyed(id));
                            on.state.note("C", "tick");
                        });
                    }
                }
                Heard::Finish => assert!(!socket.is_destroyed()),
                Heard::Close(_) => assert!(socket.is_destroyed()),
                _ => {}
            },
        );
        if client_says_something {
            world.of("C").end_with("asd");
        }
        world.run_dry();
        let seen = world.state.of("C");
        if client_says_something {
            assert_eq!(seen, ["connect", "finish", "data of 1024", "end", "close(false)"]);
            assert_eq!(world.state.data("S"), b"asd");
        } else {
            assert_eq!(seen, ["connect", "data of 1024", "end", "tick", "finish", "close(false)"]);
        }
    }
}

// covers: connect-options-allowhalfopen
#[test]
fn clients_that_stay_open_behind_the_servers_end_speak_on() {
    const CLIENTS: usize = 6;
    let half_open = ServerOptions::new().allow_half_open(true);
    let mut world = World::new();
    let (_, address) = world.serve(half_open, |socket| {
        let n = socket.state.add("accepted", 1);
        watch(socket, &format!("S{n}"), |socket, heard| {
            if let Heard::End = heard
                && socket.state.add("ended", 1) == CLIENTS
            {
                socket.after(ms(50), |socket| socket.state.note("test", "over"));
                socket.event_loop().after(ms(50), |on| on.net.close_servers());
            }
        });
        socket.end();
    });
    for n in 1..=CLIENTS {
        let options = SocketOptions::new().allow_half_open(true);
        world.client_with(options, &format!("C{n}"), address, move |socket, heard| {
            if let Heard::End = heard {
                socket.after(ms(50), move |socket| {
                    assert_eq!((socket.is_readable(), socket.is_writable()), (false, true));
                    assert!(socket.write(format!("C{n}")));
                    socket.end();
                });
            }
        });
    }
    world.run_dry();
    let mut said = Vec::new();
    for n in 1..=CLIENTS {
        let actor = format!("S{n}");
        said.push(String::from_utf8(world.state.data(&actor)).unwrap());
        let data = format!("data {}", said[n - 1]);
        assert_eq!(world.state.of(&actor), ["finish", &data, "end", "close(false)"]);
        assert_eq!(world.state.of(&format!("C{n}")), ["connect", "end", "finish", "close(false)"]);
    }
    said.sort();
    assert_eq!(said, ["C1", "C2", "C3", "C4", "C5", "C6"]);
    assert_eq!(world.state.times("server", "close"), 1);
    assert!(!world.state.saw("test", "over"), "the timer of a socket that has closed");
}

// covers: end-destroyed
#[test]
fn an_end_comes_to_who_is_not_destroyed_though_nobody_listens_on_the_other_side() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    world.client("C", address, |socket, heard| match heard {
        Heard::Connect => socket.end(),
        Heard::End => {
            assert!(!socket.is_destroyed());
            close_the_servers(socket);
        }
        _ => {}
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// ---- destroyed ------------------------------------------------------------------------------------------------------

// covers: connect-destroy
#[test]
fn a_socket_that_never_connected_closes_when_it_is_destroyed() {
    let mut world = World::new();
    world.new_socket(SocketOptions::new(), |socket| watch(socket, "X", quiet)).unwrap();
    world.of("X").destroy();
    assert!(world.state.of("X").is_empty(), "not inside the call");
    world.run_dry();
    assert_eq!(world.state.of("X"), ["close(false)"]);
}

// covers: connect-immediate-destroy
#[test]
fn a_server_and_a_client_given_up_in_the_turn_of_the_connect_only_close() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.net.close_servers();
    world.of("C").destroy();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["close(false)"]);
    assert_eq!(world.state.of("server"), ["close"]);
}

// covers: connect-after-destroy
#[test]
fn of_the_addresses_of_localhost_none_is_tried_behind_a_destroy() {
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
fn calls_and_questions_in_close_do_nothing() {
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
fn a_large_write_to_who_has_destroyed_itself_is_one_error() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    world.of("C").destroy();
    world.of("S").write(pattern(FLOOD));
    world.net.close_servers();
    world.run_dry();
    // Whether the end or the reset is seen first is the kernel's business.
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

// covers: connect-reset-until-connected
#[test]
fn a_reset_of_a_connection_closes_here_and_breaks_the_read_there() {
    let mut world = World::new();
    world.pair(is_reset, quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    world.of("C").reset();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "close(false)"]);
    assert_eq!(world.state.of("S"), ["error ECONNRESET", "close(true)"]);
}

// covers: connect-reset-after-destroy, socket-reset-send
#[test]
fn a_write_behind_a_reset_and_a_destroy_fails_alone_and_the_reset_stands() {
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

// covers: connect-reset-before-connected
#[test]
fn a_reset_and_a_destroy_before_the_connection_are_a_destroy() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.net.close_servers();
    world.of("C").reset();
    world.of("C").destroy();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["close(false)"]);
}
