//! The two ends of a connection: which comes when, and what may still be written.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch};
use tidegate::{ReadyState, ServerOptions, SocketOptions};

fn half_open() -> (ServerOptions, SocketOptions) {
    (ServerOptions::new().allow_half_open(true), SocketOptions::new().allow_half_open(true))
}

// covers: writable, x/write-in-end-handler
#[test]
fn without_half_open_the_own_end_follows_on_a_tick_so_a_write_in_the_end_handler_still_goes_out() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::End = heard {
                assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
                assert!(!socket.is_readable() && socket.is_writable());
                assert!(socket.write("last words"));
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.end();
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "data last words", "end", "close(false)"]);
}

// covers: x/pending-writes-after-peer-fin
#[test]
fn without_half_open_pending_writes_are_flushed_before_the_own_end() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::End = heard {
            assert!(!socket.write(pattern(FLOOD)));
        }
    });
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("S", "end");
    world.turn_for(ms(30));
    assert!(!world.state.saw("S", "finish"));
    assert!(world.read_raw(&raw, usize::MAX) == pattern(FLOOD));
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"], "no drain after the end");
}

// covers: socket-write-after-fin
#[test]
fn a_half_open_server_stays_writable_after_the_clients_end() {
    let mut world = World::new();
    let (server_options, _) = half_open();
    world.pair_with(
        server_options,
        |socket, heard| {
            if let Heard::End = heard {
                socket.after(ms(20), |socket| {
                    assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
                    let all = socket.state.data("S");
                    socket.write("still here: ");
                    socket.end_with(all);
                });
            }
        },
        SocketOptions::new(),
        |socket, heard| {
            if let Heard::Connect = heard {
                for piece in ["hello1", "hello2", "hello3\n"] {
                    socket.write(piece);
                }
                socket.end_with("bye");
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["data hello1hello2hello3\nbye", "end", "finish", "close(false)"]);
    assert_eq!(
        world.state.of("C"),
        ["connect", "finish", "data still here: hello1hello2hello3\nbye", "end", "close(false)"]
    );
}

#[test]
fn half_open_matters_only_where_the_end_is_received() {
    let mut world = World::new();
    let (_, client_options) = half_open();
    world.pair_with(ServerOptions::new(), quiet, client_options, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end();
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"], "the server has no half-open");
}

// covers: x/eof-while-paused-empty
#[test]
fn end_comes_to_a_paused_socket_if_nothing_is_kept_for_it() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
}

#[test]
fn end_and_close_wait_for_bytes_that_nobody_reads() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.pause();
    });
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(b"unread").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.until(|world| world.state.saw("server", "connection") && world.of("S").bytes_read() == 6);
    world.turn_for(ms(30));
    assert!(world.state.of("S").is_empty());
    world.of("S").resume();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data unread", "end", "finish", "close(false)"]);
}

#[test]
fn callbacks_of_end_run_before_finish_and_after_it_they_get_an_error() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| match heard {
        Heard::Connect => {
            socket.end_then(told("C", "first"));
            socket.end_then(told("C", "second"));
        }
        Heard::Finish => socket.end_then(told("C", "late")),
        _ => {}
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(
        world.state.of("C"),
        ["connect", "first ok", "second ok", "finish", "late ERR_STREAM_ALREADY_FINISHED", "end", "close(false)"]
    );
}

// ---- as Node's tests look at it -------------------------------------------------------------------------------------

fn close_the_servers(socket: &mut View<'_>) {
    socket.net.close_servers();
}

// covers: allow-half-open
#[test]
fn a_socket_that_ends_after_its_peer_is_not_destroyed_before_both_ends() {
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
                            assert!(!on.net.connection(id).is_destroyed());
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
fn half_open_clients_stay_writable_after_the_servers_end() {
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
fn end_comes_before_the_destroy_also_if_the_peer_has_no_handlers() {
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
