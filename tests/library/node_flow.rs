//! Bytes in both directions, as Node's own tests look at them: to and fro a thousand times, through pauses, corks and
//! full buffers, with a callback for each write.

use std::net::SocketAddr;

use crate::support::folder::Folder;
use crate::support::has_ipv6;
use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, told, watch};
use tidegate::sim::Sim;
use tidegate::{Endpoint, ServerOptions, SocketOptions};

fn options() -> ServerOptions {
    ServerOptions::new()
}

// ---- to and fro -----------------------------------------------------------------------------------------------------

/// A thousand times PING there and PONG back, then a last PING followed by an end.
fn ping_pong(on: Endpoint) {
    const ROUNDS: usize = 1000;
    let mut world = World::new();
    let half_open = options().allow_half_open(true);
    let accept = |socket: &mut View<'_>| {
        let server = socket.server().unwrap();
        assert_eq!(socket.net.server_connections(server), 1);
        watch(socket, "S", |socket, heard| {
            let state = (socket.is_readable(), socket.is_writable(), socket.ready_state().name());
            match heard {
                Heard::Data(chunk) => {
                    assert_eq!((chunk, state), (&b"PING"[..], (true, true, "open")));
                    assert!(socket.buffer_size() <= 4);
                    socket.state.add("PING", 1);
                    socket.write_then("PONG", |socket, written| {
                        written.unwrap();
                        socket.state.add("written by S", 1);
                    });
                }
                Heard::End => {
                    assert_eq!(state, (false, true, "writeOnly"));
                    socket.end();
                }
                Heard::Close(_) => assert_eq!(state, (false, false, "closed")),
                _ => {}
            }
        });
    };
    let server = world.listen_with(on, half_open, accept).unwrap();
    let to = match (on, world.net.server_address(server)) {
        (Endpoint::Port(_), Some(address)) => Endpoint::Localhost(address.port()),
        (_, Some(address)) => address.into(),
        (path, None) => path,
    };
    fn ping(socket: &mut View<'_>) {
        socket.write_then("PING", |socket, written| {
            written.unwrap();
            socket.state.add("written by C", 1);
        });
    }
    world.client("C", to, move |socket, heard| match heard {
        Heard::Connect => {
            if let Endpoint::Ip(to) = to {
                assert_eq!(socket.remote_address(), Some(to));
            }
            ping(socket);
        }
        Heard::Data(chunk) => {
            assert_eq!(chunk, b"PONG");
            let rounds = socket.state.add("PONG", 1);
            assert_eq!((socket.is_readable(), socket.is_writable()), (true, rounds <= ROUNDS));
            if rounds <= ROUNDS {
                ping(socket);
            }
            if rounds == ROUNDS {
                socket.end();
                assert_eq!(socket.ready_state().name(), "readOnly");
            }
        }
        Heard::Close(_) => socket.net.close_servers(),
        _ => {}
    });
    world.run_dry();
    for count in ["PING", "PONG", "written by C", "written by S"] {
        assert_eq!(world.state.number(count), ROUNDS + 1, "{count}, {on}");
    }
    assert_eq!(world.state.of("S").last().unwrap(), "close(false)");
    assert_eq!(world.state.of("C").last().unwrap(), "close(false)");
}

// covers: pingpong, pummel/pingpong
#[test]
fn a_thousand_messages_go_to_and_fro_and_the_last_after_the_end() {
    let mut places: Vec<Endpoint> = vec!["127.0.0.1:0".parse().unwrap(), ":0".parse().unwrap()];
    let folder = Folder::new();
    if cfg!(unix) {
        places.push(folder.endpoint("pingpong"));
    }
    if has_ipv6() {
        places.push("[::1]:0".parse().unwrap());
    }
    for place in places {
        ping_pong(place);
    }
}

// covers: pummel/pingpong-delay
#[test]
fn a_hundred_messages_go_to_and_fro_with_pauses() {
    const ROUNDS: usize = 100;
    let mut world = World::on(&Sim::new(1));
    let half_open = options().allow_half_open(true);
    world.pair_with(
        half_open,
        |socket, heard| match heard {
            Heard::Data(chunk) => {
                assert_eq!((chunk, socket.ready_state().name()), (&b"PING"[..], "open"));
                socket.after(ms(1), |socket| {
                    assert_eq!(socket.ready_state().name(), "open");
                    socket.write("PONG");
                });
            }
            Heard::End => {
                assert_eq!(socket.ready_state().name(), "writeOnly");
                socket.end();
            }
            Heard::Close(_) => assert_eq!(socket.ready_state().name(), "closed"),
            _ => {}
        },
        SocketOptions::new(),
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write("PING");
            }
            Heard::Data(chunk) => {
                assert_eq!((chunk, socket.ready_state().name()), (&b"PONG"[..], "open"));
                socket.after(ms(1), |socket| {
                    if socket.state.add("rounds", 1) < ROUNDS {
                        socket.write("PING");
                    } else {
                        socket.end();
                    }
                });
            }
            Heard::Close(_) => socket.net.close_servers(),
            _ => {}
        },
    );
    world.run_dry();
    assert_eq!(world.state.number("rounds"), ROUNDS);
    assert_eq!(world.state.of("C"), ["connect", "data of 400", "finish", "end", "close(false)"]);
    assert_eq!(world.state.of("S"), ["data of 400", "end", "finish", "close(false)"]);
}

// ---- pauses ---------------------------------------------------------------------------------------------------------

// covers: pause-resume-connecting
#[test]
fn the_last_pause_or_resume_before_the_connection_counts() {
    const WORDS: &str = "what is said to everybody who comes";
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        socket.end_with(WORDS);
        if socket.state.add("accepted", 1) == 5 {
            socket.net.close_servers();
        }
    });
    type Act = fn(&mut View<'_>);
    let (pause, resume): (Act, Act) = (|socket| socket.pause(), |socket| socket.resume());
    let acts: [&[Act]; 5] = [&[resume], &[pause, resume], &[pause], &[resume, pause, resume], &[resume, resume, pause]];
    for (n, acts) in acts.into_iter().enumerate() {
        let connect = |socket: &mut View<'_>| {
            acts.iter().for_each(|act| act(socket));
            watch(socket, &format!("C{n}"), quiet);
        };
        world.connect(address, connect).unwrap();
    }
    world.until_closed(&["C0", "C1", "C3"]);
    world.turn_for(ms(50));
    for paused in ["C2", "C4"] {
        assert_eq!(world.state.of(paused), ["connect"]);
        world.of(paused).off_data();
        world.of(paused).resume();
    }
    world.run_dry();
    let said = format!("data {WORDS}");
    for n in 0..5 {
        let seen = world.state.of(&format!("C{n}"));
        if n == 2 || n == 4 {
            assert_eq!(seen, ["connect", "end", "finish", "close(false)"]);
        } else {
            assert_eq!(seen, ["connect", &said, "end", "finish", "close(false)"]);
        }
    }
}

// covers: server-pause-on-connect
#[test]
fn a_socket_paused_on_connect_is_resumed_by_another_sockets_handler() {
    let mut world = World::new();
    let (_, first) = world.serve(options().pause_on_connect(true), |socket| {
        watch(socket, "S1", quiet);
    });
    let (_, second) = world.serve(options(), |socket| {
        watch(socket, "S2", |socket, heard| {
            if let Heard::Data(_) = heard {
                let paused = socket.state.id("S1");
                assert_eq!(socket.net.connection(paused).bytes_read(), 0);
                assert!(socket.state.of("S1").is_empty());
                socket.net.resume(paused);
            }
        });
    });
    let say_test = |socket: &mut View<'_>, heard: Heard<'_>| {
        if let Heard::Connect = heard {
            socket.write("test");
        }
    };
    world.client("C1", first, say_test);
    world.until(|world| world.state.saw("C1", "connect") && world.state.knows("S1"));
    world.turn_for(ms(30));
    world.client("C2", second, say_test);
    world.until(|world| world.state.data("S1") == b"test" && world.state.data("S2") == b"test");
    let all = world.state.of_all(&["S1", "S2"]);
    assert_eq!(all, ["S2 data test", "S1 data test"]);
}

// covers: pummel/pause
#[test]
fn nothing_comes_during_a_pause_and_everything_in_the_end() {
    const BYTES: usize = 200;
    let sim = Sim::new(1);
    let mut world = World::on(&sim);
    let (_, address) = world.serve(options(), |socket| {
        fn next(socket: &mut View<'_>) {
            if socket.state.add("sent", 1) < BYTES {
                socket.write(".");
                socket.after(ms(10), next);
            } else {
                socket.end_with(".");
            }
        }
        next(socket);
        socket.net.close_servers();
    });
    world.client("C", address, |socket, heard| {
        fn phase(socket: &mut View<'_>) {
            let name = if socket.is_paused() { "paused" } else { "flows" };
            let bytes = socket.state.data("C").len();
            let before = socket.state.numbers.insert("heard", bytes).unwrap_or(0);
            socket.state.note("phase", format!("{name}: {}", if bytes > before { "some" } else { "none" }));
            if socket.is_paused() {
                socket.resume()
            } else {
                socket.pause()
            }
            socket.after(ms(500), phase);
        }
        match heard {
            Heard::Connect => {
                socket.after(ms(500), phase);
            }
            Heard::Data(_) => assert!(!socket.is_paused()),
            _ => {}
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("phase"), ["flows: some", "paused: none", "flows: some", "paused: none"]);
    assert_eq!(world.state.data("C").len(), BYTES);
    assert_eq!(world.state.of("C"), ["connect", "data of 200", "end", "finish", "close(false)"]);
}

// covers: throttle
#[test]
fn a_writer_up_to_the_mark_and_a_reader_with_pauses_lose_nothing() {
    const PIECE: usize = 1024;
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                let mut pieces = 3;
                while socket.write(pattern(PIECE)) {
                    pieces += 1;
                }
                socket.write(pattern(PIECE));
                socket.write(pattern(PIECE));
                socket.state.add("written", pieces * PIECE);
                assert!((1..=pieces * PIECE).contains(&socket.buffer_size()));
                socket.end();
                socket.net.close_servers();
            }
        },
        |socket, heard| {
            if let Heard::Data(_) = heard {
                assert!(!socket.is_paused());
                socket.pause();
                socket.state.add("pauses", 1);
                let heard = socket.state.data("C").len();
                socket.after(ms(100), move |socket| {
                    assert_eq!(socket.state.data("C").len(), heard);
                    socket.resume();
                });
            }
        },
    );
    world.run_dry();
    assert!(world.state.number("pauses") > 1);
    let all = pattern(PIECE).repeat(world.state.number("written") / PIECE);
    assert!(world.state.data("C") == all);
    assert_eq!(world.state.of("C").last().unwrap(), "close(false)");
}

// covers: write-slow
#[test]
fn a_slow_reader_gets_all_and_no_timeout_comes_meanwhile() {
    const PIECE: usize = 200_000;
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.set_no_delay(true);
                socket.set_timeout(Some(ms(9999)));
                for _ in 0..10 {
                    socket.write_then(pattern(PIECE), |socket, written| {
                        written.unwrap();
                        if socket.state.add("written", 1) == 10 {
                            socket.set_timeout(None);
                        }
                    });
                }
                socket.end();
                socket.net.close_servers();
            }
        },
        |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.pause();
                socket.after(ms(20), |socket| socket.resume());
            }
        },
    );
    world.run_dry();
    assert_eq!(world.state.number("written"), 10);
    assert!(world.state.data("C") == pattern(PIECE).repeat(10));
    assert_eq!(world.state.of("S"), ["finish", "end", "close(false)"], "and no timeout");
}

// ---- writing --------------------------------------------------------------------------------------------------------

// covers: socket-byteswritten
#[test]
fn writes_corked_while_connecting_count_at_once() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end();
                socket.net.close_servers();
            }
        },
        |socket, heard| {
            if let Heard::Connect | Heard::End = heard {
                assert_eq!(socket.bytes_written(), 7);
            }
        },
    );
    let mut client = world.of("C");
    client.cork();
    client.write("one");
    client.write("twoo");
    client.uncork();
    assert_eq!(client.bytes_written(), 7);
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
    assert_eq!(world.state.data("S"), b"onetwoo");
}

// covers: sync-cork
#[test]
fn a_hundred_small_corked_writes_never_fill_the_buffer() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            for _ in 0..100 {
                socket.cork();
                socket.write("he");
                assert!(socket.write("ll"));
                socket.uncork();
            }
            socket.end();
        }
    });
    world.until_closed(&["S", "C"]);
    assert!(world.state.data("S") == b"hell".repeat(100));
    assert_eq!(world.state.of("S"), ["data of 400", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: write-fully-async-buffer
#[test]
fn large_writes_up_to_the_mark_at_each_drain_all_arrive() {
    const ROUNDS: usize = 40;
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        socket.on_close(|socket, _| {
            let read = socket.bytes_read() as usize;
            socket.state.add("read", read);
        });
        socket.resume();
        socket.net.close_servers();
    });
    fn round(socket: &mut View<'_>) {
        if socket.state.add("rounds", 1) > ROUNDS {
            let written = socket.bytes_written() as usize;
            socket.state.add("written", written);
            return socket.destroy();
        }
        while socket.write(vec![b'A'; 1_000_000]) {}
    }
    world.client("C", address, |socket, heard| {
        if let Heard::Connect | Heard::Drain = heard {
            round(socket);
        }
    });
    world.run_dry();
    assert_eq!(world.state.times("C", "drain"), ROUNDS);
    assert!(world.state.number("written") >= ROUNDS * 1_000_000);
    assert_eq!(world.state.number("read"), world.state.number("written"));
}

// covers: pummel/write-callbacks
#[test]
fn each_of_very_many_writes_has_its_callback_in_order() {
    const WRITES: usize = 100_000;
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        socket.on_end(|socket| {
            assert_eq!(socket.bytes_read() as usize, WRITES * 11);
            socket.state.note("S", "end");
        });
        socket.resume();
        socket.net.close_servers();
    });
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            for n in 0..WRITES {
                socket.write_then("hello world", move |socket, written| {
                    written.unwrap();
                    assert_eq!(socket.state.add("called", 1), n + 1);
                });
            }
            socket.end();
        }
    });
    world.run_dry();
    assert_eq!(world.state.number("called"), WRITES);
    assert!(world.state.saw("S", "end"));
}

// covers: socket-writes-before-passed-to-tls-socket
#[test]
fn two_large_writes_of_a_connecting_socket_go_out_before_what_is_written_later() {
    const LENGTH: usize = 512 * 1024;
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.write_then("later", told("C", "third"));
            socket.end();
        }
    });
    let mut client = world.of("C");
    client.write_then(pattern(LENGTH), told("C", "first"));
    client.write_then(pattern(LENGTH), told("C", "second"));
    world.until_closed(&["S", "C"]);
    let all = [pattern(LENGTH), pattern(LENGTH), b"later".to_vec()].concat();
    assert!(world.state.data("S") == all);
    let callbacks: Vec<_> = world.state.of("C").into_iter().filter(|event| event.ends_with(" ok")).collect();
    assert_eq!(callbacks, ["first ok", "second ok", "third ok"]);
}

// covers: socket-end-callback
#[test]
fn each_way_to_end_has_its_callback_once() {
    type Act = fn(&mut View<'_>);
    let ways: [(Act, &str); 3] = [
        (|socket| socket.end_then(told("C", "ended")), ""),
        (
            |socket| {
                socket.write("foo");
                socket.end_then(told("C", "ended"));
            },
            "foo",
        ),
        (
            |socket| {
                socket.end_with("foo");
                socket.end_then(told("C", "ended"));
            },
            "foo",
        ),
    ];
    for (way, data) in ways {
        let mut world = World::new();
        let (server, _) = world.pair(quiet, move |socket, heard| {
            if let Heard::Connect = heard {
                way(socket);
            }
        });
        world.net.set_server_ref(server, false);
        world.run_dry();
        assert_eq!(world.state.of("C"), ["connect", "ended ok", "finish", "end", "close(false)"]);
        assert_eq!(world.state.data("S"), data.as_bytes());
    }
}

// covers: x/drain-empty-only
#[test]
fn drain_comes_once_when_nothing_waits_any_more_and_never_after_an_end() {
    for ends in [false, true] {
        let mut world = World::new();
        let raw = world.raw_pair(options(), move |socket, heard| match heard {
            Heard::Accepted => {
                while socket.write(pattern(100_000)) {}
                for _ in 0..20 {
                    assert!(!socket.write(pattern(100_000)));
                }
                if ends {
                    socket.end();
                }
            }
            Heard::Drain => assert_eq!(socket.buffer_size(), 0),
            _ => {}
        });
        world.until_saw("server", "connection");
        let all = world.of("S").bytes_written() as usize;
        assert_eq!(world.read_raw(&raw, all).len(), all);
        world.until_saw("S", if ends { "finish" } else { "drain" });
        world.turn_for(ms(10));
        assert_eq!(world.state.of("S"), [if ends { "finish" } else { "drain" }]);
    }
}

// covers: seq/GH-5504
#[test]
fn a_flood_to_a_peer_that_has_gone_ends_on_both_sides() {
    let mut server = World::new();
    let (_, address) = server.sockets_called_s(options(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.write(pattern(4 * FLOOD));
            socket.net.close_servers();
        }
    });
    let mut client = World::new();
    client.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
        }
    });
    client.run_dry();
    assert_eq!(client.state.of("C"), ["connect", "close(false)"]);
    server.run_dry();
    let seen = server.state.of("S");
    assert!(seen[0].starts_with("error E") && seen[1..] == ["close(true)"], "{seen:?}");
}

// ---- many -----------------------------------------------------------------------------------------------------------

// covers: pummel/many-clients
#[test]
fn fifty_clients_that_come_three_times_get_everything_each_time() {
    const CLIENTS: usize = 50;
    const LENGTH: usize = 40_960;
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        socket.end_with(pattern(LENGTH));
        if socket.state.add("accepted", 1) == 3 * CLIENTS {
            socket.net.close_servers();
        }
    });
    let come = |socket: &mut View<'_>, address: SocketAddr| {
        socket.on_close(move |socket, closed| {
            assert!(!closed.had_error);
            assert_eq!(socket.bytes_read() as usize, LENGTH);
            if socket.state.add("closed", 1) <= 2 * CLIENTS {
                socket.connect(address).unwrap();
            }
        });
        socket.resume();
    };
    for _ in 0..CLIENTS {
        world.connect(address, |socket| come(socket, address)).unwrap();
    }
    world.run_dry();
    assert_eq!((world.state.number("accepted"), world.state.number("closed")), (3 * CLIENTS, 3 * CLIENTS));
}
