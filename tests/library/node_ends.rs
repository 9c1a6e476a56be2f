//! How connections end, fail and begin again, as Node's own tests look at it; and all events of the simplest endings,
//! in their common order.

use std::cell::Cell;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use crate::support::free_address;
use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch, write_now};
use tidegate::{CloseReason, Endpoint, Error, ErrorKind, ReadyState, ServerOptions, SocketOptions, Syscall};

fn options() -> ServerOptions {
    ServerOptions::new()
}

fn half_open() -> ServerOptions {
    options().allow_half_open(true)
}

fn paused() -> ServerOptions {
    options().pause_on_connect(true)
}

fn an_error() -> Error {
    "nowhere".parse::<Endpoint>().unwrap_err()
}

/// Has a plain socket reset its connection, whatever was read.
fn reset(raw: TcpStream) {
    socket2::SockRef::from(&raw).set_linger(Some(ms(0))).unwrap();
    drop(raw);
}

// ---- all events, in their common order ------------------------------------------------------------------------------

// covers: x/order-server-ends
#[test]
fn all_events_in_order_when_the_server_ends() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end();
                socket.net.close_servers();
            }
        },
        quiet,
    );
    world.run_dry();
    assert_eq!(
        world.state.all()[2..],
        ["C connect", "S finish", "C end", "C finish", "C close(false)", "S end", "server close", "S close(false)"]
    );
}

// covers: x/order-client-ends, tcp-wrap-connect
#[test]
fn all_events_in_order_when_the_client_ends() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.net.close_servers();
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                assert!(socket.is_readable() && socket.is_writable());
                socket.write("x");
                socket.end_then(told("C", "ended"));
                assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
                assert!(!socket.is_writable());
            }
        },
    );
    world.run_dry();
    let all = world.state.all();
    let all: Vec<_> = all.iter().filter(|event| !event.starts_with("server con")).collect();
    assert_eq!(
        all[1..],
        [
            "C connect",
            "C ended ok",
            "C finish",
            "S data x",
            "S end",
            "S finish",
            "server close",
            "S close(false)",
            "C end",
            "C close(false)"
        ]
    );
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerEnded);
    assert_eq!(world.state.closed("C").reason, CloseReason::EndedHere);
}

// ---- again and again ------------------------------------------------------------------------------------------------

// covers: reconnect
#[test]
fn a_socket_connects_fifty_times_more() {
    const TIMES: usize = 50;
    let mut world = World::new();
    let (server, address) = world.serve(options(), |socket| {
        socket.write("hello\r\n");
        socket.on_end(|socket| socket.end());
        socket.on_close(|socket, closed| {
            assert!(!closed.had_error);
            socket.state.add("closed at the server", 1);
        });
        socket.resume();
    });
    world.client("C", address, move |socket, heard| match heard {
        Heard::Data(_) => socket.end(),
        Heard::Close(closed) => {
            assert!(!closed.had_error);
            if socket.state.add("closed", 1) <= TIMES {
                socket.connect(address).unwrap();
            } else {
                socket.net.close_server(server);
            }
        }
        _ => {}
    });
    world.run_dry();
    for event in ["connect", "end", "close(false)"] {
        assert_eq!(world.state.times("C", event), TIMES + 1, "{event}");
    }
    assert_eq!(world.state.data("C"), b"hello\r\n".repeat(TIMES + 1));
    assert_eq!(world.state.number("closed at the server"), TIMES + 1);
}

// covers: seq/reconnect-error
#[test]
fn each_refused_attempt_of_a_socket_is_an_error() {
    const TIMES: usize = 20;
    let nobody = free_address();
    let mut world = World::new();
    world.client("C", nobody, move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closed", 1) <= TIMES
        {
            socket.connect(nobody).unwrap();
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"].repeat(TIMES + 1));
}

// covers: seq/connect-econnrefused
#[test]
fn many_refused_connections_leave_nothing_behind() {
    let nobody = free_address();
    let mut world = World::new();
    for round in 1..=5 {
        for n in 0..50 {
            world.client(&format!("{round}.{n}"), nobody, |socket, heard| {
                if let Heard::Error(error) = heard {
                    assert_eq!((error.code(), error.syscall()), ("ECONNREFUSED", Some(Syscall::Connect)));
                    socket.state.add("errors", 1);
                }
            });
        }
        world.run_dry();
        assert_eq!((world.state.number("errors"), world.net.sockets()), (50 * round, 0));
    }
}

// covers: socket-destroy-twice, socket-reset-twice
#[test]
fn a_socket_destroyed_or_reset_again_in_its_error_closes_once() {
    type Act = fn(&mut View<'_>);
    let acts: [Act; 2] = [|socket| socket.destroy(), |socket| socket.reset()];
    for act in acts {
        let mut world = World::new();
        let (server, _) = world.pair(quiet, move |socket, heard| {
            if let Heard::Error(_) = heard {
                act(socket);
            }
        });
        world.net.close_server(server);
        world.run_dry();
        assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
    }
}

// ---- behind an end --------------------------------------------------------------------------------------------------

// covers: socket-close-after-end
#[test]
fn end_comes_before_close_also_for_a_late_reader() {
    let mut world = World::new();
    world.pair_with(
        paused(),
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end_with("foo");
                socket.after(ms(30), |socket| socket.resume());
            }
        },
        SocketOptions::new(),
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.end_with("foo");
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["finish", "data foo", "end", "close(false)"]);
}

// covers: socket-write-after-fin-error
#[test]
fn without_half_open_a_late_write_after_the_peers_end_fails_and_none_of_it_arrives() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::End = heard {
                let id = socket.id();
                // By the second tick the socket has ended itself.
                socket.event_loop().next_tick(move |on| {
                    on.next_tick(move |on| {
                        let mut socket = on.socket(id).unwrap();
                        assert!(!socket.write_then("too late", |socket, written| {
                            assert_eq!(written.unwrap_err().kind(), ErrorKind::EndedByOtherParty);
                            socket.state.note("S", "told");
                        }));
                    });
                });
            }
        },
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
    assert_eq!(world.state.data("S"), b"hello1hello2hello3\nbye");
    assert_eq!(world.state.of("S")[1..], ["end", "told", "error EPIPE", "close(true)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: write-after-end-nt
#[test]
fn a_write_after_both_ends_fails_on_a_tick_with_an_error_of_its_own() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end();
            }
        },
        |socket, heard| match heard {
            Heard::Connect => socket.end(),
            Heard::End => {
                assert!(!socket.write_then("too late", |socket, written| {
                    let error = written.unwrap_err();
                    assert_eq!((error.kind(), error.code()), (ErrorKind::EndedByOtherParty, "EPIPE"));
                    socket.state.note("C", error.to_string());
                }));
                socket.state.note("C", "written");
            }
            _ => {}
        },
    );
    world.until_closed(&["S", "C"]);
    let words = "this socket has been ended by the other party";
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "written", words, "error EPIPE", "close(true)"]);
}

// covers: write-after-close
#[test]
fn a_write_to_a_socket_that_has_closed_meanwhile_is_no_error() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| match heard {
        Heard::Connect => socket.end(),
        Heard::End => {
            let id = socket.state.id("S");
            // The socket is gone, so no callback can be called.
            assert!(socket.event_loop().socket(id).is_none_or(|server_side| server_side.is_destroyed()));
            assert!(!socket.net.write(id, b"test"));
            socket.state.note("C", "written");
        }
        _ => {}
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "written", "close(false)"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
}

// covers: x/unconsumed-data-blocks-close
#[test]
fn one_unread_byte_holds_up_end_and_close() {
    let mut world = World::new();
    let accepted = Rc::new(Cell::new(None));
    let seen = accepted.clone();
    let (_, address) = world.serve(options(), move |socket| {
        seen.set(Some(socket.id()));
        socket.on_end(|socket| socket.state.note("S", "end"));
        socket.on_close(|socket, _| socket.state.note("S", "close"));
    });
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with("x");
        }
    });
    world.until(|world| world.state.saw("C", "finish") && accepted.get().is_some());
    let id = accepted.get().unwrap();
    world.until(|world| world.net.connection(id).read_ahead() == 1);
    world.turn_for(ms(50));
    assert!(world.state.of("S").is_empty());
    assert_eq!(world.net.connection(id).ready_state().name(), "open");
    assert_eq!(world.state.of("C"), ["connect", "finish"]);
    assert_eq!(world.of("C").ready_state().name(), "readOnly");
    assert!(!world.of("C").is_destroyed());
}

// ---- resets ---------------------------------------------------------------------------------------------------------

// covers: x/rst-while-paused-full
#[test]
fn a_reset_after_a_full_buffer_is_seen_when_all_before_it_is_read() {
    let mut world = World::new();
    let options = options().high_water_mark(1000);
    let mut raw = world.raw_pair(options, |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    let all = pattern(100_000);
    let (kept, in_the_kernel) = all.split_at(50_000);
    let id = world.id("S");
    raw.write_all(kept).unwrap();
    world.until(|world| world.net.connection(id).read_ahead() >= 1000);
    raw.write_all(in_the_kernel).unwrap();
    world.turn_for(ms(10));
    reset(raw);
    world.turn_for(ms(30));
    assert!(world.state.of("S").is_empty(), "it does not look");
    assert!(world.net.connection(id).read_ahead() <= kept.len());
    world.of("S").resume();
    world.until_closed(&["S"]);
    assert!(world.state.data("S") == all);
    assert_eq!(world.state.of("S")[1..], ["error ECONNRESET", "close(true)"]);
}

// covers: x/rst-after-eof-halfopen
#[test]
fn on_a_half_open_socket_a_reset_after_the_end_shows_at_the_next_write() {
    let mut world = World::new();
    let raw = world.raw_pair(half_open(), |_, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.syscall(), Some(Syscall::Write));
        }
    });
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("S", "end");
    reset(raw);
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["end"]);
    assert!(!world.of("S").write_then("x", told("S", "write")));
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["end", "write EPIPE", "error EPIPE", "close(true)"]);
}

// covers: x/destroy-unread
#[test]
fn destroying_a_socket_with_unread_input_resets_its_peer() {
    let mut world = World::new();
    world.pair_with(paused(), quiet, SocketOptions::new(), |socket, heard| match heard {
        Heard::Connect => {
            socket.write("never read");
        }
        Heard::Error(error) => assert_eq!(error.syscall(), Some(Syscall::Read)),
        _ => {}
    });
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    world.turn_for(ms(5));
    world.of("S").destroy();
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "error ECONNRESET", "close(true)"]);
}

// covers: stream
#[test]
fn a_writer_whose_peer_leaves_fails_once() {
    let mut world = World::new();
    world.pair(
        |socket, heard| match heard {
            Heard::Accepted => {
                socket.set_no_delay(true);
                for _ in 0..10 {
                    socket.write_then(pattern(2_000_000), |socket, written| {
                        socket.state.add(if written.is_ok() { "written" } else { "failed" }, 1);
                    });
                }
                socket.end();
                socket.net.close_servers();
            }
            Heard::Error(_) => socket.destroy(),
            _ => {}
        },
        |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.pause();
                socket.after(ms(20), |socket| socket.destroy());
            }
        },
    );
    world.run_dry();
    let seen = world.state.of("S");
    assert!(seen.len() == 2 && seen[0].starts_with("error E"), "{seen:?}");
    assert_eq!(seen[1], "close(true)");
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerReset);
    let [written, failed] = ["written", "failed"].map(|which| world.state.number(which));
    assert!(failed > 0 && written + failed == 10, "each has its callback once: {written} and {failed}");
}

// ---- writes under way -----------------------------------------------------------------------------------------------

/// Writes a large one and a small one, and ends: all of it waits for a peer that does not read.
fn in_flight(socket: &mut View<'_>) {
    socket.write_then(pattern(FLOOD), told("S", "first"));
    socket.write_then("a", told("S", "second"));
    socket.end_then(told("S", "end"));
}

// covers: x/destroy-err-inflight
#[test]
fn a_destroy_with_an_error_fails_the_writes_and_the_error_comes_first() {
    let mut world = World::new();
    let _raw = world.raw_pair(paused(), |socket, heard| {
        if let Heard::Accepted = heard {
            in_flight(socket);
            socket.destroy_with(an_error());
        }
    });
    world.until_closed(&["S"]);
    let code = "ERR_INVALID_ARG_VALUE";
    let cut_off = [
        format!("error {code}"),
        "first ECANCELED".into(),
        format!("second {code}"),
        format!("end {code}"),
        "close(true)".into(),
    ];
    assert_eq!(world.state.of("S"), cut_off);
}

// covers: x/peer-rst-inflight
#[test]
fn a_reset_fails_the_writes_and_the_error_comes_first() {
    let mut world = World::new();
    let raw = world.raw_pair(options(), |socket, heard| match heard {
        Heard::Accepted => in_flight(socket),
        Heard::Error(error) => assert_eq!(error.syscall(), Some(Syscall::Read)),
        _ => {}
    });
    world.until_saw("server", "connection");
    world.turn_for(ms(5));
    reset(raw);
    world.until_closed(&["S"]);
    assert_eq!(
        world.state.of("S"),
        ["error ECONNRESET", "first ECANCELED", "second ECONNRESET", "end ECONNRESET", "close(true)"]
    );
}

// ---- what keeps the loop running ------------------------------------------------------------------------------------

// covers: persistent-ref-unref
#[test]
fn a_reference_taken_again_before_the_connection_counts() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |socket| {
        socket.set_ref(false);
        let timer = socket.after(ms(20), |socket| socket.end());
        socket.net.set_timer_ref(timer, false);
    });
    world.net.set_server_ref(server, false);
    let id = world.event_loop().new_socket(SocketOptions::new(), |socket| watch(socket, "C", quiet)).unwrap();
    world.net.set_ref(id, false);
    world.net.set_ref(id, true);
    world.net.connect(id, address).unwrap();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
}

// covers: internet/connect-unref
#[test]
fn a_connection_unreferenced_in_the_handler_of_its_connection_keeps_nothing_running() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |socket| socket.set_ref(false));
    world.net.set_server_ref(server, false);
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.set_ref(false);
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect"]);
}

// covers: x/loop-liveness
#[test]
fn a_full_buffer_that_nobody_takes_keeps_nothing_running() {
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| socket.net.close_servers());
    let raw = TcpStream::connect(address).unwrap();
    let mut sent = 0;
    write_now(&raw, &pattern(FLOOD), &mut sent);
    assert!(sent > 128 * 1024);
    world.run_dry();
    assert_eq!(world.net.sockets(), 1, "it is there, and full");
}
