//! Sockets: each event, its order among the others, and what each call does to them.
//!
//! Connecting, data, both ends, writing with callbacks, corks and marks, pausing, destroying, errors with their codes,
//! connecting again. The rules are Node 26's where no comment says otherwise. Servers, time and pipes have files of
//! their own.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch};
use crate::support::{free_address, has_ipv6};
use tidegate::{CloseReason, Endpoint, ErrorKind, Line, ReadyState, ServerOptions, SocketOptions, Syscall};

fn half_open() -> (ServerOptions, SocketOptions) {
    (ServerOptions::new().allow_half_open(true), SocketOptions::new().allow_half_open(true))
}

fn paused_server() -> ServerOptions {
    ServerOptions::new().pause_on_connect(true)
}

// ---- connecting -----------------------------------------------------------------------------------------------------

// covers: socket-connecting, local-address-port
#[test]
fn connect_tells_both_sides_and_each_knows_the_others_address() {
    let mut world = World::new();
    let (_, address) = world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                assert_eq!(socket.ready_state(), ReadyState::Open);
                let server = socket.server().unwrap();
                assert_eq!(socket.local_address(), socket.net.server_address(server));
                let port = socket.remote_address().unwrap().port() as usize;
                socket.state.numbers.insert("client's port", port);
            }
        },
        |socket, heard| match heard {
            Heard::Connect => {
                assert!(!socket.is_connecting());
                assert_eq!(socket.ready_state(), ReadyState::Open);
                assert_eq!(socket.server(), None);
                let port = socket.local_address().unwrap().port() as usize;
                socket.state.numbers.insert("own port", port);
                socket.destroy();
            }
            Heard::Close(_) => assert_eq!(socket.local_address(), None),
            _ => {}
        },
    );
    let client = world.of("C");
    assert!(client.is_connecting());
    assert_eq!(client.ready_state(), ReadyState::Opening);
    assert_eq!((client.local_address(), client.remote_address()), (None, None));
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "close(false)"]);
    assert_eq!(world.state.number("own port"), world.state.number("client's port"));
    assert_ne!(address.port(), 0);
}

#[test]
fn the_remote_address_is_kept_until_closed_even_if_nobody_asked_before() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| match heard {
        Heard::Accepted => socket.destroy(),
        Heard::Close(_) => assert!(socket.remote_address().is_some()),
        _ => {}
    });
    world.client("C", address, move |socket, heard| {
        if let Heard::Close(_) = heard {
            assert_eq!(socket.remote_address(), Some(address));
            socket.state.note("C", "asked");
        }
    });
    world.until_closed(&["S", "C"]);
    assert!(world.state.saw("C", "asked"));
}

// covers: seq/connect-handle-econnrefused
#[test]
fn a_refused_connection_is_an_error_with_the_address_then_close() {
    let mut world = World::new();
    let nobody = free_address();
    world.client("C", nobody, move |socket, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!((error.syscall(), error.address()), (Some(Syscall::Connect), Some(nobody)));
            assert!(error.to_string().starts_with("connect ECONNREFUSED"), "{error}");
            assert!(!socket.is_connecting());
            assert!(socket.is_destroyed());
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::ConnectFailed);
}

// covers: x/connect-refused-pending-writes
#[test]
fn writes_that_waited_for_a_connection_that_never_came_fail_after_close() {
    let mut world = World::new();
    world.client("C", free_address(), quiet);
    let mut client = world.of("C");
    client.write_then("first", told("C", "first"));
    client.write_then("second", told("C", "second"));
    client.end_with("third");
    client.end_then(told("C", "end"));
    world.run_dry();
    assert_eq!(
        world.state.of("C"),
        [
            "error ECONNREFUSED",
            "close(true)",
            "first ERR_SOCKET_CLOSED_BEFORE_CONNECTION",
            "second ECONNREFUSED",
            "end ECONNREFUSED"
        ]
    );
}

#[test]
fn what_is_written_while_connecting_goes_out_in_order_and_the_end_behind_it() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    let mut client = world.of("C");
    assert!(client.write("one "));
    assert!(client.write("two "));
    client.end_with("three");
    assert_eq!((client.buffer_size(), client.bytes_written()), (13, 13));
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["data one two three", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: write-cb-on-destroy-before-connect
#[test]
fn a_socket_destroyed_while_connecting_closes_without_connecting() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    let mut client = world.of("C");
    client.write_then("never", told("C", "write"));
    client.destroy();
    assert!(!client.is_connecting());
    world.until_closed(&["C"]);
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["close(false)", "write ERR_SOCKET_CLOSED_BEFORE_CONNECTION"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::DestroyedHere);
}

#[test]
fn localhost_tries_127_0_0_1_and_then_the_other_family() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let (_, address) = world.serve_on("[::1]:0", ServerOptions::new(), |socket| watch(socket, "S", quiet));
    world.client("C", Endpoint::Localhost(address.port()), move |socket, heard| {
        if let Heard::Connect = heard {
            assert_eq!(socket.remote_address(), Some(address));
            socket.end();
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: seq/better-error-messages-port
#[test]
fn localhost_that_refuses_everywhere_is_one_error() {
    let mut world = World::new();
    let port = free_address().port();
    world.client("C", Endpoint::Localhost(port), move |_, heard| {
        if let Heard::Error(error) = heard {
            let address = error.address().unwrap();
            assert!(address.ip().is_loopback() && address.port() == port, "{error}");
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
}

#[test]
fn localhost_reaches_a_server_on_127_0_0_1() {
    let mut world = World::new();
    let (_, address) = world.serve_on("localhost:0", ServerOptions::new(), |socket| socket.end());
    assert!(address.ip().is_loopback() && address.is_ipv4());
    world.client("C", format!("localhost:{}", address.port()), quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
}

// ---- the two ends ---------------------------------------------------------------------------------------------------

// covers: tcp-wrap-connect
#[test]
fn who_is_ended_first_hears_end_finish_close_and_who_ends_first_finish_end_close() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            assert!(socket.is_readable() && socket.is_writable());
            socket.end();
            assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
            assert!(!socket.is_writable());
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("server"), ["listening", "connection"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerEnded);
    assert_eq!(world.state.closed("C").reason, CloseReason::EndedHere);
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

#[test]
fn half_open_at_the_server_it_stays_writable_after_the_clients_end() {
    let mut world = World::new();
    let (server_options, _) = half_open();
    world.pair_with(
        server_options,
        |socket, heard| {
            if let Heard::End = heard {
                socket.after(ms(20), |socket| {
                    assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
                    socket.write("still ");
                    socket.end_with("here");
                });
            }
        },
        SocketOptions::new(),
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.end();
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "data still here", "end", "close(false)"]);
}

#[test]
fn half_open_at_the_client_it_stays_writable_after_the_servers_end() {
    let mut world = World::new();
    let (_, client_options) = half_open();
    world.pair_with(
        ServerOptions::new(),
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end();
            }
        },
        client_options,
        |socket, heard| {
            if let Heard::End = heard {
                assert!(socket.is_writable());
                socket.after(ms(20), |socket| socket.end_with("and me"));
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["finish", "data and me", "end", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
}

#[test]
fn the_flag_matters_only_where_the_end_is_received() {
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

// covers: end-without-connect
#[test]
fn a_socket_that_never_connected_finishes_its_end_at_once() {
    let mut world = World::new();
    world.new_socket(SocketOptions::new(), |socket| watch(socket, "X", quiet)).unwrap();
    world.of("X").end_then(told("X", "end"));
    world.turn_for(ms(10));
    assert_eq!(world.state.of("X"), ["end ok", "finish"]);
}

// ---- data -----------------------------------------------------------------------------------------------------------

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
    let mark = 1000;
    let mut world = World::new();
    let options = ServerOptions::new().high_water_mark(mark);
    let raw = world.raw_pair(options, |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    raw.set_nonblocking(true).unwrap();
    let all = pattern(FLOOD);
    let mut sent = 0;
    while let Ok(count) = (&raw).write(&all[sent..]) {
        sent += count;
    }
    world.until_saw("server", "connection");
    world.turn_for(ms(50));
    let id = world.id("S");
    let read_ahead = world.net.read_ahead(id);
    assert!((mark..=mark - 1 + 65536).contains(&read_ahead), "{read_ahead} bytes read ahead");
    assert_eq!(world.net.bytes_read(id), read_ahead as u64);
    assert!(world.state.of("S").is_empty());
    world.of("S").resume();
    world.write_raw(&raw, &all[sent..]);
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    assert!(world.state.data("S") == all, "nothing is lost and nothing is out of order");
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
    assert_eq!((world.net.read_ahead(id), world.net.bytes_read(id)), (3, 6), "the next chunk is kept behind it");
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
fn text_is_right_where_a_character_is_split_between_chunks() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| socket.state.note("S", format!("text {text}")));
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let words = "né€😀".as_bytes();
    for (count, byte) in words.iter().enumerate() {
        raw.write_all(&[*byte]).unwrap();
        world.until(|world| world.state.saw("server", "connection") && world.of("S").bytes_read() == count as u64 + 1);
    }
    raw.write_all(&words[1..2]).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    let expected = ["text n", "text é", "text €", "text 😀", "text \u{FFFD}", "end", "finish", "close(false)"];
    assert_eq!(world.state.of("S"), expected, "half a character at the end is one replacement, told before `end`");
}

/// A socket `S` whose lines of 8 bytes are noted, with a client that says these pieces and ends.
fn lines_of(pieces: &[&str], also: impl Fn(&mut View<'_>, &Line<'_>) + Copy + 'static) -> World {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), move |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_line(8, move |socket, line| {
            let too_long = if line.is_too_long() { " and too long" } else { "" };
            socket.state.note("S", format!("line {}{too_long}", line.text()));
            also(socket, line);
        });
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let mut sent = 0;
    for piece in pieces {
        raw.write_all(piece.as_bytes()).unwrap();
        sent += piece.len() as u64;
        world.until(|world| {
            world.state.is_closed("S") || world.state.saw("server", "connection") && world.of("S").bytes_read() == sent
        });
    }
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    world
}

#[test]
fn lines_are_cut_from_the_chunks_of_a_socket() {
    let world = lines_of(&["one\r\ntw", "o\n\nfar too", " long a line\nlast", "\nand this"], |_, _| {});
    assert_eq!(
        world.state.of("S"),
        [
            "line one",
            "line two",
            "line ",
            "line far too  and too long",
            "line last",
            "line and this",
            "end",
            "finish",
            "close(false)"
        ],
        "a line that is too long is told in its place, once; the last one needs no end of its own"
    );
}

#[test]
fn lines_end_with_a_destroy() {
    let world = lines_of(&["one\ntwo\nthree\nfo"], |socket, line| {
        if line.bytes() == b"two" {
            socket.destroy();
        }
    });
    assert_eq!(world.state.of("S"), ["line one", "line two", "close(false)"]);
}

#[test]
fn another_handler_and_bound_are_for_the_next_line() {
    let world = lines_of(&["one\nlonger\nthen", " more\n"], |socket, _| {
        socket.on_line(4, |socket, line| {
            let too_long = if line.is_too_long() { " and too long" } else { "" };
            socket.state.note("S", format!("other {}{too_long}", line.text()));
        });
    });
    let expected = ["line one", "other long and too long", "other then and too long", "end", "finish", "close(false)"];
    assert_eq!(world.state.of("S"), expected);
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

// ---- writing --------------------------------------------------------------------------------------------------------

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
            assert!(socket.net.needs_drain(socket.id()));
        }
    });
    world.until_saw("server", "connection");
    world.turn_for(ms(20));
    assert!(world.state.of("S").is_empty());
    let unsent = world.net.unsent(world.id("S"));
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

// ---- errors ---------------------------------------------------------------------------------------------------------

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
            Heard::Error(error) => assert_eq!(error.syscall(), Some(Syscall::Read)),
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
fn a_reset_throws_read_ahead_away() {
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
        }
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "cb ERR_STREAM_DESTROYED", "close(false)"]);
}

// covers: x/write-never-connected
#[test]
fn a_write_on_a_socket_that_never_connected_is_err_socket_closed() {
    let mut world = World::new();
    world.new_socket(SocketOptions::new(), |socket| watch(socket, "X", quiet)).unwrap();
    assert!(!world.of("X").write_then("x", told("X", "cb")));
    world.until_closed(&["X"]);
    assert_eq!(world.state.of("X"), ["cb ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"]);
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
    assert_eq!(world.net.counters().errors_unheard, 1);
}

// ---- destroying -----------------------------------------------------------------------------------------------------

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
fn a_socket_destroyed_by_another_ones_handler_hears_no_more_data() {
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

#[test]
fn destroy_soon_flushes_and_does_not_wait_for_the_peers_end() {
    let mut world = World::new();
    let raw = world.raw_pair(paused_server(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.write(pattern(FLOOD));
            socket.destroy_soon();
            assert!(!socket.is_destroyed() && !socket.is_writable());
        }
    });
    assert!(world.read_raw(&raw, usize::MAX) == pattern(FLOOD));
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

// covers: connect-reset
#[test]
fn a_reset_of_a_socket_that_never_connected_is_err_socket_closed() {
    let mut world = World::new();
    world.new_socket(SocketOptions::new(), |socket| watch(socket, "X", quiet)).unwrap();
    world.of("X").reset();
    world.until_closed(&["X"]);
    assert_eq!(world.state.of("X"), ["error ERR_SOCKET_CLOSED", "close(true)"]);
}

// ---- again, and no more ---------------------------------------------------------------------------------------------

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
    world.until(|world| !world.net.exists(id));
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
    world.until(|world| !world.net.exists(stale));
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
    assert!(world.net.pipe(stale, stranger, true).is_err());
    assert!(world.net.is_destroyed(stale));
    assert_eq!(world.net.ready_state(stale), ReadyState::Closed);
    assert_eq!((world.net.bytes_read(stale), world.net.buffer_size(stale), world.net.timeout(stale)), (0, 0, None));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("stranger"), ["connect"]);
    assert_eq!(world.of("stranger").ready_state(), ReadyState::Open);
    assert!(!world.of("stranger").is_paused());
}

#[test]
fn a_handler_that_replaces_itself_stays_replaced() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    world.of("S").on_data(|socket, _| {
        socket.state.note("S", "first");
        socket.on_data(|socket, _| socket.state.note("S", "second"));
    });
    for n in 1..=3 {
        raw.write_all(b"x").unwrap();
        world.until(|world| world.of("S").bytes_read() == n);
    }
    assert_eq!(world.state.of("S"), ["first", "second", "second"]);
}

#[test]
fn a_handler_that_removes_itself_stays_removed() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new(), quiet);
    world.until_saw("server", "connection");
    world.of("S").on_data(|socket, _| {
        socket.state.note("S", "once");
        socket.off_data();
    });
    for n in 1..=3 {
        raw.write_all(b"x").unwrap();
        world.until(|world| world.of("S").bytes_read() == n);
    }
    assert_eq!(world.state.of("S"), ["once"]);
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

#[test]
fn timers_of_a_socket_die_with_it() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.after(ms(5), |socket| socket.state.note("C", "timer"));
            socket.after(ms(30), |socket| socket.state.note("C", "late timer"));
            socket.after(ms(10), |socket| socket.destroy());
        }
    });
    world.until_closed(&["S", "C"]);
    world.run_out();
    assert_eq!(world.state.of("C"), ["connect", "timer", "close(false)"]);
}

#[test]
fn a_plain_listener_is_spoken_to_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("C", listener.local_addr().unwrap(), |socket, heard| {
        if let Heard::Connect = heard {
            socket.set_no_delay(true);
            socket.write("ping");
        }
    });
    world.until_saw("C", "connect");
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(world.read_raw(&peer, 4), b"ping");
    peer.set_nonblocking(false).unwrap();
    peer.write_all(b"pong").unwrap();
    drop(peer);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "data pong", "end", "finish", "close(false)"]);
}
